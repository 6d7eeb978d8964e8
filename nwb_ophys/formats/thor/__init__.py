"""Recordings of Thorlabs' ThorImage: Experiment.xml, and TIFF files or a raw file."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="thor",
    kind="imaging",
    interface="interface:ThorImagingInterface",
    converter="ThorConverter",
    recognised="a folder with ThorImage's Experiment.xml and TIFF files or Image_*.raw",
    suffixes=(".xml", ".tif", ".tiff", ".raw"),
    requires=("tifffile", "imagecodecs"),
    sample="sample:write_sample",
)
