"""Terms of the Allen Mouse Brain CCF."""

from __future__ import annotations

import configparser
import importlib.util
import json
from pathlib import Path

import pytest

from nwb_ophys.metadata import brain_areas
from nwb_ophys.metadata.brain_areas import is_term, suggested_terms


@pytest.mark.parametrize(
    ("text", "acronym", "name"),
    [
        ("V1", "VISp", "Primary visual area"),
        ("visp", "VISp", "Primary visual area"),
        ("left V1, L2/3", "VISp2/3", "Primary visual area, layer 2/3"),
        ("Layer 2/3 of primary visual cortex", "VISp2/3", "Primary visual area, layer 2/3"),
        ("barrel cortex", "SSp-bfd", "Primary somatosensory area, barrel field"),
        ("striatum", "STR", "Striatum"),
        ("hipocampus", "HIP", "Hippocampal region"),
        ("dorsal CA1", "CA1", "Field CA1"),
        ("thalamus", "TH", "Thalamus"),
        ("cerebellum", "CB", "Cerebellum"),
        ("retrosplenial", "RSP", "Retrosplenial area"),
        ("V1; LM", "VISp", "Primary visual area"),
    ],
)
def test_the_first_suggestion(text: str, acronym: str, name: str) -> None:
    assert not is_term(text)
    assert suggested_terms(text)[0] == (acronym, name)
    assert is_term(acronym)
    assert is_term(name)


@pytest.mark.parametrize("text", ["", "unknown", "the brain", "layer 5", "x" * 100_000])
def test_nothing_is_suggested_for_what_is_like_no_structure(text: str) -> None:
    assert not is_term(text)
    assert suggested_terms(text) == []


def test_at_most_three_different_terms_are_suggested() -> None:
    for text in brain_areas._COMMON:
        found = suggested_terms(text)
        assert 1 <= len(found) <= 3
        assert len(set(found)) == len(found)


def test_suggestions_are_terms() -> None:
    assert all(is_term(each) for text in brain_areas._COMMON.values() for each in text.split())


def test_the_table_is_installed_with_the_package() -> None:
    parser = configparser.ConfigParser()
    parser.read(Path(__file__).resolve().parents[2] / "setup.cfg", encoding="utf-8")
    assert parser["options.package_data"]["nwb_ophys.metadata"] == brain_areas._TABLE


def test_the_table_has_the_terms_of_the_inspector() -> None:
    spec = importlib.util.find_spec("nwbinspector")
    assert spec is not None
    folder = Path(str(spec.origin)).parent / "_internal_configs"
    terms = json.loads((folder / "allen_ccf_structure_names.json").read_text())
    ours = brain_areas._structures()
    assert set(ours) == set(terms["acronyms"])
    assert set(ours.values()) == set(terms["names"])
