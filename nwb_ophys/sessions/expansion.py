"""Expansion of a specification into its sessions: patterns matched, tables read, values merged."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SpecificationError, absence
from nwb_ophys.home import with_home
from nwb_ophys.metadata import DeepDict, load_metadata
from nwb_ophys.metadata.fields import class_schema
from nwb_ophys.metadata.schema import faults_of
from nwb_ophys.metadata.value_texts import read_text
from nwb_ophys.remote.paths import RemotePath, as_path, is_url
from nwb_ophys.remote.reading import names_in
from nwb_ophys.sessions.clock_files import CLOCKS, ClockFiles
from nwb_ophys.sessions.keys import SECTIONS, check_keys, faults_of_values
from nwb_ophys.sessions.outputs import distinct
from nwb_ophys.sessions.patterns import fields_of, filled, has_fields, matches
from nwb_ophys.sessions.session import OUTPUTS, RESULTS, Session, leaves
from nwb_ophys.sessions.specification import Entry, Settings, Source, Specification
from nwb_ophys.sessions.subjects import Subjects, read_subjects
from nwb_ophys.sessions.tables import Row, Table, read_table

_WRITING = (
    *("all_in_one", "backend", "zarr_format", "compression", "chunk_mb", "stub", "verify"),
    *("hash_sources", "leave_out"),
)
_PATHS = ("path", "paths")
# Words of BIDS and of laboratories.
_OTHER_NAMES = {
    **dict.fromkeys(
        ("participant_id", "participant", "animal", "animal_id", "mouse"), "subject_id"
    ),
    **dict.fromkeys(("file", "file_path", "folder", "folder_path", "filename"), "path"),
}
_SEPARATOR, _MARKS = ";", "*?"
_FOLDERS = (".", "..")


@attrs.frozen(kw_only=True)
class _Found:
    """A session before its values are merged: the match of a pattern, a row, or the entry itself.

    Attributes
    ----------
    fields : dict of str to str
    folder : pathlib.Path
        Folder in which its relative paths begin.
    match : pathlib.Path or None
        The match of the pattern.
    row : Row or None
        Row of the table.
    where : str
        Where it is stated, in words.
    """

    fields: dict[str, str]
    folder: Path
    match: Path | None = None
    row: Row | None = None
    where: str


@attrs.define(kw_only=True)
class _Draft:
    """Values of a session that are merged from several layers; later ones win."""

    metadata: DeepDict = attrs.field(factory=DeepDict)
    edits: dict[str, str] = attrs.field(factory=dict)
    options: dict[str, Any] = attrs.field(factory=dict)
    settings: dict[str, Any] = attrs.field(factory=dict)
    clocks: dict[str, Any] = attrs.field(factory=dict)
    formats: tuple[str, ...] = ()
    output: tuple[str, Path] | None = None
    paths: tuple[str, ...] | None = None
    origins: dict[str, str] = attrs.field(factory=dict)

    def copy(self) -> _Draft:
        """Return an independent draft."""
        return attrs.evolve(
            self,
            metadata=self.metadata.copy(),
            edits=dict(self.edits),
            options=dict(self.options),
            settings=dict(self.settings),
            clocks=dict(self.clocks),
            origins=dict(self.origins),
        )

    def add(self, settings: Settings, folder: Path, says: Callable[[str], str]) -> None:
        """Add the settings of a layer, whose relative paths begin in a folder."""
        for key, value in (settings.options or {}).items():
            self.options[key] = value
            self.origins[f"options.{key}"] = says(f"options.{key}")
        for key in CLOCKS:
            if getattr(settings, key) is not None:
                self.clocks[key], self.origins[key] = getattr(settings, key), says(key)
        for key in _WRITING:
            if getattr(settings, key) is not None:
                self.settings[key] = getattr(settings, key)
                self.origins[key] = says(key)
        if settings.output is not None:
            self.output, self.origins["output"] = (settings.output, folder), says("output")
        if settings.paths is not None:
            self.paths = tuple(_listed(settings.paths))
            self.origins["paths"] = says("paths")
        if settings.format is not None:
            self.formats = tuple(_listed(settings.format))
            self.origins["format"] = says("format")

    def add_metadata(self, given: Mapping[str, Any], says: Callable[[str], str]) -> None:
        """Add metadata; its values replace single values that were stated before."""
        given = _without_empty_sections(given)
        self.metadata.deep_update(given)
        for key, _ in leaves(given):
            self.origins[key] = says(key)
            self.edits.pop(key, None)

    def add_edit(self, key: str, text: str, where: str) -> None:
        """Add a single value of metadata."""
        self.edits[key], self.origins[key] = text, where


def expand(
    specification: Specification,
    path: Path,
    defaults: Sequence[Source] = (),
    data_folder: Path | None = None,
) -> list[Session]:
    """Return the sessions of a specification, in its order.

    Parameters
    ----------
    specification : Specification
    path : pathlib.Path
        The file of the specification; the tables and metadata that it names lie in its folder.
    defaults : sequence of Source
        Settings of a lab, over which those of the specification win.
    data_folder : pathlib.Path, optional
        Folder in which relative paths of recordings begin; by default that of the specification.

    Raises
    ------
    SpecificationError
        When a pattern or a table is wrong, or names no session.
    MetadataError
        When a file of metadata is wrong.
    """
    sources = [*defaults, Source(path=path, settings=specification)]
    matched: list[tuple[Entry, Path | None, Session]] = []
    for index, entry in enumerate(specification.sessions):
        where = f"{path.name}, sessions[{index}]"
        merger = _Merger(sources, entry, path, where)
        folder = data_folder or path.parent
        for found in _found(entry, path, folder, where, merger.templates):
            matched.append((entry, found.match, merger.session(found)))
        merger.warn()
    roots = Counter(_output_root(session) for *_, session in matched)
    kept = [
        (entry, match, session)
        for entry, match, session in matched
        if match is None or not _is_of_a_run(match, _output_root(session), roots)
    ]
    by_pattern: dict[str, list[Path]] = {}
    for entry, match, _ in kept:
        if match is not None:
            by_pattern.setdefault(str(entry.pattern), []).append(match)
    for pattern, paths in by_pattern.items():
        _warn_of_files(paths, pattern)
    sessions = [session for *_, session in kept]
    check_keys(sessions)
    return distinct(sessions)


def _output_root(session: Session) -> Path:
    """Return the folder in which the output of a session lies, or its folder of DANDI's names."""
    output = as_path(session.output) if is_url(session.output) else Path(session.output)
    return output if session.is_named_for_dandi else output.parent


