"""Check that recordings that go into one file are of one session of one subject."""

from __future__ import annotations

import datetime
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.errors import SourceError
from nwb_ophys.metadata import parse_datetime
from nwb_ophys.opening.grouping import FoundRecordings
from nwb_ophys.opening.texts import distinct_name
from nwb_ophys.registry import option_asking_for

_ONE_DAY = datetime.timedelta(days=1)
_MOST_SHOWN = 6


def check_one_session(
    recordings: Sequence[FoundRecordings], interfaces: Mapping[int, Sequence[Any]]
) -> None:
    """Refuse recordings of several subjects, days or folders with a movie and its ROIs each.

    Parameters
    ----------
    recordings : sequence of FoundRecordings
    interfaces : mapping of int to sequence of interface
        The interfaces of each recording by its index.

    Raises
    ------
    SourceError
        With the recordings, and the command that converts each.
    """
    if sum(bool(found.groups) for found in recordings) < 2:
        return
    folders = _sessions_in_folders(recordings)
    if folders:
        raise _refusal(
            "These folders each hold a movie with its ROIs:", {f: f.name for f in folders}
        )
    described = {index: _session_of(own) for index, own in interfaces.items()}
    subjects = {index: subject for index, (subject, _) in described.items() if subject}
    if len(set(subjects.values())) > 1:
        raise _refusal(
            "The recordings are of different subjects:",
            {recordings[index].path: subject for index, subject in subjects.items()},
        )
    starts = {index: start for index, (_, start) in described.items() if start}
    if starts and max(starts.values()) - min(starts.values()) > _ONE_DAY:
        raise _refusal(
            "The recordings began more than a day apart:",
            {recordings[index].path: f"{start:%Y-%m-%d %H:%M}" for index, start in starts.items()},
        )


def _session_of(interfaces: Sequence[Any]) -> tuple[str | None, datetime.datetime | None]:
    """Return the subject and the start that interfaces state, or None."""
    for interface in interfaces:
        stated = interface.describe() if hasattr(interface, "describe") else {}
        subject = (stated.get("Subject") or {}).get("subject_id")
        start = (stated.get("NWBFile") or {}).get("session_start_time")
        if subject or start:
            moment = None if start is None else parse_datetime(start, "session_start_time")
            # Zones differ by less than a day, and some starts have none.
            return subject, moment and moment.replace(tzinfo=None)
    return None, None


def _sessions_in_folders(recordings: Sequence[FoundRecordings]) -> list[Path]:
    """Return sibling folders that each hold a movie and ROIs, if there are several."""
    kinds: dict[Path, dict[Path, set[str | None]]] = {}
    recordings = [each for each in recordings if each.groups]
    paths = [each.path.absolute() for each in recordings]
    root = Path(os.path.commonpath(paths))
    for found, path in zip(recordings, paths, strict=True):
        if option_asking_for(found.row):
            continue
        # A recording that is a folder belongs to the session of the folder that holds it.
        inner = path
        while inner != root:
            parent = inner.parent
            kinds.setdefault(parent, {}).setdefault(inner, set()).add(found.row.kind)
            inner = parent
    for children in kinds.values():
        whole = [child for child, own in children.items() if {"imaging", "segmentation"} <= own]
        if len(whole) > 1:
            return whole
    return []


def _refusal(what: str, found: Mapping[Path, str]) -> SourceError:
    shown = list(found)[:_MOST_SHOWN]
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    listed = "; ".join(f"'{path}' ({found[path]})" for path in shown)
    commands = "; ".join(
        f"nwb-ophys convert {shlex.quote(str(path))} -o "
        f"{shlex.quote(distinct_name(path, list(found)).replace(' ', '_') + '.nwb')}"
        for path in shown
    )
    return SourceError(
        f"{what} {listed}{more}. An NWB file holds one session of one subject. Convert each by "
        f"itself: {commands}. To write one file of all, give all_in_one=True (--all-in-one)."
    )
