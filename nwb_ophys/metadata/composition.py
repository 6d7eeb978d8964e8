"""How the metadata of several streams become one, and each stream's own view of it again.

Streams that describe the same device or plane share it; whatever else collides is kept apart by
names made from the stream's name. Nothing is dropped.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.defaults import get_default_ophys_metadata
from nwb_ophys.metadata.naming import camel_case
from nwb_ophys.metadata.similarity import compatible, is_described, same, united

_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
_BY_PLANE = ("Fluorescence", "DfOverF", "SegmentationImages")


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
            The composed metadata, edited or not.
        stream : str
            Name of the stream.

        Raises
        ------
        MetadataError
            When an entry of the stream has been taken out of a list.
        """
        view = DeepDict(metadata)
        for category, indices in self.claims[stream].items():
            if not indices:
                view["Ophys"].pop(category, None)
                continue
            entries = _entries(view, category)
            if max(indices) >= len(entries):
                raise MetadataError(
                    f"{_path(category)} has {len(entries)} entries, but the entry of stream "
                    f"'{stream}' is number {max(indices)}; keep one entry per stream, in the order "
                    "of get_metadata()."
                )
            _set_entries(view, category, [entries[index] for index in indices])
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
    _share("Device", local, _may_share_device, _relink_device)
    _share("ImagingPlane", local, _may_share_plane, _relink_plane)
    _separate_series(local)
    _separate_segmentations(local)
    for container in _BY_PLANE:
        _separate_members(local, container)
    return _union(local)


def _entries(metadata: Mapping[str, Any], category: str) -> list[Any]:
    ophys = metadata.get("Ophys") or {}
    if category == "plane_segmentations":
        ophys = ophys.get("ImageSegmentation") or {}
    entries = ophys.get(category)
    return entries if isinstance(entries, list) else []


def _set_entries(metadata: DeepDict, category: str, entries: list[Any]) -> None:
    parent = metadata["Ophys"]
    (parent["ImageSegmentation"] if category == "plane_segmentations" else parent)[category] = (
        entries
    )


def _path(category: str) -> str:
    inner = '["ImageSegmentation"]' if category == "plane_segmentations" else ""
    return f'metadata["Ophys"]{inner}["{category}"]'


# --- devices and planes: shared where they are the same -----------------------------------------


@attrs.define
class _Group:
    """Entries of one name, from several streams, that are one and the same."""

    entry: dict[str, Any]
    streams: list[str]
    has_series: bool


def _share(
    category: str,
    local: dict[str, DeepDict],
    may_share: Callable[[_Group, Mapping[str, Any], bool, list[_Group]], bool],
    relink: Callable[[DeepDict, str, str], None],
) -> None:
    groups: dict[str, list[_Group]] = {}
    # Movies come first, so that segmentations can join the plane of the one movie.
    for stream in sorted(local, key=lambda name: not _has_series(local[name])):
        for entry in _entries(local[stream], category):
            if not isinstance(entry, Mapping) or "name" not in entry:
                continue
            named = groups.setdefault(entry["name"], [])
            with_series = _has_series(local[stream])
            group = next((g for g in named if may_share(g, entry, with_series, named)), None)
            if group is None:
                named.append(_Group(dict(entry), [stream], with_series))
            else:
                group.entry = united(group.entry, entry, _default(category))
                group.streams.append(stream)
    for name, named in groups.items():
        for group in named:
            new_name = name if len(named) == 1 else name + camel_case(group.streams[0])
            for stream in group.streams:
                _replace(local[stream], category, name, {**group.entry, "name": new_name})
                relink(local[stream], name, new_name)


def _has_series(metadata: Mapping[str, Any]) -> bool:
    return any(_entries(metadata, kind) for kind in _SERIES)


def _default(category: str) -> Mapping[str, Any]:
    return get_default_ophys_metadata()["Ophys"][category][0]  # type: ignore[no-any-return]


def _replace(metadata: DeepDict, category: str, name: str, entry: dict[str, Any]) -> None:
    entries = [
        entry if isinstance(old, Mapping) and old.get("name") == name else old
        for old in _entries(metadata, category)
    ]
    _set_entries(metadata, category, entries)


def _may_share_device(
    group: _Group, entry: Mapping[str, Any], has_series: bool, named: list[_Group]
) -> bool:
    return compatible(group.entry, entry, _default("Device"))


