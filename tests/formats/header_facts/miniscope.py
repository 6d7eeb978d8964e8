"""Facts in the settings and the table of times of a Miniscope."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from header_facts.places import JsonKey, TextLine, read_text, write_text
from header_facts.table import Fact, Table
from nwb_ophys.testing import write_miniscope

DEVICE = "r/Miniscope/metaData.json"
SESSION = "r/metaData.json"
TIMES = "r/Miniscope/timeStamps.csv"
RATES = (0, -3, "nan", "inf", "1e300FPS", "-30FPS", "wrong", "", None, [], {}, True)
START = datetime(2024, 5, 17, 14, 3, 21, 250000, timezone(timedelta(hours=2)))


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    movie = np.clip(recording.movie // 4, 0, 255).astype(np.uint8)
    settings = {"gain": "High", "led0": 47, "ewl": 12}
    path = write_miniscope(
        folder / "r", movie, settings=settings, animal="m7", start=START, whole_milliseconds=False
    )
    JsonKey(SESSION, ("researcherName",)).put(folder, "Doe, Jane")
    JsonKey(SESSION, ("experimentName",)).put(folder, "Gratings")
    return {"folder_path": path}


def _untimed(folder: Path, recording: Any) -> dict[str, Any]:
    source = _sample(folder, recording)
    (folder / TIMES).unlink()
    return source


def _local(folder: Path, recording: Any) -> dict[str, Any]:
    source = _sample(folder, recording)
    _session("recordingStartTime", "msecSinceEpoch").put(folder, None)
    return source


def _device(*keys: str) -> JsonKey:
    return JsonKey(DEVICE, keys)


def _session(*keys: str) -> JsonKey:
    return JsonKey(SESSION, keys)


def _rate(value: Any) -> float:
    return float(str(value).removesuffix("FPS"))


def _setting(key: str, value: Any) -> Fact:
    return Fact(header=key, at=_device(key), file="Device.description", possible=(value,),
                meant=lambda text: f"{key} {text}", within=True, impossible=("", None))  # fmt: skip


FACTS = (
    Fact(header="frameRate", at=_device("frameRate"), file="ImagingPlane.imaging_rate",
         possible=("20FPS", "12.50", 15), meant=_rate, impossible=RATES),
    Fact(header="Time Stamp", at=TextLine(TIMES, r"(?P<before>^3,)(?P<value>[^,]*)", read_text,
                                          write_text),
         file="Series.time.3", possible=("105.500", "120"), meant=lambda text: float(text) / 1000,
         impossible=("nan", "inf", "1e300", "wrong")),
    Fact(header="animalName", at=_session("animalName"), file="Subject.subject_id",
         possible=("m8",), meant=str, impossible=("", None)),
    Fact(header="researcherName", at=_session("researcherName"), file="NWBFile.experimenter.0",
         possible=("Roe, Ann",), meant=str, impossible=("", None)),
    Fact(header="experimentName", at=_session("experimentName"),
         file="NWBFile.experiment_description", possible=("Maze",), meant=str,
         impossible=("", None)),
    Fact(header="deviceType", at=_device("deviceType"), file="Device.description",
         possible=("Miniscope_V3",), meant=lambda text: f"of type {text}", within=True,
         impossible=()),
    _setting("gain", "Low"),
    _setting("led0", 12),
    _setting("ewl", -5),
    _setting("compression", "GREY"),
)  # fmt: skip

ZONE = (
    Fact(header="msecSinceEpoch", at=_session("recordingStartTime", "msecSinceEpoch"),
         file="NWBFile.session_start_time",
         possible=(1715947401250 + 3_600_000, 1715947401250 - 5_400_000),
         meant=lambda value: datetime.fromtimestamp(value / 1000, timezone.utc), impossible=()),
)  # fmt: skip

LOCAL = (
    Fact(header="minute", at=_session("recordingStartTime", "minute"),
         file="NWBFile.session_start_time", possible=(45,),
         meant=lambda value: START.replace(minute=value, tzinfo=None),
         impossible=(99, -3, 1e300, "wrong", None, [], {})),
)  # fmt: skip

UNTIMED = (
    Fact(header="frameRate", at=_device("frameRate"), file="Series.rate",
         possible=("20FPS", 15, "12.50"), meant=_rate, impossible=RATES),
)  # fmt: skip

TABLES = (
    Table(
        format="miniscope",
        facts=FACTS,
        sample=_sample,
    ),
    Table(format="miniscope", variant="zone", facts=ZONE, sample=_sample),
    Table(format="miniscope", variant="no times", facts=UNTIMED, sample=_untimed),
    Table(format="miniscope", variant="local start", facts=LOCAL, sample=_local),
)
