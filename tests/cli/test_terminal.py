"""Tests of the progress bar, shown only on a terminal, and of warnings and notes on stderr."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

ARGUMENTS = (
    *("convert", "movie.npy", "-o", "a.nwb", "--option", "sampling_frequency=30"),
    *("--set", "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"),
)


# tqdm draws at most ten times a second; here each time it is told.
ENVIRONMENT = os.environ | {"TQDM_MININTERVAL": "0"}


def _on_a_terminal(programs: Path, folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Run with stderr on a pseudo-terminal; return exit code, stdout and the terminal's output."""
    parent, child = pty.openpty()
    # 24 lines of 120 characters; one without a size shows no bar.
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    try:
        process = subprocess.Popen(
            [programs / "nwb-ophys", *arguments],
            stdout=subprocess.PIPE,
            stderr=child,
            cwd=folder,
            text=True,
            env=ENVIRONMENT,
        )
        os.close(child)
        shown = b""
        while True:
            try:
                part = os.read(parent, 4096)
            except OSError:  # Linux says so that the other side has closed
                break
            if not part:
                break
            shown += part
        out = process.communicate(timeout=60)[0]
    finally:
        os.close(parent)
    return process.returncode, out, shown.decode()


@pytest.fixture(autouse=True)
def _in_raw(raw: Path) -> None:
    """Make the recordings available."""


def test_bar_on_a_terminal(programs, raw):
    np.save(raw / "movie.npy", np.random.default_rng(0).integers(0, 255, (5000, 100, 100), "uint8"))
    small = ("--option", "iterator_options={buffer_gb: 0.0005, chunk_mb: 0.1}")
    code, out, shown = _on_a_terminal(programs, raw, *ARGUMENTS, *small)
    assert code == 0
    updates = re.findall(r"TwoPhotonSeries/data (\d+)/5000 frames: +(\d+)%\|.*?B/s", shown)
    assert len(updates) >= 2, shown
    frames = [int(done) for done, _ in updates]
    assert frames == sorted(frames)
    assert frames[-1] == 5000
    # The result is on stdout, for scripts, and the bar is not.
    assert out.splitlines()[0] == f"{raw / 'a.nwb'}: numpy"


def test_no_bar_when_it_is_not_wanted(programs, raw):
    code, _, shown = _on_a_terminal(programs, raw, *ARGUMENTS, "--no-progress")
    assert (code, shown) == (0, "")


def test_no_bar_without_a_terminal(programs, raw):
    done = subprocess.run(
        [programs / "nwb-ophys", *ARGUMENTS], capture_output=True, text=True, cwd=raw
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_mistake_on_a_terminal(programs, raw):
    code, out, shown = _on_a_terminal(programs, raw, "convert", "absent.tif", "-o", "b.nwb")
    assert (code, out) == (2, "")
    assert shown == "Error: 'absent.tif' does not exist; check the path.\r\n"


def test_debug_prints_a_traceback(programs, raw):
    done = subprocess.run(
        [programs / "nwb-ophys", "convert", "absent.tif", "-o", "b.nwb", "--debug"],
        capture_output=True,
        text=True,
        cwd=raw,
    )
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "SourceNotFoundError" in done.stderr


def test_closed_streams_are_the_null_device(raw):
    """A service may start a program without any; the next file would get the number of stderr."""
    script = (
        "import os, sys\n"
        "from nwb_ophys.cli import main\n"
        "from nwb_ophys.cli.terminal import say\n"
        "import nwb_ophys.cli.failures as failures\n"
        "def show(*_):\n"
        "    say('a note', err=True)\n"
        "    os.write(2, b'of a library')\n"
        "    places = [os.readlink(f'/proc/self/fd/{number}') for number in (0, 2)]\n"
        "    say(' '.join([*places, str(os.get_inheritable(2)), str(sys.stderr.isatty())]))\n"
        "    return 0\n"
        "failures.run = show\n"
        "main(['formats'])\n"
    )
    command = [sys.executable, "-c", script]
    closed = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command]
    done = subprocess.run(closed, stdout=subprocess.PIPE, cwd=raw, text=True)
    assert (done.returncode, done.stdout) == (0, "/dev/null /dev/null True False\n")