def _may_share_plane(
    group: _Group, entry: Mapping[str, Any], has_series: bool, named: list[_Group]
) -> bool:
    default = _default("ImagingPlane")
    if not has_series:
        movies = [candidate for candidate in named if candidate.has_series]
        if len(movies) == 1 and group is movies[0]:
            return compatible(group.entry, entry, default)
    # Two planes of which nothing is known need not be one; two that say the same are.
    return is_described(entry, default) and same(group.entry, dict(entry))


def _relink_device(metadata: DeepDict, old: str, new: str) -> None:
    for plane in _entries(metadata, "ImagingPlane"):
        if plane.get("device") == old:
            plane["device"] = new


def _relink_plane(metadata: DeepDict, old: str, new: str) -> None:
    for category in (*_SERIES, "plane_segmentations"):
        for entry in _entries(metadata, category):
            if entry.get("imaging_plane") == old:
                entry["imaging_plane"] = new


# --- series, segmentations, traces, images: always of one stream --------------------------------


def _colliding(names: Mapping[str, list[str]]) -> set[str]:
    """Return the names that more than one stream uses."""
    users: dict[str, set[str]] = {}
    for stream, used in names.items():
        for name in used:
            users.setdefault(name, set()).add(stream)
    return {name for name, streams in users.items() if len(streams) > 1}


def _separate_series(local: dict[str, DeepDict]) -> None:
    entries = {
        stream: [entry for kind in _SERIES for entry in _entries(metadata, kind)]
        for stream, metadata in local.items()
    }
    collisions = _colliding({s: [e.get("name", "") for e in own] for s, own in entries.items()})
    for stream, own in entries.items():
        for entry in own:
            if entry.get("name") in collisions:
                entry["name"] += camel_case(stream)


def _separate_segmentations(local: dict[str, DeepDict]) -> None:
    entries = {s: _entries(metadata, "plane_segmentations") for s, metadata in local.items()}
    collisions = _colliding({s: [e.get("name", "") for e in own] for s, own in entries.items()})
    for stream, own in entries.items():
        for entry in own:
            name = entry.get("name")
            if name not in collisions:
                continue
            entry["name"] = name + camel_case(stream)
            for container in _BY_PLANE:
                by_plane = local[stream]["Ophys"].get(container, {})
                if name in by_plane:
                    by_plane[entry["name"]] = by_plane.pop(name)


def _separate_members(local: dict[str, DeepDict], container: str) -> None:
    """Keep the traces or images of several streams apart within the container they share."""
    members = {
        stream: [
            member
            for key, plane in metadata["Ophys"].get(container, {}).items()
            if key not in ("name", "description") and isinstance(plane, Mapping)
            for member in plane.values()
            if isinstance(member, dict)
        ]
        for stream, metadata in local.items()
        if isinstance(metadata.get("Ophys"), Mapping)
    }
    collisions = _colliding({s: [m.get("name", "") for m in own] for s, own in members.items()})
    for stream, own in members.items():
        for member in own:
            if member.get("name") in collisions:
                member["name"] += camel_case(stream)


# --- the union ----------------------------------------------------------------------------------


def _union(local: dict[str, DeepDict]) -> Composition:
    merged = DeepDict()
    claims: dict[str, dict[str, list[int]]] = {}
    lists: dict[str, list[Any]] = {}
    for stream, metadata in local.items():
        claims[stream] = {}
        for category in (*_SERIES, "plane_segmentations"):
            own = _entries(metadata, category)
            known = lists.setdefault(category, [])
            claims[stream][category] = list(range(len(known), len(known) + len(own)))
            known.extend(own)
        _fill(merged, metadata)
    for category, entries in lists.items():
        if entries:
            _set_entries(merged, category, entries)
    merged["NWBFile"] = _session([metadata.get("NWBFile") or {} for metadata in local.values()])
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


def _session(stated: list[Mapping[str, Any]]) -> DeepDict:
    session = DeepDict()
    for one in stated:
        known = {k: v for k, v in one.items() if v != "no description"}
        _fill(session, known)
    for one in stated:
        _fill(session, one)
    starts = {one["session_start_time"] for one in stated if one.get("session_start_time")}
    if len(starts) > 1:
        warnings.warn(
            "The streams state different session starts: "
            f"{', '.join(sorted(map(str, starts)))}. The earliest is written, and the times of "
            "each stream stay as its own source counts them; align them in temporally_align(), or "
            "give NWBFile.session_start_time.",
            UserWarning,
            stacklevel=4,
        )
        session["session_start_time"] = min(starts, key=_sortable)
    return session


def _sortable(moment: Any) -> str:
    return moment.isoformat() if isinstance(moment, datetime.date) else str(moment)
