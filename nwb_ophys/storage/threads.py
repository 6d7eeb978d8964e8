"""Threads that do jobs, and that Ctrl-C in the caller's thread cannot leave waiting for ever.

The executors of the standard library guard each job with a lock that is taken in Python. An
interrupt that arrives while the caller's thread holds one leaves it taken: the worker that needs
it never ends. The queues here are taken and released in C, where no interrupt comes between.
"""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def to_the_end(action: Callable[[], None]) -> None:
    """Do something that may be begun anew, until it is done; an interrupt is raised only then.

    Parameters
    ----------
    action : callable
        Begun anew after each interrupt.

    Raises
    ------
    Exception
        Whatever the action raises.
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
    """Have numcodecs take no lock around Blosc.

    It takes one in the main thread, in Python, to have Blosc start threads of its own. An
    interrupt can leave it taken, and the next Blosc chunk of the process would wait for ever.
    Where numcodecs is not loaded yet, nothing is done.
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


# How long the caller's thread waits at a time, so that Ctrl-C is heard on every system.
_PATIENCE = 0.2


class Flag:
    """Something to be told once, without a lock."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        """Tell it."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it was told."""
        return self._is_set


class Workers:
    """Threads that do jobs in the order of submission.

    Use it as a context manager, and call :meth:`close` at the end of the block: an interrupt that
    arrives just as ``close`` begins is an error within the block then, and leaving the block ends
    the threads. With ``__exit__`` alone that interrupt would leave them waiting for ever.

    Parameters
    ----------
    count : int
        At least 1; started with the first job.
    work : callable
        Does a job.
    stop : Flag
        Once it is set, jobs that were not begun are left.
    name : str
        Of the threads.
    """

    def __init__(
        self, count: int, work: Callable[[Any], None], stop: Flag, name: str = "nwb-ophys-worker"
    ) -> None:
        self._count, self._work, self._stop, self._name = count, work, stop, name
        self._jobs: queue.SimpleQueue[tuple[Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._all_ended = Flag()
        self._supervisor: list[int] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(self, job: Any) -> None:
        """Have a job done."""
        self._jobs.put((job,))
        if not self._supervisor:
            # One call in C: no interrupt comes between the start of the thread and the note of it.
            self._supervisor.extend(map(_thread.start_new_thread, [self._supervise], [()]))

    def next_done(self, *, wait: bool = True) -> Any:
        """Return a job that is done.

        Parameters
        ----------
        wait : bool
            Until one is done.

        Raises
        ------
        queue.Empty
            When none is done, and it was not to be waited for.
        Exception
            Whatever the job raised.
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
        """Stop, and wait until all threads have ended, also when interrupted."""
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
        # Starting a thread and waiting for it take locks in Python; interrupts do not come here.
        started = []
        try:
            for number in range(self._count):
                thread = threading.Thread(target=self._run, name=f"{self._name}_{number}")
                thread.start()
                started.append(thread)
        except BaseException as error:  # the system gives no more threads
            self._stop.set()
            self._done.put((None, error))
        for thread in started:
            thread.join()
        self._all_ended.set()
        self._ended.put(None)

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            error: BaseException | None = None
            if not self._stop.is_set():
                try:
                    self._work(given[0])
                except BaseException as raised:
                    error = raised
            self._done.put((given[0], error))
            del given, error
