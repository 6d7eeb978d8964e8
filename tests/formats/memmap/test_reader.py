"""Tests of files that contain only pixels, and of CaImAn's memory maps, against NumPy."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from roiextractors import NumpyMemmapImagingExtractor
from roiextractors.extraction_tools import VideoStructure

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats.memmap.reader import RawBinaryExtractor, find_raw_binary
from nwb_ophys.testing import write_memmap

RANDOM = np.random.default_rng(0)
# Every axis of a length of its own, so that none is taken for another.
WHOLE = RANDOM.integers(0, 4096, (12, 7, 9, 3, 2), dtype=np.uint16)  # T, Y, X, Z, C
MOVIE, VOLUMES = WHOLE[..., 0, 0], WHOLE[..., 0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movie.raw"


def opened(path: Path, rate: float = 10.0, **given) -> RawBinaryExtractor:
    indices = {key: given.pop(key) for key in ("channel_index", "plane_index") if key in given}
    return RawBinaryExtractor(find_raw_binary(path, **given), rate, **indices)


def ordered(movie: np.ndarray, axes: str, order: str) -> np.ndarray:
    return movie.transpose([axes.index(letter) for letter in order])


# --- pixels -------------------------------------------------------------------------------------


def test_frames(path):
    MOVIE.tofile(path)
    extractor = opened(path, shape=[12, 7, 9], dtype="uint16")
    assert extractor.get_image_shape() == extractor.get_sample_shape() == (7, 9)
    assert extractor.get_num_samples() == 12
    assert extractor.get_dtype() == np.uint16
    assert extractor.get_sampling_frequency() == 10.0
    assert extractor.get_native_timestamps() is None
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)
    np.testing.assert_array_equal(extractor.get_series(3, 8), MOVIE[3:8])
    assert extractor.get_series(12, 12).shape == (0, 7, 9)


def test_fault_frames_with_an_axis_of_channels(path):
    """roiextractors says (rows, columns) and gives samples with a fourth axis."""
    MOVIE.tofile(path)
    structure = VideoStructure(
        num_rows=7,
        num_columns=9,
        num_channels=1,
        frame_axis=0,
        rows_axis=1,
        columns_axis=2,
        channels_axis=3,
    )
    theirs = NumpyMemmapImagingExtractor(path, structure, 10.0, np.uint16)
    assert theirs.get_image_shape() == (7, 9)
    assert theirs.get_series(0, 2).shape == (2, 7, 9, 1)
    del theirs
    extractor = opened(path, shape=[12, 7, 9, 1], dtype="uint16", dimension_order="TYXC")
    assert extractor.get_series(0, 2).shape == (2, 7, 9)


@pytest.mark.parametrize("order", ["TYXZC", "CTZYX", "TCZYX", "XYZCT", "ZXTCY"])
def test_channels_and_planes_in_any_order(path, order):
    stored = ordered(WHOLE, "TYXZC", order)
    path.write_bytes(b"heading" + np.ascontiguousarray(stored).tobytes())
    given = {"shape": list(stored.shape), "dtype": "<u2", "dimension_order": order, "offset": 7}
    for channel, plane in itertools.product(range(2), (None, 0, 2)):
        extractor = opened(path, channel_index=channel, plane_index=plane, **given)
        expected = WHOLE[..., channel] if plane is None else WHOLE[..., plane, channel]
        np.testing.assert_array_equal(extractor.get_series(1, 9), expected[1:9])
        assert extractor.get_series(4, 4).shape == (0, *expected.shape[1:])
    with pytest.raises(SourceArgumentError, match="There are 2 channels"):
        opened(path, **given)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<i4", ">f4", "float64"])
def test_types_and_byte_orders(path, dtype):
    movie = (MOVIE % 250).astype(dtype)
    movie.tofile(path)
    extractor = opened(path, shape=[-1, 7, 9], dtype=dtype)
    found = extractor.get_series()
    assert extractor.get_num_samples() == 12
    assert found.dtype == extractor.get_dtype() == movie.dtype.newbyteorder("=")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, movie)


def test_several_threads_at_once(path):
    MOVIE.tofile(path)
    extractor = opened(path, shape=[12, 7, 9], dtype="uint16")
    assert extractor.reads_in_parallel
    wrong = []

    def read(start: int) -> None:
        for _ in range(50):
            if not np.array_equal(extractor.get_series(start, start + 3), MOVIE[start : start + 3]):
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- CaImAn -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_map_of_caiman(tmp_path, order):
    """Read as CaImAn's own load does: a matrix of pixels by frames, images by columns."""
    path = write_memmap(tmp_path, MOVIE, order=order)
    assert path.name == f"memmap_d1_7_d2_9_d3_1_order_{order}_frames_12_.mmap"
    matrix = np.memmap(path, np.float32, mode="r", shape=(63, 12), order=order)
    expected = np.reshape(matrix.T, (12, 7, 9), order="F")
    np.testing.assert_array_equal(expected, MOVIE)
    extractor = opened(path)
    assert extractor.get_dtype() == np.float32
    assert not extractor.is_volumetric
    np.testing.assert_array_equal(extractor.get_series(), expected)
    np.testing.assert_array_equal(extractor.get_series(3, 5), expected[3:5])


