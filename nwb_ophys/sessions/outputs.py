"""Outputs of the sessions of a specification: each of its own, at a place where a file can be."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from nwb_ophys.errors import OutputError, SpecificationError
from nwb_ophys.outside import ignores_case
from nwb_ophys.remote.paths import is_url
from nwb_ophys.sessions.session import Session
from nwb_ophys.storage.places import check_place, real_place

# Characters of a name that is short enough for any file system.
_SHORT = 60


def distinct(sessions: Sequence[Session]) -> list[Session]:
    """Return sessions whose keys and outputs differ; a second one of the same output is refused.

    Raises
    ------
    SpecificationError
        With both sessions of each such output.
    """
    times, seen = Counter(each.key for each in sessions), Counter[str]()
    outputs: dict[str, Session] = {}
    faults, found = [], []
    fault_of_place = _faults_of_places()
    alike = Counter(_folded(each.shown_output) for each in sessions)
    for each in sessions:
        key = each.key
        if times[key] > 1:
            key = f"{key} ({each.paths[0] if each.paths else 'no path'})"
        seen[key] += 1
        if seen[key] > 1:
            key = f"{key} {seen[key]}"
        output = each.shown_output
        own = fault_of_place(output)
        session = attrs.evolve(each, key=key, faults=(*each.faults, *own))
        is_whole = "…" not in os.path.basename(output)  # noqa: PTH119
        file = _file_of(output) if alike[_folded(output)] > 1 else output
        other = outputs.setdefault(file, session) if is_whole else session
        if other is not session and not session.faults:
            faults.append(
                f"'{output}' would be the file of two sessions: {_said(other)} and "
                f"{_said(session)}. Give them other ids, or a template with the fields that differ."
            )
        found.append(session)
    if faults:
        raise SpecificationError(*faults)
    return found


def _folded(output: str) -> str:
    return unicodedata.normalize("NFC", output).casefold()


def _file_of(output: str) -> str:
    """Return a text that two outputs share if they are one file on this disk.

    macOS does not distinguish letters with an accent from those followed by one, nor can readers.
    """
    if not is_url(output) and ignores_case(Path(output).parent):
        return _folded(output)
    return unicodedata.normalize("NFC", output)


def _faults_of_places() -> Callable[[str], tuple[str, ...]]:
    """Return a function that returns why no file can be at a path, and asks once for a folder."""
    known: dict[str, tuple[str, ...]] = {}

    def fault_of(target: str) -> tuple[str, ...]:
        try:
            check_place(real_place(Path(target)), makes_folders=True)
        except OutputError as error:
            return (str(error),)
        return ()

    def fault_of_place(output: str) -> tuple[str, ...]:
        if is_url(output):
            return ()
        folder, name = os.path.split(output)
        if len(name) > _SHORT:
            return fault_of(output)
        if folder not in known:
            known[folder] = fault_of(output)
        return known[folder]

    return fault_of_place


def _said(session: Session) -> str:
    path = session.paths[0] if session.paths else "no path"
    return f"'{session.key}' ('{path}')"
