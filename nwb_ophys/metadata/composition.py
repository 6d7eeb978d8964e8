"""Composition of the metadata of several streams, and the view of each stream on the result.

Streams that describe the same device or plane share it; other entries with the same name get names
made from the stream's name. Nothing is dropped.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.datetimes import in_own_zone, parse_datetime
from nwb_ophys.metadata.deepdict import DeepDict, FullMetadata
from nwb_ophys.metadata.links import (
    BY_PLANE,
    SEGMENTATIONS,
    SERIES,
    described,
    entries_of,
    path_of,
    set_entries,
)
from nwb_ophys.metadata.naming import distinct_suffixes, unused_name
from nwb_ophys.metadata.plane_links import plane_of, set_planes_apart, unite_with_movies
from nwb_ophys.metadata.sharing import same, share_devices_and_planes

# The lists whose entries each belong to one stream.
_OWNED = (*SERIES, SEGMENTATIONS)


@attrs.frozen
class Composition:
    """The metadata of several streams in one, with the owner of each entry.

    Attributes
    ----------
    metadata : DeepDict
        The metadata of all streams, to be edited and written.
    claims : Mapping of str to Mapping of str to list of int
        For each stream the indices of its own entries in the lists of series and segmentations.
    delays : Mapping of str to float
        Seconds from the earliest stated start to the start of each stream that states one; empty
        when the starts cannot be compared.
    kinds : Mapping of str to type
        The class of the dictionary in which each stream states its metadata.
    """

    metadata: DeepDict
    claims: Mapping[str, Mapping[str, list[int]]]
    delays: Mapping[str, float] = attrs.field(factory=dict)
    kinds: Mapping[str, type] = attrs.field(factory=dict)

    def as_stated(self, metadata: Mapping[str, Any], stream: str) -> Any:
        """Return metadata as plain dictionaries, or in a stream's own class of dictionaries.

        Interfaces of neuroconv rely on theirs, in which an absent key is an empty dictionary.
        """
        plain, kind = DeepDict(metadata).to_dict(), self.kinds.get(stream, dict)
        return kind(plain) if issubclass(kind, dict) else plain

    def project(
        self, metadata: Mapping[str, Any], stream: str, interface: Any = None
    ) -> FullMetadata:
        """Return one stream's view: its own series and segmentations, in its own order.

        Parameters
        ----------
        metadata : Mapping
            The composed metadata, edited or not. A list that no stream claims is left to all.
        stream : str
            Name of the stream.
        interface : object, optional
            The interface of the stream, to which the view belongs.

        Raises
        ------
        MetadataError
            When entries were removed from a list or added to it, so that their owners are no
            longer known.
        """
        view = FullMetadata(metadata)
        view.owner = interface
        view.joins = getattr(metadata, "joins", None)
        links: frozenset[tuple[str, int]] = getattr(metadata, "links", frozenset())
        view.links = frozenset(
            (category, own)
            for category, claimed in self.claims[stream].items()
            for own, index in enumerate(claimed)
            if (category, index) in links
        )
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

    def plane_of(self, stream: str) -> str | None:
        """Return the plane to which a stream links before the user's choice."""
        return plane_of(self.project(self.metadata, stream))


def compose_metadata(
    streams: Mapping[str, Mapping[str, Any]], movies: Mapping[str, str | None] | None = None
) -> Composition:
    """Combine the metadata of several streams.

    Parameters
    ----------
    streams : Mapping of str to Mapping
        The metadata of each stream by its name; not changed.
    movies : Mapping of str to str or None, optional
        Streams made from a movie, each with the stream of that movie, whose plane it shares. With
        None the stream has a plane of its own. The other streams share planes by their facts.

    Returns
    -------
    Composition
    """
    local = {name: DeepDict(metadata) for name, metadata in streams.items()}
    set_planes_apart(local, movies or {})
    share_devices_and_planes(local)
    unite_with_movies(local, movies or {})
    _separate_series(local)
    _separate_segmentations(local)
    for container in BY_PLANE:
        _separate_members(local, container)
    kinds = {name: type(metadata) for name, metadata in streams.items()}
    return attrs.evolve(_union(local), kinds=kinds)


# --- series, segmentations, traces, images: each belongs to one stream --------------------------


