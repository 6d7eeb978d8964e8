"""Outlines of ROIs along the edges of their pixels, so that they enclose these pixels exactly.

All ROIs are traced at once. A contour between pixel centres would cut the corners of each pixel:
of a mask of one pixel, half would be lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Loop = list[tuple[int, int]]
"""Corners (x, y) of a closed line along the edges of pixels; pixel 0 lies between 0 and 1.

Loops around pixels run clockwise in an image whose y points down, and loops around holes the other
way round.
"""

_NUM_DIRECTIONS = 4
# Right, down, left, up, and where the edge of a pixel begins in that direction.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))
_STARTS = ((0, 0), (1, 0), (1, 1), (0, 1))
# The neighbour whose absence makes that edge a part of the outline.
_NEIGHBOURS = ((0, -1), (1, 0), (0, 1), (-1, 0))


def trace_outlines(
    x: NDArray[np.integer], y: NDArray[np.integer], ends: NDArray[np.integer]
) -> list[list[Loop]]:
    """Return the outlines of ROIs.

    Parameters
    ----------
    x, y : numpy.ndarray of int, shape (pixels,)
        Column and row of each pixel, from 0; pixels of one ROI may be repeated.
    ends : numpy.ndarray of int, shape (ROIs,)
        Index behind the last pixel of each ROI.

    Returns
    -------
    list of list of Loop
        Loops of each ROI; none for an ROI without pixels. Pixels that touch at a corner alone have
        loops of their own.
    """
    outlines: list[list[Loop]] = [[] for _ in ends]
    if not len(x):
        return outlines
    width, height = int(x.max()) + 3, int(y.max()) + 3
    counts = np.diff(np.asarray(ends, dtype=np.int64), prepend=0).astype(np.int64)
    roi = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    keys = np.sort((roi * height + y + 1) * width + x + 1)
    keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique takes five times as long
    edges = _edges(keys, width)
    _join(edges, _following(edges, width), width, height, outlines)
    return outlines


def _edges(keys: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return the directed edges of outlines, 4 · (key of their first corner) + direction, sorted.

    The key of a corner is that of the pixel to its lower right.
    """
    found = []
    for direction, (neighbour, start) in enumerate(zip(_NEIGHBOURS, _STARTS, strict=True)):
        others = keys + neighbour[1] * width + neighbour[0]
        outer = keys[~_are_in(keys, others)]
        corners = outer + start[1] * width + start[0]
        found.append(corners * _NUM_DIRECTIONS + direction)
    return np.sort(np.concatenate(found))


def _are_in(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    places = np.searchsorted(keys, wanted)
    return keys[np.minimum(places, len(keys) - 1)] == wanted


def _following(edges: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Return the index of the edge that follows each one: to the right, if there are two."""
    direction = edges % _NUM_DIRECTIONS
    steps = np.array([step[1] * width + step[0] for step in _STEPS])
    corner = edges // _NUM_DIRECTIONS + steps[direction]
    following = np.full(len(edges), -1, np.int64)
    for turn in (1, 0, 3):
        wanted = corner * _NUM_DIRECTIONS + (direction + turn) % _NUM_DIRECTIONS
        places = np.minimum(np.searchsorted(edges, wanted), len(edges) - 1)
        is_found = (edges[places] == wanted) & (following < 0)
        following[is_found] = places[is_found]
    return following


def _join(
    edges: NDArray[np.int64],
    following: NDArray[np.int64],
    width: int,
    height: int,
    outlines: list[list[Loop]],
) -> None:
    """Add the loops to the outlines of their ROIs; only corners at which they turn are kept."""
    direction = edges % _NUM_DIRECTIONS
    corner = edges // _NUM_DIRECTIONS
    turns = (direction[following] != direction).tolist()
    roi = (corner // (width * height)).tolist()
    ends = corner[following]
    x = (ends % width - 1).tolist()
    y = (ends // width % height - 1).tolist()
    is_open = [True] * len(edges)
    after: list[int] = following.tolist()
    for first in range(len(edges)):
        if not is_open[first]:
            continue
        loop: Loop = []
        edge = first
        while is_open[edge]:
            is_open[edge] = False
            if turns[edge]:
                loop.append((x[edge], y[edge]))
            edge = after[edge]
        outlines[roi[first]].append(loop)


def svg_path(loops: Sequence[Loop]) -> str:
    """Return loops as the path data of SVG, with steps relative to the corner before.

    Parameters
    ----------
    loops : sequence of Loop
    """
    parts: list[str] = []
    for loop in loops:
        (x, y), *others = loop
        parts.append(f"M{x} {y}")
        for column, row in others:
            parts.append(f"v{row - y}" if column == x else f"h{column - x}")
            x, y = column, row
        parts.append("z")
    return "".join(parts)
