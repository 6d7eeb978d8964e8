"""Facts in the attributes of MESc files."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np

from header_facts.places import Hdf5Attribute, only
from header_facts.table import IMPOSSIBLE_NUMBERS, NO_TEXTS, Fact, Table
from nwb_ophys.testing import write_femtonics

FILE = "*.mesc"
UNIT = "MSession_0/MUnit_0"
METRES = {"µm": 1e-6, "μm": 1e-6, "um": 1e-6, "mm": 1e-3, "nm": 1e-9, "m": 1.0}
SECONDS = {"ms": 1e-3, "s": 1.0, "µs": 1e-6, "us": 1e-6}
ANY = (*IMPOSSIBLE_NUMBERS, "wrong")
START = datetime(2024, 5, 17, 12, 3, 21, 250000, timezone.utc)


def _characters(text: str) -> Any:
    return np.frombuffer(f"{text}\0".encode("utf-16-le"), dtype="<i2")


def _read(value: Any) -> str:
    return np.asarray(value).astype("<u2").tobytes().decode("utf-16-le").rstrip("\0")


def _number(name: str) -> Hdf5Attribute:
    return Hdf5Attribute(FILE, UNIT, name, decode=lambda value: np.asarray(value).tolist())


def _text(name: str) -> Hdf5Attribute:
    return Hdf5Attribute(FILE, UNIT, name, _characters, _read)


@attrs.frozen
class Axis:
    """Scale of an axis, and its unit."""

    axis: str

    def get(self, folder: Path) -> Any:
        """Return the scale and the unit."""
        scale = _number(f"{self.axis}AxisConversionConversionLinearScale").get(folder)
        return scale, _text(f"{self.axis}AxisConversionUnitName").get(folder)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the scale, or both."""
        scale, unit = value if isinstance(value, tuple) else (value, None)
        _number(f"{self.axis}AxisConversionConversionLinearScale").put(folder, scale)
        if unit is not None:
            _text(f"{self.axis}AxisConversionUnitName").put(folder, unit)


@attrs.frozen
class Element:
    """One number of an attribute with several."""

    name: str
    index: int

    def get(self, folder: Path) -> Any:
        """Return the number."""
        return _number(self.name).get(folder)[self.index]

    def put(self, folder: Path, value: Any) -> None:
        """Replace the number."""
        values = _number(self.name).get(folder)
        values[self.index] = value
        _number(self.name).put(folder, np.array(values, float) if value is not None else None)


@attrs.frozen
class Parameter:
    """Text after a name in the XML of the measurement's parameters."""

    expression: str

    def _xml(self, folder: Path) -> str:
        with h5py.File(only(folder, FILE), "r") as file:
            return bytes(file[UNIT].attrs["MeasurementParamsXML"]).decode("latin-1")

    def get(self, folder: Path) -> Any:
        """Return the text."""
        match = re.search(self.expression, self._xml(folder))
        return match[1] if match else None

    def put(self, folder: Path, value: Any) -> None:
        """Replace the text."""
        xml = self._xml(folder)
        match = re.search(self.expression, xml)
        assert match
        own = xml[: match.start(1)] + (value or "") + xml[match.end(1) :]
        with h5py.File(only(folder, FILE), "r+") as file:
            file[UNIT].attrs["MeasurementParamsXML"] = np.bytes_(own.encode("latin-1"))


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    path = write_femtonics(folder / "s.mesc", recording.movie, comment="Gratings.", start=START)
    _text("ExperimenterUsername").put(folder, "Doe, Jane")
    return {"file_path": path}


def _length(value: Any) -> float:
    return abs(value[0]) * METRES[value[1]]


