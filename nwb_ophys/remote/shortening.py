"""Show paths without the folders above a recording, which may name people and machines."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.home import with_home
from nwb_ophys.remote.paths import RemotePath, as_path, is_url

_QUOTED_PATH = re.compile(r"'((?:/|~|[A-Za-z]:[\\/])[^'\n]*)'")


def absolute_path(path: str | Path) -> Path:
    """Return an absolute path without following links; a URL is returned as it is."""
    given = as_path(path)
    if isinstance(given, RemotePath):
        return given
    return Path(os.path.normpath(with_home(given).absolute()))


class Shortener:
    """Writer of paths relative to the folder that all sources have in common.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The sources.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        places = [absolute_path(path) for path in paths]
        self._stores = [str(path) for path in places if isinstance(path, RemotePath)]
        folders = [path.parent for path in places if not isinstance(path, RemotePath)]
        common = Path(os.path.commonpath(folders)) if folders else None
        # A common folder this high would leave the names of homes in the paths.
        homes = {Path(Path.home().anchor), Path.home().parent}
        self.folder = None if common in homes else common

    def path(self, path: str | Path) -> str:
        """Return a path relative to the common folder; of another path only the name."""
        absolute = absolute_path(path)
        for store in self._stores:  # objects in it have the same name in several folders
            if str(absolute).startswith(f"{store}/"):
                return str(absolute)[len(store.rpartition("/")[0]) + 1 :]
        if self.folder is not None and absolute.is_relative_to(self.folder):
            return absolute.relative_to(self.folder).as_posix()
        return absolute.name

    def text(self, text: str) -> str:
        """Return a sentence with its quoted paths shortened."""
        return _QUOTED_PATH.sub(lambda found: f"'{self.path(found[1])}'", text)

    def argument(self, text: str) -> str:
        """Return an argument of a command with its path shortened."""
        if is_url(text):  # which may hold a password or a signature
            return self.path(text)
        key, equals, value = text.partition("=")
        if equals and key:
            return f"{key}={self.argument(value)}" if _is_path(value) else text
        return self.path(text) if _is_path(text) else text


def _is_path(text: str) -> bool:
    return text.startswith(("/", "~")) or os.sep in text or Path(text).is_absolute()
