"""One file that several processes fill: each reads blocks of its own and stores their chunks.

The process that writes the file declares the datasets and seals it. The others get an order, open
the sources and the incomplete file themselves, and send back the hashes of the chunks they stored.
Nothing here knows how orders and results travel; see :mod:`nwb_ophys.storage.cluster`.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import (
    MemoryLimitError,
    NwbOphysError,
    OutputError,
    SourceError,
    as_sentence,
    shown_size,
)
from nwb_ophys.memory import available_memory
from nwb_ophys.storage.backends.base import Backend, SinkTools
from nwb_ophys.storage.backends.registry import get_backend
from nwb_ophys.storage.budget import COPIES, Budget
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.encoding import Scratch
from nwb_ophys.storage.engine import FillTask, fill_block, open_task
from nwb_ophys.storage.flushing import Flusher
from nwb_ophys.storage.grid import Selection, Shape, grid, size_of, whole
from nwb_ophys.storage.hashes import digest
from nwb_ophys.storage.journal import EMPTY, UNKNOWN, ChunkProgress, Entries
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.progress import Counter
from nwb_ophys.storage.record import versions
from nwb_ophys.storage.sources import ArraySource, Source
from nwb_ophys.storage.threads import Flag

LEAST_BYTES = 16_000_000
"""Smaller datasets are filled by the process that writes the file."""
# Other machines may see a new file some seconds later, until which they keep the old listing.
PATIENCE = 30.0
_PATIENCE_AT_FIRST = 5.0
_PAUSE = 0.2
_UNCOMPARED = ("python",)


# --- the process that writes the file -------------------------------------------------------------


@attrs.frozen(kw_only=True)
class SharedFile:
    """The incomplete file that other processes fill.

    Attributes
    ----------
    path : pathlib.Path
    storage : Backend
    root : object
        Its open root group.
    buffer_gb : float
        Most bytes in flight in each process, in units of 1e9 bytes.
    from_values : bool
        Whether values are hashed as they were read, for a verification.
    """

    path: Path
    storage: Backend
    root: Any
    buffer_gb: float
    from_values: bool


class Executor(Protocol):
    """Fills datasets in other processes."""

    def fill(self, tasks: Sequence[FillTask], file: SharedFile, counter: Counter) -> None:
        """Fill datasets, and note the hashes of their chunks in the sinks of the tasks."""


def divided(
    tasks: Sequence[FillTask], executor: Executor | None
) -> tuple[list[FillTask], list[FillTask]]:
    """Return the tasks that this process does itself, and those for other processes.

    Other processes cannot read arrays in memory. Sparse datasets and small ones are not worth it.

    Parameters
    ----------
    tasks : sequence of FillTask
    executor : Executor or None
    """
    if executor is None:
        return list(tasks), []
    far = [
        task
        for task in tasks
        if not (isinstance(task.planned.source, ArraySource) or task.planned.source.is_sparse)
        and task.planned.configuration.num_bytes >= LEAST_BYTES
    ]
    return [task for task in tasks if task not in far], far


@attrs.frozen(kw_only=True)
class FilledBlock:
    """Result of one block.

    Attributes
    ----------
    entries : Entries
        All chunks of the block, with the sizes and hashes of those that were stored.
    opened : frozenset of str
        Names of files that were opened since the last block of the process.
    notes : tuple of str
        Texts of the warnings that were given.
    """

    entries: Entries
    opened: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


class Ledger:
    """Account of the chunks of one dataset that other processes store.

    Parameters
    ----------
    task : FillTask
    unit : tuple of int
        Shape of what only one process may write at a time.
    """

    def __init__(self, task: FillTask, unit: Shape) -> None:
        self.task, self.unit = task, unit
        planned = task.planned
        assert task.sink.digests is not None
        self._digests = task.sink.digests
        shape, chunks = planned.source.shape, planned.chunk_shape
        self._chunks = ChunkProgress(planned.location, shape, chunks, self._digests)
        self._sizes: NDArray[np.int64] = np.full(self._chunks.num_chunks, EMPTY, np.int64)

    def blocks(self, shape: Shape) -> Iterator[Selection]:
        """Yield the blocks of a shape of which an earlier run did not commit all chunks."""
        progress = self.task.sink.progress
        for bounds in grid(whole(self.task.planned.source.shape), shape):
            if progress is not None:
                done, total = progress.num_committed(bounds)
                if done == total:
                    continue
            yield bounds

    def receive(self, entries: Entries) -> None:
        """Note the chunks of a block that another process stored."""
        self._sizes[entries.index] = entries.size
        stored = entries.only(entries.size != EMPTY)
        self._digests.restore(stored.index, stored.digest)
        if self.task.sink.progress is not None:
            self.task.sink.progress.receive(entries)

    def check(self) -> None:
        """Check that each chunk that a process reported is in the file, as long as it said.

        Raises
        ------
        OutputError
            If one is not; names the dataset and the frames.
        """
        until = time.monotonic() + PATIENCE
        for index in np.flatnonzero(self._sizes != EMPTY).tolist():
            corner, size = self._chunks.corner(index), int(self._sizes[index])
            while not _is_there(self.task.sink.stored_length(corner), size):
                if time.monotonic() > until:
                    raise self._absent(corner, size)
                time.sleep(_PAUSE)

    def _absent(self, corner: Shape, size: int) -> OutputError:
        planned = self.task.planned
        last = min(corner[0] + planned.chunk_shape[0], planned.source.shape[0]) - 1
        found = self.task.sink.stored_length(corner)
        state = "is absent" if found is None else f"has {found:,} bytes"
        return OutputError(
            f"'{planned.location}', frames {corner[0]} to {last}: a worker stored a chunk of "
            f"{size:,} bytes at {corner}, which {state} here. Check that all machines write to "
            "the same folder, and run this again."
        )


def _is_there(found: int | None, size: int) -> bool:
    return found is not None and size in (found, UNKNOWN)


def order_of(tasks: Sequence[FillTask], file: SharedFile, opener: Any) -> FillOrder:
    """Return the order for other processes.

    Parameters
    ----------
    tasks : sequence of FillTask
    file : SharedFile
    opener : Any
        An :class:`Opener`, or its pickle.
    """
    return FillOrder(
        path=file.path,
        backend=file.storage.name,
        identity=_identity(file.root),
        versions=comparable_versions(file.storage),
        buffer_gb=file.buffer_gb,
        from_values=file.from_values,
        datasets={
            task.planned.location: OrderedDataset(
                configuration=task.planned.configuration, spots=_spots(task.planned.source)
            )
            for task in tasks
        },
        opener=opener,
    )


def comparable_versions(storage: Backend) -> dict[str, str]:
    """Return the versions of the packages on which the bytes of a file depend."""
    found = versions(storage)
    return {name: number for name, number in found.items() if name not in _UNCOMPARED}


def _identity(root: Any) -> str:
    """Return the identifier of a file, which is random in each new one."""
    return str(root.attrs.get("object_id"))


def _spots(source: Source) -> tuple[tuple[Selection, bytes], ...]:
    """Return the first and the last entry of a source, each with a hash of its values."""
    others = whole(source.shape[1:])
    last = source.shape[0] - 1
    cells = [(slice(start, start + 1), *others) for start in sorted({0, last})]
    return tuple((cell, _digest_at(source, cell)) for cell in cells)


def _digest_at(source: Source, cell: Selection) -> bytes:
    return digest(np.ascontiguousarray(source.read(cell)).tobytes())


# --- the other processes --------------------------------------------------------------------------


class Opened(Protocol):
    """Sources that another process has opened.

    Attributes
    ----------
    sources : Mapping of str to Source
        By location.
    """

    sources: Mapping[str, Source]

    def watched(self) -> AbstractContextManager[Any]:
        """Note files that are opened and warnings within the block, as ``opened`` and ``notes``."""

    def close(self) -> None:
        """Close the files."""


class Opener(Protocol):
    """Opens the sources of a file again, from their arguments; it can be pickled."""

    def open(self) -> Opened:
        """Open the sources, and check that they are those of the process that writes the file."""

    def report(self, opened: frozenset[str], notes: Sequence[str]) -> None:
        """Take over what another process opened and noted, in the process that writes the file."""


@attrs.frozen(kw_only=True)
class OrderedDataset:
    """A dataset to fill: its settings, and hashes of some of its values."""

    configuration: DatasetConfiguration
    spots: tuple[tuple[Selection, bytes], ...]


@attrs.frozen(kw_only=True)
class FillOrder:
    """Order to fill datasets of an incomplete file; it can be pickled.

    Attributes
    ----------
    path : pathlib.Path
    backend : str
    identity : str
        Identifier within the file, by which it is recognised.
    versions : Mapping of str to str
        Versions of the packages of the process that writes the file.
    buffer_gb : float
    from_values : bool
    datasets : Mapping of str to OrderedDataset
        By location.
    opener : object
        An :class:`Opener`.
    """

    path: Path
    backend: str
    identity: str
    versions: Mapping[str, str]
    buffer_gb: float
    from_values: bool
    datasets: Mapping[str, OrderedDataset]
    opener: Any


@attrs.frozen(kw_only=True)
class Helper:
    """A process that fills blocks.

    Attributes
    ----------
    name : str
        Name for messages, such as ``The worker at 'tcp://…'``.
    threads : int
        Number of blocks that it fills at once.
    memory_limit : int or None
        Most bytes that it may use.
    """

    name: str
    threads: int
    memory_limit: int | None = None

    def block_bytes(self, buffer_gb: float) -> int:
        """Return the largest size of a block for which the memory suffices."""
        budget = Budget.of(buffer_gb).num_bytes
        if self.memory_limit:
            budget = min(budget, self.memory_limit // 2)
        return budget // (self.threads * COPIES)

    def check_block(self, num_bytes: int) -> None:
        """Check that the memory suffices for blocks of a size that was chosen earlier.

        Raises
        ------
        MemoryLimitError
            If it does not.
        """
        needed, free = num_bytes * COPIES * self.threads, available_memory()
        limit = min(free, self.memory_limit or free)
        if needed > limit:
            raise MemoryLimitError(
                f"{self.name} needs {shown_size(needed)} for {self.threads} blocks at once, but "
                f"has {shown_size(limit)}; give it more memory or fewer threads, or choose "
                "smaller chunks."
            )


class _StopOrGone(Flag):
    """Flag that is also set when the incomplete file is no longer there.

    A process that was out of reach when the write ended must not make the file again.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @property
    def was_set(self) -> bool:
        """True after :meth:`set`, also while the file is there."""
        return super().is_set()

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return super().is_set() or not self._path.exists()


