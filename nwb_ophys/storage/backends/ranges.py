"""Positions of chunks along an axis, in words."""

from __future__ import annotations

from collections.abc import Sequence

_MOST = 3


def positions(steps: Sequence[int], size: int, length: int) -> str:
    """Return the positions along an axis that some chunks cover, such as ``positions 10 to 19``.

    Parameters
    ----------
    steps : sequence of int
        Indices of the chunks, ascending.
    size : int
        Length of a chunk.
    length : int
        Length of the axis.
    """
    ranges: list[list[int]] = []
    for step in steps:
        first, end = step * size, min((step + 1) * size, length)
        if ranges and ranges[-1][1] == first:
            ranges[-1][1] = end
        else:
            ranges.append([first, end])
    shown = ", ".join(f"{first} to {end - 1}" for first, end in ranges[:_MOST])
    return f"positions {shown}" + f" and {len(ranges) - _MOST} more parts" * (len(ranges) > _MOST)
