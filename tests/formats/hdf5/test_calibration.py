"""Calibrations that the attributes of HDF5 datasets state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_ophys import Hdf5ImagingInterface

_MOVIE = np.arange(7 * 6 * 8, dtype="i2").reshape(7, 6, 8)


def _series(folder: Path, attributes: dict[str, Any], movie: Any = _MOVIE, **source: Any) -> Any:
    with h5py.File(folder / "m.h5", "w") as file:
        file["mov"] = movie
        file["mov"].attrs["fr"] = 20.0
        for name, value in attributes.items():
            file["mov"].attrs[name] = value
    interface = Hdf5ImagingInterface(file_path=folder / "m.h5", **source)
    return interface.get_metadata()["Ophys"]["TwoPhotonSeries"][0]


@pytest.mark.parametrize(
    "names",
    [
        ("scale_factor", "add_offset"),
        ("conversion", "offset"),
        ("scaling_factor", "offset"),
        ("slope", "intercept"),
    ],
)
def test_the_conventions_become_conversion_and_offset(tmp_path, names):
    entry = _series(tmp_path, {names[0]: 0.5, names[1]: np.array([-12.0]), "units": b"photons"})
    assert (entry["conversion"], entry["offset"], entry["unit"]) == (0.5, -12.0, "photons")


def test_one_of_the_two_is_enough_if_its_name_says_what_it_is_for(tmp_path):
    entry = _series(tmp_path, {"scale_factor": 4})
    assert (entry["conversion"], entry["offset"], entry["unit"]) == (4.0, 0.0, "n.a.")
    entry = _series(tmp_path, {"add_offset": 100})
    assert (entry["conversion"], entry["offset"]) == (1.0, 100.0)
    entry = _series(tmp_path, {"offset": 100})
    assert "offset" not in entry


def test_numbers_per_channel_are_those_of_the_channel(tmp_path):
    movie = np.stack([_MOVIE, _MOVIE])
    given = {"scale_factor": [1.0, 3.0], "add_offset": [0.0, -5.0]}
    entry = _series(tmp_path, given, movie, channel_index=1)
    assert (entry["conversion"], entry["offset"]) == (3.0, -5.0)


@pytest.mark.parametrize("value", ["two", [1.0, 2.0, 3.0], h5py.Empty("f8")])
def test_attributes_that_are_not_numbers_are_reported(tmp_path, value):
    with pytest.warns(UserWarning, match="'mov' in .*m.h5.*scale_factor and add_offset"):
        entry = _series(tmp_path, {"scale_factor": value})
    assert "conversion" not in entry


def test_without_attributes_nothing_is_stated(tmp_path):
    entry = _series(tmp_path, {})
    assert not {"conversion", "offset"} & set(entry)
