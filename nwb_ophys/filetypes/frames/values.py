"""Read values from the JSON objects that programs write about an acquisition and its frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np

from nwb_ophys.documents import parse_source_json
from nwb_ophys.metadata.datetimes import warn_of_unread_start

_LONGEST = 1 << 24
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)? ?([+-]\d\d):?(\d\d)?")
_ZONELESS = re.compile(r"(\d{4}[-/]\d\d[-/]\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?$")
_ELAPSED = re.compile(rb'"ElapsedTime-ms"\s*:\s*"?(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)')


def read_json(file: BinaryIO, length: int) -> dict[str, Any] | None:
    """Read a JSON object of some bytes; None if it is longer than any summary, or no object."""
    if length > _LONGEST:
        return None
    return parse_json(file.read(length))


def parse_json(text: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a text; None if it is damaged or another JSON value."""
    try:
        found = parse_source_json(text.rstrip(b"\0"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def first_value(values: Mapping[str, Any], *names: str) -> Any:
    """Return the first value that is stated under one of the names; None if there is none.

    Newer versions of some programs wrap values in a mapping.
    """
    for name in names:
        value = values.get(name)
        if isinstance(value, Mapping):
            value = value.get("PropVal", value.get("scalar"))
        if value not in (None, "", [], "Undefined"):
            return value
    return None


def first_number(values: Mapping[str, Any], *names: str) -> float:
    """Return the first stated value as a number; NaN if there is none or it is no number."""
    value = first_value(values, *names)
    try:
        return float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def first_positive(values: Mapping[str, Any], *names: str) -> float | None:
    """Return the first stated value if it is a finite number above 0, else None."""
    number = first_number(values, *names)
    return number if np.isfinite(number) and number > 0 else None


def acquisition_start(summary: Mapping[str, Any]) -> datetime | None:
    """Return the start of the acquisition, with the time zone if it is stated.

    A note names a start in a form that is not known.
    """
    text = str(first_value(summary, "StartTime", "Time", "DateAndTime") or "")
    match = _TIME.match(text)
    if match is None and (match := _ZONELESS.match(text)) is None:
        warn_of_unread_start("The summary of the recording", text)
        return None
    zone = f"{match[4]}:{match[5] or '00'}" if match.re is _TIME else ""
    fraction = (match[3] or ".0")[:7].ljust(7, "0")
    try:
        return datetime.fromisoformat(f"{match[1].replace('/', '-')}T{match[2]}{fraction}{zone}")
    except ValueError:
        return None


def elapsed_ms(text: bytes) -> float:
    """Return the ``ElapsedTime-ms`` in the JSON text of a frame; NaN if it is not stated."""
    match = _ELAPSED.search(text)
    return float(match[1]) if match else float("nan")
