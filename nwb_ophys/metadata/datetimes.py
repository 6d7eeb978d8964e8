"""Dates and times as metadata give them."""

from __future__ import annotations

import datetime
from typing import Any

from nwb_ophys.errors import MetadataError


def parse_moment(value: Any, path: str) -> datetime.datetime:
    """Return a date and time given as such, or as ISO 8601 text.

    One without a time zone is returned without one.

    Parameters
    ----------
    value : Any
    path : str
        Where it stands, for messages.

    Raises
    ------
    MetadataError
        Naming ``path`` when it is neither.
    """
    if isinstance(value, str):
        text = value.strip()
        # Python 3.10 knows no Z.
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
