"""Metadata as a YAML document to edit, and edits of single values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import OptionError, OutputError, OutputExistsError
from nwb_ophys.metadata import DeepDict, dump_metadata, load_metadata, merge_metadata
from nwb_ophys.metadata.deepdict import implied_links
from nwb_ophys.metadata.links import links_of_keys
from nwb_ophys.opening.texts import read_text


def edited_metadata(
    converter: OphysConverter, metadata_file: str | Path | None, edits: Mapping[str, str]
) -> DeepDict:
    """Return the metadata of a converter, updated from a file and with single values.

    Parameters
    ----------
    converter : OphysConverter
    metadata_file : path-like, optional
        A YAML or JSON file.
    edits : Mapping of str to str
        Values by dotted keys, such as ``NWBFile.lab``; see :func:`set_in_metadata`.
    """
    given = None if metadata_file is None else load_metadata(metadata_file)
    metadata = merge_metadata(converter.get_metadata(), given)
    schema = converter.get_metadata_schema()
    for key, text in edits.items():
        set_in_metadata(metadata, key, text, schema)
    metadata.links = links_of_keys(edits, metadata)
    metadata.implied_links = implied_links(given or {})
    return metadata


def describe_recording(converter: OphysConverter, metadata: DeepDict) -> str:
    """Return metadata as a commented YAML document to edit.

    The identifier is left out, because each file gets its own. A missing session start is
    written as null.
    """
    document = DeepDict(metadata)
    session = {k: v for k, v in document["NWBFile"].items() if k != "identifier"}
    document["NWBFile"] = {"session_start_time": None, **session}
    return _HEADING + dump_metadata(document, converter.get_metadata_schema())


_HEADING = """\
# This metadata will be written. Correct it where needed; null means that a key is not given.
# NWBFile.session_start_time is required; further keys of NWBFile and Subject may be added.
"""


def write_text(path: str | Path, text: str, *, overwrite: bool = False) -> None:
    """Write a text file.

    Raises
    ------
    OutputExistsError
        If the file exists and ``overwrite`` is False.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputExistsError(f"'{path}' already exists; use overwrite to replace it.")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror or error}.") from error


def set_in_metadata(metadata: DeepDict, key: str, text: str, schema: Mapping[str, Any]) -> None:
    """Set one value in metadata by its dotted key.

    Parameters
    ----------
    metadata : DeepDict
        Metadata, changed in place.
    key : str
        Keys and indices joined by dots, such as ``NWBFile.session_start_time`` or
        ``Ophys.ImagingPlane.0.location``.
    text : str
        The value, read as YAML unless the schema asks for a text.
    schema : Mapping
        JSON schema of the metadata.

    Raises
    ------
    OptionError
        If the key does not exist, or the text is not valid YAML.
    """
    *steps, last = key.split(".")
    place: Any = metadata
    for step in steps:
        place, schema = _step(place, step, key), _inner(schema, step)
    value = read_text(text, _inner(schema, last))
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise OptionError(
            f"'{key}' leads to a {type(place).__name__}, which has no keys; check the key."
        )


def _step(place: Any, step: str, key: str) -> Any:
    if isinstance(place, list):
        if not step.isdigit() or int(step) >= len(place):
            raise OptionError(
                f"'{key}': '{step}' is not an index; the list has length {len(place)}, from 0."
            )
        return place[int(step)]
    if isinstance(place, dict):
        return place[step]
    raise OptionError(
        f"'{key}': '{step}' does not exist, because its parent has no keys; check the key."
    )


def _inner(schema: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    known = schema.get("properties", {}).get(step)
    found = known or schema.get("items") or schema.get("additionalProperties") or {}
    return found if isinstance(found, Mapping) else {}
