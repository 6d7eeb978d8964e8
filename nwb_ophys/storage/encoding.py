"""Conversion of the values of a chunk, in any order of memory, to bytes for a codec."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.transposition import PIECE_BYTES, is_transposed, split, transpose

# Sizes of values that shifts make from their bytes.
_SHIFTABLE = (2, 4, 8)
# Most chunks that are not all zeros have another value in these first bytes.
_FIRST_BYTES = 4096

Bytes = NDArray[np.uint8]


class Scratch(threading.local):
    """Memory of a thread that is reused for each chunk.

    The system clears new memory of some megabytes first, and all threads wait for that.
    """

    def __init__(self) -> None:
        self._memory: Bytes = np.empty(0, np.uint8)

    def take(self, size: int) -> Bytes:
        """Return memory, whose contents last until the next call in this thread."""
        if self._memory.size < size:
            self._memory = np.empty(size, np.uint8)
        return self._memory[:size]


def chunk_bytes(
    values: NDArray[Any],
    chunk_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    shuffle: bool,
    scratch: Scratch | None = None,
    padding: Any = None,
) -> Bytes:
    """Return the bytes of a chunk in C order, byte-shuffled if asked.

    Parameters
    ----------
    values : numpy.ndarray
        A view in any order; smaller than the chunk at the edges of a dataset.
    chunk_shape : tuple of int
    dtype : numpy.dtype
        Dtype of the stored values; others are cast.
    shuffle : bool
        Put the first bytes of all values first, then their second bytes, and so on, like the
        shuffle filters of HDF5 and numcodecs.
    scratch : Scratch, optional
        Memory for the bytes; by default new memory.
    padding : scalar, optional
        Value beyond the edges of the dataset, by default zero; a reader sees it if the dataset
        grows.

    Returns
    -------
    numpy.ndarray of uint8, shape (itemsize, values) or (bytes,)
    """
    if values.shape != chunk_shape:
        padded = np.zeros(chunk_shape, dtype)
        if padding is not None:
            padded[...] = padding
        padded[tuple(slice(0, size) for size in values.shape)] = values
        values = padded
    if values.dtype != dtype:
        values = values.astype(dtype)
    count, itemsize = values.size, dtype.itemsize
    size = count * itemsize
    stored = np.empty(size, np.uint8) if scratch is None else scratch.take(size)
    if not shuffle or itemsize == 1:
        _copy_in_order(values, stored.view(dtype).reshape(1, count))
        return stored
    planes = stored.reshape(itemsize, count)
    _copy_in_order(values, planes)
    return planes


def _copy_in_order(values: NDArray[Any], planes: NDArray[Any]) -> None:
    """Copy values in C order, as values into one plane or as bytes into one plane per byte."""
    num_planes = len(planes)
    if values.ndim > 2 and values.shape[-1] == 1:  # volumes are cut into planes of depth 1
        values = values[..., 0]
    if is_transposed(values, num_planes):
        *leading, columns, rows = values.shape
        target = planes.reshape(num_planes, -1, columns, rows)
        for position, index in enumerate(np.ndindex(*leading)):
            transpose(values[index], target[:, position])
        return
    for start, piece in _pieces(values):
        ordered = np.ascontiguousarray(piece).reshape(-1)
        split(ordered, planes[:, start : start + piece.size])


def is_all_zero(stored: Bytes) -> bool:
    """Return whether every byte is zero, so that a fill value of zero replaces the chunk."""
    flat = stored.reshape(-1)
    return not flat[:_FIRST_BYTES].any() and not flat.any()


def _pieces(values: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield consecutive parts in C order, each with its position."""
    if values.flags.c_contiguous:
        values = values.reshape(-1)
    if values.ndim == 0:
        yield 0, values
        return
    entry = values.size // values.shape[0]
    per_piece = PIECE_BYTES // max(entry * values.dtype.itemsize, 1)
    if per_piece == 0 and values.ndim > 1:
        # An entry is larger than a piece: split it along its own first axis.
        for index in range(values.shape[0]):
            for start, piece in _pieces(values[index]):
                yield index * entry + start, piece
        return
    step = max(per_piece, 1)
    for start in range(0, values.shape[0], step):
        yield start * entry, values[start : start + step]


def unshuffled(stored: Any, itemsize: int) -> Bytes:
    """Return bytes in the order of the values, reversing a byte shuffle."""
    planes = np.frombuffer(stored, np.uint8)
    if itemsize == 1:
        return planes
    if itemsize in _SHIFTABLE:
        return _joined(planes.reshape(itemsize, -1))
    by_byte = planes.reshape(itemsize, -1)
    count = by_byte.shape[1]
    values = np.empty((count, itemsize), np.uint8)
    step = PIECE_BYTES // itemsize
    for start in range(0, count, step):
        values[start : start + step] = by_byte[:, start : start + step].T
    return values.reshape(-1)


def _joined(planes: Bytes) -> Bytes:
    """Return values of which each row has one byte; shifts are ten times as fast as copies."""
    itemsize, count = planes.shape
    values = np.empty(count, f"<u{itemsize}")
    step = PIECE_BYTES // itemsize
    for start in range(0, count, step):
        part = values[start : start + step]
        part[...] = planes[-1, start : start + step]
        for row in planes[-2::-1, start : start + step]:
            np.left_shift(part, 8, out=part)
            np.bitwise_or(part, row, out=part)
    return values.view(np.uint8)


def num_bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the size of an array in bytes."""
    return math.prod(shape) * dtype.itemsize
