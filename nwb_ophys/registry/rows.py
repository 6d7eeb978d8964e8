"""Formats of this package and of others, by name."""

from __future__ import annotations

import difflib
import functools
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import UnknownFormatError
from nwb_ophys.formats import Format, builtin_rows

FormatRow = Format

ENTRY_POINT_GROUP = "nwb_ophys.formats"


def formats() -> dict[str, FormatRow]:
    """Return all formats by name, in order of precedence; those of other packages come first."""
    others = {
        point.name: FormatRow(
            name=point.name,
            interface=f"{point.module}:{point.attr}",
            origin=point.dist.name if point.dist is not None else point.value.split(".")[0],
        )
        for point in _points(entry_points, _state_of_path())
    }
    ours = {row.name: row for row in builtin_rows()}
    for name in others.keys() & ours.keys():
        warnings.warn(
            f"The format '{name}' of '{others[name].origin}' is left out, since that is the name "
            "of a format of nwb-ophys; give the entry point another name.",
            UserWarning,
            stacklevel=2,
        )
    return {name: row for name, row in others.items() if name not in ours} | ours


@functools.lru_cache(maxsize=2)
def _points(read: Callable[..., Any], _state: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the entry points of formats, in order of their names.

    The files of all installed packages are read for them, which takes 10 ms, so that the result
    is kept until the path changes.
    """
    return tuple(sorted(read(group=ENTRY_POINT_GROUP), key=lambda point: point.name))


def _state_of_path() -> tuple[Any, ...]:
    """Return the folders that Python imports from, with the times at which each was changed."""
    return tuple((place, _time_of_change(place)) for place in sys.path)


def _time_of_change(place: str) -> int | None:
    try:
        return Path(place).stat().st_mtime_ns
    except (OSError, ValueError):
        return None


def get_format(name: str) -> FormatRow:
    """Return a format by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    FormatRow

    Raises
    ------
    UnknownFormatError
        If no format has this name; the message lists the names that exist.
    """
    known = formats()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise UnknownFormatError(f"There is no format '{name}'.{hint} Formats: {', '.join(known)}.")
    return known[name]


def format_table() -> list[tuple[str, ...]]:
    """Return the formats as rows of text, a heading first.

    Returns
    -------
    list of tuple of str
        Kind, name, description of the files that are recognised, extra, and ``yes`` if the required
        packages are installed, else how to install them.
    """
    rows: list[tuple[str, ...]] = [("KIND", "NAME", "RECOGNISED", "EXTRA", "INSTALLED")]
    for row in formats().values():
        try:
            full = row if row.kind is not None else described(row)
        except UnknownFormatError as error:
            rows.append(("?", row.name, str(error), "", "no"))
            continue
        installed = "yes" if row.is_installed() else f"no: {row.install_line}"
        rows.append((str(full.kind), row.name, full.recognised, row.extra or "", installed))
    return rows


def described(row: FormatRow) -> FormatRow:
    """Complete the row of another package's format with what its class states.

    Parameters
    ----------
    row : FormatRow

    Returns
    -------
    FormatRow
        A copy with the kind, the first line of the docstring, and the class's ``file_suffixes``.
    """
    cls = row.load()
    names = [base.__name__ for base in cls.__mro__]
    kind = next((k for k in ("imaging", "segmentation") if f"{k.title()}Interface" in names), "?")
    summary = (cls.__doc__ or cls.__name__).strip().splitlines()[0]
    return attrs.evolve(
        row,
        kind=kind,
        recognised=f"{summary} ({row.origin})",
        file_suffixes=tuple(getattr(cls, "file_suffixes", ())),
    )
