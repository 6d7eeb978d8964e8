"""Specifications of batches from the form of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nwb_ophys.documents import parse_yaml
from nwb_ophys.errors import OptionError, SpecificationError
from nwb_ophys.page.roots import Roots

FIELDS: Mapping[str, str] = {
    "specification": "Specification file",
    "pattern": "Pattern of the folders",
    "table": "Table of sessions",
    "paths": "Files within each folder",
    "options": "Options",
    "metadata": "Metadata file",
    "subjects": "Table of subjects",
    "output": "Folder or names of the files",
    "jobs": "Sessions at a time",
}
"""Fields of the form with their labels."""

_MOST_JOBS = 64
_SPLIT = re.compile(r"[{*?]")


def jobs_of(form: Mapping[str, str]) -> int:
    """Return the number of sessions at a time.

    Raises
    ------
    OptionError
        When it is not a number from 1 to 64.
    """
    text = form["jobs"] or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_JOBS):
        raise OptionError(f"jobs is '{text}'; it must be a number from 1 to {_MOST_JOBS}.")
    return int(text)


def specification_of(form: Mapping[str, str], roots: Roots) -> str | dict[str, Any]:
    """Return the path of a specification, or the specification that a form states.

    Parameters
    ----------
    form : Mapping of str to str
        Texts by the names of ``FIELDS``.
    roots : Roots

    Raises
    ------
    SpecificationError, SourceError, OptionError
        With the field that is wrong.
    """
    sources = [name for name in ("specification", "pattern", "table") if form[name]]
    if len(sources) != 1:
        raise SpecificationError(
            "Give one of these: a specification file, a pattern of folders, or a table of sessions."
        )
    if form["specification"]:
        return str(roots.existing(form["specification"]))
    entry: dict[str, Any] = {}
    if form["pattern"]:
        entry["pattern"] = _whole(form["pattern"], roots)
    else:
        entry["table"] = str(roots.existing(form["table"]))
    if form["paths"]:
        entry["paths"] = [each.strip() for each in form["paths"].splitlines() if each.strip()]
    if form["options"]:
        entry["options"] = dict(map(_pair, form["options"].splitlines()))
    if not form["output"]:
        raise SpecificationError("The folder or the names of the files to write are missing.")
    stated: dict[str, Any] = {"output": _whole(form["output"], roots)}
    for name in ("metadata", "subjects"):
        if form[name]:
            stated[name] = str(roots.existing(form[name]))
    return {**stated, "sessions": [entry]}


def _whole(text: str, roots: Roots) -> str:
    """Return a pattern or template as a whole path, whose beginning lies in the roots."""
    start = _SPLIT.split(text)[0]
    plain = text if start == text else start.rpartition("/")[0]
    rest = text[len(plain) :]
    if ".." in rest.split("/"):
        raise SpecificationError(f"'{text}' has '..' after its first field; leave it out.")
    return f"{roots.path_of(plain or '.')}{rest if plain or not rest else '/' + rest}"


def _pair(line: str) -> tuple[str, Any]:
    key, equals, value = line.partition("=")
    if not equals or not key.strip():
        raise OptionError(f"The option '{line}' must be KEY=VALUE.")
    try:
        return key.strip(), parse_yaml(value.strip())
    except ValueError:
        return key.strip(), value.strip()
