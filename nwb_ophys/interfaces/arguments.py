"""Arguments declared once, as an attrs class, for the constructor, the schema and validation.

Source arguments and conversion options are both such classes. A field's annotation gives its type;
:func:`argument` gives its description and default.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from nwb_ophys.errors import (
    MetadataError,
    NwbOphysError,
    OptionError,
    SourceArgumentError,
    not_found,
)
from nwb_ophys.home import with_home
from nwb_ophys.metadata import (
    JSON_SCHEMA_DIALECT,
    alternatives,
    class_schema,
    field,
    type_hints,
    validate,
)
from nwb_ophys.outside import check_links_in, require_ordinary
from nwb_ophys.remote.paths import RemotePath, as_path, not_read
from nwb_ophys.remote.reading import begin_reading

Arguments = TypeVar("Arguments")


def argument(
    description: str, default: Any = attrs.NOTHING, schema: Mapping[str, Any] | None = None
) -> Any:
    """Declare an argument of a format's source, or a conversion option.

    Parameters
    ----------
    description : str
        Meaning of the argument, with its unit; shown in the schema, the command line and the docs.
    default : Any, optional
        Value when the argument is not given; an argument without a default is required.
    schema : Mapping, optional
        Keywords of JSON schema beyond the type of the annotation.
    """
    return field(description, default, schema)


def allow_truncated_argument() -> Any:
    """Declare the source argument that accepts truncated files, for formats read frame by frame."""
    return argument(
        "Convert only the complete frames of files that are truncated, with a warning, instead of "
        "refusing them.",
        default=False,
    )


def trust_pickles_argument() -> Any:
    """Declare the source argument that loads pickles of any kind, for formats that are pickles."""
    return argument(
        "Load pickles of more than plain data, too; they can run any code, so trust their author.",
        default=False,
    )


def allow_outside_argument() -> Any:
    """Declare the source argument that all formats have: folders beyond that of the recording."""
    return argument(
        "Folder, or list of folders, in which files may lie that the recording names or links to, "
        "beyond its own folder.",
        default=None,
    )


@functools.cache
def with_common_arguments(cls: type) -> type:
    """Return a class of source arguments with those that all formats have.

    Parameters
    ----------
    cls : type
        The arguments of one format, an attrs class.
    """
    if "allow_outside" in {each.name for each in attrs.fields(cls)}:
        return cls
    namespace = {
        "__annotations__": {"allow_outside": "Path | list[Path] | None"},
        "__module__": __name__,
        "__doc__": cls.__doc__,
        "allow_outside": allow_outside_argument(),
    }
    return attrs.frozen(kw_only=True)(type(cls.__name__, (cls,), namespace))


def as_paths(value: Any) -> list[Path]:
    """Return an argument that is a path, a list of paths or None as a list of paths."""
    given = value if isinstance(value, (list, tuple)) else [value]
    return [with_home(as_path(each)) for each in given if isinstance(each, (str, Path))]


def check_paths(paths: Iterable[Path], *, reads_ranges: bool) -> None:
    """Check that the files and folders of a source exist and may be read.

    Parameters
    ----------
    paths : iterable of pathlib.Path
    reads_ranges : bool
        Whether files are read in object stores.

    Raises
    ------
    SourceNotFoundError, SpecialFileError, OutsideFolderError
    SourceArgumentError
        If a path is given twice, so that its frames would be written twice.
    SourceError
        If a file is in an object store and its format is read from a disk only.
    """
    paths = list(paths)
    twice = next((path for path, count in Counter(paths).items() if count > 1), None)
    if twice is not None:
        raise SourceArgumentError(f"'{twice}' is given {paths.count(twice)} times; give it once.")
    for path in paths:
        if isinstance(path, RemotePath) and not reads_ranges:
            raise not_read(path)
        if isinstance(path, RemotePath):
            begin_reading(path)
        if not path.exists():
            raise not_found(path)
        require_ordinary(path)
        if path.is_dir():
            check_links_in(path)


def paths_in(value: Any) -> list[Path]:
    """Return the paths in a checked argument, which may be of any other type."""
    given = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in given if isinstance(each, Path)]


def with_absolute_paths(value: Any) -> Any:
    """Return a checked argument that names the same files after a change of the current folder."""
    if isinstance(value, (list, tuple)):
        return [with_absolute_paths(each) for each in value]
    return value.absolute() if isinstance(value, Path) else value


@attrs.frozen(kw_only=True)
class StubOptions:
    """Conversion options that write only the beginning of a recording."""

    stub_test: bool = argument(
        "Write only the first stub_samples samples; neuroconv's name of a stub.", default=False
    )
    stub_samples: int = argument(
        "Number of samples that stub_test writes.", default=100, schema={"minimum": 1}
    )


def stub_of(chosen: Any, unit: str = "sample") -> int | None:
    """Return the number of samples to write, or None for all, by the options of a conversion.

    Parameters
    ----------
    chosen : StubOptions
        With a field ``stub``.
    unit : str
        Name of what is counted, for messages.

    Raises
    ------
    OptionError
        When ``stub`` and ``stub_test`` are both given, or ``stub`` is not positive.
    """
    stub: int | None = chosen.stub
    if stub is not None and chosen.stub_test:
        raise OptionError("The options 'stub' and 'stub_test' were both given; leave one out.")
    if stub is not None and stub < 1:
        raise OptionError(f"The option 'stub' is {stub}; it must be at least 1 {unit}.")
    return int(chosen.stub_samples) if chosen.stub_test else stub


_SIZES = {
    "buffer_gb": {"type": "number", "exclusiveMinimum": 0},
    "chunk_mb": {"type": "number", "exclusiveMinimum": 0},
    "display_progress": {"type": "boolean"},
    "progress_bar_options": {"type": "object"},
}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": 1}}


def iterator_options_argument(description: str, *, shapes: bool) -> Any:
    """Declare the conversion option for the blocks and chunks in which data are written.

    Parameters
    ----------
    description : str
    shapes : bool
        Allow shapes beside sizes, which needs all written data to have one shape.
    """
    properties = _SIZES | ({"buffer_shape": _SHAPE, "chunk_shape": _SHAPE} if shapes else {})
    schema = {"properties": properties, "additionalProperties": False}
    return argument(description, default=None, schema=schema)


def arguments_schema(cls: type, title: str) -> dict[str, Any]:
    """Return the JSON schema of an attrs class of arguments.

    Parameters
    ----------
    cls : type
        A class whose fields were declared with :func:`argument`.
    title : str
        Title of the schema.
    """
    head = {"$schema": JSON_SCHEMA_DIALECT, "title": title}
    return head | class_schema(cls, with_defaults=True)


def arguments_signature(cls: type) -> inspect.Signature:
    """Return the signature of a constructor that takes these arguments."""
    parameters = inspect.signature(cls).parameters.values()
    # Arguments of attrs classes are keywords. A constructor takes them in order too, where Python
    # wants those with a default after the others.
    ordered = sorted(parameters, key=lambda p: p.default is not inspect.Parameter.empty)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([parameter.replace(kind=kind) for parameter in ordered])


def bind_positional(
    cls: type, args: Sequence[Any], given: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """Return positional and named arguments by name.

    Raises
    ------
    SourceArgumentError
        When there are too many arguments, or one is given twice.
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
    hints = type_hints(cls)
    names = [each.name for each in attrs.fields(cls)]
    return next((name for name in names if Path in alternatives(hints[name])), None)


