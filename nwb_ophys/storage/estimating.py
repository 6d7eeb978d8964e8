"""Estimate of the size and the time of a write, from blocks that are read and encoded in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import attrs
from numpy.typing import NDArray

from nwb_ophys.errors import shown_size
from nwb_ophys.memory import usable_cores
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import get_backend
from nwb_ophys.storage.error_context import while_reading, while_writing
from nwb_ophys.storage.grid import Selection, Shape, cell_at, grid_shape, size_of, spread_corners
from nwb_ophys.storage.planning import BackendConfiguration, PlannedDataset, planned_nwbfile
from nwb_ophys.storage.sampling import configuration_to_encode, has_any
from nwb_ophys.storage.write import WriteOptions

if TYPE_CHECKING:
    from pynwb import NWBFile

# Blocks of one dataset, and seconds for all datasets, after which no further block is begun. Each
# dataset has one block at least.
_MOST_BLOCKS = 12
_MOST_SECONDS = 5.0


@attrs.frozen(kw_only=True)
class WriteEstimate:
    """Estimated size and time of a write, and the part of the data that was measured.

    Attributes
    ----------
    num_bytes : int
        Size of all datasets of the plan, without the metadata of the file.
    seconds : float
        Time to read and encode them; a slow disk takes longer.
    workers : int
        Number of threads of the write.
    num_measured, num_blocks : int
        Blocks that were read and encoded, and blocks of the whole. A block is a chunk, or the
        chunks of one ROI for masks that have few pixels.
    """

    num_bytes: int
    seconds: float
    workers: int
    num_measured: int
    num_blocks: int

    def __str__(self) -> str:
        """Return the estimate in one line."""
        if not self.num_blocks:
            return "all datasets are small, so that nothing was measured"
        of = f"{self.num_measured:,} of {self.num_blocks:,}"
        share = f"all {self.num_blocks:,}" if self.num_measured == self.num_blocks else of
        plural = "" if self.workers == 1 else "s"
        return (
            f"about {shown_size(self.num_bytes)}, {_shown_time(self.seconds)} with {self.workers} "
            f"worker{plural}, from {share} blocks"
        )


def _shown_time(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:,.1f} h"


def estimate_nwbfile(
    nwbfile: NWBFile, configuration: BackendConfiguration, workers: int | None = None
) -> WriteEstimate:
    """Estimate the size and the time of writing an ``NWBFile``; write nothing.

    Blocks that are spread over each dataset are read and encoded, one at a time, for a few
    seconds.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Unchanged afterwards.
    configuration : BackendConfiguration
        Settings of the file.
    workers : int, optional
        Number of threads of the write; all cores by default.

    Raises
    ------
    ArgumentError
        If the configuration does not fit the data, or ``workers`` is not an integer, 0 or more.
    SourceError
        If a block cannot be read.
    """
    storage = get_backend(configuration.backend)
    num_workers = WriteOptions(workers=workers).num_workers
    planned = planned_nwbfile(nwbfile, configuration)
    samples = _measure_all(planned, storage)
    return WriteEstimate(
        num_bytes=round(sum(sample.num_bytes for sample in samples)),
        seconds=sum(sample.seconds(num_workers) for sample in samples),
        workers=num_workers,
        num_measured=sum(len(sample.blocks) for sample in samples),
        num_blocks=sum(sample.num_blocks for sample in samples),
    )


def _measure_all(planned: Iterable[PlannedDataset], storage: Backend) -> list[_Sample]:
    """Measure datasets, the largest first, in turn until the time is over."""
    ordered = sorted(planned, key=lambda each: each.configuration.num_bytes, reverse=True)
    samples = [_Sample(each, storage) for each in ordered]
    end = time.perf_counter() + _MOST_SECONDS
    for number in range(_MOST_BLOCKS):
        for sample in samples:
            if number == 0 or time.perf_counter() < end:
                sample.measure_next()
    return samples


@attrs.frozen
class _Block:
    """Sizes of a block before and after it was encoded, and the seconds that this took."""

    given: int
    stored: int
    reading: float
    encoding: float


class _Sample:
    """Blocks of one dataset that are measured, at random places along the whole dataset."""

    def __init__(self, planned: PlannedDataset, storage: Backend) -> None:
        self._planned, self._storage = planned, storage
        source = planned.source
        self._configuration = configuration_to_encode(planned, storage)
        chunk = planned.chunk_shape
        # Most chunks of sparse masks do not exist: the chunks of an ROI are one block.
        self._block: Shape = (chunk[0], *source.shape[1:]) if source.is_sparse else chunk
        self.num_blocks = math.prod(grid_shape(source.shape, self._block))
        self._corners = spread_corners(source.shape, self._block, _MOST_BLOCKS)
        self.blocks: list[_Block] = []

    def measure_next(self) -> None:
        """Read and encode the next block, if there is one."""
        corner = next(self._corners, None)
        if corner is None:
            return
        bounds = cell_at(corner, self._block, self._planned.source.shape)
        started = time.perf_counter()
        encoding = stored = 0.0
        for values in self._read(bounds):
            before = time.perf_counter()
            with while_writing(self._planned, bounds):
                stored += self._stored_size(values)
            encoding += time.perf_counter() - before
        reading = time.perf_counter() - started - encoding
        given = size_of(bounds) * self._itemsize
        self.blocks.append(_Block(given, int(stored), reading, encoding))

    @property
    def _itemsize(self) -> int:
        return self._planned.source.dtype.itemsize

    def _read(self, bounds: Selection) -> Iterator[NDArray[Any]]:
        source = self._planned.source
        with while_reading(self._planned, bounds):
            if not source.is_sparse:
                yield source.read(bounds)
                return
            start, stop = bounds[0].start, bounds[0].stop
            chunks = source.nonzero_chunks(start, stop, self._planned.chunk_shape, False)
            yield from (values for _, values in chunks)

    def _stored_size(self, values: NDArray[Any]) -> int:
        if self._planned.source.skips_zeros and not has_any(values):
            return 0
        return self._storage.encoded_size(self._configuration, values)

    @property
    def num_bytes(self) -> float:
        """Size of the whole dataset in the file."""
        given = sum(block.given for block in self.blocks)
        stored = sum(block.stored for block in self.blocks)
        return stored / given * self._num_given if given else 0.0

    @property
    def _num_given(self) -> int:
        return math.prod(self._planned.source.shape) * self._itemsize

    def seconds(self, workers: int) -> float:
        """Return the time of the whole dataset with a number of threads."""
        # The first block opens files and fills caches.
        blocks = self.blocks[1:] if len(self.blocks) > 2 else self.blocks
        whole_of = self._num_given / max(sum(block.given for block in blocks), 1)
        reading = sum(block.reading for block in blocks) * whole_of
        encoding = sum(block.encoding for block in blocks) * whole_of
        if not workers:
            return reading + encoding
        cores = usable_cores()
        if self._planned.source.in_parallel:
            return (reading + encoding) / min(workers, cores)
        # One more thread reads.
        busiest = max(reading, encoding / min(workers, cores))
        return max(busiest, (reading + encoding) / min(workers + 1, cores))
