"""Standard deviation and histogram of sampled frames, several of which are computed at once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_model import FramePlan, Histogram
from nwb_ophys.reports.statistics_spread import spread_of
from nwb_ophys.reports.statistics_values import HistogramGatherer
from nwb_ophys.storage.grid import Selection, Shape

# Frames that wait, so that each image is changed once for all of them.
_FRAMES_AT_ONCE = 16
_MOST_WAITING_BYTES = 32_000_000
_TILE_PIXELS = 16_384


class SampledFrames:
    """Gathers copies of the sampled frames, and computes with several of them at a time.

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
        self._waiting: dict[Any, list[NDArray[Any]]] = {}
        # Memory of former copies: new memory costs as much as the copy.
        self._free: dict[Shape, list[NDArray[Any]]] = {}
        self._num_bytes = 0

    def add(self, start: int, place: Selection, values: NDArray[Any]) -> None:
        """Copy the sampled frames of a block; several threads may do so at once.

        Parameters
        ----------
        start : int
            Number of the first frame.
        place : tuple of slice
            The pixels of the block.
        values : numpy.ndarray, shape (frames, …)
        """
        within = slice(start, start + len(values))
        chosen = np.flatnonzero(self._plan.is_sampled[within])
        if not len(chosen):
            return
        copies = self._copies(values, chosen)
        shown = copies[self._plan.is_in_histogram[within][chosen]].reshape(-1)
        key = tuple((step.start, step.stop) for step in place)
        with self._lock:
            self._histogram.add(_finite(shown))
            waiting = self._waiting.setdefault(key, [])
            waiting.append(copies)
            self._num_bytes += copies.nbytes
            count = sum(map(len, waiting))
            is_full = count >= _FRAMES_AT_ONCE or self._num_bytes > _MOST_WAITING_BYTES
            frames = self._taken(key) if is_full else []
        self._compute(place, frames)

    def _copies(self, values: NDArray[Any], chosen: NDArray[np.intp]) -> NDArray[Any]:
        """Return contiguous copies of some frames."""
        shape = (len(chosen), *values.shape[1:])
        with self._lock:
            free = self._free.get(shape)
            copies = free.pop() if free else np.empty(shape, values.dtype)
        for copy, number in zip(copies, chosen, strict=True):
            copy[...] = values[number]
        return copies

    def _taken(self, key: Any) -> list[NDArray[Any]]:
        frames = self._waiting.pop(key)
        self._num_bytes -= sum(part.nbytes for part in frames)
        return frames

    def _compute(self, place: Selection, frames: list[NDArray[Any]]) -> None:
        """Add the moments of some frames, given as several arrays of consecutive ones."""
        if not frames:
            return
        num_rows = frames[0].shape[1]
        step = max(_TILE_PIXELS // max(frames[0][0, :1].size, 1), 1)
        for start in range(0, num_rows, step):
            tile = [part[:, start : start + step].reshape(len(part), -1) for part in frames]
            moments = self._spread.part_of(tile)
            first = place[0].start + start
            rows = slice(first, min(first + step, place[0].stop))
            with self._lock:
                self._spread.add((rows, *place[1:]), moments)
        with self._lock:
            for part in frames:
                self._free.setdefault(part.shape, []).append(part)

    def deviation(self, num_frames: int) -> NDArray[np.float32]:
        """Return the standard deviation of each pixel; call it once, after all blocks."""
        for key in list(self._waiting):
            self._compute(tuple(slice(*each) for each in key), self._taken(key))
        if not num_frames:
            return np.full(self._shape, np.nan, np.float32)
        return self._spread.result(num_frames)

    def histogram(self) -> Histogram:
        """Return the histogram."""
        return self._histogram.result()


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
