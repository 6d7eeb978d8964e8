"""JSON schemas of metadata, made from the models, and validation against them."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

import numpy as np

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import models
from nwb_ophys.metadata.deepdict import merge_metadata
from nwb_ophys.metadata.fields import JSON_SCHEMA_DIALECT
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
    traces = _by_plane(models.RoiResponseSeries, "Traces of a plane segmentation, by kind.")
    images = _by_plane(models.SummaryImage, "Images of a plane segmentation, by name.")
    images["properties"]["description"] = {"type": "string"}
    return _whole(
        _common_ophys()
        | {
            "ImageSegmentation": model_schema(models.ImageSegmentation),
            "Fluorescence": traces,
            "DfOverF": traces,
            "SegmentationImages": images,
        }
    )


def _common_ophys() -> dict[str, Any]:
    # An empty list of devices adds none, for files that hold their devices already.
    devices = {**_list_of(models.Device), "minItems": 0}
    return {"Device": devices, "ImagingPlane": _list_of(models.ImagingPlane)}


def _list_of(model: type) -> dict[str, Any]:
    return {"type": "array", "items": model_schema(model), "minItems": 1}


def _by_plane(model: type, description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "Name of the container."}},
        "additionalProperties": {
            "type": "object",
            "description": description,
            "additionalProperties": model_schema(model),
        },
    }


def _whole(ophys: dict[str, Any]) -> dict[str, Any]:
    fixed = {name: model_schema(model) for name, model in _FIXED.items()}
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": "Metadata",
        "type": "object",
        "properties": {
            **fixed,
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
        The dictionary; keys whose value is None count as not given.
    path : str
        Path of the value for messages, such as ``metadata["Ophys"]["Device"][0]``.

    Raises
    ------
    MetadataError
        When the value is not valid; the message gives the path of the key.
    """
    if isinstance(value, Mapping):
        value = merge_metadata({}, value)
    validate(value, model_schema(model), path)
    return model(**value)


def validate(value: Any, schema: Mapping[str, Any], path: str = "metadata") -> None:
    """Validate a value against a JSON schema, with messages in plain words.

    Datetimes pass where the schema's format is ``date-time``, NumPy scalars as numbers, tuples and
    arrays as arrays, and ready-made objects (such as ``pynwb.device.Device``) as objects.

    Raises
    ------
    MetadataError
        For the outermost error; the message gives the path of the key.
    """
    errors = sorted(_validator_class()(schema).iter_errors(value), key=lambda e: len(e.path))
    if errors:
        raise MetadataError(_message(errors[0], path))


@cache
def _validator_class() -> Any:
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "number": lambda _, v: isinstance(v, _REAL) and not _is_bool(v),
            "integer": lambda _, v: isinstance(v, (int, np.integer)) and not _is_bool(v),
            "array": lambda _, v: isinstance(v, (list, tuple)) or _is_array(v),
            "object": lambda _, v: isinstance(v, Mapping),
            "boolean": lambda _, v: _is_bool(v),
        }
    )
    extend: Any = validators.extend
    return extend(Draft202012Validator, validators={"type": _check_type}, type_checker=checker)


_REAL = (int, float, np.integer, np.floating)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim > 0


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _check_type(validator: Any, types: Any, instance: Any, schema: Any) -> Any:
    from jsonschema import ValidationError

    types = [types] if isinstance(types, str) else types
    # Ophys["Device"] may hold pynwb objects beside descriptions of them.
    if "object" in types and type(instance).__module__.split(".")[0] == "pynwb":
        return
    if isinstance(instance, datetime.date) and schema.get("format") == "date-time":
        return
    if not any(validator.is_type(instance, kind) for kind in types):
        yield ValidationError("type", validator="type", validator_value=types, instance=instance)


def _message(error: Any, path: str) -> str:
    where = path + "".join(
        f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in error.path
    )
    value = error.instance
    if error.validator == "type":
        wanted = " or ".join(_TYPE_WORDS.get(kind, kind) for kind in error.validator_value)
        hint = " Put it in quotes." if isinstance(value, datetime.date) and "text" in wanted else ""
        return f"{where} is {value!r} ({type(value).__name__}); it must be {wanted}.{hint}"
    if error.validator == "pattern":
        return f"{where} is {value!r}; a name must not be empty nor contain '/' or ':'."
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in value]
        them = "it" if len(missing) == 1 else "them"
        return f"{where} lacks {', '.join(map(repr, missing))}; add {them}."
    if error.validator == "enum":
        allowed = ", ".join(map(repr, error.validator_value))
        return f"{where} is {value!r}; it must be one of {allowed}."
    if error.validator == "additionalProperties":
        return _unknown_key_message(where, value, error.schema.get("properties", {}))
    return f"{where}: {error.message}."


_TYPE_WORDS = {
    "string": "a text",
    "number": "a number",
    "integer": "an integer",
    "array": "a list",
    "object": "a dictionary",
    "boolean": "true or false",
}


def _unknown_key_message(where: str, value: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    key = next(key for key in value if key not in known)
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{where} has the unknown key '{key}'.{hint} Allowed: {', '.join(sorted(known))}."
