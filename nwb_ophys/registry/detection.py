"""Detection of the formats of files and folders."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.copies import copied_folders
from nwb_ophys.errors import CorruptSourceError, SourceError, first_of, not_found
from nwb_ophys.formats import builtin_rows
from nwb_ophys.home import with_home
from nwb_ophys.listings import listed_once
from nwb_ophys.outside import (
    current_reach,
    leads_back,
    links_leading_out,
    reach_of,
    remedy,
    require_ordinary,
    within_reach,
)
from nwb_ophys.paths import PathProbe, is_denied, sample_of_many
from nwb_ophys.registry.rows import FormatRow, described, formats, get_format
from nwb_ophys.remote.paths import as_path, list_given
from nwb_ophys.trial import was_found_damaged


@attrs.frozen
class Candidate:
    """Format that a path may have.

    Attributes
    ----------
    row : FormatRow
    source : dict of str to object
        Source arguments with the path. The user gives any others that the interface requires.
    evidence : str
        Reason in words.
    """

    row: FormatRow
    source: dict[str, Any]
    evidence: str

    @property
    def format(self) -> str:
        """Name of the format."""
        return self.row.name

    @property
    def path(self) -> Path:
        """Path of the recording: the given path or a path in it."""
        return next(iter(self.source.values()))

    @property
    def kind(self) -> str | None:
        """``imaging`` or ``segmentation``."""
        return self.row.kind


def usable(rows: Iterable[FormatRow]) -> list[FormatRow]:
    """Return complete rows; plug-ins that cannot be loaded are left out with a warning."""
    usable = []
    for row in rows:
        try:
            usable.append(row if row.is_ours else described(row))
        except Exception as error:
            _leave_out(row, error)
    return usable


def _leave_out(row: FormatRow, error: Exception) -> None:
    warnings.warn(
        f"The format '{row.name}' of '{row.origin}' is left out: {error}", UserWarning, stacklevel=5
    )


def is_looked_for(row: FormatRow) -> bool:
    """Return whether detection searches folders for a format; plug-ins need not state it."""
    return bool(getattr(row.load(), "searched_in_folders", True))


def candidates_of(probe: PathProbe, rows: Iterable[FormatRow]) -> list[Candidate]:
    """Return the formats that recognise a path."""
    # Imported here, so that listing the formats does not import the interfaces.
    from nwb_ophys.interfaces.arguments import path_argument

    found = []
    for row in rows:
        evidence = _evidence(row, probe) if row.is_ours else _asked(row, probe.path)
        if evidence:
            key = path_argument(row.load().Source) or "file_path"
            found.append(Candidate(row, {key: probe.path}, evidence))
    return found


def _evidence(row: FormatRow, probe: PathProbe) -> str | None:
    """Return the evidence of a format, or None if it cannot read the path to the end."""
    try:
        return row.load().matches(probe)  # type: ignore[no-any-return]
    except CorruptSourceError:  # another format may read the path; else it is in the last error
        return None


def likeliest(candidates: Iterable[Candidate]) -> list[tuple[Path, FormatRow]]:
    """Return the first candidate of each kind at each path.

    A folder may contain a movie and its ROIs, and movies of several programs, each in files of its
    own. Formats that are converted only on request count as a kind of their own.
    """
    found: dict[tuple[Path, str | None, str], FormatRow] = {}
    for candidate in candidates:
        row = candidate.row
        is_shared = candidate.path.is_dir() and candidate.kind == "imaging" and row.is_ours
        name = row.name if is_shared else option_asking_for(row)
        found.setdefault((candidate.path, candidate.kind, name), row)
    return [(path, row) for (path, *_), row in found.items()]


def _asked(row: FormatRow, path: Path) -> str | None:
    """Return the evidence of another package's format, whose class takes a plain path."""
    try:
        return row.load().matches(path)
    except Exception as error:
        _leave_out(row, error)
        return None


def option_asking_for(row: FormatRow) -> str:
    """Return the option that requests a format, or an empty text if it is always opened.

    Classes of other packages need not state it.
    """
    return str(getattr(row.load(), "request_option", ""))


