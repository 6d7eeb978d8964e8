"""Copies of frames in another order of memory, as values or as one plane per byte.

Recordings have frames row by row, NWB has them column by column. The compiled part transposes at
two to three times the speed of NumPy, which is used where the package was built without a compiler
or for a processor that it does not know.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import nwb_ophys.storage._transposition as _compiled
except ImportError:
    _compiled = None  # type: ignore[assignment]

PIECE_BYTES = 1 << 19
"""Size of a piece that stays in the cache of a core between transposing and shuffling."""

_WORD = 8
# Smaller frames are copied by NumPy in no more time than a call takes.
_SMALLEST_FRAME = 1 << 12
# NumPy alone is faster on larger frames only, whose values fit into a word several times.
_SMALLEST_BY_WORDS = 1 << 16
_PACKABLE = (1, 2, 4)
# Sizes of values that the compiled part moves whole, where bytes need not be put into planes.
_MOVED_WHOLE = (1, 2)
# Sizes of values whose bytes it puts into planes.
_SPLIT_SIZES = (2, 4, 8)


def is_compiled() -> bool:
    """Return whether this installation has the compiled part."""
    return _compiled is not None


def is_transposed(values: NDArray[Any], num_planes: int) -> bool:
    """Return whether values are faster copied by :func:`transpose` than by NumPy.

    Parameters
    ----------
    values : numpy.ndarray, shape (…, columns, rows)
        Copied if contiguous along the columns, in frames that are large enough.
    num_planes : int
        1 for values, or their size in bytes.
    """
    itemsize = values.dtype.itemsize
    if values.ndim < 2 or values.strides[-2] != itemsize:
        return False
    num_bytes = values.shape[-1] * values.shape[-2] * itemsize
    if _compiled_unit(values, num_planes):
        return num_bytes >= _SMALLEST_FRAME
    return itemsize in _PACKABLE and num_bytes >= _SMALLEST_BY_WORDS


def transpose(frame: NDArray[Any], planes: NDArray[Any]) -> None:
    """Copy a frame that is contiguous along its columns.

    Parameters
    ----------
    frame : numpy.ndarray, shape (columns, rows)
        As :func:`is_transposed` wants it.
    planes : numpy.ndarray, shape (1 or bytes per value, columns, rows)
        Each plane contiguous; of the dtype of the values, or of uint8.
    """
    unit = _compiled_unit(frame, len(planes))
    if unit:
        whole = frame.view(f"V{frame.dtype.itemsize}")
        _compiled.transpose_into(whole, planes.view(f"u{unit}"))
    else:
        _transpose_by_words(frame, planes)


def _compiled_unit(values: NDArray[Any], num_planes: int) -> int:
    """Return the number of bytes that the compiled part moves together, 0 if it does not."""
    itemsize = values.dtype.itemsize
    if _compiled is None:
        return 0
    if num_planes == itemsize:
        return 1
    return itemsize if num_planes == 1 and itemsize in _MOVED_WHOLE else 0


def split(values: NDArray[Any], planes: NDArray[Any]) -> None:
    """Copy contiguous values of any shape into one plane, or each of their bytes into its own.

    The compiled part splits values of four bytes six times as fast as NumPy. There, casts of values
    of two bytes are three times as fast as copies of every second byte; of four and eight bytes
    they are not.

    Parameters
    ----------
    values : numpy.ndarray
    planes : numpy.ndarray, shape (1 or bytes per value, *shape of the values)
    """
    itemsize = len(planes)
    if itemsize == 1:
        planes[0] = values
        return
    if _compiled is not None and itemsize in _SPLIT_SIZES and planes.ndim == 2:
        _compiled.split_into(values.view(np.uint8), planes)
        return
    if itemsize == 2:
        whole = values.view("<u2")
        np.copyto(planes[0], whole, casting="unsafe")
        np.right_shift(whole, 8, out=planes[1], casting="unsafe")
        return
    by_byte = values.view(np.uint8).reshape(*values.shape, itemsize)
    for index, plane in enumerate(planes):
        plane[...] = by_byte[..., index]


def _transpose_by_words(frame: NDArray[Any], planes: NDArray[Any]) -> None:
    """Do the same with NumPy alone.

    Words of eight bytes are transposed first, and then the values within each word, which is twice
    as fast as transposing single values.
    """
    itemsize, (columns, rows) = frame.dtype.itemsize, frame.shape
    per_word = _WORD // itemsize
    words_end = columns // per_word * per_word
    slab = max(PIECE_BYTES // (rows * _WORD), 1) * per_word
    for start in range(0, words_end, slab):
        stop = min(start + slab, words_end)
        source = frame[start:stop].T
        if start or stop < columns:
            source = np.ascontiguousarray(source)  # distant rows evict each other from the cache
        words = np.ascontiguousarray(source.view(np.uint64).T)
        target = planes[:, start:stop].reshape(len(planes), len(words), per_word, rows)
        if len(planes) == 2:
            parts = words.view(frame.dtype).reshape(len(words), rows, per_word)
            split(np.ascontiguousarray(parts.transpose(0, 2, 1)), target)
            continue
        unit = np.dtype(np.uint8) if len(planes) > 1 else planes.dtype
        by_byte = words.view(unit).reshape(len(words), rows, per_word, len(planes))
        target[...] = by_byte.transpose(3, 0, 2, 1)
    if words_end < columns:
        split(np.ascontiguousarray(frame[words_end:]), planes[:, words_end:])
