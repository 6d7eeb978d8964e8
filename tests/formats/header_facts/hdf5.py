"""Facts in the attributes of a movie in an HDF5 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from header_facts.places import Hdf5Attribute
from header_facts.table import IMPOSSIBLE_NUMBERS, Fact, Table
from nwb_ophys.testing import write_hdf5

RATES = (*IMPOSSIBLE_NUMBERS, "wrong", np.array([30.0, 31.0]), True)


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    return {"file_path": write_hdf5(folder / "m.hdf5", recording.movie, start_time=2.5)}


def _at(name: str) -> Hdf5Attribute:
    return Hdf5Attribute("*.hdf5", "mov", name, decode=lambda value: np.asarray(value).tolist())


FACTS = (
    Fact(header="fr", at=_at("fr"), file="Series.rate", possible=(12.5, 20), impossible=RATES),
    Fact(header="fr", at=_at("fr"), file="ImagingPlane.imaging_rate", possible=(12.5,),
         impossible=()),
    Fact(header="start_time", at=_at("start_time"), file="Series.starting_time",
         possible=(7.25, -1.5), impossible=(float("nan"), float("inf"), 1e300, None, "wrong")),
)  # fmt: skip

TABLES = (Table(format="hdf5", facts=FACTS, sample=_sample),)
