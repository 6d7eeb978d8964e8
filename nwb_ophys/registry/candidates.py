"""The formats that are asked of a path, and what they say of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.glance import Glance
from nwb_ophys.registry.known import described
from nwb_ophys.registry.rows import FormatRow


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
    return bool(getattr(row.load(), "is_found_in_folders", True))


def candidates_of(glance: Glance, rows: Iterable[FormatRow]) -> list[Candidate]:
    """Return those of some formats that know what is at a path."""
    # Not on the way to the list of formats, which imports none of them.
    from nwb_ophys.interfaces.arguments import path_argument

    found = []
    for row in rows:
        evidence = row.load().matches(glance) if row.is_ours else _asked(row, glance.path)
        if evidence:
            key = path_argument(row.load().Source) or "file_path"
            found.append(Candidate(row, {key: glance.path}, evidence))
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
    return str(getattr(row.load(), "on_request", ""))
