"""Commits of an HDF5 file that is being filled, so that a killed write can be resumed.

HDF5 keeps its metadata, such as the addresses of chunks, in memory, and writes some of it whenever
it needs room. A killed process leaves a mixture that cannot be read. Here HDF5 writes metadata only
when it is flushed. Before each flush, all bytes that it may change are copied to another file, from
which an interrupted flush is undone. A flush never changes the bytes of chunks.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.flushing import sync
from nwb_ophys.storage.undo import write_undo

# Datasets of an existing file that are larger are not copied; a flush does not change them.
_LARGE = 1 << 20


class StoredChunks:
    """Stored bytes of the chunks of a dataset that does not change, read without HDF5.

    Parameters
    ----------
    dataset : h5py.Dataset
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._path = Path(dataset.file.filename)
        self._places: dict[tuple[int, ...], tuple[int, int]] = {}
        dataset.id.chunk_iter(self._add)

    def _add(self, chunk: Any) -> None:
        self._places[chunk.chunk_offset] = (chunk.byte_offset, chunk.size)

    def read(self, corner: tuple[int, ...]) -> bytes | None:
        """Return the bytes of a chunk by its lowest index, or None if it is not stored."""
        if corner not in self._places:
            return None
        start, size = self._places[corner]
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(size)


class Hdf5Commits:
    """Commits of one file.

    The metadata in a file whose write was killed are replaced by their copy, of which a hash is
    known, as it is of the chunks.

    Parameters
    ----------
    root : h5py.File
    undo : pathlib.Path
        File for the bytes that a flush may change.
    locations : sequence of str
        Datasets that are being filled.
    """

    has_undo = True

    def __init__(self, root: h5py.File, undo: Path, locations: list[str]) -> None:
        self._root, self._undo, self._path = root, undo, Path(root.filename)
        self._filled = [root[location] for location in locations]
        self._others: list[tuple[int, int]] = []

    def begin(self) -> None:
        """Keep metadata in memory between flushes."""
        # In this mode the cache must not resize itself.
        settings = self._root.id.get_mdc_config()
        settings.evictions_enabled = False
        settings.incr_mode = settings.decr_mode = settings.flash_incr_mode = 0
        self._root.id.set_mdc_config(settings)
        self._others = _large_places(self._root, {each.name for each in self._filled})

    def flush(self) -> float:
        """Flush the file; the disk is waited for afterwards, while other threads write."""
        started = time.perf_counter()
        self._root.flush()
        waited = time.perf_counter() - started
        _sync(self._path)
        return waited

    def arm(self, number: int) -> float:
        """Copy the bytes that the next flush may change."""
        started = time.perf_counter()
        end = self._path.stat().st_size
        places = list(self._others)
        for dataset in self._filled:
            dataset.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
        waited = time.perf_counter() - started
        gaps = _gaps(np.array(places, np.int64).reshape(-1, 2), end)
        write_undo(self._undo, self._path, number, gaps)
        return waited


def _large_places(root: h5py.File, filled: set[str]) -> list[tuple[int, int]]:
    """Return address and size of the chunks, or of the whole, of the other large datasets."""
    places: list[tuple[int, int]] = []

    def add(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or f"/{name}" in filled:
            return
        size = item.id.get_storage_size()
        if size < _LARGE:
            return
        if item.chunks is not None:
            item.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
        elif item.id.get_offset() is not None:
            places.append((item.id.get_offset(), size))

    root.visititems(add)
    return places


def _gaps(places: NDArray[np.int64], end: int) -> list[tuple[int, int]]:
    """Return offset and size of the bytes before ``end`` that lie between the given places."""
    order = places[np.argsort(places[:, 0])]
    starts = np.append(order[:, 0], end)
    stops = np.maximum.accumulate(np.append(0, order[:, 0] + order[:, 1]))
    is_gap = (starts > stops) & (stops < end)
    pairs = zip(stops[is_gap].tolist(), np.minimum(starts[is_gap], end).tolist(), strict=True)
    return [(start, stop - start) for start, stop in pairs]


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        sync(file.fileno(), only_data=True)
