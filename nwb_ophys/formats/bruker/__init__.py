"""Recordings of Bruker's Prairie View 4 and 5: TIFF files and a PVScan XML file."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="bruker",
    kind="imaging",
    interface="interface:BrukerImagingInterface",
    converter="BrukerConverter",
    recognised="a folder with TIFF files and the PVScan XML file of Bruker's Prairie View 4 or 5",
    suffixes=(".xml", ".tif", ".tiff"),
    requires=("tifffile", "imagecodecs"),
    # Pictures of the field of a line scan, beside it.
    derived_folders=("References",),
    sample="sample:write_sample",
)
