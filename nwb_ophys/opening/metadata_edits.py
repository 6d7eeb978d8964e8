"""Metadata of a recording as a YAML document to edit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nwb_ophys.converter import OphysConverter
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
from nwb_ophys.metadata.setting import set_in_metadata
from nwb_ophys.storage.text_files import kind_with, write_text

_METADATA = kind_with("a document of metadata", r"""^[\s{"']*NWBFile["']?\s*:""", ".yaml", ".yml")


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


def write_metadata(path: str | Path, document: str, *, overwrite: bool = False) -> None:
    """Write a document of metadata; a former one stays until the new one is whole.

    Parameters
    ----------
    path : path-like
    document : str
        What :func:`describe_recording` returns.
    overwrite : bool
        Whether a former document may be replaced. Other files never are.

    Raises
    ------
    OutputExistsError
        If the file exists and ``overwrite`` is False.
    OutputError
        If the file cannot be written, or what is there is not a document of metadata.
    """
    write_text(path, document, replaces=_METADATA if overwrite else None)


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
