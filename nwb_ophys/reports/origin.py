"""Provenance of a file, as its own records and texts state it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from nwb_ophys.errors import first_named
from nwb_ophys.reports.stored_file import StoredFile
from nwb_ophys.shell_words import joined
from nwb_ophys.storage.record import SOURCE_SCRIPT, Known, Record, is_record, records_of

_MOST_FILES = 30
_MOST_NOTES = 50
_MOST_CHARACTERS = 20_000
_FEW = 5


@attrs.frozen(kw_only=True)
class SourceFile:
    """A file that was read for a conversion.

    Attributes
    ----------
    path : str
    num_bytes : int or None
    hash : str
    """

    path: str
    num_bytes: int | None
    hash: str


@attrs.frozen(kw_only=True)
class Written:
    """One write of the file, as its record states it.

    Attributes
    ----------
    action, written, command : str
        The command is empty for a call in Python.
    versions : tuple of (str, str)
    streams : tuple of (str, str)
        Name and class of each stream.
    source_files : tuple of SourceFile
    num_source_files : int
    notes : tuple of str
    """

    action: str
    written: str
    command: str
    versions: tuple[tuple[str, str], ...]
    streams: tuple[tuple[str, str], ...]
    source_files: tuple[SourceFile, ...]
    num_source_files: int
    notes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Origin:
    """Provenance of a file.

    Attributes
    ----------
    records : tuple of Written
        Oldest first.
    faults : tuple of str
        What does not agree with the records, in sentences.
    num_hashed : int
        Datasets of which the records state hashes.
    num_attributes : int
        Objects whose attributes were compared with the records.
    script, generated_by : str
        What the file says of the program that wrote it, without a record.
    """

    records: tuple[Written, ...]
    faults: tuple[str, ...]
    num_hashed: int
    num_attributes: int
    script: str
    generated_by: str


def gather_origin(file: StoredFile) -> Origin:
    """Return the provenance of a file; attributes are compared with its records, values are not.

    Parameters
    ----------
    file : StoredFile
    """
    records = records_of(file.root, file.storage)
    good = [each for each in records.values() if isinstance(each, Record)]
    known = Known.of(records.values())
    faults = [
        f"The record '{location}' is damaged: {reason}"
        for location, reason in records.items()
        if isinstance(reason, str)
    ]
    compared = _Compared()
    faults += compared.faults(file, known)
    script = file.value(SOURCE_SCRIPT)
    generated = file.value("general/was_generated_by")
    return Origin(
        records=tuple(map(_written, good)),
        faults=tuple(faults),
        num_hashed=len({*known.datasets, *known.values}),
        num_attributes=compared.num_attributes,
        script=script[:_MOST_CHARACTERS] if isinstance(script, str) else "",
        generated_by=_pairs_in_words(generated),
    )


class _Compared:
    """Comparison of attributes and of the presence of objects with the records."""

    num_attributes = 0

    def faults(self, file: StoredFile, known: Known) -> Iterator[str]:
        changed = []
        for path, stated in known.attributes.items():
            found = file.objects.get(path)
            if found is None or is_record(path):
                continue
            self.num_attributes += 1
            if found.error or found.attributes_hash() != stated:
                changed.append(path or "/")
        stated_paths = {*known.attributes, *known.datasets, *known.values}
        lost = sorted(stated_paths - {*file.objects})
        if changed:
            yield f"The attributes of {first_named(changed, _FEW)} are not those that were written."
        if lost:
            yield f"The records state objects that are not in the file: {first_named(lost, _FEW)}."


def _written(record: Record) -> Written:
    contents = record.contents
    files = [each for each in contents.get("source_files", ()) if isinstance(each, Mapping)]
    return Written(
        action=str(contents.get("action", "")),
        written=str(contents.get("written", "")),
        command=joined(map(str, contents.get("command", ()))),
        versions=tuple((str(k), str(v)) for k, v in dict(contents.get("versions", {})).items()),
        streams=tuple(
            (str(each.get("name", "")), str(each.get("class", "")).rpartition(":")[2])
            for each in contents.get("streams", ())
            if isinstance(each, Mapping)
        ),
        source_files=tuple(map(_source_file, files[:_MOST_FILES])),
        num_source_files=len(files),
        notes=tuple(map(str, contents.get("notes", ())))[:_MOST_NOTES],
    )


def _source_file(each: Mapping[str, Any]) -> SourceFile:
    size = each.get("size")
    return SourceFile(
        path=str(each.get("path", "")),
        num_bytes=size if isinstance(size, int) else None,
        hash=str(each.get("hash") or ""),
    )


def _pairs_in_words(value: Any) -> str:
    if not isinstance(value, list):
        return "" if value is None else str(value)
    return ", ".join(
        " ".join(map(str, each)) if isinstance(each, list) else str(each) for each in value
    )
