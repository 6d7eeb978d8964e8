"""How the metadata of several streams become one, and each stream's own view of it again.

Streams that describe the same device or plane share it; whatever else collides is kept apart by
names made from the stream's name. Nothing is dropped.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.entries import (
    BY_PLANE,
    SEGMENTATIONS,
    SERIES,
    described,
    entries_of,
    path_of,
    set_entries,
)
from nwb_ophys.metadata.moments import parse_moment
from nwb_ophys.metadata.naming import camel_case, unused_name
from nwb_ophys.metadata.sharing import share_devices_and_planes
from nwb_ophys.metadata.similarity import same

# The lists whose entries each belong to one stream.
_OWNED = (*SERIES, SEGMENTATIONS)


@attrs.frozen
class Composition:
    """The metadata of several streams in one, and which entries are whose.

    Attributes
    ----------
    metadata : DeepDict
        The metadata of all streams, to be edited and written.
    claims : Mapping of str to Mapping of str to list of int
        For each stream the indices of its own entries in the lists of series and segmentations.
    """

    metadata: DeepDict
    claims: Mapping[str, Mapping[str, list[int]]]

    def project(self, metadata: Mapping[str, Any], stream: str) -> DeepDict:
        """Return one stream's view: its own series and segmentations, in its own order.

        Parameters
        ----------
        metadata : Mapping
            The composed metadata, edited or not. A list that no stream claims is left to all.
        stream : str
            Name of the stream.

        Raises
        ------
        MetadataError
            When entries have been taken out of a list or added to it, so that it is no longer
            known which are whose.
        """
        view = DeepDict(metadata)
        for category in _OWNED:
            claimed = sum(len(claims[category]) for claims in self.claims.values())
            if not claimed:
                continue
            entries = entries_of(view, category)
            if len(entries) != claimed:
                own = [name for name, claims in self.claims.items() if claims[category]]
                raise MetadataError(
                    f"{path_of(category)} has {len(entries)} entries, but the streams "
                    f"{', '.join(map(repr, own))} have {claimed}; keep their entries, in the order "
                    "of get_metadata()."
                )
            set_entries(view, category, [entries[i] for i in self.claims[stream][category]])
        return view


def compose_metadata(streams: Mapping[str, Mapping[str, Any]]) -> Composition:
    """Put the metadata of several streams together.

    Parameters
    ----------
    streams : Mapping of str to Mapping
        The metadata of each stream, by its name. They are not changed.

    Returns
    -------
    Composition
    """
    local = {name: DeepDict(metadata) for name, metadata in streams.items()}
    share_devices_and_planes(local)
    _separate_series(local)
    _separate_segmentations(local)
    for container in BY_PLANE:
        _separate_members(local, container)
    return _union(local)


# --- series, segmentations, traces, images: always of one stream --------------------------------


def _renamed(entries: Mapping[str, list[Any]]) -> Iterator[tuple[str, str, str]]:
    """Rename the entries whose names several streams use: yield stream, old and new name."""
    users: dict[str, set[str]] = {}
    for stream, own in entries.items():
        for entry in described(own):
            users.setdefault(entry["name"], set()).add(stream)
    taken = set(users)
    for stream, own in entries.items():
        for entry in described(own):
            old = entry["name"]
            if len(users[old]) > 1:
                entry["name"] = unused_name(old, camel_case(stream), taken)
                yield stream, old, entry["name"]


def _separate_series(local: Mapping[str, DeepDict]) -> None:
    # All are in the acquisition of one file, of whichever kind they are.
    entries = {
        stream: [entry for kind in SERIES for entry in entries_of(metadata, kind)]
        for stream, metadata in local.items()
    }
    for _ in _renamed(entries):
        pass


def _separate_segmentations(local: Mapping[str, DeepDict]) -> None:
    entries = {stream: entries_of(metadata, SEGMENTATIONS) for stream, metadata in local.items()}
    for stream, old, new in _renamed(entries):
        for container in BY_PLANE:
            by_plane = local[stream]["Ophys"].get(container)
            if isinstance(by_plane, dict) and old in by_plane:
                by_plane[new] = by_plane.pop(old)


def _separate_members(local: Mapping[str, DeepDict], container: str) -> None:
    """Keep the traces or images of several streams apart within the container they share."""
    members = {
        stream: [
            member
            for plane in ((metadata.get("Ophys") or {}).get(container) or {}).values()
            if isinstance(plane, Mapping)
            for member in plane.values()
        ]
        for stream, metadata in local.items()
    }
    for _ in _renamed(members):
        pass


# --- the union ----------------------------------------------------------------------------------


def _union(local: Mapping[str, DeepDict]) -> Composition:
    merged = DeepDict()
    claims: dict[str, dict[str, list[int]]] = {}
    lists: dict[str, list[Any]] = {category: [] for category in _OWNED}
    for stream, metadata in local.items():
        claims[stream] = {}
        for category, known in lists.items():
            own = entries_of(metadata, category)
            claims[stream][category] = list(range(len(known), len(known) + len(own)))
            known.extend(own)
        _fill(merged, metadata)
    for category, entries in lists.items():
        if entries:
            set_entries(merged, category, entries)
    merged["NWBFile"] = _session(
        {stream: metadata.get("NWBFile") or {} for stream, metadata in local.items()}
    )
    return Composition(merged, claims)


def _fill(target: DeepDict, source: Mapping[str, Any]) -> None:
    """Add what the target lacks: the first stream that states a value wins; lists are united."""
    for key, value in source.items():
        if key not in target:
            target[key] = value
        elif isinstance(value, Mapping) and isinstance(target[key], DeepDict):
            _fill(target[key], value)
        elif isinstance(value, list) and isinstance(target[key], list):
            target[key] += [item for item in value if not any(same(item, t) for t in target[key])]


def _session(stated: Mapping[str, Mapping[str, Any]]) -> DeepDict:
    session = DeepDict()
    for one in stated.values():
        _fill(session, {k: v for k, v in one.items() if v not in ("", "no description")})
    for one in stated.values():
        _fill(session, one)
    starts = {
        stream: (_moment(one["session_start_time"], stream), one["session_start_time"])
        for stream, one in stated.items()
        if one.get("session_start_time")
    }
    if len({moment for moment, _ in starts.values()}) > 1:
        shown = ", ".join(f"{value} ('{stream}')" for stream, (_, value) in starts.items())
        warnings.warn(
            f"The streams state different session starts: {shown}. The earliest is written, and "
            "the times of each stream stay as its own source counts them; align them in "
            "temporally_align(), or give NWBFile.session_start_time.",
            UserWarning,
            stacklevel=4,
        )
        session["session_start_time"] = min(starts.values(), key=lambda start: start[0])[1]
    return session


def _moment(value: Any, stream: str) -> datetime.datetime:
    """Return a start with its time zone, which is that of this computer where none is given."""
    path = f'metadata["NWBFile"]["session_start_time"] of stream \'{stream}\''
    return parse_moment(value, path).astimezone()
