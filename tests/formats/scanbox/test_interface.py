"""Tests of Scanbox: detection, metadata, and complete conversions."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

import nwb_ophys
from nwb_ophys import ScanboxImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_scanbox

RANDOM = np.random.default_rng(1)
MOVIE = RANDOM.integers(0, 65536, (12, 8, 10), dtype=np.uint16)
VOLUMES = RANDOM.integers(0, 65536, (4, 8, 10, 3), dtype=np.uint16)
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mouse_000_001.sbx"


def real_header(data_folder: Path, path: Path) -> np.ndarray:
    """Put pixels beside the real header, whose own are absent."""
    movie = RANDOM.integers(0, 65536, (3, 512, 796), dtype=np.uint16)
    shutil.copy(data_folder / "scanbox/sample.mat", path.with_suffix(".mat"))
    (65535 - movie).astype("<u2").tofile(path)
    return movie


# --- detection ----------------------------------------------------------------------------------


def test_the_real_header_is_recognised_with_its_pixels(data_folder, path):
    real_header(data_folder, path)
    evidence = "'mouse_000_001.sbx' of 2,445,312 bytes, and info in 'mouse_000_001.mat'"
    for given in (path, path.with_suffix(".mat"), path.parent):
        (candidate,) = detect(given)
        assert (candidate.format, candidate.evidence) == ("scanbox", evidence)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["info", "information", "inf", "x"])
def test_the_first_variable_is_info(path, compressed, name):
    write_scanbox(path, MOVIE)
    variables = {name: {"recordsPerBuffer": 8, "filler": np.zeros(5000)}}
    scipy.io.savemat(path.with_suffix(".mat"), variables, do_compression=compressed)
    assert (ScanboxImagingInterface.matches(path) is not None) == (name == "info")


@pytest.mark.parametrize("content", [b"", b"text", b"MATLAB 5.0" + bytes(118), None])
def test_another_file_beside_it(path, content):
    write_scanbox(path, MOVIE)
    header = path.with_suffix(".mat")
    if content is None:
        content = header.read_bytes()[:136] + b"\x78\x00damaged" + bytes(50)
    header.write_bytes(content)
    assert ScanboxImagingInterface.matches(path) is None
    header.unlink()
    assert ScanboxImagingInterface.matches(path) is None
    assert detect(path) == []
    with pytest.warns(UserWarning, match="without a file that belongs beside it"):
        assert detect(path.parent) == []


def test_several_recordings_in_a_folder(path):
    write_scanbox(path, MOVIE)
    write_scanbox(path.with_stem("mouse_000_002"), MOVIE)
    names = [candidate.source["file_path"].name for candidate in detect(path.parent)]
    assert names == ["mouse_000_001.sbx", "mouse_000_002.sbx"]


# --- metadata -----------------------------------------------------------------------------------


def test_what_the_real_header_states(data_folder, path):
    real_header(data_folder, path)
    metadata = ScanboxImagingInterface(path).get_metadata()
    ophys = metadata["Ophys"]
    description = "Laser-scanning microscope run by Scanbox 2. Objective: Nikon 16x/0.8w/WD3.0."
    assert ophys["Device"][0]["description"] == description
    (plane,) = ophys["ImagingPlane"]
    assert plane["excitation_lambda"] == 920.0
    assert plane["imaging_rate"] == 15.4609375
    # 1/0.71 and 1/0.70 µm at the first of 13 magnifications.
    np.testing.assert_allclose(plane["grid_spacing"], [1.408450704e-6, 1.428571429e-6])
    assert plane["grid_spacing_unit"] == "meters"
    assert plane["optical_channel"][0]["name"] == "PMT0"
    assert plane["description"] == (
        "Objective at x = 352.96, y = -311.4, z = -1359.37 µm, turned by 15°, in the coordinates "
        "of its controller (Knobby)."
    )
    (series,) = ophys["TwoPhotonSeries"]
    assert (series["scan_line_rate"], series["pmt_gain"]) == (7916.0, 0.74)
    # Not stated, so not there: the time, the indicator, the emission.
    assert metadata["NWBFile"].get("session_start_time") is None
    assert "notes" not in metadata["NWBFile"]
    assert plane["indicator"] == "unknown"
    assert np.isnan(plane["optical_channel"][0]["emission_lambda"])


def test_gain_and_name_of_each_channel(path):
    write_scanbox(path, {0: MOVIE, 1: MOVIE}, pmt_gains=(0.74, 0.5), bidirectional=True)
    for name, gain in (("PMT0", 0.74), ("PMT1", 0.5)):
        interface = ScanboxImagingInterface(path, channel_name=name)
        ophys = interface.get_metadata()["Ophys"]
        assert interface.part() == name
        assert ophys["TwoPhotonSeries"][0]["pmt_gain"] == gain
        assert ophys["ImagingPlane"][0]["optical_channel"][0]["name"] == name
        assert ophys["TwoPhotonSeries"][0]["scan_line_rate"] == 30.0 * 8


def test_depths_of_planes(path):
    write_scanbox(path, VOLUMES, plane_depths=(0, -25, -50), magnification=2)
    (plane,) = ScanboxImagingInterface(path).get_metadata()["Ophys"]["ImagingPlane"]
    np.testing.assert_allclose(plane["grid_spacing"], [0.72289e-6, 0.72289e-6, 25e-6])
    assert plane["description"].endswith("Planes at 0, -25, -50 µm of the tunable lens.")
    one = ScanboxImagingInterface(path, plane_index=1).get_metadata()["Ophys"]["ImagingPlane"][0]
    assert len(one["grid_spacing"]) == 2
    assert one["description"].endswith("Plane 1 at -25 µm of the tunable lens.")
    # Planes at unequal distances have no one distance.
    write_scanbox(path, VOLUMES, plane_depths=(0, 10, 50))
    (plane,) = ScanboxImagingInterface(path).get_metadata()["Ophys"]["ImagingPlane"]
    assert len(plane["grid_spacing"]) == 2


def test_what_is_not_stated_is_left_out(path):
    absent = {"calibration": None, "objective": None, "config": {"lines": 8}}
    write_scanbox(path, MOVIE, info={**absent, "scanbox_version": None})
    ophys = ScanboxImagingInterface(path).get_metadata()["Ophys"]
    assert ophys["Device"][0]["description"] == "Laser-scanning microscope run by Scanbox."
    assert "grid_spacing" not in ophys["ImagingPlane"][0]
    assert np.isnan(ophys["ImagingPlane"][0]["excitation_lambda"])
    assert "pmt_gain" not in ophys["TwoPhotonSeries"][0]


def test_notes_of_the_user(path):
    write_scanbox(path, MOVIE, info={"usernotes": np.array(["first", "second"], dtype=object)})
    assert ScanboxImagingInterface(path).get_metadata()["NWBFile"]["notes"] == "first\nsecond"


def test_a_rate_that_is_none(path):
    write_scanbox(path, MOVIE)
    with pytest.raises(SourceArgumentError, match="sampling_frequency"):
        ScanboxImagingInterface(path, sampling_frequency=0)


# --- conversion ---------------------------------------------------------------------------------


def convert(path: Path, target: Path, *options: str) -> None:
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as end:
        main(["convert", str(path), "-o", str(target), "--set", start, *options])
    assert end.value.code == 0


def test_the_real_header_by_the_command_line(data_folder, path, tmp_path):
    movie = real_header(data_folder, path)
    convert(path, tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb") as file:
        (series,) = file["acquisition"].values()
        np.testing.assert_array_equal(series["data"][:].transpose(0, 2, 1), movie)
        assert series["starting_time"].attrs["rate"] == 15.4609375


def test_every_channel_and_plane_by_the_command_line(path, tmp_path):
    other = VOLUMES[::-1]
    write_scanbox(path, {0: VOLUMES, 1: other}, sampling_frequency=5.25)
    convert(path, tmp_path / "volumes.nwb")
    convert(path.parent, tmp_path / "planes.nwb", "--option", "as_volume=false")
    movies = {"PMT0": VOLUMES, "PMT1": other}
    with h5py.File(tmp_path / "volumes.nwb") as file:
        assert set(file["acquisition"]) == {"TwoPhotonSeriesPMT0", "TwoPhotonSeriesPMT1"}
        for name, movie in movies.items():
            data = file[f"acquisition/TwoPhotonSeries{name}/data"]
            np.testing.assert_array_equal(data[:].transpose(0, 2, 1, 3), movie)
    with h5py.File(tmp_path / "planes.nwb") as file:
        assert len(file["acquisition"]) == 6
        for name, movie in movies.items():
            for plane in range(3):
                series = file[f"acquisition/TwoPhotonSeries{name}Plane{plane}"]
                np.testing.assert_array_equal(
                    series["data"][:].transpose(0, 2, 1), movie[..., plane]
                )
                assert series["starting_time"].attrs["rate"] == 5.25


def test_open_takes_the_users_rate(path):
    write_scanbox(path, MOVIE)
    with pytest.warns(UserWarning, match="the given 15.4 Hz are used"):
        interface = nwb_ophys.open(path, sampling_frequency=15.4)
    assert isinstance(interface, ScanboxImagingInterface)
    assert interface.extractor.get_sampling_frequency() == 15.4
    assert interface.get_metadata()["Ophys"]["ImagingPlane"][0]["imaging_rate"] == 15.4


def test_data_of_other_devices_are_named(path):
    events = {"frame": [1, 3], "line": [4, 7], "event_id": [1, 1]}
    write_scanbox(path, MOVIE, info=events)
    words = r"2 events at its inputs \(frame, line, event_id\), 'mouse_000_001_eye.mat'\. To keep"
    scipy.io.savemat(path.with_name("mouse_000_001_eye.mat"), {"data": np.zeros(3)})
    with pytest.warns(UserWarning, match=words):
        nwb_ophys.open(path)


def test_no_data_of_other_devices(path):
    write_scanbox(path, MOVIE, info={"frame": [], "line": [], "event_id": []})
    nwb_ophys.open(path)
