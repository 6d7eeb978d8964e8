"""ROIs and traces of Minian."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="minian",
    kind="segmentation",
    interface="interface:MinianSegmentationInterface",
    recognised="a folder with Minian's A.zarr and C.zarr",
    suffixes=(".zarr",),
    sample="sample:write_sample",
)
