"""Find the start that the positions of one acquisition share.

Micro-Manager saves each position into a file or a folder of its own, with a summary of its own.
The times of all images count from the start of the acquisition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nwb_ophys.filetypes.frames.values import acquisition_start, first_positive, first_value
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.formats.micromanager.tags import read_summary, read_summary_text
from nwb_ophys.metadata import earliest_start
from nwb_ophys.paths import PathProbe

_STACK = "_mmstack"
_METADATA_NAME = "metadata.txt"


def shared_start(path: Path, summary: Mapping[str, Any]) -> datetime | None:
    """Return the start of an acquisition: the earliest that the summaries of its positions state.

    Parameters
    ----------
    path : pathlib.Path
        A file of an image file stack, or a folder of separate image files.
    summary : mapping
        Summary of this position.
    """
    own = acquisition_start(summary)
    if own is None or (first_positive(summary, "Positions") or 1) < 2:
        return own
    others = _folders_beside(path) if path.is_dir() else _stacks_beside(path)
    starts = [acquisition_start(other) for other in others if _is_same(summary, other)]
    alike = [s for s in starts if s is not None and (s.tzinfo is None) == (own.tzinfo is None)]
    return earliest_start([own, *alike])


def _is_same(summary: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two summaries are of one acquisition."""
    prefix = first_value(summary, "Prefix")
    names = ("Prefix", "Directory", "Positions", "MicroManagerVersion", "ComputerName")
    return prefix is not None and all(summary.get(name) == other.get(name) for name in names)


def _stacks_beside(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the summaries of the other files of an image file stack."""
    prefix, mark, _ = path.name.lower().partition(_STACK)
    for name in PathProbe(path.parent).names(*TIFF_SUFFIXES):
        if mark and name.lower().startswith(prefix + mark) and name != path.name:
            yield read_summary(path.parent / name) or {}


def _folders_beside(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the summaries of the other folders of positions."""
    parent = folder.absolute().parent
    for each in PathProbe(parent).folders():
        if each.path.name != folder.name and _METADATA_NAME in each.file_names:
            yield read_summary_text(each.head(each.path / _METADATA_NAME)) or {}
