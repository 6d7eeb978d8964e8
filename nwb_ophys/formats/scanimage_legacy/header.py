"""Parse the header of a ScanImage 3 file: lines ``state.group.name=value``.

The header is the image description of the first page; its lines end with carriage returns.
Source for the meaning of the properties: files of ScanImage 3.8 and the manual of the program.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from pathlib import Path

import attrs

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.extractors.ranges import check_stated_rate
from nwb_ophys.metadata import possible_number

PROPERTY = re.compile(r"^state\.([\w.]+) ?= ?(.*)$")
_CLOCK = r"[ T](\d+):(\d+):(\d+(?:\.\d+)?)$"
START = re.compile(r"(\d+)/(\d+)/(\d{4})" + _CLOCK)
DATESTR = re.compile(r"(\d+)-([A-Za-z]{3})-(\d{4})" + _CLOCK)
ISO = re.compile(r"(\d{4})[-/](\d+)[-/](\d+)" + _CLOCK)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
MAX_CHANNELS = 4
_FARTHEST_UM = 1e6
_MOST_AVERAGED = 100_000


@attrs.frozen(kw_only=True)
class LegacyMetadata:
    """Metadata from the header of a ScanImage 3 file.

    Attributes
    ----------
    path : Path
        The file.
    version : str
        Version of ScanImage, such as ``"3.8"``; empty if not stated.
    channel_names : tuple of str
        The saved channels, such as ``("Channel 1", "Channel 3")``, in the order of the pages.
    num_planes : int
        Number of slices of a stack; 1 without a stack.
    frame_rate : float
        Saved frames of a channel per second in Hz: the scanner's rate over ``num_averaged``.
    num_averaged : int
        Number of frames averaged into each saved frame.
    frames_per_slice : int or None
        Number of frames to save of each slice; None if unlimited.
    line_rate : float or None
        Lines per second, in Hz.
    z_step : float or None
        Distance of the slices in metres; None without a stack.
    start : datetime or None
        Wall-clock time of the trigger of the acquisition, without time zone.
    is_line_scan : bool
        Whether the slow axis rested, so that all rows of a frame are of one line.
    motor_position : tuple of float or None
        x, y and z of the stage, in micrometres.
    """

    path: Path
    version: str
    channel_names: tuple[str, ...]
    num_planes: int
    frame_rate: float
    num_averaged: int
    frames_per_slice: int | None
    line_rate: float | None
    z_step: float | None
    start: datetime | None
    is_line_scan: bool
    motor_position: tuple[float, float, float] | None = attrs.field(repr=False)

    @property
    def pages_per_frame(self) -> int:
        """Number of pages per frame, which is the number of channels."""
        return len(self.channel_names)


def parse_legacy_header(path: Path, description: str) -> LegacyMetadata:
    """Parse the description of the first page.

    Parameters
    ----------
    path : Path
        The file, for messages.
    description : str

    Returns
    -------
    LegacyMetadata

    Raises
    ------
    SourceError
        If it is not a header of ScanImage 3.
    CorruptSourceError
        If it lacks the frame rate or the channels, or is inconsistent.
    """
    matches = (PROPERTY.match(line.strip()) for line in re.split(r"[\r\n]+", description))
    values = {match[1]: match[2].strip().strip("'") for match in matches if match}
    if not values:
        raise SourceError(
            f"'{path}' has no header of ScanImage 3 (lines that begin with 'state.'); read it as a "
            "plain TIFF stack, or with the format of a later ScanImage."
        )
    header = _Values(path, values)
    rate = header.number("acq.frameRate")
    if rate is None or rate <= 0:
        raise CorruptSourceError(
            f"'{path}': its header states no state.acq.frameRate above 0; read it as a plain TIFF "
            "stack."
        )
    planned, averaged = _frames(header)
    num_planes = header.count("acq.numberOfZSlices") or 1
    line_period = header.number("acq.msPerLine")
    z_step = possible_number(header.number("acq.zStepSize"), most=_FARTHEST_UM)
    position = [
        possible_number(header.number(f"motor.abs{axis}Position"), -_FARTHEST_UM, _FARTHEST_UM)
        for axis in "XYZ"
    ]
    return LegacyMetadata(
        path=path,
        version=values.get("software.version", ""),
        channel_names=_channel_names(header),
        num_planes=num_planes,
        frame_rate=check_stated_rate(path, rate / averaged, "state.acq.frameRate"),
        num_averaged=averaged,
        frames_per_slice=planned and max(planned // averaged, 1),
        line_rate=1000 / line_period if line_period else None,
        z_step=z_step * 1e-6 if z_step and num_planes > 1 else None,
        start=_start(values.get("internal.triggerTimeString", "")),
        is_line_scan=any(header.number(f"acq.{name}") == 1 for name in ("linescan", "lineScan"))
        or header.number("acq.scanAngleMultiplierSlow") == 0,
        motor_position=None if None in position else tuple(position),  # type: ignore[arg-type]
    )


class _Values:
    """Typed access to the properties of the header."""

    def __init__(self, path: Path, texts: dict[str, str]) -> None:
        self.path, self.texts = path, texts

    def number(self, name: str) -> float | None:
        """Return a property as a finite number; None for anything else (``[]``, Inf, NaN)."""
        try:
            value = float(self.texts.get(name, ""))
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def count(self, name: str) -> int | None:
        """Return a property as an integer of at least 1; None for anything else."""
        value = self.number(name)
        return int(value) if value is not None and value >= 1 and value.is_integer() else None


def _frames(header: _Values) -> tuple[int | None, int]:
    """Return the number of scanned frames per slice, and of frames averaged into each."""
    planned = header.count("acq.numberOfFrames")
    averaged = header.count("acq.numAvgFramesSave")
    if averaged is not None and averaged > _MOST_AVERAGED:
        raise CorruptSourceError(
            f"'{header.path}' states that {averaged:g} frames were averaged "
            "(state.acq.numAvgFramesSave); read it as a plain TIFF stack."
        )
    if averaged is None:
        # Before version 3.7, ScanImage averaged either all frames of a slice or no frames.
        averaged = planned or 1 if header.number("acq.averaging") == 1 else 1
    return planned, averaged


def _channel_names(header: _Values) -> tuple[str, ...]:
    """Return the saved channels; pages alternate between them in the order of their numbers."""
    numbers = [
        number
        for number in range(1, MAX_CHANNELS + 1)
        if header.number(f"acq.savingChannel{number}") == 1
    ]
    stated = header.count("acq.numberOfChannelsSave")
    if not numbers or (stated is not None and stated != len(numbers)):
        raise CorruptSourceError(
            f"'{header.path}': its header states the saved channels {numbers} "
            f"(state.acq.savingChannel…), but numberOfChannelsSave {stated}; "
            "read it as a plain TIFF stack with num_channels."
        )
    return tuple(f"Channel {number}" for number in numbers)


def _start(text: str) -> datetime | None:
    """Parse a time written by the program or by MATLAB's ``datestr``; None if it is neither."""
    text = text.strip()
    if match := START.match(text):
        month, day, year = int(match[1]), int(match[2]), int(match[3])
    elif (match := DATESTR.match(text)) and match[2].lower() in MONTHS:
        month, day, year = MONTHS.index(match[2].lower()) + 1, int(match[1]), int(match[3])
    elif match := ISO.match(text):
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    else:
        return None
    try:
        whole = datetime(year, month, day, int(match[4]), int(match[5]))
    except ValueError:  # day before month, or a time that does not exist
        return None
    # Rounding to milliseconds may produce 60.000 seconds.
    seconds = float(match[6])
    return whole + timedelta(seconds=seconds) if seconds <= 60 else None
