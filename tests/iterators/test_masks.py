"""Tests of blocks of image masks: tiles with pixels, from any thread, and given sizes."""

from __future__ import annotations

import itertools
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Shuffle
from roiextractors import SegmentationExtractor
from roiextractors.segmentationextractor import _ROIMasks

from nwb_ophys.errors import ArgumentError
from nwb_ophys.extractors.arrays import ArraySegmentationExtractor
from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.rois import sparse_images
from nwb_ophys.rois.model import Rois


class PixelsOnly(SegmentationExtractor):
    """Extractor of pixels of ROIs that refuses to return images."""

    def __init__(self, masks: Any, field: Any) -> None:
        super().__init__()
        form = "nwb-pixel_mask" if len(field) == 2 else "nwb-voxel_mask"
        ids = {index: index for index in range(len(masks))}
        self._roi_masks = _ROIMasks(list(masks), form, tuple(field), ids)
        self.file_path = "/data/masks.h5"

    def get_frame_shape(self) -> Any:
        return self._roi_masks.field_of_view_shape

    def get_native_timestamps(self, start_sample: Any = None, end_sample: Any = None) -> None:
        return None


def iterator_of(masks: Any, field: Any, **options: Any) -> RoiImageMaskIterator:
    extractor = PixelsOnly(masks, field)
    return RoiImageMaskIterator(Rois.of(extractor), **options)


def dense(iterator: RoiImageMaskIterator) -> np.ndarray:
    """Return the images of roiextractors, (ROIs, columns, rows[, planes])."""
    masks = iterator.rois.extractor._roi_masks
    return np.stack([masks.get_roi_image_mask(i).swapaxes(0, 1) for i in masks.roi_id_map])


def check_chunks(chunks: Any, expected: np.ndarray, chunk_shape: tuple[int, ...]) -> None:
    """Check that chunks in order contain the whole array, and that no chunk is only zeros."""
    corners = [corner for corner, _ in chunks]
    assert corners == sorted(set(corners))
    whole = np.zeros([math.ceil(n / c) * c for n, c in zip(expected.shape, chunk_shape)])  # noqa: B905
    for corner, values in chunks:
        assert all(at % size == 0 for at, size in zip(corner, chunk_shape, strict=True))
        assert all(type(at) is int for at in corner)
        assert values.shape == chunk_shape
        assert values.dtype == expected.dtype
        assert values.flags.c_contiguous
        assert values.any()
        whole[tuple(slice(at, at + n) for at, n in zip(corner, chunk_shape, strict=True))] = values
    inside = tuple(slice(0, size) for size in expected.shape)
    np.testing.assert_array_equal(whole[inside], expected)
    assert np.count_nonzero(whole) == np.count_nonzero(expected)


@st.composite
def masks_and_chunks(draw: Any) -> Any:
    field = draw(st.lists(st.integers(1, 7), min_size=2, max_size=3))
    weight = st.sampled_from([0.0, 0.5, 1.0, -1.0, 1e-50])
    pixel = st.tuples(*(st.integers(0, n - 1) for n in field), weight)
    masks = draw(st.lists(st.lists(pixel, max_size=15), min_size=1, max_size=6))
    arrays = [np.array(mask, dtype=float).reshape(-1, len(field) + 1) for mask in masks]
    columns_first = (len(masks), field[1], field[0], *field[2:])
    chunk_shape = tuple(draw(st.integers(1, size + 1)) for size in columns_first)
    return arrays, field, chunk_shape


@pytest.mark.parametrize(("pixels", "size"), [(1, 1), (4, 500), (1 << 16, 2_000_000)])
@given(case=masks_and_chunks())
def test_tiles_make_up_the_masks(pixels: int, size: int, case: Any) -> None:
    """The result does not depend on the number of pixels or tiles in a batch."""
    masks, field, chunk_shape = case
    iterator = iterator_of(masks, field)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_images, "_PIXELS_AT_ONCE", pixels)
        patch.setattr(sparse_images, "_BATCH_BYTES", size)
        chunks = list(iterator.nonzero_chunks(0, len(iterator), chunk_shape))
        planes = list(iterator.nonzero_chunks(0, len(iterator), chunk_shape, as_byte_planes=True))
        check_chunks(chunks, dense(iterator), chunk_shape)
        step = chunk_shape[0] * 2
        parts = [
            list(iterator.nonzero_chunks(start, start + step, chunk_shape))
            for start in range(0, len(iterator), step)
        ]
    again = list(itertools.chain(*parts))
    assert [corner for corner, _ in again] == [corner for corner, _ in chunks]
    assert [corner for corner, _ in planes] == [corner for corner, _ in chunks]
    for (_, values), (_, shuffled) in zip(chunks, planes, strict=True):
        assert shuffled.tobytes() == Shuffle(values.itemsize).encode(values.tobytes()).tobytes()
    check_chunks(again, dense(iterator), chunk_shape)


def many(num_rois: int, rng: Any, field: Any = (200, 180)) -> list[np.ndarray]:
    places = [rng.integers(0, size, (num_rois, 50)) for size in field]
    return list(np.stack([*places, rng.random((num_rois, 50))], axis=-1))


