"""Facts in the headers of ScanImage 4 and later."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from header_facts.places import (
    PageText,
    ScanImageProperty,
    TextLine,
    read_description,
    write_descriptions,
)
from header_facts.table import Fact, Table, inverse
from nwb_ophys.testing import write_scanimage, write_scanimage_old

FILE = "s.tif"
IMPOSSIBLE = ("0", "-3", "NaN", "Inf", "1e300", "'wrong'", "[]", "wrong", None)
CORNERS = "[-1 -2;1 -2;1 2;-1 2]"


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie
    (path,) = write_scanimage(folder / FILE, movie, pmt_gains=(0.5, 0.7), average_factor=2)
    return {"file_path": path}


def _volume(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    (path,) = write_scanimage(folder / FILE, movie)
    return {"file_path": path}


def _old(folder: Path, recording: Any, version: str) -> dict[str, Any]:
    return {"file_path": write_scanimage_old(folder / FILE, recording.movie, version=version)}


def _at(name: str) -> ScanImageProperty:
    return ScanImageProperty(FILE, name)


def _line(name: str) -> TextLine:
    expression = rf"(?P<before>^scanimage\.SI4\.{name} = )(?P<value>.*)$"
    return TextLine(FILE, expression, read_description, write_descriptions)


def _epoch(text: str) -> datetime:
    *whole, seconds = (float(part) for part in text.strip("[]").split())
    return datetime(*map(int, whole)) + timedelta(seconds=seconds)


def _clock(text: str) -> datetime:
    return datetime.strptime(text.strip("'"), "%d-%m-%Y %H:%M:%S.%f")


def _first_gain(text: str) -> float:
    return float(text.strip("[]").split()[0].split(";")[0])


def _pixel(axis: int, pixels: int) -> Any:
    """Return the function from the corners of the field to the size of a pixel."""

    def size(text: str) -> float:
        numbers = [float(part) for row in text.strip("[]").split(";") for part in row.split()]
        return (max(numbers[axis::2]) - min(numbers[axis::2])) / pixels * 1e-6

    return size


FACTS = (
    Fact(header="scanFrameRate", at=_at("hRoiManager.scanFrameRate"),
         file="ImagingPlane.imaging_rate", possible=("45.5",), elsewhere=True,
         meant=lambda text: float(text) / 2, impossible=IMPOSSIBLE),
    Fact(header="logAverageFactor", at=_at("hScan2D.logAverageFactor"),
         file="ImagingPlane.imaging_rate", possible=("1", "3"), impossible=(),
         meant=lambda text: 60 / float(text)),
    Fact(header="frameTimestamps", at=PageText(FILE, 5, "frameTimestamps_sec"),
         file="Series.time.5", possible=("0.172000000", "0.5"),
         impossible=("0", "-3", "nan", "1e300", "wrong", "", None)),
    Fact(header="epoch", at=PageText(FILE, 0, "epoch"), file="NWBFile.session_start_time",
         possible=("[2023  4  5  6  7 8.250]",), meant=_epoch,
         impossible=("[0 0 0 0 0 0]", "[nan nan nan 0 0 0]", "[2024 13 40 25 61 99]", "[]",
                     "[1e300 1 1 1 1 1]", "[2024 1 1 1 1 1e300]", "[a b c d e f]", None)),
    Fact(header="linePeriod", at=_at("hRoiManager.linePeriod"), file="Series.scan_line_rate",
         possible=("6.25e-05",), meant=inverse, impossible=IMPOSSIBLE),
    Fact(header="gains", at=_at("hPmts.gains"), file="Series.pmt_gain",
         possible=("[0.625 0.7]", "[12 3]"), meant=_first_gain,
         impossible=("[0 0]", "[-3 1]", "[NaN 1]", "[Inf 1]", "[1e300 1]", "'wrong'", "[]", None)),
    *(
        Fact(header="imagingFovUm", at=_at("hRoiManager.imagingFovUm"),
             file=f"ImagingPlane.grid_spacing.{axis}", possible=(CORNERS,),
             meant=_pixel(axis, pixels),
             impossible=("[]", "[0 0;0 0;0 0;0 0]", "[NaN NaN;1 -2;1 2;-1 2]", "'wrong'",
                         "[-1e300 -1e300;1 -2;1 2;-1 2]", None))
        for axis, pixels in ((0, 34), (1, 24))
    ),
    Fact(header="channelName", at=_at("hChannels.channelName"), file="OpticalChannel.name",
         possible=("{'Green';'B';'C';'D'}",), meant=lambda text: text.strip("{'").split("'")[0]
         .replace(" ", ""), impossible=()),
    Fact(header="VERSION_MAJOR", at=_at("VERSION_MAJOR"), file="Device.description",
         possible=("2023",), meant=str, within=True, impossible=()),
    Fact(header="logAverageFactor", at=_at("hScan2D.logAverageFactor"), file="Series.comments",
         possible=("3",), meant=lambda text: f"average of {text} frames", within=True,
         impossible=(), alone=True),
)  # fmt: skip

VOLUME = (
    Fact(header="scanVolumeRate", at=_at("hRoiManager.scanVolumeRate"),
         file="ImagingPlane.imaging_rate", possible=("45.5",), impossible=IMPOSSIBLE,
         elsewhere=True),
    Fact(header="zs", at=_at("hStackManager.zs"), file="ImagingPlane.grid_spacing.2",
         possible=("[0 25]", "[5 0]"), meant=lambda text: abs(
             float(text.strip("[]").split()[1]) - float(text.strip("[]").split()[0])) * 1e-6,
         impossible=("[0 0]", "[NaN 1]", "[0 Inf]", "[0 1e300]", "'wrong'", "[]", None)),
    Fact(header="zs", at=_at("hStackManager.zs"), file="ImagingPlane.description",
         possible=("[0 25]",), meant=lambda text: text.strip("[]").split()[1], within=True,
         impossible=("[0 1e300]", "[NaN 1]")),
)  # fmt: skip

OLD = (
    Fact(header="scanFrameRate", at=_line("scanFrameRate"), file="Series.rate",
         possible=("45.5",), impossible=IMPOSSIBLE, elsewhere=True),
    Fact(header="scanFrameRate", at=_line("scanFrameRate"), file="ImagingPlane.imaging_rate",
         possible=("45.5",), impossible=()),
    Fact(header="triggerClockTimeFirst", at=_line("triggerClockTimeFirst"),
         file="NWBFile.session_start_time", possible=("'04-05-2016 06:07:08.250'",), meant=_clock,
         impossible=("'99-99-2016 06:07:08.250'", "'wrong'", "''", "[]", None)),
)  # fmt: skip

TABLES = (
    Table(format="scanimage", facts=FACTS, sample=_sample),
    Table(format="scanimage", variant="volume", facts=VOLUME, sample=_volume),
    Table(
        format="scanimage",
        variant="4.2",
        facts=OLD,
        sample=lambda folder, recording: _old(folder, recording, "4.2"),
    ),
)
