"""Tests of Scanbox recordings against independent reads of the same bytes."""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from roiextractors import SbxImagingExtractor

from nwb_ophys import ScanboxImagingInterface
from nwb_ophys.errors import (
    CorruptSourceError,
    MissingPackageError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats.scanbox.header import read_scanbox_header
from nwb_ophys.formats.scanbox.reader import ScanboxExtractor
from nwb_ophys.testing import write_scanbox

RANDOM = np.random.default_rng(0)
MOVIE = RANDOM.integers(0, 65536, (12, 8, 10), dtype=np.uint16)
OTHER = RANDOM.integers(0, 65536, (12, 8, 10), dtype=np.uint16)
VOLUMES = RANDOM.integers(0, 65536, (4, 8, 10, 3), dtype=np.uint16)


def raw(path: Path, *shape: int) -> np.ndarray:
    """What is stored, frame by frame, turned as Scanbox shows it."""
    return 65535 - np.fromfile(path, "<u2").reshape(-1, *shape)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mouse_000_001.sbx"


# --- what is read -------------------------------------------------------------------------------


def test_frames_are_what_is_stored_turned_over(path):
    write_scanbox(path, MOVIE)
    extractor = ScanboxExtractor(path)
    assert extractor.get_image_shape() == extractor.get_sample_shape() == (8, 10)
    assert extractor.get_num_samples() == 12
    assert extractor.get_dtype() == np.uint16
    assert extractor.get_series().dtype == np.uint16
    assert extractor.get_native_timestamps() is None
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)
    np.testing.assert_array_equal(extractor.get_series(), raw(path, 8, 10))
    np.testing.assert_array_equal(extractor.get_series(3, 7), MOVIE[3:7])
    assert extractor.get_series(5, 5).shape == (0, 8, 10)
    assert extractor.get_series(12, 12).shape == (0, 8, 10)
    np.testing.assert_array_equal(ScanboxExtractor(path.with_suffix(".mat")).get_series(), MOVIE)


def test_same_pixels_as_roiextractors_where_it_reads_them(path):
    write_scanbox(path, MOVIE)
    theirs = SbxImagingExtractor(path)
    np.testing.assert_array_equal(theirs.get_series(0, 12), ScanboxExtractor(path).get_series())
    del theirs


@pytest.mark.parametrize("version", [2, 3])
def test_both_channels(path, version):
    """roiextractors refuses two channels."""
    write_scanbox(path, {0: MOVIE, 1: OTHER}, version=version)
    stored = raw(path, 8, 10, 2)
    for index, (name, movie) in enumerate({"PMT0": MOVIE, "PMT1": OTHER}.items()):
        extractor = ScanboxExtractor(path, channel_name=name)
        np.testing.assert_array_equal(extractor.get_series(), movie)
        np.testing.assert_array_equal(extractor.get_series(2, 9), stored[2:9, ..., index])
    with pytest.raises(SourceArgumentError, match="channels PMT0, PMT1"):
        ScanboxExtractor(path)
    with pytest.raises(SourceArgumentError, match="channels PMT0, PMT1"):
        ScanboxExtractor(path, channel_name="PMT2")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("number", [0, 1])
def test_one_channel_is_named_after_its_photomultiplier(path, version, number):
    write_scanbox(path, {number: MOVIE}, version=version)
    extractor = ScanboxExtractor(path)
    assert extractor.channel_name == f"PMT{number}"
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)


def test_fault_only_plane_0_read(path):
    """Frames of a tunable lens are its planes in turn; roiextractors gives the first alone."""
    write_scanbox(path, VOLUMES)
    stored = raw(path, 3, 8, 10)
    extractor = ScanboxExtractor(path)
    assert extractor.is_volumetric
    assert extractor.get_num_planes() == 3
    assert extractor.get_sample_shape() == (8, 10, 3)
    np.testing.assert_array_equal(extractor.get_series(), VOLUMES)
    np.testing.assert_array_equal(extractor.get_series(1, 3), stored[1:3].transpose(0, 2, 3, 1))
    for plane in range(3):
        one = ScanboxExtractor(path, plane_index=plane)
        assert not one.is_volumetric
        np.testing.assert_array_equal(one.get_series(), stored[:, plane])
        assert one.get_sampling_frequency() == 30.0
    with pytest.raises(SourceArgumentError, match="plane_index is 3"):
        ScanboxExtractor(path, plane_index=3)
    theirs = SbxImagingExtractor(path)
    np.testing.assert_array_equal(theirs.get_series(0, 4), stored[:, 0])
    del theirs


