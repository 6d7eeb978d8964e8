"""One file that several processes fill: each reads blocks of its own and stores their chunks.

The process that writes the file declares the datasets and seals it. The others get an order, open
the sources and the incomplete file themselves, and send back the hashes of the chunks they stored.
Nothing here knows how orders and results travel; see :mod:`nwb_ophys.storage.cluster`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import (
    OutputError,
)
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.engine import FillTask
from nwb_ophys.storage.grid import Selection, Shape, grid, whole
from nwb_ophys.storage.hashes import digest
from nwb_ophys.storage.journal import EMPTY, UNKNOWN, ChunkProgress, Entries
from nwb_ophys.storage.progress import Counter
from nwb_ophys.storage.record import versions
from nwb_ophys.storage.sources import ArraySource, Source

LEAST_BYTES = 16_000_000
"""Smaller datasets are filled by the process that writes the file."""
# Other machines may see a new file some seconds later, until which they keep the old listing.
PATIENCE = 30.0
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
        zarr_format=file.storage.zarr_format,
        identity=object_id_of(file.root),
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


def object_id_of(root: Any) -> str:
    """Return the identifier of a file, which is random in each new one."""
    return str(root.attrs.get("object_id"))


def _spots(source: Source) -> tuple[tuple[Selection, bytes], ...]:
    """Return the first and the last entry of a source, each with a hash of its values."""
    others = whole(source.shape[1:])
    last = source.shape[0] - 1
    cells = [(slice(start, start + 1), *others) for start in sorted({0, last})]
    return tuple((cell, digest_at(source, cell)) for cell in cells)


def digest_at(source: Source, cell: Selection) -> bytes:
    """Return a hash of some values of a source."""
    return digest(np.ascontiguousarray(source.read(cell)).tobytes())


# --- the order ------------------------------------------------------------------------------------


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
    zarr_format : int or None
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
    zarr_format: int | None
    identity: str
    versions: Mapping[str, str]
    buffer_gb: float
    from_values: bool
    datasets: Mapping[str, OrderedDataset]
    opener: Any
