"""Additions to an interface's schema that NeuroConv's converters need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nwb_ophys.metadata.dictionary_form import OPHYS_KEYS, TOP_KEYS

_DESCRIPTION = "The dictionary form of this metadata, with entries by keys of the user's choosing."

_ANYTHING = {"description": _DESCRIPTION}


def with_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema that also allows the metadata of NeuroConv and of its interfaces.

    A converter of NeuroConv joins the schemas of its interfaces, and validates the metadata of all
    against the result.
    """
    result = _open(schema, TOP_KEYS)
    result["properties"]["Ophys"] = _open(result["properties"]["Ophys"], OPHYS_KEYS)
    return result


def without_neuroconv_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema with only the keys of the list form, which complete metadata has."""
    result = _closed(schema)
    ophys = result["properties"].get("Ophys", {})
    if "properties" in ophys:
        result["properties"]["Ophys"] = _closed(ophys)
    return result


def with_closed_keys(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metadata schema to validate complete metadata, which names the keys of both forms.

    A misspelt key of the dictionary form is then reported with the right one.
    """
    result = without_neuroconv_keys(schema)
    result["properties"] = {**{key: {} for key in TOP_KEYS}, **result["properties"]}
    ophys = result["properties"].get("Ophys", {})
    if "properties" in ophys:
        own = {**{key: {} for key in OPHYS_KEYS}, **ophys["properties"]}
        result["properties"]["Ophys"] = {**ophys, "properties": own}
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