FACTS = (
    Fact(header="ZAxisConversion", at=Axis("Z"), file="Series.rate",
         possible=((50.0, "ms"), (0.05, "s"), (50000.0, "µs"), (40000.0, "us")),
         meant=lambda value: 1 / (value[0] * SECONDS[value[1]]), impossible=ANY),
    Fact(header="ZAxisConversion", at=Axis("Z"), file="ImagingPlane.imaging_rate",
         possible=((50.0, "ms"),), meant=lambda value: 1 / (value[0] * SECONDS[value[1]]),
         impossible=(1e-300,)),
    Fact(header="MeasurementDatePosix", at=_number("MeasurementDatePosix"),
         file="NWBFile.session_start_time", possible=(1600000000,),
         meant=lambda value: datetime.fromtimestamp(value + 0.25, timezone.utc), impossible=ANY),
    Fact(header="MeasurementDateNanoSecs", at=_number("MeasurementDateNanoSecs"),
         file="NWBFile.session_start_time", possible=(500_000_000,),
         meant=lambda value: START.replace(microsecond=0) + timedelta(microseconds=value / 1000),
         impossible=()),
    *(
        Fact(header=f"{axis}AxisConversion", at=Axis(axis), file=f"ImagingPlane.grid_spacing.{n}",
             possible=((0.75, "µm"), (0.75, "μm"), (0.75, "um"), (0.00075, "mm"), (750.0, "nm"),
                       (7.5e-7, "m"), (-0.75, "µm")),
             meant=_length, impossible=(0.0, float("nan"), float("inf"), 1e300, None, "wrong",
                                        (0.75, "pixel"), (0.75, "")))
        for n, axis in enumerate("XY")
    ),
    *(
        Fact(header="GeomTransTransl", at=Element("GeomTransTransl", n),
             file=f"ImagingPlane.origin_coords.{n}", possible=(12.5, 0.0),
             meant=lambda value: value * 1e-6,
             impossible=(float("nan"), float("inf"), 1e300, None))
        for n in range(3)
    ),
    Fact(header="ConversionLinearScale", at=_number("Channel_0_Conversion_ConversionLinearScale"),
         file="Series.conversion", possible=(-2.5, 0.5),
         impossible=(0.0, float("nan"), float("inf"), None)),
    Fact(header="ConversionLinearOffset",
         at=_number("Channel_0_Conversion_ConversionLinearOffset"), file="Series.offset",
         possible=(100.5, -3.0), impossible=(float("nan"), float("inf"), None)),
    Fact(header="Conversion_UnitName", at=_text("Channel_0_Conversion_UnitName"),
         file="Series.unit", possible=("V",), meant=str, impossible=()),
    Fact(header="Channel_0_Name", at=_text("Channel_0_Name"), file="OpticalChannel.name",
         possible=("UR",), meant=str, impossible=(), alone=True),
    Fact(header="reference_voltage",
         at=Parameter(r'name="reference_voltage" value="([^"]*)"'),
         file="OpticalChannel.description", possible=("70.5",),
         meant=lambda text: f"PMT: {float(text):g}.", within=True,
         impossible=("0", "-3", "nan", "inf", "1e300", "wrong", "")),
    Fact(header="Comment", at=_text("Comment"), file="Series.comments", possible=("Maze.",),
         meant=str, impossible=NO_TEXTS),
    Fact(header="ExperimenterUsername", at=_text("ExperimenterUsername"),
         file="NWBFile.experimenter.0", possible=("Roe, Ann",), meant=str, impossible=NO_TEXTS),
    Fact(header="ExperimenterSetupID", at=_text("ExperimenterSetupID"), file="Device.description",
         possible=("SN77",), meant=lambda text: f"setup {text}", within=True,
         impossible=NO_TEXTS),
    Fact(header="CreatingMEScVersion", at=_text("CreatingMEScVersion"),
         file="Device.description", possible=("MESc 4.0",), meant=str, within=True,
         impossible=NO_TEXTS),
    Fact(header="SpaceName", at=_text("SpaceName"), file="ImagingPlane.reference_frame",
         possible=("space2",), meant=str, within=True, impossible=NO_TEXTS),
)  # fmt: skip

TABLES = (Table(format="femtonics", facts=FACTS, sample=_sample),)
