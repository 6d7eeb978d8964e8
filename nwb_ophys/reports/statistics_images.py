"""Mean, maximum and standard deviation of each pixel, gathered from tiles in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_spread import spread_of
from nwb_ophys.reports.statistics_tiles import TileSummary, sum_dtype
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
        self._sums = np.zeros(shape, sum_dtype(dtype))
        lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
        self._maximum = np.full(shape, lowest, dtype)
        self._lacking: NDArray[np.int32] | None = None
        self.spread = spread_of(dtype, shape)

    def add(self, place: Selection, summary: TileSummary) -> None:
        """Add the statistics of a tile.

        Parameters
        ----------
        place : tuple of slice
            The pixels of the tile.
        summary : TileSummary
        """
        sums, maximum = self._sums[place], self._maximum[place]
        sums += summary.sums.reshape(sums.shape)
        np.maximum(maximum, summary.maximum.reshape(sums.shape), out=maximum)
        if summary.is_finite is not None:
            if self._lacking is None:
                self._lacking = np.zeros(self._sums.shape, np.int32)
            missing = np.count_nonzero(~summary.is_finite, axis=0)
            self._lacking[place] += missing.reshape(sums.shape).astype(np.int32)

    def mean(self, num_frames: int) -> NDArray[np.float32]:
        """Return the mean of the finite values of each pixel; NaN if there are none."""
        counts: Any = num_frames if self._lacking is None else num_frames - self._lacking
        mean = self._sums / np.maximum(counts, 1)
        return np.where(np.equal(counts, 0), np.nan, mean).astype(np.float32)

    def maximum(self, num_frames: int) -> NDArray[np.floating]:
        """Return the maximum of the finite values of each pixel; NaN if there are none."""
        counts: Any = num_frames if self._lacking is None else num_frames - self._lacking
        maximum = self._maximum.astype(np.result_type(self._dtype, np.float32))
        maximum[np.broadcast_to(np.equal(counts, 0), maximum.shape)] = np.nan
        return maximum

    def deviation(self, num_sampled: int) -> NDArray[np.float32]:
        """Return the standard deviation of each pixel over the sampled frames."""
        if not num_sampled:
            return np.full(self._sums.shape, np.nan, np.float32)
        return self.spread.result(num_sampled)
