"""Count the times of analyses of one of several joined recordings from the start of the first.

A movie may join the recordings in the folders of a day. An analysis in one of these folders counts
its times from the start of that recording, and states no start of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.alignment import TimeAlignment
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.interfaces.relations import Relations


def place_in_joined(interfaces: dict[str, Any]) -> None:
    """Shift the times of analyses that lie in the folder of a later recording of a joined movie.

    Parameters
    ----------
    interfaces : dict of str to interface
        By the name of the stream.
    """
    joined = {
        name: starts
        for name, each in interfaces.items()
        if (starts := getattr(getattr(each, "extractor", None), "starts_of_folders", None))
    }
    if not joined:
        return
    for name, stream in Relations.of(interfaces).derived.items():
        interface = stream.interface
        if name in joined or not isinstance(interface, TimeAlignment) or not stream.num_samples:
            continue
        for movie, starts in joined.items():
            folder = _folder_of(paths_of(interface), starts)
            # An analysis of all recordings has the times of the movie.
            is_whole = stream.num_samples == interfaces[movie].extractor.get_num_samples()
            if folder is None or is_whole:
                continue
            _shift(name, interface, folder, starts[folder])
            break


def _folder_of(paths: Iterable[Path], folders: Iterable[Path]) -> Path | None:
    parents = {parent for path in paths for parent in path.absolute().parents}
    return next((folder for folder in folders if folder in parents), None)


def _shift(name: str, interface: Any, folder: Path, start: float) -> None:
    try:
        interface.count_from_movie(start)
    except SourceError:  # without times or a rate, of which its writer tells
        return
    if start:
        warnings.warn(
            f"'{name}' lies in '{folder}', whose recording began {start:g} s after the first one; "
            "its times are counted from there.",
            UserWarning,
            stacklevel=4,
        )
