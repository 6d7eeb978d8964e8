"""Extractors for several threads: one shared by all, or one per thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nwb_ophys.errors import ArgumentError


class ExtractorPool:
    """An extractor and the copies of it that are opened when several threads read at once.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor
        With ``reads_in_parallel`` true, threads share it. With a method ``open_again()``, which
        returns another extractor of the same source, each thread borrows one of its own.
        Otherwise two threads must not read it at once.

    Attributes
    ----------
    is_shared : bool
        Whether all threads read the same extractor.
    in_parallel : bool
        Whether several threads may read at once.
    """

    def __init__(self, extractor: Any) -> None:
        self._extractor = extractor
        self.is_shared = getattr(extractor, "reads_in_parallel", False) is True
        # Look at the object's dict and its class, since a mock has any attribute it is asked for.
        can_reopen = "open_again" in getattr(extractor, "__dict__", ()) or hasattr(
            type(extractor), "open_again"
        )
        self._open_again = extractor.open_again if can_reopen and not self.is_shared else None
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(extractor)
        self._opening = threading.Lock()
        self._opened = [extractor]
        self.in_parallel = self.is_shared or self._open_again is not None

    @contextmanager
    def borrow(self) -> Iterator[Any]:
        """Lend an extractor to the calling thread."""
        if self._open_again is None:
            yield self._extractor
            return
        extractor = self._take()
        try:
            yield extractor
        finally:
            self._idle.put(extractor)

    def _take(self) -> Any:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            # Opening one source twice at the same time may fail.
            with self._opening:
                return self._new()

    def _new(self) -> Any:
        opened = self._open_again()  # type: ignore[misc]
        if any(opened is each for each in self._opened):
            raise ArgumentError(
                f"{type(opened).__name__} was opened for another thread, and is the extractor that "
                "a thread reads already. With opens_again = True, open() must open the files again "
                "on each call and return a new extractor; otherwise leave opens_again out."
            )
        self._opened.append(opened)
        return opened
