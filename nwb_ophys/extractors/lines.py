"""Base class of extractors of line scans: pixels along a line, over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.extractors.ranges import check_range
from nwb_ophys.timing import regular_times


class LineScanExtractor(ABC):
    """One channel of a line that was scanned again and again; subclasses read the pixels.

    The methods have the names that extractors of movies have; a sample is one line.
    """

    reads_in_parallel = False
    _times: NDArray[np.float64] | None = None

    @abstractmethod
    def read_lines(self, start: int, stop: int) -> NDArray[Any]:
        """Return the lines from ``start`` to before ``stop``, of shape (lines, pixels)."""

    @abstractmethod
    def get_num_samples(self) -> int:
        """Return the number of lines."""

    @abstractmethod
    def get_num_pixels(self) -> int:
        """Return the number of pixels of a line."""

    @abstractmethod
    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel, in native byte order."""

    @abstractmethod
    def get_sampling_frequency(self) -> float | None:
        """Return the lines per second, in Hz; None if the source does not state it."""

    def get_native_timestamps(self) -> NDArray[np.float64] | None:
        """Return the start of each line in seconds, if the source states it."""
        return None

    def source_images(self) -> Mapping[str, NDArray[Any]]:
        """Return the images on which the line was drawn by name, (rows, columns)."""
        return {}

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[Any]:
        """Read lines.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First line, and the one after the last; all lines by default.

        Returns
        -------
        numpy.ndarray, shape (lines, pixels)
        """
        return self.read_lines(*check_range(start_sample, end_sample, self.get_num_samples()))

    def has_time_vector(self) -> bool:
        """Return whether times have been set."""
        return self._times is not None

    def set_times(self, times: ArrayLike) -> None:
        """Set the start of each line in seconds."""
        self._times = np.asarray(times, dtype=np.float64)

    def get_timestamps(self) -> NDArray[np.float64] | None:
        """Return the times that were set, or those of the source, in seconds."""
        if self._times is not None:
            return self._times
        native, rate = self.get_native_timestamps(), self.get_sampling_frequency()
        return regular_times(self.get_num_samples(), rate) if native is None and rate else native


class FirstLines(LineScanExtractor):
    """The first lines of a line scan.

    Parameters
    ----------
    parent : LineScanExtractor
    num_lines : int
        More lines than there are give all of them.
    """

    def __init__(self, parent: LineScanExtractor, num_lines: int) -> None:
        self.parent = parent
        self._num_lines = min(num_lines, parent.get_num_samples())
        if parent._times is not None:
            self._times = parent._times[: self._num_lines]

    def read_lines(self, start: int, stop: int) -> NDArray[Any]:
        """Return the lines from ``start`` to before ``stop``, of shape (lines, pixels)."""
        return self.parent.read_lines(start, stop)

    def get_num_samples(self) -> int:
        """Return the number of lines."""
        return self._num_lines

    def get_num_pixels(self) -> int:
        """Return the number of pixels of a line."""
        return self.parent.get_num_pixels()

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel, in native byte order."""
        return self.parent.get_dtype()

    def get_sampling_frequency(self) -> float | None:
        """Return the lines per second, in Hz; None if the source does not state it."""
        return self.parent.get_sampling_frequency()

    def get_native_timestamps(self) -> NDArray[np.float64] | None:
        """Return the start of each line in seconds, if the source states it."""
        times = self.parent.get_native_timestamps()
        return None if times is None else times[: self._num_lines]

    def source_images(self) -> Mapping[str, NDArray[Any]]:
        """Return the images on which the line was drawn by name, (rows, columns)."""
        return self.parent.source_images()
