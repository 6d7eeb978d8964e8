"""Values given as text, as on the command line, and distinct names of paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.documents import DocumentError, parse_yaml
from nwb_ophys.errors import OptionError, as_sentence


def parse_options(given: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that have a schema, with texts parsed as the schema says."""
    return {
        name: read_text(value, properties[name]) if isinstance(value, str) else value
        for name, value in given.items()
        if name in properties
    }


def read_text(text: str, schema: Mapping[str, Any]) -> Any:
    """Parse a value as YAML, unless the schema asks for a text."""
    if schema.get("type") == "string" and text not in ("null", "~"):
        return text
    try:
        return parse_yaml(text)
    except DocumentError as error:
        raise OptionError(f"'{text}' cannot be read as a value: {as_sentence(error)}") from None


def distinct_name(path: Path, paths: Sequence[Path]) -> str:
    """Return a name for one of several paths: the folders that differ, and its stem if it does.

    Parameters
    ----------
    path : pathlib.Path
    paths : sequence of pathlib.Path
        All paths.
    """
    if len({other.stem for other in paths}) == len(paths):
        return path.stem
    folders = [other.parts[:-1] for other in paths]
    same_in_all = {
        (index, parts[0])
        for index, parts in enumerate(zip(*folders, strict=False))
        if len(set(parts)) == 1
    }
    own = {
        other: tuple(part for part in enumerate(other.parts[:-1]) if part not in same_in_all)
        for other in paths
    }
    words = [part for _, part in own[path]]
    is_enough = all(own.values()) and len(set(own.values())) == len(paths)
    return " ".join(words if is_enough else [*words, path.stem])
