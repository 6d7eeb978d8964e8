"""Additions to an interface's schema that NeuroConv's converters need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DESCRIPTION = "NeuroConv's own form of this metadata; nothing is read from it."

# NeuroConv 0.10 hands metadata to an interface in the interface's form, but validates it in a form
# of its own, in which dictionaries with these names replace our lists.
_OPHYS_KEYS = ("ImagingPlanes", "MicroscopySeries", "PlaneSegmentations", "RoiResponses")
_TOP_KEYS = ("Devices", "DeviceModels")


def with_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema that also allows the form in which NeuroConv validates metadata."""
    properties = {**schema["properties"], **_entries(_TOP_KEYS)}
    ophys = properties["Ophys"]
    inner = {**ophys["properties"], **_entries(_OPHYS_KEYS)}
    return {**schema, "properties": {**properties, "Ophys": {**ophys, "properties": inner}}}


def without_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema with only the keys that are read, to validate a user's metadata."""
    properties = _without_entries(schema["properties"])
    ophys = properties.get("Ophys", {})
    if "properties" in ophys:
        properties["Ophys"] = {**ophys, "properties": _without_entries(ophys["properties"])}
    return {**schema, "properties": properties}


def _entries(keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: {"description": _DESCRIPTION} for key in keys}


def _without_entries(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: schema
        for key, schema in properties.items()
        if schema.get("description") != _DESCRIPTION
    }
