"""Tests of planes as separate series, which have the times of their frames in the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys.testing import (
    write_bruker,
    write_micromanager,
    write_ome_tiff,
    write_scanbox,
    write_scanimage,
)

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
BRUKER = "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005"
SCANIMAGE = "scanimage/volumetric_two_channels_multi_file"


def _times(series: Any) -> np.ndarray:
    if series.timestamps is not None:
        return series.timestamps[:]
    return series.starting_time + np.arange(series.data.shape[0]) / series.rate


def _written(path: Path, target: Path, **options: Any) -> dict[str, np.ndarray]:
    """Convert the planes of a recording, and return the times of each series."""
    nwb_ophys.open(path, as_volume=False, **options).run_conversion(target, metadata=START)
    with NWBHDF5IO(target, "r") as io:
        return {name: _times(series) for name, series in io.read().acquisition.items()}


def test_bruker(data_folder, tmp_path):
    """The second plane is taken half a volume after the first."""
    found = _written(data_folder / BRUKER, tmp_path / "a.nwb")
    xml = (data_folder / BRUKER / f"{Path(BRUKER).name}.xml").read_text(encoding="utf-8-sig")
    stated = [float(text) for text in re.findall(r'absoluteTime="([\d.]+)"', xml)]
    expected = np.reshape(stated, (5, 2)) - stated[0]
    assert len(found) == 2
    for plane, times in enumerate(found.values()):
        np.testing.assert_allclose(times, expected[:, plane], rtol=0, atol=1e-6)
    assert expected[0, 1] == pytest.approx(0.048474, abs=1e-6)


def test_scanimage(data_folder, tmp_path):
    """Recording of nine planes and seven flyback frames, with two channels."""
    stated = []
    for file in sorted((data_folder / SCANIMAGE).glob("*.tif")):
        with tifffile.TiffFile(file) as tiff:
            for page in tiff.pages:
                stated.append(re.search(r"frameTimestamps_sec = ([\d.]+)", page.description)[1])
    of_frames = np.array(stated, float).reshape(100, 16, 2)
    found = _written(data_folder / SCANIMAGE, tmp_path / "a.nwb")
    assert len(found) == 18
    for channel in range(2):
        for plane in range(9):
            times = found[f"TwoPhotonSeriesChannel{channel + 1}Plane{plane}"]
            expected = of_frames[:, plane, channel]
            np.testing.assert_allclose(times, expected, rtol=0, atol=1e-6)


@pytest.fixture
def volumes() -> np.ndarray:
    return np.arange(6 * 5 * 7 * 3, dtype="uint16").reshape(6, 5, 7, 3)


@pytest.fixture
def of_planes() -> np.ndarray:
    """Irregular times of 6 samples of 3 planes, in milliseconds."""
    steps = np.random.default_rng(3).integers(15, 25, 18)
    return (40.0 + np.cumsum(steps)).reshape(6, 3)


def test_ome_tiff(tmp_path, volumes, of_planes):
    write_ome_tiff(tmp_path / "a", volumes, delta_t=of_planes / 1000, sampling_frequency=None)
    found = _written(tmp_path / "a", tmp_path / "a.nwb")
    for plane in range(3):
        times = found[f"TwoPhotonSeriesPlane{plane}"]
        np.testing.assert_allclose(times, of_planes[:, plane] / 1000, rtol=0, atol=1e-6)
    movie = nwb_ophys.open(tmp_path / "a")
    np.testing.assert_allclose(movie.get_timestamps(), of_planes[:, 0] / 1000)
    movie.extractor.close()


def test_micromanager_whose_channels_follow_each_other(tmp_path, volumes, of_planes):
    elapsed = np.stack([of_planes, of_planes + 7], axis=2)
    write_micromanager(tmp_path / "a", {"A": volumes, "B": volumes}, elapsed_ms=elapsed)
    with pytest.warns(UserWarning, match="ElapsedTime-ms of its frames gives"):
        found = _written(tmp_path / "a", tmp_path / "a.nwb")
    for number, channel in enumerate("AB"):
        for plane in range(3):
            times = found[f"OnePhotonSeries{channel}Plane{plane}"]
            expected = elapsed[:, plane, number] / 1000
            np.testing.assert_allclose(times, expected, rtol=0, atol=1e-6)
    with pytest.warns(UserWarning, match="ElapsedTime-ms of its frames gives"):
        whole = nwb_ophys.open(tmp_path / "a")
    for number, movie in enumerate(whole.interfaces.values()):
        np.testing.assert_allclose(movie.get_timestamps(), elapsed[:, 0, number] / 1000)
        movie.extractor.close()


def test_regular_planes_are_written_as_a_rate_and_a_start(tmp_path, volumes):
    write_bruker(tmp_path / "T-1", volumes, sampling_frequency=10.0)
    session = nwb_ophys.open(tmp_path / "T-1", as_volume=False)
    for plane, series in enumerate(session.create_nwbfile(START).acquisition.values()):
        assert series.timestamps is None
        assert series.rate == pytest.approx(10.0)
        assert series.starting_time == pytest.approx(plane / 30, abs=1e-9)
    for interface in session.interfaces.values():
        interface.extractor.close()


def test_slices_of_several_frames(tmp_path, volumes):
    """Each frame of a slice is a sample with its own time."""
    write_scanimage(tmp_path, volumes, frames_per_slice=2, sampling_frequency=5.0)
    session = nwb_ophys.open(tmp_path, as_volume=False, interleave_slice_samples=True)
    frames = np.arange(18).reshape(3, 3, 2)
    for plane, movie in enumerate(session.interfaces.values()):
        expected = frames[:, plane].reshape(-1) / 30
        np.testing.assert_allclose(movie.get_timestamps(), expected, rtol=0, atol=1e-8)
        movie.extractor.close()


def test_a_rate_alone_gives_no_time_between_planes(tmp_path, volumes):
    write_scanbox(tmp_path / "a.sbx", volumes)
    session = nwb_ophys.open(tmp_path, as_volume=False)
    assert len(session.interfaces) == 3
    starts = {series.starting_time for series in session.create_nwbfile(START).acquisition.values()}
    assert starts == {0.0}
