"""TIFF files of ScanImage 3.8 and older."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="scanimage-legacy",
    kind="imaging",
    interface="interface:ScanImageLegacyImagingInterface",
    converter="ScanImageConverter",
    recognised="TIFF files with a header of ScanImage 3.8 or older, or a folder of them",
    suffixes=(".tif", ".tiff"),
    requires=("tifffile",),
    sample="sample:write_sample",
)
