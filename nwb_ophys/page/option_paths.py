"""Options whose values are paths, which must lie below the roots of the page."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nwb_ophys.errors import OptionError
from nwb_ophys.home import with_home
from nwb_ophys.metadata.value_texts import read_text
from nwb_ophys.opening import options_of
from nwb_ophys.registry import formats


def names_files(name: str, schema: Mapping[str, Any]) -> bool:
    """Return whether the values of an option are paths, or may be.

    Parameters
    ----------
    name : str
    schema : Mapping
        JSON schema of the option.
    """
    return name == "allow_outside" or name.endswith(("_path", "_paths")) or _has_paths(schema)


def _has_paths(schema: Mapping[str, Any]) -> bool:
    inner = [*schema.get("anyOf", ()), schema.get("items")]
    return schema.get("format") == "path" or any(map(_has_paths, filter(None, inner)))


def paths_in_options(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths in options of any format, also those in lists that are given as texts.

    Parameters
    ----------
    options : Mapping of str to object
        Values by the names of the options.
    """
    for name, value in options.items():
        schemas = _schemas().get(name, ())
        if isinstance(value, str):
            for schema in schemas or [{"type": "string"}] * names_files(name, {}):
                with suppress(OptionError):  # which the opening states
                    yield from _texts(read_text(value, schema))
        elif schemas or names_files(name, {}):
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in nested lists and dictionaries, with home folders in place of ``~``."""
    if isinstance(value, str):
        with suppress(RuntimeError):  # ~name of nobody
            value = str(with_home(Path(value)))
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)


@functools.cache
def _schemas() -> Mapping[str, list[Mapping[str, Any]]]:
    """Return the schemas of the options of all formats that name files, by the option's name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in formats().values():
        known: Mapping[str, Mapping[str, Any]] = {}
        with suppress(Exception):  # a package that is broken or missing reads no file, either
            known = options_of(row)
        for name, schema in known.items():
            if names_files(name, schema) and schema not in found.get(name, ()):
                found.setdefault(name, []).append(schema)
    return found
