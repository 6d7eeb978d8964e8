"""Mean and maximum of each pixel, gathered from tiles in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_tiles import TileSummary, sum_dtypes
from nwb_ophys.storage.grid import Selection, Shape


class PixelImages:
    """Gathers the images of a movie; only one thread may add to them at a time.

    Parameters
    ----------
    dtype : numpy.dtype
        Of integers or floats in the byte order of the machine.
    shape : tuple of int
        Of a frame, with its axes in the order of the memory of the movie.
    """

    def __init__(self, dtype: np.dtype[Any], shape: Shape) -> None:
        self._dtype = dtype
        lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
        self._maximum = np.full(shape, lowest, dtype)
        self._lacking: NDArray[np.int32] | None = None
        *narrow, widest = sum_dtypes(dtype)
        self._sums = np.zeros(shape, widest)
        self._narrow = {each: _NarrowSums(each, shape) for each in narrow}

    def add(self, place: Selection, summary: TileSummary) -> None:
        """Add the statistics of a tile.

        Parameters
        ----------
        place : tuple of slice
            The pixels of the tile.
        summary : TileSummary
        """
        maximum = self._maximum[place]
        np.maximum(maximum, summary.maximum.reshape(maximum.shape), out=maximum)
        sums = summary.sums.reshape(maximum.shape)
        narrow = self._narrow.get(sums.dtype)
        if narrow is None:
            self._sums[place] += sums
        else:
            narrow.add(place, sums, summary.largest_sum, self._sums)
        if summary.is_finite is not None:
            if self._lacking is None:
                self._lacking = np.zeros(self._sums.shape, np.int32)
            missing = np.count_nonzero(~summary.is_finite, axis=0)
            self._lacking[place] += missing.reshape(sums.shape).astype(np.int32)

    def mean(self, num_frames: int) -> NDArray[np.float32]:
        """Return the mean of the finite values of each pixel; NaN if there are none."""
        for narrow in self._narrow.values():
            narrow.move(slice(None), self._sums)
        if self._lacking is None:
            return (self._sums / (num_frames or np.nan)).astype(np.float32)
        counts = num_frames - self._lacking
        mean = self._sums / np.maximum(counts, 1)
        return np.where(np.equal(counts, 0), np.nan, mean).astype(np.float32)

    def maximum(self, num_frames: int) -> NDArray[np.floating]:
        """Return the maximum of the finite values of each pixel; NaN if there are none."""
        counts: Any = num_frames if self._lacking is None else num_frames - self._lacking
        maximum = self._maximum.astype(np.result_type(self._dtype, np.float32))
        maximum[np.broadcast_to(np.equal(counts, 0), maximum.shape)] = np.nan
        return maximum


class _NarrowSums:
    """Sums in a narrow dtype, which are moved to a wider one before they can overflow.

    NumPy adds them ten times as fast as to sums of another dtype.
    """

    def __init__(self, dtype: np.dtype[Any], shape: Shape) -> None:
        self._limit = int(np.iinfo(dtype).max)
        self._sums = np.zeros(shape, dtype)
        # Largest absolute sum that each row along the first axis can have.
        self._largest = np.zeros(shape[0], np.int64)

    def add(self, place: Selection, sums: NDArray[Any], largest: int, wide: NDArray[Any]) -> None:
        rows = place[0]
        if int(self._largest[rows].max()) + largest > self._limit:
            self.move(rows, wide)
        self._largest[rows] += largest
        self._sums[place] += sums

    def move(self, rows: slice, wide: NDArray[Any]) -> None:
        """Add the sums of some rows to others, and begin again from zero."""
        if self._largest[rows].any():
            wide[rows] += self._sums[rows]
            self._sums[rows] = 0
            self._largest[rows] = 0
