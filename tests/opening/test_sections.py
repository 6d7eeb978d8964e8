"""Analyses of one of several joined recordings count from the start of that recording."""

from __future__ import annotations

import warnings
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

import nwb_ophys
from nwb_ophys.testing import simulate_recording, write_minian, write_miniscope

DEVICE = "Miniscope"


@pytest.fixture
def recording():
    return simulate_recording(num_samples=20)


def _day(tmp_path: Path, recording, analysed: str) -> Path:
    day = tmp_path / "2021_10_07"
    movie = np.clip(recording.movie // 4, 0, 255).astype("u1")
    for hour in (10, 11):
        write_miniscope(
            day / f"{hour}_03_28",
            movie,
            timestamps=recording.timestamps,
            start=datetime(2021, 10, 7, hour, 3, 28),
            animal="m7",
            device_name=DEVICE,
        )
    write_minian(day / analysed / DEVICE / "minian", recording)
    return day


def _times(folder: Path, num_notes: int) -> np.ndarray:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened = nwb_ophys.open(folder)
    notes = [each for each in caught if "began 3600 s after the first one" in str(each.message)]
    assert len(notes) == num_notes
    return opened.interfaces["minian"].get_timestamps()


def test_of_a_later_recording(tmp_path, recording):
    first = _times(_day(tmp_path, recording, "11_03_28"), num_notes=1)[0]
    assert first == pytest.approx(3600.0, abs=0.1)


def test_the_file_has_the_times_of_the_later_recording(tmp_path, recording):
    with pytest.warns(UserWarning, match="began 3600 s after the first one"):
        opened = nwb_ophys.open(_day(tmp_path, recording, "11_03_28"))
    for _ in range(2):  # the second conversion shifts nothing once more
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened.run_conversion(tmp_path / "a.nwb", overwrite=True)
        with h5py.File(tmp_path / "a.nwb") as file:
            traces = file["processing/ophys/Fluorescence/Denoised"]
            given = traces.get("timestamps", traces.get("starting_time"))
            assert np.ravel(given[()])[0] == pytest.approx(3600.0, abs=0.1)


def test_of_the_first_recording(tmp_path, recording):
    first = _times(_day(tmp_path, recording, "10_03_28"), num_notes=0)[0]
    assert first == pytest.approx(0.0, abs=0.1)
