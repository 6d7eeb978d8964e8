"""From the values of a chunk, in whatever order they lie in memory, to bytes ready for a codec."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A piece of this size stays in a core's cache between being transposed and being shuffled.
_PIECE_BYTES = 1 << 19
# Most chunks that are not all zeros show it in their first bytes.
_GLANCE_BYTES = 4096

Bytes = NDArray[np.uint8]


def chunk_bytes(
    values: NDArray[Any], chunk_shape: tuple[int, ...], dtype: np.dtype[Any], *, shuffle: bool
) -> Bytes:
    """Return the bytes of a chunk in C order, byte-shuffled if asked.

    Parameters
    ----------
    values : numpy.ndarray
        A view in any order; smaller than the chunk at the edges of a dataset, where zeros pad it.
    chunk_shape : tuple of int
    dtype : numpy.dtype
        As stored; values of another are cast.
    shuffle : bool
        Put first the first bytes of all values, then their second bytes, and so on, as HDF5's
        shuffle filter and numcodecs' ``Shuffle`` do.

    Returns
    -------
    numpy.ndarray of uint8, shape (itemsize, values) or (bytes,)
    """
    if values.shape != chunk_shape:
        padded = np.zeros(chunk_shape, dtype)
        padded[tuple(slice(0, size) for size in values.shape)] = values
        values = padded
    count, itemsize = values.size, dtype.itemsize
    if not shuffle or itemsize == 1:
        stored = np.empty(chunk_shape, dtype)
        flat = stored.reshape(-1)
        for start, piece in _pieces(values):
            flat[start : start + piece.size].reshape(piece.shape)[...] = piece
        return flat.view(np.uint8)
    planes = np.empty((itemsize, count), np.uint8)
    for start, piece in _pieces(values):
        ordered = np.ascontiguousarray(piece, dtype=dtype).reshape(-1)
        planes[:, start : start + piece.size] = _bytes_of(ordered, itemsize).T
    return planes


def is_all_zero(stored: Bytes) -> bool:
    """Whether every byte is zero, so that a fill value of zero says the same."""
    flat = stored.reshape(-1)
    return not flat[:_GLANCE_BYTES].any() and not flat.any()


def _bytes_of(ordered: NDArray[Any], itemsize: int) -> Bytes:
    return ordered.view(np.uint8).reshape(-1, itemsize)


def _pieces(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Give parts that follow each other in C order, with the position of each."""
    if values.flags.c_contiguous:
        values = values.reshape(-1)
    if values.ndim == 0:
        yield 0, values
        return
    entry = values.size // values.shape[0]
    per_piece = _PIECE_BYTES // max(entry * values.dtype.itemsize, 1)
    if per_piece == 0 and values.ndim > 1:
        # One entry is larger than a piece: split it along its own first axis.
        for index in range(values.shape[0]):
            for start, piece in _pieces(values[index]):
                yield index * entry + start, piece
        return
    step = max(per_piece, 1)
    for start in range(0, values.shape[0], step):
        yield start * entry, values[start : start + step]


def unshuffled(stored: Any, itemsize: int) -> Bytes:
    """Return bytes in the order of the values, undoing a byte shuffle."""
    planes = np.frombuffer(stored, np.uint8)
    if itemsize == 1:
        return planes
    by_byte = planes.reshape(itemsize, -1)
    count = by_byte.shape[1]
    values = np.empty((count, itemsize), np.uint8)
    step = _PIECE_BYTES // itemsize
    for start in range(0, count, step):
        values[start : start + step] = by_byte[:, start : start + step].T
    return values.reshape(-1)


def num_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the size of an array."""
    return math.prod(shape) * dtype.itemsize