def test_planes_of_both_channels(path):
    other = VOLUMES[::-1]
    write_scanbox(path, {0: VOLUMES, 1: other})
    extractor = ScanboxExtractor(path, channel_name="PMT1", plane_index=2)
    np.testing.assert_array_equal(extractor.get_series(), other[..., 2])
    volumes = ScanboxExtractor(path, channel_name="PMT1")
    np.testing.assert_array_equal(volumes.get_series(1, 4), other[1:4])


def test_the_only_plane_of_a_wave_is_no_volume(path):
    """A wave of one entry is a number to MATLAB, of which roiextractors takes the length."""
    write_scanbox(path, MOVIE, info={"otwave": 100.0, "volscan": None})
    assert not ScanboxExtractor(path).is_volumetric
    with pytest.raises(TypeError):
        SbxImagingExtractor(path)


def test_several_threads_at_once(path):
    write_scanbox(path, {0: MOVIE, 1: OTHER})
    extractor = ScanboxExtractor(path, channel_name="PMT1")
    assert extractor.reads_in_parallel
    wrong: list[Any] = []

    def read(start: int) -> None:
        for _ in range(50):
            if not np.array_equal(extractor.get_series(start, start + 3), OTHER[start : start + 3]):
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("given", [(-1, 3), (0, 13), (5, 4), (13, 13)])
def test_samples_that_are_not_there(path, given):
    write_scanbox(path, MOVIE)
    with pytest.raises(SourceArgumentError, match="samples 0 to 12"):
        ScanboxExtractor(path).get_series(*given)


# --- the rate -----------------------------------------------------------------------------------

REAL_SETTINGS = {"resfreq": 7916, "scanmode": 1}


def test_fault_rate_truncated_to_an_integer(path):
    """7916 Hz over 512 lines are 15.46 frames per second; roiextractors says 15."""
    movie = np.zeros((2, 512, 4), np.uint16)
    write_scanbox(path, movie, info=REAL_SETTINGS)
    assert ScanboxExtractor(path).get_sampling_frequency() == 7916 / 512 == 15.4609375
    theirs = SbxImagingExtractor(path)
    assert theirs.get_sampling_frequency() == 15.0
    del theirs


def test_fault_rate_of_the_user_ignored(path):
    write_scanbox(path, MOVIE, sampling_frequency=15.5)
    assert ScanboxExtractor(path).get_sampling_frequency() == 15.5
    with pytest.warns(UserWarning, match=r"15.5 Hz \(resfreq\); the given 15.4 Hz are used"):
        given = ScanboxExtractor(path, sampling_frequency=15.4)
    assert given.get_sampling_frequency() == 15.4
    theirs = SbxImagingExtractor(path, sampling_frequency=15.4)
    assert theirs.get_sampling_frequency() == 15.0
    del theirs


def test_bidirectional_scan_is_twice_as_fast(path):
    write_scanbox(path, MOVIE, bidirectional=True, info={"resfreq": 7916})
    header = read_scanbox_header(path.with_suffix(".mat"))
    assert header.line_rate == 2 * 7916
    assert header.num_rows == 8
    extractor = ScanboxExtractor(path)
    assert extractor.get_sampling_frequency() == 2 * 7916 / 8
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)


def test_fault_rate_of_planes_taken_for_that_of_volumes(path):
    write_scanbox(path, VOLUMES, sampling_frequency=5.25)
    header = read_scanbox_header(path.with_suffix(".mat"))
    assert header.frame_rate == 15.75
    assert ScanboxExtractor(path).get_sampling_frequency() == 5.25
    theirs = SbxImagingExtractor(path)
    assert theirs.get_sampling_frequency() == 15
    del theirs


def test_folded_lines_are_frames_of_their_own(path):
    """A frame of 8 lines that scans 4 lines twice; roiextractors gives half as many, mixed."""
    write_scanbox(path, MOVIE, sampling_frequency=10.0, info={"fold_lines": 4})
    extractor = ScanboxExtractor(path)
    assert extractor.get_image_shape() == (4, 10)
    assert extractor.get_num_samples() == 24
    assert extractor.get_sampling_frequency() == 20.0
    np.testing.assert_array_equal(extractor.get_series(), raw(path, 4, 10))
    # What is asked of Scanbox are frames before they are folded.
    write_scanbox(path, MOVIE, frames_requested=13, info={"fold_lines": 4})
    with pytest.warns(UserWarning, match=r"has 24 frames, .* 26 were requested"):
        ScanboxExtractor(path)


