"""Read ``Experiment.xml``, in which ThorImage states how it recorded."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs

from nwb_ophys.errors import CorruptSourceError, SourceError, SourceNotFoundError

NAME = "Experiment.xml"
_LOCAL_FORMATS = ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


@attrs.frozen(kw_only=True)
class ThorExperiment:
    """What ``Experiment.xml`` states.

    Attributes
    ----------
    path : pathlib.Path
    root : xml.etree.ElementTree.Element
    """

    path: Path
    root: Any

    def text(self, element: str, attribute: str) -> str:
        """Return an attribute of the first element of a name; empty where there is none."""
        found = self.root.find(element)
        return "" if found is None else str(found.get(attribute, "")).strip()

    def number(self, element: str, attribute: str) -> float | None:
        """Return an attribute as a number; None where it is not stated or is none."""
        try:
            number = float(self.text(element, attribute))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def count(self, element: str, attribute: str) -> int:
        """Return an attribute as an integer; 0 where it is not stated or is none."""
        number = self.number(element, attribute)
        return 0 if number is None else int(number)

    def is_on(self, element: str, attribute: str) -> bool:
        """Whether an attribute is stated as on."""
        return self.text(element, attribute).lower() in ("1", "true")

    @property
    def channel_names(self) -> list[str]:
        """Names of the channels that were recorded."""
        waves = self.root.findall("Wavelengths/Wavelength")
        return [wave.get("name") for wave in waves if wave.get("name")]

    @property
    def is_of_camera(self) -> bool:
        """Whether a camera took the images, and no scanner with photomultipliers."""
        return self.is_on("LightPath", "Camera")

    @property
    def is_streaming(self) -> bool:
        """Whether frames were taken without a pause."""
        return self.is_on("Streaming", "enable")

    @property
    def num_planes(self) -> int:
        """Number of planes of a volume: of a fast sweep, or of a stack at each time."""
        steps = max(self.count("ZStage", "steps"), 1)
        if self.is_streaming:
            return steps if self.is_on("Streaming", "zFastEnable") else 1
        return steps if self.is_on("ZStage", "enable") else 1

    @property
    def num_flyback(self) -> int:
        """Number of frames after each volume during which the focus goes back."""
        swept = self.is_streaming and self.num_planes > 1
        return self.count("Streaming", "flybackFrames") if swept else 0

    @property
    def num_frames(self) -> int:
        """Number of frames to record, those of the flyback included; 0 if it is not stated."""
        if self.is_streaming:
            return self.count("Streaming", "frames")
        return self.count("Timelapse", "timepoints") * self.num_planes

    @property
    def frame_rate(self) -> float:
        """Frames per second that are saved, in Hz: of several that are averaged, one is."""
        if self.is_of_camera:
            return self._camera_rate()
        rate = self.number("LSM", "frameRate")
        if rate is None or rate <= 0:
            raise SourceError(f"{self.path} states no frameRate of the LSM; correct it there")
        averaged = self.count("LSM", "averageNum") if self.is_on("LSM", "averageMode") else 1
        return rate / max(averaged, 1)

    def _camera_rate(self) -> float:
        for kind in ("frameRateControl", "OrcaFrameRate"):
            rate = self.number("Camera", f"{kind}Value")
            if self.is_on("Camera", f"{kind}Enabled") and rate:
                return rate
        raise SourceError(
            f"{self.path} is of a camera and states no rate of it; write that into the element "
            'Camera of a copy, as frameRateControlEnabled="1" frameRateControlValue="<Hz>"'
        )

    def sampling_frequency(self, frames_per_sample: int) -> float:
        """Return samples per second in Hz, those of the flyback being among the frames of each."""
        interval = self.number("Timelapse", "intervalSec")
        if not self.is_streaming and interval:
            return 1 / interval
        return self.frame_rate / frames_per_sample

    def start(self) -> datetime | None:
        """Return the start, with the zone that the local and the universal time make up."""
        universal = self.count("Date", "uTime")
        moments = [_parsed(self.text("Date", "date"), form) for form in _LOCAL_FORMATS]
        local = [moment for moment in moments if moment is not None]
        if not universal:
            return local[0] if local else None
        try:
            exact = datetime.fromtimestamp(universal, tz=timezone.utc)
        except (OverflowError, ValueError, OSError):  # no such year
            return local[0] if local else None
        for moment in local:
            shift = (moment - exact.replace(tzinfo=None)) / timedelta(minutes=15)
            # Zones are whole quarters of an hour, from 12 hours behind to 14 ahead.
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
        When it is not there, or breaks off.
    SourceError
        When it is of another program.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"'{path}' does not exist; ThorImage writes it beside the images")
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise CorruptSourceError(
            f"{path} is truncated or damaged: {error}. Copy it again from where it was recorded"
        ) from error
    if root.tag != "ThorImageExperiment":
        raise SourceError(f"{path} is not of ThorImage: its root is <{root.tag}>")
    return ThorExperiment(path=path, root=root)


def _parsed(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None
