"""Tests of movies in HDF5 files against h5py and NumPy."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from roiextractors import Hdf5ImagingExtractor

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.axes import note_time_last
from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
from nwb_ophys.formats.hdf5.reader import Hdf5MovieExtractor, find_hdf5_movie
from nwb_ophys.formats.nwb.files import choose
from nwb_ophys.storage.backends.hdf5_reading import ChunkReader
from nwb_ophys.testing import write_hdf5
from nwb_ophys.trial.child import Progress, walk

RANDOM = np.random.default_rng(0)
# Every axis of a length of its own, so that none is taken for another.
WHOLE = RANDOM.integers(0, 4096, (12, 7, 9, 3, 2), dtype=np.uint16)  # T, Y, X, Z, C
MOVIE, VOLUMES, CHANNELS = WHOLE[..., 0, 0], WHOLE[..., 0], WHOLE[..., 0, :]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "movie.hdf5"


def opened(path: Path, name: str | None = None, order: str | None = None, **given) -> object:
    return Hdf5MovieExtractor(find_hdf5_movie(path, name, order), **given)


def ordered(movie: np.ndarray, axes: str, order: str) -> np.ndarray:
    return movie.transpose([axes.index(letter) for letter in order])


# --- axes ---------------------------------------------------------------------------------------


def test_fault_three_axes_unusable(path):
    """The layout that CaImAn writes: (time, rows, columns). roiextractors wants a fourth axis."""
    write_hdf5(path, MOVIE, sampling_frequency=7.5)
    extractor = opened(path)
    assert extractor.get_image_shape() == extractor.get_sample_shape() == (7, 9)
    assert extractor.get_num_samples() == 12
    assert extractor.get_dtype() == np.uint16
    assert extractor.get_sampling_frequency() == 7.5
    assert not extractor.is_volumetric
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)
    np.testing.assert_array_equal(extractor.get_series(3, 8), MOVIE[3:8])
    assert extractor.get_series(4, 4).shape == (0, 7, 9)
    extractor.close()
    with pytest.raises(ValueError, match="not enough values to unpack"):
        Hdf5ImagingExtractor(path)


def test_fault_channel_0_only(path):
    stored = ordered(CHANNELS, "TYXC", "CTYX")
    write_hdf5(path, stored)
    theirs = Hdf5ImagingExtractor(path)
    np.testing.assert_array_equal(theirs.get_series(0, 12), stored[0])
    del theirs
    for channel in range(2):
        extractor = opened(path, channel_index=channel)
        np.testing.assert_array_equal(extractor.get_series(), stored[channel])
        extractor.close()
    with pytest.raises(SourceArgumentError, match=r"There are 2 channels; .* 0 to 1"):
        opened(path)
    with pytest.raises(SourceArgumentError, match="channel_index is 2"):
        opened(path, channel_index=2)


@pytest.mark.parametrize("order", ["".join(letters) for letters in itertools.permutations("TYX")])
def test_three_axes_in_any_order(path, order):
    write_hdf5(path, ordered(MOVIE, "TYX", order))
    extractor = opened(path, order=order)
    np.testing.assert_array_equal(extractor.get_series(2, 11), MOVIE[2:11])
    extractor.close()


@pytest.mark.parametrize("order", ["".join(letters) for letters in itertools.permutations("TYXZ")])
def test_volumes_in_any_order(path, order):
    write_hdf5(path, ordered(VOLUMES, "TYXZ", order), dimension_labels=order)
    extractor = opened(path)  # the labels state the order
    assert extractor.get_sample_shape() == (7, 9, 3)
    np.testing.assert_array_equal(extractor.get_series(2, 11), VOLUMES[2:11])
    plane = opened(path, order=order.lower(), plane_index=1)
    np.testing.assert_array_equal(plane.get_series(2, 11), VOLUMES[2:11, ..., 1])
    assert plane.get_series(5, 5).shape == (0, 7, 9)
    extractor.close()
    plane.close()


@pytest.mark.parametrize(("movie", "axes"), [(MOVIE, "TYX"), (CHANNELS, "TYXC")])
def test_a_variable_that_matlab_saved(path, movie, axes):
    """Fault: MATLAB's (rows, columns, time) was read with rows and columns exchanged."""
    order = "TXY" if axes == "TYX" else "CTXY"
    write_hdf5(path, ordered(movie, axes, order))
    with h5py.File(path, "a") as file:
        file["mov"].attrs["MATLAB_class"] = np.bytes_("uint16")
    extractor = opened(path, channel_index=1 if "C" in axes else None)
    expected = movie[..., 1] if "C" in axes else movie
    np.testing.assert_array_equal(extractor.get_series(), expected)
    extractor.close()


