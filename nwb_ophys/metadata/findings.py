"""Findings on metadata, each with the option of the command line that cures it."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Literal

import attrs

from nwb_ophys.shell_words import quoted

Importance = Literal["required", "advised"]


@attrs.frozen(kw_only=True)
class Finding:
    """A value of metadata that the DANDI archive requires or advises, and which is not as wanted.

    Attributes
    ----------
    importance : {"required", "advised"}
        The archive refuses a file without what it requires.
    key : str
        Dotted key in the metadata, such as ``Subject.species``.
    message : str
    cure : str
        Option of the command line that cures it, such as ``--set Subject.sex=F``. The value is an
        example where the right one is not known.
    """

    importance: Importance
    key: str
    message: str
    cure: str


def _finding(importance: Importance, key: str, message: str, value: Any) -> Finding:
    return Finding(importance=importance, key=key, message=message, cure=_cure(key, value))


required = partial(_finding, "required")
advised = partial(_finding, "advised")


def _cure(key: str, value: Any) -> str:
    """Return the option of the command line that sets a value, quoted for a shell."""
    text = f"{key}={value}"
    if re.search(r'["$`\\!]', text):
        return f"--set {quoted(text)}"
    return f'--set "{text}"' if re.search(r"[^\w.,:+=/@%-]", text) else f"--set {text}"


def stated_text(value: Any) -> str | None:
    """Return a text that states something; None for everything else."""
    return value if isinstance(value, str) and value.strip() else None


# Inspector: COMMON_DESCRIPTION_PLACEHOLDERS.
_PLACEHOLDERS = ("no description", "no desc", "none", "placeholder", "")


def is_no_description(value: Any) -> bool:
    """Return whether a description is missing or says so."""
    if isinstance(value, str):
        return value.strip().lower().strip(".") in _PLACEHOLDERS
    return value is None
