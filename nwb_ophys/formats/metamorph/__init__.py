"""Stacks of MetaMorph: all planes behind the directory of the first one."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="metamorph",
    kind="imaging",
    interface="interface:MetaMorphImagingInterface",
    recognised="MetaMorph stacks (.stk, or .tif with MetaMorph's tags), a folder of them, or the "
    ".nd file of an acquisition",
    suffixes=(".stk", ".tif", ".tiff", ".nd"),
    requires=("tifffile",),
    sample="sample:write_sample",
)
