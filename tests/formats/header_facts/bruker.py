"""Facts in the XML file of Prairie View."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from header_facts.places import XmlAttribute
from header_facts.table import IMPOSSIBLE_DATES, NO_TEXTS, Fact, Table, inverse, micrometres
from nwb_ophys.testing import write_bruker

FILE = "r/r.xml"


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    return {"folder_path": write_bruker(folder / "r", recording.movie.astype("uint16"))}


def _untimed(folder: Path, recording: Any) -> dict[str, Any]:
    source = _sample(folder, recording)
    for name in ("absoluteTime", "relativeTime"):
        XmlAttribute(FILE, ".//Frame", name, everywhere=True).put(folder, None)
    XmlAttribute(FILE, ".", "notes").put(folder, "A mouse looks at gratings.")
    return source


def _setting(key: str, index: str | None = None) -> XmlAttribute:
    inner = "" if index is None else f"/IndexedValue[@index='{index}']"
    return XmlAttribute(FILE, f".//PVStateValue[@key='{key}']{inner}", "value")


def _position(axis: str) -> XmlAttribute:
    where = f".//PVStateValue[@key='positionCurrent']/SubindexedValues[@index='{axis}']"
    return XmlAttribute(FILE, f"{where}/SubindexedValue", "value", everywhere=True)


def _date(text: str) -> datetime:
    return datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p")


def _comment(header: str, words: str, value: str) -> Fact:
    return Fact(
        header=header,
        at=_setting(header),
        file="Series.comments",
        possible=(value,),
        meant=lambda text: f"{words} {text}",
        within=True,
    )


FACTS = (
    Fact(header="framePeriod", at=_setting("framePeriod"), file="Series.rate",
         possible=("0.05", "1E-01"), meant=inverse),
    Fact(header="framePeriod", at=_setting("framePeriod"), file="ImagingPlane.imaging_rate",
         possible=("0.05",), meant=inverse),
    Fact(header="rastersPerFrame", at=_setting("rastersPerFrame"), file="Series.rate",
         possible=("2", "4"), meant=lambda text: 30 / float(text), elsewhere=True),
    Fact(header="date", at=XmlAttribute(FILE, ".", "date"), file="NWBFile.session_start_time",
         possible=("5/18/2024 2:03:22 AM",), meant=_date, impossible=IMPOSSIBLE_DATES),
    Fact(header="notes", at=XmlAttribute(FILE, ".", "notes"), file="NWBFile.notes",
         possible=("Another mouse.",), meant=str, impossible=NO_TEXTS),
    Fact(header="scanLinePeriod", at=_setting("scanLinePeriod"), file="Series.scan_line_rate",
         possible=("1.25E-04", "0.001"), meant=inverse),
    Fact(header="pmtGain", at=_setting("pmtGain", "1"), file="Series.pmt_gain",
         possible=("650.5", "12")),
    Fact(header="laserWavelength", at=_setting("laserWavelength", "0"),
         file="ImagingPlane.excitation_lambda", possible=("1040", "780.5", "9.2E2")),
    *(
        Fact(header="micronsPerPixel", at=_setting("micronsPerPixel", f"{axis}Axis"),
             file=f"ImagingPlane.grid_spacing.{number}", possible=("0.75", "2E0"),
             meant=micrometres)
        for number, axis in enumerate("XY")
    ),
    *(
        Fact(header="positionCurrent", at=_position(f"{axis}Axis"),
             file=f"ImagingPlane.origin_coords.{number}", possible=("-20.25", "0"),
             impossible=("nan", "inf", "1e300", "wrong", "", None), meant=micrometres)
        for number, axis in enumerate("XYZ")
    ),
    Fact(header="description", at=XmlAttribute(
            FILE, ".//SubindexedValues[@index='ZAxis']/SubindexedValue", "description",
            everywhere=True),
         file="ImagingPlane.description", possible=("Bruker Piezo",), meant=str, within=True,
         impossible=NO_TEXTS),
    Fact(header="channelName", at=XmlAttribute(FILE, ".//File", "channelName", everywhere=True),
         file="OpticalChannel.name", possible=("Green",), meant=str, impossible=()),
    Fact(header="version", at=XmlAttribute(FILE, ".", "version"), file="Device.description",
         possible=("5.4.64.100",), meant=str, within=True, impossible=()),
    Fact(header="objectiveLens", at=_setting("objectiveLens"), file="Device.description",
         possible=("Olympus 20x",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="objectiveLensMag", at=_setting("objectiveLensMag"), file="Device.description",
         possible=("20",), meant=lambda text: f"({text}x,", within=True),
    Fact(header="objectiveLensNA", at=_setting("objectiveLensNA"), file="Device.description",
         possible=("1.05",), meant=lambda text: f"NA {text}", within=True),
    Fact(header="activeMode", at=_setting("activeMode"), file="Device.description",
         possible=("Galvo",), meant=str, within=True, impossible=NO_TEXTS),
    _comment("opticalZoom", "optical zoom", "3.5"),
    _comment("bitDepth", "bit depth", "12"),
    _comment("dwellTime", "dwell time", "1.2"),
    Fact(header="laserPower", at=_setting("laserPower", "0"), file="Series.comments",
         possible=("100.5",), meant=lambda text: f"laser power (0: {text})", within=True,
         impossible=()),
)  # fmt: skip


def _times(name: str, other: str) -> Any:
    def sample(folder: Path, recording: Any) -> dict[str, Any]:
        source = _sample(folder, recording)
        XmlAttribute(FILE, ".//Frame", other, everywhere=True).put(folder, None)
        return source

    return sample


TABLES = (
    Table(format="bruker", facts=FACTS, sample=_untimed, constant=("OpticalChannel.description",)),
    *(
        Table(
            format="bruker",
            variant=name,
            sample=_times(name, other),
            facts=(
                Fact(
                    header=name,
                    at=XmlAttribute(FILE, ".//Frame[@index='6']", name),
                    file="Series.time.5",
                    possible=("6.9", "7.5"),
                    meant=lambda text, zero=zero: float(text) - zero,
                    elsewhere=True,
                ),
            ),
        )
        for name, other, zero in (
            ("absoluteTime", "relativeTime", 6.71),
            ("relativeTime", "absoluteTime", 0.0),
        )
    ),
)
