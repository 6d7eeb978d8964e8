"""Comparison of datasets in a file with hashes of the values that were written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.engine import FillTask, fill
from nwb_ophys.storage.grid import Selection, Shape, cell_at, grid
from nwb_ophys.storage.hashes import BlockDigests, DatasetHash
from nwb_ophys.storage.journal import ChunkProgress
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.progress import ProgressCallback, ProgressCounter
from nwb_ophys.storage.sources import Source

# Differing blocks of a dataset are counted, and these many named.
MOST_NAMED = 1_000


@attrs.frozen(kw_only=True)
class Resources:
    """Threads and memory of a comparison, and where its progress is reported."""

    workers: int
    budget: Budget
    report: ProgressCallback | None = None


class TolerantSource:
    """A source that notes the blocks it cannot read, and goes on with zeros in their place.

    Parameters
    ----------
    source : Source
    step : tuple of int
        Shape of the smallest blocks that are tried.
    """

    def __init__(self, source: Source, step: Shape) -> None:
        self._source, self._step = source, step
        self.failures: dict[Shape, str] = {}
        """Reasons by the lowest index of the block."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block."""
        try:
            return self._source.read(selection)
        except Exception as error:  # of any library, about whatever the file holds
            return self._piecewise(selection, error)

    def _piecewise(self, selection: Selection, error: Exception) -> NDArray[Any]:
        shape = tuple(each.stop - each.start for each in selection)
        values = np.zeros(shape, self._source.dtype)
        cells = list(grid(selection, self._step))
        for cell in cells:
            within = tuple(
                slice(step.start - first.start, step.stop - first.start)
                for step, first in zip(cell, selection, strict=True)
            )
            try:
                if len(cells) == 1:
                    raise error
                values[within] = self._source.read(cell)
            except Exception as reason:
                corner = tuple(step.start for step in cell)
                self.failures[corner] = " ".join(f"{type(reason).__name__}: {reason}".split())[:300]
        return values

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Yield the chunks that are not zeros; after an error, all chunks."""
        try:
            yield from self._source.nonzero_chunks(start, stop, chunk_shape, False)
        except Exception:
            shape = self._source.shape
            bounds = (slice(start, stop), *(slice(0, size) for size in shape[1:]))
            for cell in grid(bounds, chunk_shape):
                yield tuple(step.start for step in cell), self.read(cell)


class _BlockSink:
    """A sink that stores nothing and passes each block on.

    Parameters
    ----------
    dtype : numpy.dtype
    take : callable
        Called with the lowest index of a block and its values, by several threads.
    """

    shuffles = False
    skips_zeros = is_beside_others = False
    digests: BlockDigests | None = None
    progress: ChunkProgress | None = None

    def __init__(
        self,
        dtype: np.dtype[Any],
        take: Callable[[Shape, NDArray[Any]], None],
        *,
        zero_is_implied: bool,
    ) -> None:
        self.dtype, self.put, self.zero_is_implied = dtype, take, zero_is_implied

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Raise an error: blocks are values."""
        raise NotImplementedError

    def read(self, selection: Selection) -> NDArray[Any]:
        """Raise an error: nothing is stored."""
        raise NotImplementedError

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return None: nothing is stored."""
        return None

    def finish(self) -> None:
        """Do nothing: nothing is stored."""

    def stored_length(self, corner: Shape) -> int | None:
        """Return None: nothing is stored."""
        return None


@attrs.frozen(kw_only=True)
class BlockPass:
    """One pass over the blocks of a dataset.

    Attributes
    ----------
    location : str
        Path of the dataset in the file.
    source : Source
        Its values.
    block_shape : tuple of int
    take : callable
        Called with the lowest index of each block and its values, by several threads.
    zero_is_implied : bool
        Whether blocks of zeros may be left out where the source knows them.
    """

    location: str
    source: Any
    block_shape: Shape
    take: Callable[[Shape, NDArray[Any]], None]
    zero_is_implied: bool = False

    def task(self) -> FillTask:
        """Return the pass as work for the engine."""
        configuration = DatasetConfiguration(
            location=self.location,
            shape=self.source.shape,
            dtype=self.source.dtype,
            chunk_shape=self.block_shape,
        )
        planned = PlannedDataset(
            configuration=configuration, source=self.source, builder=None, given=None
        )
        implied = self.zero_is_implied
        return FillTask(planned, _BlockSink(self.source.dtype, self.take, zero_is_implied=implied))


def run_passes(passes: Sequence[BlockPass], resources: Resources) -> None:
    """Read datasets block by block, in several threads, with bounded memory."""
    tasks = [each.task() for each in passes]
    fill(
        tasks,
        workers=resources.workers,
        budget=resources.budget.num_bytes,
        counter=ProgressCounter([task.planned for task in tasks], resources.report),
    )


@attrs.frozen(kw_only=True)
class HashDifference:
    """Differences of a dataset from its hash.

    Attributes
    ----------
    location : str
    num_values : int
        Number of values in the blocks that differ.
    blocks : tuple of tuple of slice
        The first blocks that differ, or cannot be read, in order.
    reason : str
        Error of the first block that cannot be read; empty if all can be.
    """

    location: str
    num_blocks: int
    blocks: tuple[Selection, ...]
    reason: str = ""


def compare_with_hashes(
    sources: Mapping[str, Source], hashes: Mapping[str, DatasetHash], resources: Resources
) -> Iterator[HashDifference]:
    """Yield the datasets that differ from their hashes.

    Parameters
    ----------
    sources : mapping of str to Source
        The stored datasets by location, each of the shape that its hash states.
    hashes : mapping of str to DatasetHash
    resources : Resources
    """
    found = {}
    passes = []
    for location, source in sources.items():
        grid_of = hashes[location].grid
        tolerant = TolerantSource(source, grid_of.block_shape)
        digests = BlockDigests(grid_of)
        found[location] = (tolerant, digests)
        passes.append(
            BlockPass(
                location=location,
                source=tolerant,
                block_shape=grid_of.block_shape,
                take=_noting(digests),
                zero_is_implied=True,
            )
        )
    run_passes(passes, resources)
    for location, (tolerant, digests) in found.items():
        difference = _difference(location, tolerant, digests, hashes[location])
        if difference is not None:
            yield difference


def _noting(digests: BlockDigests) -> Callable[[Shape, NDArray[Any]], None]:
    def note(corner: Shape, values: NDArray[Any]) -> None:
        own = cell_at(corner, values.shape, digests.grid.shape)
        inside = values[tuple(slice(0, step.stop - step.start) for step in own)]
        digests.note(corner, digests.grid.digest_of(inside))

    return note


def _difference(
    location: str, tolerant: TolerantSource, digests: BlockDigests, expected: DatasetHash
) -> HashDifference | None:
    groups = list(expected.differing(digests.hash(expected.group_size)))
    unread = [cell_at(c, expected.grid.block_shape, expected.grid.shape) for c in tolerant.failures]
    if not groups and not unread:
        return None
    first = tolerant.failures[min(tolerant.failures)] if unread else ""
    if unread:  # the damage lies in these; the other blocks of their group share its hash
        known = {_corner(cell) for cell in unread}
        groups = [group for group in groups if known.isdisjoint(_corner(cell) for cell in group)]
    blocks = sorted([cell for group in groups for cell in group] + unread, key=_corner)
    return HashDifference(
        location=location, num_blocks=len(blocks), blocks=tuple(blocks[:MOST_NAMED]), reason=first
    )


def _corner(cell: Selection) -> Shape:
    return tuple(step.start for step in cell)


def check_written(
    sources: Mapping[str, Source], hashes: Mapping[str, DatasetHash], resources: Resources
) -> None:
    """Read datasets back after a write, and compare them with the hashes of their values.

    Raises
    ------
    OutputError
        If a dataset differs; names it and the first frames that do.
    """
    for difference in compare_with_hashes(sources, hashes, resources):
        first = difference.blocks[0][0]
        frames = f", frames {first.start} to {first.stop - 1}"
        raise not_as_stored(difference.location, frames)


def not_as_stored(location: str, frames: str = "") -> OutputError:
    """Return the error for a file that does not hold what was just written to it."""
    return OutputError(
        f"'{location}'{frames}: what is in the file is not what was stored; the disk may be "
        "faulty. Nothing was kept."
    )
