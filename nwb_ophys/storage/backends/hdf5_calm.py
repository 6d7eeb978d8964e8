"""Pause of the garbage collector while HDF5 calls Python."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Calm:
    """Pause of the garbage collector, which may close HDF5 objects.

    HDF5 is not to be called while it calls the methods of a Python object.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_open = 0
        self._was_enabled = False

    def begin(self) -> None:
        """Begin the pause, unless another file has begun it."""
        with self._lock:
            if self._num_open == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._num_open += 1

    def end(self) -> None:
        """End the pause when the last file is closed."""
        with self._lock:
            self._num_open -= 1
            if self._num_open == 0 and self._was_enabled:
                gc.enable()

    def collect(self) -> None:
        """Do what the collector would have done meanwhile."""
        if not self._was_enabled:
            return
        due = zip((2, 1, 0), reversed(gc.get_count()), reversed(gc.get_threshold()), strict=True)
        generation = next((each for each, count, most in due if 0 < most < count), None)
        if generation is not None:
            gc.collect(generation)


CALM = Calm()


@contextmanager
def calm() -> Iterator[None]:
    """Pause the garbage collector while HDF5 calls a Python object."""
    CALM.begin()
    try:
        yield
    finally:
        CALM.end()
