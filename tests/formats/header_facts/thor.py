"""Facts in ThorImage's Experiment.xml."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from header_facts.places import XmlAttribute
from header_facts.table import (
    IMPOSSIBLE_DATES,
    IMPOSSIBLE_TEXTS,
    NO_TEXTS,
    Fact,
    Table,
    inverse,
    micrometres,
)
from nwb_ophys.testing import write_thor

FILE = "r/Experiment.xml"


def _at(element: str, attribute: str) -> XmlAttribute:
    return XmlAttribute(FILE, element, attribute)


def _camera(folder: Path, recording: Any) -> dict[str, Any]:
    changes = {
        "LightPath": {"GalvoResonance": 0, "Camera": 1},
        "Camera": {"name": "Orca", "frameRateControlEnabled": 1, "frameRateControlValue": 30,
                   "pixelSizeUM": 0.5, "exposureTimeMS": 20, "binningX": 2, "binningY": 2},
    }  # fmt: skip
    movie = recording.movie.astype("uint16")
    return {"folder_path": _with_camera(write_thor(folder / "r", movie, changes=changes), changes)}


def _with_camera(folder: Path, changes: Any) -> Path:
    """Add the element Camera, which the sample of a scanner lacks."""
    path = folder / "Experiment.xml"
    texts = " ".join(f'{key}="{value}"' for key, value in changes["Camera"].items())
    path.write_text(path.read_text().replace("<LSM ", f"<Camera {texts} /><LSM "))
    return folder


def _volume(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.astype("uint16").reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    return {"folder_path": write_thor(folder / "r", movie, is_streaming=False,
                                      changes={"Timelapse": {"intervalSec": 0.5}})}  # fmt: skip


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    return {"folder_path": write_thor(folder / "r", recording.movie.astype("uint16"))}


def _averaged(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.astype("uint16")
    return {"folder_path": write_thor(folder / "r", movie, num_averaged=2)}


def _universal(text: str) -> datetime:
    return datetime.fromtimestamp(int(text), tz=timezone.utc)


SCANNER = (
    Fact(header="frameRate", at=_at("LSM", "frameRate"), file="Series.rate",
         possible=("12.5", "3.1E1")),
    Fact(header="frameRate", at=_at("LSM", "frameRate"), file="ImagingPlane.imaging_rate",
         possible=("45",)),
    Fact(header="uTime", at=_at("Date", "uTime"), file="NWBFile.session_start_time",
         possible=("1715951001", "1715947402"), meant=_universal, impossible=()),
    Fact(header="pixelSizeUM", at=_at("LSM", "pixelSizeUM"), file="ImagingPlane.grid_spacing.0",
         possible=("0.75", "2E0"), meant=micrometres),
    Fact(header="pixelSizeUM", at=_at("LSM", "pixelSizeUM"), file="ImagingPlane.grid_spacing.1",
         possible=("0.75",), meant=micrometres),
    Fact(header="gainA", at=_at("PMT", "gainA"), file="Series.pmt_gain", possible=("65.5", "12")),
    Fact(header="MultiPhotonLaser pos", at=_at("MultiPhotonLaser", "pos"),
         file="ImagingPlane.excitation_lambda", possible=("1040", "780.5")),
    Fact(header="text", at=_at("ExperimentNotes", "text"), file="NWBFile.notes",
         possible=("Another mouse.",), meant=str, impossible=NO_TEXTS),
    Fact(header="startPos", at=_at("ZStage", "startPos"), file="ImagingPlane.description",
         possible=("0.75",), meant=lambda text: f"at {text} mm", within=True,
         impossible=("nan", "inf", "1e300", "wrong", "", None)),
    Fact(header="Software", at=_at("Software", "version"), file="Device.description",
         possible=("4.3",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="Modality", at=_at("Modality", "name"), file="Device.description",
         possible=("Confocal",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="LSM name", at=_at("LSM", "name"), file="Device.description",
         possible=("GalvoGalvo",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="Magnification name", at=_at("Magnification", "name"), file="Device.description",
         possible=("Olympus",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="mag", at=_at("Magnification", "mag"), file="Device.description",
         possible=("20",), meant=lambda text: f"({text}x)", within=True),
    Fact(header="dwellTime", at=_at("LSM", "dwellTime"), file="Series.comments",
         possible=("0.2",), meant=lambda text: f"dwell time {text} us", within=True),
    Fact(header="Pockels start", at=_at("Pockels", "start"), file="Series.comments",
         possible=("12.5",), meant=lambda text: f"power {text} %", within=True,
         impossible=("-3", "nan", "inf", "1e300", "wrong", "", None)),
)  # fmt: skip

CAMERA = (
    Fact(header="frameRate", at=_at("Camera", "frameRateControlValue"), file="Series.rate",
         possible=("12.5",)),
    Fact(header="pixelSizeUM", at=_at("Camera", "pixelSizeUM"),
         file="ImagingPlane.grid_spacing.0", possible=("0.75",),
         meant=lambda text: 2 * micrometres(text)),  # the stated binning
    Fact(header="exposureTimeMS", at=_at("Camera", "exposureTimeMS"), file="Series.exposure_time",
         possible=("12.5", "1"), meant=lambda text: float(text) / 1000),
    Fact(header="binning", at=_at("Camera", "binningX"), file="Series.binning", possible=()),
    Fact(header="Camera name", at=_at("Camera", "name"), file="Device.description",
         possible=("Andor",), meant=str, within=True, impossible=NO_TEXTS),
)  # fmt: skip

VOLUME = (
    Fact(header="intervalSec", at=_at("Timelapse", "intervalSec"), file="Series.rate",
         possible=("0.25", "2"), meant=inverse, impossible=("-3", "1e300")),
    Fact(header="stepSizeUM", at=_at("ZStage", "stepSizeUM"), file="ImagingPlane.grid_spacing.2",
         possible=("7.5", "2"), meant=micrometres,
         impossible=("0", "nan", "inf", "1e300", "wrong", "", None)),
    Fact(header="stepSizeUM", at=_at("ZStage", "stepSizeUM"), file="ImagingPlane.description",
         possible=("7.5",), meant=lambda text: f"2 planes {text} um apart", within=True,
         impossible=("nan", "inf", "1e300", "wrong", "", None)),
)  # fmt: skip

AVERAGED = (
    Fact(header="averageNum", at=_at("LSM", "averageNum"), file="Series.rate",
         possible=("4", "3"), meant=lambda text: 60 / float(text),
         impossible=IMPOSSIBLE_TEXTS),
    Fact(header="averageNum", at=_at("LSM", "averageNum"), file="Series.comments",
         possible=("4",), meant=lambda text: f"frames averaged {text}", within=True),
)  # fmt: skip

UNIVERSAL = (
    Fact(header="uTime", at=_at("Date", "uTime"), file="NWBFile.session_start_time",
         possible=("1715951001",), meant=_universal),
)  # fmt: skip

DATE = (
    Fact(header="date", at=_at("Date", "date"), file="NWBFile.session_start_time",
         possible=("05/18/2024 14:03:21",),
         meant=lambda text: datetime.strptime(text, "%m/%d/%Y %H:%M:%S"),
         impossible=IMPOSSIBLE_DATES),
)  # fmt: skip


def _dated(folder: Path, recording: Any) -> dict[str, Any]:
    source = _sample(folder, recording)
    _at("Date", "uTime").put(folder, None)
    return source


def _universal_only(folder: Path, recording: Any) -> dict[str, Any]:
    source = _sample(folder, recording)
    _at("Date", "date").put(folder, None)
    return source


TABLES = (
    Table(
        format="thor",
        facts=SCANNER,
        sample=_sample,
        constant=("OpticalChannel.name",),
    ),
    Table(format="thor", variant="camera", facts=CAMERA, sample=_camera),
    Table(format="thor", variant="volume", facts=VOLUME, sample=_volume),
    Table(format="thor", variant="averaged", facts=AVERAGED, sample=_averaged),
    Table(format="thor", variant="date", facts=DATE, sample=_dated),
    Table(format="thor", variant="universal time", facts=UNIVERSAL, sample=_universal_only),
)
