"""Devices and imaging planes that several streams share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.defaults import get_default_ophys_metadata
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, described, entries_of, set_entries
from nwb_ophys.metadata.naming import distinct_suffixes, unused_name

# The name of an entry and its link to a device do not describe it.
_NOT_DESCRIBING = ("name", "device")


def same(first: Any, second: Any) -> bool:
    """Return whether two values are equal; NaN equals NaN, and arrays compare by their elements."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second or (first != first and second != second))


def is_described(entry: Mapping[str, Any], default: Mapping[str, Any]) -> bool:
    """Return whether an entry states more than its name, its link and the defaults."""
    return any(_states(entry, key, default) for key in entry if key not in _NOT_DESCRIBING)


def compatible(
    first: Mapping[str, Any], second: Mapping[str, Any], default: Mapping[str, Any]
) -> bool:
    """Return whether all values that both entries state are equal."""
    return all(
        same(first.get(key), second.get(key))
        for key in {*first, *second}
        if _states(first, key, default) and _states(second, key, default)
    )


def united(
    first: Mapping[str, Any], second: Mapping[str, Any], default: Mapping[str, Any]
) -> dict[str, Any]:
    """Return one entry with the values that either of two compatible entries states."""
    result = dict(first)
    for key, value in second.items():
        if not _states(result, key, default):
            result[key] = value
    return result


def _states(entry: Mapping[str, Any], key: str, default: Mapping[str, Any]) -> bool:
    value = entry.get(key)
    return value is not None and not (key in default and same(value, default[key]))


# The key and the lists that link to a device or a plane.
_LINKS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Device": ("device", ("ImagingPlane",)),
    "ImagingPlane": ("imaging_plane", (*SERIES, SEGMENTATIONS)),
}


@attrs.define
class _Group:
    """Entries of one name, from several streams, that describe the same object."""

    entry: dict[str, Any]
    streams: list[str]
    has_series: bool


def share_devices_and_planes(local: Mapping[str, DeepDict]) -> None:
    """Unite devices and planes that are the same, and rename the others.

    Parameters
    ----------
    local : Mapping of str to DeepDict
        The metadata of each stream by its name; changed. Links between entries are updated.
    """
    for category in ("Device", "ImagingPlane"):
        _share(category, local)
    drop_unused_default_device(local)


def _share(category: str, local: Mapping[str, DeepDict]) -> None:
    groups = _groups(category, local)
    taken = {entry["name"] for m in local.values() for entry in described(entries_of(m, category))}
    renamed: dict[str, dict[str, dict[str, Any]]] = {stream: {} for stream in local}
    for name, named in groups.items():
        suffixes = distinct_suffixes([group.streams[0] for group in named], name)
        for group in named:
            new = name
            if len(named) > 1:
                new = unused_name(name, suffixes[group.streams[0]], taken)
            for stream in group.streams:
                renamed[stream][name] = {**group.entry, "name": new}
    for stream, entries in renamed.items():
        _rename(local[stream], category, entries)


def _groups(category: str, local: Mapping[str, DeepDict]) -> dict[str, list[_Group]]:
    """Sort the entries of all streams into groups, by the name they have."""
    groups: dict[str, list[_Group]] = {}
    # Movies come first, so that segmentations can join the plane of the one movie.
    for stream in sorted(local, key=lambda name: not _has_series(local[name])):
        for entry in described(entries_of(local[stream], category)):
            named = groups.setdefault(entry["name"], [])
            has_series = _has_series(local[stream])
            group = _group_of(category, named, entry, has_series)
            if group is None:
                named.append(_Group(dict(entry), [stream], has_series))
            else:
                group.entry = united(group.entry, entry, _default(category))
                group.streams.append(stream)
    return groups


def _has_series(metadata: Mapping[str, Any]) -> bool:
    return any(entries_of(metadata, kind) for kind in SERIES)


def _default(category: str) -> Mapping[str, Any]:
    return get_default_ophys_metadata()["Ophys"][category][0]  # type: ignore[no-any-return]


def _group_of(
    category: str, named: list[_Group], entry: Mapping[str, Any], has_series: bool
) -> _Group | None:
    """Return the group of the same name that an entry belongs to."""
    default = _default(category)
    if category == "Device":
        return next((g for g in named if compatible(g.entry, entry, default)), None)
    movies = [group for group in named if group.has_series]
    if not has_series and len(movies) == 1 and compatible(movies[0].entry, entry, default):
        return movies[0]
    # Two planes without any description may differ; two with the same description are one.
    if not is_described(entry, default):
        return None
    return next((group for group in named if same(group.entry, dict(entry))), None)


def _rename(metadata: DeepDict, category: str, new: Mapping[str, Mapping[str, Any]]) -> None:
    """Replace entries by their old names, and update the links to them."""
    if not new:
        return
    entries = entries_of(metadata, category)
    exchanged = [new[entry["name"]] if described([entry]) else entry for entry in entries]
    set_entries(metadata, category, exchanged)
    key, categories = _LINKS[category]
    for linking in categories:
        for entry in described(entries_of(metadata, linking)):
            if entry.get(key) in new:
                entry[key] = new[entry[key]]["name"]


def drop_unused_default_device(local: Mapping[str, DeepDict]) -> None:
    """Remove the default device when every plane belongs to another one."""
    planes = [p for m in local.values() for p in described(entries_of(m, "ImagingPlane"))]
    default = _default("Device")
    if not planes or any(plane.get("device") == default["name"] for plane in planes):
        return
    for metadata in local.values():
        entries = entries_of(metadata, "Device")
        kept = [e for e in entries if not (isinstance(e, Mapping) and same(e, default))]
        if kept != entries:
            metadata["Ophys"]["Device"] = kept
