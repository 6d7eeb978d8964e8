"""Additions to an interface's schema that NeuroConv's converters need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DESCRIPTION = "NeuroConv's own form of this metadata; nothing is read from it."

_ANYTHING = {"description": _DESCRIPTION}

# NeuroConv 0.10 hands metadata to an interface in the interface's form, but validates it in a form
# of its own, in which dictionaries with these names replace our lists.
_OPHYS_KEYS = ("ImagingPlanes", "MicroscopySeries", "PlaneSegmentations", "RoiResponses")
_TOP_KEYS = ("Devices", "DeviceModels")


def with_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema that also allows the metadata of NeuroConv and of its interfaces.

    A converter of NeuroConv joins the schemas of its interfaces, and validates the metadata of all
    against the result.
    """
    result = _open(schema, _TOP_KEYS)
    result["properties"]["Ophys"] = _open(result["properties"]["Ophys"], _OPHYS_KEYS)
    return result


def without_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema with only the keys that are read, to validate a user's metadata."""
    result = _closed(schema)
    ophys = result["properties"].get("Ophys", {})
    if "properties" in ophys:
        result["properties"]["Ophys"] = _closed(ophys)
    return result


def _open(schema: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    result = {**schema, "properties": _entries(keys) | schema.get("properties", {})}
    if schema.get("additionalProperties") is False:
        result["additionalProperties"] = _ANYTHING
    return result


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    result = {**schema, "properties": _without_entries(schema["properties"])}
    if schema.get("additionalProperties") == _ANYTHING:
        result["additionalProperties"] = False
    return result


def _entries(keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: {"description": _DESCRIPTION} for key in keys}


def _without_entries(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: schema
        for key, schema in properties.items()
        if schema.get("description") != _DESCRIPTION
    }
