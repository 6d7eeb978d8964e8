"""Runs of a batch: plan, conversion and states of its sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click

from nwb_ophys.errors import ArgumentError, OptionError
from nwb_ophys.memory import usable_cores
from nwb_ophys.paths import plain_path
from nwb_ophys.remote.paths import RemotePath, as_path, is_url
from nwb_ophys.sessions.expansion import expand
from nwb_ophys.sessions.neuroconv_specification import expand_neuroconv, is_of_neuroconv
from nwb_ophys.sessions.selection import Task, matching, parse_task, task_of_environment
from nwb_ophys.sessions.session import Session, Share
from nwb_ophys.sessions.shared_recordings import warn_of_shared_recordings
from nwb_ophys.sessions.specification import (
    DEFAULTS_FILE,
    Source,
    parse_specification,
    read_defaults,
    read_specification,
)
from nwb_ophys.sessions.states import (
    DONE,
    FAILED,
    RUNNING,
    Decision,
    SessionState,
    as_it_is,
    decided,
    read_state,
    state_path,
)

# Sessions about whose objects a store is asked at the same time.
_REQUESTS = 16


@attrs.frozen(kw_only=True)
class PlannedSession:
    """A session with its state and what a run would do with it.

    Attributes
    ----------
    session : Session
    state : SessionState
    decision : Decision
    """

    session: Session
    state: SessionState
    decision: Decision

    @property
    def is_pending(self) -> bool:
        """True if a run converts it, or looks whether its file is whole."""
        return self.decision.act != "skip"

    def would_fail(self, *, overwrite: bool = False) -> bool:
        """Return whether a run fails, as far as it is known before anything is opened.

        Parameters
        ----------
        overwrite : bool
            Whether the run replaces files that no run of this batch wrote.
        """
        is_in_the_way = self.decision.needs_overwrite and not overwrite
        is_in_the_way = is_in_the_way or self.decision.is_protected
        return self.is_pending and (bool(self.session.faults) or is_in_the_way)


@attrs.frozen(kw_only=True)
class BatchResult:
    """Outcome of a run: the states of its sessions.

    Attributes
    ----------
    states : tuple of SessionState
        In the order of the specification, those that were done before included.
    """

    states: tuple[SessionState, ...]

    @property
    def failed(self) -> tuple[SessionState, ...]:
        """States of the sessions that failed."""
        return tuple(each for each in self.states if each.state == FAILED)

    @property
    def elsewhere(self) -> tuple[SessionState, ...]:
        """States of the sessions that another process is converting."""
        return tuple(each for each in self.states if each.state == RUNNING)

    @property
    def exit_code(self) -> int:
        """0 if all sessions are done, else 3."""
        return 0 if all(each.state == DONE for each in self.states) else 3

    def __str__(self) -> str:
        counts = Counter(each.state for each in self.states)
        return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))


def sessions_of(
    specification: str | Path | Mapping[str, Any],
    *,
    output: str | Path | None = None,
    data_folder: str | Path | None = None,
) -> list[Session]:
    """Return the sessions of a specification.

    Parameters
    ----------
    specification : path-like or Mapping
        A YAML or JSON file of this package or of neuroconv, or what it would hold; relative paths
        then begin in the current folder.
    output : path-like, optional
        Folder or template in place of the ``output`` of the specification. Files of a specification
        of neuroconv lie beside it by default.
    data_folder : path-like, optional
        Folder in which relative paths of sources begin; by default that of the specification.

    Raises
    ------
    SpecificationError
        When the specification, or a table that it names, is wrong.
    MetadataError
        When a file of metadata is wrong.
    """
    if isinstance(specification, Mapping):
        path, stated = Path.cwd() / "specification", specification
    else:
        path = plain_path(specification)
        stated = read_specification(path)
    if output is not None and not str(output).strip():
        raise OptionError("output is an empty text; give a folder, or a template of names.")
    place = None if output is None else as_path(output)
    if place is not None and not isinstance(place, RemotePath):
        place = plain_path(place)
    folder = path.parent if data_folder is None else plain_path(data_folder)
    if is_of_neuroconv(stated):
        found = expand_neuroconv(stated, path, folder, place or path.parent)
        warn_of_shared_recordings(found)
        return found
    parsed = parse_specification(stated, path.name)
    if place is not None:
        entries = [attrs.evolve(each, output=None) for each in parsed.sessions]
        parsed = attrs.evolve(parsed, output=str(place), sessions=entries)
    found = expand(parsed, path, _defaults(path.parent), folder)
    warn_of_shared_recordings(found)
    return found


def _defaults(folder: Path) -> list[Source]:
    """Return the settings of the user and, over them, those of the folder's laboratory."""
    places = (Path(click.get_app_dir("nwb-ophys")), folder)
    files = dict.fromkeys(place / DEFAULTS_FILE for place in places)
    return [read_defaults(path) for path in files if path.is_file()]


