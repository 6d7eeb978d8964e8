"""TIFF files of ScanImage 2016 and later."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="scanimage",
    kind="imaging",
    interface="interface:ScanImageImagingInterface",
    converter="ScanImageConverter",
    recognised="TIFF files with a ScanImage header (2016 and later), or a folder of them",
    suffixes=(".tif", ".tiff"),
    requires=("tifffile",),
    sample="sample:write_sample",
)
