"""Metadata in the list form, written in the dictionary form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.deepdict import DeepDict
from nwb_ophys.metadata.defaults import image_container_entry
from nwb_ophys.metadata.dictionary_form import (
    CONTAINER_OF_DFF,
    DEVICES,
    IMAGES,
    LINKS,
    MODEL_KEY,
    MODELS,
    OPHYS_KEYS,
    PHOTON_SERIES,
    TABLES,
    TOP_KEYS,
    TRACES,
)
from nwb_ophys.metadata.dictionary_owners import LISTS
from nwb_ophys.metadata.links import SEGMENTATIONS, entries_of

_CONTAINERS = ("ImageSegmentation", "Fluorescence", CONTAINER_OF_DFF, IMAGES)


def to_dictionaries(metadata: Mapping[str, Any], stated: Mapping[str, Any]) -> DeepDict:
    """Return complete metadata in the dictionary form.

    The dictionary form has no place for line scans, single images and names of containers. The
    first two stay lists, and so do names of containers that differ from those that NeuroConv gives.

    Parameters
    ----------
    metadata : Mapping
        Complete metadata in the list form; not changed.
    stated : Mapping
        The metadata without the user's, whose names become the keys.

    Raises
    ------
    MetadataError
        Where a link names nothing, or a device is an object.
    """
    result = DeepDict(metadata)
    ophys = result["Ophys"]
    keys = {category: _keys(category, metadata, stated, result) for category in LISTS}
    for category in LISTS:
        entries = _entries(category, metadata)
        parent = result if category == DEVICES else ophys
        for key, entry in zip(keys[category].values(), entries, strict=True):
            parent[category][key] = _linked(category, entry, keys)
    _name_models(result)
    for name in ("Device", "ImagingPlane", *PHOTON_SERIES):
        ophys.pop(name, None)
    if "ImageSegmentation" in ophys:
        ophys["ImageSegmentation"].pop(SEGMENTATIONS, None)
    _key_traces(ophys, keys[TABLES])
    _key_images(ophys, keys[TABLES])
    _leave_out_what_is_filled_in(ophys, stated.get("Ophys") or {})
    return _in_reading_order(result)


def _entries(category: str, metadata: Mapping[str, Any]) -> list[Any]:
    return [entry for name in LISTS[category] for entry in entries_of(metadata, name)]


def _keys(
    category: str, metadata: Mapping[str, Any], stated: Mapping[str, Any], result: DeepDict
) -> dict[str, str]:
    """Return the key of each entry by its name, in the order of the entries."""
    parent = result if category == DEVICES else result["Ophys"]
    found: dict[str, str] = {}
    taken = set(parent.get(category) or ())
    entries = _entries(category, metadata)
    former = [_name_of(entry) for entry in _entries(category, stated)]
    names = [_name_of(entry) for entry in entries]
    for index, name in enumerate(names):
        if name in found:
            raise MetadataError(f"Two entries have the name '{name}'; give each its own name.")
        key = former[index] if len(former) == len(names) else name
        while key in taken:
            key = f"{key}_2"
        taken.add(key)
        found[name] = key
    return found


def _name_of(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        raise MetadataError(
            f"{type(entry).__name__} is an object, which has no dictionary form; give a dictionary."
        )
    return str(entry.get("name"))


def _linked(category: str, entry: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry in which the name that it links to is the key of that entry."""
    link = LINKS[category]
    if link.target == MODELS or link.field not in entry:
        return dict(entry)
    name = entry[link.field]
    if name not in keys[link.target]:
        raise MetadataError(
            f"'{entry.get('name')}' names the {link.field} '{name}', but no entry has that name."
        )
    others = {key: value for key, value in entry.items() if key != link.field}
    return others | {link.key: keys[link.target][name]}


def _name_models(result: DeepDict) -> None:
    """Move the models of devices to a dictionary of their own."""
    for device in (result.get(DEVICES) or {}).values():
        model = device.pop("model", None)
        if not isinstance(model, Mapping):
            continue
        key = str(model.get("name"))
        while result[MODELS].setdefault(key, model) != model:
            key = f"{key}_2"
        device[MODEL_KEY] = key
    if not result.get(MODELS):
        result.pop(MODELS, None)


def _key_traces(ophys: DeepDict, keys: Mapping[str, str]) -> None:
    """Move the traces of both containers to the keys of their plane segmentations."""
    for container in ("Fluorescence", CONTAINER_OF_DFF):
        for table, members in _tables(ophys, container, keys):
            for kind in list(members):
                if (kind == "dff") is (container == CONTAINER_OF_DFF):
                    ophys[TRACES][keys[table]][kind] = members.pop(kind)
            if not members:
                del ophys[container][table]


def _key_images(ophys: DeepDict, keys: Mapping[str, str]) -> None:
    found = list(_tables(ophys, IMAGES, keys))
    for table, _ in found:
        del ophys[IMAGES][table]
    for table, members in found:
        ophys[IMAGES][keys[table]] = members


def _tables(
    ophys: DeepDict, container: str, keys: Mapping[str, str]
) -> Iterator[tuple[str, DeepDict]]:
    for table, members in list((ophys.get(container) or {}).items()):
        if table in keys and isinstance(members, Mapping):
            yield table, ophys[container][table]


def _in_reading_order(metadata: DeepDict) -> DeepDict:
    """Return metadata in which entries come before those that link to them."""
    ophys = metadata["Ophys"]
    first = [key for key in (*OPHYS_KEYS, IMAGES) if key in ophys]
    metadata["Ophys"] = {key: ophys[key] for key in dict.fromkeys((*first, *ophys))}
    first = [key for key in metadata if key not in (*TOP_KEYS, "Ophys")]
    first += [key for key in (MODELS, DEVICES) if key in metadata]
    return DeepDict({key: metadata[key] for key in (*first, "Ophys")})


def _leave_out_what_is_filled_in(ophys: DeepDict, stated: Mapping[str, Any]) -> None:
    """Remove from containers what the reader of the dictionary form fills in."""
    for container in _CONTAINERS:
        if container not in ophys:
            continue
        before = stated.get(container) or {}
        defaults = image_container_entry() if container == IMAGES else {"name": container}
        for key, value in list(ophys[container].items()):
            is_default = key in defaults and value == defaults[key] == before.get(key, value)
            # Members of a table that the user has renamed.
            is_former = isinstance(value, Mapping) and value == before.get(key)
            if is_default or (is_former and container != IMAGES):
                del ophys[container][key]
        if not ophys[container]:
            del ophys[container]
