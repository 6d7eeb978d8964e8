"""Commits of the small chunks of a dataset by one thread at a time, in their order if all come.

Threads finish chunks in any order. A reader of many small chunks over a network requests them
together where they follow each other in the file. Threads that wait for each other at each small
chunk take longer than one thread alone.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Any

from nwb_ophys.storage.grid import Shape

LARGEST_CHUNK = 4 << 20
"""Size of the largest chunks whose commits are ordered; a larger one is a request of its own."""

WAITING_BYTES = 32 << 20
"""Size of the encoded chunks of a dataset that wait for the chunks before them."""


GATHERED_BYTES = 1 << 20
"""Size of the encoded chunks of a dataset with gaps that are committed together; those of other
datasets, which are written meanwhile, would lie between them."""


class OrderedCommits:
    """Commits of encoded chunks in their order, as far as a limited number of bytes waits.

    One thread at a time commits; the others leave their chunks and go on, unless twice as many
    bytes wait. Where some chunks never come, none waits for those before it.

    Parameters
    ----------
    commit : callable
        Called with the lowest index of a chunk and its bytes, by one thread at a time.
    shape, chunks : tuple of int
        Shapes of the dataset and of a chunk.

    Attributes
    ----------
    has_gaps : bool
        Whether some chunks never come.
    gathers : bool
        Whether those with gaps wait until enough of them follow each other.
    """

    def __init__(self, commit: Callable[[Shape, Any], None], shape: Shape, chunks: Shape) -> None:
        self._commit, self._chunks = commit, chunks
        self.has_gaps = self.gathers = False
        self._counts = tuple(-(-n // step) for n, step in zip(shape, chunks, strict=True))
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self._waiting: list[tuple[int, Shape, Any]] = []
        self._num_bytes = self._next = 0

    def add(self, corner: Shape, encoded: Any) -> None:
        """Commit a chunk, and those that wait for it, or let it wait for those before it."""
        with self._lock:
            heapq.heappush(self._waiting, (self._position(corner), corner, encoded))
            self._num_bytes += len(encoded)
            is_full = self._num_bytes > 2 * WAITING_BYTES
            has_enough = self._num_bytes > (GATHERED_BYTES if self.gathers else 0)
        if not self.has_gaps:
            self._commit_some(WAITING_BYTES, waits=is_full)
        elif has_enough:
            self._commit_some(0, waits=is_full)

    def finish(self) -> None:
        """Commit all chunks that wait."""
        self._commit_some(0, waits=True)

    def _commit_some(self, most: int, *, waits: bool) -> None:
        while self._has_due(most) and self._turn.acquire(blocking=waits):
            try:
                while (chunk := self._take(most)) is not None:
                    self._commit(*chunk)
            finally:
                self._turn.release()

    def _has_due(self, most: int) -> bool:
        with self._lock:
            return self._is_due(most)

    def _is_due(self, most: int) -> bool:
        if not self._waiting:
            return False
        is_next = not self.has_gaps and self._waiting[0][0] <= self._next
        return is_next or self._num_bytes > most

    def _take(self, most: int) -> tuple[Shape, Any] | None:
        with self._lock:
            if not self._is_due(most):
                return None
            position, corner, encoded = heapq.heappop(self._waiting)
            self._num_bytes -= len(encoded)
            self._next = max(self._next, position + 1)
            return corner, encoded

    def _position(self, corner: Shape) -> int:
        """Return the position of a chunk in C order."""
        position = 0
        for start, step, count in zip(corner, self._chunks, self._counts, strict=True):
            position = position * count + start // step
        return position
