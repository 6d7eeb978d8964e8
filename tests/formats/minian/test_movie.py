"""Tests of the movie that Minian registered, with its shifts, from its stores to NWB."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr
from pynwb import NWBHDF5IO, validate

import nwb_ophys
from nwb_ophys import MinianImagingInterface, MinianSegmentationInterface
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.minian.sample import write_zarr_array
from nwb_ophys.testing import simulate_recording, write_minian, write_minian_movie

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
RECORDING = simulate_recording(num_samples=12, num_cells=3)
MOTION = np.random.default_rng(5).integers(-3, 4, (12, 2)).astype(float)
# Minian resamples frames, and so moves their content by height and width.
CORRECTED = np.stack(
    [
        np.roll(frame, shift.astype(int), axis=(0, 1))
        for frame, shift in zip(RECORDING.movie, MOTION, strict=True)
    ]
)


def write(folder, motion=MOTION, original=RECORDING.movie, **options):
    return write_minian_movie(folder, CORRECTED, motion=motion, original=original, **options)


def stack_of(nwbfile):
    return nwbfile.processing["ophys"]["MotionCorrection"]["CorrectedImageStack"]


def test_the_movie_and_its_shifts(tmp_path):
    path = write(tmp_path / "intermediate", first_frame=40)
    with pytest.warns(UserWarning, match="from frame 40; times are"):
        interface = MinianImagingInterface(path, sampling_frequency=20.0)
    interface.run_conversion(tmp_path / "a.nwb", metadata=START)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        assert validate(io=io) == []
        nwbfile = io.read()
        stack = stack_of(nwbfile)
        movie = stack.corrected.data[:].swapaxes(1, 2)
        stored = zarr.open_array(str(path / "Y_fm_chk.zarr" / "Y_fm_chk"), mode="r")[:]
        np.testing.assert_array_equal(movie, stored)
        shifts = stack.xy_translation.data[:]
        np.testing.assert_array_equal(shifts, MOTION[:, ::-1])
        for before, after, (x, y) in zip(RECORDING.movie, movie, shifts.astype(int), strict=True):
            np.testing.assert_array_equal(np.roll(before, (y, x), axis=(0, 1)), after)
        assert stack.corrected.rate == stack.xy_translation.rate == 20.0
        assert stack.original is nwbfile.acquisition["Original"]
        assert stack.original.external_file[:].tolist() == ["varr_ref.zarr"]
        assert stack.corrected.description == "Movie after motion correction by Minian."


def test_width_may_come_first(tmp_path):
    path = write(tmp_path)
    write_zarr_array(path / "motion.zarr/shift_dim", np.array(["width", "height"]), [2], ["s"])
    found = MinianImagingInterface(path, sampling_frequency=20.0).registration
    np.testing.assert_array_equal(found.shifts, MOTION)


def test_shifts_are_found_by_the_numbers_of_frames(tmp_path):
    path = write(tmp_path, motion=None, first_frame=3)
    longer = np.arange(40.0).reshape(20, 2)
    other = write_minian_movie(tmp_path / "results", np.zeros((20, 48, 64)), motion=longer)
    source = {"sampling_frequency": 20.0, "motion_path": other / "motion.zarr"}
    with pytest.warns(UserWarning, match="from frame 3; times are"):
        interface = MinianImagingInterface(path, **source)
    np.testing.assert_array_equal(interface.registration.shifts, longer[3:15, ::-1])
    stack = stack_of(interface.create_nwbfile(START, stub=4))
    np.testing.assert_array_equal(stack.xy_translation.data[:], longer[3:7, ::-1])
    late = write(tmp_path / "late", motion=None, first_frame=10)
    with (
        pytest.warns(UserWarning, match="from frame 10"),
        pytest.raises(SourceError, match="lacks the shifts of some of the 12 frames"),
    ):
        MinianImagingInterface(late, **source).create_nwbfile(START)


def test_a_store_of_shifts_that_is_absent(tmp_path):
    source = {"sampling_frequency": 20.0, "motion_path": tmp_path / "absent.zarr"}
    with pytest.raises(SourceError, match=r"absent.zarr' does not exist; give the folder"):
        MinianImagingInterface(write(tmp_path / "x"), **source)


def test_times_of_the_table(tmp_path):
    folder = write_minian(tmp_path, RECORDING, with_timestamps=True, first_frame=5)
    write(folder, first_frame=5)
    movie = MinianImagingInterface(folder)
    units = MinianSegmentationInterface(folder)
    times = movie.extractor.get_native_timestamps()
    np.testing.assert_array_equal(times, units.extractor.get_native_timestamps())
    shifts = stack_of(movie.create_nwbfile(START)).xy_translation
    np.testing.assert_array_equal(shifts.timestamps, times)


def test_it_is_converted_on_request_beside_the_units(tmp_path):
    write_minian(tmp_path, RECORDING)
    write(tmp_path)
    with pytest.warns(UserWarning, match=r"registered movie \(minian-movie\), which is left out"):
        units = nwb_ophys.open(tmp_path)
    assert isinstance(units, MinianSegmentationInterface)
    both = nwb_ophys.open(tmp_path, registered_movie=True)
    nwbfile = both.create_nwbfile(START)
    assert stack_of(nwbfile).xy_translation.data.data.shape == (12, 2)
    assert "ImageSegmentation" in nwbfile.processing["ophys"].data_interfaces


def test_a_folder_with_the_movie_only(tmp_path):
    path = write(tmp_path / "x")
    for given in (path, *(path / f"{name}.zarr" for name in ("Y_fm_chk", "motion", "varr_ref"))):
        movie = nwb_ophys.open(given, sampling_frequency=5)
        assert isinstance(movie, MinianImagingInterface)
        assert movie.source.folder_path == path


def test_the_other_chunks_of_the_movie(tmp_path):
    path = write(tmp_path)
    (path / "Y_fm_chk.zarr").rename(path / "Y_hw_chk.zarr")
    (path / "Y_hw_chk.zarr/Y_fm_chk").rename(path / "Y_hw_chk.zarr/Y_hw_chk")
    movie = nwb_ophys.open(path, sampling_frequency=5)
    np.testing.assert_array_equal(movie.extractor.get_series(2, 4), CORRECTED[2:4])


def test_shifts_without_the_movie_are_left_out_with_a_note(tmp_path):
    write_minian(tmp_path, RECORDING)
    write(tmp_path, original=None)
    shutil.rmtree(tmp_path / "Y_fm_chk.zarr")
    with pytest.warns(UserWarning, match=r"motion.zarr, but not the movie, Y_fm_chk.zarr;"):
        nwb_ophys.open(tmp_path)


def test_without_shifts_or_original_the_movie_is_a_series(tmp_path):
    bare = MinianImagingInterface(write(tmp_path / "a", motion=None), sampling_frequency=5)
    nwbfile = bare.create_nwbfile(START)
    assert list(nwbfile.acquisition) == ["OnePhotonSeries"]
    nwbfile = bare.create_nwbfile(START, parent_container="processing/ophys")
    assert list(nwbfile.processing["ophys"].data_interfaces) == ["OnePhotonSeries"]
    with pytest.raises(SourceError, match=r"does not exist, or holds splines, .* give the"):
        bare.create_nwbfile(START, motion_correction=True)
    unknown = MinianImagingInterface(write(tmp_path / "b", original=None), sampling_frequency=5)
    with pytest.warns(UserWarning, match=r"not the store varr_ref.zarr .* the shifts are left out"):
        unknown.create_nwbfile(START)


def test_splines_are_no_shifts(tmp_path):
    path = write(tmp_path)
    shutil.rmtree(path / "motion.zarr/motion")
    axes = ("frame", "shift_dim", "grid0", "grid1")
    write_zarr_array(path / "motion.zarr/motion", np.zeros((12, 2, 4, 4)), [12, 2, 4, 4], axes)
    interface = MinianImagingInterface(path, sampling_frequency=5)
    assert interface.registration is None
    interface.create_nwbfile(START)


def test_damaged_stores(tmp_path):
    path = write(tmp_path / "a")
    write_zarr_array(path / "motion.zarr/shift_dim", np.array(["x", "y"]), [2], ["s"])
    with pytest.raises(CorruptSourceError, match="they must be along height and width"):
        MinianImagingInterface(path, sampling_frequency=5).create_nwbfile(START)
    other = write(tmp_path / "b")
    write_zarr_array(other / "Y_fm_chk.zarr/frame", np.arange(5), [5], ["frame"])
    with pytest.raises(CorruptSourceError, match="has 12 frames, but 5 numbers of frames"):
        MinianImagingInterface(other, sampling_frequency=5)
    with pytest.raises(CorruptSourceError, match=f"'{tmp_path}' has no Y_fm_chk.zarr"):
        MinianImagingInterface(tmp_path, sampling_frequency=5)
