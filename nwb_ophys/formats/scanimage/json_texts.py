"""Headers of ScanImage in JSON, which its setting ``useJsonHeaderFormat`` writes, as lines.

Properties are nested, ``{"SI": {"hChannels": {"channelSave": [1, 2]}}}``, and become lines in
MATLAB syntax, ``SI.hChannels.channelSave = [1 2]``, as headers have them otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.documents import parse_source_json

# Texts in place of numbers that JSON does not have.
_NUMBERS = {"_Inf_": "Inf", "-_Inf_": "-Inf", "Inf": "Inf", "-Inf": "-Inf", "_NaN_": "NaN"}


def as_lines(text: str) -> str:
    """Return a text in JSON as lines ``property = value``; any other text unchanged."""
    stripped = text.strip("\0 \r\n\t")
    if not stripped.startswith("{"):
        return text
    try:
        found = parse_source_json(stripped)
    except ValueError:
        return text
    return "\n".join(_lines("", found)) + "\n" if isinstance(found, Mapping) else text


def _lines(prefix: str, properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if isinstance(value, Mapping) and "_ArrayType_" not in value:
            yield from _lines(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name} = {_in_matlab(value)}"


def _in_matlab(value: Any) -> str:
    """Return a value in MATLAB syntax, arrays as a row of their items."""
    if isinstance(value, list):
        items = list(_items(value))
        left, right = "{}" if any(isinstance(item, str) for item in items) else "[]"
        return f"{left}{' '.join(_in_matlab(item) for item in items)}{right}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        quoted = " ".join(value.split()).replace("'", "''")
        return _NUMBERS.get(value, f"'{quoted}'")
    return "[]" if value is None or isinstance(value, Mapping) else repr(value)


def _items(values: list[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _items(value)
        elif not isinstance(value, Mapping):
            yield value
