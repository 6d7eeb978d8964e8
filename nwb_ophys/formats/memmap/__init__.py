"""Memory maps of CaImAn, and other files that contain only pixels."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="memmap",
    kind="imaging",
    interface="interface:MemmapImagingInterface",
    recognised="memory maps of CaImAn (.mmap); other files of pixels with --format",
    suffixes=(".mmap",),
    file_suffixes=(".mmap",),
    sample="sample:write_sample",
)
