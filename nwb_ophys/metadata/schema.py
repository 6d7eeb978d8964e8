"""JSON schemas of metadata, made from the models, and validation against them."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata import models
from nwb_ophys.metadata.datetimes import in_own_zone, parse_datetime
from nwb_ophys.metadata.fields import JSON_SCHEMA_DIALECT
from nwb_ophys.metadata.limits import FIRST_YEAR, LAST_YEAR, faults_of_vectors
from nwb_ophys.metadata.merging import merge_metadata
from nwb_ophys.metadata.models import model_schema

Model = TypeVar("Model")

# Subject and NWBFile fields are the same for every format.
_FIXED = {"NWBFile": models.Session, "Subject": models.Subject}


def imaging_schema(photon_series_type: str | None = None) -> dict[str, Any]:
    """Return the JSON schema of the metadata of an imaging interface.

    Parameters
    ----------
    photon_series_type : {"OnePhotonSeries", "TwoPhotonSeries"}, optional
        The only kind of series allowed; both kinds when not given.
    """
    kinds = [photon_series_type] if photon_series_type else ["OnePhotonSeries", "TwoPhotonSeries"]
    series = {kind: _list_of(getattr(models, kind)) for kind in kinds}
    return _whole(_common_ophys() | series)


def line_scan_schema() -> dict[str, Any]:
    """Return the JSON schema of the metadata of a line scan and its source images."""
    return _whole(
        _common_ophys() | {"LineScan": _list_of(models.LineScan), "Images": _list_of(models.Images)}
    )


def images_schema() -> dict[str, Any]:
    """Return the JSON schema of the metadata of images without a time axis."""
    return _whole(_common_ophys() | {"Images": _list_of(models.Images)})


def segmentation_schema() -> dict[str, Any]:
    """Return the JSON schema of the metadata of a segmentation interface."""
    return _whole(_common_ophys() | _segmentation_ophys())


def file_schema() -> dict[str, Any]:
    """Return the JSON schema of the metadata that a file can have, of recordings of all kinds."""
    kinds = (models.TwoPhotonSeries, models.OnePhotonSeries, models.Images)
    lists = {kind.__name__: _list_of(kind) for kind in kinds}
    return _whole(_common_ophys() | lists | _segmentation_ophys())


def _segmentation_ophys() -> dict[str, Any]:
    traces = _by_plane(models.RoiResponseSeries, "Traces of a plane segmentation, by kind.")
    images = _by_plane(models.SummaryImage, "Images of a plane segmentation, by name.")
    images["properties"]["description"] = {"type": "string"}
    return {
        "ImageSegmentation": model_schema(models.ImageSegmentation),
        "Fluorescence": traces,
        "DfOverF": traces,
        "SegmentationImages": images,
    }


def _common_ophys() -> dict[str, Any]:
    # An empty list of devices adds none, for files that hold their devices already.
    devices = {**_list_of(models.Device), "minItems": 0}
    return {"Device": devices, "ImagingPlane": _list_of(models.ImagingPlane)}


def _list_of(model: type) -> dict[str, Any]:
    return {"type": "array", "items": model_schema(model), "minItems": 1}


def _by_plane(model: type, description: str) -> dict[str, Any]:
    taken = {"enum": list(models.FIELDS_OF_MODULE)}
    name = {**models.NAME, "not": taken, "description": "Name of the container."}
    return {
        "type": "object",
        "properties": {"name": name},
        "additionalProperties": {
            "type": "object",
            "description": description,
            "additionalProperties": model_schema(model),
        },
    }


def session_schemas() -> dict[str, Any]:
    """Return the JSON schemas of ``NWBFile`` and ``Subject``, which every recording has."""
    return {name: model_schema(model) for name, model in _FIXED.items()}


def _whole(ophys: dict[str, Any]) -> dict[str, Any]:
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": "Metadata",
        "type": "object",
        "properties": {
            **session_schemas(),
            "Ophys": {"type": "object", "properties": ophys, "additionalProperties": False},
        },
        "additionalProperties": False,
    }


def parse_model(model: type[Model], value: Any, path: str) -> Model:
    """Validate a dictionary against a model and return an instance of the model.

    Parameters
    ----------
    model : type
        An attrs class of ``models``.
    value : Any
        The dictionary; a value of None is the default.
    path : str
        Path of the value for messages, such as ``metadata["Ophys"]["Device"][0]``.

    Raises
    ------
    MetadataError
        When the value is not valid; the message gives the path of the key.
    """
    if isinstance(value, Mapping):
        # As an entry of a list, in which None is the mark of an unknown value.
        key = model.__name__
        value = merge_metadata({}, {key: [value]})[key][0]
    # mypy looks for the hash of instances, which mutable models lack.
    faults = faults_of(value, _schema_of(model), path)  # type: ignore[arg-type]
    if isinstance(value, Mapping):
        faults += faults_of_vectors(value, path)
    if faults:
        raise MetadataError(*faults)
    return model(**value)


@cache
def _schema_of(model: type) -> dict[str, Any]:
    """Return the JSON schema of a model, made once; no caller receives or changes it."""
    return model_schema(model)


def validate(value: Any, schema: Mapping[str, Any], path: str = "metadata") -> None:
    """Validate a value against a JSON schema, with messages in plain words.

    Datetimes pass where the schema's format is ``date-time``, NumPy scalars as numbers, tuples and
    arrays as arrays, and ready-made objects (such as ``pynwb.device.Device``) as objects.

    Raises
    ------
    MetadataError
        For the outermost error; the message gives the path of the key.
    """
    faults = faults_of(value, schema, path)
    if faults:
        raise MetadataError(faults[0])


def faults_of(value: Any, schema: Mapping[str, Any], path: str = "metadata") -> list[str]:
    """Return a sentence for each error of a value, the outermost first; see :func:`validate`."""
    if is_plainly_valid(value, schema):
        return []
    errors = sorted(_validator_class()(schema).iter_errors(value), key=lambda e: len(e.path))
    return list(dict.fromkeys(line for error in errors for line in _messages(error, path)))


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    kinds = {
        kind: lambda _, value, is_kind=is_kind: is_kind(value) for kind, is_kind in _KINDS.items()
    }
    extend: Any = validators.extend
    return extend(
        Draft202012Validator,
        validators={name: _checking(name, fault) for name, fault in _FAULTS.items()},
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(kinds),
    )


def _checking(keyword: str, fault_of: Callable[[Any, Any, Any], _Fault | None]) -> Any:
    """Return the check of a keyword for jsonschema."""

    def check(_: Any, wanted: Any, instance: Any, schema: Any) -> Any:
        from jsonschema import ValidationError

        fault = fault_of(wanted, instance, schema)
        if fault:
            kind, reason = fault
            value = [wanted] if keyword == "type" and isinstance(wanted, str) else wanted
            yield ValidationError(reason, validator=kind, validator_value=value, instance=instance)

    return check


_REAL = (int, float, np.integer, np.floating)

# Folders of Zarr stores are named so, and file systems allow no longer names.
_MOST_BYTES_OF_NAME = 255


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, _REAL) and not _is_bool(value),
    "integer": lambda value: isinstance(value, (int, np.integer)) and not _is_bool(value),
    "array": lambda value: isinstance(value, (list, tuple)) or _is_array(value),
    "object": lambda value: isinstance(value, Mapping),
    "boolean": _is_bool,
}
"""Functions that say whether a value is of a type of JSON."""

_Fault = tuple[str, str]
"""Keyword by which an error is described, and the reason."""


def _type_fault(types: Any, instance: Any, schema: Any) -> _Fault | None:
    types = [types] if isinstance(types, str) else types
    # Ophys["Device"] may hold pynwb objects beside descriptions of them.
    if "object" in types and type(instance).__module__.split(".")[0] == "pynwb":
        return None
    is_datetime = schema.get("format") == "date-time"
    if is_datetime and isinstance(instance, (str, datetime.date)):
        reason = _reason_against_datetime(instance)
    elif not any(_KINDS[kind](instance) for kind in types):
        return "type", "type"
    else:
        # No file holds a path as a text, so it may have bytes that are not UTF-8.
        is_path = schema.get("format") == "path" and "\0" not in str(instance)
        reason = "" if is_path else _reason_against(instance)
    return ("storable", reason) if reason else None


def _name_fault(pattern: str, instance: Any, _: Any) -> _Fault | None:
    if isinstance(instance, str) and not _reason_against(instance):
        is_long = len(instance.encode()) > _MOST_BYTES_OF_NAME
        if is_long or not re.search(pattern, instance):
            return "pattern", "name"
    return None


def _choice_fault(choices: Any, instance: Any, _: Any) -> _Fault | None:
    is_plain = instance is None or isinstance(instance, (str, int, float))
    return None if is_plain and instance in choices else ("enum", "enum")


def _finite_fault(_: Any, instance: Any, __: Any) -> _Fault | None:
    if isinstance(instance, (float, np.floating)) and not np.isfinite(instance):
        return "storable", "it must be a finite number"
    return None


def _maximum_fault(maximum: Any, instance: Any, schema: Any) -> _Fault | None:
    # NumPy warns when it compares a small float with an integer that its type cannot hold.
    if isinstance(instance, _REAL) and _as_float(instance) > maximum:
        return "storable", f"it must be at most {_limit(maximum, schema)}"
    return None


def _minimum_fault(minimum: Any, instance: Any, schema: Any) -> _Fault | None:
    if isinstance(instance, _REAL) and _as_float(instance) < minimum:
        return "storable", f"it must be at least {_limit(minimum, schema)}"
    return None


def _exclusive_minimum_fault(minimum: Any, instance: Any, schema: Any) -> _Fault | None:
    if isinstance(instance, _REAL) and _as_float(instance) <= minimum:
        return "storable", f"it must be more than {_limit(minimum, schema)}"
    return None


def _limit(value: float, schema: Mapping[str, Any]) -> str:
    """Return a limit with its unit."""
    return f"{value:.10g} {schema.get('unit', '')}".rstrip()


_FAULTS: Mapping[str, Callable[[Any, Any, Any], _Fault | None]] = {
    "type": _type_fault,
    "pattern": _name_fault,
    "enum": _choice_fault,
    "finite": _finite_fault,
    "maximum": _maximum_fault,
    "minimum": _minimum_fault,
    "exclusiveMinimum": _exclusive_minimum_fault,
}
"""Keywords of JSON Schema that are checked otherwise than jsonschema does, or are added."""

_WORDS = ("$schema", "title", "description", "default", "format", "unit")


def is_plainly_valid(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a value is certain to be valid, without importing jsonschema.

    The import takes a tenth of the conversion of a small file. False means that jsonschema has to
    be asked: the value has an error, or the schema has a keyword that is not known here.

    Parameters
    ----------
    value : Any
    schema : Mapping
        A JSON schema.
    """
    return isinstance(schema, Mapping) and all(
        keyword in _WORDS or _is_plain(keyword, wanted, value, schema)
        for keyword, wanted in schema.items()
    )


