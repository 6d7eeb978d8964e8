"""Read ``Experiment.xml``, the settings of a ThorImage recording."""

from __future__ import annotations

import math
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError, SourceNotFoundError, counted
from nwb_ophys.extractors.ranges import check_stated_rate
from nwb_ophys.filetypes.xml import parse_xml, read_xml
from nwb_ophys.metadata import is_unset_clock

NAME = "Experiment.xml"
_LOCAL_FORMATS = ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")
_MOST_AVERAGED = 100_000
_MOST_BINNED = 64
_SIDES = ("Width", "Height")
# Extents and sizes of pixels that differ by less are the same, as both are rounded.
_NEAR = 0.02
TIMING = "timing.txt"
# Values of areaMode: the second galvanometer rests, so rows are times at one line.
_LINES = {"2": "a kymograph", "3": "a line scan", "4": "a scan along drawn lines"}


@attrs.frozen(kw_only=True)
class ThorExperiment:
    """Content of ``Experiment.xml``.

    Attributes
    ----------
    path : pathlib.Path
    root : xml.etree.ElementTree.Element
    """

    path: Path
    root: Any

    def text(self, element: str, attribute: str) -> str:
        """Return an attribute of the first element of this name; empty if there is none."""
        found = self.root.find(element)
        return "" if found is None else str(found.get(attribute, "")).strip()

    def number(self, element: str, attribute: str) -> float | None:
        """Return an attribute as a number; None if it is missing or not a finite number."""
        try:
            number = float(self.text(element, attribute))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def count(self, element: str, attribute: str) -> int:
        """Return an attribute as an integer; 0 if it is missing or not a number."""
        number = self.number(element, attribute)
        return 0 if number is None else int(number)

    def is_on(self, element: str, attribute: str) -> bool:
        """Return whether an attribute is switched on."""
        return self.text(element, attribute).lower() in ("1", "true")

    @property
    def channel_names(self) -> list[str]:
        """Names of the recorded channels."""
        waves = self.root.findall("Wavelengths/Wavelength")
        return [wave.get("name") for wave in waves if wave.get("name")]

    @property
    def is_of_camera(self) -> bool:
        """Return whether a camera took the images, not a scanner with photomultipliers."""
        return self.is_on("LightPath", "Camera")

    @property
    def is_streaming(self) -> bool:
        """Return whether frames were taken without pauses."""
        return self.is_on("Streaming", "enable")

    @property
    def num_planes(self) -> int:
        """Number of planes of a volume: a fast sweep, or a stack at each time."""
        steps = max(self.count("ZStage", "steps"), 1)
        if self.is_streaming:
            return steps if self.is_on("Streaming", "zFastEnable") else 1
        return steps if self.is_on("ZStage", "enable") else 1

    @property
    def num_flyback(self) -> int:
        """Number of frames after each volume while the focus moves back."""
        swept = self.is_streaming and self.num_planes > 1
        return self.count("Streaming", "flybackFrames") if swept else 0

    @property
    def num_frames(self) -> int:
        """Number of frames to record, including flyback frames; 0 if not stated."""
        if self.is_streaming:
            return self.count("Streaming", "frames")
        return self.count("Timelapse", "timepoints") * self.num_planes

    @property
    def frame_rate(self) -> float:
        """Saved frames per second in Hz; frames that are averaged count as one."""
        if self.is_of_camera:
            return self._camera_rate()
        rate = self.number("LSM", "frameRate")
        if rate is None or rate <= 0:
            raise SourceError(f"'{self.path}' states no frameRate of the LSM; add it there.")
        return check_stated_rate(self.path, rate / self._averaged, "frameRate")

    @property
    def is_averaged(self) -> bool:
        """Return whether frames were averaged; they are not during a fast sweep."""
        is_sweep = self.is_streaming and self.is_on("Streaming", "zFastEnable")
        return self.is_on(self._detector, "averageMode") and not is_sweep

    @property
    def _detector(self) -> str:
        return "Camera" if self.is_of_camera else "LSM"

    @property
    def _averaged(self) -> float:
        """Number of scanned frames in a saved one."""
        if not self.is_averaged:
            return 1
        averaged = self.number(self._detector, "averageNum")
        if averaged is None or not 1 <= averaged <= _MOST_AVERAGED:
            raise SourceError(
                f"'{self.path}' states that frames were averaged (averageMode), but averageNum = "
                f"{self.text(self._detector, 'averageNum')!r}; it must be a number of at least 1. "
                "Correct it in a copy of the file."
            )
        return averaged

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the images of the camera or the scanner; 0 where not stated."""
        if self.is_of_camera:
            return self.count("Camera", "height"), self.count("Camera", "width")
        return self.count("LSM", "pixelY"), self.count("LSM", "pixelX")

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Width and height of a pixel of the images in um; None if they are not stated."""
        width, height = (self.number(self._detector, f"pixel{side}UM") for side in _SIDES)
        if width and height:
            return width, height
        size = self.number(self._detector, "pixelSizeUM")
        if not size:
            return None
        # A camera's pixels are stated as those of its sensor, by the magnification.
        if self.is_of_camera:
            bins = [self.count("Camera", f"binning{axis}") or 1 for axis in "XY"]
            are_possible = all(1 <= each <= _MOST_BINNED for each in bins)
            return (size * bins[0], size * bins[1]) if are_possible else None
        return size, self._row_height(size)

    def _row_height(self, width: float) -> float:
        """Return the height of a row in um, which differs where the field is stretched along y."""
        extents = [self.number("LSM", f"{side.lower()}UM") for side in _SIDES]
        pixels = [self.count("LSM", f"pixel{axis}") for axis in "XY"]
        if not all(um and um > 0 for um in extents) or min(pixels) < 1:
            return width
        across, along = (um / n for um, n in zip(extents, pixels, strict=True))  # type: ignore[operator]
        is_of_frame = abs(across / width - 1) < _NEAR
        return along if is_of_frame and abs(along / width - 1) >= _NEAR else width

    def check(self) -> None:
        """Warn of a line scan, and of frames that were not averaged although this is stated."""
        lines = _LINES.get("" if self.is_of_camera else self.text("LSM", "areaMode"))
        if lines:
            warnings.warn(
                f"'{self.path}' states {lines} (areaMode): rows of its frames are then times at "
                "one line, not places. They are written as frames; check them.",
                UserWarning,
                stacklevel=3,
            )
        number = self.number(self._detector, "averageNum")
        if self.is_on(self._detector, "averageMode") and not self.is_averaged and number != 1:
            warnings.warn(
                f"'{self.path}' states that frames were averaged (averageMode) during a fast sweep "
                "(zFastEnable), which ThorImage does not do; the rate is that of all frames. If "
                f"they were averaged, divide it by {self.text(self._detector, 'averageNum')}.",
                UserWarning,
                stacklevel=3,
            )

    def _camera_rate(self) -> float:
        for kind in ("frameRateControl", "OrcaFrameRate"):
            rate = self.number("Camera", f"{kind}Value")
            if self.is_on("Camera", f"{kind}Enabled") and rate:
                return check_stated_rate(self.path, rate / self._averaged, f"{kind}Value")
        raise SourceError(
            f"'{self.path}' states no frame rate of the camera; add it to the element Camera in a "
            'copy of the file, as frameRateControlEnabled="1" frameRateControlValue="<Hz>".'
        )

    def sampling_frequency(self, frames_per_sample: int) -> float:
        """Return samples per second in Hz; ``frames_per_sample`` includes flyback frames.

        A UserWarning says so where single images or stacks follow each other as fast as they can:
        then the pauses between them are not stated.
        """
        interval = None if self.is_streaming else self.number("Timelapse", "intervalSec")
        if interval:
            stated = check_stated_rate(self.path, 1 / interval, "intervalSec")
            try:
                fastest = self.frame_rate / frames_per_sample
            except SourceError:  # no rate of frames is needed beside an interval
                return stated
            if stated <= fastest * (1 + _NEAR):
                return stated
        rate = self.frame_rate / frames_per_sample
        if not self.is_streaming and self.count("Timelapse", "timepoints") > 1:
            warnings.warn(
                f"'{self.path}' states an interval of {interval or 0:g} s (intervalSec), but a "
                f"time of {counted(frames_per_sample, 'frame')} takes {1 / rate:.4g} s. The rate "
                f"is written as {rate:.4g} Hz, without the pauses between the times, which are "
                "not stated; give measured times as times= (on the command line --times) if you "
                "have them.",
                UserWarning,
                stacklevel=4,
            )
        return rate

    def start(self) -> datetime | None:
        """Return the start, with the time zone that follows from the local and universal time."""
        universal = self.count("Date", "uTime")
        parsed = [_parse_datetime(self.text("Date", "date"), form) for form in _LOCAL_FORMATS]
        local = [start for start in parsed if start is not None]
        if universal <= 0:
            return local[0] if local else None
        try:
            exact = datetime.fromtimestamp(universal, tz=timezone.utc)
        except (OverflowError, ValueError, OSError):  # no such year
            return local[0] if local else None
        if is_unset_clock(exact) and local:
            return local[0]
        for start in local:
            shift = (start - exact.replace(tzinfo=None)) / timedelta(minutes=15)
            # Time zones are multiples of 15 minutes, from 12 hours behind to 14 hours ahead.
            if abs(shift - round(shift)) < 0.05 and -48 <= shift <= 56:
                return exact.astimezone(timezone(round(shift) * timedelta(minutes=15)))
        return exact


def read_experiment(path: Path) -> ThorExperiment:
    """Read ``Experiment.xml``.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        When it does not exist, or is truncated.
    SourceError
        When another program wrote it.
    """
    if not path.is_file():
        raise SourceNotFoundError(
            f"'{path}' does not exist; ThorImage writes it next to the images. Copy it there."
        )
    root = read_xml(path, parse_xml)
    if root.tag != "ThorImageExperiment":
        raise SourceError(
            f"'{path}' is not a file of ThorImage: its root is <{root.tag}>, not "
            "<ThorImageExperiment>. Give the folder of a ThorImage recording."
        )
    return ThorExperiment(path=path, root=root)


def _parse_datetime(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None
