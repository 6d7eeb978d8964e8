"""Tests of the statistics of movies, against plain NumPy."""

from __future__ import annotations

import itertools
import math
import os
import random
import subprocess
import sys
import threading
from unittest import mock

import h5py
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_ophys.errors import ArgumentError, CorruptSourceError, MemoryLimitError, SourceError
from nwb_ophys.reports import statistics_tiles
from nwb_ophys.reports.statistics import movie_statistics
from nwb_ophys.reports.statistics_gatherer import BlockGatherer
from nwb_ophys.reports.statistics_model import FramePlan
from tests.reports.plain_numpy import check

DTYPES = ("u1", "u2", "i1", "i2", "u4", "i4", "i8", "u8", "f4", "f8", ">u2", ">i2", ">f4", "?")


needs_compiler = pytest.mark.skipif(
    statistics_tiles._compiled is None and not os.environ.get("CI"), reason="no compiler was there"
)


@pytest.fixture(params=["compiled", "not compiled"])
def installation(request, monkeypatch):
    """The package as a compiler was there when it was installed, or was not."""
    if request.param == "not compiled":
        monkeypatch.setattr(statistics_tiles, "_compiled", None)


def movie_of(seed, dtype, shape, brightness, odd=True):
    """Return a movie with blank, repeated and dark frames, and values that are not finite."""
    rng, kind = np.random.default_rng(seed), np.dtype(dtype)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    values = rng.poisson(3.0, shape).astype(np.float64)
    if kind.kind == "f":
        values = rng.normal(0, 1, shape) * 10.0 ** rng.integers(-3, 4) + rng.normal()
    else:
        most = np.iinfo(kind).max
        values *= {"dim": 1, "bright": max(most // 40, 1), "full": max(most // 3, 1)}[brightness]
        if kind.kind == "i":
            values -= values.mean() // 1
        values = np.clip(values, np.iinfo(kind).min, min(most, 2**62))
    movie = values.astype(kind)
    if odd:
        for _ in range(rng.integers(0, 4)):
            first, second = rng.integers(0, len(movie), 2)
            movie[first] = movie[max(first - 1, 0)]
            movie[second] = movie[second].reshape(-1)[0]
        if kind.kind == "f":
            for value in (np.nan, np.inf, -np.inf):
                movie[rng.random(shape) < 0.02] = value
            movie[rng.random(shape) < 0.05] = 0
            if rng.random() < 0.3:
                movie.reshape(len(movie), -1)[:, 0] = np.nan
    return movie


def cuts(draw, size):
    """Return the slices of a division of an axis."""
    places = draw(st.lists(st.integers(1, max(size - 1, 1)), max_size=3)) if size > 1 else []
    edges = sorted({0, size, *places})
    return [slice(*pair) for pair in itertools.pairwise(edges)]


@st.composite
def divided_movies(draw):
    """Return a movie, its blocks in any order, and how their memory is ordered."""
    shape = (draw(st.integers(1, 40)), *draw(st.lists(st.integers(1, 9), max_size=3)))
    dtype, brightness = (
        draw(st.sampled_from(DTYPES)),
        draw(st.sampled_from(["dim", "bright", "full"])),
    )
    movie = movie_of(draw(st.integers(0, 1 << 30)), dtype, shape, brightness)
    tiles = list(itertools.product(*(cuts(draw, size) for size in shape)))
    random.Random(draw(st.integers(0, 99))).shuffle(tiles)
    return movie, tiles, draw(st.permutations(range(movie.ndim)))


def in_memory_order(block, order):
    """Return equal values whose axes lie in memory in the given order, slowest first."""
    return np.ascontiguousarray(block.transpose(order)).transpose(np.argsort(order))


@given(divided_movies(), st.booleans(), st.booleans())
@settings(max_examples=300)
def test_any_division_gives_the_statistics_of_plain_numpy(divided, is_threaded, is_compiled):
    part = statistics_tiles._compiled if is_compiled else None
    with mock.patch.object(statistics_tiles, "_compiled", part):
        _check_division(*divided, is_threaded)


def _check_division(movie, tiles, order, is_threaded):
    gatherer = BlockGatherer(
        movie.dtype, movie.shape[1:], FramePlan.of(len(movie), math.prod(movie.shape[1:]))
    )

    def add(some):
        for tile in some:
            gatherer.add(tile[0].start, tile[1:], in_memory_order(movie[tile], order))

    if is_threaded:
        threads = [threading.Thread(target=add, args=(tiles[start::3],)) for start in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        add(tiles)
    check(gatherer.result(), movie)


@given(divided_movies(), st.data())
@settings(max_examples=30)
def test_statistics_with_a_block_missing_are_none(divided, data):
    movie, tiles, _ = divided
    gatherer = BlockGatherer(movie.dtype, movie.shape[1:], FramePlan.of(len(movie), 1))
    missing = data.draw(st.integers(0, len(tiles) - 1))
    for index, tile in enumerate(tiles):
        if index != missing:
            gatherer.add(tile[0].start, tile[1:], movie[tile])
    assert gatherer.result() is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
@pytest.mark.parametrize("value", [1, 100, 181, 255, 3276, 32767, 65535])
def test_sums_of_long_bright_movies_do_not_overflow(dtype, value, installation):
    if value > np.iinfo(dtype).max:
        pytest.skip("The dtype does not have the value.")
    movie = np.full((70_000, 2, 3), value, dtype)
    movie[1::2, 0, 0] = 0
    found = movie_statistics(movie, workers=0)
    assert found.mean[1, 1] == value
    assert found.mean[0, 0] == np.float32(value / 2)
    assert found.num_zero == 35_000
    np.testing.assert_allclose(
        found.standard_deviation[0, 0],
        0 if found.std_frames == 35_000 else value / 2,
        rtol=0.01,
        atol=value / 2,
    )


def test_large_frames_are_cut_into_tiles(installation, monkeypatch):
    monkeypatch.setattr(statistics_tiles, "_TILE_BYTES", 1 << 19)
    monkeypatch.setattr(statistics_tiles, "_COMPILED_TILE_BYTES", 1 << 19)
    movie = np.random.default_rng(0).integers(0, 3000, (12, 301, 203)).astype(np.uint16)
    movie[4] = movie[3]
    movie[4, 300, 202] += 1  # of a few pixels that are compared first, none differs
    movie[9] = movie[8]
    check(movie_statistics(movie, workers=2), movie)


def behind_a_header_of_one_byte(values):
    """Return the same values at an odd address, as a memory map of a raw file gives them."""
    return np.frombuffer(b"x" + values.tobytes(), values.dtype, offset=1).reshape(values.shape)


@needs_compiler
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
@pytest.mark.parametrize("num_frames", [1, 3, 4, 7, 32_768])
@pytest.mark.parametrize("value", ["random", "least", "most"])
def test_the_compiled_sums_are_exact_at_all_limits(dtype, num_frames, value):
    limits = np.iinfo(dtype)
    shape = (num_frames, 5 if num_frames > 9 else 8193)
    random = np.random.default_rng(0).integers(limits.min, limits.max + 1, shape)
    tile = {"least": np.full(shape, limits.min), "most": np.full(shape, limits.max)}.get(
        value, random
    )
    tile = tile.astype(dtype)
    for each in (tile, tile[:, ::2], np.asfortranarray(tile), behind_a_header_of_one_byte(tile)):
        summary, wide = statistics_tiles.summary_of(each), each.astype(np.int64)
        np.testing.assert_array_equal(summary.maximum, wide.max(axis=0))
        np.testing.assert_array_equal(summary.sums, wide.sum(axis=0))
        np.testing.assert_array_equal(summary.frame_sums, wide.sum(axis=1))
        assert summary.num_zero == np.count_nonzero(each == 0)
        assert summary.largest_sum >= np.abs(wide.sum(axis=0)).max()
        sums, squares = np.zeros((2, each.shape[1]), np.int64)
        for part in (each, each[:1]):
            statistics_tiles.add_moments(part, sums, squares)
        np.testing.assert_array_equal(sums, wide.sum(axis=0) + wide[0])
        np.testing.assert_array_equal(squares, (wide * wide).sum(axis=0) + wide[0] ** 2)


@needs_compiler
def test_the_compiled_part_refuses_arrays_that_do_not_fit():
    summarise, moments = statistics_tiles._compiled.summarise, statistics_tiles._compiled.moments
    tile, maximum = np.zeros((4, 10), np.uint16), np.zeros(10, np.uint16)
    sums, frame_sums = np.zeros(10, np.uint32), np.zeros(4, np.int64)
    summarise(tile, maximum, sums, frame_sums)
    for wrong in (
        (tile.astype(np.float32), maximum, sums, frame_sums),
        (tile.astype(">u2"), maximum, sums, frame_sums),
        (tile[:, ::2], maximum[:5], sums[:5], frame_sums),
        (tile[0], maximum, sums, frame_sums),
        (tile[:0], maximum, sums, frame_sums[:0]),
        (np.zeros((32_769, 1), np.uint8), np.zeros(1, np.uint8), sums[:1], np.zeros(32_769, "i8")),
        (tile, maximum[:9], sums, frame_sums),
        (tile, maximum.astype("u1"), sums, frame_sums),
        (tile, maximum, sums.astype("u8"), frame_sums),
        (tile, maximum, sums[::-1], frame_sums),
        (tile, maximum, sums, frame_sums[:3]),
    ):
        with pytest.raises(ValueError, match="a tile has"):
            summarise(*wrong)
    with pytest.raises(ValueError, match="a tile has"):
        moments(tile, frame_sums, np.zeros(10, np.int64))
    with pytest.raises(TypeError):
        summarise(tile, maximum)
    maximum.flags.writeable = False
    with pytest.raises((BufferError, ValueError)):
        summarise(tile, maximum, sums, frame_sums)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("pixel", [0, 3, 777, 1599])
def test_frames_on_both_sides_of_a_border_are_compared_in_full(order, pixel):
    movie = np.repeat(
        np.random.default_rng(0).poisson(60, (1, 40, 40)).astype(np.uint16), 8, axis=0
    )
    movie[4:].reshape(4, -1)[:, pixel] += 1
    gatherer = BlockGatherer(movie.dtype, (40, 40), FramePlan.of(8, 1600))
    for block in order:
        frames = movie[4 * block : 4 * block + 4]
        gatherer.add(4 * block, (slice(0, 40), slice(0, 40)), frames)
    check(gatherer.result(), movie)


@pytest.mark.parametrize(
    "shape", [(0, 4, 5), (0, 0, 0), (1, 1, 1), (1, 7, 3), (3, 0, 4), (5,), (5, 3)]
)
def test_movies_of_every_shape(shape):
    movie = np.ones(shape, np.uint16)
    found = movie_statistics(movie)
    assert found.frames_read == shape[0]
    assert found.mean.shape == shape[1:]
    if 0 in shape:
        assert np.isnan(found.mean).all()
        assert np.isnan(found.maximum).all()
        assert len(found.histogram.counts) == 0
    else:
        check(found, movie)


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("a", "u2")]), "S4"])
def test_values_that_are_not_numbers_are_refused(dtype):
    with pytest.raises(ArgumentError, match="integers and of floats"):
        movie_statistics(np.zeros((3, 2, 2), dtype))