def parse_arguments(
    cls: type[Arguments], given: Mapping[str, Any], owner: str, error: type[NwbOphysError]
) -> Arguments:
    """Validate arguments and return an instance of their class.

    Parameters
    ----------
    cls : type
        An attrs class of arguments.
    given : Mapping
        The values by name. None counts as not given, unless the schema allows null.
    owner : str
        Name of the class that takes the arguments, for messages.
    error : type
        Class of the error that is raised.
    """
    schema = _schema_of(cls)  # type: ignore[arg-type]  # classes are hashable
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
    hints = type_hints(cls)  # type: ignore[arg-type]  # classes are hashable
    blank = next((name for name, value in values.items() if _is_blank(value, hints[name])), None)
    if blank is not None:
        raise error(f"{owner}: {blank} is an empty text; give a path, such as '.'.")
    converted = {name: _converted(value, hints[name]) for name, value in values.items()}
    for name, value in converted.items():
        if (found := _not_finite(value)) is not None:
            raise error(f"{owner}: {name} is {found}; it must be a finite number.")
        try:
            validate(_as_json(value), schema["properties"][name], name)
        except MetadataError as fault:
            raise error(f"{owner}: {fault}") from None
    return cls(**converted)


@functools.cache
def _schema_of(cls: type) -> dict[str, Any]:
    """Return the JSON schema of arguments, made once; no caller receives or changes it."""
    return class_schema(cls, with_defaults=True)


def _is_blank(value: Any, hint: Any) -> bool:
    """Return whether a path is an empty text, of which ``pathlib`` makes the current folder."""
    given = value if isinstance(value, (list, tuple)) else [value]
    is_path = Path in alternatives(hint)
    return is_path and any(isinstance(each, str) and not each.strip() for each in given)


def _not_finite(value: Any) -> float | None:
    """Return a number in an argument that is infinite or NaN, which JSON schema does not know."""
    if isinstance(value, Mapping):
        return _not_finite(list(value.values()))
    if isinstance(value, (list, tuple)):
        return next((found for each in value if (found := _not_finite(each)) is not None), None)
    is_real = isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral)
    return float(value) if is_real and not math.isfinite(value) else None


def _converted(value: Any, hint: Any) -> Any:
    """Convert a text to a path, and an integer to a float, where the type hint asks for one."""
    kinds = alternatives(hint)
    if Path in kinds and isinstance(value, str):
        return with_home(as_path(value))
    if Path in kinds and isinstance(value, Path):
        return as_path(value)
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
