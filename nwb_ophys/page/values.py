"""Texts of controls as the command line takes them; imported without anything heavy."""

from __future__ import annotations

import json
import re

_BETWEEN = re.compile(r"[,;\s]+")


def setting_of(text: str, kind: str) -> str:
    """Return the text of a control as ``--set`` and ``--option`` take it; empty for no value.

    Parameters
    ----------
    text : str
    kind : str
        Kind of the control.
    """
    text = text.strip()
    if kind == "lines" and text:
        # JSON is YAML, and its double quotes need none of their own in a shell.
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return json.dumps(lines, ensure_ascii=False)
    if kind == "vector" and text and not text.startswith("["):
        return f"[{', '.join(_BETWEEN.split(text))}]"
    return text


def lines_of(value: str) -> int:
    """Return the number of lines of a control, which grows with its text.

    Parameters
    ----------
    value : str
    """
    return min(max(value.count("\n") + 1, 2), 8)