def test_a_movie_without_a_dataset_is_refused():
    with pytest.raises(SourceError, match="external files"):
        movie_statistics(None)
    with pytest.raises(ArgumentError, match="it must be a dataset"):
        movie_statistics("movie.tif")


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ArgumentError, match="every"):
        movie_statistics(np.zeros((3, 2, 2), np.uint8), every=every)


# --- saturation -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "most", "number", "below", "expected"),
    [
        ("u2", 65535, 3, 0, (65535, 3)),
        ("u2", 65535, 1, 9, (65535, 1)),
        ("u2", 4095, 5, 2, (4095, 5)),
        ("u2", 4095, 5, 3, (65535, 0)),  # the tail of a distribution, which does not pile up
        ("u2", 4095, 1, 0, (65535, 0)),
        ("u2", 4000, 90, 0, (65535, 0)),
        ("u2", 127, 90, 0, (65535, 0)),
        ("i2", 8191, 4, 0, (8191, 4)),
        ("i2", 32767, 4, 0, (32767, 4)),
        ("u1", 255, 7, 9, (255, 7)),
        ("u1", 254, 7, 9, (255, 0)),
        ("i4", 2**20 - 1, 7, 1, (2**20 - 1, 7)),
        ("f4", 4095, 7, 0, (None, 0)),
    ],
)
def test_saturated_pixels_are_counted(dtype, most, number, below, expected):
    movie = np.random.default_rng(1).integers(0, min(most - 1, 100), (60, 20, 20)).astype(dtype)
    flat = movie.reshape(-1)
    places = np.random.default_rng(2).choice(flat.size, number + below, replace=False)
    flat[places[:number]], flat[places[number:]] = most, most - 1
    gatherer = BlockGatherer(dtype, (20, 20), FramePlan.of(60, 400))
    for start in random.Random(0).sample(range(0, 60, 4), 15):
        gatherer.add(start, (slice(0, 20), slice(0, 20)), movie[start : start + 4])
    found = gatherer.result()
    assert (found.saturation_value, found.num_saturated) == expected


