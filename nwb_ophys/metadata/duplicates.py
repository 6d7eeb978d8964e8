"""Entries of one name within the metadata of one conversion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.metadata.facts import (
    channels_of,
    check_facts,
    equal,
    name_of,
    other_value,
    value_of,
)
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, entries_of, path_of
from nwb_ophys.metadata.sharing import same

_REMEDY = "give one of the two another name"


def check_duplicates(metadata: Mapping[str, Any]) -> None:
    """Check that entries of one name in a list are alike; the first of them is written.

    Parameters
    ----------
    metadata : Mapping
        Complete metadata. The series and segmentations of a converter belong to one stream each,
        and may have one name in different containers.

    Raises
    ------
    MetadataError
        For the first value that only one of two entries states, with both values.
    """
    for category in ("Device", "ImagingPlane"):
        for path, entry, first, holder in _repeated(entries_of(metadata, category), category):
            check_facts(category, entry, first, path, holder, _REMEDY)
            _check_links(path, entry, first, holder)
    for index, plane in enumerate(entries_of(metadata, "ImagingPlane")):
        check_channels(plane, f"{path_of('ImagingPlane')}[{index}]")
    _check_models(entries_of(metadata, "Device"))
    if getattr(metadata, "composition", None) is None:
        for category in (*SERIES, SEGMENTATIONS):
            for path, entry, first, holder in _repeated(entries_of(metadata, category), category):
                _check_values(path, entry, first, holder)


def _repeated(entries: list[Any], category: str) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield each entry whose name an earlier one has: path, entry, earlier entry, in words."""
    known: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = name_of(entry)
        if name is None:
            continue
        if name in known:
            first = known[name]
            holder = f"{path_of(category)}[{first}], which has the same name '{name}',"
            yield f"{path_of(category)}[{index}]", entry, entries[first], holder
        known.setdefault(name, index)


def _check_links(path: str, entry: Any, first: Any, holder: str) -> None:
    ours, theirs = value_of(entry, "device"), value_of(first, "device")
    if ours is not None and ours != theirs:
        where = f'{path}["device"]'
        raise other_value(where, ours, holder, theirs, _REMEDY)


def _check_values(path: str, entry: Mapping[str, Any], first: Mapping[str, Any], who: str) -> None:
    for key, value in entry.items():
        if value is not None and not same(value, first.get(key)):
            where = f'{path}["{key}"]'
            raise other_value(where, value, who, first.get(key), _REMEDY)


def check_channels(plane: Any, path: str) -> None:
    """Check that the optical channels of a plane that have one name are alike.

    Parameters
    ----------
    plane : Mapping or object
    path : str
        Path of the plane in the metadata.

    Raises
    ------
    MetadataError
    """
    known: dict[str, int] = {}
    channels = channels_of(plane)
    for number, channel in enumerate(channels):
        name = str(name_of(channel))
        first = known.setdefault(name, number)
        for field in ("emission_lambda", "description"):
            ours, theirs = value_of(channel, field), value_of(channels[first], field)
            if not equal(ours, theirs):
                holder = f"{path}[\"optical_channel\"][{first}], which has the same name '{name}',"
                where = f'{path}["optical_channel"][{number}]["{field}"]'
                raise other_value(where, ours, holder, theirs, _REMEDY)


def _check_models(devices: list[Any]) -> None:
    """Check the models of devices, which several devices may share."""
    known: dict[str, tuple[int, Any]] = {}
    for index, device in enumerate(devices):
        model = value_of(device, "model")
        name = name_of(model)
        if name is None:
            continue
        first, other = known.setdefault(name, (index, model))
        holder = f"{path_of('Device')}[{first}][\"model\"], which has the same name '{name}',"
        check_model(f'{path_of("Device")}[{index}]["model"]', model, other, holder)


def check_model(path: str, model: Any, other: Any, holder: str) -> None:
    """Raise an error where a model of a device states what another of its name does not state.

    Parameters
    ----------
    path : str
        Path of the model in the metadata.
    model, other : Mapping or object
    holder : str
        The other model, in words.

    Raises
    ------
    MetadataError
    """
    for field in ("manufacturer", "model_number", "description"):
        ours, theirs = value_of(model, field), value_of(other, field)
        if ours is not None and ours != theirs:
            where = f'{path}["{field}"]'
            raise other_value(where, ours, holder, theirs, _REMEDY)
