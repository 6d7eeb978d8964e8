"""Frames that are blank, or equal the frame before, found from blocks in any order."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_model import FramePlan
from nwb_ophys.storage.grid import Selection, Shape, size_of
from nwb_ophys.storage.hashes import digest

# Pixels that are compared before whole frames are: a few at each of some places, since a place that
# is not in the cache costs more than the comparison.
_PLACES, _AT_EACH_PLACE = 8, 3


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
        count = plan.num_frames
        # Numbers of the pixels that lie in parts that are blank, or equal the frame before.
        self._blank, self._equal = np.zeros((2, count), np.int32)
        self._blank_value = np.zeros(count, self._bits)
        self._edges: dict[tuple[int, Any], Edge] = {}

    def part_of(self, values: NDArray[Any]) -> FrameLooks:
        """Return what is found in a block, (frames, …); several threads may do so at once."""
        return FrameLooks(values.view(self._bits))

    def add(self, start: int, region: Selection, part: FrameLooks) -> None:
        """Add what was found in a block; only one thread may do so at a time.

        Parameters
        ----------
        start : int
            Number of the first frame.
        region : tuple of slice
            The pixels of the block.
        part : FrameLooks
        """
        size = size_of(region)
        for index, value in part.blank:
            self._add_blank(start + index, value, size)
        for index in part.equal:
            self._equal[start + index] += size
        place = tuple((step.start, step.stop) for step in region)
        self._add_edge(start, place, part.first, size)
        self._add_edge(start + part.num_frames, place, part.last, size)

    def _add_blank(self, number: int, value: Any, size: int) -> None:
        if self._blank[number] and self._blank_value[number] != value:
            return
        self._blank_value[number] = value
        self._blank[number] += size

    def _add_edge(self, number: int, place: Any, edge: Edge, size: int) -> None:
        """Compare the frame on one side of a border with that on the other side, if known."""
        if not self._plan.follows(number):
            return
        other = self._edges.pop((number, place), None)
        if other is None:
            self._edges[number, place] = edge.kept()
        elif other.equals(edge):
            self._equal[number] += size

    @property
    def is_complete(self) -> bool:
        """True if every frame was compared with the frame before."""
        return not self._edges

    def blank(self) -> NDArray[np.int64]:
        """Return the numbers of the frames whose pixels all have the same value."""
        return np.flatnonzero(self._blank == self._num_pixels)

    def repeated(self) -> NDArray[np.int64]:
        """Return the numbers of the frames that equal the frame before."""
        return np.flatnonzero(self._equal == self._num_pixels)


class Edge:
    """The first or the last frame of a block, which a frame of another block may equal.

    Parameters
    ----------
    looks : numpy.ndarray
        A few of its pixels.
    bits : numpy.ndarray or None
        All of its pixels, or None if only their hash is kept.
    """

    def __init__(self, looks: NDArray[Any], bits: NDArray[Any]) -> None:
        self._looks = looks.tobytes()
        self._bits: NDArray[Any] | None = bits
        self._digest = b""

    def kept(self) -> Edge:
        """Return the edge without its pixels, whose memory the block owns."""
        self._hash()
        self._bits = None
        return self

    def equals(self, other: Edge) -> bool:
        """Return whether two frames are equal, byte by byte."""
        return self._looks == other._looks and self._hash() == other._hash()

    def _hash(self) -> bytes:
        if self._bits is not None and not self._digest:
            self._digest = digest(np.ascontiguousarray(self._bits))
        return self._digest


class FrameLooks:
    """Blank and repeated frames within one block, and its first and last frame.

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
    first, last : Edge
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
        self.first, self.last = Edge(looks[0], bits[0]), Edge(looks[-1], bits[-1])


@functools.lru_cache(maxsize=16)
def _spread_places(shape: Shape) -> tuple[Any, ...]:
    """Return the indices of some pixels of a frame, along each axis."""
    total = math.prod(shape)
    starts = np.linspace(0, max(total - _AT_EACH_PLACE, 0), _PLACES).astype(np.int64)
    pixels = np.minimum(starts[:, np.newaxis] + np.arange(_AT_EACH_PLACE), total - 1)
    return np.unravel_index(np.unique(pixels), shape)
