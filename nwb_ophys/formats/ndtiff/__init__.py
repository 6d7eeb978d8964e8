"""NDTiff data sets of Micro-Manager 2 and Pycro-Manager."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="ndtiff",
    kind="imaging",
    interface="interface:NDTiffImagingInterface",
    recognised="a folder with NDTiff.index and the TIFF files that it names, or one of these files",
    suffixes=(".tif", ".index"),
    sample="sample:write_sample",
)
