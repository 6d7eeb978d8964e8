"""Tests of movies in NWB files of any author, HDF5 and Zarr, against h5py and pynwb."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO
from pynwb.ophys import TwoPhotonSeries

import nwb_ophys
from nwb_ophys import NumpyImagingInterface, NwbImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.formats.nwb.files import list_nwb
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_nwb

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def frames(*shape: int, dtype: str = "int16") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def add_series(path: Path, name: str, home: str = "acquisition", **fields: Any) -> np.ndarray:
    """Add a series of 6 frames of 3 x 5 pixels, and return those."""
    movie = frames(6, 3, 5) + 1000
    with NWBHDF5IO(path, "a") as io:
        nwbfile = io.read()
        given = {"rate": 10.0} if "timestamps" not in fields else {}
        series = TwoPhotonSeries(
            name=name,
            imaging_plane=nwbfile.imaging_planes["ImagingPlane"],
            **({"data": movie.swapaxes(1, 2), "unit": "n.a."} | given | fields),
        )
        if home == "acquisition":
            nwbfile.add_acquisition(series)
        else:
            nwbfile.create_processing_module(home, "Processed.").add(series)
        io.write(nwbfile)
    return movie


@pytest.mark.parametrize("shape", [(6, 3, 5), (6, 3, 5, 2)])
def test_movie_is_what_the_file_holds(tmp_path, backend, shape):
    movie = frames(*shape)
    path = tmp_path / ("m.nwb" if backend == "hdf5" else "m.nwb.zarr")
    NumpyImagingInterface(movie, 30.0).run_conversion(path, metadata=START, backend=backend)
    found = NwbImagingInterface(path).extractor
    np.testing.assert_array_equal(found.get_series(), movie)
    for first, last in ((1, 3), (2, None), (0, 0), (6, 6), (4, 2)):
        np.testing.assert_array_equal(found.get_series(first, last), movie[first:last])
    assert found.get_image_shape() == (3, 5)
    assert found.get_dtype() == movie.dtype
    assert found.get_sampling_frequency() == 30.0
    (candidate,) = detect(path)
    assert candidate.format == "nwb"


def test_planes_of_volumes(tmp_path):
    movie = frames(6, 3, 5, 2)
    path = write_nwb(tmp_path / "m.nwb", movie)
    streams = NwbImagingInterface.streams(path, as_volume=False)
    assert list(streams) == ["plane0", "plane1"]
    for index, source in enumerate(streams.values()):
        interface = NwbImagingInterface(**source)
        np.testing.assert_array_equal(interface.extractor.get_series(1, 4), movie[1:4, ..., index])
        assert interface.part() == f"Plane{index}"
    with pytest.raises(SourceArgumentError, match="plane_index is 2; it must be from 0 to 1"):
        NwbImagingInterface(path, plane_index=2)


def test_one_photon_stays_one_photon(tmp_path):
    path = write_nwb(tmp_path / "m.nwb", frames(6, 3, 5), photon_series_type="OnePhotonSeries")
    target = NwbImagingInterface(path).run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(target, "r") as io:
        (series,) = io.read().acquisition.values()
        assert (type(series).__name__, series.name) == ("OnePhotonSeries", "OnePhotonSeries")


def test_fault_only_series_of_one_name_in_acquisition(tmp_path):
    """roiextractors reads 'TwoPhotonSeries' in acquisition, and no other unless it is named."""
    path = write_nwb(tmp_path / "m.nwb", frames(6, 3, 5))
    red = add_series(path, "Red")
    corrected = add_series(path, "Corrected", home="motion") + 0
    streams = NwbImagingInterface.streams(path)
    assert list(streams) == ["Red", "TwoPhotonSeries", "Corrected"]
    for name, movie in (("Red", red), ("Corrected", corrected), ("motion", None)):
        if movie is None:
            with pytest.raises(SourceArgumentError, match="series_name: Red, TwoPhotonSeries"):
                NwbImagingInterface(path, series_name=name)
            continue
        found = NwbImagingInterface(path, series_name=name).extractor.get_series()
        np.testing.assert_array_equal(found, movie)
    with pytest.raises(SourceArgumentError, match="has several"):
        NwbImagingInterface(path)
    target = nwb_ophys.open(path).run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(target, "r") as io:
        assert set(io.read().acquisition) == {"Red", "TwoPhotonSeries", "Corrected"}


def test_timestamps(tmp_path):
    path = write_nwb(tmp_path / "m.nwb")
    times = np.array([0.5, 0.6, 0.7, 0.9, 1.0, 1.1])
    add_series(path, "TwoPhotonSeries", timestamps=times)
    interface = NwbImagingInterface(path)
    np.testing.assert_array_equal(interface.get_timestamps(), times)
    assert interface.extractor.get_sampling_frequency() == pytest.approx(10.0)
    target = interface.run_conversion(tmp_path / "a.nwb")
    with h5py.File(target) as file:
        np.testing.assert_array_equal(file["acquisition/TwoPhotonSeries/timestamps"][:], times)


def test_starting_time(tmp_path):
    path = write_nwb(tmp_path / "m.nwb")
    add_series(path, "TwoPhotonSeries", starting_time=2.5)
    target = NwbImagingInterface(path).run_conversion(tmp_path / "a.nwb")
    with h5py.File(target) as file:
        start = file["acquisition/TwoPhotonSeries/starting_time"]
        assert (start[()], start.attrs["rate"]) == (2.5, 10.0)


def test_what_the_file_states_is_kept(tmp_path):
    path = write_nwb(tmp_path / "m.nwb")
    add_series(
        path,
        "TwoPhotonSeries",
        pmt_gain=3.0,
        scan_line_rate=8000.0,
        conversion=2.0,
        field_of_view=[1e-3, 2e-3],
        comments="A note.",
    )
    target = NwbImagingInterface(path).run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(path, "r") as one, NWBHDF5IO(target, "r") as two:
        before, after = one.read(), two.read()
        (old,), (new,) = before.acquisition.values(), after.acquisition.values()
        for field in ("pmt_gain", "scan_line_rate", "conversion", "comments", "description"):
            assert getattr(new, field) == getattr(old, field)
        np.testing.assert_array_equal(new.field_of_view[:], old.field_of_view[:])
        plane, known = new.imaging_plane, old.imaging_plane
        for field in ("indicator", "location", "excitation_lambda", "imaging_rate", "description"):
            assert getattr(plane, field) == getattr(known, field)
        np.testing.assert_array_equal(plane.grid_spacing[:], [1e-6, 1.5e-6])
        assert plane.optical_channel[0].emission_lambda == 525.0
        assert after.session_start_time == before.session_start_time
        assert after.session_start_time == datetime.datetime(
            2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc
        )
        assert after.session_description == "A mouse looks at gratings."
        assert after.identifier != before.identifier


def test_movies_in_other_files_are_no_source(tmp_path, data_folder):
    path = data_folder / "suite2p/v1.1.0/written_by_suite2p.nwb"
    assert NwbImagingInterface.matches(path) is None
    with pytest.raises(SourceError, match="has no pixels"):
        NwbImagingInterface(path)


def test_the_only_series_with_pixels_is_read(tmp_path):
    path = write_nwb(tmp_path / "r.nwb", frames(4, 6, 8))
    others = {"data": np.zeros((0, 6, 8), "int16")}
    add_series(path, "Another", **others)
    with pytest.warns(UserWarning, match="also contains acquisition/Another"):
        opened = nwb_ophys.open(path)
    assert opened.extractor.get_num_samples() == 4


def test_outputs_in_a_folder_are_no_sources(tmp_path, backend):
    name = "m.nwb" if backend == "hdf5" else "m.nwb.zarr"
    folder = tmp_path / "day"
    folder.mkdir()
    np.save(folder / "movie.npy", frames(6, 3, 5))
    interface = NumpyImagingInterface(frames(6, 3, 5), 30.0)
    interface.run_conversion(folder / name, metadata=START, backend=backend)
    assert [each.format for each in detect(tmp_path)] == ["numpy"]
    assert [each.format for each in detect(folder)] == ["numpy"]
    assert [each.format for each in detect(folder / name)] == ["nwb"]


def test_detection_of_zarr_needs_no_package(tmp_path, monkeypatch):
    path = tmp_path / "m.nwb.zarr"
    NumpyImagingInterface(frames(6, 3, 5), 30.0).run_conversion(path, metadata=START)
    import sys

    for package in ("zarr", "hdmf_zarr"):
        monkeypatch.setitem(sys.modules, package, None)
    (found,) = list_nwb(path)
    assert (found.name, found.shape, found.has_data) == ("TwoPhotonSeries", (6, 5, 3), True)
    with pytest.raises(ImportError, match="zarr"):
        NwbImagingInterface(path)


@pytest.mark.parametrize("content", [b"", b"no recording", b"\x89HDF\r\n\x1a\n" + b"\0" * 50])
def test_files_that_are_none(tmp_path, content):
    path = tmp_path / "m.nwb"
    path.write_bytes(content)
    assert NwbImagingInterface.matches(path) is None
    with pytest.raises(CorruptSourceError, match="not a complete NWB file"):
        NwbImagingInterface(path)


def test_files_that_are_cut_off(tmp_path):
    path = write_nwb(tmp_path / "m.nwb", frames(6, 3, 5))
    path.write_bytes(path.read_bytes()[:-2000])
    assert NwbImagingInterface.matches(path) is None
    with pytest.raises(CorruptSourceError, match="not a complete NWB file"):
        NwbImagingInterface(path)


def test_files_without_what_nwb_wants(tmp_path):
    path = write_nwb(tmp_path / "m.nwb", frames(6, 3, 5))
    with h5py.File(path, "a") as file:
        del file["session_start_time"]
    with pytest.raises(CorruptSourceError, match="cannot be read as NWB"):
        NwbImagingInterface(path)


def test_by_the_command_line(tmp_path):
    movie = frames(6, 3, 5)
    path = write_nwb(tmp_path / "m.nwb", movie)
    with pytest.raises(SystemExit) as exit_:
        main(["convert", str(path), "-o", str(tmp_path / "a.nwb.zarr")])
    assert exit_.value.code == 0
    found = NwbImagingInterface(tmp_path / "a.nwb.zarr").extractor.get_series()
    np.testing.assert_array_equal(found, movie)
