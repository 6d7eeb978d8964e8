"""Find the images of a Prairie View recording that truncated files lack."""

from __future__ import annotations

from pathlib import Path

import attrs

from nwb_ophys.filetypes.tiff.checks import inspect_later_tiff
from nwb_ophys.formats.bruker.xml import Cycle, Frame, FrameFile, PrairieRecording


def without_lost_images(recording: PrairieRecording, present: frozenset[str]) -> PrairieRecording:
    """Return a recording whose frames lack the images that are not complete in their files.

    Reads the headers of all images.

    Parameters
    ----------
    recording : PrairieRecording
    present : frozenset of str
        Names of the files in the folder.

    Raises
    ------
    NothingCompleteError
        If nothing in the first file is complete.

    Warns
    -----
    UserWarning
        For each truncated file.
    """
    folder = recording.path.parent
    named = [
        file.file_name
        for cycle in recording.cycles
        for frame in cycle.frames
        for file in frame.files
        if file.file_name in present
    ]
    num_pages = {
        name: _count_pages(folder / name, is_first=name == named[0])
        for name in dict.fromkeys(named)
    }
    places = [
        (file.file_name, file.page)
        for cycle in recording.cycles
        for frame in cycle.frames
        for file in frame.files
    ]
    are_numbered = len(set(places)) == len(places)
    counted: dict[str, int] = {}

    def is_kept(file: FrameFile) -> bool:
        name = file.file_name
        counted[name] = counted.get(name, 0) + 1
        page = file.page or 1 if are_numbered else counted[name]
        return name not in num_pages or page <= num_pages[name]

    def kept(frame: Frame) -> Frame:
        return frame._replace(files=tuple(filter(is_kept, frame.files)))

    def cut(cycle: Cycle) -> Cycle:
        return attrs.evolve(cycle, frames=tuple(map(kept, cycle.frames)))

    return attrs.evolve(recording, cycles=tuple(map(cut, recording.cycles)))


def _count_pages(path: Path, *, is_first: bool) -> int:
    """Return the number of complete pages of a file."""
    source = inspect_later_tiff(path, reads_axes=False, allow_truncated=True, is_first=is_first)
    return 0 if source is None else source.table.num_pages