def _is_of_a_run(match: Path, root: Path, roots: Mapping[Path, int]) -> bool:
    """Return whether a match of a pattern lies among the outputs, and has nothing but results.

    The folder of the outputs of several sessions is one of them; that of a single session may be
    the folder of its recording.
    """
    if isinstance(match, RemotePath) != isinstance(root, RemotePath):
        return False
    if not match.is_relative_to(root) or (match == root and roots[root] == 1):
        return False
    pending = [match]
    while pending:
        each = pending.pop()
        if each.name.endswith(RESULTS) or each.name.startswith("."):
            continue
        if not each.is_dir():
            return False
        with suppress(OSError):
            pending += each.iterdir()
    return True


def _found(
    entry: Entry, path: Path, folder: Path, where: str, templates: Sequence[str]
) -> list[_Found]:
    """Return the sessions of an entry, whose fields the templates of names may use."""
    if entry.pattern is not None:
        found = [
            _Found(fields=match.fields, folder=match.path, match=match.path, where=where)
            for match in matches(entry.pattern, folder)
        ]
        if not found:
            place = "" if is_url(entry.pattern) else f" in '{folder}'"
            raise SpecificationError(
                f"{where}: nothing matches the pattern '{entry.pattern}'{place}; check it against "
                "the names of the folders."
            )
        return found
    if entry.table is not None:
        table = read_table(_beside(entry.table, path.parent))
        if folder == path.parent:
            folder = table.path.parent
        if not table.rows:
            raise SpecificationError(f"{where}: the table '{table.path}' has no rows.")
        _warn_of_columns(table, templates)
        return [
            _Found(fields=_plain_of(row), folder=folder, row=row, where=row.where)
            for row in table.rows
        ]
    ids = {"subject_id": entry.subject_id, "session_id": entry.session_id}
    given = {key: text for key, text in ids.items() if text is not None}
    return [_Found(fields=given, folder=folder, where=where)]


