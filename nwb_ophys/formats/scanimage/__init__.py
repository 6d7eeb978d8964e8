"""TIFF files of ScanImage 4 and later."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="scanimage",
    kind="imaging",
    interface="interface:ScanImageImagingInterface",
    converter="ScanImageConverter",
    recognised="TIFF files with a header of ScanImage 4 or later, or a folder of them",
    suffixes=(".tif", ".tiff"),
    requires=("tifffile",),
    sample="sample:write_sample",
)
