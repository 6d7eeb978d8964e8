"""Check that recordings that go into one file are of one session of one subject."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.arguments import path_argument
from nwb_ophys.metadata import is_unset_clock, parse_datetime
from nwb_ophys.opening.grouping import FoundRecordings
from nwb_ophys.opening.texts import distinct_name
from nwb_ophys.paths import common_folder
from nwb_ophys.registry import option_asking_for
from nwb_ophys.shell_words import quoted

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
    by_path = _by_path(recordings, interfaces)
    if len(by_path) < 2:
        return
    folders = _sessions_in_folders(recordings)
    if folders:
        raise _refusal(
            "These folders each hold a movie with its ROIs:", {f: f.name for f in folders}
        )
    described = {path: _session_of(own) for path, own in by_path.items()}
    subjects = {path: subject for path, (subject, _) in described.items() if subject}
    if len(set(subjects.values())) > 1:
        raise _refusal("The recordings are of different subjects:", subjects)
    starts = {path: start for path, (_, start) in described.items() if start}
    if starts and max(starts.values()) - min(starts.values()) > _ONE_DAY:
        raise _refusal(
            "The recordings began more than a day apart:",
            {path: f"{start:%Y-%m-%d %H:%M}" for path, start in starts.items()},
        )


def _by_path(
    recordings: Sequence[FoundRecordings], interfaces: Mapping[int, Sequence[Any]]
) -> dict[Path, list[Any]]:
    """Return the interfaces of each recording by its path.

    That is the path at which a format was found, if it has one recording there, and no other
    format has one.
    """
    places = [found.path for found in recordings]
    found: dict[Path, list[Any]] = {}
    for index, own in interfaces.items():
        paths = {id(interface): _path_of(interface) or places[index] for interface in own}
        is_alone = len(set(paths.values())) == 1 and places.count(places[index]) == 1
        for interface in own:
            path = places[index] if is_alone else paths[id(interface)]
            found.setdefault(path, []).append(interface)
    return found


def _path_of(interface: Any) -> Path | None:
    """Return the path, or the first of several, that an interface reads; None if it has none."""
    source: Any = getattr(interface, "source", None)
    source = getattr(getattr(source, "movie", None), "source", source)
    kind: type = type(source)
    name = path_argument(kind) if attrs.has(kind) else None
    value = None if name is None else getattr(source, name)
    first = value[0] if isinstance(value, list | tuple) and value else value
    return first if isinstance(first, Path) else None


def _session_of(interfaces: Sequence[Any]) -> tuple[str | None, datetime.datetime | None]:
    """Return the subject and the start that interfaces state, or None."""
    for interface in interfaces:
        stated = interface.describe() if hasattr(interface, "describe") else {}
        subject = (stated.get("Subject") or {}).get("subject_id")
        start = (stated.get("NWBFile") or {}).get("session_start_time")
        if subject or start:
            moment = None if start is None else parse_datetime(start, "session_start_time")
            moment = None if moment is None or is_unset_clock(moment) else moment
            # Zones differ by less than a day, and some starts have none.
            return subject, moment and moment.replace(tzinfo=None)
    return None, None


def _sessions_in_folders(recordings: Sequence[FoundRecordings]) -> list[Path]:
    """Return sibling folders that each hold a movie and ROIs, if there are several."""
    kinds: dict[Path, dict[Path, set[str | None]]] = {}
    recordings = [each for each in recordings if each.groups]
    paths = [each.path.absolute() for each in recordings]
    root = common_folder(paths)
    for found, path in zip(recordings, paths, strict=True):
        if option_asking_for(found.row):
            continue
        # A recording that is a folder belongs to the session of the folder that holds it.
        inner = path
        while inner not in (root, inner.parent):
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
        f"nwb-ophys convert {quoted(str(path))} -o "
        f"{quoted(distinct_name(path, list(found)).replace(' ', '_') + '.nwb')}"
        for path in shown
    )
    return SourceError(
        f"{what} {listed}{more}. An NWB file holds one session of one subject. Convert each by "
        f"itself: {commands}. To write one file of all, give all_in_one=True (--all-in-one)."
    )
