"""Facts that devices and imaging planes state, and their comparison.

An entry is a dictionary of metadata, or an object with the same fields as attributes, such as a
device of a file. Marks of unknown values and default texts state nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import shown
from nwb_ophys.metadata import models
from nwb_ophys.metadata.defaults import get_default_ophys_metadata

Key = tuple[str, ...]
Facts = Mapping[Key, Any]

# A unit belongs to its numbers, and is this one where it is not given.
_UNITS = {"origin_coords": "origin_coords_unit", "grid_spacing": "grid_spacing_unit"}
_DEFAULT_UNIT = "meters"

_CHANNELS = "optical_channel"
# The model of a device may be a field of its own, or be in fields of the device.
_OF_MODEL = {
    "model_name": "name",
    "manufacturer": "manufacturer",
    "model_number": "model_number",
}


def value_of(entry: Any, key: str) -> Any:
    """Return a field of an entry, which is a dictionary or an object; None where it is absent."""
    if isinstance(entry, Mapping):
        return entry.get(key)
    return getattr(entry, key, None)


def name_of(entry: Any) -> str | None:
    """Return the name of an entry; None where it has no name."""
    name = value_of(entry, "name")
    return name if isinstance(name, str) else None


def facts_of(category: str, entry: Any) -> dict[Key, Any]:
    """Return the facts that an entry states, by their keys.

    Parameters
    ----------
    category : {"Device", "ImagingPlane"}
    entry : Mapping or object

    Returns
    -------
    dict
        Without the name of the entry and its link to a device.
    """
    pairs = _of_device(entry) if category == "Device" else _of_plane(entry)
    return {key: value for key, value in pairs if _is_stated(value)}


def _of_device(entry: Any) -> Iterator[tuple[Key, Any]]:
    model = value_of(entry, "model")
    for field in ("description", "serial_number"):
        yield (field,), value_of(entry, field)
    for field, inner in _OF_MODEL.items():
        own = value_of(entry, field)
        yield (field,), value_of(model, inner) if own is None else own
    yield ("model", "description"), value_of(model, "description")


def _of_plane(entry: Any) -> Iterator[tuple[Key, Any]]:
    default = get_default_ophys_metadata()["Ophys"]["ImagingPlane"][0]
    for field in attrs.fields(models.ImagingPlane):
        key = field.name
        if key in ("name", "device", _CHANNELS, *_UNITS.values()):
            continue
        value = value_of(entry, key)
        yield (key,), None if equal(value, default.get(key)) else value
        if key in _UNITS and value is not None:
            yield (_UNITS[key],), value_of(entry, _UNITS[key]) or _DEFAULT_UNIT
    yield from _of_channels(entry, default[_CHANNELS][0])


def _of_channels(entry: Any, default: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    channels = channels_of(entry)
    # A file has its channels in the order of their names.
    names = sorted(str(name_of(channel)) for channel in channels)
    yield (_CHANNELS,), None if names == [default["name"]] else names
    texts = (default["description"], attrs.fields(models.OpticalChannel).description.default)
    for channel in channels:
        name, description = str(name_of(channel)), value_of(channel, "description")
        yield (_CHANNELS, name, "emission_lambda"), value_of(channel, "emission_lambda")
        yield (_CHANNELS, name, "description"), None if description in texts else description


def channels_of(plane: Any) -> list[Any]:
    """Return the optical channels of a plane; an empty list where they are no list."""
    channels = value_of(plane, _CHANNELS)
    if isinstance(channels, Mapping):
        channels = list(channels.values()) if not isinstance(plane, Mapping) else []
    return list(channels) if isinstance(channels, Iterable) and not _is_text(channels) else []


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_stated(value: Any) -> bool:
    # NaN, which marks an unknown number, is the one value that does not equal itself.
    return value is not None and not (np.ndim(value) == 0 and value != value)


def equal(first: Any, second: Any) -> bool:
    """Return whether two values are equal, numbers within the precision of float32.

    NaN equals NaN. Arrays and lists compare by their elements.
    """
    if first is None or second is None or _is_text(first) or _is_text(second):
        return bool(first is second or (_is_text(first) and first == second))
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape:
        return False
    if one.dtype.kind in "iufb" and other.dtype.kind in "iufb":
        return bool(np.allclose(one, other, rtol=1e-6, atol=0, equal_nan=True))
    return bool(np.array_equal(one, other))


def differing(ours: Facts, theirs: Facts) -> list[Key]:
    """Return the keys of our facts that others contradict or do not state.

    Contradictions come first.
    """
    other = [key for key in ours if key in theirs and not equal(ours[key], theirs[key])]
    return other + [key for key in ours if key not in theirs]


def path_of_fact(path: str, entry: Any, key: Key) -> str:
    """Return the path of a fact in the metadata, for messages.

    Parameters
    ----------
    path : str
        Path of the entry.
    entry : Mapping or object
    key : tuple of str
        Of :func:`facts_of`.
    """
    if key[0] == _CHANNELS and len(key) > 1:
        index = [name_of(channel) for channel in channels_of(entry)].index(key[1])
        return f'{path}["{_CHANNELS}"][{index}]["{key[2]}"]'
    if key[0] in _OF_MODEL and value_of(entry, key[0]) is None:
        return f'{path}["model"]["{_OF_MODEL[key[0]]}"]'
    return path + "".join(f'["{step}"]' for step in key)


def faults_of_facts(
    category: str, entry: Any, other: Any, path: str, holder: str, remedy: str
) -> list[str]:
    """Return a sentence for each fact of an entry that another of the same name does not state.

    Parameters
    ----------
    category : {"Device", "ImagingPlane"}
    entry, other : Mapping or object
    path : str
        Path of the entry in the metadata.
    holder : str
        The other entry, in words.
    remedy : str
        The next step, in words.
    """
    ours, theirs = facts_of(category, entry), facts_of(category, other)
    return [
        another_value(path_of_fact(path, entry, key), ours[key], holder, theirs.get(key), remedy)
        for key in differing(ours, theirs)
        if key in theirs or key[0] not in _UNITS.values()  # reported with the numbers
    ]


def another_value(path: str, ours: Any, holder: str, theirs: Any, remedy: str) -> str:
    """Return the sentence on a value that differs from another of the same name, for errors."""
    states = "does not state it" if theirs is None else f"states {_shown(theirs)}"
    return f"{path} is {_shown(ours)}, but {holder} {states}; {remedy}."


def _shown(value: Any) -> str:
    is_plain = isinstance(value, (str, bool, int, float, list, tuple))
    return shown(value if is_plain else np.asarray(value).tolist())