def _renamed(entries: Mapping[str, list[Any]]) -> Iterator[tuple[str, str, str]]:
    """Rename the entries whose names several streams use: yield stream, old and new name."""
    users: dict[str, dict[str, None]] = {}
    for stream, own in entries.items():
        for entry in described(own):
            users.setdefault(entry["name"], {})[stream] = None
    taken = set(users)
    suffixes = {name: distinct_suffixes(list(own), name) for name, own in users.items()}
    for stream, own in entries.items():
        for entry in described(own):
            old = entry["name"]
            if len(users[old]) > 1:
                entry["name"] = unused_name(old, suffixes[old][stream], taken)
                yield stream, old, entry["name"]


def _separate_series(local: Mapping[str, DeepDict]) -> None:
    # All of them share the groups of the file, and so their names.
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
    _warn_of_animals(local)
    stated = {stream: metadata.get("NWBFile") or {} for stream, metadata in local.items()}
    merged["NWBFile"], delays = _session(stated)
    return Composition(merged, claims, delays)


def _fill(target: DeepDict, source: Mapping[str, Any]) -> None:
    """Add values that the target lacks: the first stated value wins, and lists are joined."""
    for key, value in source.items():
        if key not in target:
            target[key] = value
        elif isinstance(value, Mapping) and isinstance(target[key], DeepDict):
            _fill(target[key], value)
        elif isinstance(value, list) and isinstance(target[key], list):
            target[key] += [item for item in value if not any(same(item, t) for t in target[key])]


def _warn_of_animals(local: Mapping[str, DeepDict]) -> None:
    animals = {stream: metadata.get("Subject") or {} for stream, metadata in local.items()}
    names = {stream: one["subject_id"] for stream, one in animals.items() if one.get("subject_id")}
    if len(set(names.values())) > 1:
        shown = ", ".join(f"'{name}' ('{stream}')" for stream, name in names.items())
        warnings.warn(
            f"The streams state different animals: {shown}. A file describes one animal; the first "
            "is written. Convert the streams of each animal separately.",
            UserWarning,
            stacklevel=4,
        )


def _session(stated: Mapping[str, Mapping[str, Any]]) -> tuple[DeepDict, dict[str, float]]:
    """Return the combined session fields, and the delay of each stream after the session start."""
    session = DeepDict()
    for one in stated.values():
        _fill(session, {k: v for k, v in one.items() if v not in ("", "no description")})
    for one in stated.values():
        _fill(session, one)
    values = {
        s: one["session_start_time"] for s, one in stated.items() if one.get("session_start_time")
    }
    starts = {stream: _start(value, stream) for stream, value in values.items()}
    if len({in_own_zone(start) for start in starts.values()}) < 2:
        return session, dict.fromkeys(starts, 0.0)
    first = min(starts, key=lambda stream: in_own_zone(starts[stream]))
    session["session_start_time"] = values[first]
    # A start without a zone may be hours from one with a zone.
    has_zone = {start.tzinfo is not None for start in starts.values()}
    is_counted = len(has_zone) == 1 and "timestamps_reference_time" not in session
    shown = ", ".join(f"{value} ('{stream}')" for stream, value in values.items())
    others = ", ".join(f"'{stream}'" for stream in stated if stream not in starts)
    warnings.warn(
        f"The streams state different session starts: {shown}. Unless the metadata gives another, "
        "the earliest is written. The "
        + (_COUNTED if is_counted else _NOT_COUNTED)
        + (
            f" The times of {others}, without a start, stay as the source counts them."
            * bool(others)
        ),
        UserWarning,
        stacklevel=4,
    )
    if not is_counted:
        return session, {}
    earliest = starts[first]
    return session, {s: (start - earliest).total_seconds() for s, start in starts.items()}


_COUNTED = (
    "times of each count from it, unless temporally_align() or set_aligned_*() say otherwise."
)
_NOT_COUNTED = (
    "times of each stay as its own source counts them, since not all have a time zone, or some "
    "count from a timestamps_reference_time; align them in temporally_align()."
)


def _start(value: Any, stream: str) -> datetime.datetime:
    path = f'metadata["NWBFile"]["session_start_time"] of stream \'{stream}\''
    return parse_datetime(value, path)
