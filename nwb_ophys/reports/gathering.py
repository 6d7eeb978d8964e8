"""Statistics of movies, gathered while they are written."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_gatherer import BlockGatherer
from nwb_ophys.reports.statistics_model import FramePlan, MovieStatistics
from nwb_ophys.storage.grid import Selection, Shape

_DATA = "data"
"""Name of the dataset of every series in NWB; masks and images have other names."""
_FEWEST_AXES, _MOST_AXES = 3, 4
WHOLE_BYTES = 48_000_000
"""Size of a movie up to which all frames are read while it is written."""
MOST_EVERY = 16
"""In larger movies one of k parts along time is read, each as long as a chunk, with k up to 16."""


class StatisticsGatherer:
    """Observer of one write, which gathers the statistics of the movies in it.

    Give it to ``run_conversion`` or ``write_nwbfile`` as ``observer``, and ask it for
    :meth:`statistics` afterwards. If they cannot be computed, the write goes on nevertheless.

    To cost little time, all frames are read of movies of up to 48 MB only. Of larger ones every
    second to sixteenth part is, and all frames are searched for blank and repeated ones.

    Examples
    --------
    >>> gatherer = StatisticsGatherer()
    >>> interface.run_conversion("session.nwb", observer=gatherer)
    >>> gatherer.statistics("acquisition/TwoPhotonSeries/data").mean
    """

    def __init__(self) -> None:
        self._movies: dict[str, BlockGatherer] = {}
        self._failures: dict[str, str] = {}
        self._found: dict[str, MovieStatistics | None] = {}

    def begin(self, location: str, shape: Shape, chunk_shape: Shape, dtype: np.dtype[Any]) -> bool:
        """Return whether a dataset is a movie: the data of a series with three or four axes."""
        for former in (self._movies, self._failures, self._found):
            former.pop(location, None)
        is_movie = location.rpartition("/")[2] == _DATA and dtype.kind in "biuf"
        if not (is_movie and _FEWEST_AXES <= len(shape) <= _MOST_AXES):
            return False
        try:
            self._movies[location] = _gatherer_of(shape, chunk_shape[0], dtype)
        except Exception as error:  # of any kind, such as too little memory
            self._fail(location, error)
        return location in self._movies

    def _fail(self, location: str, error: Exception) -> None:
        self._failures.setdefault(location, f"{type(error).__name__}: {error}")
        self._movies.pop(location, None)

    def take(self, location: str, selection: Selection, values: NDArray[Any]) -> None:
        """Add a block to the statistics of its movie; several threads may do so at once."""
        movie = self._movies.get(location)
        if movie is None:  # it failed before
            return
        try:
            movie.add(selection[0].start, selection[1:], values)
        except Exception as error:  # of any kind: the file is worth more than its statistics
            self._fail(location, error)

    def statistics(self, location: str) -> MovieStatistics | None:
        """Return the statistics of a movie; call it after the write.

        Parameters
        ----------
        location : str
            Path of the dataset in the file, such as ``acquisition/TwoPhotonSeries/data``.

        Returns
        -------
        MovieStatistics or None
            None if not all blocks were seen: the dataset was in the file before, was written by
            the workers of a cluster or in part by an earlier run, is so small that pynwb writes
            it, or is not a movie. Read the file then, with :func:`movie_statistics`.

        Warns
        -----
        UserWarning
            If the statistics could not be computed; there are none then.
        """
        if location not in self._found:
            self._found[location] = self._result(location)
        if location in self._failures:
            warnings.warn(
                f"No statistics of '{location}' were gathered: {self._failures[location]}.",
                UserWarning,
                stacklevel=2,
            )
        return self._found[location]

    def _result(self, location: str) -> MovieStatistics | None:
        movie = self._movies.pop(location, None)
        try:
            return None if movie is None else movie.result()
        except Exception as error:  # of any kind, such as too little memory
            self._fail(location, error)
            return None


def _gatherer_of(shape: Shape, part: int, dtype: np.dtype[Any]) -> BlockGatherer:
    num_bytes = math.prod(shape) * dtype.itemsize
    plan = FramePlan.of(
        shape[0],
        math.prod(shape[1:]),
        part=part,
        every=min(-(-num_bytes // WHOLE_BYTES), MOST_EVERY),
        compares_all=True,
    )
    return BlockGatherer(dtype, shape[1:], plan)
