"""Facts in the headers of ScanImage 3.8."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from header_facts.places import TextLine, read_description, write_descriptions
from header_facts.table import IMPOSSIBLE_DATES, IMPOSSIBLE_TEXTS, Fact, Table

FILE = "old.tif"


def _at(name: str) -> TextLine:
    expression = rf"(?P<before>state\.{re.escape(name)}=)(?P<value>[^\r\n]*)"
    return TextLine(FILE, expression, read_description, write_descriptions)


def _date(text: str) -> datetime:
    return datetime.strptime(text.strip("'"), "%m/%d/%Y %H:%M:%S.%f")


def _quoted(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(None if value is None else f"'{value}'" for value in values)


FACTS = (
    Fact(header="frameRate", at=_at("acq.frameRate"), file="Series.rate",
         possible=("12.5", "3.1e1")),
    Fact(header="frameRate", at=_at("acq.frameRate"), file="ImagingPlane.imaging_rate",
         possible=("12.5",)),
    Fact(header="numAvgFramesSave", at=_at("acq.numAvgFramesSave"), file="Series.rate",
         possible=("2", "3"), meant=lambda text: 30 / float(text), impossible=("1e300",)),
    Fact(header="triggerTimeString", at=_at("internal.triggerTimeString"),
         file="NWBFile.session_start_time", possible=("'5/18/2018 2:03:22.500'",), meant=_date,
         impossible=_quoted(IMPOSSIBLE_DATES)),
    Fact(header="msPerLine", at=_at("acq.msPerLine"), file="Series.scan_line_rate",
         possible=("0.5", "2"), meant=lambda text: 1000 / float(text)),
    Fact(header="absXPosition", at=_at("motor.absXPosition"), file="ImagingPlane.description",
         possible=("-12.5",), meant=lambda text: f"x {text},", within=True,
         impossible=IMPOSSIBLE_TEXTS[2:]),
    Fact(header="version", at=_at("software.version"), file="Device.description",
         possible=("3.7",), meant=lambda text: f"ScanImage {text}.", within=True, impossible=()),
)  # fmt: skip

VOLUME = (
    Fact(
        header="zStepSize",
        at=_at("acq.zStepSize"),
        file="ImagingPlane.description",
        possible=("7.5",),
        meant=lambda text: f"{text} µm apart",
        within=True,
    ),
)


def _volume(folder: Path, recording: Any) -> dict[str, Any]:
    from nwb_ophys.testing import write_scanimage_legacy

    movie = recording.movie.astype("uint16").reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    return {"file_path": write_scanimage_legacy(folder / FILE, movie)}


TABLES = (
    Table(format="scanimage-legacy", facts=FACTS, constant=("OpticalChannel.name",)),
    Table(format="scanimage-legacy", variant="volume", facts=VOLUME, sample=_volume),
)
