"""Datasets of existing files as sources, for writing them anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
from hdmf.data_utils import DataIO
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.storage.backends.hdf5 import check_filters
from nwb_ophys.storage.encoding import chunk_bytes, num_bytes, unshuffled
from nwb_ophys.storage.grid import Selection, Shape, cell_at, grid, inside, shape_of, tile_shape
from nwb_ophys.storage.sources import SMALL_BYTES, ArraySource, Source, is_fillable, unwrapped

_ZLIB = 15
# Share of chunks that are stored, up to which the others are passed over.
_FEW = 0.5


def stored_source_of(value: Any) -> Source | None:
    """Return the source that a dataset of a file makes, or None for what hdmf is to copy.

    Parameters
    ----------
    value : object
        The data of a builder that was read.
    """
    data = unwrapped(value) if isinstance(value, DataIO) else value
    is_dataset = isinstance(data, h5py.Dataset) or _is_zarr(data)
    if not is_dataset or not is_fillable(data.shape, data.dtype):
        return None
    if num_bytes(data.shape, np.dtype(data.dtype)) < SMALL_BYTES:
        return None
    return Hdf5Source(data) if isinstance(data, h5py.Dataset) else ZarrSource(data)


def _is_zarr(data: Any) -> bool:
    return type(data).__module__.startswith("zarr.")


class _StoredSource(ArraySource):
    is_stored = True

    def __init__(self, dataset: Any, file_name: str, *, in_parallel: bool) -> None:
        label = f"'{dataset.name.strip('/')}' of '{file_name}'"
        super().__init__(dataset, label, in_parallel=in_parallel)

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return tiles for entries that are tiles now, such as the masks of ROIs."""
        shape, chunks = self.shape, self.chunk_shape
        if chunks is None or len(shape) < 3 or shape[0] == 1 or chunks[0] > 1:
            return None
        if chunks[1:3] == shape[1:3]:
            return None
        tile = tile_shape(shape[1:3], self.dtype.itemsize, chunk_mb)
        return (1, *tile, *(1 for _ in shape[3:]))


class ZarrSource(_StoredSource):
    """An array of a Zarr store."""

    def __init__(self, array: Any) -> None:
        path = getattr(array.store, "path", "a Zarr store")
        super().__init__(array, str(path), in_parallel=True)


class Hdf5Source(_StoredSource):
    """A dataset of an HDF5 file, whose chunks are decoded outside of the library where they can be.

    h5py lets one thread at a time into the HDF5 library, which decodes too.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        check_filters(dataset)
        self._decode = _decoder(dataset)
        in_parallel = self._decode is not None
        super().__init__(dataset, dataset.file.filename, in_parallel=in_parallel)
        self._corners = _stored_corners(dataset)
        self.is_sparse = self._corners is not None

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a part."""
        if self._decode is None or self.chunk_shape is None:
            return super().read(selection)
        values = np.empty(shape_of(selection), self.dtype)
        outer = tuple(
            slice(step.start // size * size, step.stop)
            for step, size in zip(selection, self.chunk_shape, strict=True)
        )
        for cell in grid(outer, self.chunk_shape):
            corner = tuple(step.start for step in cell)
            target, part = _overlap(selection, corner, self.chunk_shape)
            values[target] = self._chunk(corner)[part]
        return values

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Give the corner and the values of each chunk that touches one that is stored."""
        for corner in self._touched(start, stop, chunk_shape):
            cell = cell_at(corner, chunk_shape, self.shape)
            values = np.zeros(chunk_shape, self.dtype)
            values[inside(cell)] = self.read(cell)
            if as_byte_planes:
                values = chunk_bytes(values, chunk_shape, self.dtype, shuffle=True)
            yield corner, values

    def _touched(self, start: int, stop: int, chunk_shape: Shape) -> list[Shape]:
        """Return the corners of target chunks of some entries, in ascending order."""
        assert self._corners is not None
        assert self.chunk_shape is not None
        length, found = self.chunk_shape[0], set()
        near = (self._corners[:, 0] < stop) & (self._corners[:, 0] + length > start)
        for corner in self._corners[near].tolist():
            bounds = tuple(
                slice(first // size * size, min(first + step, total))
                for first, size, step, total in zip(
                    corner, chunk_shape, self.chunk_shape, self.shape, strict=True
                )
            )
            cells = grid(bounds, chunk_shape)
            found |= {tuple(step.start for step in cell) for cell in cells}
        return sorted(corner for corner in found if start <= corner[0] < stop)

    def _chunk(self, corner: Shape) -> NDArray[Any]:
        identifier, chunk_shape = self._values.id, self._values.chunks
        if identifier.get_chunk_info_by_coord(corner).byte_offset is None:
            return np.broadcast_to(np.asarray(self._values.fillvalue, self.dtype), chunk_shape)
        mask, stored = identifier.read_direct_chunk(corner)
        if mask or self._decode is None:  # a filter was left out when this chunk was written
            return self._padded(corner)
        return self._decode(stored).view(self.dtype).reshape(chunk_shape)

    def _padded(self, corner: Shape) -> NDArray[Any]:
        chunk = np.zeros(self._values.chunks, self.dtype)
        cell = cell_at(corner, chunk.shape, self.shape)
        chunk[inside(cell)] = self._values[cell]
        return chunk


def _stored_corners(dataset: h5py.Dataset) -> NDArray[np.int64] | None:
    """Return the corners of the chunks that are stored, where most are not and stand for zeros."""
    if dataset.chunks is None or np.any(dataset.fillvalue != np.zeros((), dataset.dtype)):
        return None
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    total = math.prod(-(-size // step) for size, step in sizes)
    if dataset.id.get_num_chunks() > total * _FEW:
        return None
    corners: list[Shape] = []
    dataset.id.chunk_iter(lambda chunk: corners.append(chunk.chunk_offset))
    return np.array(corners, np.int64).reshape(-1, dataset.ndim)


def _overlap(
    selection: Selection, corner: Shape, chunk_shape: Shape
) -> tuple[Selection, Selection]:
    """Return where a chunk lies in a selection, and which part of the chunk that is."""
    target, part = [], []
    for step, first, size in zip(selection, corner, chunk_shape, strict=True):
        start, stop = max(step.start, first), min(step.stop, first + size)
        target.append(slice(start - step.start, stop - step.start))
        part.append(slice(start - first, stop - first))
    return tuple(target), tuple(part)


def _decoder(dataset: h5py.Dataset) -> Callable[[bytes], NDArray[np.uint8]] | None:
    """Return the function that undoes the filters of a dataset, or None if only HDF5 can."""
    if dataset.chunks is None:
        return None
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    shuffle, deflate = h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE
    if tuple(filters) not in ((), (shuffle,), (deflate,), (shuffle, deflate)):
        return None
    size = num_bytes(dataset.chunks, dataset.dtype)
    itemsize = dataset.dtype.itemsize if shuffle in filters else 1
    is_deflated = deflate in filters

    def decode(stored: bytes) -> NDArray[np.uint8]:
        raw = isal_zlib.decompress(stored, _ZLIB, size) if is_deflated else stored
        return unshuffled(raw, itemsize)

    return decode
