"""Words of command lines, as the shells of this computer read them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable

_IS_WINDOWS = os.name == "nt"
# Neither cmd.exe nor PowerShell gives another character than these a meaning of its own.
_PLAIN_ON_WINDOWS = re.compile(r"[\w./\\:=+@-]+")

NEXT_LINE = " " if _IS_WINDOWS else " \\\n    "
"""What stands before an option of a long command; shells of Windows disagree on further lines."""


def quoted(word: str, *, always: bool = False, is_windows: bool = _IS_WINDOWS) -> str:
    """Return a word in quotes where a shell would not read it as it is.

    Windows knows double quotes only.

    Parameters
    ----------
    word : str
    always : bool
        Whether other words are in quotes, too.
    is_windows : bool
        Whether the shell is one of Windows.
    """
    if not is_windows:
        found = shlex.quote(word)
        return f"'{word}'" if always and found == word else found
    if _PLAIN_ON_WINDOWS.fullmatch(word) and not always:
        return word
    # Programs read backslashes before a quote as the half of them.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def joined(words: Iterable[str]) -> str:
    """Return a command line of words."""
    return " ".join(quoted(word) for word in words)
