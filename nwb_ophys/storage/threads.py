"""Worker threads that end even if Ctrl-C interrupts the caller's thread.

The executors of the standard library acquire a lock per job in Python code. An interrupt can arrive
while the caller's thread holds it, so that it stays locked and a worker waits for it for ever. The
queues used here lock and unlock in C, where no interrupt can arrive.
"""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def to_the_end(action: Callable[[], None]) -> None:
    """Repeat an action until it completes, and raise an interrupt only afterwards.

    Parameters
    ----------
    action : callable
        Called again after each interrupt; an error ends the repetition.

    Raises
    ------
    Exception
        Any error of the action.
    """
    interrupt: BaseException | None = None
    while True:
        try:
            action()
            break
        except Exception:
            raise
        except BaseException as raised:
            interrupt = raised
    if interrupt is not None:
        raise interrupt


@contextmanager
def blosc_without_lock() -> Iterator[None]:
    """Keep numcodecs from locking Blosc, within the block.

    In the main thread numcodecs acquires a lock in Python code, for the threads of Blosc itself. An
    interrupt can leave it locked, and the next Blosc chunk of the process would wait for ever. If
    numcodecs is not imported yet, nothing changes.
    """
    blosc = sys.modules.get("numcodecs.blosc")
    before = getattr(blosc, "use_threads", None)
    try:
        if blosc is not None:
            blosc.use_threads = False  # type: ignore[attr-defined]
        yield
    finally:
        if blosc is not None:
            blosc.use_threads = before  # type: ignore[attr-defined]


# Longest wait of the caller's thread, so that it notices Ctrl-C on every system.
_PATIENCE = 0.2


class Flag:
    """Flag that is set once, without a lock."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Set the flag."""
        self._is_set = True

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._is_set


class Workers:
    """Threads that do jobs in the order of submission.

    Use it as a context manager, and call :meth:`close` at the end of the block: an interrupt that
    arrives just as ``close`` begins is an error within the block then, and leaving the block ends
    the threads. With ``__exit__`` alone that interrupt would leave them waiting for ever.

    Parameters
    ----------
    count : int
        Number of threads, at least 1; the first job starts them.
    work : callable
        Called with each job, in one of the threads.
    stop : Flag
        Jobs that have not begun are dropped once it is set.
    name : str
        Prefix of the names of the threads.
    """

    def __init__(
        self, count: int, work: Callable[[Any], None], stop: Flag, name: str = "nwb-ophys-worker"
    ) -> None:
        self._count, self._work, self._stop, self._name = count, work, stop, name
        self._jobs: queue.SimpleQueue[Sequence[Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._all_ended = Flag()
        self._supervisor: list[int] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(self, *jobs: Any) -> None:
        """Add a job to the queue, or several that one thread does one after the other.

        Call :meth:`start` before several threads submit.
        """
        self._jobs.put(jobs)
        self.start()

    def start(self) -> None:
        """Start the threads, if they are not started yet."""
        if not self._supervisor:
            # One call in C: no interrupt can arrive between starting the thread and recording it.
            self._supervisor.extend(map(_thread.start_new_thread, [self._supervise], [()]))

    def next_done(self, *, wait: bool = True) -> Any:
        """Return a finished job.

        Parameters
        ----------
        wait : bool
            Wait until a job is finished.

        Raises
        ------
        queue.Empty
            If no job is finished and ``wait`` is False.
        Exception
            The error of the job.
        """
        while True:
            try:
                job, error = self._done.get(timeout=_PATIENCE) if wait else self._done.get_nowait()
                break
            except queue.Empty:
                if not wait:
                    raise
        if error is not None:
            raise error
        return job

    def close(self) -> None:
        """Stop, and wait until all threads have ended, even if interrupted."""
        if self._supervisor:
            to_the_end(self._end)

    def _end(self) -> None:
        self._stop.set()
        for _ in range(self._count):
            self._jobs.put(None)
        while not self._all_ended.is_set():
            try:
                self._ended.get(timeout=_PATIENCE)
            except queue.Empty:
                continue

    def _supervise(self) -> None:
        # threading acquires locks in Python code; interrupts do not arrive in this thread.
        started = []
        try:
            for number in range(self._count):
                thread = threading.Thread(target=self._run, name=f"{self._name}_{number}")
                thread.start()
                started.append(thread)
        except BaseException as error:  # the system refuses another thread
            self._stop.set()
            self._done.put((None, error))
        for thread in started:
            thread.join()
        self._all_ended.set()
        self._ended.put(None)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            for job in given:
                self._do(job)
            del given, job

    def _do(self, job: Any) -> None:
        error: BaseException | None = None
        if not self._stop.is_set():
            try:
                self._work(job)
            except BaseException as raised:
                error = raised
        self._done.put((job, error))