def _is_plain(keyword: str, wanted: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a value is certain to agree with one keyword of a schema."""
    if keyword in _FAULTS:
        is_known = keyword != "type" or _KINDS.keys() >= {
            *([wanted] if isinstance(wanted, str) else wanted)
        }
        return is_known and _FAULTS[keyword](wanted, value, schema) is None
    if keyword == "anyOf":
        return any(is_plainly_valid(value, each) for each in wanted)
    if keyword == "not":
        return wanted.keys() == {"enum"} and _choice_fault(wanted["enum"], value, {}) is not None
    # Keywords of lists and dictionaries hold for these only.
    if keyword in ("items", "minItems", "maxItems"):
        if isinstance(value, (list, tuple)):
            return _is_plain_list(keyword, wanted, value)
        return not _is_array(value)
    if keyword in ("required", "properties", "additionalProperties"):
        return not isinstance(value, Mapping) or _is_plain_mapping(keyword, wanted, value, schema)
    return False


def _is_plain_list(keyword: str, wanted: Any, value: Sequence[Any]) -> bool:
    if keyword == "items":
        return all(is_plainly_valid(each, wanted) for each in value)
    return len(value) >= wanted if keyword == "minItems" else len(value) <= wanted


def _is_plain_mapping(
    keyword: str, wanted: Any, value: Mapping[str, Any], schema: Mapping[str, Any]
) -> bool:
    if keyword == "required":
        return all(name in value for name in wanted)
    if keyword == "properties":
        return all(
            is_plainly_valid(value[name], own) for name, own in wanted.items() if name in value
        )
    others = [each for name, each in value.items() if name not in schema.get("properties", {})]
    return not others or (
        isinstance(wanted, Mapping) and all(is_plainly_valid(each, wanted) for each in others)
    )


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf


def _reason_against(value: Any) -> str:
    """Return why a text or a number cannot be stored in a file; empty where it can be."""
    if isinstance(value, str):
        if "\0" in value:
            return "a text must not contain the character NUL, which no file can hold"
        try:
            value.encode()
        except UnicodeEncodeError:
            return "it must be a text that UTF-8 can express"
    elif isinstance(value, (int, np.integer)):
        try:
            float(value)
        except OverflowError:
            return "it must be a number of 64 bits"
    return ""


def _reason_against_datetime(value: Any) -> str:
    try:
        found = parse_datetime(value, "")
        if not FIRST_YEAR <= found.year <= LAST_YEAR:
            return f"its year must be from {FIRST_YEAR} to {LAST_YEAR}"
        offset = (found if found.tzinfo is not None else in_own_zone(found)).utcoffset()
        if offset is not None and offset.total_seconds() % 60:
            return "its time zone must be a number of minutes; state another"
    except MetadataError:
        return "it must be an ISO 8601 date and time such as '2024-05-17T14:30:00+02:00'"
    except (OverflowError, ValueError, OSError):
        return "its time zone is not known for this year; state the zone"
    return ""


def _hint_at_quotes(value: Any) -> str:
    """Return how a value, which YAML reads from a text without quotes, stays a text."""
    if isinstance(value, (bool, np.bool_)):
        return " Put it in quotes; without them YAML reads yes, no, on and off as true or false."
    if isinstance(value, datetime.date):
        return " Put it in quotes; without them YAML reads a date."
    if isinstance(value, (int, float, np.number)):
        return " Put it in quotes; without them YAML reads a number, such as 7 from 007."
    return ""


def _messages(error: Any, path: str) -> Iterator[str]:
    where = path + "".join(
        f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in error.path
    )
    value = error.instance
    if error.validator == "type":
        wanted = " or ".join(_TYPE_WORDS.get(kind, kind) for kind in error.validator_value)
        if value is None:
            yield f"{where} has no value; it must be {wanted}."
            return
        hint = _hint_at_quotes(value) if "text" in wanted else ""
        yield f"{where} is {shown(value)} ({type(value).__name__}); it must be {wanted}.{hint}"
    elif error.validator == "storable":
        yield f"{where} is {shown(value)}; {error.message}."
    elif error.validator == "minItems" and error.validator_value == 1:
        yield f"{where}: the list is empty; give at least one entry, or leave it out."
    elif error.validator == "pattern":
        yield (
            f"{where} is {shown(value)}; a name must not be empty, '.' or '..', nor contain '/' or "
            f"':' or a backslash, nor take more than {_MOST_BYTES_OF_NAME} bytes."
        )
    elif error.validator == "required":
        missing = [key for key in error.validator_value if key not in value]
        them = "it" if len(missing) == 1 else "them"
        yield f"{where} lacks {', '.join(map(repr, missing))}; add {them}."
    elif error.validator == "enum":
        allowed = ", ".join(map(repr, error.validator_value))
        yield f"{where} is {shown(value)}; it must be one of {allowed}."
    elif error.validator == "not":
        yield f"{where} is {shown(value)}, which metadata and files use otherwise; give another."
    elif error.validator == "additionalProperties":
        yield from _unknown_key_messages(where, value, error.schema.get("properties", {}))
    else:
        yield f"{where}: {_shortened(error, value)}."


def _shortened(error: Any, value: Any) -> str:
    """Return the message of jsonschema, in which a long value is shortened."""
    return str(error.message).replace(repr(value), shown(value))


_TYPE_WORDS = {
    "string": "a text",
    "number": "a number",
    "integer": "an integer",
    "array": "a list",
    "object": "a dictionary",
    "boolean": "true or false",
}


def _unknown_key_messages(
    where: str, value: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    for key in value:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            yield f"{where} has the unknown key '{key}'.{hint} Allowed: {', '.join(sorted(known))}."
