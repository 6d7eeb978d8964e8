"""The specification of a batch: a file that says which sessions are converted, and how.

The models are the one source of the keys, of their JSON schema and of the docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import DocumentError, read_document
from nwb_ophys.errors import SpecificationError, absence
from nwb_ophys.metadata.fields import JSON_SCHEMA_DIALECT, class_schema, field
from nwb_ophys.metadata.models import model_schema
from nwb_ophys.metadata.schema import faults_of
from nwb_ophys.outside import require_ordinary
from nwb_ophys.storage import BACKENDS
from nwb_ophys.storage.text_files import kind_with

SPECIFICATION_TEXT = kind_with(
    "a specification of sessions", r"""^[\s{"']*(sessions|experiments)["']?\s*:"""
)
"""Texts of specifications, ours and neuroconv's."""

_CLOCKS = {
    "type": ["string", "object", "array"],
    "items": {"type": ["string", "object"]},
}
_TEXTS = {"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}


@attrs.frozen(kw_only=True)
class Settings:
    """Keys that may be given for all sessions and for each entry of ``sessions``; later wins."""

    output: str | None = field(
        "Folder in which files get the names of the DANDI archive, or a template that ends in .nwb "
        "or .zarr, such as files/{subject_id}_{session_id}.nwb.",
        None,
    )
    metadata: Any = field(
        "Metadata as 'nwb-ophys metadata' writes it, or the name of a YAML or JSON file with it.",
        None,
        {"type": ["object", "string"]},
    )
    subjects: str | None = field(
        "Table of subjects with columns as in BIDS: participant_id, species, sex, age, weight, "
        "strain and others of NWB; a file that ends in .tsv, .csv or .xlsx.",
        None,
    )
    paths: Any = field(
        "Files and folders of the recording: names or patterns such as '*.tif' within the match "
        "of the pattern, or beside this file, with fields such as {subject_id}.",
        None,
        _TEXTS,
    )
    format: Any = field(
        "Format of the paths, or a list with one for each; detected if not given.", None, _TEXTS
    )
    options: Any = field(
        "Source arguments and conversion options by name, such as sampling_frequency: 30.",
        None,
        {"type": "object"},
    )
    times: Any = field(
        "Files with the time of each frame, as --times gives them, or dictionaries with their "
        "keys; names and patterns within the match of the pattern, or beside this file.",
        None,
        _CLOCKS,
    )
    pulses: Any = field(
        "Files with a channel of pulses, one pulse per frame, as --pulses gives them.",
        None,
        _CLOCKS,
    )
    trials: Any = field(
        "Table of trials, as --trials gives it, or a dictionary with its keys.",
        None,
        {"type": ["string", "object"]},
    )
    all_in_one: bool | None = field(
        "Allow recordings of different subjects or days in one file.", None
    )
    leave_out: Any = field(
        "Names of streams that are not converted, as 'nwb-ophys convert' prints them.", None, _TEXTS
    )
    backend: str | None = field("Backend of the files.", None, {"enum": list(BACKENDS)})
    zarr_format: int | None = field("Format of Zarr stores: 2 or 3.", None, {"enum": [2, 3]})
    compression: str | None = field(
        "Compression of the data, such as gzip, gzip:6, zstd, blosc or none.", None
    )
    chunk_mb: float | None = field(
        "Size of chunks, in MB.", None, {"exclusiveMinimum": 0, "finite": True}
    )
    stub: int | None = field("Write only the first N samples.", None, {"minimum": 1})
    verify: bool | None = field("Read each file back and compare it with the source.", None)
    hash_sources: bool | None = field(
        "Hash every byte of the source files for the record in each file.", None
    )


@attrs.frozen(kw_only=True)
class Entry(Settings):
    """One entry of ``sessions``: a pattern, a table, or a single session."""

    pattern: str | None = field(
        "Path whose matches are sessions, such as raw/{subject_id}/{session_id}. A field may state "
        "a date, {session_start_time:%Y%m%d}, or a regular expression, {subject_id:M[0-9]+}.",
        None,
    )
    table: str | None = field(
        "Table with a session in each row; columns: subject_id, session_id, path, fields of the "
        "output, and keys of metadata and options such as NWBFile.lab or options.stub.",
        None,
    )
    subject_id: str | None = field("Subject of a single session.", None)
    session_id: str | None = field("Name of a single session.", None)


@attrs.frozen(kw_only=True)
class Specification(Settings):
    """A batch of sessions."""

    sessions: Any = field(
        "Where the sessions are.",
        schema={"type": "array", "items": model_schema(Entry), "minItems": 1},
        model=Entry,
    )


DEFAULTS_FILE = "nwb-ophys.yaml"
"""Name of the file with a lab's own settings, beside a specification or in the user's folder."""


@attrs.frozen(kw_only=True)
class Source:
    """Settings with the file that states them.

    Attributes
    ----------
    path : pathlib.Path
    settings : Settings
    """

    path: Path
    settings: Settings

    def says(self, key: str) -> str:
        """Return where a key is stated, in words."""
        return f"{self.path.name}, {key}"


def specification_schema() -> dict[str, Any]:
    """Return the JSON schema of a specification, for editors."""
    schema = class_schema(Specification)
    return {"$schema": JSON_SCHEMA_DIALECT, "title": "Batch of nwb-ophys", **schema}


def read_specification(path: Path) -> Mapping[str, Any]:
    """Read the dictionary of a specification.

    Parameters
    ----------
    path : pathlib.Path
        ``.json`` is read as JSON, anything else as YAML.

    Raises
    ------
    SpecificationError
        When there is none.
    """
    return _mapping(path, "a specification has keys such as output and sessions")


def parse_specification(stated: Mapping[str, Any], name: str) -> Specification:
    """Return the specification that a dictionary states.

    Parameters
    ----------
    stated : Mapping
    name : str
        Name of the document, for messages.

    Raises
    ------
    SpecificationError
        With a sentence for each wrong key.
    """
    faults = faults_of(stated, specification_schema(), name)
    if faults:
        raise SpecificationError(*faults)
    entries = [Entry(**each) for each in stated["sessions"]]
    faults = [
        fault
        for index, entry in enumerate(entries)
        for fault in _faults_of_entry(entry, f'{name}["sessions"][{index}]')
    ]
    if faults:
        raise SpecificationError(*faults)
    return Specification(**{**stated, "sessions": entries})


def _faults_of_entry(entry: Entry, where: str) -> list[str]:
    if entry.pattern is not None and entry.table is not None:
        return [f"{where} has both 'pattern' and 'table'; make two entries of them."]
    if entry.pattern is None and entry.table is None:
        return [] if entry.paths else [f"{where} needs one of 'pattern', 'table' and 'paths'."]
    ids = [key for key in ("subject_id", "session_id") if getattr(entry, key) is not None]
    kind = "pattern" if entry.pattern is not None else "table"
    return [
        f"{where} has '{key}', which only a single session has; use a field or a column of the "
        f"{kind} for it."
        for key in ids
    ]


def read_defaults(path: Path) -> Source:
    """Read the file with a lab's own settings.

    Raises
    ------
    SpecificationError
        With a sentence for each wrong key.
    """
    stated = _mapping(path, "it has keys such as metadata")
    faults = faults_of(stated, class_schema(Settings), path.name)
    if faults:
        raise SpecificationError(*faults)
    return Source(path=path, settings=Settings(**stated))


def _mapping(path: Path, hint: str) -> Mapping[str, Any]:
    """Return the dictionary in a YAML or JSON file."""
    require_ordinary(path)
    if not path.is_file():
        fault = "is a folder; give a file" if path.is_dir() else absence(path)
        raise SpecificationError(f"The specification '{path}' {fault}.")
    try:
        stated = read_document(path)
    except UnicodeDecodeError as error:
        raise SpecificationError(f"'{path}' is not a text in UTF-8; give a YAML file.") from error
    except OSError as error:
        raise SpecificationError(f"'{path}' cannot be read: {error.strerror or error}.") from error
    except DocumentError as error:
        raise SpecificationError(f"'{path}' is not valid: {error}.") from error
    if stated is None:
        raise SpecificationError(f"'{path}' is empty; {hint}.")
    if not isinstance(stated, Mapping):
        raise SpecificationError(f"'{path}' holds no dictionary; {hint}.")
    return stated
