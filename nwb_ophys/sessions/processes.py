"""Processes of this machine that convert sessions, one session at a time each.

A pool of ``concurrent.futures`` fails as a whole when one of its processes is killed. Here the end
of a process fails the session that it converted, and another process takes its place.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import Any

from nwb_ophys.sessions.running import reason_of, run_session
from nwb_ophys.sessions.session import Session, Share
from nwb_ophys.sessions.states import FAILED, SessionState, record_failure
from nwb_ophys.storage.threads import to_the_end

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0


class _Worker:
    """A process with the session that it converts."""

    def __init__(self) -> None:
        # A fresh process: a fork would share locks of threads and of the HDF5 library.
        context = multiprocessing.get_context("spawn")
        self._own, other = context.Pipe()
        self.process = context.Process(target=_work, args=(other,), daemon=False)
        with _without_interrupts():
            # The command line defers an interrupt that reaches another thread meanwhile.
            to_the_end(self._start)
        other.close()
        self.session: Session | None = None

    def _start(self) -> None:
        if self.process.pid is None:
            self.process.start()

    @property
    def handles(self) -> list[Any]:
        """Objects that are ready when a session or the process has ended."""
        return [self._own, self.process.sentinel]

    def give(self, session: Session, share: Share) -> None:
        """Let the process convert a session."""
        self.session = session
        with suppress(OSError):  # it has ended, which the next look finds
            self._own.send((session, share))

    def taken(self) -> SessionState | None:
        """Return the state of the session if it ended, or None while it is converted."""
        assert self.session is not None
        try:
            if self._own.poll():
                answer: SessionState = self._own.recv()
                return answer
        except (EOFError, OSError):
            self.process.join(_PATIENCE_SECONDS)
        return None if self.process.is_alive() else _lost(self.session, self.process.exitcode)

    def end(self, number: int | None = None) -> None:
        """End the process, with a signal if one is given, and wait for it."""
        self._own.close()
        if number is not None and self.process.pid is not None and self.process.is_alive():
            with suppress(OSError):
                os.kill(self.process.pid, number)
        self.process.join(_PATIENCE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back within the block, and in a process that is started in it until it is ready.

    Python prints the traceback of an interrupt that comes while it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # It starts with the first process, and would let interrupts through.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(session: Session, code: int | None) -> SessionState:
    """Return the state of a session whose process ended, and record it."""
    how = f"code {code}"
    if code is not None and code < 0:
        with suppress(ValueError):
            how = signal.Signals(-code).name
    return record_failure(
        session,
        f"The process that converted it ended with {how}. If the system killed it for its memory, "
        "use fewer jobs or a smaller buffer.",
    )


def run_in_processes(
    sessions: Sequence[Session], share: Share, jobs: int
) -> Iterator[SessionState | None]:
    """Convert sessions in processes of this machine.

    Parameters
    ----------
    sessions : sequence of Session
    share : Share
        Part of the machine for each.
    jobs : int
        Number of processes.

    Yields
    ------
    SessionState or None
        The state of each session as it ends, and None twice a second while all are converted.
    """
    waiting = deque(sessions)
    workers: list[_Worker] = []
    try:
        while waiting or any(each.session for each in workers):
            for worker in list(workers):
                if worker.session is None and not worker.process.is_alive():
                    workers.remove(worker)
            while waiting and sum(each.session is not None for each in workers) < jobs:
                free = next((each for each in workers if each.session is None), None)
                if free is None:
                    workers.append(free := _Worker())
                free.give(waiting.popleft(), share)
            busy = [each for each in workers if each.session is not None]
            connection.wait([h for each in busy for h in each.handles], timeout=_POLL_SECONDS)
            ended = [state for each in busy if (state := _collected(each)) is not None]
            yield from ended
            if not ended:
                yield None
    except BaseException:  # an interruption: each process removes what it has half-written
        for worker in workers:
            worker.end(signal.SIGINT)
        raise
    for worker in workers:
        worker.end()


def _collected(worker: _Worker) -> SessionState | None:
    state = worker.taken()
    if state is not None:
        worker.session = None
    return state


def _work(pipe: Any) -> None:
    """Convert the sessions that come through a pipe, until it is closed."""
    _end_with_parent()
    interrupts = _Interrupts()
    signal.signal(signal.SIGINT, interrupts)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    while True:
        try:
            session, share = pipe.recv()
        except (EOFError, OSError):
            return
        state = interrupts.guarded(session, share)
        with suppress(OSError):
            pipe.send(state)


class _Interrupts:
    """Handler of Ctrl-C that lets a conversion clean up, and else ends the process at once."""

    def __init__(self) -> None:
        self._is_converting = False

    def __call__(self, number: int, _: Any) -> None:
        if not self._is_converting:
            os._exit(128 + number)
        # A second signal must not interrupt the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        # Python loses it in callbacks and reports that; the session then ends first.
        sys.unraisablehook = lambda *_: None
        raise KeyboardInterrupt

    def guarded(self, session: Session, share: Share) -> SessionState:
        """Convert a session and return its state; an interrupt ends the process."""
        try:
            self._is_converting = True
            return run_session(session, share)
        except KeyboardInterrupt:
            os._exit(128 + signal.SIGINT)
        except Exception as error:
            return SessionState(key=session.key, state=FAILED, reason=reason_of(error))
        finally:
            self._is_converting = False


def _end_with_parent() -> None:
    """End this process when its parent ends; nobody would take its results."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, name="nwb_ophys parent", daemon=True).start()
