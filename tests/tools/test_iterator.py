"""Tests of the iterator over a movie: shapes of chunks and blocks, errors, and exact reassembly."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hdmf.data_utils import GenericDataChunkIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from roiextractors.testing import generate_dummy_imaging_extractor

from nwb_ophys.extractors.arrays import ArrayImagingExtractor
from nwb_ophys.tools import ImagingExtractorDataChunkIterator


class Shape:
    """Movie that has only a shape."""

    def __init__(self, *shape: int, dtype: str = "uint16") -> None:
        self._shape, self._dtype = shape, np.dtype(dtype)

    def get_num_samples(self) -> int:
        return self._shape[0]

    def get_sample_shape(self) -> tuple[int, ...]:
        return self._shape[1:]

    def get_dtype(self) -> np.dtype:
        return self._dtype


# 1000 frames of 200 rows and 300 columns; 10 samples of 3 planes of 1024 rows and columns.
PLANAR = Shape(1000, 200, 300)
VOLUMES = Shape(10, 1024, 1024, 3)


def test_maxshape_and_dtype() -> None:
    iterator = ImagingExtractorDataChunkIterator(Shape(10, 4, 5, 3, dtype="float32"))
    assert isinstance(iterator, GenericDataChunkIterator)
    assert iterator.maxshape == iterator._get_maxshape() == (10, 5, 4, 3)
    assert iterator.dtype == iterator._get_dtype() == np.float32
    assert all(type(size) is int for size in iterator.maxshape)
    assert ImagingExtractorDataChunkIterator(PLANAR).maxshape == (1000, 300, 200)


def test_shapes_of_the_specification() -> None:
    assert ImagingExtractorDataChunkIterator(VOLUMES).chunk_shape == (4, 1024, 1024, 1)
    assert ImagingExtractorDataChunkIterator(PLANAR).chunk_shape == (83, 300, 200)
    iterator = ImagingExtractorDataChunkIterator(PLANAR, buffer_gb=0.1)
    assert iterator.chunk_shape == (83, 300, 200)
    assert iterator.buffer_shape == (830, 300, 200)


def test_default_sizes() -> None:
    stated = ImagingExtractorDataChunkIterator(PLANAR, buffer_gb=1.0, chunk_mb=10.0)
    default = ImagingExtractorDataChunkIterator(PLANAR)
    assert default.chunk_shape == stated.chunk_shape
    assert default.buffer_shape == stated.buffer_shape == (1000, 300, 200)


def test_default_buffer_is_a_gigabyte() -> None:
    iterator = ImagingExtractorDataChunkIterator(Shape(100_000, 200, 300))
    assert iterator.buffer_shape == (8300, 300, 200)  # 100 chunks of 9.96 MB


@pytest.mark.parametrize(
    ("chunk_mb", "frames"),
    # A frame takes 0.12 MB.
    [
        (0.12, 1),
        (0.239, 1),
        (0.24, 2),
        (1.0, 8),
        (1e-9, 1),
        (119.99, 999),
        (120.0, 1000),
        (900, 1000),
    ],
)
def test_chunk_mb(chunk_mb: float, frames: int) -> None:
    iterator = ImagingExtractorDataChunkIterator(PLANAR, chunk_mb=chunk_mb)
    assert iterator.chunk_shape == (frames, 300, 200)
    assert iterator._get_default_chunk_shape(chunk_mb=chunk_mb) == (frames, 300, 200)
    assert all(type(size) is int for size in iterator.chunk_shape)


@pytest.mark.parametrize(
    ("buffer_gb", "frames"),
    [(0.00996, 83), (0.01992, 166), (0.0199, 83), (1e-6, 83), (0.12, 996), (0.5, 1000)],
)
def test_buffer_gb(buffer_gb: float, frames: int) -> None:
    iterator = ImagingExtractorDataChunkIterator(PLANAR, buffer_gb=buffer_gb)
    assert iterator.buffer_shape == (frames, 300, 200)
    shape = iterator._get_scaled_buffer_shape(buffer_gb=buffer_gb, chunk_shape=(83, 300, 200))
    assert shape == (frames, 300, 200)


def test_buffer_of_volumes_is_the_whole_field() -> None:
    iterator = ImagingExtractorDataChunkIterator(VOLUMES, buffer_gb=0.03)
    assert iterator.buffer_shape == (4, 1024, 1024, 3)


def test_buffer_for_a_chunk_of_the_caller() -> None:
    iterator = ImagingExtractorDataChunkIterator(PLANAR, buffer_gb=0.003, chunk_shape=(7, 100, 50))
    assert iterator.chunk_shape == (7, 100, 50)
    assert iterator.buffer_shape == (21, 300, 200)


def test_shapes_of_the_caller() -> None:
    iterator = ImagingExtractorDataChunkIterator(
        PLANAR, buffer_shape=(20, 150, 100), chunk_shape=(10, 50, 100)
    )
    assert iterator.buffer_shape == (20, 150, 100)
    assert iterator.chunk_shape == (10, 50, 100)


@pytest.mark.parametrize("buffer_shape", [(20, 300, 200), (20, 150, 100), (83, 7, 200), (1, 1, 1)])
def test_a_buffer_of_the_caller_without_a_chunk(buffer_shape: tuple[int, ...]) -> None:
    iterator = ImagingExtractorDataChunkIterator(PLANAR, buffer_shape=buffer_shape)
    assert iterator.buffer_shape == buffer_shape
    for chunk, buffer in zip(iterator.chunk_shape, buffer_shape, strict=True):
        assert buffer % chunk == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"buffer_gb": 1.0, "buffer_shape": (20, 300, 200)}, ["buffer_gb", "buffer_shape"]),
        ({"chunk_mb": 1.0, "chunk_shape": (10, 300, 200)}, ["chunk_mb", "chunk_shape"]),
        ({"buffer_gb": 0}, ["buffer_gb"]),
        ({"buffer_gb": -1.0}, ["buffer_gb", "-1.0"]),
        ({"chunk_mb": 0}, ["chunk_mb"]),
        ({"chunk_mb": -2}, ["chunk_mb", "-2"]),
        ({"chunk_mb": float("nan")}, ["chunk_mb"]),
        ({"chunk_shape": (0, 300, 200)}, ["chunk_shape"]),
        ({"chunk_shape": (-1, 300, 200)}, ["chunk_shape"]),
        ({"chunk_shape": (10, -10, 200)}, ["chunk_shape"]),
        ({"buffer_shape": (0, 300, 200)}, ["buffer_shape"]),
        ({"buffer_shape": (-20, 300, 200)}, ["buffer_shape"]),
        ({"buffer_shape": (20, 300, 200), "chunk_shape": (30, 300, 200)}, ["chunk", "buffer"]),
        ({"buffer_shape": (20, 150, 200), "chunk_shape": (10, 300, 200)}, ["chunk", "buffer"]),
        ({"buffer_shape": (20, 150, 200), "chunk_mb": 10.0}, ["chunk", "buffer"]),
        ({"buffer_gb": 0.001, "chunk_mb": 10.0}, ["chunk_mb", "buffer_gb"]),
        ({"buffer_gb": 0, "buffer_shape": (20, 300, 200)}, ["buffer_gb", "buffer_shape"]),
    ],
)
def test_wrong_sizes(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(AssertionError) as caught:
        ImagingExtractorDataChunkIterator(PLANAR, **options)
    for word in words:
        assert word in str(caught.value)


def test_methods_refuse_sizes_that_are_not_positive() -> None:
    iterator = ImagingExtractorDataChunkIterator(PLANAR)
    for size in (0, -1):
        with pytest.raises(AssertionError, match="chunk_mb"):
            iterator._get_default_chunk_shape(chunk_mb=size)
        with pytest.raises(AssertionError, match="buffer_gb"):
            iterator._get_scaled_buffer_shape(buffer_gb=size, chunk_shape=(1, 300, 200))
        with pytest.raises(AssertionError, match="chunk_shape"):
            iterator._get_scaled_buffer_shape(buffer_gb=1.0, chunk_shape=(size, 300, 200))


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    extractor = generate_dummy_imaging_extractor(num_samples=4, num_rows=2, num_columns=3)
    iterator = ImagingExtractorDataChunkIterator(
        extractor, display_progress=True, progress_bar_options={"desc": "frames done"}
    )
    assert len(list(iterator.__iter__())) >= 1
    assert "frames done" in capsys.readouterr().err


def reassembled(iterator: GenericDataChunkIterator) -> tuple[np.ndarray, np.ndarray]:
    """Assemble the blocks as hdmf does, and count how often each value occurs."""
    whole = np.zeros(iterator.maxshape, iterator.dtype)
    count = np.zeros(iterator.maxshape, int)
    for block in iterator:
        assert block.data.dtype == whole.dtype
        whole[block.selection] = block.data
        count[block.selection] += 1
    return whole, count


def nwb_order(movie: np.ndarray) -> np.ndarray:
    """Swap rows and columns, element by element."""
    frames, rows, columns, *planes = movie.shape
    result = np.empty((frames, columns, rows, *planes), movie.dtype)
    for row, column in itertools.product(range(rows), range(columns)):
        result[:, column, row] = movie[:, row, column]
    return result


@st.composite
def movies_and_shapes(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    sizes = [draw(st.integers(1, 7)) for _ in range(3)]
    if draw(st.booleans()):
        sizes.append(draw(st.integers(2, 4)))
    dtype = draw(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64", ">u2"]))
    movie = np.arange(np.prod(sizes)).reshape(sizes).astype(dtype)
    nwb = [sizes[0], sizes[2], sizes[1], *sizes[3:]]
    chunk = [draw(st.integers(1, size)) for size in nwb]
    # hdmf takes blocks of whole chunks, or as long as the axis.
    buffer = [
        draw(st.sampled_from([*range(step, size + 1, step), size]))
        for step, size in zip(chunk, nwb, strict=True)
    ]
    options: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"chunk_shape": tuple(chunk), "buffer_shape": tuple(buffer)},
                {"buffer_shape": tuple(buffer)},
                {"chunk_shape": tuple(chunk)},
                {"chunk_mb": 1e-5, "buffer_gb": 2e-8},
                {"chunk_mb": 1e-4},
                {},
            ]
        )
    )
    return movie, options


@settings(max_examples=250, deadline=None)
@given(movies_and_shapes())
def test_blocks_reassemble_exactly(case: tuple[np.ndarray, dict[str, Any]]) -> None:
    movie, options = case
    iterator = ImagingExtractorDataChunkIterator(ArrayImagingExtractor(movie, 1.0), **options)
    whole, count = reassembled(iterator)
    assert (count == 1).all()
    assert whole.dtype == movie.dtype
    np.testing.assert_array_equal(whole, nwb_order(movie))


@settings(max_examples=150, deadline=None)
@given(
    frames=st.integers(1, 10**6),
    rows=st.integers(1, 2000),
    columns=st.integers(1, 2000),
    planes=st.none() | st.integers(2, 30),
    dtype=st.sampled_from(["uint8", "uint16", "float32", "float64"]),
    chunk_mb=st.floats(0.001, 100.0),
    buffer_gb=st.floats(0.1, 10.0),
)
def test_laws_of_the_shapes(
    frames: int,
    rows: int,
    columns: int,
    planes: int | None,
    dtype: str,
    chunk_mb: float,
    buffer_gb: float,
) -> None:
    depth = () if planes is None else (planes,)
    shape = Shape(frames, rows, columns, *depth, dtype=dtype)
    iterator = ImagingExtractorDataChunkIterator(shape, chunk_mb=chunk_mb, buffer_gb=buffer_gb)
    chunk, buffer = iterator.chunk_shape, iterator.buffer_shape
    assert chunk[1:] == (columns, rows) + ((1,) if depth else ())
    assert buffer[1:] == (columns, rows, *depth)
    frame = columns * rows * np.dtype(dtype).itemsize
    assert 1 <= chunk[0] <= frames
    # As many frames as fit, and not one more.
    assert chunk[0] == 1 or chunk[0] * frame <= chunk_mb * 1e6
    assert chunk[0] == frames or (chunk[0] + 1) * frame > chunk_mb * 1e6
    volume = frame * (planes or 1)
    assert chunk[0] <= buffer[0] <= frames
    assert buffer[0] == frames or buffer[0] % chunk[0] == 0
    assert buffer[0] == chunk[0] or buffer[0] * volume <= buffer_gb * 1e9
    assert buffer[0] == frames or (buffer[0] + chunk[0]) * volume > buffer_gb * 1e9


def test_get_data_of_a_part(make_movie: Callable[..., Any]) -> None:
    movie = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    iterator = ImagingExtractorDataChunkIterator(make_movie(movie))
    part = iterator._get_data((slice(1, 3), slice(0, 2), slice(2, 4)))
    np.testing.assert_array_equal(part, nwb_order(movie)[1:3, 0:2, 2:4])


@pytest.mark.parametrize(
    "selection",
    [
        0,
        -1,
        np.int64(2),
        slice(None),
        slice(1, 4),
        slice(None, None, 2),
        slice(4, 1),
        (slice(1, 3), 2),
        (2, slice(0, 2), 1),
        (slice(None), slice(None), 0),
        [0, 3],
        Ellipsis,
    ],
)
def test_indexed_like_an_array(selection: Any, make_movie: Callable[..., Any]) -> None:
    movie = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    iterator = ImagingExtractorDataChunkIterator(make_movie(movie))
    expected = nwb_order(movie)
    np.testing.assert_array_equal(iterator[selection], expected[selection])
    assert iterator.shape == expected.shape
    assert iterator.ndim == 3
    assert len(iterator) == 5
    np.testing.assert_array_equal(np.asarray(iterator), expected)


def test_an_index_beyond_the_end(make_movie: Callable[..., Any]) -> None:
    iterator = ImagingExtractorDataChunkIterator(make_movie(np.zeros((5, 4, 3))))
    with pytest.raises(IndexError):
        iterator[5]


def test_a_source_that_gives_fewer_frames_is_an_error(imaging: Any) -> None:
    whole = imaging.get_series
    imaging.get_series = lambda start_sample, end_sample: whole(start_sample, end_sample - 1)
    with pytest.raises(ValueError, match="12"):
        list(ImagingExtractorDataChunkIterator(imaging))