def _warn_of_files(matched: Sequence[Path], pattern: str) -> None:
    """Warn of files beside the folders that a pattern matches, since they are sessions, too."""
    files = [path for path in matched if _is_file(path)]
    if files and len(files) < len(matched):
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        warnings.warn(
            f"The pattern '{pattern}' matches folders and files, such as '{files[0]}'"
            f"{others}, and each is a session. '{pattern}/' matches folders only.",
            UserWarning,
            stacklevel=3,
        )


def _is_file(path: Path) -> bool:
    """Return whether a match is a file; a store has just listed the folder around it."""
    if isinstance(path, RemotePath):
        return path.name in names_in(path.parent)[0]
    return path.is_file()


def _plain_of(row: Row) -> dict[str, str]:
    return {key: text for key, text in row.values.items() if "." not in key}


def _warn_of_columns(table: Table, templates: Sequence[str]) -> None:
    """Warn of columns that are neither metadata nor used in a name."""
    known = [*_PATHS, "subject_id", "session_id", *SECTIONS, *_COLUMNS, *CLOCKS]
    used = {*known, *(name for text in templates for name in fields_of(text))}
    unused = [name for name in table.columns if "." not in name and name not in used]
    if unused:
        meant = {name: _meant(name, known) for name in unused}
        hints = [f"'{other}' for '{name}'" for name, other in meant.items() if other]
        hint = f" Did you mean {', '.join(hints)}?" if hints else ""
        warnings.warn(
            f"'{table.path}': no file gets the column{'s' * (len(unused) > 1)} "
            f"{', '.join(map(repr, unused))}.{hint} To write a column, name it by its key, such as "
            "NWBFile.notes.",
            UserWarning,
            stacklevel=4,
        )


def _meant(column: str, known: Sequence[str]) -> str:
    """Return the known column whose name is like one of a table; empty without one."""
    plain = "_".join(column.lower().replace("-", " ").replace("_", " ").split())
    plain = _OTHER_NAMES.get(plain, plain)
    return next(iter(difflib.get_close_matches(plain, known, n=1, cutoff=0.8)), "")


def _beside(name: str, folder: Path) -> Path:
    """Return a path of a specification: relative to a folder, unless it is absolute."""
    return folder / with_home(Path(name))


def _joined(name: str, folder: Path) -> str:
    """Return the same as a text, which takes less time."""
    plain = str(with_home(Path(name))) if name.startswith("~") else name
    return os.path.normpath(os.path.join(folder, plain))  # noqa: PTH118


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


_COLUMNS: Mapping[str, Any] = {
    name: schema
    for name, schema in class_schema(Settings)["properties"].items()
    if name in (*_WRITING, "output", "format")
}


