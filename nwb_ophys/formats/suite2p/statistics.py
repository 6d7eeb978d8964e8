"""Numbers that Suite2p computed for each ROI, in ``stat.npy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATISTICS: Mapping[str, str] = {
    "skew": "Skewness of the trace of the ROI in the functional channel, less the trace around it",
    "std": "Standard deviation of the trace of the ROI in the functional channel, less the trace "
    "around it",
    "snr": "Signal-to-noise ratio of the ROI",
    "compact": "Mean distance of the pixels from the centre of the ROI, relative to that of a disk",
    "solidity": "Part of the convex hull of the ROI that its pixels fill",
    "footprint": "Spatial extent of the signal of the ROI",
    "radius": "Radius of an ellipse that was fitted to the ROI, in pixels",
    "aspect_ratio": "Ratio of the axes of an ellipse that was fitted to the ROI",
    "npix_norm": "Number of pixels of the ROI, relative to other ROIs",
    "npix_norm_no_crop": "Number of pixels of the whole ROI, relative to other ROIs",
    "npix_soma": "Number of pixels of the soma of the ROI",
    "mrs": "Mean distance of the pixels from the centre of the ROI, in units of Suite2p",
    "mrs0": "Mean distance of as many pixels of a disk from its centre, in units of Suite2p",
    "chan2_prob": "Probability that the ROI is seen in the second channel",
    "iplane": "Number of the plane in which the ROI was found, from 0",
    "manual": "Whether a user drew the ROI in Suite2p: 1 or 0",
}
"""Descriptions of the numbers, by their names in ``stat.npy``."""

_WHOLE = ("iplane", "manual")
# Other members of Suite2p and its window: pixels, merges, and what follows from them.
_OTHERS = frozenset(
    (
        *(
            "ypix",
            "xpix",
            "lam",
            "lam_norm",
            "med",
            "npix",
            "overlap",
            "soma_crop",
            "neuropil_mask",
        ),
        *(
            "ipix_neuropil",
            "imerge",
            "inmerge",
            "iscell",
            "redcell",
            "yext",
            "xext",
            "ycirc",
            "xcirc",
            "ellipse",
            "yellipse",
            "xellipse",
            "Vmax",
        ),
    )
)


def unknown_members(stat: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of members of ROIs that Suite2p does not write."""
    names = dict.fromkeys(str(name) for roi in stat for name in roi)
    return [name for name in names if name not in STATISTICS and name not in _OTHERS]


def statistics_of(
    stat: Sequence[Mapping[str, Any]],
) -> dict[str, tuple[NDArray[Any], str]]:
    """Return the numbers of ROIs with their descriptions, by name.

    ROIs that lack a number, such as some of those that a user drew, have NaN. Only ROIs that a user
    drew state that they are.

    Parameters
    ----------
    stat : sequence of Mapping
        The ROIs as ``stat.npy`` has them.
    """
    found = {}
    for name, text in STATISTICS.items():
        values: NDArray[Any] = np.array(
            [single_number(roi.get(name)) for roi in stat], dtype=np.float64
        )
        if name == "manual":
            values = np.where(values == 0, np.nan, values)  # nobody drew any of them
        if not np.isnan(values).all():
            values = np.nan_to_num(values) if name == "manual" else values
            is_whole = name in _WHOLE and bool((values == np.rint(values)).all())
            values = values.astype(np.int64) if is_whole else values
            found[name] = (values, f"{text} (Suite2p's {name}).")
    return found


def single_number(value: Any) -> float:
    """Return a number, also from an array of one; NaN for anything else."""
    try:
        array = np.asarray(np.nan if value is None else value)
    except ValueError:  # lists of different lengths
        return np.nan
    is_number = array.dtype.kind in "iuf" and array.size == 1
    return float(array.reshape(-1)[0]) if is_number else np.nan
