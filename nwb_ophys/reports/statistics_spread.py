"""Standard deviation of each pixel over sampled frames, gathered from tiles in any order."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_tiles import MOST_FRAMES, add_moments, is_compiled
from nwb_ophys.storage.grid import Selection, Shape

# Up to this number of frames the variance of exact sums needs no more than 64 bits.
_MOST_EXACT = 1 << 15


class Spread(Protocol):
    """Gatherer of the standard deviation of each pixel."""

    def add(self, place: Selection, tile: NDArray[Any]) -> None:
        """Add some pixels of some frames; several threads may do so at once.

        Parameters
        ----------
        place : tuple of slice
            The pixels.
        tile : numpy.ndarray, shape (frames, pixels)
        """

    def result(self, num_frames: int) -> NDArray[np.float32]:
        """Return the standard deviation over a number of frames, which changes the moments."""


def spread_of(dtype: np.dtype[Any], shape: Shape) -> Spread:
    """Return a gatherer for frames of a dtype and shape."""
    is_exact = dtype.kind in "iu" and dtype.itemsize <= np.dtype(np.int16).itemsize
    return _ExactSpread(shape) if is_exact else _FloatSpread(shape)


class _ExactSpread:
    """Exact sums of integers of one or two bytes, and of their squares."""

    def __init__(self, shape: Shape) -> None:
        self._lock = threading.Lock()
        self._sums, self._squares = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def add(self, place: Selection, tile: NDArray[Any]) -> None:
        """Add the sums, and the sums of squares."""
        sums, squares = self._sums[place], self._squares[place]
        if is_compiled(tile.dtype) and sums.flags.c_contiguous:
            with self._lock:
                add_moments(tile, sums.reshape(-1), squares.reshape(-1))
            return
        new_sums, new_squares = self._moments_of(tile)
        with self._lock:
            sums += new_sums.reshape(sums.shape)
            squares += new_squares.reshape(sums.shape)

    def _moments_of(self, tile: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        wide = tile.astype(np.uint32 if tile.dtype.kind == "u" else np.int32)
        is_narrow = len(wide) <= MOST_FRAMES
        sums = np.add.reduce(wide, axis=0, dtype=wide.dtype if is_narrow else np.int64)
        np.multiply(wide, wide, out=wide)
        largest = int(np.maximum.reduce(wide, axis=None)) * len(wide)
        is_narrow = largest <= np.iinfo(wide.dtype).max
        return sums, np.add.reduce(wide, axis=0, dtype=wide.dtype if is_narrow else np.int64)

    def result(self, num_frames: int) -> NDArray[np.float32]:
        """Return the standard deviation."""
        if num_frames <= _MOST_EXACT:
            self._squares *= num_frames
            self._squares -= np.square(self._sums, out=self._sums)
            spread = np.sqrt(self._squares)
            spread /= num_frames
        else:
            mean = self._sums / num_frames
            spread = np.sqrt(np.maximum(self._squares / num_frames - np.square(mean), 0))
        return spread.astype(np.float32)


class _FloatSpread:
    """Counts, means and sums of squared differences from the mean, which tiles join."""

    def __init__(self, shape: Shape) -> None:
        self._lock = threading.Lock()
        self._counts = np.zeros(shape, np.int32)
        self._means, self._squares = np.zeros(shape), np.zeros(shape)

    def add(self, place: Selection, tile: NDArray[Any]) -> None:
        """Join the moments of a tile with those of its pixels."""
        part = self._moments_of(tile)
        with self._lock:
            self._join(place, part)

    def _moments_of(self, tile: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return the counts, the means, and the sums of squared differences from them."""
        values = tile.astype(np.float64)
        is_finite = np.isfinite(values)
        counts = np.count_nonzero(is_finite, axis=0)
        if not is_finite.all():
            values[~is_finite] = 0
        means = values.sum(axis=0) / np.maximum(counts, 1)
        values -= means
        if not is_finite.all():
            values[~is_finite] = 0
        return counts, means, np.square(values, out=values).sum(axis=0)

    def _join(self, place: Selection, part: tuple[NDArray[Any], ...]) -> None:
        counts, means, squares = self._counts[place], self._means[place], self._squares[place]
        number, mean, square = (each.reshape(counts.shape) for each in part)
        total = counts + number
        step = (mean - means) * (number / np.maximum(total, 1))
        squares += square + step * (mean - means) * counts
        means += step
        counts[...] = total

    def result(self, num_frames: int) -> NDArray[np.float32]:
        """Return the standard deviation; NaN without a finite value."""
        spread = np.sqrt(self._squares / np.maximum(self._counts, 1))
        spread[self._counts == 0] = np.nan
        return spread.astype(np.float32)
