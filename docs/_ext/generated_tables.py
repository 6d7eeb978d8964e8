"""Directives for tables that are generated from the package, so that they cannot become outdated.

``metadata-table`` takes the name of a model in ``nwb_ophys.metadata.models``, ``arguments-table``
the dotted name of an attrs class whose fields are declared with ``argument``, and ``formats-table``
no argument. ``recording-converters`` documents the converters that the rows of the formats name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from nwb_ophys.interfaces.arguments import arguments_schema
from nwb_ophys.metadata import model_schema, models
from nwb_ophys.registry import formats

# Characters of plain text that docutils reads as markup.
_MARKUP = str.maketrans({"*": r"\*", "|": r"\|", "_": r"\_"})


class _Table(SphinxDirective):
    """Base class of list-tables with cells of reStructuredText."""

    required_arguments = 1
    headings: tuple[str, ...] = ("Key", "Type", "When not given", "Meaning")
    widths = "20 18 18 44"

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return the rows, one text per heading."""
        raise NotImplementedError

    def run(self) -> list[Any]:
        """Return the table."""
        lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {self.widths}", ""]
        for row in (self.headings, *self.rows()):
            for index, cell in enumerate(row):
                lines.append(f"   {'* -' if index == 0 else '  -'} {cell}".rstrip())
        return self.parse_text_to_nodes(StringList(lines, source=type(self).__name__))


class MetadataTable(_Table):
    """Table of the keys of a metadata model."""

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return one row per key."""
        model = getattr(models, self.arguments[0])
        schema = model_schema(model)["properties"]
        for field in attrs.fields(model):
            default = "required" if field.default is attrs.NOTHING else _shown(field.default)
            kind = _type_words(schema[field.name], field.metadata["model"])
            meaning = field.metadata["description"].translate(_MARKUP)
            yield f"``{field.name}``", kind, default, meaning


class ArgumentsTable(_Table):
    """Table of the source arguments of a format, or of conversion options."""

    headings = ("Argument", "Type", "When not given", "Meaning")

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return one row per argument."""
        module, _, name = self.arguments[0].rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        schema = arguments_schema(cls, "")
        for field in attrs.fields(cls):
            default = "required" if field.default is attrs.NOTHING else _shown(field.default)
            described = schema["properties"][field.name]
            meaning = described["description"].translate(_MARKUP)
            yield f"``{field.name}``", _type_words(described), default, meaning


class FormatsTable(_Table):
    """Table of the formats of this package."""

    required_arguments = 0
    headings = ("Format", "Kind", "Recognised", "Interface")
    widths = "20 15 40 25"

    def rows(self) -> Iterable[tuple[str, ...]]:
        """Return one row per format."""
        for row in formats().values():
            if row.is_ours:
                link = f":class:`~nwb_ophys.{row.interface_name}`"
                recognised = row.recognised.translate(_MARKUP)
                yield f"``{row.name}``", str(row.kind), recognised, link


class RecordingConverters(SphinxDirective):
    """Documentation of the converters of whole recordings."""

    def run(self) -> list[Any]:
        """Return the documentation of each class."""
        names = sorted({row.converter for row in formats().values() if row.converter})
        lines = [line for name in names for line in (f".. autoclass:: nwb_ophys.{name}", "")]
        return self.parse_text_to_nodes(StringList(lines, source=type(self).__name__))


def _shown(default: Any) -> str:
    return "left out" if default is None else f"``{default!r}``"


def _type_words(schema: Mapping[str, Any], model: type | None = None) -> str:
    """Describe in words the values that a JSON schema accepts."""
    if model is not None:
        link = f":ref:`{model.__name__} <metadata-{model.__name__}>`"
        return f"list of {link}" if schema.get("type") == "array" else link
    if "anyOf" in schema:
        return " or ".join(_type_words(arm) for arm in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"``{choice!r}``" for choice in schema["enum"])
    kind = schema.get("type", "array in memory")
    if isinstance(kind, list):
        return " or ".join(_type_words({**schema, "type": one}) for one in kind)
    if kind == "array":
        items = schema.get("items", {})
        size = f" of {schema['minItems']} or {schema['maxItems']}" if "maxItems" in schema else ""
        return f"list{size}{_plural(items) if items else ''}"
    if kind == "string" and "format" in schema:
        return {"date-time": "date and time", "path": "path"}[schema["format"]]
    return {"string": "text", "boolean": "true or false", "object": "dictionary"}.get(kind, kind)


def _plural(items: Mapping[str, Any]) -> str:
    words = _type_words(items)
    return f" {words}s" if words == "number" else f" of {words}s" if " or " not in words else ""


def setup(app: Any) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("metadata-table", MetadataTable)
    app.add_directive("arguments-table", ArgumentsTable)
    app.add_directive("formats-table", FormatsTable)
    app.add_directive("recording-converters", RecordingConverters)
    return {"parallel_read_safe": True}