# Levels of folders that are searched: animals, days, and the folders of recordings in them.
_DEPTH = 3
_MOST_SHOWN = 5
_DENIED = "the permission is missing; have it changed, or copy the recording"


def detect(
    path: str | Path,
    *,
    format_names: str | Sequence[str] | None = None,
    every_file: bool = False,
) -> list[Candidate]:
    """Detect the formats of a file or folder, most likely first.

    If a folder is not a recording itself, the recordings in it are returned. Warnings name
    damaged files, and folders in which only some files were opened.

    Parameters
    ----------
    path : path-like
        File or folder. Only names and headers are read, and a folder is listed once for all
        formats.
    format_names : str or sequence of str, optional
        Names of the formats to detect; by default all.
    every_file : bool
        Whether to open every file that may be a recording. By default at most 100 are opened; of
        files whose names differ only in numbers, the first and the last are opened first. Of
        TIFF files whose names differ only in numbers and which have one size, a thousand are
        opened.

    Returns
    -------
    list of Candidate
        Empty if no format recognises the path.

    Raises
    ------
    SourceNotFoundError
        If the path does not exist.
    UnknownFormatError
        If no format has one of the names.
    """
    path = with_home(as_path(path))
    list_given(path)
    if not path.exists():
        raise not_found(path)
    require_ordinary(path)
    if is_denied(path):
        raise SourceError(f"'{path}' cannot be read: {_DENIED}.")
    if isinstance(format_names, str):
        format_names = [format_names]
    rows = formats().values() if format_names is None else map(get_format, format_names)
    reach = current_reach() or reach_of([path])
    with listed_once(), within_reach(reach):
        return _detected(PathProbe(path, reads_every_file=every_file), usable(rows), every_file)


def _detected(probe: PathProbe, known: list[FormatRow], every_file: bool) -> list[Candidate]:
    found = candidates_of(probe, known)
    if not probe.is_folder:
        return found
    left_out = _LeftOut()
    places = _below(probe, _not_found(known, found), _DEPTH, left_out)
    files = [place for place in places if isinstance(place, _File)]
    names = [(file.folder, file.name) for file in files]
    looked_at = files if every_file else sample_of_many(names, files)
    if len(looked_at) < len(files):
        warnings.warn(
            f"Detection opened {len(looked_at)} of {len(files):,} files in '{probe.path}' that may "
            "be recordings. A conversion opens all of them; for detection "
            "use detect() with every_file=True (on the command line --every-file).",
            UserWarning,
            stacklevel=3,
        )
    chosen = set(map(id, looked_at))
    damaged: list[Path] = []
    for place in places:
        if isinstance(place, _Folder):
            found += place.candidates
        elif id(place) in chosen:
            mine = PathProbe(place.path, is_given=False)
            own = candidates_of(mine, _of_ending(place.path, place.rows))
            found += own
            if not own and is_denied(place.path):
                left_out.denied.append(place.path)
            elif not own:
                damaged += _damaged(mine, known)
    _warn_of_damaged(damaged)
    _warn_of_copies(left_out.copies, found)
    _warn_of_denied(left_out.denied)
    _warn_of_links(probe.path)
    return found


