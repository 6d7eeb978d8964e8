"""Tests of DeepDict and of the rule for merging metadata."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynwb.device import Device

from nwb_ophys.metadata import DeepDict, merge_description, merge_metadata

KEYS = st.sampled_from(["a", "b", "c", "name", "Ophys"])
LEAVES = st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)
DICTS = st.dictionaries(KEYS, VALUES, max_size=4)


def _expected(defaults, given):
    """Merge by building a new dictionary, independently of the package, which updates one."""
    if not (isinstance(defaults, dict) and isinstance(given, dict)):
        return _stated(given)
    return {
        key: _expected(defaults.get(key), given[key])
        if given.get(key) is not None
        else defaults[key]
        for key in {*defaults, *given}
        if key in defaults or given[key] is not None
    }


def _without_none_in_lists(value, is_in_list=False):
    if isinstance(value, dict):
        return {
            key: _without_none_in_lists(item, is_in_list)
            for key, item in value.items()
            if not (is_in_list and item is None)
        }
    if isinstance(value, list):
        return [_without_none_in_lists(item, True) for item in value if item is not None]
    return value


def _stated(value):
    if isinstance(value, dict):
        return {key: _stated(item) for key, item in value.items() if item is not None}
    return [_stated(item) for item in value] if isinstance(value, list) else value


def _dicts_within(value):
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list, tuple)):
            yield from _dicts_within(item)


def _types(value):
    return {type(one) for one in _dicts_within(value)}


@given(DICTS, DICTS.map(_without_none_in_lists))
def test_merge_is_the_callers_over_the_defaults(defaults, stated):
    before = copy.deepcopy((defaults, stated))
    merged = merge_metadata(defaults, stated)
    assert merged == _expected(defaults, stated)
    assert (defaults, stated) == before
    assert _types(merged) == {DeepDict}


@given(st.lists(LEAVES, max_size=4), st.lists(LEAVES, max_size=4))
def test_none_in_a_list_is_the_default_at_its_place(defaults, stated):
    merged = merge_metadata({"a": defaults}, {"a": stated})["a"]
    padded = defaults + [None] * len(stated)
    assert merged == [
        one if one is not None else default for one, default in zip(stated, padded, strict=False)
    ]


@given(DICTS, DICTS)
def test_what_is_merged_shares_nothing_with_either(defaults, stated):
    before = copy.deepcopy((defaults, stated))
    merged = merge_metadata(defaults, stated)
    for one in _dicts_within(merged):
        for value in one.values():
            if isinstance(value, list):
                value.append("added")
        one["added"] = 1
    assert (defaults, stated) == before


def test_merge_by_example():
    defaults = {"a": {"x": 1, "y": [1, 2, 3]}, "b": {"z": 1}}
    stated = {"a": {"y": [9], "x": None}, "b": 5, "c": {"d": {"e": 1}}}
    assert merge_metadata(defaults, stated) == {
        "a": {"x": 1, "y": [9]},
        "b": 5,
        "c": {"d": {"e": 1}},
    }
    assert merge_metadata(defaults, None) == defaults
    assert merge_metadata({"a": [{"x": 1}]}, {"a": [{"x": None, "y": 2}]}) == {"a": [{"y": 2}]}
    assert merge_metadata({"a": 1}, {"a": ({"x": None, "y": 2},)}) == {"a": ({"y": 2},)}


def test_dictionaries_within_tuples_are_not_shared_either():
    stated = {"Device": ({"name": "Scope"},)}
    merged = merge_metadata({}, stated)
    assert merged == stated
    merged["Device"][0]["name"] = "changed"
    assert stated == {"Device": ({"name": "Scope"},)}


@given(DICTS)
def test_it_equals_the_dictionary_with_its_content(content):
    deep = DeepDict(content)
    assert deep == content
    assert content == deep
    assert deep.to_dict() == content
    assert _types(deep.to_dict()) == {dict}
    assert _types(deep) == {DeepDict}
    assert content.keys() == deep.keys()


@given(DICTS)
def test_copies_have_the_content_and_can_be_changed_alone(content):
    deep = DeepDict(content)
    for copied in (
        pickle.loads(pickle.dumps(deep)),
        copy.deepcopy(deep),
        copy.copy(deep),
        deep.copy(),
        deep | {},
    ):
        assert _types(copied) == {DeepDict}
        assert copied == content
        copied["new"]["key"] = 1
        for one in list(_dicts_within(copied)):
            one["added"] = 1
        assert deep == content


def test_absent_keys_are_dictionaries_and_lookups_do_not_add_them():
    deep = DeepDict()
    deep["NWBFile"]["session_id"] = "1"
    assert deep.get("Subject") is None
    assert "Subject" not in deep
    assert deep == {"NWBFile": {"session_id": "1"}}
    assert deep.setdefault("Ophys", {})["Device"] == {}
    assert isinstance(deep["Ophys"], DeepDict)


def test_every_way_of_setting_converts():
    deep = DeepDict(a={"b": 1})
    deep.update({"c": {"d": 1}}, e={"f": [{"g": 1}]})
    deep |= {"h": {"i": 1}}
    deep["c"].deep_update(d={"x": 1})
    deep.deep_update({"c": {"d": {"y": 2}}})
    assert deep["c"] == {"d": {"x": 1, "y": 2}}
    assert _types(deep | {"k": {"l": 1}}) == {DeepDict}
    assert _types(deep) == {DeepDict}
    assert deep["h"]["j"] == {}
    with pytest.raises(TypeError):
        deep | 5


def test_a_deep_copy_keeps_the_devices_themselves():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        device = Device(name="Scope")
    deep = DeepDict(Ophys={"Device": [device, {"name": "Other"}]})
    copied = copy.deepcopy(deep)
    assert copied["Ophys"]["Device"][0] is device
    assert merge_metadata({}, deep)["Ophys"]["Device"][0] is device
    assert copied["Ophys"]["Device"] is not deep["Ophys"]["Device"]


def test_a_description_fills_lists_entry_by_entry():
    defaults = {"Ophys": {"Device": [{"name": "Microscope"}], "Plane": [{"name": "P", "x": [1]}]}}
    stated = {"Ophys": {"Plane": [{"name": None, "x": [2, 3]}], "Device": [{"maker": "A"}]}}
    before = copy.deepcopy((defaults, stated))
    merged = merge_description(defaults, stated)
    assert merged == {
        "Ophys": {
            "Device": [{"name": "Microscope", "maker": "A"}],
            "Plane": [{"name": "P", "x": [2, 3]}],
        }
    }
    assert (defaults, stated) == before
