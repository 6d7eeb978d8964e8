"""Frames that are blank, or equal the frame before, found from blocks in any order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_model import FramePlan
from nwb_ophys.storage.grid import Selection, Shape, size_of
from nwb_ophys.storage.hashes import digest

# Pixels that are compared before whole frames are.
_LOOKED_AT = 64

_Edge = tuple[int, tuple[tuple[int, int], ...]]


class FrameComparison:
    """Finds blank and repeated frames; frames are compared byte by byte.

    Blocks that hold the same frames must divide them in the same way as those of the frames before.

    Parameters
    ----------
    plan : FramePlan
    num_pixels : int
        Number of pixels of a frame.
    dtype : numpy.dtype
    """

    def __init__(self, plan: FramePlan, num_pixels: int, dtype: np.dtype[Any]) -> None:
        self._plan, self._num_pixels = plan, num_pixels
        self._bits = np.dtype(f"u{dtype.itemsize}")
        count = len(plan.numbers)
        # Numbers of the pixels that lie in parts that are blank, or equal the frame before.
        self._blank, self._equal = np.zeros((2, count), np.int64)
        self._blank_value = np.zeros(count, self._bits)
        self._edges: dict[_Edge, bytes] = {}

    def part_of(self, values: NDArray[Any]) -> FrameLooks:
        """Return what is found in a block, (frames, …); several threads may do so at once."""
        return FrameLooks(values.view(self._bits))

    def add(self, position: int, region: Selection, part: FrameLooks) -> None:
        """Add what was found in a block; only one thread may do so at a time.

        Parameters
        ----------
        position : int
            Position of the first frame among those that are read.
        region : tuple of slice
            The pixels of the block.
        part : FrameLooks
        """
        size = size_of(region)
        for index, value in part.blank:
            self._add_blank(position + index, value, size)
        for index in part.equal:
            if self._plan.follows(position + index):
                self._equal[position + index] += size
        place = tuple((step.start, step.stop) for step in region)
        self._add_edge(position, place, part.first, size)
        self._add_edge(position + part.num_frames, place, part.last, size)

    def _add_blank(self, position: int, value: Any, size: int) -> None:
        if self._blank[position] and self._blank_value[position] != value:
            return
        self._blank_value[position] = value
        self._blank[position] += size

    def _add_edge(self, position: int, place: Any, found: bytes, size: int) -> None:
        """Compare the frame on one side of a position with that on the other side, if known."""
        if position >= len(self._equal) or not self._plan.follows(position):
            return
        other = self._edges.pop((position, place), None)
        if other is None:
            self._edges[position, place] = found
        elif other == found:
            self._equal[position] += size

    @property
    def is_complete(self) -> bool:
        """True if every frame was compared with the frame before."""
        return not self._edges

    def blank(self) -> NDArray[np.int64]:
        """Return the numbers of the frames whose pixels all have the same value."""
        return self._plan.numbers[self._blank == self._num_pixels]

    def repeated(self) -> NDArray[np.int64]:
        """Return the numbers of the frames that equal the frame before."""
        return self._plan.numbers[self._equal == self._num_pixels]


class FrameLooks:
    """Blank and repeated frames within one block, and hashes of its first and last frame.

    A few pixels rule out almost all frames.

    Parameters
    ----------
    bits : numpy.ndarray, shape (frames, …)
        Values of a block as unsigned integers.

    Attributes
    ----------
    num_frames : int
    blank : list of (int, int)
        Index and value of the frames with one value.
    equal : list of int
        Indices of the frames that equal the frame before, from 1.
    first, last : bytes
    """

    def __init__(self, bits: NDArray[Any]) -> None:
        self.num_frames = len(bits)
        places: tuple[Any, ...] = _spread_places(bits.shape[1:])
        looks = bits[(slice(None), *places)].reshape(self.num_frames, -1)
        may_be_blank = (looks == looks[:, :1]).all(axis=1)
        self.blank = [
            (index, looks[index, 0])
            for index in np.flatnonzero(may_be_blank).tolist()
            if (bits[index] == looks[index, 0]).all()
        ]
        may_be_equal = (looks[1:] == looks[:-1]).all(axis=1)
        self.equal = [
            index
            for index in (np.flatnonzero(may_be_equal) + 1).tolist()
            if np.array_equal(bits[index], bits[index - 1])
        ]
        self.first = _digest(bits[0])
        self.last = self.first if self.num_frames == 1 else _digest(bits[-1])


def _spread_places(shape: Shape) -> tuple[Any, ...]:
    """Return the indices of some pixels of a frame, along each axis."""
    total = math.prod(shape)
    places = np.linspace(0, total - 1, min(_LOOKED_AT, total)).astype(np.int64)
    return np.unravel_index(places, shape)


def _digest(frame: NDArray[Any]) -> bytes:
    return digest(np.ascontiguousarray(frame))
