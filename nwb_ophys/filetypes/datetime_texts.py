"""Dates and times in text: ISO 8601, to the nanosecond."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.timing import Datetimes, nanoseconds_of

DATE_AND_TIME = re.compile(r"\b(\d{4}-\d\d-\d\d) (?=\d\d:\d\d)")
"""A date with a blank behind it and the time of the day."""

_DATETIME = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?)([.,](?P<fraction>\d{1,9})0*)? ?"
    r"(?P<zone>Z|UTC|(?P<hours>[+-]\d\d)(:?(?P<minutes>\d\d))?)?",
    re.IGNORECASE,
)
_LONGEST_OFFSET = 14 * 60
"""Minutes by which a time zone differs from UTC at most."""
_FIRST, _LAST = datetime.datetime(1678, 1, 1), datetime.datetime(2262, 1, 1)


def is_datetime(text: str) -> bool:
    """Return whether a text has the form of a date and a time of the day."""
    return _DATETIME.fullmatch(text) is not None


def parse_datetimes(texts: Sequence[str], places: Iterable[str]) -> Datetimes:
    """Return the dates and times that texts state.

    Parameters
    ----------
    texts : sequence of str
        Such as ``2024-05-17T14:30:00.123456789+02:00``; all with a time zone, or all without.
    places : iterable of str
        Place of each text, for messages.

    Raises
    ------
    SourceError
        For a text that is not a date and time, and where only some have a time zone.
    """
    found = np.empty(len(texts), np.int64)
    has_zone = False
    for index, (text, place) in enumerate(zip(texts, places, strict=True)):
        match = _DATETIME.fullmatch(text)
        if match is None:
            said = f"'{text}' is not a date and time" if text else "a date and time is absent"
            raise SourceError(f"{place}: {said}. Correct the file, or name another column.")
        if index and has_zone != bool(match["zone"]):
            states = "states a time zone" if match["zone"] else "states no time zone"
            raise SourceError(
                f"{place}: '{text}' {states}, unlike the values before it. State one in all "
                "values, or in none."
            )
        has_zone = bool(match["zone"])
        found[index] = _nanoseconds(match, place)
    return Datetimes(nanoseconds=found, in_utc=has_zone)


def _nanoseconds(match: re.Match[str], place: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(match["whole"])
    except ValueError as error:
        raise SourceError(f"{place}: '{match[0]}' is not a date and time ({error}).") from None
    if not _FIRST <= moment < _LAST:
        raise SourceError(f"{place}: the year of '{match[0]}' is not one of 1678 to 2261.")
    hours, minutes = match["hours"] or "+0", int(match["minutes"] or 0)
    offset = int(hours) * 60 + (-minutes if hours[0] == "-" else minutes)
    if minutes > 59 or abs(offset) > _LONGEST_OFFSET:
        raise SourceError(f"{place}: there is no time zone '{match['zone']}'.")
    return nanoseconds_of(moment) + int(f"{match['fraction'] or 0:0<9}") - offset * 60 * 10**9
