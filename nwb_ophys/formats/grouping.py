"""Recordings that OME-XML describes, for the formats whose files have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nwb_ophys.errors import as_sentence
from nwb_ophys.filetypes.ome.recordings import recordings_of
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut


def ome_grouping(files: Sequence[Path]) -> Grouping:
    """Return the recordings of OME-TIFF files, each with all files that its OME-XML names.

    Parameters
    ----------
    files : sequence of pathlib.Path
        Files with OME-XML.
    """
    whole, left_out = recordings_of(files)
    groups = [
        FileGroup(path=recording.path, files=tuple(recording.file_paths)) for recording in whole
    ]
    return Grouping(
        groups=tuple(groups),
        left_out=tuple(LeftOut(path, as_sentence(error)) for path, error in left_out),
    )
