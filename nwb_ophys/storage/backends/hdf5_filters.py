"""Filters of HDF5 datasets, and the size to which they inflate chunks.

The filter of HDF5 for deflate inflates a chunk to its end, and asks for more memory on the way,
whatever the shape of a chunk is.
"""

from __future__ import annotations

import math
from typing import Any

import h5py

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.storage.backends.inflated import MEASURES, Measure

_LARGE = 1 << 26
# A chunk with fewer bytes inflates to less than 300 MB; of the others, so many bytes are inflated.
_SMALL_CHUNK, _MOST_INFLATED = 1 << 18, 1 << 26
_DEFLATE = 1
# Filters that keep or nearly keep the size: shuffle, checksum, n-bit, scale and offset.
_KEEPING = frozenset({2, 3, 5, 6})


def check_filters(dataset: h5py.Dataset) -> None:
    """Refuse chunks that several filters inflate, and those that one inflates beyond their shape.

    Parameters
    ----------
    dataset : h5py.Dataset
        One with chunks; of its large ones, 64 MB are inflated.

    Raises
    ------
    CorruptSourceError
        Names the dataset.
    """
    stated = dataset.id.get_create_plist()
    filters = [stated.get_filter(number)[0] for number in range(stated.get_nfilters())]
    inflating = [number for number in filters if number not in _KEEPING]
    claimed = math.prod(dataset.chunks) * dataset.dtype.itemsize
    what = f"the shape {dataset.chunks} ({claimed} bytes)"
    if len(inflating) > 1:
        raise _refusal(dataset, f"compresses its chunks by {len(inflating)} filters")
    if inflating == [_DEFLATE]:
        _check_deflated(dataset, MEASURES["zlib"], max(claimed, _LARGE), what)


def _check_deflated(dataset: h5py.Dataset, measure: Measure, most: int, what: str) -> None:
    if not hasattr(dataset.id, "chunk_iter"):
        return
    large: list[Any] = []
    num_bytes: list[int] = []  # at most 256 until the sum is reached

    def see(info: Any) -> bool | None:
        if info.size >= _SMALL_CHUNK and not info.filter_mask:
            large.append(info)
            num_bytes.append(info.size)
        return sum(num_bytes) > _MOST_INFLATED or None

    dataset.id.chunk_iter(see)
    for info in large:
        _, data = dataset.id.read_direct_chunk(info.chunk_offset)
        size = measure(data, most)
        if size is not None and size > most:
            raise _refusal(dataset, f"has a chunk of {what} that inflates to more")


def _refusal(dataset: h5py.Dataset, why: str) -> CorruptSourceError:
    return CorruptSourceError(
        f"'{dataset.file.filename}' is damaged: its dataset '{dataset.name}' {why}. Copy the file "
        "again from where it was recorded."
    )