class _OneAtATime:
    """A source that only one thread may read at once."""

    def __init__(self, source: Source) -> None:
        self._source, self._lock = source, threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block."""
        with self._lock:
            return self._source.read(selection)


class BlockFiller:
    """Fills blocks of the datasets of an order; several threads may do so at once.

    The sources and the file are opened for the first block and stay open until :meth:`close`.

    Parameters
    ----------
    order : FillOrder
    helper : Helper
        This process.
    load : callable
        Return the opener of the order.
    """

    def __init__(
        self, order: FillOrder, helper: Helper, load: Callable[[Any], Opener] = lambda given: given
    ) -> None:
        self._order, self._helper, self._load = order, helper, load
        self._storage = get_backend(order.backend)
        self._lock = threading.Lock()
        self._stop = _StopOrGone(order.path)
        self._tools: SinkTools | None = None
        self._opened: Opened | None = None
        self._planned: dict[str, PlannedDataset] = {}
        self._root: Any = None
        self._known: set[str] = set()

    def stop(self) -> None:
        """Let the blocks in hand end after their present chunk."""
        self._stop.set()

    def close(self) -> None:
        """Put the stored chunks on the disk, and close all files; no block may be in hand.

        Raises
        ------
        OSError
            If the disk refused a chunk.
        """
        with self._lock:
            opened, tools = self._opened, self._tools
            self._opened = self._tools = self._root = None
            self._planned = {}
        try:
            if tools is not None:
                tools.flusher.finish()
        finally:
            if opened is not None:
                opened.close()
            del opened
            gc.collect()  # builders refer to each other in circles, which keep maps of files open

    def fill(self, location: str, bounds: Selection) -> FilledBlock:
        """Fill one block of a dataset.

        Raises
        ------
        SourceError, OutputError
            If this process sees another file or other sources than the one that gave the order,
            or the block cannot be read or stored.
        """
        with self._lock:
            opened = self._open_once()
            self._check_not_stopped()
            planned, root, tools = self._planned[location], self._root, self._tools
        assert tools is not None
        itemsize = planned.source.dtype.itemsize
        self._helper.check_block(size_of(bounds) * itemsize)
        sink = self._storage.shared_sink(root, planned.configuration, tools)
        task = open_task(planned, sink, from_values=self._order.from_values)
        assert sink.digests is not None
        shape, chunks = planned.source.shape, planned.chunk_shape
        sink.progress = ChunkProgress(location, shape, chunks, sink.digests)
        with opened.watched() as watched:
            fill_block(task, bounds, self._stop)
            self._check_not_stopped()
            sink.finish()
        sink.progress.finish(bounds)
        new = frozenset(watched.opened) - self._known
        self._known |= new
        return FilledBlock(entries=sink.progress.take(), opened=new, notes=tuple(watched.notes))

    def _await_file(self) -> None:
        until = time.monotonic() + _PATIENCE_AT_FIRST
        while not self._stop.was_set and self._stop.is_set() and time.monotonic() < until:
            time.sleep(_PAUSE)
        self._check_not_stopped()

    def _check_not_stopped(self) -> None:
        if self._stop.is_set():
            raise OutputError(
                f"{self._helper.name} does not see '{self._order.path}': the write has ended, or "
                "its folder is another one there. All workers need the same folders as the "
                "program that gives them work."
            )

    def _open_once(self) -> Opened:
        if self._opened is None:
            self._check_versions()
            self._await_file()
            self._root = self._shared_root()
            opened = self._open_sources()
            try:
                self._planned = dict(self._plan(opened.sources))
            except BaseException:
                opened.close()
                raise
            self._opened = opened
            flusher = Flusher()
            flusher.__enter__()
            self._tools = SinkTools(scratch=Scratch(), flusher=flusher)
        return self._opened

    def _check_versions(self) -> None:
        own = comparable_versions(self._storage)
        check_versions(self._order.versions, own, self._helper.name)

    def _shared_root(self) -> Any:
        try:
            root = self._storage.open_shared(self._order.path)
            found = _identity(root)
        except Exception as error:  # of any library, about whatever it finds there
            reason = f"cannot open '{self._order.path}' ({type(error).__name__}: {error})"
            raise OutputError(f"{self._helper.name} {reason}.") from error
        if found != self._order.identity:
            raise OutputError(
                f"{self._helper.name} sees another file as '{self._order.path}'; all workers need "
                "the same folders as the program that gives them work."
            )
        return root

    def _open_sources(self) -> Opened:
        try:
            return self._load(self._order.opener).open()
        except Exception as error:  # of any library or format
            ours = isinstance(error, NwbOphysError)
            reason = as_sentence(error if ours else f"{type(error).__name__}: {error}")
            raise SourceError(f"{self._helper.name} cannot open the sources: {reason}") from error

    def _plan(self, sources: Mapping[str, Source]) -> Iterator[tuple[str, PlannedDataset]]:
        for location, ordered in self._order.datasets.items():
            source, how = sources.get(location), ordered.configuration
            if source is None or (source.shape, source.dtype) != (how.shape, how.dtype):
                found = "none" if source is None else f"{source.shape} of {source.dtype}"
                raise SourceError(
                    f"{self._helper.name} finds other data for '{location}': {found} instead of "
                    f"{how.shape} of {how.dtype}."
                )
            if any(_digest_at(source, cell) != value for cell, value in ordered.spots):
                raise SourceError(
                    f"{self._helper.name} reads other values for '{location}' from "
                    f"{source.label}. All workers need the same source files, and an interface "
                    "must not be changed after it was opened."
                )
            read: Any = source if source.in_parallel else _OneAtATime(source)
            yield (
                location,
                PlannedDataset(configuration=how, source=read, builder=None, given=None),
            )


def check_versions(wanted: Mapping[str, str], found: Mapping[str, str], name: str) -> None:
    """Check that another process has the versions of the process that writes the file.

    Parameters
    ----------
    wanted, found : Mapping of str to str
        Versions by the name of the package.
    name : str
        Name of the other process.

    Raises
    ------
    OutputError
        If one differs; names it.
    """
    for package in sorted({*wanted, *found}):
        here, there = wanted.get(package, "absent"), found.get(package, "absent")
        if here != there:
            package = package.replace("_", "-")
            raise OutputError(
                f"{name} has {package} {there}, but this program has {package} {here}; install "
                "the same versions on all machines."
            )
