"""Facts in the JSON at the end of Inscopix's files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attrs

from header_facts.places import changed, dig, only
from header_facts.table import IMPOSSIBLE_JSON, Fact, Table
from nwb_ophys.testing import write_inscopix, write_inscopix_cells

FILE = "*.isxd"
START = 1715947401.25
PROPERTIES = {
    "name": "session 1",
    "personnel": {"name": "Doe, Jane"},
    "animal": {"id": "m7", "species": "Mus musculus", "sex": "m", "dob": "2024-01-02",
               "description": "A mouse."},
    "microscope": {"type": "NVista3", "serial": "SN1", "exp": 20, "gain": 5.9, "focus": 1000,
                   "led": {"exPower": 0.4}},
    "idps": {"spatialDownsampling": 2, "channel": "green", "efocus": 370},
    "producer": {"version": "1.3.0"},
}  # fmt: skip
CELLS = {"idps": {"cellset": {"method": "cnmfe", "type": "analog", "units": "dF over noise"}}}
NO_WORDS = ("", None, {}, [])


@attrs.frozen
class Footer:
    """Value of the JSON behind the data."""

    keys: tuple[str, ...]

    @staticmethod
    def _parts(path: Path) -> tuple[bytes, dict[str, Any]]:
        data = path.read_bytes()
        size = int.from_bytes(data[-8:], "little")
        return data[: -9 - size], json.loads(data[-9 - size : -9])

    def get(self, folder: Path) -> Any:
        """Return the value."""
        return dig(self._parts(only(folder, FILE))[1], self.keys)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value."""
        path = only(folder, FILE)
        data, content = self._parts(path)
        text = json.dumps(changed(content, self.keys, value)).encode()
        path.write_bytes(data + text + b"\0" + len(text).to_bytes(8, "little"))


def _own(*keys: str) -> Footer:
    return Footer(("extraProperties", *keys))


def _timing(*keys: str) -> Footer:
    return Footer(("timingInfo", *keys))


def _rate(period: Any) -> float:
    return period["den"] / period["num"]


def _start(stated: Any) -> datetime:
    seconds = stated["num"] / stated["den"]
    local = datetime(1970, 1, 1) + timedelta(seconds=seconds) + timedelta(hours=2)
    return local.replace(tzinfo=timezone(timedelta(hours=2)))


SMALLEST = {"num": 1, "den": 10**300}
RATIOS = (
    {"num": 0, "den": 1}, {"num": -3, "den": 1}, {"num": 1, "den": 0}, {"num": 10**300, "den": 1},
    SMALLEST, {"num": "wrong", "den": 1}, {"num": 1}, {}, None, "wrong", 5,
    {"num": float("nan"), "den": 1}, {"num": float("inf"), "den": 1},
)  # fmt: skip


def _word(header: str, keys: tuple[str, ...], file: str, value: str, **rest: Any) -> Fact:
    options = {"meant": str, "impossible": NO_WORDS, **rest}
    return Fact(header=header, at=_own(*keys), file=file, possible=(value,), **options)


SHARED = (
    Fact(header="period", at=_timing("period"), file="Series.rate",
         possible=({"num": 50, "den": 1000}, {"num": 1, "den": 10}), meant=_rate,
         impossible=RATIOS),
    Fact(header="period", at=_timing("period"), file="ImagingPlane.imaging_rate",
         possible=({"num": 50, "den": 1000},), meant=_rate, impossible=()),
    Fact(header="start", at=_timing("start", "secsSinceEpoch"),
         file="NWBFile.session_start_time", possible=({"num": 1600000000500, "den": 1000},),
         meant=_start, impossible=RATIOS),
)  # fmt: skip

MOVIE = (
    *SHARED,
    Fact(header="utcOffset", at=_timing("start", "utcOffset"), file="NWBFile.session_start_time",
         possible=(-18000,), meant=lambda value: datetime.fromtimestamp(START, timezone.utc),
         impossible=()),
    Fact(header="exp", at=_own("microscope", "exp"), file="Series.exposure_time",
         possible=(12.5, 40), meant=lambda value: value / 1000, impossible=IMPOSSIBLE_JSON),
    Fact(header="spatialDownsampling", at=_own("idps", "spatialDownsampling"),
         file="Series.binning", possible=(4, 1), meant=int,
         impossible=(*IMPOSSIBLE_JSON, 2.5)),
    Fact(header="exPower", at=_own("microscope", "led", "exPower"), file="Series.intensity",
         possible=(1.25,), impossible=IMPOSSIBLE_JSON),
    _word("name", ("name",), "NWBFile.session_id", "session 2"),
    _word("personnel", ("personnel", "name"), "NWBFile.experimenter.0", "Roe, Ann"),
    _word("id", ("animal", "id"), "Subject.subject_id", "m8"),
    _word("species", ("animal", "species"), "Subject.species", "Rattus norvegicus"),
    _word("animal description", ("animal", "description"), "Subject.description", "A rat."),
    _word("sex", ("animal", "sex"), "Subject.sex", "f", meant=lambda text: text.upper(),
          impossible=(*NO_WORDS, "wrong", 5)),
    _word("type", ("microscope", "type"), "Device.model.name", "NVoke2"),
    _word("serial", ("microscope", "serial"), "Device.serial_number", "SN2"),
    _word("channel", ("idps", "channel"), "OpticalChannel.name", "red",
          meant=lambda text: text.capitalize(), impossible=()),
    *(
        Fact(header=key, at=_own(*place), file="Device.description", possible=(123,),
             meant=lambda value, word=word: f"{word} {value}", within=True,
             impossible=("wrong", "", None, [], {}, True, float("nan"), float("inf")))
        for key, place, word in (
            ("gain", ("microscope", "gain"), "gain"),
            ("focus", ("microscope", "focus"), "focus"),
            ("efocus", ("idps", "efocus"), "eFocus"),
        )
    ),
    _word("version", ("producer", "version"), "Device.description", "2.0",
          meant=lambda text: f"software {text}", within=True, impossible=("", None)),
)  # fmt: skip

ROIS = (
    *SHARED,
    _word(
        "method",
        ("idps", "cellset", "method"),
        "Table.description",
        "pca-ica",
        within=True,
        impossible=("", None),
    ),
    _word("units", ("idps", "cellset", "units"), "Series.unit", "counts", impossible=()),
)


def _movie(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.astype("uint16")
    path = write_inscopix(
        folder / "m.isxd", movie, start=START, utc_offset=7200, properties=PROPERTIES
    )
    return {"file_path": path}


def _cells(folder: Path, recording: Any) -> dict[str, Any]:
    path = write_inscopix_cells(
        folder / "c.isxd", recording, start=START, utc_offset=7200, properties=CELLS
    )
    return {"file_path": path}


TABLES = (
    Table(
        format="inscopix",
        facts=MOVIE,
        sample=_movie,
        constant=("Device.model.manufacturer", "Subject.date_of_birth"),
    ),
    Table(
        format="inscopix-cells",
        facts=ROIS,
        sample=_cells,
        constant=(
            "ImageSegmentation.plane_segmentations.description",
            "Fluorescence.PlaneSegmentation.raw.unit",
        ),
    ),
)
