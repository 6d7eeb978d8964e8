"""Programs in forked processes, which need no imports, and what they leave in a folder."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import h5py
import numpy as np
import zarr

from nwb_ophys import cli
from nwb_ophys.cli import signals

SETTINGS = (
    *("--option", "sampling_frequency=30", "--no-progress"),
    *("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"),
)
FRAMES = 400
TARGETS = {"hdf5": "a.nwb", "zarr": "a.nwb.zarr"}


@attrs.frozen(kw_only=True)
class Ended:
    """Exit code and output of a process; the code of a killed one is negative."""

    code: int
    out: str
    err: str


class Program:
    """The command line in a forked process, as the script ``nwb-ophys`` runs it.

    Parameters
    ----------
    folder : pathlib.Path
        Working directory.
    arguments : sequence of str
    hook : callable, optional
        Called in the process before the command.
    """

    def __init__(
        self, folder: Path, *arguments: str, hook: Callable[[], object] | None = None
    ) -> None:
        self._output = folder.parent / f"{folder.name}-{time.monotonic_ns()}"
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                code = self._run(folder, arguments, hook)
            finally:
                os._exit(code)

    def _run(self, folder: Path, arguments: tuple[str, ...], hook: Callable | None) -> int:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(f"{self._output}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
        signals.is_program = lambda frame: True
        sys.argv = ["nwb-ophys", *arguments]
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        try:
            if hook is not None:
                hook()
            cli.main()
        except SystemExit as end:
            sys.setprofile(None)
            return int(end.code or 0)
        return 98

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait for the end."""
        status = os.waitpid(self.pid, 0)[1]
        texts = {}
        for name in ("stdout", "stderr"):
            path = Path(f"{self._output}.{name}")
            texts[name] = path.read_text() if path.exists() else ""
            path.unlink(missing_ok=True)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code=code, out=texts["stdout"], err=texts["stderr"])


def run(folder: Path, *arguments: str, hook: Callable[[], object] | None = None) -> Ended:
    """Run a command to its end."""
    return Program(folder, *arguments, hook=hook).wait()


def write_movie(folder: Path, name: str = "movie.npy", *, frames: int = FRAMES) -> None:
    """Write a movie, whose frames differ."""
    values = np.arange(frames * 64, dtype=np.uint16).reshape(frames, 8, 8)
    np.save(folder / name, values)


def hidden(folder: Path) -> list[str]:
    """Return the names of the hidden files and folders."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def series_of(path: Path) -> set[str]:
    """Return the names of the movies in a file, each of which must be whole."""
    root = zarr.open(str(path), mode="r") if path.is_dir() else h5py.File(path, "r")
    try:
        names = set(root["acquisition"])
        for name in names:
            data = root["acquisition"][name]["data"][:]
            expected = np.arange(data.size, dtype=np.uint16).reshape(-1, 8, 8)
            assert (data.transpose(0, 2, 1) == expected).all(), name
        return names
    finally:
        if not path.is_dir():
            root.close()


def at_call(count: int, number: int) -> Callable[[], None]:
    """Return a hook that sends the process a signal when it calls its N-th Python function."""

    def hook() -> None:
        left = [count]

        def see(_frame: object, event: str, _argument: object) -> None:
            if event == "call":
                left[0] -= 1
                if left[0] == 0:
                    sys.setprofile(None)
                    os.kill(os.getpid(), number)

        sys.setprofile(see)

    return hook


def number_of_calls(folder: Path, *arguments: str) -> int:
    """Return the number of Python functions that a command calls; it runs to its end."""
    reads, writes = os.pipe()

    def hook() -> None:
        calls = [0]

        def see(_frame: object, event: str, _argument: object) -> None:
            calls[0] += event == "call"

        def leave(self: object, code: int) -> None:
            sys.setprofile(None)
            os.write(writes, str(calls[0]).encode())
            raise SystemExit(code)

        signals.Signals.leave = leave
        sys.setprofile(see)

    ended = run(folder, *arguments, hook=hook)
    assert ended.code == 0, ended
    os.close(writes)
    count = int(os.read(reads, 100))
    os.close(reads)
    return count