def test_no_rate_is_asked_for(path):
    write_scanbox(path, MOVIE, info={"resfreq": None})
    with pytest.raises(SourceArgumentError, match=r"states no resfreq.*give sampling_frequency"):
        ScanboxExtractor(path)
    assert ScanboxExtractor(path, sampling_frequency=15.5).get_sampling_frequency() == 15.5


# --- what is wrong with the files ---------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 2, 159, 161])
def test_a_file_that_is_cut_off(path, cut):
    write_scanbox(path, MOVIE)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        CorruptSourceError, match=r"1[01] frames of 8 x 10 pixels.*belongs to another recording"
    ):
        ScanboxExtractor(path)


def test_an_empty_file(path):
    write_scanbox(path, MOVIE)
    path.write_bytes(b"")
    with pytest.raises(CorruptSourceError, match=r"its 0 bytes.*nothing to convert"):
        ScanboxExtractor(path)


def test_a_file_that_becomes_shorter_is_no_crash(path):
    write_scanbox(path, MOVIE)
    extractor = ScanboxExtractor(path)
    path.write_bytes(path.read_bytes()[:160])
    with pytest.raises(CorruptSourceError, match="shorter since it was opened"):
        extractor.get_series(10, 12)


def test_a_volume_that_was_not_completed_is_left_out(path):
    write_scanbox(path, VOLUMES, num_frames=11)
    with pytest.warns(UserWarning, match="11 frames: 3 volumes of 3 planes and 2 frames"):
        extractor = ScanboxExtractor(path)
    np.testing.assert_array_equal(extractor.get_series(), VOLUMES[:3])
    write_scanbox(path, VOLUMES, num_frames=2)
    with pytest.raises(CorruptSourceError, match="2 frames, less than one volume of 3 planes"):
        ScanboxExtractor(path)


def test_fewer_frames_than_asked_for(path):
    write_scanbox(path, MOVIE, frames_requested=20)
    with pytest.warns(UserWarning, match="has 12 frames, .* 20 were requested"):
        ScanboxExtractor(path)
    # Who stops it gets what there is.
    for given in ({"frames_requested": 20, "info": {"abort_bit": 1}}, {"frames_requested": 12}):
        write_scanbox(path, MOVIE, **given)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert ScanboxExtractor(path).get_num_samples() == 12


def test_lines_that_are_stated_twice(path):
    """roiextractors gives the shape of sz for frames of recordsPerBuffer lines."""
    write_scanbox(path, MOVIE, info={"sz": np.array([9, 10], np.uint16)})
    with pytest.warns(UserWarning, match="frames of 9 lines .* and of 8"):
        extractor = ScanboxExtractor(path)
    assert extractor.get_image_shape() == extractor.get_series(0, 1).shape[1:] == (8, 10)


@pytest.mark.parametrize(("lines", "rate"), [(16, 5.0), (4, 10.0)])
def test_lines_of_a_frame_that_are_not_its_rows(path, lines, rate):
    """Fault: the rate followed from either number, without a word."""
    config = {"lines": lines, "frames": 0}
    write_scanbox(path, MOVIE, sampling_frequency=10.0, info={"config": config})
    with pytest.warns(UserWarning, match=rf"{lines} lines of a frame .* frames of 8 lines"):
        assert ScanboxExtractor(path).get_sampling_frequency() == pytest.approx(rate)


def test_lines_of_folded_frames_are_not_compared(path):
    """Fault: a warning named the rate of frames before they are folded, which is not written."""
    config = {"lines": 4, "frames": 0}
    info = {"fold_lines": 4, "config": config}
    write_scanbox(path, MOVIE, sampling_frequency=10.0, info=info)
    assert ScanboxExtractor(path).get_sampling_frequency() == pytest.approx(20.0)


def test_volumes_without_planes(path):
    write_scanbox(path, MOVIE, info={"volscan": 1})
    with pytest.warns(UserWarning, match="without its planes"):
        extractor = ScanboxExtractor(path)
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)


TABLE = np.array([[100, 1.0], [200, 1.1], [300, 1.2]])