@pytest.mark.parametrize("order", ["C", "F"])
def test_volumes_of_caiman(tmp_path, order):
    path = write_memmap(tmp_path, VOLUMES, order=order, stem="Yr")
    shorter = path.rename(path.with_name(path.name.replace("_.mmap", ".mmap")))
    matrix = np.memmap(shorter, np.float32, mode="r", shape=(189, 12), order=order)
    expected = np.reshape(matrix.T, (12, 7, 9, 3), order="F")
    extractor = opened(shorter)
    assert extractor.get_sample_shape() == (7, 9, 3)
    np.testing.assert_array_equal(extractor.get_series(), expected)
    np.testing.assert_array_equal(extractor.get_series(), VOLUMES)
    plane = opened(shorter, plane_index=2)
    np.testing.assert_array_equal(plane.get_series(2, 4), VOLUMES[2:4, ..., 2])


def test_what_is_given_wins_over_the_name(tmp_path):
    path = write_memmap(tmp_path, MOVIE)
    extractor = opened(path, shape=[12, 9, 7], dtype="<f4", dimension_order="TXY")
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)


# --- what is wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "has no header: give shape"),
        ({"shape": [12, 7, 9]}, "and dtype"),
        ({"dtype": "uint16"}, "give shape"),
        ({"shape": [12, 7, 9], "dtype": "uint17"}, "'uint17', which NumPy does not know"),
        ({"shape": [12, 7, 9], "dtype": "bool"}, "integers or real numbers"),
        ({"shape": [12, 0, 9], "dtype": "u2"}, "lengths must be at least 1"),
        ({"shape": [-1, -1, 9], "dtype": "u2"}, "-1 at most once"),
        ({"shape": [12, 7, 9], "dtype": "u2", "dimension_order": "TY"}, "one letter for each"),
        ({"shape": [12, 63], "dtype": "u2"}, "one letter for each of the 2 axes"),
        ({"shape": [12, 7, 9], "dtype": "u2", "offset": -2}, "offset is -2"),
    ],
)
def test_wrong_arguments(path, given, message):
    MOVIE.tofile(path)
    with pytest.raises(SourceArgumentError, match=message):
        opened(path, **given)


@pytest.mark.parametrize("shape", [[11, 7, 9], [13, 7, 9], [-1, 7, 10]])
def test_a_file_of_another_size(path, shape):
    MOVIE.tofile(path)
    with pytest.raises(CorruptSourceError, match=r"1512 bytes|truncated.*1512 bytes"):
        opened(path, shape=shape, dtype="uint16")


def test_files_that_are_cut_off_or_empty(path, tmp_path):
    whole = write_memmap(tmp_path, MOVIE)
    whole.write_bytes(whole.read_bytes()[:-4])
    with pytest.raises(
        CorruptSourceError, match=r"its 3020 bytes .* the 3024 bytes of 12 x 1 x 9 x 7 .* 11 of 12"
    ):
        opened(whole)
    path.write_bytes(b"")
    with pytest.raises(CorruptSourceError, match="has 0 bytes"):
        opened(path, shape=[-1, 7, 9], dtype="u2")
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        opened(tmp_path / "absent.raw")
    with pytest.raises(SourceNotFoundError, match="is a folder"):
        opened(tmp_path)


def test_a_file_that_becomes_shorter_is_no_crash(path):
    MOVIE.tofile(path)
    extractor = opened(path, shape=[12, 7, 9], dtype="uint16")
    path.write_bytes(b"short")
    with pytest.raises(SourceError, match="shorter since it was opened"):
        extractor.get_series(0, 1)


@pytest.mark.parametrize("given", [{"dtype": "float64"}, {"dimension_order": "TYX"}])
def test_what_the_name_states_is_not_given_without_a_shape(tmp_path, given):
    """It was ignored without a word."""
    path = write_memmap(tmp_path, np.zeros((4, 5, 6), np.float32))
    with pytest.raises(
        SourceArgumentError, match=r"The name of .* states its dtype and dimension_order"
    ):
        find_raw_binary(path, **given)
