"""Batches of the page: the sessions of a specification, and their conversion."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nwb_ophys.documents import dump_yaml
from nwb_ophys.errors import SpecificationError, counted, first_of, printable, shown_size
from nwb_ophys.home import with_home
from nwb_ophys.page.option_paths import paths_in_options
from nwb_ophys.page.roots import Roots
from nwb_ophys.page.wording import page_note
from nwb_ophys.remote.paths import is_url
from nwb_ophys.sessions import (
    PlannedSession,
    Session,
    SessionState,
    plan_sessions,
    run_planned,
    sessions_of,
)
from nwb_ophys.sessions.archive import stated_findings
from nwb_ophys.sessions.batch import fractions_of, states_of
from nwb_ophys.sessions.specification import read_specification
from nwb_ophys.sessions.states import DONE

_SECONDS_PER_LOOK = 1.0
# Keys of a specification that name files which are read while it is expanded.
_READ = ("metadata", "subjects", "table")
# Keys with patterns and templates, whose matches are looked at later.
_TEMPLATES = ("pattern", "paths", "output")
_PATTERN = re.compile(r"[{*?\[]")
_MOST_SHOWN = 3


def planned_sessions(
    specification: str | Mapping[str, Any], roots: Sequence[str]
) -> tuple[list[PlannedSession], str]:
    """Return the planned sessions of a specification, and the specification as YAML.

    Parameters
    ----------
    specification : str or Mapping
        Path of a file, or what it would hold.
    roots : sequence of str
        Folders below which everything lies that is read and written.

    Raises
    ------
    SpecificationError
        When it is wrong, or names a path elsewhere.
    """
    allowed = Roots(tuple(map(Path, roots)))
    if isinstance(specification, str):
        folder, stated = Path(specification).parent, read_specification(Path(specification))
    else:
        folder, stated = Path.cwd(), specification
    if "experiments" in stated:
        raise SpecificationError(
            "This is a specification of neuroconv, which this page does not convert; use "
            "'nwb-ophys batch' with it."
        )
    _check(allowed, _stated_paths(stated, folder))
    sessions = sessions_of(specification)
    _check(allowed, (path for each in sessions for path in _paths_of(each)))
    return plan_sessions(sessions), dump_yaml(dict(stated))


def _check(allowed: Roots, paths: Iterable[str]) -> None:
    """Check that paths lie in the roots.

    Raises
    ------
    SpecificationError
        With the first that does not.
    """
    for path in paths:
        if is_url(path) or "\0" in path or not allowed.holds(Path(path)):
            folders = ", ".join(f"'{printable(str(folder))}'" for folder in allowed.folders)
            raise SpecificationError(
                f"'{printable(path)}' lies outside of the folders of this page: {folders}. Use "
                "'nwb-ophys batch', or start 'nwb-ophys gui' with --root FOLDER."
            )


def _stated_paths(stated: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield what a specification names; patterns and templates up to their first field or mark."""
    entries = stated.get("sessions")
    for part in [stated, *(entries if isinstance(entries, list) else [])]:
        known = part if isinstance(part, Mapping) else {}
        for key in _READ:
            if isinstance(known.get(key), str):
                yield _from_home(known[key], folder)
        for key in _TEMPLATES:
            value = known.get(key)
            for each in value if isinstance(value, list) else [value]:
                # Relative paths begin in the match of the pattern, which is looked at later.
                is_inner = key == "paths" and not Path(str(each)).is_absolute()
                if isinstance(each, str) and not (is_inner and ".." not in Path(each).parts):
                    yield from _beginnings(each, folder)


def _from_home(text: str, folder: Path) -> str:
    """Return a path that begins in a folder or, after ``~``, in a home folder."""
    if is_url(text):
        return text
    with suppress(RuntimeError):  # ~name of nobody
        return str(folder / with_home(Path(text)))
    return str(folder / text)


def _beginnings(text: str, folder: Path) -> Iterator[str]:
    if is_url(text):
        yield text
        return
    if ".." in Path(text).parts:
        yield _from_home(text, folder)
    plain = _PATTERN.split(text)[0]
    yield _from_home(plain if plain == text else os.path.dirname(plain), folder)  # noqa: PTH120


def _paths_of(session: Session) -> Iterator[str]:
    """Yield the paths that the conversion of a session reads and writes."""
    yield from (*session.paths, *session.beside, session.output)
    yield from paths_in_options(session.options)
    for given in session.clocks.values():
        for each in given if isinstance(given, list) else [given]:
            yield from (str(each[key]) for key in each if key == "file" or key.endswith("_path"))


