"""Standard deviation and histogram of sampled frames."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_model import FramePlan, Histogram
from nwb_ophys.reports.statistics_spread import spread_of
from nwb_ophys.reports.statistics_values import HistogramGatherer
from nwb_ophys.storage.grid import Selection, Shape


class SampledFrames:
    """Gathers the standard deviation of each pixel, and the histogram, of the sampled frames.

    Parameters
    ----------
    plan : FramePlan
    dtype : numpy.dtype
        Of integers or floats in the byte order of the machine.
    shape : tuple of int
        Of a frame, with its axes in the order of the memory of the movie.
    """

    def __init__(self, plan: FramePlan, dtype: np.dtype[Any], shape: Shape) -> None:
        self._plan, self._shape = plan, shape
        self._spread, self._histogram = spread_of(dtype, shape), HistogramGatherer(dtype)
        self._lock = threading.Lock()

    def add(self, start: int, place: Selection, tile: NDArray[Any]) -> None:
        """Add the sampled frames of a tile; several threads may do so at once.

        Parameters
        ----------
        start : int
            Number of the first frame.
        place : tuple of slice
            The pixels of the tile.
        tile : numpy.ndarray, shape (frames, pixels)
            Consecutive frames that are read, of which the sampled ones have equal distances.
        """
        within = slice(start, start + len(tile))
        chosen = np.flatnonzero(self._plan.is_sampled[within])
        if not len(chosen):
            return
        step = int(chosen[1] - chosen[0]) if len(chosen) > 1 else 1
        sampled = tile[int(chosen[0]) : int(chosen[-1]) + 1 : step]
        self._spread.add(place, sampled)
        for frame in sampled[self._plan.is_in_histogram[within][chosen]]:
            with self._lock:
                self._histogram.add(_finite(frame))

    def deviation(self, num_frames: int) -> NDArray[np.float32]:
        """Return the standard deviation of each pixel; call it once, after all blocks."""
        if not num_frames:
            return np.full(self._shape, np.nan, np.float32)
        return self._spread.result(num_frames)

    def histogram(self) -> Histogram:
        """Return the histogram."""
        return self._histogram.result()


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
