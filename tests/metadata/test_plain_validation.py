"""Values that are valid for certain are not given to jsonschema, and only those."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nwb_ophys.formats import builtin_rows
from nwb_ophys.interfaces.arguments import arguments_schema
from nwb_ophys.metadata import schema as schemas

START = datetime(2024, 5, 17, tzinfo=timezone.utc)
VALUES: list[Any] = [
    *(None, True, False, np.True_, 0, 1, -1, 10**400, np.int16(3), np.float32(2.5)),
    *(0.5, float("nan"), float("inf"), "", "a", "a/b", "a\0b", "\ud800", "x" * 300, "2024-05-17"),
    *(START, [], [1], [1.0, 2.0], ("a",), [None], np.zeros(3), {}, {"name": "a"}, {"b": 1}, b"a"),
]
SCHEMAS: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("string", "number", "integer", "boolean", "null", "object")),
    {"type": ["string", "null"], "format": "date-time"},
    {"type": "string", "format": "path"},
    {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 1},
    {"type": "number", "minimum": 0},
    {"exclusiveMinimum": 0},
    {"type": "number", "maximum": 1, "finite": True},
    {"enum": ["a", 1]},
    {"not": {"enum": ["a"]}},
    {"not": {"type": "string"}},
    {"pattern": "^[^/:]+$"},
    {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 1}]},
    {"properties": {"name": {"type": "string"}}, "required": ["name"]},
    {"properties": {"name": {"type": "integer"}}, "additionalProperties": False},
    {"additionalProperties": {"type": "string"}},
    {"additionalProperties": True},
    {"const": "a"},
    {"minLength": 2},
]


def is_valid(value: Any, schema: Any) -> bool:
    return not list(schemas._validator_class()(schema).iter_errors(value))


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_nothing_invalid_is_plain(schema: dict[str, Any]) -> None:
    """Fault: a wrong value is written, since jsonschema was not asked."""
    for value in VALUES:
        if schemas.is_plainly_valid(value, schema):
            assert is_valid(value, schema), value


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_nothing_invalid_is_plain_in_metadata(data: st.DataObject) -> None:
    schema = data.draw(st.sampled_from([schemas.imaging_schema(), schemas.segmentation_schema()]))
    value: Any = {"NWBFile": {"session_start_time": START, "lab": "a"}, "Ophys": {}}
    value["Ophys"]["Device"] = [{"name": "a"}]
    value["Ophys"]["ImagingPlane"] = [{"name": "a", "device": "a", "excitation_lambda": 9.0}]
    where = data.draw(st.sampled_from([value, *value.values(), *value["Ophys"]["ImagingPlane"]]))
    key = data.draw(st.sampled_from([*where, "other"]))
    where[key] = data.draw(st.sampled_from(VALUES))
    if schemas.is_plainly_valid(value, schema):
        assert is_valid(value, schema)


def test_unknown_keywords_are_left_to_jsonschema() -> None:
    assert schemas.faults_of("a", {"minLength": 2})
    assert not schemas.is_plainly_valid("abc", {"minLength": 2})
    assert not schemas.is_plainly_valid("abc", {"type": "text"})


def test_the_arguments_of_all_formats_have_known_keywords() -> None:
    """Fault: a new keyword makes each conversion import jsonschema."""
    for row in builtin_rows():
        schema = arguments_schema(row.load().Source, "a")
        assert schemas.is_plainly_valid({}, {**schema, "required": []}), row.name
        for each in schema["properties"].values():
            keywords = each.keys() - {"type", "items", "anyOf", "enum"}
            assert schemas.is_plainly_valid(None, {key: each[key] for key in keywords}), each


def test_a_conversion_imports_neither_jsonschema_nor_tifffile(tmp_path: Any) -> None:
    code = f"""
import sys
import numpy as np
from nwb_ophys import TiffImagingInterface
from nwb_ophys.formats.tiff.sample import write_tiff
write_tiff(r"{tmp_path / "a.tif"}", np.zeros((5, 8, 8), "uint16"))
late = sys.modules.pop("tifffile", None)
interface = TiffImagingInterface(r"{tmp_path / "a.tif"}", 30.0)
metadata = {{"NWBFile": {{"session_start_time": "2024-05-17T10:00:00+00:00"}}}}
interface.run_conversion(r"{tmp_path / "a.nwb"}", metadata=metadata, progress=False)
print(sorted({{"jsonschema", "tifffile"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
