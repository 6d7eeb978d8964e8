"""A cluster of Dask as an executor: its workers fill the large datasets of one file.

Each conversion registers a plugin with the cluster, which gives each worker the order, also one
that joins later. The plugin keeps the sources open between blocks. A task names a dataset and a
block. When the conversion ends, in whatever way, the plugin is removed from all workers, which
waits for the blocks in hand, so that nothing is written afterwards.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.errors import (
    ArgumentError,
    MemoryLimitError,
    NwbOphysError,
    OutputError,
    as_sentence,
    shown_size,
)
from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.storage.backends.registry import (
    BACKENDS,
    DEFAULT_BACKEND,
    backend_of_name,
    get_backend,
)
from nwb_ophys.storage.block_filler import BlockFiller, Helper, check_versions
from nwb_ophys.storage.engine import FillTask, block_of
from nwb_ophys.storage.grid import Selection, Shape, size_of, whole
from nwb_ophys.storage.progress import Counter
from nwb_ophys.storage.sharing import (
    FilledBlock,
    FillOrder,
    Ledger,
    Opener,
    SharedFile,
    comparable_versions,
    order_of,
)
from nwb_ophys.storage.threads import to_the_end

if TYPE_CHECKING:
    from nwb_ophys.storage.write import WriteOptions

_EXTRA = "cluster"
# The scheduler is that of Dask's own configuration.
_CONFIGURED = "dask"
# Seconds in which a scheduler must answer, and a first worker must be there.
_PATIENCE_FOR_SCHEDULER = 10.0
_PATIENCE_FOR_WORKERS = 60.0
LONGEST_WITHOUT_WORKERS = 300.0
"""Seconds without any worker after which a conversion fails."""
LONGEST_WITHOUT_SCHEDULER = 60.0
"""Seconds without the scheduler after which a conversion fails."""
# Longest wait of the caller's thread, so that it notices Ctrl-C on every system.
_PATIENCE = 0.2
_CHECKS_EVERY = 2.0
_ATTEMPTS = 10
# Blocks that are submitted per thread: one is filled, the others wait.
_AHEAD = 3
# Blocks per thread of a dataset, so that all threads end at about the same time.
_BLOCKS_PER_THREAD = 16
_SMALLEST_BLOCK = 4_000_000
_LONGEST_STOP = 600.0


# --- the door -------------------------------------------------------------------------------------


def check_cluster(path: str | Path | None, how: WriteOptions, *, is_new: bool) -> None:
    """Check that a cluster can write a file, before it is connected.

    Parameters
    ----------
    path : path-like or None
    how : WriteOptions
    is_new : bool
        Whether the contents are those of the sources alone.

    Raises
    ------
    ArgumentError
        If it cannot.
    """
    if path is None or not is_new:
        raise ArgumentError(
            "cluster= fills a new file with the data of the sources; give nwbfile_path, and no "
            "nwbfile object."
        )
    if isinstance(as_path(path), RemotePath):
        raise ArgumentError(
            f"cluster= fills a folder that all machines see, but '{as_path(path)}' is in an object "
            "store. Give a folder, and upload it with the tool of the object store."
        )
    if how.append:
        raise ArgumentError("cluster= fills a new file; leave out append=True, or cluster=.")
    stated = how.backend or (how.configuration and how.configuration.backend)
    name = str(stated or backend_of_name(path) or DEFAULT_BACKEND)
    if not get_backend(name, how.zarr_format).is_shareable:
        other = next(each for each in BACKENDS if BACKENDS[each].is_shareable)
        raise ArgumentError(
            f"A file of the backend '{name}' is written by one process, so that no cluster can "
            f"fill it; use backend='{other}'."
        )


@contextmanager
def connected(cluster: Any) -> Iterator[Any]:
    """Give the client of a cluster, which is closed at the end if it was made here.

    Parameters
    ----------
    cluster : str or distributed.Client or None
        Address of a scheduler, path of the file that a scheduler writes (``.json``), or ``"dask"``
        for the scheduler that Dask's own configuration names. None gives None.

    Raises
    ------
    ArgumentError
        For any other object.
    OutputError
        If no scheduler answers.
    """
    if cluster is None:
        yield None
        return
    distributed = require_package("distributed", _EXTRA)
    if isinstance(cluster, distributed.Client):
        if cluster.asynchronous:
            raise ArgumentError("cluster is an asynchronous Client; give one that is not.")
        yield cluster
        return
    if not isinstance(cluster, str):
        raise ArgumentError(
            f"cluster is {cluster!r}; it must be the address of a scheduler, such as "
            "tcp://scheduler:8786, the .json file of a scheduler, 'dask', or a distributed.Client."
        )
    given = _scheduler(cluster)
    try:
        client = distributed.Client(**given, timeout=_PATIENCE_FOR_SCHEDULER, set_as_default=False)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OutputError(
            f"No scheduler of Dask answers at '{given.get('address', cluster)}': "
            f"{as_sentence(reason)} Check the address, which the scheduler prints when it starts."
        ) from error
    try:
        yield client
    finally:
        to_the_end(client.close)


def _scheduler(cluster: str) -> dict[str, str]:
    """Return the argument of a client for a scheduler.

    Raises
    ------
    ArgumentError
        When there is no such file, or Dask's configuration names no scheduler.
    """
    if cluster.endswith(".json"):
        if not Path(cluster).is_file():
            raise ArgumentError(
                f"'{cluster}' does not exist; give the file that 'dask scheduler "
                "--scheduler-file' writes."
            )
        return {"scheduler_file": cluster}
    if cluster != _CONFIGURED:
        return {"address": cluster}
    import dask

    address = dask.config.get("scheduler-address", None)
    if not address:
        raise ArgumentError(
            "Dask's configuration names no scheduler; set DASK_SCHEDULER_ADDRESS, or give the "
            "address, such as tcp://scheduler:8786."
        )
    return {"address": str(address)}


# --- on the workers -------------------------------------------------------------------------------


def _helper(worker: Any) -> Helper:
    return Helper(
        name=f"The worker at '{worker.address}'",
        threads=worker.state.nthreads,
        memory_limit=worker.memory_manager.memory_limit,
    )


@attrs.frozen(kw_only=True)
class WorkerFacts:
    """Facts on one worker: versions, threads, and the largest block that its memory allows."""

    versions: Mapping[str, str]
    threads: int
    block_bytes: int


def worker_facts(
    backend: str, zarr_format: int | None, buffer_gb: float, dask_worker: Any
) -> WorkerFacts:
    """Return the facts on the worker on which this runs."""
    helper = _helper(dask_worker)
    return WorkerFacts(
        versions=comparable_versions(get_backend(backend, zarr_format)),
        threads=helper.threads,
        block_bytes=helper.block_bytes(buffer_gb),
    )


class WorkerFiller:
    """The part of a worker in one conversion; a plugin of Dask's worker.

    Parameters
    ----------
    name : str
        Name of the plugin.
    order : FillOrder
        With the pickle of an opener.
    """

    def __init__(self, name: str, order: FillOrder) -> None:
        self.name, self._order = name, order

    def setup(self, worker: Any) -> None:
        """Take the order; nothing is opened before the first block."""
        pickle = importlib.import_module("distributed.protocol.pickle")
        self._filler = BlockFiller(self._order, _helper(worker), pickle.loads)
        self._in_hand: set[int] = set()

    def fill(self, location: str, bounds: Selection) -> FilledBlock:
        """Fill one block, in a thread of the worker."""
        thread = threading.get_ident()
        self._in_hand.add(thread)
        try:
            return self._filler.fill(location, bounds)
        finally:
            self._in_hand.discard(thread)

    async def end(self) -> str | None:
        """End the blocks in hand, and close all files; return the error of the disk, if any."""
        self._filler.stop()
        until = time.monotonic() + _LONGEST_STOP
        while self._in_hand and time.monotonic() < until:
            await asyncio.sleep(0.01)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._filler.close)
        except OSError as error:
            return str(error)
        return None

    async def teardown(self, worker: Any) -> None:
        """End with the worker."""
        await self.end()


@functools.cache
def _plugin_class() -> type:
    plugin = require_package("distributed", _EXTRA).WorkerPlugin
    return type("NwbOphysFiller", (WorkerFiller, plugin), {})


def fill_on_worker(name: str, location: str, bounds: Selection) -> FilledBlock:
    """Fill one block on the worker on which this runs."""
    worker = importlib.import_module("distributed").get_worker()
    plugin = worker.plugins.get(name)
    if plugin is None:
        raise OutputError(f"The worker at '{worker.address}' has no order for this block.")
    return plugin.fill(location, bounds)  # type: ignore[no-any-return]


async def end_on_worker(name: str, dask_worker: Any) -> str | None:
    """End a conversion on the worker on which this runs."""
    plugin = dask_worker.plugins.get(name)
    return None if plugin is None else await plugin.end()


# --- on the client --------------------------------------------------------------------------------


@attrs.frozen
class _Block:
    """A block that was submitted."""

    ledger: Ledger
    bounds: Selection

    @property
    def where(self) -> str:
        first, planned = self.bounds[0], self.ledger.task.planned
        return f"'{planned.location}', frames {first.start} to {first.stop - 1}"


class ClusterExecutor:
    """Fills large datasets on the workers of a cluster.

    Parameters
    ----------
    client : distributed.Client
    opener : Opener
        Opens the sources on the workers.
    """

    def __init__(self, client: Any, opener: Opener) -> None:
        self._client, self._opener = client, opener
        self._name = f"nwb-ophys-{uuid.uuid4().hex}"

    def fill(self, tasks: Sequence[FillTask], file: SharedFile, counter: Counter) -> None:
        """Fill datasets, and check that all chunks are in the file.

        Raises
        ------
        SourceError, OutputError
            If a block cannot be read or stored, workers die while they fill it, or a worker sees
            other files, has other versions or too little memory.
        """
        workers = self._workers(file)
        order = order_of(tasks, file, self._pickled(self._opener))
        ledgers = [
            Ledger(task, file.storage.shared_unit(file.root, task.planned.configuration))
            for task in tasks
        ]
        blocks = (
            _Block(ledger, bounds)
            for ledger in ledgers
            for bounds in ledger.blocks(_block_shape(ledger, workers))
        )
        plugin = _plugin_class()(self._name, order)
        run = _Run(self._client, self._name, self._opener, counter)
        try:
            _despite_losses(lambda: self._client.register_plugin(plugin, name=self._name))
            run.fill(blocks, sum(each.threads for each in workers.values()))
            failures = run.end()
        except BaseException:
            to_the_end(run.give_up)
            raise
        if failures:
            raise OutputError(next(iter(failures)))
        for ledger in ledgers:
            ledger.check()
        file.storage.remove_torn(file.path)  # of workers that died

    def _pickled(self, opener: Opener) -> bytes:
        pickle = importlib.import_module("distributed.protocol.pickle")
        try:
            return pickle.dumps(opener)  # type: ignore[no-any-return]
        except Exception as error:  # of any object that a user gave
            reason = " ".join(str(error).split())
            raise ArgumentError(
                f"The sources cannot be sent to the workers of a cluster: {as_sentence(reason)}"
            ) from error

    def _workers(self, file: SharedFile) -> dict[str, WorkerFacts]:
        """Return facts on all workers by address, after a check of their versions."""
        address = self._client.scheduler.address
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE_FOR_WORKERS)
        except (OSError, asyncio.TimeoutError) as error:
            raise OutputError(
                f"The scheduler at '{address}' has no workers; start some and run this again."
            ) from error
        given = (file.storage.name, file.storage.zarr_format, file.buffer_gb)
        asked = self._client.run(worker_facts, *given, on_error="return")
        # A worker that died meanwhile cannot answer.
        found = {k: facts for k, facts in asked.items() if not _is_lost(facts)} or asked
        wanted = comparable_versions(file.storage)
        for worker, facts in found.items():
            name = f"The worker at '{worker}'"
            if isinstance(facts, BaseException):
                raise _unusable(name, facts, wanted)
            check_versions(wanted, facts.versions, name)
        return found  # type: ignore[no-any-return]


def _is_lost(answer: Any) -> bool:
    return isinstance(answer, OSError) and not isinstance(answer, NwbOphysError)


def _despite_losses(action: Callable[[], Any]) -> None:
    """Repeat what all workers must answer, since one of them may die meanwhile."""
    for _ in range(_ATTEMPTS - 1):
        try:
            action()
        except OSError:
            time.sleep(_PATIENCE)
        else:
            return
    action()


def _unusable(name: str, error: BaseException, wanted: Mapping[str, str]) -> Exception:
    if isinstance(error, NwbOphysError):
        return OutputError(f"{name}: {as_sentence(error)}")
    reason = f"{type(error).__name__}: {error}"
    # Dask gives an error of a function that a worker cannot load as a text.
    if isinstance(error, (ImportError, AttributeError)) or "ModuleNotFoundError" in reason:
        return OutputError(
            f"{name} lacks nwb-ophys {wanted['nwb_ophys']} ({reason}); install the same version "
            "on all machines."
        )
    return OutputError(f"{name} does not answer: {as_sentence(reason)}")


def _block_shape(ledger: Ledger, workers: Mapping[str, WorkerFacts]) -> Shape:
    """Return blocks that are enough for all threads, after a check of the memory of each worker."""
    planned = ledger.task.planned
    chunk = size_of(whole(planned.chunk_shape)) * planned.source.dtype.itemsize
    for address, facts in workers.items():
        if chunk > facts.block_bytes:
            raise MemoryLimitError(
                f"A chunk of '{planned.location}', {planned.chunk_shape}, has {shown_size(chunk)}, "
                f"but the memory of the worker at '{address}' allows "
                f"{shown_size(facts.block_bytes)} for each of its {facts.threads} threads; give it "
                "more memory or fewer threads, or choose smaller chunks or a larger buffer_gb."
            )
    threads = sum(each.threads for each in workers.values())
    even = planned.configuration.num_bytes // (threads * _BLOCKS_PER_THREAD)
    most = min(each.block_bytes for each in workers.values())
    return block_of(planned, ledger.unit, min(most, max(even, _SMALLEST_BLOCK)))


def _error_of(block: _Block, error: BaseException) -> Exception:
    """Return the error of a block in plain words."""
    if isinstance(error, NwbOphysError):
        return error
    kind = type(error).__name__
    if kind == "KilledWorker":
        died: Any = error
        return OutputError(
            f"{block.where}: {died.allowed_failures + 1} workers died while they had this block "
            f"in hand, the last one at '{died.last_worker.address}'. Their logs may say why, such "
            "as a lack of memory."
        )
    if kind == "CommClosedError" or "scheduler" in str(getattr(error, "reason", "")):
        return OutputError(
            "The connection to the scheduler of the cluster was lost; check that the scheduler "
            "and the network are there, and run this again."
        )
    if not isinstance(error, Exception) or kind == "FutureCancelledError":
        return OutputError(f"{block.where}: the cluster lost the block; run this again.")
    reason = as_sentence(f"{kind}: {error}")
    return OutputError(f"{block.where}: a worker failed: {reason}")


async def _fetch(client: Any, future: Any, done: queue.SimpleQueue[Any]) -> None:
    """Hand over the result or the error of a block, in the thread of the client.

    If the worker that has the result dies before, the block is filled once more.
    """
    try:
        result = await client.gather(future, asynchronous=True)
    except BaseException as error:
        done.put((future, None, error))
    else:
        done.put((future, result, None))


class _Run:
    """Blocks of one conversion on a cluster: a few are submitted at any time.

    Parameters
    ----------
    client : distributed.Client
    name : str
        Name of the plugin of the workers.
    opener : Opener
        Takes over the files and notes of the workers.
    counter : Counter
    """

    def __init__(self, client: Any, name: str, opener: Opener, counter: Counter) -> None:
        self._client, self._name, self._opener, self._counter = client, name, opener, counter
        self._submitted: dict[Any, _Block] = {}
        # Its operations lock in C, where no interrupt can arrive.
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._number = 0
        self._checked = self._with_workers = self._in_touch = time.monotonic()

    def fill(self, blocks: Iterator[_Block], threads: int) -> None:
        """Fill all blocks."""
        self._threads = threads
        for block in blocks:
            self._submit(block)
            while len(self._submitted) >= self._threads * _AHEAD:
                self._collect()
        while self._submitted:
            self._collect()

    def end(self) -> set[str]:
        """Let all workers close their files, and return the errors of their disks."""
        results = self._client.run(end_on_worker, self._name, on_error="ignore")
        with suppress(OSError):  # of a worker that dies meanwhile
            self._client.unregister_worker_plugin(self._name)
        return {
            f"The worker at '{address}' could not put its chunks on the disk: {text}."
            for address, text in results.items()
            if text is not None
        }

    def give_up(self) -> None:
        """Cancel what is left, and wait until no worker writes any more."""
        with suppress(Exception):  # whatever ends the cluster as well
            self._client.cancel(list(self._submitted), force=True)
        self._submitted = {}
        with suppress(Exception):
            self._client.run(end_on_worker, self._name, on_error="ignore")
        with suppress(Exception):
            self._client.unregister_worker_plugin(self._name)

    def _submit(self, block: _Block) -> None:
        planned = block.ledger.task.planned
        self._number += 1
        future = self._client.submit(
            fill_on_worker,
            self._name,
            planned.location,
            block.bounds,
            key=f"{self._name}-{self._number}",
            pure=False,
        )
        self._submitted[future] = block
        self._client.loop.add_callback(_fetch, self._client, future, self._done)

    def _collect(self) -> None:
        """Take the result of a finished block, or wait a moment for one."""
        try:
            future, filled, error = self._done.get(timeout=_PATIENCE)
        except queue.Empty:
            self._check_cluster()
            return
        block = self._submitted.pop(future)
        if error is not None:
            raise _error_of(block, error) from error
        block.ledger.receive(filled.entries)
        self._opener.report(filled.opened, filled.notes)
        self._counter.add(block.ledger.task.planned, block.bounds)

    def _check_cluster(self) -> None:
        """Check from time to time that the cluster is there, and count its threads.

        Raises
        ------
        OutputError
            If it is not.
        """
        now = time.monotonic()
        if now - self._checked < _CHECKS_EVERY:
            return
        self._checked = now
        # A block whose worker died is lost for a moment, until it is filled once more.
        lost = any(each.status == "lost" for each in self._submitted)
        if not lost and self._client.status == "running":
            self._in_touch = now
        elif now - self._in_touch > LONGEST_WITHOUT_SCHEDULER:
            raise OutputError("The scheduler of the cluster has ended, or lost the blocks.")
        if self._client.status != "running":
            return
        threads = sum(self._client.nthreads().values())
        if threads:
            self._with_workers, self._threads = now, threads
        elif now - self._with_workers > LONGEST_WITHOUT_WORKERS:
            raise OutputError(
                f"The cluster has had no workers for {LONGEST_WITHOUT_WORKERS:.0f} seconds; start "
                "some and run this again."
            )
