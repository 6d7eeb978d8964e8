"""Sections of a recording: the start of each on the clock of the whole, where it is known.

A movie may join the recordings in the folders of a day. An analysis in one of these folders counts
its times from the start of that recording, and states no start of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.alignment import TimeAlignment
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.comparison import listed
from nwb_ophys.interfaces.images import ImagesInterface
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.interfaces.relations import Relations
from nwb_ophys.interfaces.trials import TrialsInterface
from nwb_ophys.shell_words import quoted
from nwb_ophys.timing import extractor_times


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


# Words before a number that counts parts of a recording that were recorded together.
_TOGETHER = re.compile(
    r"(c|ch|chan|channel|colou?r|plane|slice|z|depth|layer|roi|region|area|cam|camera|tile|patch)"
    r"[ _.-]*",
    re.IGNORECASE,
)


def note_sections(interfaces: Mapping[str, Any]) -> None:
    """Warn of streams that may be sections of a recording, and are all written from 0 s.

    Their files, or the folders of recorded movies, have names that differ in numbers only, and the
    files state no start.

    Parameters
    ----------
    interfaces : mapping of str to interface
        By the name of the stream.
    """
    alike: dict[tuple[Any, ...], dict[str, list[str]]] = {}
    for name, interface in interfaces.items():
        paths = paths_of(interface)
        if paths and isinstance(interface, BaseOphysInterface):
            place = str(paths[0].absolute())
            # Analyses in several folders have the times of their movies, which may not be here.
            folder = None if _is_recorded(interface) else paths[0].absolute().parent
            key = (type(interface), folder, *re.split(r"(\d+)", place)[::2])
            # Channels and planes of one file are streams of the same path.
            alike.setdefault(key, {}).setdefault(place, []).append(name)
    for by_file in alike.values():
        names = [each for streams in by_file.values() for each in streams]
        counted = _numbers_of_sections(list(by_file))
        if counted and all(_has_no_start(interfaces[n]) for n in names):
            numbers = "a number" if counted == 1 else "numbers"
            warnings.warn(
                f"{listed(names)}: the names of the files or folders differ in {numbers}, and the "
                "files state no start, so that the times of each are counted from 0 s. If they are "
                "sections of one recording, join them before, or give the times of each, such as "
                f"with times=FILE (on the command line --times {quoted(names[-1] + '=FILE')}) or "
                "set_aligned_starting_time(). If they are of several sessions, convert each by "
                "itself. If they were recorded together, this is right.",
                UserWarning,
                stacklevel=4,
            )


def _is_recorded(interface: Any) -> bool:
    return isinstance(interface, ImagingInterface) and interface.made_from() is None


def _has_no_start(interface: Any) -> bool:
    extractor: Any = getattr(interface, "extractor", None)
    if isinstance(interface, (ImagesInterface, TrialsInterface)):
        return False
    if not hasattr(extractor, "get_num_samples") or not extractor.get_num_samples():
        return False
    if extractor_times(extractor) is not None:
        return False
    stated = interface.describe().get("NWBFile") or {}
    return stated.get("session_start_time") is None


def _numbers_of_sections(places: Sequence[str]) -> int:
    """Return in how many numbers paths differ; 0 if these count what is recorded together."""
    parts = [re.split(r"(\d+)", place) for place in places]
    differing = [i for i, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1]
    before = [re.split(r"[ _./\\-](?=[^ _.-])", parts[0][index - 1])[-1] for index in differing]
    return 0 if all(_TOGETHER.fullmatch(word) for word in before) else len(differing)
