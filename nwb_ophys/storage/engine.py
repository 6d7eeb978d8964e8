"""The engine: fills declared datasets, reading blocks and storing chunks in several threads.

The caller's thread reads a source that allows only one thread, ahead of the workers; the workers
read their own blocks of any other source. The number of bytes in flight is bounded, so that memory
does not grow with the data.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.backends.base import Sink
from nwb_ophys.storage.budget import COPIES
from nwb_ophys.storage.error_context import while_observing, while_reading, while_writing
from nwb_ophys.storage.grid import Selection, Shape, block_shape, grid, size_of, whole
from nwb_ophys.storage.hashes import BlockDigests, BlockGrid, digest
from nwb_ophys.storage.observing import Observe
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.progress import Counter
from nwb_ophys.storage.threads import Flag, Workers

_LARGEST_BLOCK = 32_000_000
# Small chunks are stored in batches; each batch costs Python as much time as one large chunk.
_BATCH_BYTES = 2_000_000
# A chunk of few values that are not zero takes some 50 µs, most of them in Python, of which two
# threads at once make twice as many; chunks of more bytes are mostly compressed.
_LARGEST_QUICK_CHUNK = 2 << 20
# Above this number of decodings per chunk of the source, larger blocks are read.
_MOST_DECODINGS = 2.0


@attrs.frozen
class FillTask:
    """A planned dataset and its open dataset in the file."""

    planned: PlannedDataset
    sink: Sink
    observe: Observe | None = None
    """Called with the place and the values of each block, before its chunks are encoded."""

    @property
    def is_sparse(self) -> bool:
        """True where chunks of zeros are neither made nor stored."""
        return self.planned.source.is_sparse and self.sink.zero_is_implied

    def is_committed(self, corner: Shape) -> bool:
        """Return whether an earlier run committed a chunk."""
        progress = self.sink.progress
        return progress is not None and progress.is_committed(corner)

    @property
    def takes_byte_planes(self) -> bool:
        """True where chunks may be byte planes; a verification needs values for its hashes."""
        is_as_stored = self.planned.source.dtype == self.sink.dtype
        digests = self.sink.digests
        needs_values = digests is not None and digests.from_values
        return self.sink.shuffles and is_as_stored and not needs_values

    @property
    def is_quick(self) -> bool:
        """Return whether its chunks take no longer than it takes threads to give way to others."""
        planned = self.planned
        num_bytes = size_of(whole(planned.chunk_shape)) * planned.source.dtype.itemsize
        return self.is_sparse and num_bytes <= _LARGEST_QUICK_CHUNK

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Store a chunk whose bytes are shuffled already."""
        if self.sink.digests is not None:
            self.sink.digests.note(corner, digest(planes))
        self.sink.put_byte_planes(corner, planes)


def open_task(
    planned: PlannedDataset, sink: Sink, *, from_values: bool, observe: Observe | None = None
) -> FillTask:
    """Return the task of filling an open dataset, which notes the hashes of its chunks.

    Parameters
    ----------
    planned : PlannedDataset
    sink : Sink
    from_values : bool
        Whether values are hashed as they were read; see :class:`BlockDigests`.
    observe : callable, optional
        See :class:`FillTask`.
    """
    source = planned.source
    grid = BlockGrid.of(source.shape, planned.chunk_shape, sink.dtype, is_shuffled=sink.shuffles)
    sink.skips_zeros = source.is_sparse or source.skips_zeros
    sink.digests = BlockDigests(grid, from_values=from_values)
    return FillTask(planned, sink, observe)


@attrs.frozen
class _Job:
    """Chunks to store, of a block that was read ahead or that the worker reads."""

    task: FillTask
    bounds: Selection
    block: NDArray[Any] | None = None
    """Values of the block that contains the bounds, if it was read ahead."""
    block_start: Shape = ()
    num_bytes: int = 0
    is_read_ahead: bool = False


def fill(
    tasks: Sequence[FillTask],
    *,
    workers: int,
    budget: int,
    counter: Counter,
) -> None:
    """Fill declared datasets.

    Parameters
    ----------
    tasks : sequence of FillTask
    workers : int
        Number of threads that encode; 0 does everything in the caller's thread.
    budget : int
        Number of bytes of all blocks in flight.
    counter : Counter
        Counts finished chunks, in the caller's thread.

    Raises
    ------
    SourceError, OutputError
        If a block cannot be read or stored; names the dataset, the frames and the source. All
        threads have ended by then.
    """
    crew = _Crew(workers, budget, counter)
    with crew:
        for task in tasks:
            jobs = (left for job in _jobs(task, workers, budget) for left in _uncommitted(job))
            if task.is_quick:
                task.sink.is_beside_others = workers > 0
                crew.do_in_turn(list(jobs))
                continue
            for job in jobs:
                crew.do(job)
        crew.finish()