def plan_batch(
    _: Any, specification: str | Mapping[str, Any], roots: Sequence[str]
) -> dict[str, Any]:
    """Return the sessions of a specification, with what a run would do.

    Parameters
    ----------
    specification : str or Mapping
    roots : sequence of str
    """
    planned, text = planned_sessions(specification, roots)
    findings: dict[tuple[str, str, str], list[str]] = {}
    for each in planned:
        for found in stated_findings(each.session):
            key = (found.importance, found.key, found.message)
            findings.setdefault(key, []).append(each.session.key)
    return {
        "rows": {each.session.key: _row(each) for each in planned},
        "yaml": text,
        "num_pending": sum(each.is_pending for each in planned),
        "findings": [
            {
                "importance": importance,
                "key": key,
                "message": message,
                "sessions": _listed(keys, len(planned)),
            }
            for (importance, key, message), keys in sorted(
                findings.items(), key=lambda item: item[0][0] != "required"
            )
        ],
    }


def _listed(keys: Sequence[str], total: int) -> str:
    if len(keys) == total:
        return "all sessions"
    return printable(first_of(keys, _MOST_SHOWN))


def _worded(text: str) -> str:
    return printable(page_note(text, has_controls=False))


def _row(planned: PlannedSession) -> dict[str, Any]:
    """Return the row of a session before a run."""
    faults = " ".join(planned.session.faults)
    state = planned.state.state
    act = planned.decision.act
    return {
        "name": printable(planned.session.key),
        "state": "would fail" if faults else state,
        "act": "" if faults else act,
        "why": _worded(faults or planned.decision.why),
        "remarks": _remarks(planned.state),
        "output": printable(planned.session.shown_output),
        "size": shown_size(planned.state.num_bytes) if state == "done" else "",
    }


def _remarks(state: SessionState) -> list[str]:
    """Return what the archive would refuse, and the notes of the conversion."""
    if state.state != "done":
        return []
    return [_worded(each) for each in (*state.findings, *state.warnings)]


def _ended_row(state: SessionState) -> dict[str, Any]:
    """Return the row of a session that a run has ended."""
    is_done = state.state == "done"
    return {
        "name": printable(state.key),
        "state": state.state,
        "act": "",
        "why": "" if is_done else _worded(state.reason),
        "remarks": _remarks(state),
        "output": printable(state.output),
        "size": f"{shown_size(state.num_bytes)}, {state.seconds:.1f} s" if is_done else "",
    }


def run_batch(
    tools: Any, specification: str | Mapping[str, Any], roots: Sequence[str], jobs: int
) -> dict[str, Any]:
    """Convert the sessions of a specification that are not done.

    Parameters
    ----------
    tools : Tools
    specification : str or Mapping
    roots : sequence of str
    jobs : int
        Sessions at a time.
    """
    planned, _ = planned_sessions(specification, roots)
    watch = _Watch([each.session for each in planned if each.is_pending], tools.report)
    try:
        result = run_planned(planned, jobs=jobs, progress=watch.show)
    except BaseException:  # cancelled
        watch.show_written()
        raise
    return {
        "rows": {each.key: _ended_row(each) for each in result.states},
        "summary": f"{counted(len(result.states), 'session')}: {result}.",
    }


class _Watch:
    """Reports of how far the sessions of a run are; before it they were not done."""

    def __init__(self, sessions: Sequence[Session], report: Callable[[Any], None]) -> None:
        self._sessions, self._report = sessions, report
        self._ended: set[str] = set()
        self._looked = 0.0

    def show(self, state: SessionState | None) -> None:
        """Report a session that ended, or once a second how far the others are."""
        rows, ended = {}, self._ended
        if state is not None:
            rows[state.key] = _ended_row(state)
            ended = ended | {state.key}
        elif time.monotonic() - self._looked < _SECONDS_PER_LOOK:
            return
        self._looked = time.monotonic()
        waiting = [each for each in self._sessions if each.key not in ended][:32]
        running = fractions_of(waiting)
        done = len(ended) + sum(running.values())
        names = ", ".join(f"{printable(key)} {part:.0%}" for key, part in running.items())
        self._report(
            {
                "fraction": done / max(len(self._sessions), 1),
                "detail": f"{len(ended)} of {len(self._sessions)} ended. {names}",
                "rows": rows,
            }
        )
        self._ended = ended  # only now: a cancel before it leaves the row to show_written()

    def show_written(self) -> None:
        """Report the sessions whose files are whole although the run was stopped."""
        left = [each for each in self._sessions if each.key not in self._ended]
        rows = {each.key: _ended_row(each) for each in states_of(left) if each.state == DONE}
        self._report({"rows": rows})
