"""Extractors for several threads: one that they share, or one for each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Readers:
    """An extractor, and copies of it that are opened when several threads read at once.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor
        With ``reads_in_parallel`` true, threads share it. With a method ``open_again()``, which
        returns another extractor of the same source, each thread is lent one that no other has.
        Else it must not be read by two threads at once.

    Attributes
    ----------
    in_parallel : bool
        Whether several threads may read at once.
    """

    def __init__(self, extractor: Any) -> None:
        self._extractor = extractor
        self._is_shared = getattr(extractor, "reads_in_parallel", False) is True
        # Stated by the object or its class: a mock has every method that it is asked for.
        is_stated = "open_again" in getattr(extractor, "__dict__", ()) or hasattr(
            type(extractor), "open_again"
        )
        self._open_again = extractor.open_again if is_stated and not self._is_shared else None
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        self._idle.put(extractor)
        self._opening = threading.Lock()
        self.in_parallel = self._is_shared or self._open_again is not None

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Lend an extractor to the thread that asks."""
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
            # Readers that are made at the same time may get into each other's way.
            with self._opening:
                return self._open_again()  # type: ignore[misc]
