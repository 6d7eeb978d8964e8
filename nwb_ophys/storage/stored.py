"""Datasets of existing files as sources, for writing them anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
from hdmf.data_utils import DataIO
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.storage.chunks import Selection, Shape, grid
from nwb_ophys.storage.encoding import num_bytes, unshuffled
from nwb_ophys.storage.sources import SMALL_BYTES, ArraySource, Source, is_fillable, unwrapped

_ZLIB = 15


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
        self._decode = _decoder(dataset)
        in_parallel = self._decode is not None
        super().__init__(dataset, dataset.file.filename, in_parallel=in_parallel)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a part."""
        if self._decode is None or self.chunk_shape is None:
            return super().read(selection)
        shape = tuple(step.stop - step.start for step in selection)
        values = np.empty(shape, self.dtype)
        outer = tuple(
            slice(step.start // size * size, step.stop)
            for step, size in zip(selection, self.chunk_shape, strict=True)
        )
        for cell in grid(outer, self.chunk_shape):
            corner = tuple(step.start for step in cell)
            target, part = _overlap(selection, corner, self.chunk_shape)
            values[target] = self._chunk(corner)[part]
        return values

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
        stops = zip(corner, chunk.shape, strict=True)
        part = self._values[tuple(slice(start, start + size) for start, size in stops)]
        chunk[tuple(slice(0, size) for size in part.shape)] = part
        return chunk


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
