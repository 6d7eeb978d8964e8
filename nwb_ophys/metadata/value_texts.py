"""Values given as text, as on the command line."""

from __future__ import annotations

from collections.abc import Mapping
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
