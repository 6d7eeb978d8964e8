"""Rows of the tables: a fact, its place in the header, and its place in the NWB file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import attrs

#: Numbers that no instrument has, as texts. None removes the value from the header.
IMPOSSIBLE_TEXTS = ("0", "-3", "nan", "inf", "1e300", "wrong", "", None)
#: The same as numbers, for headers in binary form.
IMPOSSIBLE_NUMBERS = (0.0, -3.0, math.nan, math.inf, 1e300, None)
#: The same in JSON, which also has other types.
IMPOSSIBLE_JSON = (0, -3, math.nan, math.inf, 1e300, "wrong", "", None, [], {}, True, [1, 2])
#: Texts that are not dates.
IMPOSSIBLE_DATES = ("wrong", "", "99/99/9999 99:99:99", "0", "nan", None)
#: Absent texts.
NO_TEXTS = ("", None)


class Place(Protocol):
    """A value in a header, read and written without the package."""

    def get(self, folder: Path) -> Any:
        """Return the value as the header states it."""

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value; None removes it."""


@attrs.frozen(kw_only=True)
class Fact:
    """One fact of a header.

    Attributes
    ----------
    header : str
        Name in the header, which an error must mention.
    at : Place
    file : str
        Place in the NWB file, such as ``ImagingPlane.grid_spacing.0``.
    possible, impossible : tuple
        Values of the header that must be written, and that must be refused or left out.
    meant : callable
        Function from the value of the header to the value in the NWB file.
    within : bool
        Whether the value is part of a text in the NWB file.
    elsewhere : bool
        Whether the header states the fact in another place, too, which is used instead.
    alone : bool
        Whether a change moves other facts, too, so that nothing else may change with it.
    """

    header: str
    at: Place
    file: str
    possible: tuple[Any, ...]
    impossible: tuple[Any, ...] = IMPOSSIBLE_TEXTS
    meant: Callable[[Any], Any] = float
    within: bool = False
    elsewhere: bool = False
    alone: bool = False


@attrs.frozen(kw_only=True)
class Table:
    """The facts of a format.

    Attributes
    ----------
    format : str
        Name of the format's row.
    facts : tuple of Fact
    variant : str
        Name of a further table of the format, for a recording that states other facts.
    sample : callable or None
        Function that writes a recording with all facts and returns its source arguments; by
        default the sample of the format.
    constant : tuple of str
        Places in the NWB file that describe the format and do not come from a header.
    """

    format: str
    facts: tuple[Fact, ...]
    variant: str = ""
    sample: Callable[[Path, Any], dict[str, Any]] | None = None
    constant: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the table."""
        return f"{self.format} {self.variant}".strip()


def micrometres(value: Any) -> float:
    """Return a length in metres."""
    return float(value) * 1e-6


def inverse(value: Any) -> float:
    """Return the rate of a period, or the period of a rate."""
    return 1 / float(value)
