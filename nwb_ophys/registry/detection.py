"""What a path is taken for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceNotFoundError
from nwb_ophys.paths import PathProbe, sample_of_many
from nwb_ophys.registry.rows import FormatRow, described, formats, get_format


@attrs.frozen
class Candidate:
    """A format that a path may be of.

    Attributes
    ----------
    row : FormatRow
    source : dict of str to object
        The source arguments by which its interface opens the path; what else it needs is the
        user's to say.
    evidence : str
        Why, in words.
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
        """Where it is: the path given, or one in it."""
        return next(iter(self.source.values()))

    @property
    def kind(self) -> str | None:
        """``imaging`` or ``segmentation``."""
        return self.row.kind


def usable(rows: Iterable[FormatRow]) -> list[FormatRow]:
    """Return the formats; one of another package that fails does not stand in the way of others."""
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
    """Whether a format is looked for in folders; a class of another package need not say."""
    return bool(getattr(row.load(), "searched_in_folders", True))


def candidates_of(probe: PathProbe, rows: Iterable[FormatRow]) -> list[Candidate]:
    """Return those of some formats that know what is at a path."""
    # Not on the way to the list of formats, which imports none of them.
    from nwb_ophys.interfaces.arguments import path_argument

    found = []
    for row in rows:
        evidence = row.load().matches(probe) if row.is_ours else _asked(row, probe.path)
        if evidence:
            key = path_argument(row.load().Source) or "file_path"
            found.append(Candidate(row, {key: probe.path}, evidence))
    return found


def likeliest(candidates: Iterable[Candidate]) -> list[tuple[Path, FormatRow]]:
    """Return the first candidate of each kind at each path: a folder may hold a movie and its ROIs.

    What is written on request counts as a kind of its own.
    """
    found: dict[tuple[Path, str | None, str], FormatRow] = {}
    for candidate in candidates:
        key = (candidate.path, candidate.kind, option_asking_for(candidate.row))
        found.setdefault(key, candidate.row)
    return [(path, row) for (path, *_), row in found.items()]


def _asked(row: FormatRow, path: Path) -> str | None:
    """Ask another package's format, which knows nothing of glances."""
    try:
        return row.load().matches(path)
    except Exception as error:
        _leave_out(row, error)
        return None


def option_asking_for(row: FormatRow) -> str:
    """Return the option that asks for a format; empty where it is always opened.

    A class of another package need not say.
    """
    return str(getattr(row.load(), "request_option", ""))


# How many levels of folders are looked into: those of animals and days, and what lies in them.
_DEPTH = 3
# Frames that Suite2p registered, as TIFF files: what it made of a recording, and has elsewhere.
_MADE_OF_A_RECORDING = {"reg_tif", "reg_tif_chan2"}
_MOST_SHOWN = 5


