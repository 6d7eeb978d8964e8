"""Tests of HDF5 movies: detection and complete conversions."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from nwb_ophys import Hdf5ImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_hdf5

RANDOM = np.random.default_rng(1)
WHOLE = RANDOM.integers(0, 4096, (12, 7, 9, 3, 2), dtype=np.uint16)  # T, Y, X, Z, C


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movie.h5"


def convert(path: Path, target: Path, *options: str) -> None:
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as end:
        main(["convert", str(path), "-o", str(target), "--set", start, *options])
    assert end.value.code == 0


# --- detection ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".H5"])
def test_evidence(path, suffix):
    write_hdf5(path.with_suffix(suffix), WHOLE[..., 0, 0], dataset_name="data")
    for given in (path.with_suffix(suffix), path.parent):
        (candidate,) = detect(given)
        assert candidate.format == "hdf5"
        assert candidate.evidence == f"'movie{suffix}' holds 'data' of shape (12, 7, 9), uint16"


def test_hdf5_files_of_others(path, tmp_path):
    for name in ("acquisition/series/data", "estimates/Cn"):
        write_hdf5(path, WHOLE[..., 0, 0], dataset_name=name)
        assert Hdf5ImagingInterface.matches(path) is None
    write_hdf5(path, WHOLE[..., 0, 0])
    with h5py.File(path, "a") as file:
        file["estimates/C"] = [0]
    assert Hdf5ImagingInterface.matches(path) is None
    for data in (np.zeros(3), np.zeros((3, 4)), np.zeros((2, 0, 3)), np.zeros((3, 4, 5), bool)):
        write_hdf5(path, data)
        assert Hdf5ImagingInterface.matches(path) is None
    other = tmp_path / "movie.mesc"
    write_hdf5(other, WHOLE[..., 0, 0])
    assert Hdf5ImagingInterface.matches(other) is None
    assert Hdf5ImagingInterface.matches(tmp_path) is None


def test_two_movies_are_not_one(path):
    write_hdf5(path, WHOLE[..., 0, 0], dataset_name="a")
    with h5py.File(path, "a") as file:
        file["b"] = WHOLE[..., 0, 1]
    assert Hdf5ImagingInterface.matches(path) is None


# --- conversion ---------------------------------------------------------------------------------


def test_a_real_movie_by_the_command_line(data_folder, path, tmp_path):
    """The frames of a real recording, stored as CaImAn stores a movie."""
    movie = tifffile.imread(data_folder / "tiff/neurofinder_crop_101x256x256.tif")
    write_hdf5(path, movie, sampling_frequency=7.5, chunks=(10, 256, 256), compression="gzip")
    convert(path, tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb") as file:
        (series,) = file["acquisition"].values()
        assert series["data"].dtype == movie.dtype
        np.testing.assert_array_equal(series["data"][:].transpose(0, 2, 1), movie)
        assert series["starting_time"].attrs["rate"] == 7.5
        assert file["general/optophysiology/ImagingPlane/imaging_rate"][()] == 7.5


@pytest.mark.parametrize("as_volume", [True, False])
def test_every_channel_and_plane_by_the_command_line(path, tmp_path, as_volume):
    write_hdf5(path, WHOLE.transpose(4, 0, 3, 1, 2), sampling_frequency=None)
    options = {
        "dimension_order": "CTZYX",
        "sampling_frequency": "5.25",
        "as_volume": str(as_volume).lower(),
    }
    given = [part for key, value in options.items() for part in ("--option", f"{key}={value}")]
    convert(path, tmp_path / "a.nwb", *given)
    with h5py.File(tmp_path / "a.nwb") as file:
        assert len(file["acquisition"]) == (2 if as_volume else 6)
        for channel in range(2):
            name = f"TwoPhotonSeriesChannel{channel}"
            if as_volume:
                data = file[f"acquisition/{name}/data"][:]
                np.testing.assert_array_equal(data.swapaxes(1, 2), WHOLE[..., channel])
                continue
            for plane in range(3):
                data = file[f"acquisition/{name}Plane{plane}/data"][:]
                np.testing.assert_array_equal(data.swapaxes(1, 2), WHOLE[..., plane, channel])


def test_start_time_is_written(path, tmp_path):
    write_hdf5(path, WHOLE[..., 0, 0], sampling_frequency=10.0, start_time=2.5)
    convert(path, tmp_path / "a.nwb")
    with h5py.File(tmp_path / "a.nwb") as file:
        (series,) = file["acquisition"].values()
        assert series["starting_time"][()] == 2.5
        assert series["starting_time"].attrs["rate"] == pytest.approx(10.0)


def test_one_channel_of_several_is_named(path):
    write_hdf5(path, WHOLE[..., 0, :].transpose(3, 0, 1, 2))
    interface = Hdf5ImagingInterface(path, channel_index=1)
    assert interface.part() == "Channel1"
    assert list(Hdf5ImagingInterface.streams(path, channel_index=1)) == [""]
    assert list(Hdf5ImagingInterface.streams(path)) == ["channel0", "channel1"]
    interface.extractor.close()
