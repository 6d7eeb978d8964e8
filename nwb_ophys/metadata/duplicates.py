"""Entries of one name within the metadata of one conversion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata.facts import (
    another_value,
    channels_of,
    equal,
    faults_of_facts,
    name_of,
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
        With a sentence for each value that only one of two entries states.
    """
    faults = faults_of_duplicates(metadata)
    if faults:
        raise MetadataError(*faults)


def faults_of_duplicates(metadata: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each difference of entries; see :func:`check_duplicates`."""
    faults: list[str] = []
    for category in ("Device", "ImagingPlane"):
        for path, entry, first, holder in _repeated(entries_of(metadata, category), category):
            faults += faults_of_facts(category, entry, first, path, holder, _REMEDY)
            faults += _faults_of_values(path, entry, first, holder, ("device",))
    for index, plane in enumerate(entries_of(metadata, "ImagingPlane")):
        faults += _faults_of_channels(plane, f"{path_of('ImagingPlane')}[{index}]")
    faults += _faults_of_models(entries_of(metadata, "Device"))
    if getattr(metadata, "composition", None) is None:
        for category in (*SERIES, SEGMENTATIONS):
            for path, entry, first, holder in _repeated(entries_of(metadata, category), category):
                faults += _faults_of_values(path, entry, first, holder, entry)
    return faults


def _repeated(entries: list[Any], category: str) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield each entry whose name an earlier one has: path, entry, earlier entry, in words."""
    known: dict[str, int] = {}
    for index, entry in enumerate(entries):
        name = name_of(entry)
        if name is None:
            continue
        first = known.setdefault(name, index)
        if first != index:
            yield (
                _path(category, index),
                entry,
                entries[first],
                _holder(_path(category, first), name),
            )


def _path(category: str, index: int) -> str:
    return f"{path_of(category)}[{index}]"


def _holder(path: str, name: str) -> str:
    return f"{path}, which has the same name '{name}',"


def _faults_of_values(path: str, entry: Any, first: Any, holder: str, keys: Any) -> Iterator[str]:
    for key in keys:
        ours, theirs = value_of(entry, key), value_of(first, key)
        if ours is not None and not same(ours, theirs):
            yield another_value(f'{path}["{key}"]', ours, holder, theirs, _REMEDY)


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
    faults = list(_faults_of_channels(plane, path))
    if faults:
        raise MetadataError(*faults)


def _faults_of_channels(plane: Any, path: str) -> Iterator[str]:
    known: dict[str, int] = {}
    channels = channels_of(plane)
    for number, channel in enumerate(channels):
        name = str(name_of(channel))
        first = known.setdefault(name, number)
        for field in ("emission_lambda", "description"):
            ours, theirs = value_of(channel, field), value_of(channels[first], field)
            if not equal(ours, theirs):
                holder = _holder(f'{path}["optical_channel"][{first}]', name)
                where = f'{path}["optical_channel"][{number}]["{field}"]'
                yield another_value(where, ours, holder, theirs, _REMEDY)


def _faults_of_models(devices: list[Any]) -> Iterator[str]:
    """Yield a sentence for each difference of models of one name, which devices may share."""
    known: dict[str, tuple[int, Any]] = {}
    for index, device in enumerate(devices):
        model = value_of(device, "model")
        name = name_of(model)
        if name is None:
            continue
        first, other = known.setdefault(name, (index, model))
        holder = _holder(f'{_path("Device", first)}["model"]', name)
        yield from faults_of_model(f'{_path("Device", index)}["model"]', model, other, holder)


def faults_of_model(path: str, model: Any, other: Any, holder: str) -> Iterator[str]:
    """Yield a sentence for each value of a model of a device that another model does not state.

    Parameters
    ----------
    path : str
        Path of the model in the metadata.
    model, other : Mapping or object
    holder : str
        The other model, in words.
    """
    keys = ("manufacturer", "model_number", "description")
    return _faults_of_values(path, model, other, holder, keys)