def plan_sessions(
    sessions: Sequence[Session], *, retry_failed: bool = False
) -> list[PlannedSession]:
    """Return what a run would do with sessions; nothing is opened or written.

    Parameters
    ----------
    sessions : sequence of Session
    retry_failed : bool
        Whether the run converts only sessions that failed before.
    """
    found = []
    places = [state_path(session) for session in sessions]
    states = [read_state(path, each.key) for path, each in zip(places, sessions, strict=True)]
    decisions = _decisions(sessions, states)
    for session, path, state, decision in zip(sessions, places, states, decisions, strict=True):
        if retry_failed and state.state != FAILED:
            decision = Decision("skip", f"{state.state}; only failed sessions are converted")
        shown = as_it_is(state, path)
        found.append(PlannedSession(session=session, state=shown, decision=decision))
    return found


def _decisions(sessions: Sequence[Session], states: Sequence[SessionState]) -> list[Decision]:
    """Return what a run does with sessions; stores are asked about several at a time."""
    if not any(is_url(path) for each in sessions for path in (each.output, *each.paths)):
        return list(map(decided, sessions, states))
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(decided, sessions, states))


def states_of(sessions: Sequence[Session]) -> list[SessionState]:
    """Return the recorded states of sessions."""
    places = [(state_path(session), session.key) for session in sessions]
    return [as_it_is(read_state(path, key), path) for path, key in places]


def selected(
    sessions: Sequence[Session],
    only: Mapping[str, str] | None = None,
    task: Task | str | None = None,
) -> list[Session]:
    """Return the sessions of a run.

    Parameters
    ----------
    sessions : sequence of Session
    only : Mapping of str to str, optional
        Texts or patterns by field, such as ``{"subject_id": "M*"}``.
    task : Task or str, optional
        The part of one of several tasks, such as ``"1/8"``.

    Raises
    ------
    OptionError
        When nothing matches, or the task does not exist.
    """
    # The parts of tasks do not depend on what is done, so that no two tasks have one session.
    parsed = parse_task(task) if isinstance(task, str) else task
    chosen = matching(sessions, only) if only else list(sessions)
    return chosen if parsed is None else parsed.own(chosen)


def run_sessions(
    specification: str | Path | Mapping[str, Any] | Sequence[Session],
    executor: Any = None,
    *,
    jobs: int = 1,
    only: Mapping[str, str] | None = None,
    task: str | None = None,
    retry_failed: bool = False,
    workers: int | None = None,
    buffer_gb: float | None = None,
    overwrite: bool = False,
    progress: Callable[[SessionState | None], None] | None = None,
) -> BatchResult:
    """Convert the sessions of a specification that are not done; no session stops another one.

    Call it below ``if __name__ == "__main__":``, since other processes import the calling module.

    Parameters
    ----------
    specification : path-like, Mapping or sequence of Session
        A YAML or JSON file, what it would hold, or sessions that :func:`sessions_of` returned.
    executor : concurrent.futures.Executor, distributed.Client or str, optional
        What converts the sessions: an executor, a client or a cluster of Dask, or the address of
        its scheduler. By default processes of this machine.
    jobs : int
        Number of these processes.
    only : Mapping of str to str, optional
        Texts or patterns by field, such as ``{"subject_id": "M*"}``.
    task : str, optional
        The part of one of several tasks, such as ``"1/8"``; by default that of an array of SLURM or
        AWS Batch in which the process runs.
    retry_failed : bool
        Convert only the sessions that failed before.
    workers : int, optional
        Threads of all processes of this machine, or of each session of an executor.
    buffer_gb : float, optional
        Memory for data being read and compressed, in GB, in the same way.
    overwrite : bool
        Replace files that no run of this batch wrote.
    progress : callable, optional
        Called with the state of each session that ends, and with None twice a second.

    Returns
    -------
    BatchResult

    Raises
    ------
    SpecificationError, MetadataError, OptionError
        Before anything is converted.
    """
    sessions = _sessions(specification)
    chosen = selected(sessions, only, task if task is not None else task_of_environment())
    planned = plan_sessions(chosen, retry_failed=retry_failed)
    return run_planned(
        planned,
        executor,
        jobs=jobs,
        workers=workers,
        buffer_gb=buffer_gb,
        overwrite=overwrite,
        progress=progress,
    )