@pytest.mark.parametrize(
    ("info", "num_planes"),
    [
        ({"etl_table": TABLE, "otwave": np.arange(6.0), "volscan": 1}, 3),
        ({"etl_table": TABLE, "otwave": None, "volscan": 1}, 3),
        ({"etl_table": TABLE, "otwave": None, "volscan": None}, 3),
        ({"etl_table": TABLE, "volscan": 0}, 1),
        ({"etl_table": TABLE[:1], "otwave": np.arange(6.0), "volscan": 1}, 1),
        ({"etl_table": np.empty((0, 2)), "otwave": np.arange(3.0), "volscan": 1}, 3),
        ({"otwave": np.empty(0), "otparam": np.array([0, 500, 3]), "volscan": 1}, 3),
        ({"otwave": np.empty(0), "otparam": np.array([0, 500, 3]), "volscan": 0}, 1),
    ],
)
def test_planes_of_newer_headers(path, info, num_planes):
    stack = np.random.default_rng(5).integers(0, 65536, (4, 8, 10, 3)).astype("u2")
    write_scanbox(path, stack, sampling_frequency=10, info=info)
    extractor = ScanboxExtractor(path)
    assert extractor.metadata.num_planes == num_planes
    assert extractor.get_sampling_frequency() == pytest.approx(30 / num_planes)
    frames = stack.transpose(0, 3, 1, 2).reshape(12, 8, 10)
    expected = stack if num_planes == 3 else frames
    np.testing.assert_array_equal(extractor.get_series(), expected)


def test_two_numbers_of_planes(path):
    stack = np.random.default_rng(5).integers(0, 65536, (4, 8, 10, 3)).astype("u2")
    write_scanbox(path, stack, info={"otparam": np.array([0, 500, 6])})
    with pytest.warns(UserWarning, match="3 planes in otwave and 6 in otparam"):
        extractor = ScanboxExtractor(path)
    np.testing.assert_array_equal(extractor.get_series(), stack)


def _mesoscope(num_regions):
    galvo_a, galvo_b = np.arange(num_regions) * 300, np.arange(num_regions) * 20
    return {"mesoscope": {"enabled": 1, "galvo_a": galvo_a, "galvo_b": galvo_b}}


@pytest.mark.parametrize("num_regions", [2, 3])
def test_regions_of_a_mesoscope_take_turns(path, num_regions):
    write_scanbox(path, MOVIE, sampling_frequency=30, info=_mesoscope(num_regions))
    whole = len(MOVIE) // num_regions * num_regions
    incomplete = pytest.warns(UserWarning, match="of an incomplete round, which are left out")
    with incomplete if whole < len(MOVIE) else contextlib.nullcontext():
        streams = ScanboxImagingInterface.streams(path)
        movies = [ScanboxImagingInterface(**arguments) for arguments in streams.values()]
    assert list(streams) == [f"Region{index}" for index in range(num_regions)]
    for index, movie in enumerate(movies):
        extractor = movie.extractor
        np.testing.assert_array_equal(extractor.get_series(), MOVIE[index:whole:num_regions])
        np.testing.assert_array_equal(extractor.get_series(1, 2)[0], MOVIE[index + num_regions])
        assert extractor.get_sampling_frequency() == pytest.approx(30 / num_regions)
        expected = np.arange(index, whole, num_regions) / 30
        np.testing.assert_allclose(movie.get_timestamps(), expected)
        (plane,) = movie.get_metadata()["Ophys"]["ImagingPlane"]
        assert f"Region {index} of {num_regions} of a mesoscope" in plane["description"]
        assert f"galvo_a = {index * 300} and galvo_b = {index * 20}" in plane["description"]
        assert plane["name"].endswith(f"Region{index}")


def test_a_region_of_a_mesoscope_must_be_chosen(path):
    write_scanbox(path, MOVIE, info=_mesoscope(2))
    with pytest.raises(SourceArgumentError, match="2 regions of a mesoscope; give region_index"):
        ScanboxExtractor(path)
    with pytest.raises(SourceArgumentError, match="region_index"):
        ScanboxExtractor(path, region_index=2)


@pytest.mark.parametrize("info", [{"mesoscope": {"enabled": 0}}, _mesoscope(1)])
def test_one_region_is_a_movie(path, info):
    write_scanbox(path, MOVIE, info=info)
    np.testing.assert_array_equal(ScanboxExtractor(path).get_series(), MOVIE)


@pytest.mark.parametrize("stated", [{}, {"roi": np.zeros((2, 2))}, {"galvo_a": np.empty(0)}])
def test_regions_that_are_not_stated_are_refused(path, stated):
    """Fault: the frames of all regions became one movie, without a word."""
    write_scanbox(path, MOVIE, info={"mesoscope": {"enabled": 1, **stated}})
    with pytest.raises(SourceError, match=r"mesoscope\.enabled; its fields: enabled"):
        ScanboxExtractor(path)


def test_regions_in_several_planes_are_refused(path):
    write_scanbox(path, MOVIE, info={**_mesoscope(2), "otwave": np.arange(3), "volscan": 1})
    with pytest.raises(SourceError, match=r"2 regions \(mesoscope\.galvo_a\) in 3 planes"):
        ScanboxExtractor(path)


