"""Memory of this process: the current level, and the peak while code runs.

Linux counts the peak itself and lets it be reset, which misses nothing; memory that is not a file
mapped into the process is sampled besides, every 5 ms.
"""

from __future__ import annotations

import resource
import sys
import threading
from pathlib import Path
from types import TracebackType

import psutil

_INTERVAL = 0.005


class PeakMemory:
    """Peak of the memory within a ``with`` block, in bytes.

    Attributes
    ----------
    level : int
        Resident memory just before.
    peak : int
        Highest resident memory within. Pages of mapped files count while they are resident.
    own_above : int
        Highest sampled memory without mapped files, above its level just before.
    """

    def __enter__(self) -> PeakMemory:
        self._process = psutil.Process()
        self._done = threading.Event()
        self.level = self._process.memory_info().rss
        self._own_level = self._own_peak = self._own()
        self._sampled = self.level
        self._counts = _reset_peak()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self.peak = max(_counted_peak() if self._counts else self._sampled, self.level)
        self.own_above = self._own_peak - self._own_level

    def _sample(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._own_peak = max(self._own_peak, self._own())
            if not self._counts:
                self._sampled = max(self._sampled, self._process.memory_info().rss)

    def _own(self) -> int:
        memory = self._process.memory_info()
        return memory.rss - getattr(memory, "shared", 0)


def peak_of_process() -> int:
    """Return the highest resident memory of the process since it began, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but on macOS bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def _reset_peak() -> bool:
    """Make Linux restart its count of the peak; return False if it cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _counted_peak() -> int:
    """Return the peak counted by Linux, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
