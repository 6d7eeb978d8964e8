"""OME-TIFF files of any program."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="ome-tiff",
    kind="imaging",
    interface="interface:OmeTiffImagingInterface",
    recognised="TIFF files with OME-XML in the first page, or a folder of them",
    suffixes=(".tif", ".tiff"),
    requires=("tifffile", "imagecodecs"),
    sample="sample:write_sample",
)
