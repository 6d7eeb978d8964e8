"""Conversion of the values of a chunk, in any order of memory, to bytes for a codec."""

from __future__ import annotations

import functools
import importlib
import math
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A piece of this size stays in the cache of a core between transposing and shuffling.
_PIECE_BYTES = 1 << 19
_WORD = 8
_SMALLEST_FRAME = 1 << 16
# Sizes of values that fit into a word several times.
_PACKABLE = (1, 2, 4)
# Sizes of values that shifts make from their bytes.
_SHIFTABLE = (2, 4, 8)
TRANSPOSED_FASTER = 2
"""Largest size of values in bytes that OpenCV transposes faster than NumPy."""
# OpenCV saves the time of its import over some 300 MB.
_WORTH_IMPORTING = 600_000_000
# Most chunks that are not all zeros have another value in these first bytes.
_FIRST_BYTES = 4096

Bytes = NDArray[np.uint8]


class Scratch(threading.local):
    """Memory of a thread that is reused for each chunk, and OpenCV, which transposes frames.

    The system clears new memory of some megabytes first, and all threads wait for that.

    Parameters
    ----------
    num_bytes : int
        Bytes of all values that may be transposed; for many, OpenCV is imported where it is
        installed, which transposes values of one and two bytes two to four times as fast as NumPy.
    """

    def __init__(self, num_bytes: int = 0) -> None:
        self._memory: Bytes = np.empty(0, np.uint8)
        is_worth_it = num_bytes >= _WORTH_IMPORTING or "cv2" in sys.modules
        self.opencv = _opencv() if is_worth_it else None

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
        Memory for the bytes, and what transposes; by default new memory, and NumPy.
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
    opencv = None if scratch is None else scratch.opencv
    if not shuffle or itemsize == 1:
        _copy_in_order(values, stored.view(dtype).reshape(1, count), opencv)
        return stored
    planes = stored.reshape(itemsize, count)
    _copy_in_order(values, planes, opencv)
    return planes


def _copy_in_order(values: NDArray[Any], planes: NDArray[Any], opencv: Any) -> None:
    """Copy values in C order, as values into one plane or as bytes into one plane per byte."""
    num_planes = len(planes)
    if values.ndim > 2 and values.shape[-1] == 1:  # volumes are cut into planes of depth 1
        values = values[..., 0]
    if _is_transposed(values):
        *leading, columns, rows = values.shape
        target = planes.reshape(num_planes, -1, columns, rows)
        for position, index in enumerate(np.ndindex(*leading)):
            _copy_transposed(values[index], target[:, position], opencv)
        return
    for start, piece in _pieces(values):
        ordered = np.ascontiguousarray(piece).reshape(-1)
        _split(ordered, planes[:, start : start + piece.size])


def _split(values: NDArray[Any], planes: NDArray[Any]) -> None:
    """Copy contiguous values of any shape into one plane, or each of their bytes into its own.

    Casts of values of two bytes are three times as fast as copies of every second byte; of four
    and eight bytes they are not.
    """
    itemsize = len(planes)
    if itemsize == 1:
        planes[0] = values
        return
    if itemsize == 2:
        whole = values.view("<u2")
        np.copyto(planes[0], whole, casting="unsafe")
        np.right_shift(whole, 8, out=planes[1], casting="unsafe")
        return
    by_byte = values.view(np.uint8).reshape(*values.shape, itemsize)
    for index, plane in enumerate(planes):
        plane[...] = by_byte[..., index]


def _is_transposed(values: NDArray[Any]) -> bool:
    """Return whether values are contiguous along the last axis but one, in frames large enough."""
    return (
        values.ndim >= 2
        and values.dtype.itemsize in _PACKABLE
        and values.shape[-1] * values.shape[-2] * values.dtype.itemsize >= _SMALLEST_FRAME
        and values.strides[-2] == values.dtype.itemsize
    )


def _copy_transposed(frame: NDArray[Any], planes: NDArray[Any], opencv: Any) -> None:
    """Copy a frame of (columns, rows), contiguous along its columns, to (…, columns, rows)."""
    itemsize, (columns, rows) = frame.dtype.itemsize, frame.shape
    if opencv is None or itemsize > TRANSPOSED_FASTER:
        _copy_by_words(frame, planes)
        return
    slab = max(_PIECE_BYTES // (rows * itemsize), 1)
    unit = np.dtype(f"u{itemsize // len(planes)}")
    for start in range(0, columns, slab):
        source = frame[start : start + slab].T
        if source.shape[1] < columns:
            source = np.ascontiguousarray(source)  # distant rows evict each other from the cache
        parts = [source.view(unit)]
        if len(planes) > 1:  # planes of bytes are transposed faster than values
            parts = opencv.split(parts[0].reshape(*source.shape, -1))
        for part, plane in zip(parts, planes[:, start : start + slab].view(unit), strict=True):
            made = opencv.transpose(part, plane)
            if made is not plane:
                plane[...] = made


def _copy_by_words(frame: NDArray[Any], planes: NDArray[Any]) -> None:
    """Do the same with NumPy alone.

    Words of eight bytes are transposed first, and then the values within each word, which is twice
    as fast as transposing single values.
    """
    itemsize, (columns, rows) = frame.dtype.itemsize, frame.shape
    per_word = _WORD // itemsize
    words_end = columns // per_word * per_word
    slab = max(_PIECE_BYTES // (rows * _WORD), 1) * per_word
    for start in range(0, words_end, slab):
        stop = min(start + slab, words_end)
        source = frame[start:stop].T
        if start or stop < columns:
            source = np.ascontiguousarray(source)  # distant rows evict each other from the cache
        words = np.ascontiguousarray(source.view(np.uint64).T)
        target = planes[:, start:stop].reshape(len(planes), len(words), per_word, rows)
        if len(planes) == 2:
            parts = words.view(frame.dtype).reshape(len(words), rows, per_word)
            _split(np.ascontiguousarray(parts.transpose(0, 2, 1)), target)
            continue
        unit = np.dtype(np.uint8) if len(planes) > 1 else planes.dtype
        by_byte = words.view(unit).reshape(len(words), rows, per_word, len(planes))
        target[...] = by_byte.transpose(3, 0, 2, 1)
    if words_end < columns:
        _split(np.ascontiguousarray(frame[words_end:]), planes[:, words_end:])


@functools.cache
def _opencv() -> Any:
    """Return the module of OpenCV; None where it is not installed."""
    try:
        return importlib.import_module("cv2")
    except ImportError:
        return None


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
    per_piece = _PIECE_BYTES // max(entry * values.dtype.itemsize, 1)
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
    step = _PIECE_BYTES // itemsize
    for start in range(0, count, step):
        values[start : start + step] = by_byte[:, start : start + step].T
    return values.reshape(-1)


def _joined(planes: Bytes) -> Bytes:
    """Return values of which each row has one byte; shifts are ten times as fast as copies."""
    itemsize, count = planes.shape
    values = np.empty(count, f"<u{itemsize}")
    step = _PIECE_BYTES // itemsize
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
