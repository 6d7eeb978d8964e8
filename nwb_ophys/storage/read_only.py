"""Files and stores whose owner wants them unchanged, which are neither replaced nor added to.

The permission bits state that wish. They count for root as well, whom the system lets write
everywhere, and also where a file could be replaced because its folder allows new files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nwb_ophys.errors import OutputError
from nwb_ophys.shell_words import quoted

_WRITE_BITS = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# macOS and BSD: "Locked" in Finder, chflags(1).
_LOCKED_FLAGS = stat.UF_IMMUTABLE | stat.SF_IMMUTABLE
_STORE_OF_ANNEX = ("annex", "objects")


def check_changeable(path: Path) -> None:
    """Check that what is at a path may be replaced or changed.

    Parameters
    ----------
    path : pathlib.Path
        As the user gave it. A path of which nothing exists is fine.

    Raises
    ------
    OutputError
        When it is a read-only file, a read-only store, or a file that git-annex protects.
    """
    reason = reason_to_protect(path)
    if reason is not None:
        raise OutputError(f"'{path}' {reason}.")


def check_not_annexed(path: Path) -> None:
    """Check that a path is not a link to a file that git-annex protects, here or elsewhere.

    Parameters
    ----------
    path : pathlib.Path
        As the user gave it.

    Raises
    ------
    OutputError
    """
    if _is_in_annex(path):
        raise OutputError(f"'{path}' {_reason_of_annex(path)}.")


def reason_to_protect(path: Path) -> str | None:
    """Return why a file or store must not be changed, with the next step; None if it may be.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str or None
        The end of a sentence of which the path is the subject, without its full stop.
    """
    if _is_in_annex(path):
        return _reason_of_annex(path)
    heads = [path, *_roots_in(path)]
    if any(_is_marked(each) for each in heads):
        how = _command(path)
        return (
            f"is read-only, and is left as it is; allow changes of it, such as with {how}, and "
            "run this again, or choose another name"
        )
    if not all(os.access(each, os.W_OK) for each in heads if each.exists()):
        return (
            "may not be changed by this user, and is left as it is; ask its owner, or choose "
            "another name"
        )
    return None


def _is_in_annex(path: Path) -> bool:
    """Return whether a path leads into the store of git-annex, also where the file is absent."""
    parts = Path(os.path.realpath(path)).parts
    starts = range(len(parts) - 1)
    places = [i for i in starts if parts[i : i + 2] == _STORE_OF_ANNEX]
    return any(".git" in parts[:each] for each in places)


def _reason_of_annex(path: Path) -> str:
    return (
        "is protected from changes by git-annex (DataLad), and is left as it is; run "
        f"datalad unlock {quoted(str(path))} first, or choose another name"
    )


def _is_marked(path: Path) -> bool:
    """Return whether a file or folder is marked as one that nobody may write."""
    try:
        status = path.stat()
    except OSError:  # nothing is there, or the caller reports it
        return False
    is_locked = bool(getattr(status, "st_flags", 0) & _LOCKED_FLAGS)
    return is_locked or not status.st_mode & _WRITE_BITS


def _roots_in(path: Path) -> Iterator[Path]:
    """Yield the files of a folder in which it states that it is a store."""
    if not path.is_dir():
        return
    from nwb_ophys.storage.backends.registry import all_backends

    names = dict.fromkeys(name for each in all_backends() for name in each.headings)
    yield from (path / name for name in names if (path / name).is_file())


def _command(path: Path) -> str:
    name = quoted(str(path))
    if os.name == "nt":
        return f"attrib -R {name}"
    return f"chmod -R u+w {name}" if path.is_dir() else f"chmod u+w {name}"
