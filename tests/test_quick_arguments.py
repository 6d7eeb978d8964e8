"""The quick check of arguments of hdmf's functions answers as hdmf itself does."""

from __future__ import annotations

import hdmf.utils
import numpy as np
import pytest
from hdmf.utils import AllowPositional
from quick_arguments import quick

# The modules of tests are imported before any fixture replaces it.
HDMF = vars(hdmf.utils)["__parse_args"]
OPTIONS = {
    "plain": {},
    "no types": {"enforce_type": False},
    "no shapes": {"enforce_shape": False},
    "extra": {"allow_extra": True},
    "with a warning": {"allow_positional": AllowPositional.WARNING},
    "by name only": {"allow_positional": AllowPositional.ERROR},
}
FUNCTION = [
    {"name": "name", "type": str},
    {"name": "data", "type": ("array_data", "int"), "shape": (None, 2), "default": None},
    {"name": "kind", "type": str, "enum": ["a", "b"], "default": "a"},
    {"name": "number", "type": float, "default": 1.0, "allow_none": True},
    {"name": "list", "type": list, "default": []},
]
CALLS = {
    "name": (("x",), {}),
    "by name": ((), {"name": "x"}),
    "all": (("x", np.zeros((3, 2)), "b", None, [1]), {}),
    "mixed": (("x",), {"list": [2], "number": np.float32(3)}),
    "none": ((), {}),
    "None": ((None,), {}),
    "twice": (("x",), {"name": "y"}),
    "a later one twice": (("x", None), {"data": None}),
    "too many": (("x", None, "a", 1.0, [], 1), {}),
    "unknown": (("x",), {"other": 1}),
    "of another class": ((1,), {}),
    "an integer for a float": (("x",), {"number": 1}),
    "another shape": (("x", np.zeros((3, 3))), {}),
    "not of the list": (("x",), {"kind": "c"}),
    "None for a default": (("x",), {"kind": None}),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("function", [FUNCTION, FUNCTION[:1], [], FUNCTION[:1] * 2])
def test_each_call_has_the_answer_of_hdmf(options, function):
    compare = quick(HDMF)
    for _ in range(2):  # the second time with what is known from the first
        for args, kwargs in CALLS.values():
            found, right = (each(function, args, kwargs, **options) for each in (compare, HDMF))
            assert repr(found) == repr(right)
            assert list(found["args"]) == list(right["args"])


def test_hdmf_is_not_asked_for_what_is_right():
    asked = []
    right = [each for each in FUNCTION if "enum" not in each]
    compare = quick(lambda *given: asked.append(given))
    for number in range(3):
        found = compare(right, ("x",), {"list": [number]})
        assert found["args"] == {"name": "x", "data": None, "number": 1.0, "list": [number]}
    assert asked == []


def test_a_default_is_not_shared():
    compare = quick(HDMF)
    compare(FUNCTION, ("x",), {})["args"]["list"].append(1)
    assert compare(FUNCTION, ("x",), {})["args"]["list"] == []