def test_tiles_are_made_by_many_threads_at_once() -> None:
    iterator = iterator_of(many(300, np.random.default_rng(0)), (200, 180))
    assert iterator.reads_in_parallel
    barrier = threading.Barrier(4)

    def read(start: int) -> Any:
        if start < 4 * 20:
            barrier.wait(10)
        return list(iterator.nonzero_chunks(start, min(start + 20, 300), (1, 64, 64)))

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(read, range(0, 300, 20)))
    check_chunks(list(itertools.chain(*parts)), dense(iterator), (1, 64, 64))


def test_memory_of_tiles_is_bounded() -> None:
    """Only one batch is in memory, even if one ROI covers the field and many follow."""
    import tracemalloc

    row, column = (axis.ravel() for axis in np.indices((512, 512)))
    full = np.column_stack([row, column, np.ones(row.size)])
    iterator = iterator_of([full] * 4 + many(2000, np.random.default_rng(1)), (512, 512))
    tracemalloc.start()
    count = sum(1 for _ in iterator.nonzero_chunks(0, len(iterator), (1, 128, 128)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 2000
    assert peak < 40e6  # one ROI's pixels in order, and a batch; all the tiles would be 500 MB


def test_no_mask_is_made_whole_before_it_is_asked_for() -> None:
    import tracemalloc

    masks = many(2000, np.random.default_rng(1))
    tracemalloc.start()
    iterator = iterator_of(masks, (2048, 2048))
    iterator.masks.centroids()
    iterator._get_data((slice(0, 2000), slice(0, 16), slice(0, 16)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert iterator.is_sparse
    assert peak < 20e6  # one mask is 17 MB, all of them are 34 GB


# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "chunk_shape"),
    [
        ((512, 300), (1, 128, 128)),
        ((40, 300), (1, 128, 40)),
        ((512, 512, 5), (1, 128, 128, 1)),
    ],
)
@pytest.mark.parametrize("is_sparse", [True, False])
def test_a_default_chunk_is_a_tile(shape: Any, chunk_shape: Any, is_sparse: bool) -> None:
    mask = np.array([[3.0, 5.0, *(0.0 for _ in shape[2:]), 1.0]])
    if is_sparse:
        iterator = iterator_of([mask] * 3, shape)
    else:
        array = np.ones((*shape, 3))  # too many pixels for a list of them
        extractor = ArraySegmentationExtractor(array, {})
        iterator = RoiImageMaskIterator(Rois.of(extractor))
    assert iterator.is_sparse is iterator.reads_in_parallel is is_sparse
    assert iterator.chunk_shape == chunk_shape
    assert iterator.buffer_shape[1:] == (shape[1], shape[0], *shape[2:])
    assert iterator.buffer_shape[0] * math.prod(shape) * iterator.dtype.itemsize <= 64e6
    assert np.asarray(iterator).sum() == (3 if is_sparse else 3 * math.prod(shape))


@pytest.mark.parametrize(
    ("options", "chunk_shape", "buffer_shape"),
    [
        ({"chunk_shape": (2, 90, 200)}, (2, 90, 200), (10, 180, 200)),
        ({"buffer_shape": (4, 180, 100)}, (1, 90, 100), (4, 180, 100)),
        ({"buffer_shape": (4, 180, 200), "chunk_shape": None}, (1, 90, 100), (4, 180, 200)),
    ],
)
def test_sizes_that_are_given(options: Any, chunk_shape: Any, buffer_shape: Any) -> None:
    iterator = iterator_of(many(10, np.random.default_rng(0)), (200, 180), **options)
    assert iterator.chunk_shape == chunk_shape
    assert iterator.buffer_shape == buffer_shape
    whole = np.zeros(iterator.shape)
    for block in iterator:
        whole[block.selection] = block.data
    np.testing.assert_array_equal(whole, dense(iterator))


@pytest.mark.parametrize("chunk_mb", [0.01, 0.1, 200.0])
def test_blocks_of_chunks_of_a_size_are_small(chunk_mb: float) -> None:
    iterator = iterator_of(many(3000, np.random.default_rng(0)), (200, 180), chunk_mb=chunk_mb)
    assert math.prod(iterator.chunk_shape) * 4 <= chunk_mb * 1e6
    assert math.prod(iterator.buffer_shape) * 4 <= max(64e6, 2e6 * chunk_mb)


@pytest.mark.parametrize(
    ("start", "chunk_shape"), [(1, (2, 8, 8)), (0, (1, 8)), (0, (1, 0, 8)), (0, (0, 8, 8))]
)
def test_chunks_that_do_not_tile_the_masks(start: int, chunk_shape: Any) -> None:
    iterator = iterator_of(many(4, np.random.default_rng(0)), (200, 180))
    with pytest.raises(ArgumentError, match="tile"):
        iterator.nonzero_chunks(start, 4, chunk_shape)


def test_a_range_without_rois_and_rois_without_pixels() -> None:
    iterator = iterator_of([np.zeros((0, 3))] * 4, (20, 18))
    assert list(iterator.nonzero_chunks(0, 4, (1, 8, 8))) == []
    assert list(iterator.nonzero_chunks(4, 4, (1, 8, 8))) == []
    assert not np.asarray(iterator).any()
