"""Guard the published JSON schemas: arguments and options of every format, and the metadata.

``schemas.json`` holds the schemas without their descriptions, which may be reworded. A new format
is guarded as soon as it is in there. After an intended change, or to add the new formats, write the
file again by running this file as a script.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nwb_ophys
from nwb_ophys.interfaces.arguments import arguments_schema
from nwb_ophys.metadata import (
    images_schema,
    imaging_schema,
    line_scan_schema,
    segmentation_schema,
)
from nwb_ophys.registry import formats

SNAPSHOT = Path(__file__).with_name("schemas.json")


def _described():
    """Return all schemas by name; the titles of options, which formats share, are left out."""
    found = {
        "metadata: imaging": imaging_schema(),
        "metadata: segmentation": segmentation_schema(),
        "metadata: line scan": line_scan_schema(),
        "metadata: images": images_schema(),
    }
    for name, row in formats().items():
        if row.origin == "nwb-ophys":
            cls = getattr(nwb_ophys, row.interface.partition(":")[2])
            found[f"source: {name}"] = cls.get_source_schema()
            found[f"options: {name}"] = arguments_schema(cls.Options, "")
    # As JSON has them: tuples as lists, and nothing that JSON lacks.
    return json.loads(json.dumps(found, allow_nan=False))


def _without_descriptions(value):
    if isinstance(value, list):
        return [_without_descriptions(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_descriptions(item)
        for key, item in value.items()
        if key != "description" or not isinstance(item, str)
    }


CURRENT = _described()
STORED = json.loads(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else {}


def test_every_format_in_the_snapshot_exists():
    assert STORED.keys() <= CURRENT.keys()


@pytest.mark.parametrize("name", STORED)
def test_a_schema_equals_the_stored_one(name):
    current = _without_descriptions(CURRENT[name])
    assert current == STORED[name]
    # Documents and help follow the order of the fields.
    in_order = [path for path, _ in _properties(STORED[name])]
    assert [path for path, _ in _properties(current)] == in_order


def _properties(schema, path=""):
    """Yield the path and the schema of each named property, at any depth."""
    for key, inner in schema.get("properties", {}).items():
        yield f"{path}/{key}", inner
        yield from _properties(inner, f"{path}/{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _properties(schema[key], f"{path}/{key}")


@pytest.mark.parametrize("name", [name for name in CURRENT if not name.startswith("metadata")])
def test_each_argument_and_option_is_described(name):
    properties = CURRENT[name]["properties"]
    assert [key for key, schema in properties.items() if not schema["description"]] == []


@pytest.mark.parametrize("name", [name for name in STORED if name.startswith("metadata")])
def test_each_field_of_a_model_is_described(name):
    own = ("/NWBFile", "/Subject", "/Ophys/ImagingPlane/items", "/Ophys/Device/items")
    lacking = [
        path
        for path, schema in _properties(CURRENT[name])
        if path.startswith(tuple(f"{each}/" for each in own)) and not schema.get("description")
    ]
    assert lacking == []


if __name__ == "__main__":
    lines = [
        f"{json.dumps(name)}: {json.dumps(_without_descriptions(schema), separators=(',', ':'))}"
        for name, schema in CURRENT.items()
    ]
    SNAPSHOT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
