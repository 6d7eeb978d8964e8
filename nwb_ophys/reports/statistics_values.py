"""Histograms and the largest value, gathered from parts of a movie in any order."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_model import MOST_BINS, Histogram

# Bins while values are gathered; their width is never larger than that of the result.
_MOST_FINE_BINS = 1 << 16
# Bits of the position of a bin, so that its edges are exact.
_POSITION_BITS = 50
_FEWEST_BITS = 8
_FEWEST_AT_LIMIT = 2
_PILE = 2


class HistogramGatherer:
    """Counts of values in bins whose width, a power of two, grows with their range.

    Bins begin at multiples of their width, so that two of them make exactly one of twice the width,
    and the result does not depend on the order of the values.

    Parameters
    ----------
    dtype : numpy.dtype
        Of integers or floats.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._is_integer = dtype.kind in "iu"
        self._exponent: int | None = None
        self._first = 0
        self._counts = np.zeros(0, np.int64)

    def add(self, values: NDArray[Any]) -> None:
        """Count finite values, in one dimension."""
        if not values.size:
            return
        low, high = values.min(), values.max()
        if values.dtype.itemsize <= np.dtype(np.int16).itemsize and self._is_integer:
            self._exponent = 0  # their range fits into the fine bins
            steps = np.subtract(values, low).view(f"u{values.dtype.itemsize}")
            self._join(int(low), np.bincount(steps))
            return
        exponent = self._exponent_for(low, high)
        self._coarsen(exponent)
        positions = self._positions(values, exponent)
        first = int(positions.min())
        found = np.bincount(positions - first)
        self._join(first, found)

    def result(self) -> Histogram:
        """Return the counts in at most 256 bins."""
        if self._exponent is None:
            return Histogram(counts=np.zeros(0, np.int64), edges=np.zeros(1))
        while len(self._counts) > MOST_BINS:
            self._coarsen(self._exponent + 1)
        positions = np.arange(self._first, self._first + len(self._counts) + 1)
        with np.errstate(over="ignore"):  # the last edge may be beyond the largest float
            edges = np.ldexp(positions.astype(np.float64), self._exponent)
        return Histogram(counts=self._counts, edges=edges)

    def _exponent_for(self, low: Any, high: Any) -> int:
        """Return the exponent of a width at which all values so far fit into the fine bins."""
        least, most = float(low), float(high)
        if self._exponent is not None:
            width = math.ldexp(1.0, self._exponent)
            least = min(least, self._first * width)
            most = max(most, (self._first + len(self._counts) - 1) * width)
        exponent = _exponent_of(least, most)
        if self._is_integer:
            exponent = max(exponent, 0)
        if self._exponent is not None:
            exponent = max(exponent, self._exponent)
        while _num_bins(least, most, exponent) > _MOST_FINE_BINS:
            exponent += 1
        return exponent

    def _positions(self, values: NDArray[Any], exponent: int) -> NDArray[np.int64]:
        if self._is_integer and values.dtype.itemsize < np.dtype(np.int64).itemsize:
            return values.astype(np.int64) >> exponent
        if self._is_integer:
            return (values >> values.dtype.type(exponent)).astype(np.int64)
        return np.floor(np.ldexp(values.astype(np.float64), -exponent)).astype(np.int64)

    def _coarsen(self, exponent: int) -> None:
        if self._exponent is None or not len(self._counts):
            self._exponent = exponent
        while self._exponent < exponent:
            if self._first % 2:
                self._counts = np.concatenate([[0], self._counts])
            if len(self._counts) % 2:
                self._counts = np.concatenate([self._counts, [0]])
            self._counts = self._counts.reshape(-1, 2).sum(axis=1)
            self._first //= 2
            self._exponent += 1

    def _join(self, first: int, found: NDArray[np.int64]) -> None:
        if not len(self._counts):
            self._first, self._counts = first, found.astype(np.int64)
            return
        start = min(first, self._first)
        stop = max(first + len(found), self._first + len(self._counts))
        counts = np.zeros(stop - start, np.int64)
        counts[self._first - start :][: len(self._counts)] = self._counts
        counts[first - start :][: len(found)] += found
        self._first, self._counts = start, counts


def _exponent_of(least: float, most: float) -> int:
    """Return the smallest exponent of which floats of this size have exact positions."""
    largest = max(abs(least), abs(most))
    smallest = math.frexp(np.finfo(np.float64).tiny)[1]
    if largest == 0:
        return smallest
    return max(math.frexp(largest)[1] - _POSITION_BITS, smallest)


def _num_bins(least: float, most: float, exponent: int) -> float:
    first, last = (math.floor(math.ldexp(each, -exponent)) for each in (least, most))
    return last - first + 1


@attrs.frozen
class Top:
    """The largest integer of a part of a movie.

    Attributes
    ----------
    value : int
    count, count_below : int
        Numbers of pixels that have it, and that have the value below it; counted only where these
        may be the largest values of a digitiser, see :func:`may_be_limit`.
    """

    value: int
    count: int
    count_below: int

    def joined(self, other: Top) -> Top:
        """Return the largest value of two parts."""
        if self.value < other.value:
            return other.joined(self)
        if self.value == other.value:
            return Top(self.value, self.count + other.count, self.count_below + other.count_below)
        is_below = self.value == other.value + 1
        return Top(self.value, self.count, self.count_below + (other.count if is_below else 0))

    def saturation(self, dtype: np.dtype[Any]) -> tuple[int, int]:
        """Return the largest value of the digitiser, and the number of pixels that have it."""
        most = int(np.iinfo(dtype).max)
        if self.value == most:
            return most, self.count
        is_pile = self.count >= _FEWEST_AT_LIMIT and self.count > _PILE * self.count_below
        if _is_limit(self.value) and is_pile:
            return self.value, self.count
        return most, 0


def _is_limit(value: int) -> bool:
    """Return whether a value is 2^n - 1, for an n of 8 or more."""
    return value & (value + 1) == 0 and value.bit_length() >= _FEWEST_BITS


def may_be_limit(value: int, most: int) -> bool:
    """Return whether a value, or the one above it, is the largest that some digitiser gives.

    Parameters
    ----------
    value : int
    most : int
        The largest value of the dtype.
    """
    return value >= 0 and (_is_limit(value) or _is_limit(value + 1) or value >= most - 1)
