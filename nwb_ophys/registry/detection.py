"""What a path is taken for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceNotFoundError
from nwb_ophys.glance import Glance
from nwb_ophys.registry.known import described, formats
from nwb_ophys.registry.rows import FormatRow

# How many levels of folders are looked into: those of animals and days, and what lies in them.
_DEPTH = 3
# Frames that Suite2p registered, as TIFF files: what it made of a recording, and has elsewhere.
_MADE_OF_A_RECORDING = {"reg_tif", "reg_tif_chan2"}


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
    def kind(self) -> str | None:
        """``imaging`` or ``segmentation``."""
        return self.row.kind


def detect(path: str | Path) -> list[Candidate]:
    """Return the formats that a path may be of, the likeliest first.

    Of a folder that is no recording itself, the recordings in it are returned.

    Parameters
    ----------
    path : path-like
        Of it names and headers only are read; a folder is listed once for all formats.

    Returns
    -------
    list of Candidate
        Empty where no format knows it.

    Raises
    ------
    SourceNotFoundError
        When there is nothing at the path.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    glance = Glance(path)
    known = _usable(formats().values())
    found = _candidates(glance, known)
    if glance.is_folder:
        # A folder with a movie may hold what an analysis made of it, and the other way round.
        wanted = [row for row in _not_found(known, found) if _is_looked_for(row)]
        found += _below(glance, wanted, _DEPTH)
    return found


def _usable(rows: Iterable[FormatRow]) -> list[FormatRow]:
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


def _is_looked_for(row: FormatRow) -> bool:
    """Whether a format is looked for in folders; a class of another package need not say."""
    return bool(getattr(row.load(), "is_found_in_folders", True))


def _candidates(glance: Glance, rows: Iterable[FormatRow]) -> list[Candidate]:
    # Not on the way to the list of formats, which imports none of them.
    from nwb_ophys.interfaces.arguments import path_argument

    found = []
    for row in rows:
        evidence = row.load().matches(glance) if row.is_ours else _asked(row, glance.path)
        if evidence:
            key = path_argument(row.load().Source) or "file_path"
            found.append(Candidate(row, {key: glance.path}, evidence))
    return found


def _below(glance: Glance, rows: Sequence[FormatRow], depth: int) -> list[Candidate]:
    """Return the candidates of what is in a folder: files of known endings, and folders."""
    found = []
    suffixes = {row.name: getattr(row.load(), "file_suffixes", ()) for row in rows}
    files = glance.files(*{suffix for own in suffixes.values() for suffix in own})
    for file in files:
        own = [row for row in rows if file.name.lower().endswith(suffixes.get(row.name, ()))]
        found += _candidates(glance.within(file.name), own)
    for folder in glance.folders():
        if folder.path.name in _MADE_OF_A_RECORDING:
            continue
        here = _candidates(folder, rows)
        found += here
        if depth > 1:
            found += _below(folder, _not_found(rows, here), depth - 1)
    return found


def _not_found(rows: Iterable[FormatRow], found: Sequence[Candidate]) -> list[FormatRow]:
    """Return the formats of kinds that were not found.

    What is written on request neither stands for a kind nor is hidden by one: a movie that was
    registered is not the one that was recorded.
    """
    names = {candidate.format for candidate in found}
    kinds = {candidate.kind for candidate in found if not option_asking_for(candidate.row)}
    return [
        row
        for row in rows
        if (row.name not in names if option_asking_for(row) else row.kind not in kinds)
    ]


def option_asking_for(row: FormatRow) -> str:
    """Return the option that asks for a format; empty where it is always opened.

    A class of another package need not say.
    """
    return str(getattr(row.load(), "on_request", ""))


def _asked(row: FormatRow, path: Path) -> str | None:
    """Ask another package's format, which knows nothing of glances."""
    try:
        return row.load().matches(path)
    except Exception as error:
        _leave_out(row, error)
        return None
