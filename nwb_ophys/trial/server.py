"""Start, limits of time and end of the process that tries files."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import as_sentence

_CHILD = Path(__file__).with_name("child.py")
# The environment must not decide what the process runs, so it gets the paths of this process.
_CODE = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)
_START_SECONDS = 60.0
_POLL_SECONDS = 0.1
# Limits without any progress: of computing, which only an endless loop does for so long, and of all
# time, during which a file may wait for a slow disk or network.
_CPU_SECONDS = 4.0
_WAIT_SECONDS = 300.0
_SECONDS_PER_BYTE = 1e-11
_UNMEASURED_SECONDS = 20.0


@attrs.frozen(kw_only=True)
class TrialResult:
    """The result of a trial.

    Attributes
    ----------
    fault : str
        How the library failed, in words; empty if it did not.
    lost : tuple of str
        Members of the file that have a name but cannot be opened.
    """

    fault: str = ""
    lost: tuple[str, ...] = ()


class CannotStartError(Exception):
    """The process cannot be started or does not answer; the message has the reason."""


class TrialProcess:
    """A process that opens files on trial, one after the other; it starts beside other work.

    Raises
    ------
    CannotStartError
        When this machine or program cannot start processes.
    """

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._process = self._started()
        self._answers: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=self._read, name="nwb_ophys trial", daemon=True)
        reader.start()
        atexit.register(self.end)
        self._is_ready = False

    @staticmethod
    def _started() -> subprocess.Popen[str]:
        if not sys.executable or getattr(sys, "frozen", False):
            raise CannotStartError("This program has no Python of its own to start.")
        # Without threads of numerical libraries, whose memory would count.
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        # Large pieces of memory lie apart, so that a codec that leaves its own crashes at once.
        environment |= {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_MMAP_MAX_": "20000"}
        command = [sys.executable, "-c", _CODE, str(_CHILD), *filter(None, sys.path)]
        try:
            return subprocess.Popen(  # noqa: S603 - this Python, with code of this package
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env=environment,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise CannotStartError(as_sentence(error)) from error

    def _read(self) -> None:
        output = self._process.stdout
        with suppress(OSError, ValueError):
            for line in output or ():
                self._answers.put(line.strip())
        self._answers.put("")  # the process has ended

    @property
    def is_usable(self) -> bool:
        """Return whether the process runs, and belongs to this process and not to its parent."""
        return self.owner == os.getpid() and self._process.poll() is None

    def result(self, path: Path) -> TrialResult:
        """Return how the library fares with a file.

        Parameters
        ----------
        path : pathlib.Path

        Raises
        ------
        CannotStartError
            If the process does not answer.
        """
        try:
            self._wait_until_ready()
            return self._result(path)
        except BaseException:  # an interruption, after which the next answer would be of this file
            self.end()
            raise

    def _wait_until_ready(self) -> None:
        if self._is_ready:
            return
        if self._next(_START_SECONDS, None) != "ready":
            raise CannotStartError("It does not answer.")
        self._is_ready = True

    def _result(self, path: Path) -> TrialResult:
        seconds = path.stat().st_size * _SECONDS_PER_BYTE
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(os.path.realpath(path)) + "\n")
            self._process.stdin.flush()
        except OSError:
            self.end()
            return TrialResult(fault="crashed")
        answer = "."
        while answer == ".":
            answer = self._next(_WAIT_SECONDS + seconds, _CPU_SECONDS + seconds)
        if answer.startswith("["):
            return TrialResult(lost=tuple(json.loads(answer)))
        self.end()
        return TrialResult(fault="ran without end" if answer == "late" else "crashed")

    def _next(self, most_seconds: float, most_computing: float | None) -> str:
        """Return the next answer, empty if the process has ended, or ``late`` after a limit."""
        began, computed = time.monotonic(), self._computed()
        while True:
            with suppress(queue.Empty):
                return self._answers.get(timeout=_POLL_SECONDS)
            passed = time.monotonic() - began
            now = self._computed()
            used = passed * _CPU_SECONDS / _UNMEASURED_SECONDS
            if now is not None and computed is not None:
                used = now - computed
            if passed > most_seconds or (most_computing is not None and used > most_computing):
                return "late"

    def _computed(self) -> float | None:
        """Return the seconds for which the process has computed; None if the system hides them."""
        import psutil

        try:
            times: Any = psutil.Process(self._process.pid).cpu_times()
        except (psutil.Error, OSError):
            return None
        return float(times.user + times.system)

    def end(self) -> None:
        """End the process and wait for its end."""
        atexit.unregister(self.end)
        if self.owner != os.getpid():
            return
        with suppress(OSError):
            self._process.kill()
        with suppress(OSError, subprocess.TimeoutExpired):
            self._process.wait(10)
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()
