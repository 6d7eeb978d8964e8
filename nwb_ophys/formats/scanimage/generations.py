"""Names of the properties in ScanImage's headers, which differ between generations.

ScanImage 5.1 and later write ``SI.hChannels.channelSave``, until 2015 with ``scanimage.`` in
front. ScanImage 4 and 5.0 write flat lists, ``scanimage.SI4.channelsSave`` and
``scanimage.SI5.channelsSave``, whose names are translated here to the later ones. Sources: headers
of files of ScanImage 4.2, 5.0, 5.1 and 2015, and the programs' own readers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: A line of a header that is read, of any generation.
PROPERTY = re.compile(
    r"^(?:scanimage\.)?((?:SI|(?<=scanimage\.)SI[45])\.[\w.]+) = (.*)$", re.MULTILINE
)
#: A line that only ScanImage writes, also in generations whose header is not read.
OWN_LINE = re.compile(
    r"^(?:(?:scanimage\.)?SI\d*\.\w+|scanimage\.\w[\w.]* =|frameNumbers = \d"
    r"|Frame (?:Number|Tag) = *\d)",
    re.MULTILINE,
)
#: The version in a header of any generation.
VERSION = re.compile(r"(?:VERSION_MAJOR|versionMajor) = '?([\w.]+)", re.MULTILINE)

#: Name since ScanImage 5.1: names in ScanImage 4 and 5.0, of which the first one in a header holds.
OLD_NAMES: Mapping[str, tuple[str, ...]] = {
    "VERSION_MAJOR": ("VERSION_MAJOR", "versionMajor"),
    "VERSION_MINOR": ("VERSION_MINOR", "versionMinor"),
    "acqState": ("acqState",),
    "hChannels.channelSave": ("channelsSave", "channelSave"),
    "hFastZ.discardFlybackFrames": ("fastZDiscardFlybackFrames",),
    "hFastZ.enable": ("fastZEnable",),
    "hFastZ.imageType": ("fastZImageType",),
    "hFastZ.numDiscardFlybackFrames": ("fastZNumDiscardFrames",),
    "hFastZ.volumePeriod": ("fastZPeriod",),
    "hRoiManager.linePeriod": ("scanLinePeriod", "linePeriod"),
    "hRoiManager.linesPerFrame": ("scanLinesPerFrame", "linesPerFrame"),
    "hRoiManager.pixelsPerLine": ("scanPixelsPerLine", "pixelsPerLine"),
    "hRoiManager.scanAngleMultiplierSlow": ("scanAngleMultiplierSlow",),
    "hRoiManager.scanFramePeriod": ("scanFramePeriod",),
    "hRoiManager.scanFrameRate": ("scanFrameRate",),
    "hRoiManager.scanZoomFactor": ("scanZoomFactor", "zoomFactor"),
    "hScan2D.bidirectional": ("bidirectionalAcq",),
    "hScan2D.logAverageFactor": ("acqNumAveragedFramesSaved", "acqNumAveragedFrames"),
    "hScan2D.logFramesPerFile": ("loggingFramesPerFile",),
    "hStackManager.framesPerSlice": ("acqNumFrames",),
    "hStackManager.numSlices": ("stackNumSlices",),
    "hStackManager.stackZStepSize": ("stackZStepSize",),
}


def generation_of(header: str) -> str:
    """Return the prefix of the properties in a header: ``SI``, ``SI4``, ``SI5``, or empty."""
    match = PROPERTY.search(header)
    return match[1].split(".")[0] if match else ""


def stated_version(text: str) -> str:
    """Return the version that a header states, such as ``4.2``, or empty."""
    match = VERSION.search(text)
    return match[1] if match else ""
