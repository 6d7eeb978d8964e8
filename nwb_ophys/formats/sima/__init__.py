"""ROIs and signals of SIMA."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="sima",
    kind="segmentation",
    interface="interface:SimaSegmentationInterface",
    recognised="a folder of SIMA with dataset.pkl, and rois.pkl or signals_0.pkl",
    suffixes=(".pkl",),
    sample="sample:write_sample",
)
