"""Statistics of a movie, and the frames that they are computed from."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
from numpy.typing import NDArray

MOST_BINS = 256
"""Largest number of bins of a histogram."""
MOST_LISTED = 1_000
"""Largest number of blank or repeated frames that are listed; all are counted."""

# The standard deviation costs several times as much as all other statistics of a frame.
_NUM_SAMPLED = 64
_LARGEST_STEP = 32
_PIXELS_IN_HISTOGRAM = 1_000_000
_FEWEST_IN_HISTOGRAM = 4


@attrs.frozen(kw_only=True, eq=False)
class Histogram:
    """Histogram of all finite pixels of some frames.

    Attributes
    ----------
    counts : numpy.ndarray of int64, shape (bins,)
        Numbers of pixels; at most 256 bins, and 0 where there is no finite pixel.
    edges : numpy.ndarray of float64, shape (bins + 1,)
        A bin holds the values from its lower edge up to, but not including, its upper edge. The
        width of all bins is the same power of two; of integers it is at least 1.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]


@attrs.frozen(kw_only=True, eq=False)
class MovieStatistics:
    """Statistics of a movie, in the order of axes of its dataset: time, columns, rows[, planes].

    Values that are not finite are left out of all statistics but their own count. A pixel without
    any finite value has the mean, maximum and standard deviation NaN.

    Attributes
    ----------
    num_frames : int
        Number of frames in the dataset.
    frames_read : int
        Number of frames that the statistics are computed from.
    every : int
        1 if all frames were read; k if every k-th part along time was, which has whole chunks.
    dtype : numpy.dtype
        Dtype of the dataset.
    frame_shape : tuple of int
        Shape of a frame, such as (columns, rows).
    mean : numpy.ndarray of float32, shape frame_shape
        Mean of each pixel. Sums of integers of up to 32 bits are exact.
    maximum : numpy.ndarray of float32 or float64, shape frame_shape
        Maximum of each pixel. The dtype represents all values of the dataset exactly, except
        integers of 64 bits.
    standard_deviation : numpy.ndarray of float32, shape frame_shape
        Standard deviation of each pixel over the sampled frames, divided by their number.
    std_frames : int
        Number of frames that the standard deviation is computed from: all of up to 64 frames read,
        else one of 2 to 32 of them.
    frame_means : numpy.ndarray of float64, shape (frames_read,)
        Mean of each frame.
    frame_numbers : numpy.ndarray of int64, shape (frames_read,)
        Numbers of the frames in the dataset, from 0, ascending.
    histogram : Histogram
    histogram_frames : int
        Number of frames that the histogram is computed from: sampled frames with about a
        million pixels in total, at least 4.
    num_pixels_read, num_zero, num_not_finite : int
        Numbers of pixels in all frames read: all, those that are 0, and those that are NaN or
        infinite.
    saturation_value : int or None
        The largest value that the camera or the digitiser can give: that of the dtype, or
        2^n - 1 for an n of 8 or more if the values reach exactly that and pile up there: at least
        two pixels have it, and more than twice as many as have the value below it. None for
        floats and truth values, which have no such value.
    num_saturated : int
        Number of pixels with that value, in all frames read; 0 for floats.
    frames_compared : int
        Number of frames that were searched for one value and compared with the frame before: those
        that were read, or all frames if the statistics were gathered while the file was written.
    num_blank_frames, num_repeated_frames : int
        Numbers of frames whose pixels all have the same value, and of frames that equal the frame
        before, byte by byte. A frame whose predecessor was not compared is not counted as repeated.
    blank_frames, repeated_frames : numpy.ndarray of int64
        Numbers of the first of these frames in the dataset, at most 1,000, ascending.
    """

    num_frames: int
    frames_read: int
    every: int
    dtype: np.dtype[np.generic]
    frame_shape: tuple[int, ...]
    mean: NDArray[np.float32]
    maximum: NDArray[np.floating]
    standard_deviation: NDArray[np.float32]
    std_frames: int
    frame_means: NDArray[np.float64]
    frame_numbers: NDArray[np.int64]
    histogram: Histogram
    histogram_frames: int
    num_pixels_read: int
    num_zero: int
    num_not_finite: int
    saturation_value: int | None
    num_saturated: int
    frames_compared: int
    num_blank_frames: int
    blank_frames: NDArray[np.int64]
    num_repeated_frames: int
    repeated_frames: NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class FramePlan:
    """The frames of a movie that are read, and those of them that are sampled.

    Attributes
    ----------
    num_frames, every : int
        See :class:`MovieStatistics`.
    is_read, is_compared : numpy.ndarray of bool, shape (num_frames,)
        Whether each frame is read, and whether it is searched for one value and compared with the
        frame before.
    numbers : numpy.ndarray of int64
        Numbers of the frames that are read. The position of a frame is its index in this array.
    is_sampled, is_in_histogram : numpy.ndarray of bool, shape (num_frames,)
        Whether each frame counts for the standard deviation, and for the histogram.
    """

    num_frames: int
    every: int
    is_read: NDArray[np.bool_]
    is_compared: NDArray[np.bool_]
    numbers: NDArray[np.int64]
    is_sampled: NDArray[np.bool_]
    is_in_histogram: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        num_frames: int,
        num_pixels: int,
        part: int = 1,
        every: int = 1,
        *,
        compares_all: bool = False,
    ) -> FramePlan:
        """Return the plan that reads every k-th part of a movie.

        Parameters
        ----------
        num_frames : int
        num_pixels : int
            Number of pixels of a frame.
        part : int
            Number of frames in a part, such as the length of a chunk.
        every : int
        compares_all : bool
            Whether the frames that are not read are compared nevertheless.
        """
        is_read, is_sampled, is_in_histogram = np.zeros((3, num_frames), bool)
        is_read[np.arange(num_frames) // part % every == 0] = True
        numbers = np.flatnonzero(is_read)
        sampled = numbers[:: min(-(-len(numbers) // _NUM_SAMPLED) or 1, _LARGEST_STEP)]
        is_sampled[sampled] = True
        most = max(_PIXELS_IN_HISTOGRAM // max(num_pixels, 1), _FEWEST_IN_HISTOGRAM)
        is_in_histogram[sampled[:: -(-len(sampled) // most) or 1]] = True
        return cls(
            num_frames=num_frames,
            every=every,
            is_read=is_read,
            is_compared=np.ones(num_frames, bool) if compares_all else is_read,
            numbers=numbers,
            is_sampled=is_sampled,
            is_in_histogram=is_in_histogram,
        )

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the first and the end of each run of frames that are read, within a range."""
        if self.every == 1:
            yield start, stop
            return
        bounded = np.concatenate([[False], self.is_read[start:stop], [False]])
        changes = np.flatnonzero(bounded[1:] != bounded[:-1]) + start
        yield from zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True)

    def position(self, number: int) -> int:
        """Return the position of a frame that is read."""
        return number if self.every == 1 else int(np.searchsorted(self.numbers, number))

    def follows(self, number: int) -> bool:
        """Return whether a frame and the frame before it are compared."""
        return 0 < number < self.num_frames and bool(
            self.is_compared[number - 1 : number + 1].all()
        )