def detect(
    path: str | Path,
    *,
    format_names: str | Sequence[str] | None = None,
    every_file: bool = False,
) -> list[Candidate]:
    """Return the formats that a path may be of, the likeliest first.

    Of a folder that is no recording itself, the recordings in it are returned. It warns of what is
    in a folder beside the recording that the folder is, and where files were not looked at.

    Parameters
    ----------
    path : path-like
        Of it names and headers only are read; a folder is listed once for all formats.
    format_names : str or sequence of str, optional
        The formats to look for; all if not given.
    every_file : bool
        Whether each file in a folder is looked at, however many there are. If not, of more than a
        hundred that may be recordings a hundred are, and of those whose names differ in their
        numbers alone the first and the last before the others.

    Returns
    -------
    list of Candidate
        Empty where no format knows it.

    Raises
    ------
    SourceNotFoundError
        When there is nothing at the path.
    UnknownFormatError
        When there is no format of a name.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    if isinstance(format_names, str):
        format_names = [format_names]
    rows = formats().values() if format_names is None else map(get_format, format_names)
    probe, known = PathProbe(path), usable(rows)
    found = candidates_of(probe, known)
    if not probe.is_folder:
        return found
    places = _below(probe, *_divided(known, found), _DEPTH)
    files = [place for place in places if isinstance(place, _File)]
    names = [(file.folder, file.name) for file in files]
    looked_at = files if every_file else sample_of_many(names, files)
    if len(looked_at) < len(files):
        warnings.warn(
            f"Of {len(files):,} files in '{path}' whose names are those of recordings, "
            f"{len(looked_at)} were looked at. A conversion looks at all of them, as does "
            "detect(path, every_file=True), on the command line --every-file.",
            UserWarning,
            stacklevel=2,
        )
    chosen = set(map(id, looked_at))
    left: list[Candidate] = []
    damaged: list[Path] = []
    for place in places:
        if isinstance(place, _Folder):
            found += place.candidates
            left += place.left
        elif id(place) in chosen:
            mine = PathProbe(place.path)
            own = candidates_of(mine, _of_ending(place.path, place.rows))
            others = candidates_of(mine, _of_ending(place.path, place.left_rows))
            found, left = found + own, left + others
            damaged += [] if own or others else _damaged(mine, known)
    _warn_of_left(path, left)
    _warn_of_damaged(damaged)
    return found


@attrs.frozen(eq=False)
class _File:
    """A file that may be of some formats, or be left out though it is of others."""

    folder: str
    name: str
    rows: Sequence[FormatRow]
    left_rows: Sequence[FormatRow]

    @property
    def path(self) -> Path:
        return Path(self.folder, self.name)


@attrs.frozen(eq=False)
class _Folder:
    """What a folder is taken for, and what it is left out as."""

    candidates: list[Candidate]
    left: list[Candidate]


def _divided(
    rows: Sequence[FormatRow], found: Sequence[Candidate], left: Sequence[FormatRow] = ()
) -> tuple[list[FormatRow], list[FormatRow]]:
    """Return the formats that are looked for within a folder, and those that would be left out.

    A folder with a movie may hold what analyses made of it, and the other way round. Another
    movie in it may be derived from the first: it is not taken, but said to be there.
    """
    asked = [row for row in rows if is_looked_for(row)]
    wanted = _not_found(asked, found)
    # The formats of TIFF files warn of other TIFF files in their folders themselves.
    others = [row for row in asked if row not in wanted and ".tif" not in row.suffixes]
    names = {candidate.format for candidate in found}
    return wanted, [row for row in (*others, *left) if row.name not in names]


def _below(
    probe: PathProbe, rows: Sequence[FormatRow], left: Sequence[FormatRow], depth: int
) -> list[_File | _Folder]:
    """Return what may be recordings in a folder: files of known endings, and folders."""
    suffixes = {suffix for row in (*rows, *left) for suffix in row.file_suffixes}
    where, names = str(probe.path), probe.names(*suffixes)
    found: list[_File | _Folder] = [_File(where, name, rows, left) for name in names]
    for folder in probe.folders():
        # A group of Zarr may be a recording; what is in it are arrays, and in those are chunks.
        is_part = folder.is_zarr_array or (probe.is_zarr and folder.is_zarr)
        if is_part or folder.path.name in _MADE_OF_A_RECORDING or _leads_back(folder.path):
            continue
        here = candidates_of(folder, rows)
        found.append(_Folder(here, candidates_of(folder, left)))
        if depth > 1 and not folder.is_zarr:
            found += _below(folder, *_divided(rows, here, left), depth - 1)
    return found


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a symbolic link to one that it lies in."""
    here = folder.parent.resolve()
    return folder.is_symlink() and folder.resolve() in (here, *here.parents)


def _of_ending(path: Path, rows: Sequence[FormatRow]) -> list[FormatRow]:
    return [row for row in rows if path.name.lower().endswith(row.file_suffixes)]


def _warn_of_left(path: Path, left: Sequence[Candidate]) -> None:
    names: dict[Path, str] = {}
    for candidate in left:
        names.setdefault(candidate.path, candidate.format)
    if not names:
        return
    shown = _some([f"'{file.name}' ({name})" for file, name in names.items()])
    warnings.warn(
        f"In '{path}' there is also {shown}, beside the recording that the folder "
        "is taken for. It is not read with it; give it as a path of its own.",
        UserWarning,
        stacklevel=3,
    )


def _damaged(probe: PathProbe, known: Sequence[FormatRow]) -> list[Path]:
    """Return the file, where it has the ending of a format of ours and is of none."""
    rows = [row for row in _of_ending(probe.path, known) if row.is_ours]
    is_damaged = probe.is_file and any(row.load().is_damaged(probe) for row in rows)
    return [probe.path] if is_damaged else []


def _warn_of_damaged(files: Sequence[Path]) -> None:
    if files:
        warnings.warn(
            f"{_some([repr(str(file)) for file in files])} can be read as none of the formats of "
            "such an ending: cut off or damaged, or without a file that belongs beside it. Left "
            "out; to see what is wrong, give it alone with its format (format=, on the command "
            "line --format).",
            UserWarning,
            stacklevel=3,
        )


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:_MOST_SHOWN])
    return f"{shown} and {len(texts) - _MOST_SHOWN} more" if len(texts) > _MOST_SHOWN else shown


def _not_found(rows: Iterable[FormatRow], found: Sequence[Candidate]) -> list[FormatRow]:
    """Return the formats that were not found, and of movies none where there is one.

    What is written on request neither stands for a movie nor is hidden by one: a movie that was
    registered is not the one that was recorded. ROIs of several analyses are all wanted.
    """
    names = {candidate.format for candidate in found}
    has_movie = any(
        candidate.kind == "imaging" and not option_asking_for(candidate.row) for candidate in found
    )
    return [
        row
        for row in rows
        if row.name not in names
        and not (has_movie and row.kind == "imaging" and not option_asking_for(row))
    ]