def fill_block(task: FillTask, bounds: Selection, stop: Flag) -> None:
    """Read one block of a dataset and store its chunks, all in the caller's thread.

    Parameters
    ----------
    task : FillTask
    bounds : tuple of slice
        Whole chunks, clipped at the edges of the dataset.
    stop : Flag
        Asked before each chunk; those that are left are not stored once it is set.

    Raises
    ------
    SourceError, OutputError
        If the block cannot be read or stored; names the dataset, the frames and the source.
    """
    _store(_Job(task, bounds), stop)


def block_of(planned: PlannedDataset, unit: Shape, num_bytes: int) -> Shape:
    """Return the shape of the blocks in which one process reads and stores a dataset.

    Parameters
    ----------
    planned : PlannedDataset
    unit : tuple of int
        Shape of what is stored at once, such as a chunk; blocks consist of whole ones.
    num_bytes : int
        Most bytes of a block; exceeded only to hold one unit.
    """
    source = planned.source
    most = min(num_bytes, max(_LARGEST_BLOCK, size_of(whole(unit)) * source.dtype.itemsize))
    values = most // source.dtype.itemsize
    return block_shape(source.shape, unit, source.largest_block, values, source.slowest_axis)


def _jobs(task: FillTask, workers: int, budget: int) -> Iterator[_Job]:
    planned = task.planned
    source, shape, chunk = planned.source, planned.source.shape, planned.chunk_shape
    itemsize = source.dtype.itemsize
    if task.is_sparse:
        entry = max(itemsize * size_of(whole(shape[1:])), 1)
        step = max(_LARGEST_BLOCK * 8 // entry // chunk[0], 1) * chunk[0]
        for bounds in grid(whole(shape), (step, *shape[1:])):
            yield _Job(task, bounds, num_bytes=_LARGEST_BLOCK)
        return
    most = min(budget // (COPIES * (workers + 2)), _LARGEST_BLOCK)
    ahead = not source.in_parallel
    if source.in_parallel:
        most = min(most, max(_BATCH_BYTES * 4, planned.configuration.chunk_bytes))
    slowest = source.slowest_axis
    block = block_shape(shape, chunk, source.largest_block, most // itemsize, slowest)
    if source.is_stored and _decodings(block, source.chunk_shape, shape) > _MOST_DECODINGS:
        # Read one block at a time, as large as memory allows, and divide it among the workers.
        ahead = True
        block = block_shape(shape, chunk, None, budget // COPIES // itemsize)
    for bounds in grid(whole(shape), block):
        num_bytes = size_of(bounds) * itemsize * COPIES
        yield _Job(task, bounds, num_bytes=num_bytes, is_read_ahead=ahead)


def _uncommitted(job: _Job) -> Iterator[_Job]:
    """Yield the parts of a job whose chunks an earlier run did not commit."""
    progress = job.task.sink.progress
    if progress is None or not progress.has_committed:
        yield job
        return
    done, total = progress.num_committed(job.bounds)
    if not done:
        yield job
    elif done < total:
        # One layer of chunks along the first axis at a time.
        for first in grid(job.bounds[:1], job.task.planned.chunk_shape[:1]):
            bounds = (*first, *job.bounds[1:])
            done, total = progress.num_committed(bounds)
            if done < total:
                yield attrs.evolve(job, bounds=bounds)


def _decodings(block: Shape, chunk: Shape | None, shape: Shape) -> float:
    """Return how often each chunk of a source is decoded, on average, when reading in blocks."""
    times = 1.0
    for size, step, total in zip(block, chunk or block, shape, strict=True):
        if size < total and size % step:
            times *= 1 + (step - 1) / size
    return times


class _Crew:
    """Workers, with the number and size of their unfinished jobs.

    Call :meth:`finish` at the end of the ``with`` block; see :class:`Workers`.
    """

    def __init__(self, workers: int, budget: int, counter: Counter) -> None:
        self._budget, self._counter = budget, counter
        self._stop = Flag()
        self._in_hand = 0
        self._held = 0
        self._workers = None
        if workers:
            self._workers = Workers(workers, lambda job: _store(job, self._stop), self._stop)

    def __enter__(self) -> _Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def do_in_turn(self, jobs: Sequence[_Job]) -> None:
        """Do jobs one after the other in one thread, beside those of other datasets."""
        if self._workers is None or not jobs:
            for job in jobs:
                self.do(job)
            return
        self._wait_for_room(jobs[-1].num_bytes)
        self._submit(*(attrs.evolve(job, num_bytes=0) for job in jobs[:-1]), jobs[-1])

    def do(self, job: _Job) -> None:
        """Do a job, now or as soon as a worker is free and memory allows."""
        self._wait_for_room(job.num_bytes)
        if self._workers is None:
            _store(job, self._stop)
            self._counter.add(job.task.planned, job.bounds)
        elif not job.is_read_ahead:
            self._submit(job)
        else:
            block = _read(job)
            for part in _parts(job, block):
                self._submit(part)

    def finish(self) -> None:
        """Wait until all jobs are done, and end the threads."""
        while self._in_hand:
            self._collect()
        self.close()

    def close(self) -> None:
        """End the threads; they leave jobs that they have not begun."""
        if self._workers is not None:
            self._workers.close()

    def _wait_for_room(self, num_bytes: int) -> None:
        while self._collect(wait=False):  # raises errors of workers before more is read
            pass
        while self._in_hand and self._held + num_bytes > self._budget:
            self._collect()

    def _submit(self, *jobs: _Job) -> None:
        assert self._workers is not None
        self._workers.submit(*jobs)
        self._in_hand += len(jobs)
        self._held += sum(job.num_bytes for job in jobs)

    def _collect(self, *, wait: bool = True) -> bool:
        """Count a finished job, and return whether there was one."""
        if self._workers is None or not self._in_hand:
            return False
        try:
            job = self._workers.next_done(wait=wait)
        except queue.Empty:
            return False
        self._in_hand -= 1
        self._held -= job.num_bytes
        self._counter.add(job.task.planned, job.bounds)
        return True


def _read(job: _Job) -> NDArray[Any]:
    planned = job.task.planned
    with while_reading(planned, job.bounds):
        return planned.source.read(job.bounds)


def _parts(job: _Job, block: NDArray[Any]) -> Iterator[_Job]:
    """Divide a block that was read ahead among the workers, in chunks or batches of chunks."""
    planned = job.task.planned
    start = tuple(step.start for step in job.bounds)
    itemsize = planned.source.dtype.itemsize
    batch = block_shape(block.shape, planned.chunk_shape, None, _BATCH_BYTES // itemsize)
    for bounds in grid(job.bounds, batch):
        num_bytes = size_of(bounds) * itemsize * COPIES
        yield _Job(job.task, bounds, block, start, num_bytes)


def _store(job: _Job, stop: Flag) -> None:
    planned = job.task.planned
    if job.task.is_sparse:
        _store_nonzero(job, stop)
        return
    block, start = job.block, job.block_start
    if block is None:
        block, start = _read(job), tuple(step.start for step in job.bounds)
    if job.task.observe is not None and not stop.is_set():
        with while_observing(planned, job.bounds):
            job.task.observe(job.bounds, block[_within(job.bounds, start)])
    for cell in grid(job.bounds, planned.chunk_shape):
        if stop.is_set():
            return
        corner = tuple(step.start for step in cell)
        if job.task.is_committed(corner):
            continue
        with while_writing(planned, cell):
            job.task.sink.put(corner, block[_within(cell, start)])


def _within(bounds: Selection, start: Shape) -> Selection:
    """Return the place of a selection in a block, by the lowest index of the block."""
    return tuple(
        slice(step.start - first, step.stop - first)
        for step, first in zip(bounds, start, strict=True)
    )


def _store_nonzero(job: _Job, stop: Flag) -> None:
    planned = job.task.planned
    first = job.bounds[0]
    as_planes = job.task.takes_byte_planes
    given = (first.start, first.stop, planned.chunk_shape, as_planes)
    put = job.task.put_byte_planes if as_planes else job.task.sink.put
    with while_reading(planned, job.bounds):
        chunks = planned.source.nonzero_chunks(*given)
    while not stop.is_set():
        with while_reading(planned, job.bounds):
            found = next(chunks, None)
        if found is None:
            return
        if job.task.is_committed(found[0]):
            continue
        with while_writing(planned, job.bounds):
            put(*found)
