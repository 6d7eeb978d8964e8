"""Division of metadata in the dictionary form among our streams and those of other packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.dictionary_form import (
    DEVICES,
    IMAGES,
    LINKS,
    MODELS,
    MOVIES,
    PHOTON_SERIES,
    PLANES,
    TABLES,
    TOP_KEYS,
    TRACES,
    path_of_key,
)
from nwb_ophys.metadata.links import SEGMENTATIONS, entries_of

LISTS: Mapping[str, tuple[str, ...]] = {
    DEVICES: ("Device",),
    PLANES: ("ImagingPlane",),
    MOVIES: PHOTON_SERIES,
    TABLES: (SEGMENTATIONS,),
}
"""Lists that describe the same as a dictionary."""


_LINKING = ((PLANES, (MOVIES, TABLES)), (DEVICES, (PLANES,)), (MODELS, (DEVICES,)))
"""Categories, each with those that link to it."""


@attrs.frozen(kw_only=True)
class Division:
    """Entries by category and key.

    Attributes
    ----------
    own : Mapping of str to dict
        Entries of our streams.
    others : Mapping of str to dict
        Entries that streams of other packages read; a plane that both link to is in both.
    """

    own: Mapping[str, dict[str, Any]]
    others: Mapping[str, dict[str, Any]]

    def as_metadata(self) -> dict[str, Any]:
        """Return our entries in the places that they have in metadata."""
        top = {key: self.own[key] for key in TOP_KEYS}
        return top | {"Ophys": {k: own for k, own in self.own.items() if k not in TOP_KEYS}}


def divide(
    metadata: Mapping[str, Any], stated: Mapping[str, Any], *, among_others: bool
) -> Division:
    """Divide the entries of dictionaries; see :func:`nwb_ophys.metadata.to_lists`.

    Raises
    ------
    MetadataError
        Where no entry among those of other packages can be ours.
    """
    given = {key: entries_by_key(metadata, key) for key in (*LISTS, MODELS, TRACES, IMAGES)}
    theirs = {key: entries_by_key(stated, key) for key in given}
    own: dict[str, dict[str, Any]] = {}
    for category in (MOVIES, TABLES):
        names = names_in_lists(stated, category)
        own[category] = {
            key: entry
            for key, entry in given[category].items()
            if key not in theirs[category] and (not among_others or key in names)
        }
        if among_others and names and not own[category]:
            _check_is_described(metadata, category, given[category], names)
    _divide_members(own, given, theirs, stated, among_others=among_others)
    for category, linking in _LINKING:
        ours = links_to(category, {each: own[each] for each in linking})
        others = {each: _without(given[each], own[each]) for each in linking}
        known = names_in_lists(stated, category) if category in LISTS else []
        free = given[category].keys() - theirs[category].keys() - links_to(category, others)
        if among_others:
            free &= set(known)
        own[category] = {
            key: _joined(theirs[category].get(key), given[category].get(key))
            for key in (*theirs[category], *_without(given[category], theirs[category]))
            if key in ours | free
        }
    # Among others, the streams of other packages are those of the metadata without the user's.
    read = {
        each: {k: v for k, v in given[each].items() if not among_others or k in theirs[each]}
        for each in given
    }
    return Division(own=own, others=_others(read, given, own, theirs))


def _joined(stated: Any, given: Any) -> Any:
    """Return an entry of another stream, updated with the user's; the check sees wrong values."""
    if isinstance(stated, Mapping) and isinstance(given, Mapping):
        return {**stated, **given}
    return stated if given is None else given


def _divide_members(
    own: dict[str, Any], given: Any, theirs: Any, stated: Mapping[str, Any], *, among_others: bool
) -> None:
    """Add the traces and images of our tables; the images of others lie beside ours."""
    known = {*own[TABLES], *names_in_lists(stated, TABLES)}
    is_theirs = {*theirs[TRACES], *theirs[TABLES], *_without(given[TABLES], own[TABLES])}
    own[TRACES] = {
        key: each
        for key, each in given[TRACES].items()
        if key in known or (key not in is_theirs and not among_others)
    }
    own[IMAGES] = {key: each for key, each in given[IMAGES].items() if key in known}


def _others(read: Any, given: Any, own: Any, theirs: Any) -> dict[str, dict[str, Any]]:
    """Return the entries that are not ours, and those to which these link."""
    others = {each: _without(read[each], own[each]) for each in read if each != IMAGES}
    for category, linking in _LINKING:
        linked = links_to(category, {each: others[each] for each in linking})
        both = linked | theirs[category].keys()
        others[category] |= {k: each for k, each in given[category].items() if k in both}
    return others


def _check_is_described(
    metadata: Mapping[str, Any], category: str, given: Mapping[str, Any], names: list[str]
) -> None:
    if given and not any(entries_of(metadata, name) for name in LISTS[category]):
        keys, wanted = (", ".join(map(repr, each)) for each in (given, names))
        raise MetadataError(
            f"{path_of_key(category)} has the keys {keys}; they may belong to other interfaces. "
            f"Give its entry the key {wanted}."
        )


def entries_by_key(metadata: Mapping[str, Any], category: str) -> dict[str, Any]:
    """Return the entries of a dictionary of metadata; of none, an empty one."""
    parent = metadata if category in TOP_KEYS else metadata.get("Ophys")
    found = parent.get(category) if isinstance(parent, Mapping) else None
    entries = found if isinstance(found, Mapping) else {}
    # Beside the images of tables, the list form has the name of the container here.
    return {
        key: _without_defaults(entry)
        for key, entry in entries.items()
        if entry is not None and (category != IMAGES or isinstance(entry, Mapping))
    }


def _without_defaults(entry: Any) -> Any:
    """Return an entry without the keys whose value is None, which means the default.

    Within lists, such as those of optical channels, None stays for the merge with the defaults.
    """
    if not isinstance(entry, Mapping):
        return entry
    return {key: _without_defaults(value) for key, value in entry.items() if value is not None}


def names_in_lists(metadata: Mapping[str, Any], category: str) -> list[str]:
    """Return the names of the entries of lists that describe the same as a dictionary."""
    return [_name_of(entry) for name in LISTS[category] for entry in entries_of(metadata, name)]


def links_to(category: str, entries: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the keys of a category to which entries of other categories link."""
    return {
        entry[LINKS[linking].key]
        for linking, each in entries.items()
        for entry in each.values()
        if isinstance(entry, Mapping) and isinstance(entry.get(LINKS[linking].key), str)
    }


def _name_of(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, Mapping) else getattr(entry, "name", None)


def _without(entries: Mapping[str, Any], others: Iterable[str]) -> dict[str, Any]:
    return {key: entry for key, entry in entries.items() if key not in others}
