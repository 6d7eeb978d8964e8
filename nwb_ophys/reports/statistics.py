"""Statistics of the movies in a file: images, brightness, histogram, and counts of odd pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import ArgumentError, SourceError
from nwb_ophys.reports.statistics_gatherer import BlockGatherer
from nwb_ophys.reports.statistics_model import FramePlan, Histogram, MovieStatistics
from nwb_ophys.storage import WriteOptions
from nwb_ophys.storage.backends.registry import backend_of_data
from nwb_ophys.storage.budget import COPIES, Budget
from nwb_ophys.storage.grid import Selection, Shape, block_shape, shape_of
from nwb_ophys.storage.sources import ArraySource, Source
from nwb_ophys.storage.verification import BlockPass, Resources, run_passes

__all__ = ["Histogram", "MovieStatistics", "movie_statistics"]

DEFAULT_MEMORY_BYTES = 200_000_000
"""Size of all blocks that are read at any time."""
READ_WHOLE_BYTES = 2_000_000_000
"""Size of a movie up to which all frames are read."""
_SMALLEST_BLOCK, _LARGEST_BLOCK = 2_000_000, 16_000_000
_FRAMES_OF_PART = 16


def movie_statistics(
    dataset: Any,
    *,
    workers: int | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    every: int | None = None,
    progress: Any = None,
) -> MovieStatistics:
    """Compute the statistics of a movie, reading it once.

    Parameters
    ----------
    dataset : array-like
        Movie of shape (frames, columns, rows[, planes]): an open dataset of an NWB file of any
        backend, or an array.
    workers : int, optional
        Number of threads that read; all usable cores by default, 0 for the caller's thread alone.
    memory_bytes : int
        Size of all blocks that are read at any time; a block has at least one chunk. Beyond that,
        about 30 bytes per pixel of a frame and 30 bytes per frame are needed.
    every : int, optional
        Read only the first of each `every` parts of the movie along time. A part has the frames of
        one or several chunks. By default 1, or as large as needed to read at most 2 GB.
    progress : bool or callable, optional
        True shows a bar on a terminal. A function is called with a ``WriteProgress``.

    Returns
    -------
    MovieStatistics

    Raises
    ------
    ArgumentError
        If the movie is not of numbers, or an argument is wrong.
    SourceError
        If a part cannot be read, or there is no dataset, as for movies in external files.
    MemoryLimitError
        If a chunk needs more than `memory_bytes`.
    """
    source = _source_of(dataset)
    if every is not None and (isinstance(every, bool) or every != int(every) or every < 1):
        raise ArgumentError(f"every is {every!r}; it must be an integer, 1 or more.")
    step = every or max(-(-math.prod(source.shape) * source.dtype.itemsize // READ_WHOLE_BYTES), 1)
    how = WriteOptions(workers=workers, progress=progress)
    share = int(memory_bytes) // (COPIES * (how.num_workers + 2))
    block = _block_of(source, step, min(max(share, _SMALLEST_BLOCK), _LARGEST_BLOCK))
    plan = FramePlan.of(source.shape[0], math.prod(source.shape[1:]), block[0], step)
    gatherer = BlockGatherer(source.dtype, source.shape[1:], plan)
    if not math.prod(source.shape):
        return _complete(gatherer, source)
    budget = Budget(memory_bytes, "memory_bytes", "a larger memory_bytes")
    budget.check(source.label, source, block)

    def take(corner: Shape, values: NDArray[Any]) -> None:
        pairs = zip(corner[1:], values.shape[1:], strict=True)
        region = tuple(slice(first, first + size) for first, size in pairs)
        gatherer.add(int(plan.numbers[corner[0]]), region, values)

    chosen = _ChosenFrames(source, plan) if step > 1 else source
    with how.reporting() as report:
        found = BlockPass(
            location=str(getattr(dataset, "name", None) or "movie").strip("/"),
            source=chosen,
            block_shape=tuple(map(min, block, chosen.shape)),
            take=take,
        )
        run_passes([found], Resources(workers=how.num_workers, budget=budget, report=report))
    return _complete(gatherer, source)


def _complete(gatherer: BlockGatherer, source: Source) -> MovieStatistics:
    found = gatherer.result()
    if found is None:
        raise SourceError(f"{source.label} was not read completely; read it again.")
    return found


def _source_of(dataset: Any) -> Source:
    """Return a dataset, or an array, as a source.

    Raises
    ------
    SourceError
        If there is no dataset.
    ArgumentError
        If it is not an array.
    """
    shape = getattr(dataset, "shape", None)
    if dataset is None or shape == ():
        raise SourceError(
            "The movie has no dataset in this file, as movies in external files; give the file "
            "that holds its frames."
        )
    if not isinstance(shape, tuple) or not hasattr(dataset, "dtype"):
        raise ArgumentError(
            f"The movie is {type(dataset).__name__}; it must be a dataset or an array."
        )
    backend = backend_of_data(dataset)
    if backend is not None:
        return backend.checked_source(dataset)
    return ArraySource(
        dataset,
        getattr(dataset, "source_label", "an array"),
        in_parallel=isinstance(dataset, np.ndarray),
    )


def _block_of(source: Source, every: int, num_bytes: int) -> Shape:
    """Return the shape of the blocks that are read: whole chunks, and whole frames if possible.

    Where parts along time are left out, the others are short, so that they are spread evenly.

    Parameters
    ----------
    source : Source
    every : int
    num_bytes : int
        Size of a block, exceeded only to hold one chunk.
    """
    shape = tuple(max(size, 1) for size in source.shape)
    chunk = source.chunk_shape or (1, *shape[1:])
    chunk = tuple(min(size, total) for size, total in zip(chunk, shape, strict=True))
    largest = None
    if every > 1:
        largest = (-(-_FRAMES_OF_PART // chunk[0]) * chunk[0], *shape[1:])
    return block_shape(shape, chunk, largest, num_bytes // source.dtype.itemsize)


class _ChosenFrames:
    """The frames of a movie that a plan chooses, as a source of only these.

    Parameters
    ----------
    source : Source
    plan : FramePlan
    """

    def __init__(self, source: Source, plan: FramePlan) -> None:
        self._source, self._numbers = source, plan.numbers
        self.shape = (len(plan.numbers), *source.shape[1:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block of chosen frames."""
        numbers = self._numbers[selection[0]]
        values = np.empty(shape_of(selection), self._source.dtype)
        breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
        for part in np.split(np.arange(len(numbers)), breaks):
            frames = slice(int(numbers[part[0]]), int(numbers[part[-1]]) + 1)
            values[part[0] : part[-1] + 1] = self._source.read((frames, *selection[1:]))
        return values
