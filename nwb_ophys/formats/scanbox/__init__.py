"""Recordings of Scanbox: a ``.sbx`` file and a ``.mat`` file."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="scanbox",
    kind="imaging",
    interface="interface:ScanboxImagingInterface",
    recognised="a .sbx file with the .mat file of Scanbox beside it",
    suffixes=(".sbx", ".mat"),
    file_suffixes=(".sbx",),
    sample="sample:write_sample",
)
