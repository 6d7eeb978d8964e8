"""Fields of attrs classes that also make a JSON schema: parts of metadata, arguments and options.

A field is declared once: its annotation gives the type, :func:`field` the description, the default
and what JSON schema says beyond the type.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from nwb_ophys.errors import ArgumentError

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean"}


def field(
    description: str,
    default: Any = attrs.NOTHING,
    schema: Mapping[str, Any] | None = None,
    *,
    converter: Callable[[Any], Any] | None = None,
    model: type | None = None,
) -> Any:
    """Declare a field of an attrs class.

    Parameters
    ----------
    description : str
        Meaning of the field, with its unit.
    default : Any, optional
        Value when the field is not given; a field without a default is required.
    schema : Mapping, optional
        Keywords of JSON schema beside, or instead of, those of the annotation.
    converter : callable, optional
        Applied to each value.
    model : type, optional
        The attrs class that describes the value or, where the schema is of an array, its items.
    """
    metadata = {"description": description, "schema": schema or {}, "model": model}
    return attrs.field(default=default, metadata=metadata, converter=converter)


def class_schema(cls: type, *, with_defaults: bool = False) -> dict[str, Any]:
    """Return the JSON schema of an attrs class, which allows no keys but its fields.

    Parameters
    ----------
    cls : type
        A class whose fields were declared with :func:`field`.
    with_defaults : bool
        State the defaults too, and that None is allowed where it differs from the default.
    """
    properties, required = {}, []
    for each in attrs.fields(cls):
        properties[each.name] = _field_schema(each, type_hints(cls)[each.name], with_defaults)
        if each.default is attrs.NOTHING:
            required.append(each.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


@functools.cache
def type_hints(cls: type) -> dict[str, Any]:
    """Return the types of the fields of a class by name.

    Raises
    ------
    ArgumentError
        When the module of the class does not have a type.
    """
    try:
        return typing.get_type_hints(cls)
    except NameError as error:
        raise ArgumentError(
            f"A type of a field of {cls.__qualname__} is unknown: {error}. Import it at the top of "
            f"the module '{cls.__module__}', not only for type checkers."
        ) from error


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows: items of lists included, None left out."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for arm in get_args(hint) for kind in alternatives(arm))
    if get_origin(hint) in (list, Sequence):
        return alternatives(get_args(hint)[0])
    return () if hint is type(None) else (hint,)


def _field_schema(each: attrs.Attribute[Any], hint: Any, with_defaults: bool) -> dict[str, Any]:
    schema: dict[str, Any] = type_schema(hint) | each.metadata["schema"]
    schema["description"] = each.metadata["description"]
    if with_defaults and each.default is not attrs.NOTHING and each.default is not None:
        schema["default"] = each.default
        if type(None) in get_args(hint):
            # None is a choice then, not the lack of one.
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
    return schema


def type_schema(hint: Any) -> dict[str, Any]:
    """Return the JSON schema of a type hint; of a type that JSON lacks, the one that allows all."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        arms = [type_schema(arm) for arm in get_args(hint) if arm is not type(None)]
        return arms[0] if len(arms) == 1 else {"anyOf": arms}
    if origin is Literal:
        choices = [choice for choice in get_args(hint) if choice is not None]
        return {"type": "string", "enum": choices}
    if origin in (list, Sequence):
        return {"type": "array", "items": type_schema(get_args(hint)[0])}
    if hint is Path:
        return {"type": "string", "format": "path"}
    if origin is dict or hint is dict:
        return {"type": "object"}
    return {"type": _PLAIN[hint]} if hint in _PLAIN else {}
