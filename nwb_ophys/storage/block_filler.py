"""A process that fills blocks of a file by an order; see :mod:`nwb_ophys.storage.sharing`."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
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
from nwb_ophys.storage.encoding import Scratch
from nwb_ophys.storage.engine import block_of, fill_block, open_task
from nwb_ophys.storage.error_context import while_writing
from nwb_ophys.storage.flushing import Flusher
from nwb_ophys.storage.grid import Selection, grid, size_of, whole
from nwb_ophys.storage.journal import ChunkProgress
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.sharing import (
    FilledBlock,
    FillOrder,
    Opened,
    Opener,
    comparable_versions,
    digest_at,
    object_id_of,
)
from nwb_ophys.storage.sources import Source
from nwb_ophys.storage.threads import Flag

# Other machines may see a new folder some seconds later.
_PATIENCE_AT_FIRST = 5.0
_PAUSE = 0.2


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

    A process that was out of reach when the write ended must not make the file again. A file that
    was there and is gone does not return, whatever lies at its path then.
    """

    def __init__(self, path: Path, storage: Backend) -> None:
        super().__init__()
        self._path, self._storage, self._was_there = path, storage, False

    @property
    def was_set(self) -> bool:
        """True after :meth:`set`, also while the file is there."""
        return super().is_set()

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        if super().is_set():
            return True
        if self._storage.recognises(self._path):
            self._was_there = True
            return False
        if self._was_there:
            self.set()
        return True


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
        self._storage = get_backend(order.backend, order.zarr_format)
        self._lock = threading.Lock()
        self._stop = _StopOrGone(order.path, self._storage)
        self._tools: SinkTools | None = None
        self._flusher: Flusher | None = None
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
            opened, flusher = self._opened, self._flusher
            self._opened = self._tools = self._root = self._flusher = None
            self._planned = {}
        try:
            if flusher is not None and self._order.path.exists():
                flusher.finish()
        finally:
            if flusher is not None:
                flusher.__exit__(OSError)  # ends its thread, also where the file is gone
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
        parts = self._parts(planned, bounds)
        sink = self._storage.shared_sink(root, planned.configuration, tools)
        task = open_task(planned, sink, from_values=self._order.from_values)
        assert sink.digests is not None
        shape, chunks = planned.source.shape, planned.chunk_shape
        sink.progress = ChunkProgress(location, shape, chunks, sink.digests)
        with opened.watched() as watched:
            for part in parts:
                fill_block(task, part, self._stop)
            self._check_not_stopped()
            with while_writing(planned, bounds):
                sink.finish()
        sink.progress.finish(bounds)
        new = frozenset(watched.opened) - self._known
        self._known |= new
        return FilledBlock(entries=sink.progress.take(), opened=new, notes=tuple(watched.notes))

    def _parts(self, planned: PlannedDataset, bounds: Selection) -> list[Selection]:
        """Return the parts of a block that are read at once, as the memory allows."""
        most = self._helper.block_bytes(self._order.buffer_gb)
        shape = block_of(planned, planned.chunk_shape, most)
        self._helper.check_block(size_of(whole(shape)) * planned.source.dtype.itemsize)
        return list(grid(bounds, shape))

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
            self._flusher = Flusher()
            self._flusher.__enter__()
            scratch = Scratch()
            self._tools = SinkTools(scratch=scratch, finished=self._flusher)
        return self._opened

    def _check_versions(self) -> None:
        own = comparable_versions(self._storage)
        check_versions(self._order.versions, own, self._helper.name)

    def _shared_root(self) -> Any:
        try:
            root = self._storage.open_shared(self._order.path)
            found = object_id_of(root)
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
            if any(digest_at(source, cell) != value for cell, value in ordered.spots):
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