class _Merger:
    """Merges the values of one entry of a specification from all layers that state them.

    Parameters
    ----------
    sources : sequence of Source
        Settings for all sessions, later ones over earlier ones.
    entry : Entry
    path : pathlib.Path
        The file of the specification.
    where : str
        Place of the entry, in words.
    """

    def __init__(self, sources: Sequence[Source], entry: Entry, path: Path, where: str) -> None:
        own = Source(path=path, settings=entry)
        says: list[tuple[Source, Callable[[str], str]]] = [(each, each.says) for each in sources]
        says.append((own, lambda key: f"{where}.{key}"))
        self._layers = [
            (source, words, _metadata_of(source, words), _subjects_of(source))
            for source, words in says
        ]
        self._drafts: dict[str | None, _Draft] = {}
        self._without_row: dict[str, Path] = {}

    @property
    def templates(self) -> list[str]:
        """Outputs and paths, which may have fields."""
        stated = [source.settings for source, *_ in self._layers]
        return [text for each in stated for text in (each.output or "", *_listed(each.paths))]

    def _draft(self, subject: str | None) -> _Draft:
        """Return the values that all sessions of a subject share."""
        if subject in self._drafts:
            return self._drafts[subject].copy()
        draft = _Draft()
        for source, says, (metadata, says_metadata), subjects in self._layers:
            draft.add(source.settings, source.path.parent, says)
            draft.add_metadata(metadata, says_metadata)
            row = None if subjects is None or subject is None else subjects.row(subject)
            if subjects is not None and subject is not None and row is None:
                self._without_row[subject] = subjects.path
            if row is not None:
                for key, text in row.values.items():
                    draft.add_edit(f"Subject.{key}", text, f"{row.where}, {key}")
        self._drafts[subject] = draft
        return draft.copy()

    def _subject_of(self, found: _Found) -> str | None:
        """Return the subject of a session, which the session itself or a layer states."""
        stated = {} if found.row is None else found.row.values
        own = stated.get("Subject.subject_id", found.fields.get("subject_id"))
        for _, _, (metadata, _), _ in reversed(self._layers):
            if own is None:
                own = (metadata.get("Subject") or {}).get("subject_id")
        return None if own is None else str(own)

    def warn(self) -> None:
        """Warn of the subjects that the table of subjects lacks."""
        for path in dict.fromkeys(self._without_row.values()):
            lacking = [subject for subject, where in self._without_row.items() if where == path]
            warnings.warn(
                f"'{path}' has no row of {', '.join(map(repr, lacking))}, whose sessions get no "
                "facts of it.",
                UserWarning,
                stacklevel=3,
            )

    def session(self, found: _Found) -> Session:
        """Return the session of a match, a row or the entry itself."""
        draft, faults = self._draft(self._subject_of(found)), list[str]()
        clocks = ClockFiles(found.fields, found.folder, faults)
        for key, text in found.fields.items():
            if key in SECTIONS:
                draft.add_edit(f"{SECTIONS[key]}.{key}", text, f"{found.where}, {key}")
        if found.row is not None:
            _add_row(draft, found, found.row, faults)
        faults += faults_of_values(draft.metadata, draft.origins, draft.edits)
        paths = _paths_of(draft, found, faults)
        output, is_folder = _output_of(draft, found.fields, faults)
        return Session(
            key=_key_of(draft, found, paths),
            paths=paths,
            formats=draft.formats,
            options=draft.options,
            metadata=draft.metadata.to_dict(),
            clocks=clocks.placed(draft.clocks),
            beside=tuple(clocks.files),
            edits=draft.edits,
            output=output,
            is_named_for_dandi=is_folder,
            settings=draft.settings,
            fields=found.fields,
            origins=draft.origins,
            faults=tuple(faults),
        )


