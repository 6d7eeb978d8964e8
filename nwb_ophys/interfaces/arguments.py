"""Arguments stated once, as an attrs class: they make the constructor, the schema and the checks.

Source arguments and conversion options are both such classes. A field's annotation gives its type;
:func:`argument` gives its description and default.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from nwb_ophys.errors import MetadataError, NwbOphysError, SourceArgumentError
from nwb_ophys.metadata import JSON_SCHEMA_DIALECT, validate

Arguments = TypeVar("Arguments")

_PLAIN = {float: "number", int: "integer", str: "string", bool: "boolean"}


def argument(
    description: str, default: Any = attrs.NOTHING, schema: Mapping[str, Any] | None = None
) -> Any:
    """Declare an argument of a format's source, or a conversion option.

    Parameters
    ----------
    description : str
        What it means, with its unit; shown in the schema, the command line and the docs.
    default : Any, optional
        Its value when it is not given; without one it must be given.
    schema : Mapping, optional
        What JSON schema is to say of it beyond the type of its annotation.
    """
    metadata = {"description": description, "schema": schema or {}}
    return attrs.field(default=default, metadata=metadata)


_SIZES = {
    "buffer_gb": {"type": "number", "exclusiveMinimum": 0},
    "chunk_mb": {"type": "number", "exclusiveMinimum": 0},
    "display_progress": {"type": "boolean"},
    "progress_bar_options": {"type": "object"},
}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": 1}}


def iterator_options_argument(description: str, *, shapes: bool) -> Any:
    """Declare the conversion option that says in which blocks and chunks data go to the file.

    Parameters
    ----------
    description : str
    shapes : bool
        Whether shapes may be given beside sizes: what is written has one shape.
    """
    properties = _SIZES | ({"buffer_shape": _SHAPE, "chunk_shape": _SHAPE} if shapes else {})
    schema = {"properties": properties, "additionalProperties": False}
    return argument(description, default=None, schema=schema)


def arguments_schema(cls: type, title: str) -> dict[str, Any]:
    """Return the JSON schema of an attrs class of arguments.

    Parameters
    ----------
    cls : type
        Its fields were declared with :func:`argument`.
    title : str
        What the schema is of.
    """
    hints = typing.get_type_hints(cls)
    fields = attrs.fields(cls)
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "title": title,
        "type": "object",
        "properties": {field.name: _field_schema(field, hints[field.name]) for field in fields},
        "required": [field.name for field in fields if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def arguments_signature(cls: type) -> inspect.Signature:
    """Return the signature of a constructor that takes these arguments."""
    parameters = inspect.signature(cls).parameters.values()
    # Arguments of attrs classes are keywords; a constructor takes them in order too, but Python
    # has those with a default behind the others.
    ordered = sorted(parameters, key=lambda p: p.default is not inspect.Parameter.empty)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([parameter.replace(kind=kind) for parameter in ordered])


def bind_positional(
    cls: type, args: Sequence[Any], given: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Return all arguments by name.

    Raises
    ------
    SourceArgumentError
        When there are too many, or one is given twice.
    """
    names = list(arguments_signature(cls).parameters)
    if len(args) > len(names):
        raise SourceArgumentError(f"{owner} takes {len(names)} arguments: {', '.join(names)}.")
    by_position = dict(zip(names, args, strict=False))
    twice = by_position.keys() & given.keys()
    if twice:
        raise SourceArgumentError(f"{owner}: '{twice.pop()}' is given twice.")
    return {**by_position, **given}


@functools.cache
def path_argument(cls: type) -> str | None:
    """Return the name of the first argument that is a path, or a list of them."""
    hints = typing.get_type_hints(cls)
    names = [field.name for field in attrs.fields(cls)]
    return next((name for name in names if Path in _alternatives(hints[name])), None)


def parse_arguments(
    cls: type[Arguments], given: Mapping[str, Any], owner: str, error: type[NwbOphysError]
) -> Arguments:
    """Check arguments and make an instance of their class.

    Parameters
    ----------
    cls : type
        An attrs class of arguments.
    given : Mapping
        The values by name. One of None counts as not given, unless it is a choice of its own.
    owner : str
        Whose arguments, for messages.
    error : type
        What is raised.
    """
    schema = arguments_schema(cls, owner)
    allowed = ", ".join(schema["properties"]) or "none"
    unknown = [name for name in given if name not in schema["properties"]]
    if unknown:
        raise error(f"{owner} has no argument '{unknown[0]}'; its arguments: {allowed}.")
    values = {
        name: value
        for name, value in given.items()
        if value is not None or "null" in schema["properties"][name].get("type", ())
    }
    missing = [name for name in schema["required"] if name not in values]
    if missing:
        description = schema["properties"][missing[0]]["description"]
        raise error(f"{owner} needs the argument '{missing[0]}': {description}")
    hints = typing.get_type_hints(cls)
    converted = {name: _converted(value, hints[name]) for name, value in values.items()}
    for name, value in converted.items():
        try:
            validate(_as_json(value), schema["properties"][name], name)
        except MetadataError as fault:
            raise error(f"{owner}: {fault}") from None
    return cls(**converted)


def _field_schema(field: attrs.Attribute[Any], hint: Any) -> dict[str, Any]:
    schema = _type_schema(hint) | field.metadata["schema"]
    schema["description"] = field.metadata["description"]
    if field.default is not attrs.NOTHING and field.default is not None:
        schema["default"] = field.default
        if type(None) in get_args(hint):
            # None is a choice then, not the lack of one.
            schema["type"] = [schema["type"], "null"]
            if "enum" in schema:
                schema["enum"] = [*schema["enum"], None]
    return schema


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types that a hint allows, those within lists included, None not."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for arm in get_args(hint) for kind in _alternatives(arm))
    if get_origin(hint) in (list, Sequence):
        return _alternatives(get_args(hint)[0])
    return () if hint is type(None) else (hint,)


def _type_schema(hint: Any) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        arms = [_type_schema(arm) for arm in get_args(hint) if arm is not type(None)]
        return arms[0] if len(arms) == 1 else {"anyOf": arms}
    if origin is Literal:
        choices = [choice for choice in get_args(hint) if choice is not None]
        return {"type": "string", "enum": choices}
    if origin in (list, Sequence):
        return {"type": "array", "items": _type_schema(get_args(hint)[0])}
    if hint is Path:
        return {"type": "string", "format": "path"}
    if origin is dict or hint is dict:
        return {"type": "object"}
    return {"type": _PLAIN[hint]} if hint in _PLAIN else {}


def _converted(value: Any, hint: Any) -> Any:
    """Make paths of texts where a path is meant, and a float of an integer where one is."""
    kinds = _alternatives(hint)
    if Path in kinds and isinstance(value, str):
        return Path(value).expanduser()
    if Path in kinds and isinstance(value, (list, tuple)):
        return [_converted(item, hint) for item in value]
    if kinds == (float,) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _as_json(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    return value