def run_planned(
    planned: Sequence[PlannedSession],
    executor: Any = None,
    *,
    jobs: int = 1,
    workers: int | None = None,
    buffer_gb: float | None = None,
    overwrite: bool = False,
    progress: Callable[[SessionState | None], None] | None = None,
) -> BatchResult:
    """Convert planned sessions; for the parameters see :func:`run_sessions`."""
    if jobs < 1:
        raise ArgumentError(f"jobs is {jobs}; it must be at least 1.")
    if executor is not None and jobs > 1:
        raise ArgumentError(
            f"jobs is {jobs}, which is for this machine; a cluster or an executor has workers of "
            "its own. Leave one of them out."
        )
    states = {each.session.key: each.state for each in planned}
    if len(states) < len(planned):
        (twice, _), *_ = Counter(each.session.key for each in planned).most_common(1)
        raise ArgumentError(
            f"Several sessions have the key '{twice}'; run the sessions of each specification "
            "for themselves."
        )
    share = _share(jobs if executor is None else 1, workers, buffer_gb, overwrite)
    pending = [each.session for each in planned if each.is_pending]
    with _engine(executor, jobs) as engine:
        for state in engine(pending, share):
            if state is not None:
                states[state.key] = state
            if progress is not None:
                progress(state)
    return BatchResult(states=tuple(_latest(each, states) for each in planned))


def _latest(planned: PlannedSession, states: Mapping[str, SessionState]) -> SessionState:
    """Return the state of a session after a run; that by another process may have changed since."""
    state = states[planned.session.key]
    if state.state != RUNNING:
        return state
    recorded = read_state(state_path(planned.session), state.key)
    has_ended = recorded.state in (DONE, FAILED) and recorded != planned.state
    return recorded if has_ended else state


def _sessions(specification: Any) -> list[Session]:
    if isinstance(specification, (str, Path, Mapping)):
        return sessions_of(specification)
    return list(specification)


def _share(jobs: int, workers: int | None, buffer_gb: float | None, overwrite: bool) -> Share:
    """Return the part of each of several jobs of this machine."""
    if jobs > 1 and workers is None:
        workers = usable_cores()
    return Share(
        workers=workers if workers is None or jobs == 1 else max(workers // jobs, 1),
        buffer_gb=None if buffer_gb is None else buffer_gb / jobs,
        overwrite=overwrite,
    )


Engine = Callable[[Sequence[Session], Share], Iterator["SessionState | None"]]


@contextmanager
def _engine(executor: Any, jobs: int) -> Iterator[Engine]:
    """Give the function that converts sessions by an executor, or in processes without one."""
    if executor is None:
        from nwb_ophys.sessions.processes import run_in_processes

        yield lambda sessions, share: run_in_processes(sessions, share, jobs)
        return
    # Imported here, since plans, states and processes need nothing that converts.
    from nwb_ophys.sessions.executors import dask_executor, run_in_executor

    if isinstance(executor, Executor):
        yield lambda sessions, share: run_in_executor(sessions, share, executor)
    else:
        address = getattr(executor, "scheduler_address", executor)
        with dask_executor(address) as workers:
            yield lambda sessions, share: run_in_executor(sessions, share, workers)


def fractions_of(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the written parts of the sessions that are being converted, by their keys."""
    return {state.key: state.fraction for state in states_of(sessions) if state.state == "running"}
