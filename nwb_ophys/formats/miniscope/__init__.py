"""Videos of UCLA Miniscopes."""

from __future__ import annotations

from nwb_ophys.formats import Format

FORMAT = Format(
    name="miniscope",
    kind="imaging",
    interface="interface:MiniscopeImagingInterface",
    converter="MiniscopeConverter",
    recognised="a folder of a UCLA Miniscope's .avi files, or of its recordings",
    suffixes=(".avi",),
    requires=("cv2",),
    sample="sample:write_sample",
)
