"""From paths to a converter of everything in them, with arguments given as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import yaml

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import (
    OptionError,
    OutputExistsError,
    SourceArgumentError,
    SourceNotFoundError,
    UnknownFormatError,
)
from nwb_ophys.interfaces.arguments import arguments_schema, path_argument
from nwb_ophys.metadata import (
    DeepDict,
    dump_metadata,
    load_metadata,
    merge_metadata,
    read_yaml,
)
from nwb_ophys.registry import FormatRow, detect, formats, get_format


@attrs.frozen
class Recording:
    """Everything in some paths, ready to be converted.

    Attributes
    ----------
    converter : OphysConverter
    conversion_options : dict of str to dict
        By stream.
    """

    converter: OphysConverter
    conversion_options: dict[str, dict[str, Any]]


def open_recording(
    paths: Sequence[str | Path],
    format_names: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Recording:
    """Open everything in some paths: all channels, planes and recordings, each as a stream.

    Parameters
    ----------
    paths : sequence of path-like
    format_names : sequence of str
        None, to recognise each path; one for all paths; or one for each.
    options : Mapping, optional
        Source arguments and conversion options by name; texts are read as their schema says. An
        option goes to every stream that knows it.

    Raises
    ------
    SourceNotFoundError
        When a path is not there.
    UnknownFormatError
        When no format of the name exists, or none recognises a path.
    OptionError
        When no stream knows an option.
    """
    rows = _rows([Path(path) for path in paths], format_names)
    given = dict(options or {})
    classes = [row.load() for _, row in rows]
    _check_known(given, classes)
    interfaces: dict[str, Any] = {}
    for (path, row), cls in zip(rows, classes, strict=True):
        source = _typed(given, _source_schema(cls))
        _check_complete(path, row, cls, source)
        for part, arguments in cls.streams(path, **source).items():
            interfaces[_stream_name(path, row, part, rows, interfaces)] = cls(**arguments)
    converter = OphysConverter(interfaces)
    conversion = {
        name: _typed(given, arguments_schema(interface.Options, "")["properties"])
        for name, interface in interfaces.items()
    }
    return Recording(converter, conversion)


def edited_metadata(
    converter: OphysConverter, metadata_file: str | Path | None, edits: Mapping[str, str]
) -> DeepDict:
    """Return the metadata of a converter with those of a file and single values put in.

    Parameters
    ----------
    converter : OphysConverter
    metadata_file : path-like, optional
        YAML or JSON.
    edits : Mapping of str to str
        Values by dotted keys; see :func:`set_in_metadata`.
    """
    given = None if metadata_file is None else load_metadata(metadata_file)
    metadata = merge_metadata(converter.get_metadata(), given)
    schema = converter.get_metadata_schema()
    for key, text in edits.items():
        set_in_metadata(metadata, key, text, schema)
    return metadata


def describe_recording(converter: OphysConverter, metadata: DeepDict) -> str:
    """Return metadata as a commented YAML document to edit.

    The identifier is left out: each file gets one of its own. A missing start of the session is
    marked.
    """
    document = DeepDict(metadata)
    session = {k: v for k, v in document["NWBFile"].items() if k != "identifier"}
    document["NWBFile"] = {"session_start_time": None, **session}
    return _HEADING + dump_metadata(document, converter.get_metadata_schema())


_HEADING = """\
# What will be written. Change what you know better; a key set to null counts as not given.
# NWBFile.session_start_time is required; further keys of NWBFile and Subject may be added.
"""


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file.

    Raises
    ------
    OutputExistsError
        When it exists and may not be overwritten.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"'{path}' exists already; use overwrite to replace it.")
    path.write_text(text, encoding="utf-8")


def set_in_metadata(metadata: DeepDict, key: str, text: str, schema: Mapping[str, Any]) -> None:
    """Set one value in metadata by its dotted key.

    Parameters
    ----------
    metadata : DeepDict
        Changed.
    key : str
        Such as ``NWBFile.session_start_time`` or ``Ophys.ImagingPlane.0.location``.
    text : str
        Read as the schema says.
    schema : Mapping
        JSON schema of the metadata.

    Raises
    ------
    OptionError
        When the key leads nowhere.
    """
    *steps, last = key.split(".")
    place: Any = metadata
    for step in steps:
        place, schema = _step(place, step, key), _inner(schema, step)
    value = _read_text(text, _inner(schema, last))
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise OptionError(f"'{key}' leads to a {type(place).__name__}, which has no keys.")


def _step(place: Any, step: str, key: str) -> Any:
    if isinstance(place, list):
        if not step.isdigit() or int(step) >= len(place):
            raise OptionError(f"'{key}': '{step}' is none of the {len(place)} entries, from 0.")
        return place[int(step)]
    if isinstance(place, dict):
        return place[step]
    raise OptionError(f"'{key}': there is nothing below '{step}'.")


def _inner(schema: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    known = schema.get("properties", {}).get(step)
    found = known or schema.get("items") or schema.get("additionalProperties") or {}
    return found if isinstance(found, Mapping) else {}


def _rows(paths: Sequence[Path], names: Sequence[str]) -> list[tuple[Path, FormatRow]]:
    if len(names) not in (0, 1, len(paths)):
        raise OptionError(f"{len(names)} formats are given for {len(paths)} paths; give one each.")
    chosen = [get_format(name) for name in names]
    for path in paths:
        if not path.exists():
            raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    if not names:
        return [(path, row) for path in paths for row in _recognised(path)]
    return list(zip(paths, chosen if len(chosen) > 1 else chosen * len(paths), strict=True))


def _recognised(path: Path) -> list[FormatRow]:
    """Return the likeliest format of each kind: a folder may hold a movie and its ROIs."""
    likeliest: dict[str | None, FormatRow] = {}
    for candidate in detect(path):
        likeliest.setdefault(candidate.row.kind, candidate.row)
    if likeliest:
        return list(likeliest.values())
    known = "; ".join(f"{row.name}: {row.recognised}" for row in formats().values())
    raise UnknownFormatError(f"No format recognises '{path}'. Give one, of these: {known}.")


def _source_schema(cls: Any) -> dict[str, Any]:
    """Return the schemas of the source arguments that are options: all but the path."""
    properties = cls.get_source_schema()["properties"]
    return {name: schema for name, schema in properties.items() if name != _path_of(cls)}


def _path_of(cls: Any) -> str:
    return path_argument(cls.Source) or "file_path"


def _check_known(given: Mapping[str, Any], classes: Sequence[Any]) -> None:
    known: dict[str, None] = {}
    for cls in classes:
        known |= dict.fromkeys(_source_schema(cls))
        known |= dict.fromkeys(arguments_schema(cls.Options, "")["properties"])
    unknown = [name for name in given if name not in known]
    if unknown:
        raise OptionError(f"There is no option '{unknown[0]}' here; options: {', '.join(known)}.")


def _check_complete(path: Path, row: FormatRow, cls: Any, source: Mapping[str, Any]) -> None:
    schema = cls.get_source_schema()
    given = {*source, _path_of(cls)}
    missing = [name for name in schema["required"] if name not in given]
    if missing:
        raise SourceArgumentError(
            f"'{path}' (format {row.name}) needs {missing[0]}: "
            f"{schema['properties'][missing[0]]['description']} "
            f"Give it with --option {missing[0]}=VALUE."
        )


def _typed(given: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _read_text(value, properties[name]) if isinstance(value, str) else value
        for name, value in given.items()
        if name in properties
    }


def _read_text(text: str, schema: Mapping[str, Any]) -> Any:
    """Read a value as YAML, unless a text is meant."""
    if schema.get("type") == "string" and text not in ("null", "~"):
        return text
    try:
        return read_yaml(text)
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(
            f"'{text}' cannot be read as a value: {' '.join(str(error).split())}."
        ) from None


def _stream_name(
    path: Path,
    row: FormatRow,
    part: str,
    rows: Sequence[tuple[Path, FormatRow]],
    taken: Mapping[str, Any],
) -> str:
    """Return a name after the format, or the path where several are of one format, and the part."""
    alike = sum(other is row or other == row for _, other in rows)
    name = f"{row.name if alike == 1 else path.stem} {part}".strip()
    number = 2
    while name in taken:
        name, number = f"{name.rsplit(' #')[0]} #{number}", number + 1
    return name
