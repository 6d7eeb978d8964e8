"""Dates and times in metadata."""

from __future__ import annotations

import datetime
import re
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.metadata.limits import FIRST_YEAR, LAST_YEAR

_SECONDS = r":\d\d(?:\.\d+)?"
_FRACTION = re.compile(r"(:\d\d)\.(\d+)")
_CLOSED_ZONE = re.compile(rf"({_SECONDS}[+-]\d\d)(\d\d)$")


def plain_iso(text: str) -> str:
    """Return an ISO 8601 text in the form that ``fromisoformat`` of Python 3.10 reads, too.

    It reads neither Z as UTC, nor zones without a colon, nor fractions of a second of other than
    three or six digits.

    Parameters
    ----------
    text : str
        Any text; what is no date and time is returned as it is.
    """
    text = text.strip()
    text = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    text = _CLOSED_ZONE.sub(r"\1:\2", text)
    return _FRACTION.sub(lambda match: f"{match[1]}.{match[2][:6]:0<6}", text)


def warn_of_unread_start(source: str, text: str) -> None:
    """Warn of a start that a file states in a form that is not known.

    Parameters
    ----------
    source : str
        Name of the file, or of what states the start, as the beginning of a sentence.
    text : str
        The start as the file states it; nothing is said of an empty one.
    """
    if text.strip():
        warnings.warn(
            f"{source} states the start {shown(text)}, a form of dates that is not known; it is "
            "left out. Give NWBFile.session_start_time.",
            UserWarning,
            stacklevel=3,
        )


def parse_datetime(value: Any, path: str) -> datetime.datetime:
    """Return a datetime from a datetime, a date or an ISO 8601 text.

    The result has a time zone only when the value has one.

    Parameters
    ----------
    value : Any
    path : str
        Key of the value in the metadata, for messages.

    Raises
    ------
    MetadataError
        When the value is something else; the message names ``path``.
    """
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(plain_iso(value))
        except ValueError:
            raise MetadataError(
                f"{path} is {value!r}; it must be an ISO 8601 date and time such as "
                "'2024-05-17T14:30:00+02:00'."
            ) from None
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    raise MetadataError(f"{path} is {value!r}; it must be a date and time.")


# Zeros of the clocks of file formats and programs: FILETIME, OLE and Excel, Macintosh and LabVIEW,
# Unix, and FAT. 1900-01-01 is not among them: archives shift the sessions of people to that day.
_ZEROS = (
    datetime.datetime(1601, 1, 1),
    datetime.datetime(1899, 12, 30),
    datetime.datetime(1904, 1, 1),
    datetime.datetime(1970, 1, 1),
    datetime.datetime(1980, 1, 1),
)
# A time zone shifts the zero by up to 14 hours, and a clock runs on from it once it has power.
_TOLERANCE = datetime.timedelta(days=2)
_START_KEYS = ("session_start_time", "timestamps_reference_time")


def is_unset_clock(moment: datetime.datetime) -> bool:
    """Return whether a datetime is that of a clock that was not set, near the zero of its count.

    Parameters
    ----------
    moment : datetime.datetime
        With or without a time zone.
    """
    local = moment.replace(tzinfo=None)
    is_possible = FIRST_YEAR <= local.year <= LAST_YEAR
    return not is_possible or any(abs(local - zero) < _TOLERANCE for zero in _ZEROS)


def earliest_start(starts: Iterable[datetime.datetime | None]) -> datetime.datetime | None:
    """Return the earliest of several starts, leaving out clocks that were not set if others were.

    Parameters
    ----------
    starts : iterable of datetime.datetime or None
        Those without a time zone count as local times of this computer.
    """
    stated = [start for start in starts if start is not None]
    known = [start for start in stated if not is_unset_clock(start)]
    return min(known or stated, key=lambda start: _comparable(start), default=None)


def _comparable(moment: datetime.datetime) -> float:
    zone = moment.tzinfo or datetime.datetime.now().astimezone().tzinfo
    return (
        moment.replace(tzinfo=zone) - datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc)
    ).total_seconds()


def without_unset_clocks(stated: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return the metadata that a source states, without a start from a clock that was not set.

    Parameters
    ----------
    stated : Mapping
        Metadata, with ``NWBFile`` if the source states any of it.

    Returns
    -------
    Mapping
        The same object, or a copy that lacks the start, with a warning.
    """
    session = stated.get("NWBFile")
    if not isinstance(session, Mapping):
        return stated
    unset = {key: session[key] for key in _START_KEYS if _is_unset(session.get(key))}
    if not unset:
        return stated
    for key, value in unset.items():
        shown = value.isoformat(" ") if isinstance(value, datetime.datetime) else value
        warnings.warn(
            f"The files state the start {shown}, which is that of a clock that was not set; it is "
            f"left out. Give NWBFile.{key}.",
            UserWarning,
            stacklevel=2,
        )
    kept = {key: value for key, value in session.items() if key not in unset}
    return {**stated, "NWBFile": kept}


def _is_unset(value: Any) -> bool:
    try:
        return value is not None and is_unset_clock(parse_datetime(value, "start"))
    except MetadataError:  # reported when the metadata are checked
        return False


def in_own_zone(moment: datetime.datetime) -> datetime.datetime:
    """Return a date and time in the time zone of this computer, whose time it is if it has no zone.

    Windows knows no zone of times before 1970; they are of the zone's standard time there.
    """
    try:
        return moment.astimezone()
    except OSError:
        zone = datetime.timezone(datetime.timedelta(seconds=-time.timezone))
        return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)


# A computer in another time zone, or one whose clock is slow, may seem to be ahead.
_AHEAD = datetime.timedelta(days=1)


def warn_of_future(start: datetime.datetime, path: str) -> None:
    """Warn of a date and time in the future, which the DANDI archive refuses.

    Parameters
    ----------
    start : datetime.datetime
        With a time zone.
    path : str
        Path of the value in the metadata.
    """
    now = datetime.datetime.now(datetime.timezone.utc)
    if start > now + _AHEAD:
        warnings.warn(
            f"{path} is {start.isoformat(' ')}, in the future; the DANDI archive refuses such "
            f"files. Check the date, or the clock of this computer ({now.date()}).",
            UserWarning,
            stacklevel=2,
        )


def with_zone(given: datetime.datetime, path: str) -> datetime.datetime:
    """Add the time zone of this computer where a date and time has none; NWB requires one.

    Parameters
    ----------
    given : datetime.datetime
    path : str
        Path of the value in the metadata, for the warning.
    """
    if given.tzinfo is not None:
        return given
    local = in_own_zone(given)
    warnings.warn(
        f"{path} is {given.isoformat(' ')} without a time zone; it is written with the zone of "
        f"this computer: {local.isoformat(' ')}. State the zone to be sure.",
        UserWarning,
        stacklevel=2,
    )
    return local