@pytest.mark.parametrize("order", ["TYXZC", "CTZYX", "TCZYX", "XYZCT", "ZXTCY"])
def test_five_axes(path, order):
    write_hdf5(path, ordered(WHOLE, "TYXZC", order))
    for channel, plane in itertools.product(range(2), (None, 0, 2)):
        extractor = opened(path, order=order, channel_index=channel, plane_index=plane)
        expected = WHOLE[..., channel] if plane is None else WHOLE[..., plane, channel]
        np.testing.assert_array_equal(extractor.get_series(1, 9), expected[1:9])
        extractor.close()


@pytest.mark.parametrize("shape", [(12, 7, 9, 3), (5, 12, 7, 9), (3, 3, 7, 9), (2, 12, 7, 9, 3)])
def test_an_order_that_is_not_stated_is_asked_for(path, shape):
    write_hdf5(path, np.zeros(shape))
    with pytest.raises(SourceArgumentError, match="without a stated order; give dimension_order"):
        opened(path)


@pytest.mark.parametrize("order", ["TY", "TYXZ", "TXX", "TZX", "TYW", ""])
def test_a_wrong_order(path, order):
    write_hdf5(path, MOVIE, dimension_labels="YXT")
    if order:
        with pytest.raises(
            SourceArgumentError, match=f"'{order}'; it must have one letter for each"
        ):
            opened(path, order=order)
    else:
        assert find_hdf5_movie(path, dimension_order=order).axes.order == "YXT"


# --- datasets, values, times --------------------------------------------------------------------


def test_the_dataset_that_is_meant(path):
    write_hdf5(path, MOVIE, dataset_name="data")
    with h5py.File(path, "a") as file:
        file["deep/movie"] = MOVIE + 1
        file["mask"] = np.zeros((7, 9))
    assert find_hdf5_movie(path).name == "data"
    assert find_hdf5_movie(path, "deep/movie").name == "deep/movie"
    with h5py.File(path, "a") as file:
        file["other"] = MOVIE
    with pytest.raises(SourceArgumentError, match=r"has 3 datasets .*'data' \(12, 7, 9\)"):
        find_hdf5_movie(path)
    with h5py.File(path, "a") as file:
        file["mov"] = MOVIE
    assert find_hdf5_movie(path).name == "mov"
    for name in ("absent", "deep"):
        with pytest.raises(SourceArgumentError, match=f"no dataset '{name}'; it has 'data'"):
            find_hdf5_movie(path, name)


def test_the_only_dataset_in_groups(path):
    write_hdf5(path, MOVIE, dataset_name="a/b")
    assert find_hdf5_movie(path).name == "a/b"


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<i4", ">f4", "float64"])
def test_values_of_any_type(path, dtype):
    movie = (MOVIE % 250).astype(dtype)
    write_hdf5(path, movie)
    extractor = opened(path)
    found = extractor.get_series()
    assert found.dtype == extractor.get_dtype() == movie.dtype.newbyteorder("=")
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, movie)
    extractor.close()


def test_only_what_is_asked_for_is_read(path, monkeypatch):
    """A movie in chunks: a sample is read with the chunks that it is in."""
    write_hdf5(path, MOVIE, chunks=(4, 7, 9), compression="gzip")
    extractor = opened(path)
    decoded = []
    read_chunk = ChunkReader._read_chunk
    monkeypatch.setattr(
        ChunkReader,
        "_read_chunk",
        lambda self, corner: decoded.append(corner) or read_chunk(self, corner),
    )
    np.testing.assert_array_equal(extractor.get_series(5, 6), MOVIE[5:6])
    assert decoded
    assert all(first == 4 for first, _, _ in decoded)
    assert extractor.reads_in_parallel
    extractor.close()


def test_rate_that_is_stated_given_or_neither(path):
    write_hdf5(path, MOVIE, sampling_frequency=None)
    with pytest.raises(SourceArgumentError, match=r"no attribute fr.*give sampling_frequency"):
        opened(path)
    extractor = opened(path, sampling_frequency=5.0)
    assert extractor.get_sampling_frequency() == 5.0
    extractor.close()
    write_hdf5(path, MOVIE, sampling_frequency=7.5)
    with pytest.warns(UserWarning, match=r"states 7.5 Hz \(fr of 'mov'\); the given 5 Hz are used"):
        extractor = opened(path, sampling_frequency=5.0)
    assert extractor.get_sampling_frequency() == 5.0
    extractor.close()


