"""Levels and edges of the trace of a channel of pulses, read block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError

Blocks = Callable[[], Iterable[NDArray[Any]]]
"""A function that yields a trace in blocks, as often as it is called."""

HYSTERESIS = 0.2
"""Part of the distance of each level from the threshold that a trace must pass beyond it."""

_NUM_BINS = 4096
_LEAST_SEPARATION = 3.0


@attrs.frozen(kw_only=True)
class Levels:
    """Levels of a trace of pulses, in its own unit.

    Attributes
    ----------
    low, high : float
        Medians of the values on each side of the middle between the extremes.
    threshold : float
        Halfway between them, unless the user states it.
    """

    low: float
    high: float
    threshold: float


@attrs.frozen(kw_only=True, eq=False)
class Edges:
    """Edges of a trace.

    Attributes
    ----------
    samples : numpy.ndarray of int64
        Index of the first sample behind each edge.
    begins_behind : bool
        Whether the trace begins on the side to which its edges lead, so that the first of them may
        have been before its start.
    """

    samples: NDArray[np.int64]
    begins_behind: bool


def levels_of(blocks: Blocks, label: str, threshold: float | None = None) -> Levels:
    """Return the low and the high level of a trace.

    Parameters
    ----------
    blocks : callable
        Yields the trace, which is read twice.
    label : str
        Name of the trace, for messages.
    threshold : float, optional
        Stated by the user, in the unit of the trace.

    Raises
    ------
    SourceError
        If the trace has values that are not finite, or no two levels.
    """
    least, most = _extremes(blocks, label)
    if not most > least:
        raise SourceError(
            f"The {label} is {least:g} everywhere, so that it has no pulses; name another channel."
        )
    counts, means = _binned(blocks, np.linspace(least, most, _NUM_BINS + 1))
    cut = (least + most) / 2 if threshold is None else threshold
    below, above = counts * (means < cut), counts * (means >= cut)
    if not below.any() or not above.any():
        raise SourceError(
            f"threshold={cut:g} is not between values of the {label}, which has {least:g} to "
            f"{most:g}; state another one."
        )
    (low, low_width), (high, high_width) = _spread(below, means), _spread(above, means)
    if threshold is None and high - low < _LEAST_SEPARATION * (low_width + high_width):
        raise SourceError(
            f"The {label} has no two levels: its values lie about {low:.4g} and {high:.4g}, and "
            f"spread by {low_width:.4g} and {high_width:.4g}. Name another channel, or state the "
            "level between them as threshold=NUMBER."
        )
    return Levels(low=low, high=high, threshold=(low + high) / 2 if threshold is None else cut)


def _binned(
    blocks: Blocks, edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the number and the mean of the values in each bin."""
    counts, sums = np.zeros(edges.size - 1, np.int64), np.zeros(edges.size - 1)
    for block in blocks():
        values = np.asarray(block, np.float64)
        counts += np.histogram(values, edges)[0]
        sums += np.histogram(values, edges, weights=values)[0]
    return counts, sums / np.maximum(counts, 1)


def _extremes(blocks: Blocks, label: str) -> tuple[float, float]:
    least, most = np.inf, -np.inf
    for block in blocks():
        values = np.asarray(block, np.float64)
        if not np.isfinite(values).all():
            raise SourceError(
                f"The {label} has values that are not finite numbers; mend the file, or name "
                "another channel."
            )
        least, most = min(least, float(values.min())), max(most, float(values.max()))
    if least > most:
        raise SourceError(f"The {label} is empty; name another channel.")
    return least, most


def _spread(counts: NDArray[np.int64], means: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median and the distance between the quartiles of binned values."""
    sums = np.cumsum(counts)
    quartiles = [float(means[np.searchsorted(sums, sums[-1] * q)]) for q in (0.25, 0.5, 0.75)]
    return quartiles[1], quartiles[2] - quartiles[0]


def find_edges(blocks: Blocks, levels: Levels, *, falling: bool = False) -> Edges:
    """Return the edges of a trace.

    An edge counts if the trace passes the threshold, and on both sides of it ``HYSTERESIS`` of the
    way to the level there, so that small noise makes none. It lies at the sample at which the trace
    last passed the threshold. Falling edges are those of the trace upside down.

    Parameters
    ----------
    blocks : callable
        Yields the trace, which is read once.
    levels : Levels
    falling : bool
    """
    sign = -1.0 if falling else 1.0
    before, behind = (levels.high, levels.low) if falling else (levels.low, levels.high)
    finder = _EdgeFinder(
        lower=HYSTERESIS * sign * (before - levels.threshold),
        upper=HYSTERESIS * sign * (behind - levels.threshold),
    )
    for block in blocks():
        finder.add(sign * (np.asarray(block, np.float64) - levels.threshold))
    samples = np.concatenate(finder.found) if finder.found else np.zeros(0, np.int64)
    return Edges(samples=samples, begins_behind=finder.begins_behind)


@attrs.define(kw_only=True)
class _EdgeFinder:
    """Finder of edges on which a trace, less its threshold, becomes positive; block by block.

    The side is 1 or -1 where the trace last passed `upper` or `lower`. The crossing is the sample
    at which it last became positive, if it still is.
    """

    lower: float
    upper: float
    found: list[NDArray[np.int64]] = attrs.field(factory=list)
    begins_behind: bool = False
    _size: int = 0
    _side: int = 0
    _crossing: int | None = None

    def add(self, values: NDArray[np.float64]) -> None:
        """Add a block."""
        above = values >= 0
        if self._size == 0 and above[0]:
            self.begins_behind, self._crossing = True, 0
        ups = np.flatnonzero(above & ~np.concatenate(([self._crossing is not None], above[:-1])))
        sides = np.where(values >= self.upper, 1, np.where(values <= self.lower, -1, 0))
        certain = np.flatnonzero(sides)
        known = np.concatenate(([self._side], sides[certain]))
        ends = certain[np.flatnonzero((known[1:] == 1) & (known[:-1] == -1))]
        # A trace may become positive in an earlier block than the one in which it passes `upper`.
        places = np.concatenate(([self._crossing or 0], ups + self._size))
        self.found.append(places[np.searchsorted(ups, ends, side="right")].astype(np.int64))
        if not above[-1]:
            self._crossing = None
        elif ups.size:
            self._crossing = int(places[-1])
        self._side = int(known[-1])
        self._size += values.size
