"""Outlines enclose exactly the pixels of their masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nwb_ophys.reports.outlines import svg_path, trace_outlines

MASKS = arrays.arrays(
    np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 11)), elements=st.booleans()
)


def pixels_of(masks):
    """Return columns, rows and ends of masks, (rows, columns)."""
    found = [np.nonzero(mask) for mask in masks]
    rows, columns = (np.concatenate([each[axis] for each in found]) for axis in (0, 1))
    return columns, rows, np.cumsum([len(each[0]) for each in found])


def filled(loops, shape, rule="nonzero"):
    """Return the pixels whose centres lie within loops: by crossings to the left of each centre.

    ``nonzero`` counts the direction of crossings, as SVG does by default; ``evenodd`` does not.
    """
    rows, columns = shape
    winding = np.zeros((rows, columns), int)
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, [*loop[1:], loop[0]], strict=True):
            if x0 == x1:  # an upright edge crosses the lines through the centres between its ends
                low, high = sorted((y0, y1))
                winding[low:high, x0:] += 1 if y1 > y0 else -1
    return winding != 0 if rule == "nonzero" else winding % 2 == 1


@pytest.mark.parametrize("rule", ["nonzero", "evenodd"])
@given(masks=st.lists(MASKS, min_size=1, max_size=4))
def test_an_outline_encloses_its_pixels_and_no_others(masks, rule):
    outlines = trace_outlines(*pixels_of(masks))
    assert len(outlines) == len(masks)
    for mask, loops in zip(masks, outlines, strict=True):
        np.testing.assert_array_equal(filled(loops, mask.shape, rule), mask)


@given(masks=st.lists(MASKS, min_size=1, max_size=2))
def test_only_corners_are_kept(masks):
    for loops in trace_outlines(*pixels_of(masks)):
        for loop in loops:
            directions = [
                x0 == x1 for (x0, _), (x1, _) in zip(loop, [*loop[1:], loop[0]], strict=True)
            ]
            assert directions == [directions[0], not directions[0]] * (len(loop) // 2)


def test_a_ring_has_two_loops_in_opposite_directions():
    mask = np.ones((3, 3), bool)
    mask[1, 1] = False
    ((outer, inner),) = trace_outlines(*pixels_of([mask]))
    area = [
        sum(
            x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(loop, [*loop[1:], loop[0]], strict=True)
        )
        for loop in (outer, inner)
    ]
    assert area == [18, -2]  # twice the areas 9 and 1


def test_pixels_that_touch_at_a_corner_are_two_loops():
    mask = np.array([[True, False], [False, True]])
    (loops,) = trace_outlines(*pixels_of([mask]))
    assert [len(loop) for loop in loops] == [4, 4]


def test_repeated_pixels_and_rois_without_pixels_do_no_harm():
    x, y, ends = np.array([4, 4, 5]), np.array([2, 2, 2]), np.array([0, 2, 3, 3])
    outlines = trace_outlines(x, y, ends)
    assert [len(loops) for loops in outlines] == [0, 1, 1, 0]
    assert trace_outlines(x[:0], y[:0], np.array([0, 0])) == [[], []]


@given(mask=MASKS)
def test_the_path_of_svg_has_the_same_corners(mask):
    (loops,) = trace_outlines(*pixels_of([mask]))
    assert read_path(svg_path(loops)) == loops


def read_path(text):
    """Return the corners in path data with the commands M, h, v and z."""
    loops = []
    for part in filter(None, text.split("z")):
        start, *steps = part[1:].replace("h", " h").replace("v", " v").split(" ")
        x, y = int(start), int(steps.pop(0))
        loop = [(x, y)]
        for step in steps:
            x, y = (x + int(step[1:]), y) if step[0] == "h" else (x, y + int(step[1:]))
            loop.append((x, y))
        loops.append(loop)
    return loops