@pytest.mark.parametrize("place", ["mov", "/", "frameRate"])
def test_a_rate_of_another_name_is_named(path, place):
    """Fault: a given rate replaced one that the file states, without a word."""
    write_hdf5(path, MOVIE, sampling_frequency=None)
    with h5py.File(path, "a") as file:
        if place == "frameRate":
            file[place] = [[7.5]]
        else:
            file[place].attrs["frameRate"] = 7.5
    with pytest.raises(SourceArgumentError, match=r"unknown \(it states frameRate = 7\.5, "):
        opened(path)
    with pytest.warns(UserWarning, match=r"7.5 Hz \(frameRate\); the given 5 Hz are used"):
        opened(path, sampling_frequency=5.0).close()
    opened(path, sampling_frequency=7.5).close()


@pytest.mark.parametrize("wrong", ["thirty", [1.0, 2.0], np.nan])
def test_a_rate_that_is_no_number(path, wrong):
    write_hdf5(path, MOVIE, sampling_frequency=None)
    with h5py.File(path, "a") as file:
        file["mov"].attrs["fr"] = wrong
    assert find_hdf5_movie(path).rate is None


def test_start_time_is_kept(path):
    """roiextractors reads it and gives no times."""
    write_hdf5(path, MOVIE, sampling_frequency=10.0, start_time=2.5)
    extractor = opened(path)
    np.testing.assert_allclose(extractor.get_native_timestamps(), 2.5 + np.arange(12) / 10)
    np.testing.assert_allclose(extractor.get_native_timestamps(3, 5), [2.8, 2.9])
    extractor.close()
    write_hdf5(path, MOVIE, start_time=0.0)
    extractor = opened(path)
    assert extractor.get_native_timestamps() is None
    extractor.close()


# --- what is wrong with the file ----------------------------------------------------------------


def test_damaged_files(path, tmp_path):
    write_hdf5(path, MOVIE)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(CorruptSourceError, match=r"movie\.hdf5' cannot be read as an HDF5"):
            opened(path)
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        opened(tmp_path / "absent.h5")
    with pytest.raises(SourceArgumentError, match="is a folder"):
        opened(tmp_path)


def test_a_damaged_chunk_is_named(path):
    write_hdf5(path, MOVIE, chunks=(4, 7, 9), compression="gzip")
    with h5py.File(path) as file:
        place = file["mov"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + 40] = bytes(40)
    path.write_bytes(content)
    extractor = opened(path)
    np.testing.assert_array_equal(extractor.get_series(0, 4), MOVIE[:4])
    with pytest.raises(CorruptSourceError, match=r"movie.hdf5' .*the chunk at \(4, "):
        extractor.get_series(3, 5)
    extractor.close()
    with pytest.raises(SourceError, match="was closed"):
        extractor.get_series(0, 1)


def test_a_filter_that_hdf5_lacks_is_found(path):
    """In a process of its own: who has imported hdf5plugin has its filters for good."""
    hdf5plugin = pytest.importorskip("hdf5plugin")
    write_hdf5(path, MOVIE, chunks=(4, 7, 9), **hdf5plugin.Zstd())
    code = (
        "import sys; from pathlib import Path; from nwb_ophys.formats.hdf5.reader import *\n"
        "assert 'hdf5plugin' not in sys.modules\n"
        "movie = Hdf5MovieExtractor(find_hdf5_movie(Path(sys.argv[1])))\n"
        "print(movie.get_series(3, 5).sum())"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.stdout.split() == [str(MOVIE[3:5].sum())], done.stderr


def test_a_filter_that_nobody_brings_is_named(path, monkeypatch):
    write_hdf5(path, MOVIE, chunks=(4, 7, 9), compression="gzip")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: False)
    with pytest.raises(SourceError, match=r"by the filter 1 \(deflate\)"):
        opened(path)


@pytest.mark.parametrize("data", [np.zeros((3, 7, 9), complex), np.zeros((3, 7, 9), "S4")])
def test_what_is_no_movie(path, data):
    write_hdf5(path, data)
    with pytest.raises(SourceError, match="a movie must have numbers"):
        find_hdf5_movie(path, "mov")
    with pytest.raises(SourceArgumentError, match="has 0 datasets"):
        find_hdf5_movie(path)