def test_a_line_scan(path):
    write_scanbox(path, MOVIE, info={"area_line": 0})
    with pytest.warns(UserWarning, match=r"line scan \(area_line is 0\)"):
        ScanboxExtractor(path)


def test_the_first_versions_state_no_direction(path):
    """Fault: files without scanmode, which Scanbox reads as one direction, were refused."""
    write_scanbox(path, MOVIE, info={"scanmode": None})
    np.testing.assert_array_equal(ScanboxExtractor(path).get_series(), MOVIE)


def test_the_number_of_channels_goes_before_the_code(path):
    """Fault: with a code that version 3 left in the file, two channels were rows of one."""
    chan = {"nchan": 2, "save": np.array([1, 1], np.uint8)}
    write_scanbox(path, {0: MOVIE, 1: MOVIE + 7}, version=3, info={"channels": 2, "chan": chan})
    for number in range(2):
        extractor = ScanboxExtractor(path, channel_name=f"PMT{number}")
        np.testing.assert_array_equal(extractor.get_series(), MOVIE + 7 * number)


def test_files_that_are_not_there(path, tmp_path, data_folder):
    write_scanbox(path, MOVIE)
    path.with_suffix(".mat").unlink()
    with pytest.raises(SourceNotFoundError, match=r"mouse_000_001\.mat' does not exist"):
        ScanboxExtractor(path)
    with pytest.raises(SourceNotFoundError, match=r"sample\.sbx' does not exist"):
        ScanboxExtractor(data_folder / "scanbox/sample.mat")
    with pytest.raises(SourceArgumentError, match=r"not a \.sbx file"):
        ScanboxExtractor(tmp_path)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"channels": 7}, "channels = 7 and no chan.nchan"),
        ({"scanmode": 2}, "scanmode = 2"),
        ({"recordsPerBuffer": 0}, "recordsPerBuffer = 0"),
        ({"recordsPerBuffer": None}, "no info with recordsPerBuffer"),
        ({"fold_lines": 3}, "8 lines are folded into frames of 3 lines"),
    ],
)
def test_what_cannot_be(path, info, message):
    write_scanbox(path, MOVIE, info=info)
    with pytest.raises(CorruptSourceError, match=message):
        ScanboxExtractor(path)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_header_that_is_damaged(path, content):
    write_scanbox(path, MOVIE)
    header = path.with_suffix(".mat")
    header.write_bytes(header.read_bytes()[:400] if content is None else content)
    with pytest.raises(CorruptSourceError, match=r"mouse_000_001\.mat' cannot be read"):
        ScanboxExtractor(path)
    scipy.io.savemat(header, {"other": 1})
    with pytest.raises(CorruptSourceError, match="no info"):
        ScanboxExtractor(path)


# --- the real header ----------------------------------------------------------------------------


def test_the_real_header(data_folder):
    header = read_scanbox_header(data_folder / "scanbox/sample.mat")
    assert (header.num_rows, header.num_columns) == (512, 796)
    assert header.channel_names == ["PMT0"]
    assert header.num_planes == 1
    assert header.line_rate == 7916
    assert header.sampling_frequency == 15.4609375
    assert header.frames_requested == 0


def test_pixels_with_the_real_header(data_folder, path):
    """The .sbx file of the real recording is absent; one of its shape is put beside its header."""
    movie = RANDOM.integers(0, 65536, (3, 512, 796), dtype=np.uint16)
    path.with_suffix(".mat").write_bytes((data_folder / "scanbox/sample.mat").read_bytes())
    (65535 - movie).astype("<u2").tofile(path)
    np.testing.assert_array_equal(ScanboxExtractor(path).get_series(), movie)


def test_scipy_that_is_absent(path, monkeypatch):
    write_scanbox(path, MOVIE)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    for call in (lambda: ScanboxExtractor(path), lambda: write_scanbox(path, MOVIE)):
        with pytest.raises(MissingPackageError, match=r'pip install "nwb-ophys\[scanbox\]"'):
            call()


def test_more_frames_than_requested_cause_a_warning(tmp_path):
    """Two channels that the header does not state are read as twice as many frames."""
    path = tmp_path / "a.sbx"
    movie = np.zeros((6, 8, 10), np.uint16)
    write_scanbox(path, {0: movie, 1: movie}, frames_requested=6, info={"channels": 2})
    with pytest.warns(UserWarning, match="has 12 frames of .* channels PMT0, .* 6 were requested"):
        ScanboxExtractor(path)
