"""Metadata as a YAML document to edit, and edits of single values."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import OptionError
from nwb_ophys.interfaces.neuroconv import without_neuroconv_keys
from nwb_ophys.metadata import (
    OPHYS_KEYS,
    DeepDict,
    archive_subject,
    dictionary_schema,
    dump_metadata,
    load_metadata,
    merge_metadata,
    to_dictionaries,
)
from nwb_ophys.metadata.deepdict import implied_links
from nwb_ophys.metadata.links import links_of_keys
from nwb_ophys.opening.texts import read_text


def edited_metadata(
    converter: OphysConverter,
    metadata_file: str | Path | Mapping[str, Any] | None,
    edits: Mapping[str, str],
    conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
) -> DeepDict:
    """Return the metadata of a converter, updated from a file and with single values.

    Parameters
    ----------
    converter : OphysConverter
    metadata_file : path-like or Mapping, optional
        A YAML or JSON file, or the metadata themselves.
    edits : Mapping of str to str
        Values by dotted keys, such as ``NWBFile.lab``; see :func:`set_in_metadata`.
    conversion_options : Mapping, optional
        Options of each stream, of which some change the metadata.
    """
    given = (
        load_metadata(metadata_file) if isinstance(metadata_file, (str, Path)) else metadata_file
    )
    metadata = converter.complete_metadata(given, conversion_options)
    schema = converter.get_metadata_schema()
    for key, text in edits.items():
        set_in_metadata(metadata, key, text, schema)
    metadata.links = links_of_keys(edits, metadata)
    metadata.implied_links = implied_links(given or {})
    return metadata


def describe_recording(
    converter: OphysConverter,
    metadata: DeepDict,
    conversion_options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    style: str = "lists",
) -> str:
    """Return metadata as a commented YAML document to edit.

    The identifier is left out, because each file gets its own. A missing session start is
    written as null. Facts that archives want and the metadata lacks are comments.

    Parameters
    ----------
    converter : OphysConverter
    metadata : DeepDict
        Complete metadata.
    conversion_options : Mapping, optional
        Options of each stream, of which some change the metadata.
    style : {"lists", "neuroconv"}
        Form of the document: lists, or dictionaries as NeuroConv has them.
    """
    document, heading = DeepDict(metadata), _HEADING
    schema = converter.get_metadata_schema()
    if style == "neuroconv":
        stated = converter.get_metadata(conversion_options)
        document, heading = to_dictionaries(metadata, stated), _HEADING + _HEADING_OF_DICTIONARIES
        schema = merge_metadata(schema, dictionary_schema())
        _warn_of_lists(document)
    session = {k: v for k, v in document["NWBFile"].items() if k != "identifier"}
    document["NWBFile"] = {"session_start_time": None, **session}
    # In the place where a reader expects it.
    rest = {key: value for key, value in document.items() if key not in _SUGGESTED}
    if isinstance(document.get("Subject"), Mapping):
        subject = archive_subject(document["Subject"])
        for note in subject.notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        document["Subject"] = subject.fields
    first = {key: document[key] for key in _SUGGESTED if key in document}
    return heading + dump_metadata(first | rest, schema, _SUGGESTED)


def _warn_of_lists(document: Mapping[str, Any]) -> None:
    """Warn of what the dictionary form has no place for."""
    left = [key for key in document["Ophys"] if key not in (*OPHYS_KEYS, "SegmentationImages")]
    if left:
        warnings.warn(
            f"NeuroConv's form has no place for {', '.join(f'Ophys.{key}' for key in left)}. "
            "nwb-ophys reads this part of the document, but interfaces of NeuroConv refuse it.",
            UserWarning,
            stacklevel=3,
        )


_HEADING = """\
# This metadata will be written. Correct it where needed; null means the default.
# NWBFile.session_start_time is required. Archives such as DANDI also want the keys that are
# comments below: remove "# " and fill them in. Further keys of NWBFile and Subject may be added.
"""

_HEADING_OF_DICTIONARIES = """\
# This is the dictionary form of NeuroConv. Interfaces of NeuroConv need the key of their entry in
# MicroscopySeries or PlaneSegmentations as their argument metadata_key.
"""

_SUGGESTED: Mapping[str, Mapping[str, Any]] = {
    "NWBFile": {
        "session_id": "M7-day1",
        "experimenter": ["Last, First"],
        "institution": "University of X",
        "lab": "X lab",
        "keywords": ["calcium imaging", "visual cortex"],
        "experiment_description": "Responses to drifting gratings.",
    },
    "Subject": {
        "subject_id": "M7",
        "species": "Mus musculus",
        "sex": "F",
        "age": "P90D",
        "date_of_birth": "2024-02-17",
        "weight": "0.025 kg",
        "genotype": "Emx1-Cre",
        "strain": "C57BL/6J",
        "description": "Trained on a wheel.",
    },
}


def set_in_metadata(metadata: DeepDict, key: str, value: Any, schema: Mapping[str, Any]) -> None:
    """Set one value in metadata by its dotted key.

    Parameters
    ----------
    metadata : DeepDict
        Metadata, changed in place.
    key : str
        Keys, and indices or names of the entries of lists, joined by dots, such as
        ``NWBFile.session_start_time`` or ``Ophys.ImagingPlane.0.location``. Without an index or
        name, as in ``Ophys.ImagingPlane.location``, the value is set in every entry of the list.
    value : object
        A text is read as YAML unless the schema asks for a text.
    schema : Mapping
        JSON schema of the metadata.

    Raises
    ------
    OptionError
        If the key does not exist, or the text is not valid YAML.
    """
    known = without_neuroconv_keys(schema) if "properties" in schema else schema
    _set(_Place(key=key, value=value), metadata, key.split("."), known)


@attrs.frozen(kw_only=True)
class _Place:
    """A dotted key and its value, for messages."""

    key: str
    value: Any

    def error(self, reason: str) -> OptionError:
        """Return the error that the key does not exist."""
        return OptionError(f"'{self.key}'{reason.rstrip('.')}.")

    def read(self, schema: Mapping[str, Any]) -> Any:
        """Return the value, of a text that which the schema asks for."""
        return read_text(self.value, schema) if isinstance(self.value, str) else self.value


def _set(given: _Place, place: Any, steps: list[str], schema: Mapping[str, Any]) -> None:
    if isinstance(place, list):
        _set_in_list(given, place, steps, schema)
        return
    step, *rest = steps
    if not isinstance(place, dict):
        if rest:
            raise given.error(f": '{step}' does not exist, because its parent has no keys.")
        raise given.error(f" leads to a {type(place).__name__}, which has no keys.")
    known = schema.get("properties", {})
    if step not in place and step not in known:
        found = _named(given, list(place.items()), steps)
        if found is None:
            raise given.error(f" has {_no_such_key(step, sorted({*place, *known}))}")
        step, rest = found
    inner = _inner(schema, step)
    if not rest:
        place[step] = given.read(inner)
        return
    if place.get(step) is None:
        if inner.get("type") == "array":
            raise given.error(_not_there(step, sorted(place)))
        place[step] = DeepDict() if inner.get("type") == "object" else ""
    _set(given, place[step], rest, inner)


def _named(
    given: _Place, members: Sequence[tuple[Any, Any]], steps: list[str]
) -> tuple[Any, list[str]] | None:
    """Return the key of the member that the steps name, and the steps after its name, or None.

    A name may have dots.
    """
    for count in range(len(steps), 0, -1):
        name = ".".join(steps[:count])
        found = [key for key, each in members if key == name or _name_of(each) == name]
        if len(found) > 1:
            keys = ", ".join(map(str, found))
            raise given.error(f": '{name}' is the name of several entries; give one of {keys}")
        if found:
            return found[0], steps[count:]
    return None


def _name_of(entry: Any) -> Any:
    return entry.get("name") if isinstance(entry, dict) else None


def _set_in_list(
    given: _Place, entries: list[Any], steps: list[str], schema: Mapping[str, Any]
) -> None:
    """Set the value in the entry of an index or a name, or in all entries."""
    step, *rest = steps
    inner = _inner(schema, step)
    known = sorted({*inner.get("properties", {}), *_keys_of(entries)})
    if step in known and entries:
        for entry in entries:
            _set(given, entry, steps, inner)
        return
    named = _named(given, list(enumerate(entries)), steps)
    if step.isdigit() and int(step) < len(entries):
        if named is not None and named[0] != int(step):
            raise given.error(
                f": '{step}' is the index of one entry and the name of another one; give the index "
                f"{named[0]} for the latter."
            )
        named = int(step), rest
    if named is None:
        raise given.error(_not_an_entry(step, entries, known))
    index, rest = named
    if rest:
        _set(given, entries[index], rest, inner)
    else:
        entries[index] = given.read(inner)


def _not_an_entry(step: str, entries: list[Any], known: Sequence[str]) -> str:
    kind = "an index" if step.isdigit() else "an index or a name"
    reason = f": '{step}' is not {kind}; the list has length {len(entries)}, from 0"
    named = f": {_in_words(entries)}" if entries else ""
    keys = f", and its entries have {_no_such_key(step, known)}" if known else ""
    return f"{reason}{named}{keys if not step.isdigit() else ''}"


def _keys_of(entries: list[Any]) -> set[str]:
    return {key for entry in entries if isinstance(entry, dict) for key in entry}


def _in_words(entries: list[Any]) -> str:
    """Return the indices of a list, with the names of its entries."""
    names = [f" ('{e['name']}')" if isinstance(e, dict) and "name" in e else "" for e in entries]
    return ", ".join(f"{index}{name}" for index, name in enumerate(names)) or "none"


def _no_such_key(step: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(step, known, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    there = f" The keys are {', '.join(known)}" if known else " There are no keys"
    return f"no key '{step}'.{hint}{there}"


def _not_there(step: str, present: Sequence[str]) -> str:
    hint = ""
    if step in ("OnePhotonSeries", "TwoPhotonSeries"):
        hint = f'; give photon_series_type="{step}" to write the movie as one'
    return f" names '{step}', which this recording does not have{hint}. It has {', '.join(present)}"


def _inner(schema: Mapping[str, Any], step: str) -> Mapping[str, Any]:
    known = schema.get("properties", {}).get(step)
    found = known or schema.get("items") or schema.get("additionalProperties") or {}
    return found if isinstance(found, Mapping) else {}
