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
    """

    parts: list[list[int]]
    into: NDArray[np.int64]
    is_part: NDArray[np.bool_]


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
    # Suite2p sets inmerge to 0 when it loads a plane, so that older merges show in imerge only.
    is_part = (into > 0) & (into < len(stat))
    indices = set(range(len(stat)))
    known = {index: (set(own) & indices) - {index} for index, own in enumerate(parts)}
    newer: list[set[int]] = []
    for index in sorted((i for i, own in known.items() if own), reverse=True):
        is_part[list(known[index])] = True
        is_part[index] |= any(known[index] <= other for other in newer)
        newer.append(known[index])
    return Merges(parts, into, is_part)


def _indices(value: Any) -> list[int]:
    """Return the indices of a list or a number; an empty list where it holds anything else."""
    array = np.atleast_1d(np.asarray([] if value is None else value)).reshape(-1)
    if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
        return []
    return [int(each) for each in array]
