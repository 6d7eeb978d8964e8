"""Recordings that OME-XML describes, for the formats whose files have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.filetypes.ome.recordings import recordings_of
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut


def ome_grouping(files: Sequence[Path], left_out: tuple[LeftOut, ...]) -> Grouping:
    """Return the recordings of OME-TIFF files, each with all files that its OME-XML names.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Files with OME-XML.
    left_out : tuple of LeftOut
        Other files beside them.
    """
    groups = [
        FileGroup(path=recording.path, files=tuple(recording.file_paths))
        for recording in recordings_of(files)
    ]
    used = {file.resolve() for group in groups for file in group.files}
    return Grouping(
        groups=tuple(groups),
        left_out=tuple(each for each in left_out if each.path.resolve() not in used),
    )
