"""Facts that several parts of a recording state."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys.metadata import CommonFacts, common_facts


def test_facts_on_which_all_agree_are_kept_without_a_word():
    facts = {"gain": 2, "zoom": 1.5, "name": "a", "size": (1.0, 2.0), "unknown": float("nan")}
    other = {"gain": 2.0, "zoom": 1.5000000001, "name": "a", "size": [1, 2], "unknown": np.nan}
    assert common_facts("'x'", [("1", facts), ("2", other)]) == facts
    assert common_facts("'x'", [("1", facts)]) == facts
    assert common_facts("'x'", []) == {}


def test_facts_that_differ_are_left_out_with_both_values():
    stated = [
        ("a.tif", {"gain": 1, "power": [5.0, 6.0], "zoom": 2}),
        ("b.tif", {"gain": 1, "power": [5.0, 7.0], "zoom": 2}),
        ("c.tif", {"gain": 3, "power": [5.0, 8.0], "zoom": None}),
    ]
    with pytest.warns(UserWarning, match="left out") as caught:
        assert common_facts("'day'", stated, "files") == {}
    (note,) = caught
    assert str(note.message) == (
        "The files of 'day' state different settings, which are left out: power ([5, 6] in "
        "'a.tif', [5, 7] in 'b.tif'), gain (1 in 'a.tif', 3 in 'c.tif'), zoom (2 in 'a.tif', not "
        "stated in 'c.tif'). Give them in the metadata if one value is right for all."
    )


def test_numbers_may_differ_by_a_tolerance():
    common = CommonFacts("'x'", "frames", tolerance=0.01)
    common.add("1", {"period": 1.0})
    common.add("2", {"period": 1.005})
    assert common.agreed() == {"period": 1.0}
    common.add("3", {"period": 1.1})
    assert common.differing == ["period"]


def test_truth_values_are_no_numbers():
    with pytest.warns(UserWarning, match="on"):
        assert common_facts("'x'", [("1", {"on": True}), ("2", {"on": 2})]) == {}