# --- files ----------------------------------------------------------------------------------------

CHUNKS = [None, (1, 20, 14), (7, 20, 14), (60, 5, 3), (8, 9, 14), (100, 20, 14)]


@pytest.fixture
def recording():
    movie = np.random.default_rng(0).poisson(60, (100, 20, 14)).astype(np.uint16)
    movie[30] = movie[29]
    movie[61:64] = 0
    return movie


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("every", [None, 2, 3, 50])
@pytest.mark.parametrize("workers", [0, 2])
def test_datasets_of_files(recording, tmp_path, chunks, every, workers):
    filters = {} if chunks is None else {"compression": "gzip", "shuffle": True}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("movie", data=recording, chunks=chunks, **filters)
    with h5py.File(tmp_path / "a.h5") as file:
        found = movie_statistics(file["movie"], every=every, workers=workers)
    check(found, recording, found.frame_numbers)
    store = zarr.open_group(str(tmp_path / "a.zarr"), "w")
    array = store.create_dataset("movie", data=recording, chunks=chunks or (13, 20, 14))
    found = movie_statistics(array, every=every, workers=workers)
    check(found, recording, found.frame_numbers)


def test_every_second_part_has_whole_chunks_and_is_spread_evenly(recording, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("movie", data=recording, chunks=(10, 20, 14))
        found = movie_statistics(file["movie"], every=2)
    # 20 frames are the smallest number of whole chunks with at least 16.
    wanted = [*range(20), *range(40, 60), *range(80, 100)]
    assert found.frame_numbers.tolist() == wanted
    assert (found.every, found.num_frames, found.frames_read) == (2, 100, 60)


def test_a_long_movie_is_not_read_whole(recording, monkeypatch, tmp_path):
    from nwb_ophys.reports import statistics

    monkeypatch.setattr(statistics, "READ_WHOLE_BYTES", recording.nbytes // 3 + 1)
    found = movie_statistics(recording)
    assert found.every == 3
    assert 0.2 < found.frames_read / found.num_frames < 0.5
    monkeypatch.setattr(statistics, "READ_WHOLE_BYTES", recording.nbytes)
    assert movie_statistics(recording).every == 1


def test_progress_is_reported(recording):
    reports = []
    movie_statistics(recording, progress=reports.append, workers=2)
    assert reports[-1].num_bytes == reports[-1].total_bytes == recording.nbytes


def test_chunks_that_do_not_fit_into_the_memory_are_refused(recording, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("movie", data=recording, chunks=(100, 20, 14))
        with pytest.raises(MemoryLimitError, match="memory_bytes"):
            movie_statistics(file["movie"], memory_bytes=30_000)


def test_a_damaged_chunk_is_named(recording, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("movie", data=recording, chunks=(10, 20, 14), compression="gzip")
        data.id.write_direct_chunk((20, 0, 0), b"damaged")
    with h5py.File(path) as file, pytest.raises(CorruptSourceError, match=r"movie.*\(20, 0, 0\)"):
        movie_statistics(file["movie"], workers=2)


_READ = """
import sys, h5py, numpy as np
from nwb_ophys.reports.statistics import movie_statistics
def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
with h5py.File(sys.argv[1]) as file:
    movie_statistics(file["small"], workers=2)
    before = peak()
    found = movie_statistics(file["movie"], workers=2)
    print(peak() - before, found.frames_read)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="The peak is read from /proc.")
@pytest.mark.parametrize("chunks", [None, (10, 512, 512)])
def test_memory_is_bounded(tmp_path, chunks):
    path = tmp_path / "a.h5"
    block = np.random.default_rng(0).poisson(60, (100, 512, 512)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file["small"] = block[:2, :64, :64]
        data = file.create_dataset("movie", (1_600, 512, 512), np.uint16, chunks=chunks)
        for start in range(0, 1_600, 100):
            data[start : start + 100] = block
    done = subprocess.run(
        [sys.executable, "-c", _READ, path], capture_output=True, text=True, check=True
    )
    grown, frames = map(int, done.stdout.split())
    assert frames == 1_600
    assert grown < 300e6  # of a movie of 839 MB
