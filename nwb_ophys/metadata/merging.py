"""Rules by which metadata is merged: the user's with the defaults, and the source's with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.datetimes import without_unset_clocks
from nwb_ophys.metadata.deepdict import DeepDict, FullMetadata
from nwb_ophys.metadata.defaults import default_entry
from nwb_ophys.metadata.dictionary_form import has_dictionary_form
from nwb_ophys.metadata.unused import warn_of_unused


def fill_metadata(
    defaults: Mapping[Any, Any], given: Mapping[Any, Any] | None, owner: Any
) -> FullMetadata:
    """Fill the user's metadata with what the files and the defaults state.

    Parameters
    ----------
    defaults, given : Mapping
        See :func:`merge_metadata`.
    owner : object
        See :class:`FullMetadata`.

    Raises
    ------
    MetadataError
        When the user's metadata is not a dictionary.
    """
    if given is not None and not isinstance(given, Mapping):
        raise MetadataError(f"metadata is {given!r}; it must be a dictionary.")
    full = FullMetadata(merge_metadata(defaults, given))
    full.owner = owner
    full.keep_origin(defaults, given)
    if given:
        warn_of_unused(full, defaults)
    return full


def merge_metadata(defaults: Mapping[Any, Any], given: Mapping[Any, Any] | None) -> DeepDict:
    """Fill the caller's metadata with defaults, without changing either.

    Parameters
    ----------
    defaults : Mapping
        Values for keys that the caller does not state.
    given : Mapping or None
        The caller's metadata: its values win, recursively; a list replaces a list whole. A value of
        None is the default, also within the entries of a list: the value of the default entry with
        the same name, or else at the same place, or else the mark of an unknown value.

    Returns
    -------
    DeepDict
        A new object.
    """
    return DeepDict(defaults if given is None else _filled(defaults, given))


def merge_lists(defaults: Mapping[Any, Any], given: Mapping[Any, Any] | None) -> DeepDict:
    """Fill metadata in the list form with defaults; see :func:`merge_metadata`.

    Raises
    ------
    MetadataError
        When the metadata has the dictionary form, which only recordings can read.
    """
    if has_dictionary_form(given):
        raise MetadataError(
            "This function reads metadata in the list form, not in the dictionary form of "
            "neuroconv (Devices, ImagingPlanes, ...). An interface reads both: "
            "interface.full_metadata(metadata) returns the list form."
        )
    return merge_metadata(defaults, given)


def _filled(default: Any, given: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a dictionary completed with defaults."""
    result = dict(default) if isinstance(default, Mapping) else {}
    for key, value in given.items():
        if isinstance(value, Mapping):
            result[key] = _filled(result.get(key), value)
        elif isinstance(value, (list, tuple)):
            result[key] = _entries(result.get(key), value, key)
        elif value is not None:
            result[key] = value
    return result


def _entries(default: Any, given: Sequence[Any], key: Any) -> Any:
    """Return a list in which defaults replace the values of None."""
    known = list(default) if isinstance(default, (list, tuple)) else []
    found = []
    for index, entry in enumerate(given):
        if isinstance(entry, Mapping):
            found.append(_restored(entry, _partner(known, given, index), default_entry(key)))
        elif isinstance(entry, (list, tuple)):
            found.append(_entries(known[index] if index < len(known) else None, entry, key))
        elif entry is None and index < len(known):
            found.append(known[index])
        else:
            found.append(entry)
    return tuple(found) if isinstance(given, tuple) else found


def _partner(known: Sequence[Any], given: Sequence[Any], index: int) -> Mapping[Any, Any]:
    """Return the default entry that an entry replaces; empty where there is none."""
    name = _name_of(given[index])
    same = [entry for entry in known if name is not None and _name_of(entry) == name]
    if same:
        return same[0]
    at_place = known[index] if index < len(known) else None
    is_free = _name_of(at_place) not in [_name_of(entry) for entry in given]
    return at_place if is_free and isinstance(at_place, Mapping) else {}


def _name_of(entry: Any) -> str | None:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return name if isinstance(name, str) else None


def _restored(
    entry: Mapping[Any, Any], partner: Mapping[Any, Any], unknown: Mapping[Any, Any]
) -> dict[Any, Any]:
    """Return an entry of a list in which defaults replace the values of None."""
    found: dict[Any, Any] = {}
    for key, value in entry.items():
        if value is None:
            value = partner.get(key, unknown.get(key))
        elif isinstance(value, Mapping):
            inner = partner.get(key)
            value = _restored(value, inner if isinstance(inner, Mapping) else {}, {})
        elif isinstance(value, (list, tuple)):
            value = _entries(partner.get(key), value, key)
        if value is not None:
            found[key] = value
    return found


def merge_description(defaults: Mapping[Any, Any], stated: Mapping[Any, Any]) -> DeepDict:
    """Update defaults with the values that a source states, merging lists entry by entry.

    Parameters
    ----------
    defaults : Mapping
        Metadata with one entry per device, plane, series, …
    stated : Mapping
        The same shape, with only the keys that the source states; None counts as not stated, and
        so does the start of a clock that was not set.

    Returns
    -------
    DeepDict
        A new object.
    """
    return _merged(defaults, without_none(without_unset_clocks(stated)))


def _merged(defaults: Mapping[Any, Any], stated: Mapping[Any, Any]) -> DeepDict:
    merged = DeepDict(defaults)
    for key, value in stated.items():
        merged[key] = _described(merged.get(key), value)
    return merged


def _described(default: Any, stated: Any) -> Any:
    if isinstance(default, Mapping) and isinstance(stated, Mapping):
        return _merged(default, stated)
    entries = isinstance(default, list) and isinstance(stated, list)
    if entries and len(default) == len(stated) and all(isinstance(e, Mapping) for e in stated):
        return [_merged(old, new) for old, new in zip(default, stated, strict=True)]
    return stated


def without_none(value: Any) -> Any:
    """Return a value without the keys, at every depth, that are not stated: their value is None."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    if type(value) is tuple:
        return tuple(without_none(item) for item in value)
    return value
