"""Parts of a report that cannot be made: each says why, and the others are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from nwb_ophys.errors import as_sentence

Part = TypeVar("Part")


@attrs.frozen(kw_only=True)
class Unreadable:
    """A part of a file that cannot be shown.

    Attributes
    ----------
    place : str
        Path in the file, or the name of the part.
    reason : str
        Reason, as a sentence.
    """

    place: str
    reason: str


def attempt(place: str, make: Callable[..., Part], *given: Any) -> Part | Unreadable:
    """Return what a function makes, or why it cannot.

    Parameters
    ----------
    place : str
        Path in the file, or the name of the part.
    make : callable
    given : object
        Arguments of the function.
    """
    try:
        return make(*given)
    except Exception as error:  # of any library, about whatever a file of any author holds
        return Unreadable(
            place=place, reason=as_sentence(error if str(error) else type(error).__name__)
        )
