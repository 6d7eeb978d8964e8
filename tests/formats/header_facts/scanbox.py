"""Facts in the MATLAB file of Scanbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from header_facts.places import MatlabField
from header_facts.table import IMPOSSIBLE_NUMBERS, NO_TEXTS, Fact, Table, micrometres
from nwb_ophys.testing import write_scanbox

ANY = (*IMPOSSIBLE_NUMBERS, "wrong")


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    info = {"usernotes": "A mouse looks at gratings."}
    return {"file_path": write_scanbox(folder / "m.sbx", recording.movie, info=info)}


def _volume(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    return {"file_path": write_scanbox(folder / "m.sbx", movie)}


def _at(*keys: str | int) -> MatlabField:
    return MatlabField("m.mat", ("info", *keys))


FACTS = (
    Fact(header="resfreq", at=_at("resfreq"), file="Series.rate", possible=(480.0, 7930.5),
         meant=lambda value: value / 24, impossible=ANY),
    Fact(header="resfreq", at=_at("resfreq"), file="ImagingPlane.imaging_rate", possible=(480.0,),
         meant=lambda value: value / 24, impossible=ANY),
    Fact(header="resfreq", at=_at("resfreq"), file="Series.scan_line_rate", possible=(480.0,),
         impossible=ANY),
    Fact(header="lines", at=_at("config", "lines"), file="Series.rate", possible=(48.0,),
         meant=lambda value: 720 / value, impossible=ANY, elsewhere=True),
    Fact(header="wavelength", at=_at("config", "wavelength"),
         file="ImagingPlane.excitation_lambda", possible=(1040.0, 780.5), impossible=ANY),
    Fact(header="pmt0_gain", at=_at("config", "pmt0_gain"), file="Series.pmt_gain",
         possible=(0.5, 1.0), impossible=ANY),
    Fact(header="calibration", at=_at("calibration", 0, "x"), file="ImagingPlane.grid_spacing.0",
         possible=(0.75,), meant=micrometres, impossible=ANY[:-2]),
    Fact(header="calibration", at=_at("calibration", 0, "y"), file="ImagingPlane.grid_spacing.1",
         possible=(0.75,), meant=micrometres, impossible=ANY[:-2]),
    Fact(header="magnification", at=_at("config", "magnification"),
         file="ImagingPlane.grid_spacing.0", possible=(2.0, 3.0),
         meant=lambda value: (1.40845e-6, 0.72289e-6, 0.37037e-6)[int(value) - 1],
         impossible=(*ANY, 1.5, 4.0)),
    Fact(header="knobby", at=_at("config", "knobby", "pos", "x"), file="ImagingPlane.description",
         possible=(-12.5,), meant=lambda value: f"x = {value:g},", within=True,
         impossible=ANY[2:]),
    Fact(header="objective", at=_at("objective"), file="Device.description",
         possible=("Olympus",), meant=str, within=True, impossible=NO_TEXTS),
    Fact(header="scanbox_version", at=_at("scanbox_version"), file="Device.description",
         possible=(2.5,), meant=lambda value: f"Scanbox {value:g}", within=True, impossible=()),
    Fact(header="usernotes", at=_at("usernotes"), file="NWBFile.notes",
         possible=("Another mouse.",), meant=str, impossible=NO_TEXTS),
)  # fmt: skip

VOLUME = (
    Fact(header="otwave_um", at=_at("otwave_um", 1), file="ImagingPlane.grid_spacing.2",
         possible=(15.0, 7.5), meant=micrometres, impossible=(0.0, float("nan"), 1e300)),
    Fact(header="otwave_um", at=_at("otwave_um", 1), file="ImagingPlane.description",
         possible=(15.0,), meant=lambda value: f"{value:g} µm of the tunable lens", within=True,
         impossible=()),
)  # fmt: skip

TABLES = (
    Table(format="scanbox", facts=FACTS, sample=_sample, constant=("OpticalChannel.name",)),
    Table(format="scanbox", variant="volume", facts=VOLUME, sample=_volume),
)
