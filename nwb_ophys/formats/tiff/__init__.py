"""Multi-page TIFF files without metadata of their own."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="tiff",
    kind="imaging",
    interface="interface:TiffImagingInterface",
    recognised="multi-page TIFF files, or a folder of them",
    suffixes=(".tif", ".tiff", ".btf", ".tf2", ".tf8"),
    requires=("tifffile", "imagecodecs"),
    sample="sample:write_sample",
)