def _warn_of_copies(copies: Mapping[Path, str], found: Sequence[Candidate]) -> None:
    """Warn of copies of folders in which recordings were found."""
    folders = {parent for each in found for parent in (each.path, *each.path.parents)}
    left_out = {
        copy: original for copy, original in copies.items() if copy.with_name(original) in folders
    }
    if left_out:
        listed = _some([f"'{copy}' (of '{original}')" for copy, original in left_out.items()])
        warnings.warn(
            f"Left out as copies of folders beside them, which hold all of their files: {listed}. "
            "To convert a copy, give its path.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_denied(paths: Sequence[Path]) -> None:
    if paths:
        warnings.warn(
            f"Left out, as they cannot be read: {_some([repr(str(path)) for path in paths])}; "
            f"{_DENIED}.",
            UserWarning,
            stacklevel=4,
        )


def _warn_of_links(folder: Path) -> None:
    links = list(links_leading_out(folder, in_stores=False))
    if links:
        warnings.warn(
            f"Links in '{folder}' lead out of it and are not followed: "
            f"{_some([repr(str(link)) for link in links])}. A conversion refuses them; if they "
            f"belong to the recording, {remedy(links[0])}.",
            UserWarning,
            stacklevel=4,
        )


@attrs.frozen(eq=False)
class _File:
    """File that may have some formats."""

    folder: str
    name: str
    rows: Sequence[FormatRow]

    @property
    def path(self) -> Path:
        return as_path(self.folder) / self.name


@attrs.frozen(eq=False)
class _Folder:
    """Folder with the formats that it has."""

    candidates: list[Candidate]


@attrs.define
class _LeftOut:
    """Folders and files that are not searched.

    Attributes
    ----------
    copies : dict of Path to str
        Copies of folders, with the names of these.
    denied : list of Path
        Folders and files without permission to read them.
    """

    copies: dict[Path, str] = attrs.field(factory=dict)
    denied: list[Path] = attrs.field(factory=list)


def _below(
    probe: PathProbe, rows: Sequence[FormatRow], depth: int, left_out: _LeftOut
) -> list[_File | _Folder]:
    """Return everything in a folder that may be a recording: files with known endings, folders."""
    suffixes = {suffix for row in rows for suffix in row.file_suffixes}
    derived = {name for row in builtin_rows() for name in row.derived_folders}
    where, names = str(probe.path), probe.names(*suffixes)
    found: list[_File | _Folder] = [_File(where, name, rows) for name in names]
    copied = {} if probe.is_zarr else copied_folders(probe.path, probe.folder_names)
    left_out.copies |= {probe.path / name: original for name, original in copied.items()}
    for folder in probe.folders():
        if folder.path.name in copied:
            continue
        if is_denied(folder.path):
            left_out.denied.append(folder.path)
            continue
        # A Zarr group may be a recording; its arrays, and the chunks in them, are not.
        is_part = folder.is_zarr_array or (probe.is_zarr and folder.is_zarr)
        if is_part or folder.path.name in derived or leads_back(folder.path):
            continue
        here = candidates_of(folder, rows)
        found.append(_Folder(here))
        if depth > 1 and not folder.is_zarr:
            found += _below(folder, _not_found(rows, here), depth - 1, left_out)
    return found


def _of_ending(path: Path, rows: Sequence[FormatRow]) -> list[FormatRow]:
    return [row for row in rows if path.name.lower().endswith(row.file_suffixes)]


def _damaged(probe: PathProbe, known: Sequence[FormatRow]) -> list[Path]:
    """Return the file if it has the ending of a format of this package but is damaged."""
    rows = [row for row in _of_ending(probe.path, known) if row.is_ours]
    try:
        is_damaged = probe.is_file and (
            was_found_damaged(probe.path) or any(row.load().is_damaged(probe) for row in rows)
        )
    except CorruptSourceError:
        is_damaged = True
    return [probe.path] if is_damaged else []


def _warn_of_damaged(files: Sequence[Path]) -> None:
    if files:
        warnings.warn(
            f"No format with this ending recognises {_some([repr(str(file)) for file in files])}: "
            "empty, cut off, damaged, or without a file that belongs beside it. Left out; to see "
            "the reason, open the file alone and name its format (format=, on the command line "
            "--format).",
            UserWarning,
            stacklevel=4,
        )


def _some(texts: Sequence[str]) -> str:
    return first_of(texts, _MOST_SHOWN)


def _not_found(rows: Iterable[FormatRow], found: Sequence[Candidate]) -> list[FormatRow]:
    """Return the formats that a folder itself does not have, for the search inside it."""
    names = {candidate.format for candidate in found}
    return [row for row in rows if is_looked_for(row) and row.name not in names]


def is_generic(row: FormatRow) -> bool:
    """Return whether any program may write files of a format; plug-ins need not state it."""
    return bool(getattr(row.load(), "is_generic", False))
