"""Executors that convert sessions: any of ``concurrent.futures``, and the workers of Dask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from typing import Any

from nwb_ophys.sessions.running import reason_of, run_session
from nwb_ophys.sessions.session import Session, Share
from nwb_ophys.sessions.states import SessionState, record_failure
from nwb_ophys.storage.cluster import connected

_POLL_SECONDS = 0.5


def run_in_executor(
    sessions: Sequence[Session], share: Share, executor: Executor
) -> Iterator[SessionState | None]:
    """Convert sessions by an executor.

    Parameters
    ----------
    sessions : sequence of Session
    share : Share
        Part of its machine for each session.
    executor : concurrent.futures.Executor
        Its workers need the same folders.

    Yields
    ------
    SessionState or None
        The state of each session as it ends, and None twice a second while all are converted.
    """
    futures: dict[Future[SessionState], Session] = {}
    try:
        for session in sessions:
            try:
                futures[executor.submit(run_session, session, share)] = session
            except RuntimeError as error:  # it is shut down, or its processes were killed
                yield _lost(session, error)
        while futures:
            done, _ = wait(futures, timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
            for future in done:
                session = futures.pop(future)
                lost = future.exception()
                yield future.result() if lost is None else _lost(session, lost)
            if not done:
                yield None
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _lost(session: Session, error: BaseException) -> SessionState:
    """Return the state of a session that its executor lost, and record it."""
    return record_failure(session, f"The executor lost it: {reason_of(error)}")


@contextmanager
def dask_executor(cluster: Any) -> Iterator[Executor]:
    """Connect to a cluster of Dask.

    Parameters
    ----------
    cluster : str or distributed.Client
        Scheduler, such as ``tcp://scheduler:8786``.

    Yields
    ------
    concurrent.futures.Executor
    """
    with connected(cluster) as client:
        # A session of a worker that was killed goes to another one; pure functions would be kept.
        yield client.get_executor(pure=False)