@pytest.mark.parametrize("given", [(-1, 3), (0, 13), (5, 4)])
def test_samples_that_are_not_there(path, given):
    write_hdf5(path, MOVIE)
    extractor = opened(path)
    with pytest.raises(SourceArgumentError, match="samples 0 to 12"):
        extractor.get_series(*given)
    extractor.close()


def test_a_dataset_without_an_array(tmp_path):
    """One of HDF5's null dataspace has no shape, which ended in a TypeError."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["mov"] = h5py.Empty("f4")
        file["number"] = 3.0
    for name in ("mov", "number"):
        with pytest.raises(SourceError, match="must have numbers and no empty axis"):
            find_hdf5_movie(path, name)


def test_a_start_time_that_counts_from_a_date_is_named(path):
    """Fault: it became 0 without a word."""
    write_hdf5(path, MOVIE, sampling_frequency=10.0, start_time=1.7e9)
    with pytest.warns(
        UserWarning, match=r"'mov' in .* states 1\.7e\+09 s as the time of its first"
    ):
        assert Hdf5MovieExtractor(find_hdf5_movie(path)).get_native_timestamps() is None


def test_time_that_is_likely_the_last_axis(path):
    """Fault: a movie of (rows, columns, time) was one of other frames, without a word."""
    write_hdf5(path, np.zeros((40, 40, 6), "u1"))
    note = r"read as 40 frames of 40 x 6 pixels. If it is 6 frames of 40 x 40 pixels, give "
    with pytest.warns(UserWarning, match=note + "dimension_order=YXT"):
        find_hdf5_movie(path)
    assert find_hdf5_movie(path, dimension_order="YXT").axes.size("T") == 6
    with pytest.warns(UserWarning, match=note + "np.moveaxis"):
        NumpyImagingInterface(np.zeros((40, 40, 6), "u1"), sampling_frequency=9.0)
    with pytest.warns(UserWarning, match=r"If it is 2305 frames of 40 x 50 pixels"):
        note_time_last("it", (40, 50, 2305), "")
    for shape in ((40, 40, 40), (40, 50, 2304), (3000, 50, 2305), (40, 700, 2305)):
        note_time_last("it", shape, "")


def test_names_that_are_not_utf_8_hide_nothing(tmp_path):
    """Fault: one such name hid its whole group, and the file was said to be damaged."""
    path = tmp_path / "a.h5"
    movie = np.arange(120, dtype=np.uint16).reshape(5, 4, 6)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(movie.shape)
        own = h5py.h5d.create(file.id, b"caf\xe9", h5py.h5t.NATIVE_UINT16, space)
        own.write(h5py.h5s.ALL, h5py.h5s.ALL, movie)
        h5py.h5g.create(file.id, b"#gr\xe9")
        file["group/table"] = [1, 2]
        assert walk(str(path), Progress(lambda: None)) == []
    outline = read_hdf5_outline(path)
    assert sorted(outline.datasets) == ["caf\udce9", "group/table"]
    extractor = Hdf5MovieExtractor(find_hdf5_movie(path), sampling_frequency=30.0)
    np.testing.assert_array_equal(extractor.get_series(), movie)
    extractor.close()


@pytest.mark.parametrize("place", ["mov", "/"])
def test_attributes_whose_names_are_not_utf_8_are_no_rate(tmp_path, place):
    """Fault: such a name, as of a unit in Latin-1, made the file a damaged one."""
    path = tmp_path / "a.h5"
    write_hdf5(path, np.zeros((3, 4, 5), np.uint16))
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file[place].id, b"a_\xb5m", h5py.h5t.NATIVE_DOUBLE, space)
        file[place].attrs["frame_rate"] = 7.5
    assert find_hdf5_movie(path).other_rate == ("frame_rate", 7.5)


def test_a_file_that_a_program_writes_is_named_as_such(tmp_path):
    """Fault: with a given format it was "not a complete NWB file", or the error of the system."""
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "a.nwb"
    write_hdf5(path, np.zeros((3, 4, 5), np.uint16))
    with path.open("r+b") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        for read in (
            find_hdf5_movie,
            lambda given: choose(given, ("TwoPhotonSeries",), None, "name"),
        ):
            with pytest.raises(SourceError, match="it is open for writing in another program"):
                read(path)
