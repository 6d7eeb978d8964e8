"""Merges of ROIs that a user made in Suite2p's window.

A merge adds an ROI at the end of ``stat.npy``: its ``imerge`` lists the ROIs that it consists of,
whose ``inmerge`` is the new ROI. The parts keep their files and their flags of cells. When a merged
ROI is merged again, the newest one lists all parts, and the older one remains unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen(eq=False)
class Merges:
    """Merges among the ROIs of a plane.

    Attributes
    ----------
    parts : list of list of int
        Indices of the ROIs that each ROI consists of (``imerge``); empty for an original ROI.
    into : numpy.ndarray of int, shape (ROIs,)
        ``inmerge`` of each ROI: the ROI that it was merged into; 0 or -1 for none.
    is_part : numpy.ndarray of bool, shape (ROIs,)
        Whether the ROI was replaced by another one.
    unknown : list of int
        Indices of merged ROIs whose parts are not known, which have an empty list of parts.
    """

    parts: list[list[int]]
    into: NDArray[np.int64]
    is_part: NDArray[np.bool_]
    unknown: list[int]


def merges_of(stat: Sequence[Mapping[str, Any]]) -> Merges | None:
    """Return the merges among ROIs; None where there are none.

    Parameters
    ----------
    stat : sequence of Mapping
        The ROIs as ``stat.npy`` has them.
    """
    parts = [_indices(roi.get("imerge")) for roi in stat]
    into = np.array([[*_indices(roi.get("inmerge")), -1][0] for roi in stat], dtype=np.int64)
    if not any(parts) and not np.any(into > 0):
        return None
    unknown = _move_behind_drawn(stat, parts, into)
    # Suite2p sets inmerge to 0 when it loads a plane, so that older merges show in imerge only.
    is_part = (into > 0) & (into < len(stat))
    indices = set(range(len(stat)))
    known = {index: (set(own) & indices) - {index} for index, own in enumerate(parts)}
    newer: list[set[int]] = []
    for index in sorted((i for i, own in known.items() if own), reverse=True):
        is_part[list(known[index])] = True
        is_part[index] |= any(known[index] <= other for other in newer)
        newer.append(known[index])
    return Merges(parts, into, is_part, unknown)


def _move_behind_drawn(
    stat: Sequence[Mapping[str, Any]], parts: list[list[int]], into: NDArray[np.int64]
) -> list[int]:
    """Set the merges to the present places of their ROIs; return merges for which none is found."""
    num_drawn = sum(bool(np.any(roi.get("manual", 0))) for roi in stat)
    unknown = []
    for index in [i for i, own in enumerate(parts) if own] if num_drawn else ():
        places = ([each + moved for each in parts[index]] for moved in range(num_drawn + 1))
        found = next((each for each in places if _has_pixels_of(stat, index, each)), [])
        parts[index] = found
        unknown += [] if found else [index]
    owners = {part: index for index, own in enumerate(parts) for part in own}  # the newest one
    for part in np.flatnonzero(into > 0) if num_drawn else ():
        into[part] = owners.get(int(part), -1)
    return unknown


def _has_pixels_of(stat: Sequence[Mapping[str, Any]], index: int, parts: Sequence[int]) -> bool:
    """Return whether the pixels of an ROI are those of some ROIs before it."""
    if not all(0 <= part < index for part in parts):
        return False
    return _pixels([stat[index]]) == _pixels([stat[part] for part in parts])


def _pixels(rois: Sequence[Mapping[str, Any]]) -> set[tuple[int, int]]:
    axes = [(np.ravel(roi["ypix"]), np.ravel(roi["xpix"])) for roi in rois]
    return {pixel for y, x in axes for pixel in zip(y.tolist(), x.tolist(), strict=True)}


def _indices(value: Any) -> list[int]:
    """Return the indices of a list or a number; an empty list where it holds anything else."""
    array = np.atleast_1d(np.asarray([] if value is None else value)).reshape(-1)
    if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
        return []
    return [int(each) for each in array]
