"""Arrays in memory and ``.npy`` files."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMATS = (
    Format(
        name="numpy",
        kind="imaging",
        interface="interface:NumpyImagingInterface",
        recognised=".npy files with an array (time, rows, columns[, planes])",
        suffixes=(".npy",),
        file_suffixes=(".npy",),
        sample="sample:write_sample",
    ),
    Format(
        name="numpy-segmentation",
        kind="segmentation",
        interface="interface:NumpySegmentationInterface",
        recognised="arrays of masks and traces, given by name; no path is recognised",
        sample="sample:write_segmentation_sample",
    ),
)
