"""The statistics of one movie, gathered from its blocks in any order and by several threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import ArgumentError
from nwb_ophys.reports.statistics_frames import FrameComparison
from nwb_ophys.reports.statistics_images import PixelImages
from nwb_ophys.reports.statistics_model import MOST_LISTED, FramePlan, MovieStatistics
from nwb_ophys.reports.statistics_samples import SampledFrames
from nwb_ophys.reports.statistics_tiles import (
    MOST_FRAMES,
    TileSummary,
    sum_dtypes,
    summary_of,
    tile_bytes,
)
from nwb_ophys.reports.statistics_values import Top
from nwb_ophys.storage.grid import Selection, Shape

_FEWEST_PIXELS = 8192


class BlockGatherer:
    """Gathers the statistics of a movie from its blocks.

    All frames must be divided into blocks in the same way; along time a movie may be divided
    anywhere. Memory is about 30 bytes per pixel of a frame, and 30 bytes per frame.

    Parameters
    ----------
    dtype : numpy.dtype
        Of integers, floats or truth values.
    frame_shape : tuple of int
    plan : FramePlan

    Raises
    ------
    ArgumentError
        For another dtype.
    """

    def __init__(self, dtype: Any, frame_shape: Shape, plan: FramePlan) -> None:
        self._dtype, self._frame_shape, self._plan = np.dtype(dtype), tuple(frame_shape), plan
        self._native = _native(self._dtype)
        self._lock = threading.Lock()
        count = len(plan.numbers)
        self._num_pixels = math.prod(self._frame_shape)
        self._compared = FrameComparison(plan, self._num_pixels, self._native)
        self._frame_sums = np.zeros(count, sum_dtypes(self._native)[-1])
        self._frame_lacking = np.zeros(count, np.int64)
        self._num_values = self._num_zero = 0
        self._top: Top | None = None
        self._order: tuple[int, ...] = ()
        self._images: tuple[PixelImages, SampledFrames] | None = None

    def add(self, start: int, region: Selection, values: NDArray[Any]) -> None:
        """Add a block; several threads may do so at once.

        Parameters
        ----------
        start : int
            Number of the first frame. Frames that are not read are left out.
        region : tuple of slice
            The pixels of the block, along each axis of a frame.
        values : numpy.ndarray, shape (frames, …)
            Consecutive frames in any order of memory and any byte order; not changed.
        """
        if values.size:
            with np.errstate(all="ignore"):  # of floats near the largest one
                self._add(start, region, values)

    def _add(self, start: int, region: Selection, values: NDArray[Any]) -> None:
        images, samples = self._begun(values)
        moved = values.transpose(0, *(1 + axis for axis in self._order))
        place = tuple(region[axis] for axis in self._order)
        if not place:  # a frame is one value
            moved, place = values[:, np.newaxis], (slice(0, 1),)
        if moved.dtype != self._native:
            moved = moved.astype(self._native)
        for first, last in self._plan.runs(start, start + len(moved)):
            run = moved[first - start : last - start]
            self._add_tiles(images, samples, first, place, run)
        looks = self._compared.part_of(moved)
        with self._lock:
            self._compared.add(start, place, looks)
            self._num_values += values.size

    def _add_tiles(
        self,
        images: PixelImages,
        samples: SampledFrames,
        start: int,
        place: Selection,
        run: NDArray[Any],
    ) -> None:
        """Add consecutive frames from a number on, all of which are read."""
        top, position = place[0].start, self._plan.position(start)
        for frames, rows in _tiles(run):
            pixels = (slice(top + rows.start, top + rows.stop), *place[1:])
            tile = run[frames, rows].reshape(frames.stop - frames.start, -1)
            summary = summary_of(tile)
            with self._lock:
                images.add(pixels, summary)
                self._add_counts(position + frames.start, summary)
            samples.add(start + frames.start, pixels, tile)

    def _begun(self, values: NDArray[Any]) -> tuple[PixelImages, SampledFrames]:
        """Return the images, whose axes are in the order of the memory of the first block."""
        with self._lock:
            if self._images is None:
                steps = [-abs(step) for step in values.strides[1:]]
                self._order = tuple(sorted(range(len(steps)), key=steps.__getitem__))
                shape = tuple(self._frame_shape[axis] for axis in self._order) or (1,)
                samples = SampledFrames(self._plan, self._native, shape)
                self._images = (PixelImages(self._native, shape), samples)
            return self._images

    def _add_counts(self, position: int, summary: TileSummary) -> None:
        within = slice(position, position + len(summary.frame_sums))
        self._frame_sums[within] += summary.frame_sums
        self._num_zero += summary.num_zero
        if summary.is_finite is not None:
            self._frame_lacking[within] += np.count_nonzero(~summary.is_finite, axis=1)
        if summary.top is not None:
            self._top = summary.top if self._top is None else self._top.joined(summary.top)

    def result(self) -> MovieStatistics | None:
        """Return the statistics, or None if blocks are missing; call it once, after all blocks."""
        frames_compared = int(np.count_nonzero(self._plan.is_compared))
        is_complete = self._num_values == frames_compared * self._num_pixels
        if not (is_complete and self._compared.is_complete):
            return None
        with np.errstate(all="ignore"):  # of floats near the largest one
            return self._result(frames_compared)

    def _result(self, frames_compared: int) -> MovieStatistics:
        plan, frames_read = self._plan, len(self._plan.numbers)
        images, samples = self._begun(np.empty((0, *self._frame_shape), self._native))
        num_sampled = int(np.count_nonzero(plan.is_sampled))
        saturation, num_saturated = self._saturation()
        blank, repeated = self._compared.blank(), self._compared.repeated()
        return MovieStatistics(
            num_frames=plan.num_frames,
            frames_read=frames_read,
            every=plan.every,
            dtype=self._dtype,
            frame_shape=self._frame_shape,
            mean=self._in_file_order(images.mean(frames_read)),
            maximum=self._in_file_order(images.maximum(frames_read)),
            standard_deviation=self._in_file_order(samples.deviation(num_sampled)),
            std_frames=num_sampled,
            frame_means=self._frame_means(),
            frame_numbers=plan.numbers,
            histogram=samples.histogram(),
            histogram_frames=int(np.count_nonzero(plan.is_in_histogram)),
            num_pixels_read=frames_read * self._num_pixels,
            num_zero=self._num_zero,
            num_not_finite=int(self._frame_lacking.sum()),
            saturation_value=saturation,
            num_saturated=num_saturated,
            frames_compared=frames_compared,
            num_blank_frames=len(blank),
            blank_frames=blank[:MOST_LISTED],
            num_repeated_frames=len(repeated),
            repeated_frames=repeated[:MOST_LISTED],
        )

    def _saturation(self) -> tuple[int | None, int]:
        if self._native.kind == "f" or self._dtype.kind == "b":  # truth values, counted as bytes
            return None, 0
        return (self._top or Top(0, 0, 0)).saturation(self._native)

    def _frame_means(self) -> NDArray[np.float64]:
        """Return the mean of each frame; NaN without a finite value."""
        counts = self._num_pixels - self._frame_lacking
        means = self._frame_sums / np.maximum(counts, 1)
        means[counts == 0] = np.nan
        return means

    def _in_file_order(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return an image with the axes in the order of the dataset."""
        if not self._order:
            return image.reshape(self._frame_shape)
        return np.ascontiguousarray(image.transpose(np.argsort(self._order)))


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the computation.

    Raises
    ------
    ArgumentError
        For values that are not integers, floats or truth values.
    """
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f" and dtype.itemsize == np.dtype(np.float16).itemsize:
        return np.dtype(np.float32)
    if dtype.kind not in "iuf" or dtype.itemsize > np.dtype(np.float64).itemsize:
        raise ArgumentError(
            f"The movie has values of {dtype}; statistics are of integers and of floats of up to "
            "64 bits."
        )
    return dtype.newbyteorder("=")


def _tiles(moved: NDArray[Any]) -> Iterator[tuple[slice, slice]]:
    """Yield the frames, and the range of the first axis of a frame, of each tile of a block."""
    num_frames, num_rows = moved.shape[:2]
    row = math.prod(moved.shape[2:])
    itemsize, size = moved.dtype.itemsize, tile_bytes(moved.dtype)
    wanted = max(size // (num_frames * itemsize), _FEWEST_PIXELS)
    rows = min(max(wanted // row, 1), num_rows)
    frames = min(max(size // (rows * row * itemsize), 1), num_frames, MOST_FRAMES)
    for start in range(0, num_rows, rows):
        for first in range(0, num_frames, frames):
            yield (
                slice(first, min(first + frames, num_frames)),
                slice(start, min(start + rows, num_rows)),
            )
