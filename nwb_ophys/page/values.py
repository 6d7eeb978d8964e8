"""Texts of controls as the command line takes them; imported without anything heavy."""

from __future__ import annotations

import re

from nwb_ophys.documents import dump_yaml

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
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return dump_yaml(lines, flow_style=True).strip()
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
