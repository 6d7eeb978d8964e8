"""Tests of metadata as YAML and JSON: written metadata is read back unchanged."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from nwb_ophys.metadata import (
    DeepDict,
    dump_metadata,
    get_default_segmentation_metadata,
    load_metadata,
    segmentation_schema,
)

PITFALLS = [
    *("", " ", "~", "null", "yes", "No", "on", "true", "1", "1.5", ".nan", ".inf", "0x1f", "1_000"),
    *(
        "2024-05-17",
        "2024-05-17T14:30:00+02:00",
        "12:30:45",
        "- a",
        "-",
        "---",
        "...",
        "a...",
        "? a",
    ),
    *("a: b", "a:", ":a", "a #b", "#b", "a # b", "'", '"', "it's", '"a"', "[a", "{a", "a, b", "]"),
    *("&a", "*a", "!a", "%a", "@a", "`a", "|", ">", "a\nb", "\n", "a\n\nb\n", "  a", "a  ", "\ta"),
    *("µm²", "日本語", "\U0001f52c", "\x85", "\u2028", "\xa0a", "\ufeffa", "\x00", "\x7f", "\r\n"),
    # A selector of a variant of a Chinese character, which Python calls printable.
    *("\u845b\U000e0100", "\U000e01ef"),
    *("<<", "=", "a" * 300 + " b" * 100, "\\n", "C:\\data\\mouse", "a\\"),
]
TEXTS = st.one_of(
    st.sampled_from(PITFALLS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
# Control characters are none of a comment's, and YAML forbids them there.
COMMENTS = st.text(
    st.characters(exclude_categories=["C"]) | st.sampled_from("\n\t#:'"), max_size=12
)
KEYS = st.one_of(TEXTS.map(lambda text: text[:60]), st.sampled_from(["name", "Ophys", "Device"]))
MINUTES = st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
)
LEAVES = st.one_of(
    TEXTS,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.dates(),
    st.datetimes(timezones=MINUTES | st.none()),
    st.floats(width=32).map(np.float32),
    st.integers(-128, 127).map(np.int8),
    st.booleans().map(np.bool_),
    # NumPy takes an empty text for one of a NUL.
    TEXTS.filter(lambda text: text.strip("\0") == text != "").map(np.str_),
    st.lists(st.floats(), max_size=3).map(np.array),
    st.just([]),
    st.just({}),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.lists(st.dictionaries(KEYS, inner, max_size=3), max_size=3),
    ),
    max_leaves=10,
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=4)


def _same(first, second):
    """Compare metadata before and after a round trip, in which NumPy types become Python types."""
    if isinstance(first, dict):
        assert isinstance(second, dict)
        assert list(map(str, first)) == list(second)
        for (_, one), other in zip(first.items(), second.values(), strict=True):
            _same(one, other)
    elif isinstance(first, (list, tuple, np.ndarray)):
        assert isinstance(second, list)
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            _same(one, other)
    elif isinstance(first, (float, np.floating)):
        assert type(second) is float
        assert first == second or (math.isnan(first) and math.isnan(second))
    elif isinstance(first, datetime.datetime):
        assert first == second
        assert first.utcoffset() == second.utcoffset()
    else:
        assert type(second) in (str, int, bool, type(None), datetime.date)
        assert first == second


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("documents")


@given(metadata=METADATA)
@example(metadata={"a": PITFALLS})
@example(metadata={"a": {"b": {text: text for text in PITFALLS}}})
@example(metadata={"a": [{"b": [{"c": text} for text in PITFALLS]}]})
@example(metadata={"a": [{}, {"b": []}, {}]})
def test_what_is_written_is_read_again(folder, metadata):
    path = folder / "metadata.yaml"
    path.write_text(dump_metadata(metadata), encoding="utf-8", newline="")
    _same(metadata, load_metadata(path))
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        _same(metadata, reader.load(path.read_bytes()) or {})


@given(unit=TEXTS, number=st.floats(), indicator=TEXTS, description=COMMENTS)
def test_comments_of_the_schema_change_nothing(folder, unit, number, indicator, description):
    metadata = get_default_segmentation_metadata()
    metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["unit"] = unit
    metadata["Ophys"]["ImagingPlane"][0]["excitation_lambda"] = number
    metadata["Ophys"]["ImagingPlane"][0]["indicator"] = indicator
    schema = segmentation_schema()
    schema["properties"]["Ophys"]["description"] = description
    path = folder / "commented.yaml"
    path.write_text(dump_metadata(metadata, schema), encoding="utf-8", newline="")
    _same(metadata.to_dict(), load_metadata(path))


def test_each_key_has_its_comment():
    text = dump_metadata(get_default_segmentation_metadata(), segmentation_schema())
    lines = {line.split(":")[0].strip(" -"): line for line in text.splitlines()}
    assert lines["indicator"].endswith(
        "indicator: unknown  # Indicator, such as 'GCaMP6s'; 'unknown' when unknown."
    )
    assert "# Excitation wavelength in nm; NaN when unknown." in lines["excitation_lambda"]
    assert "# Name of the container." in text


def test_nothing_is_a_document_too(tmp_path):
    path = tmp_path / "empty.yaml"
    for content in ("", "\n", "# nothing\n", dump_metadata({})):
        path.write_text(content)
        assert load_metadata(path) == {}
    (tmp_path / "empty.json").touch()
    assert load_metadata(tmp_path / "empty.json") == {}


def test_json_is_read_as_json(tmp_path):
    path = tmp_path / "metadata.JSON"
    path.write_text(json.dumps({"Subject": {"age": "P90D"}, "a": float("nan")}))
    loaded = load_metadata(path)
    assert loaded["Subject"] == {"age": "P90D"}
    assert math.isnan(loaded["a"])
    assert isinstance(loaded["Subject"], DeepDict)
    assert loaded["absent"]["key"] == {}
