"""Dates and times in metadata."""

from __future__ import annotations

import datetime
from typing import Any

from nwb_ophys.errors import MetadataError


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
        text = value.strip()
        # Python 3.10 does not read Z as UTC.
        text = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
        try:
            return datetime.datetime.fromisoformat(text)
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
