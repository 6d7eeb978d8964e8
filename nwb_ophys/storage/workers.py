"""Threads that do jobs, and that Ctrl-C in the caller's thread cannot leave waiting for ever.

The executors of the standard library guard each job with a lock that is taken in Python. An
interrupt that arrives while the caller's thread holds one leaves it taken: the worker that needs
it never ends. The queues here are taken and released in C, where no interrupt comes between.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


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
    """Threads that do jobs in the order they are given.

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
        self._threads: list[threading.Thread] = []

    def submit(self, job: Any) -> None:
        """Have a job done."""
        self._jobs.put((job,))
        if not self._threads:
            names = [f"{self._name}_{number}" for number in range(self._count)]
            self._threads = [threading.Thread(target=self._run, name=name) for name in names]
            for thread in self._threads:
                thread.start()

    def next_done(self, patience: float) -> Any:
        """Return a job that is done.

        Parameters
        ----------
        patience : float
            How long to wait for one, in seconds.

        Raises
        ------
        queue.Empty
            When none is done in that time.
        Exception
            Whatever the job raised.
        """
        job, error = self._done.get(timeout=patience) if patience else self._done.get_nowait()
        if error is not None:
            raise error
        return job

    def close(self) -> None:
        """Stop, and wait until all threads have ended."""
        self._stop.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:  # an interrupt may come before it is started
                thread.join()

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