def _without_empty_sections(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without sections that have no value, which state nothing."""
    found = {key: value for key, value in given.items() if value is not None}
    if isinstance(found.get("Ophys"), Mapping):
        found["Ophys"] = {k: each for k, each in found["Ophys"].items() if each is not None}
    return found


def _metadata_of(
    source: Source, says: Callable[[str], str]
) -> tuple[Mapping[str, Any], Callable[[str], str]]:
    """Return the metadata of a layer, from its file if it names one, and the words for a key."""
    stated = source.settings.metadata
    if not isinstance(stated, str):
        return stated or {}, lambda key: says(f"metadata.{key}")
    return load_metadata(_beside(stated, source.path.parent)), lambda key: f"{stated}, {key}"


def _subjects_of(source: Source) -> Subjects | None:
    stated = source.settings.subjects
    return None if stated is None else read_subjects(_beside(stated, source.path.parent))


def _add_row(draft: _Draft, found: _Found, row: Row, faults: list[str]) -> None:
    """Add the columns of a row that are paths, settings, options or metadata."""
    for column, text in row.values.items():
        where, (section, dot, rest) = f"{row.where}, {column}", column.partition(".")
        if column in _PATHS:
            listed = tuple(part.strip() for part in text.split(_SEPARATOR) if part.strip())
            draft.paths, draft.origins["paths"] = listed, where
        elif column == "output":
            draft.output, draft.origins["output"] = (text, found.folder), where
        elif column == "format":
            draft.formats = tuple(part.strip() for part in text.split(_SEPARATOR))
            draft.origins["format"] = where
        elif column in CLOCKS:
            draft.clocks[column], draft.origins[column] = text, where
        elif column in _COLUMNS:
            draft.settings[column] = read_text(text, _COLUMNS[column])
            draft.origins[column] = where
            faults += faults_of(draft.settings[column], _COLUMNS[column], where)
        elif section == "options" and dot:
            draft.options[rest], draft.origins[column] = text, where
        elif dot:
            draft.add_edit(column, text, where)


def _paths_of(draft: _Draft, found: _Found, faults: list[str]) -> tuple[str, ...]:
    """Return the paths of a session; a name that nothing matches becomes a fault."""
    if draft.paths is None:
        if found.match is None:
            faults.append(f"{found.where} states no path of the recording; give it.")
            return ()
        return (str(found.match),)
    listed = draft.paths
    # Names lie within the match of a pattern, or else beside the specification or its table.
    folder = found.folder if found.match is None else found.match
    paths: list[str] = []
    for text in listed:
        # The name of a file may have braces, brackets and stars of its own.
        is_name = os.path.exists(_joined(text, folder))  # noqa: PTH110
        try:
            name = filled(text, found.fields) if has_fields(text) and not is_name else text
        except KeyError as error:
            faults.append(f"The path '{text}' has the field {error}, which has no value.")
            continue
        if is_url(name):
            paths.append(name)
            continue
        if isinstance(folder, RemotePath):
            own = _in_store(text, name, folder, found.fields)
            if not own:
                faults.append(f"'{folder / name}' {absence(folder / name)}.")
            paths += own
            continue
        place = _joined(name, folder)
        if os.path.exists(place):  # noqa: PTH110
            matched = [place]
        else:
            is_pattern = set(_MARKS) & set(text)
            values = found.fields if has_fields(text) else None
            matched = [each.place for each in matches(text, folder, values)] if is_pattern else []
        if not matched:
            faults.append(f"'{place}' {absence(place)}.")
        paths += matched
    return tuple(dict.fromkeys(paths))


def _in_store(text: str, name: str, folder: RemotePath, fields: Mapping[str, str]) -> list[str]:
    """Return the paths of a name or pattern within a match in an object store."""
    if (folder / name).exists():
        return [str(folder / name)]
    if not set(_MARKS) & set(text):
        return []
    return [each.place for each in matches(text, folder, fields if has_fields(text) else None)]


def _output_of(draft: _Draft, fields: Mapping[str, str], faults: list[str]) -> tuple[str, bool]:
    """Return the output of a session, and whether it is the folder of DANDI's names."""
    if draft.output is None or not draft.output[0].strip():
        raise SpecificationError(
            "The specification has no 'output'; give a folder, in which files get the names of the "
            "DANDI archive, or a template such as files/{subject_id}_{session_id}.nwb."
        )
    text, folder = draft.output
    known = dict(fields)
    for key in ("subject_id", "session_id"):
        value = draft.edits.get(f"{SECTIONS[key]}.{key}") or (
            draft.metadata.get(SECTIONS[key]) or {}
        ).get(key)
        if value is not None:
            known.setdefault(key, str(value))
    try:
        name = filled(text, {key: _as_name(value) for key, value in known.items()})
    except KeyError as error:
        faults.append(f"The output '{text}' has the field {error}, which has no value.")
        name = text
    place = name if is_url(name) else _joined(name, folder)
    return place, not name.endswith(OUTPUTS)


def _as_name(value: str) -> str:
    """Return a value as a part of a name, so that it leads to no other folder."""
    return "-" * len(value) if value in _FOLDERS else re.sub(r"[/\\]", "-", value)


def _key_of(draft: _Draft, found: _Found, paths: Sequence[str]) -> str:
    """Return the name of a session: its ids, or else what tells it apart."""
    ids = [
        str(draft.edits.get(f"{section}.{key}") or (draft.metadata.get(section) or {}).get(key, ""))
        for section, key in (("Subject", "subject_id"), ("NWBFile", "session_id"))
    ]
    if all(ids):
        return "/".join(ids)
    if found.match is not None:
        return "/".join(found.fields.values()) or found.match.name
    if found.row is not None:
        return "/".join(filter(None, ids)) or found.row.where
    return "/".join(filter(None, ids)) or Path(paths[0]).name if paths else found.where
