"""Processes of this machine that convert sessions, one session at a time each.

A pool of ``concurrent.futures`` fails as a whole when one of its processes is killed. Here the end
of a process fails the session that it converted, and another process takes its place.

The code that converts is imported in these processes only, so that they begin at once.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing import connection
from typing import Any

from nwb_ophys.errors import ArgumentError
from nwb_ophys.memory import collection_paused, keep_out_of_collection, share_freed_memory
from nwb_ophys.sessions.session import Session, Share
from nwb_ophys.sessions.states import FAILED, SessionState, record_failure
from nwb_ophys.storage.children import Child, leave, prepare_child

_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 30.0


class _Worker:
    """A process with the session that it converts."""

    def __init__(self) -> None:
        self._child = Child(_work)
        self._has_begun = False
        self.session: Session | None = None

    @property
    def process(self) -> Any:
        """The process."""
        return self._child.process

    @property
    def handles(self) -> list[Any]:
        """Objects that are ready when a session or the process has ended."""
        return [self._child.pipe, self.process.sentinel]

    def give(self, session: Session, share: Share) -> None:
        """Let the process convert a session."""
        self.session = session
        with suppress(OSError):  # it has ended, which the next look finds
            self._child.pipe.send((session, share))

    def taken(self) -> SessionState | None:
        """Return the state of the session if it ended, or None while it is converted.

        Raises
        ------
        ArgumentError
            If the process cannot begin.
        """
        assert self.session is not None
        is_alive = self.process.is_alive()  # before: what it has sent at its end is in the pipe
        try:
            if self._child.pipe.poll():
                answer: SessionState | None = self._child.pipe.recv()
                self._has_begun = True
                return answer
        except (EOFError, OSError):
            self.process.join(_PATIENCE_SECONDS)
            is_alive = self.process.is_alive()
        if is_alive:
            return None
        code = self.process.exitcode
        if not self._has_begun and code is not None and code > 0:
            raise ArgumentError(
                f"A process that converts sessions ended with code {code} while it began. Each "
                "imports the script that started it: put what the script does, such as the call "
                "of run_sessions, below the line: if __name__ == '__main__':"
            )
        return _lost(self.session, code)

    def end(self, number: int | None = None) -> None:
        """End the process, with a signal if one is given, and wait for it."""
        self._child.end(number)


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
    interrupts = prepare_child()
    share_freed_memory()
    with collection_paused():
        import nwb_ophys.interfaces.writing  # with pynwb, while no session waits  # noqa: F401
        from nwb_ophys.sessions.running import reason_of, run_session
    keep_out_of_collection()

    def converted(session: Session, share: Share) -> SessionState:
        try:
            return run_session(session, share)
        except Exception as error:
            return SessionState(key=session.key, state=FAILED, reason=reason_of(error))

    with suppress(OSError):
        pipe.send(None)  # it has begun
    while True:
        try:
            session, share = pipe.recv()
        except (EOFError, OSError):
            leave()
        state = interrupts.guarded(partial(converted, session, share))
        with suppress(OSError):
            pipe.send(state)
