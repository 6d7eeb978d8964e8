"""Files of Femtonics' MESc."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="femtonics",
    kind="imaging",
    interface="interface:FemtonicsImagingInterface",
    recognised="a .mesc file with measurement units of Femtonics' MESc",
    suffixes=(".mesc",),
    file_suffixes=(".mesc",),
    sample="sample:write_sample",
)
