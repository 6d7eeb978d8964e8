"""Kills, signals and races: no good file is lost, and nothing is left behind without a word."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nwb_ophys.storage import atomic, files, locking, resuming

from .processes import (
    SETTINGS,
    TARGETS,
    Ended,
    Program,
    at_call,
    hidden,
    number_of_calls,
    run,
    series_of,
    write_movie,
)
from .setting import rounds

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork"),
    # Python warns of a fork while other threads run; those of numerical libraries do not matter.
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NAME = "Ophys.TwoPhotonSeries.0.name="


def _convert(target: Path, *more: str) -> tuple[str, ...]:
    return ("convert", "movie.npy", "-o", target.name, *SETTINGS, "--workers", "2", *more)


ACTS = {
    "new": _convert,
    "overwrite": lambda target: _convert(target, "--overwrite"),
    "append": lambda target: _convert(target, "--append", "--set", f"{NAME}Second"),
    "repack": lambda target: (
        *("repack", target.name, "-o", target.name, "--overwrite", "--no-progress"),
        *("--compression", "gzip:1"),
    ),
}


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import all that the commands need, so that forked processes need not."""
    import hdmf_zarr  # noqa: F401

    import nwb_ophys
    from nwb_ophys.cli import clean, convert, failures, repack  # noqa: F401

    folder = tmp_path_factory.mktemp("warm")
    write_movie(folder)
    interface = nwb_ophys.NumpyImagingInterface(folder / "movie.npy", sampling_frequency=30.0)
    start = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
    for backend, name in TARGETS.items():
        interface.run_conversion(folder / name, metadata=start, backend=backend, progress=False)
        nwb_ophys.repack(folder / name, folder / f"copy-{name}")


@pytest.fixture
def folder(tmp_path: Path, warm: None) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    write_movie(folder)
    return folder


@pytest.fixture
def target(folder: Path, backend: str) -> Path:
    return folder / TARGETS[backend]


@pytest.fixture
def whole(folder: Path, target: Path, tmp_path: Path) -> Path:
    """A good file, of which each round gets a copy."""
    assert run(folder, *_convert(target)).code == 0
    return Path(shutil.move(target, tmp_path / "whole"))


def _put(whole: Path, target: Path) -> None:
    _remove(target)
    (shutil.copytree if whole.is_dir() else shutil.copyfile)(whole, target)


# --- kill -9 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ACTS)
def test_a_kill_loses_no_file_and_the_next_run_removes_the_debris(
    folder, target, whole, act, backend
):
    chance = random.Random(f"{act} {backend}")
    arguments = ACTS[act](target)
    duration = _duration(folder, target, whole if act != "new" else None, arguments)
    num_debris = 0
    for _ in range(rounds(1, 30)):
        _remove(target)
        if act != "new":
            _put(whole, target)
        program = Program(folder, *arguments)
        time.sleep(chance.uniform(0, duration))
        program.send(signal.SIGKILL)
        killed = program.wait()
        assert killed.code in (-signal.SIGKILL, 0), killed
        assert act == "new" or target.exists()
        if target.exists():
            assert "TwoPhotonSeries" in series_of(target)
        left = hidden(folder)
        num_debris += bool(left)
        # A lock without a text may also be that of a process which has just made it.
        known = [name for name in left if (folder / name).stat().st_size]
        if act == "append":
            _put(whole, target)
        again = arguments if act != "new" else ACTS["overwrite"](target)
        ended = run(folder, *again)
        assert ended.code == 0, ended
        assert hidden(folder) == []
        said = [line for line in ended.err.splitlines() if "An earlier run was killed" in line]
        assert len(said) == bool(known), (left, ended)
        assert all(f"(process {program.pid} on " in line for line in said)
    print(f"{act} {backend}: debris in {num_debris}")


def _duration(folder: Path, target: Path, whole: Path | None, arguments: tuple[str, ...]) -> float:
    """Return the duration of a command."""
    if whole is not None:
        _put(whole, target)
    start = time.monotonic()
    ended = run(folder, *arguments)
    assert ended.code == 0, ended
    return time.monotonic() - start


# --- SIGINT and SIGTERM -------------------------------------------------------------------------


def _check_end(ended: Ended, number: int, folder: Path, target: Path) -> None:
    """Check that the process said one line, and left either all of the file or nothing."""
    word = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}[signal.Signals(number)]
    assert ended.code == 128 + number, ended
    assert hidden(folder) == [], ended
    is_complete = ended.err == f"{word}. '{target}' is complete.\n"
    assert is_complete or ended.err == f"{word}. No incomplete file was left.\n", ended
    assert target.exists() == is_complete
    if target.exists():
        assert series_of(target) == {"TwoPhotonSeries"}


def _rounds_of_signals(folder, target, make: Callable[[int], Iterator[tuple[int, Ended]]]) -> None:
    for number in SIGNALS:
        for sent, ended in make(number):
            _check_end(ended, sent, folder, target)
            _remove(target)


def test_a_signal_at_any_call_ends_with_one_line(folder, target):
    arguments = _convert(target)
    total = number_of_calls(folder, *arguments)
    _remove(target)
    chance = random.Random(0)

    def make(number: int) -> Iterator[tuple[int, Ended]]:
        for part in range(count := rounds(1, 30)):
            # Within each part of the run at random. The first calls install the handlers.
            call = 30 + int((part + chance.random()) * (total - 30) / count)
            yield number, run(folder, *arguments, hook=at_call(call, number))

    _rounds_of_signals(folder, target, make)


def _before(owner: object, name: str) -> Callable[[int], Callable[[], None]]:
    return _at(owner, name, first=True)


def _after(owner: object, name: str) -> Callable[[int], Callable[[], None]]:
    return _at(owner, name, first=False)


def _at(owner: object, name: str, *, first: bool) -> Callable[[int], Callable[[], None]]:
    """Return a maker of hooks that send a signal just before or after a function runs."""

    def make(number: int) -> Callable[[], None]:
        def hook() -> None:
            original = getattr(owner, name)

            def replacement(*arguments: object, **options: object) -> object:
                if first:
                    os.kill(os.getpid(), number)
                result = original(*arguments, **options)
                if not first:
                    os.kill(os.getpid(), number)
                return result

            setattr(owner, name, replacement)

        return hook

    return make


MOMENTS = {
    "before the lock": _before(locking.Lock, "acquire"),
    "after the lock": _after(locking.Lock, "acquire"),
    "before the flush": _before(files, "flush"),
    "after the flush": _after(files, "flush"),
    "before the rename": _before(atomic, "_renamed"),
    "after the rename": _after(atomic, "_renamed"),
    "after the replacement": _after(files, "replace_target"),
    "before the removal": _before(resuming, "remove"),
    "before the unlocking": _before(locking.Lock, "release"),
    "after the unlocking": _after(locking.Lock, "release"),
}

# The replacement of the target is not interrupted once it has begun.
COMPLETE = tuple(MOMENTS)[tuple(MOMENTS).index("before the rename") :]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_at_the_end_of_a_write_ends_with_one_line(folder, target, moment):
    arguments = _convert(target)
    for number in SIGNALS[: rounds(1, 2)]:
        ended = run(folder, *arguments, hook=MOMENTS[moment](number))
        _check_end(ended, number, folder, target)
        # A signal is held back in the code that locks the file, up to the next tick of a timer; a
        # small file may become whole in that time.
        assert ("is complete" in ended.err) == target.exists()
        assert target.exists() or moment not in COMPLETE
        assert not target.exists() or moment in (*COMPLETE, "before the lock", "after the lock")
        _remove(target)


def test_a_second_signal_does_not_break_the_removal(folder, target):
    """The removal of a store, in which the user presses Ctrl-C again and again."""

    def hook() -> None:
        remove = atomic._remove

        def interrupted(path: Path) -> None:
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.02)
            remove(path)

        atomic._remove = interrupted
        flush = files.flush

        def send(path: Path) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            flush(path)

        files.flush = send

    ended = run(folder, *_convert(target), hook=hook)
    _check_end(ended, signal.SIGTERM, folder, target)


def test_an_interrupt_that_is_swallowed_is_raised_again(folder, target):
    """Fault: an interrupt in a callback or in __del__ was lost, and the command went on."""

    class Swallows:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)

    def hook() -> None:
        reserve = locking.Lock.acquire

        def acquire(self: object) -> None:
            reserve(self)
            for _ in range(2):
                try:
                    Swallows()
                    time.sleep(0.02)
                except BaseException:
                    continue
            time.sleep(0.1)

        files.flush = lambda path: time.sleep(1)
        locking.Lock.acquire = acquire

    ended = run(folder, *_convert(target), hook=hook)
    _check_end(ended, signal.SIGINT, folder, target)


def test_a_signal_during_the_imports_ends_with_one_line(folder):
    """A new process, which the signal reaches at a random moment after its handlers are there."""
    chance = random.Random(1)
    target = folder / "a.nwb"
    command = [sys.executable, "-m", "nwb_ophys", *_convert(target)]
    for index in range(rounds(2, 60)):
        number = SIGNALS[index % 2]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            end = time.monotonic() + 60
            while not _catches(process.pid, signal.SIGTERM):
                assert time.monotonic() < end
                time.sleep(0.001)
            time.sleep(chance.uniform(0, rounds(1, 2)))
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        if process.returncode == 0 and out:  # it ended just before
            assert series_of(target) == {"TwoPhotonSeries"}
        else:
            ended = Ended(code=process.returncode, out=out, err=err)
            _check_end(ended, number, folder, target)
        _remove(target)


def _catches(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


# --- races --------------------------------------------------------------------------------------


def _waiting_for(path: Path) -> Callable[[], None]:
    """Return a hook that lets the winner wait for a file before its last rename."""

    def hook() -> None:
        replace = files.replace_target

        def wait(*arguments: object) -> None:
            end = time.monotonic() + 60
            while not path.exists() and time.monotonic() < end:
                time.sleep(0.01)
            replace(*arguments)

        files.replace_target = wait

    return hook


def test_of_eight_processes_with_one_target_seven_are_refused_at_once(folder, target, tmp_path):
    for _ in range(rounds(1, 5)):
        go = tmp_path / "go"
        programs = {}
        for _ in range(8):
            program = Program(folder, *_convert(target), hook=_waiting_for(go))
            programs[program.pid] = program
        ended, start = {}, time.monotonic()
        while len(ended) < 7:
            for pid in list(programs):  # this process may have other children
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                    ended[pid] = programs.pop(pid).wait()
            time.sleep(0.01)
        took = time.monotonic() - start
        go.touch()
        ((winner, last),) = programs.items()
        assert last.wait().code == 0
        assert took < 10  # for seven processes on a busy machine; one takes a part of a second
        print(f"{took:.2f} s for seven")
        for refused in ended.values():
            assert refused.code == 2
            said = (
                rf"Error: '{target.name}' is being written by process {winner} on '.*', since .*\n"
            )
            assert re.fullmatch(said, refused.err)
        assert series_of(target) == {"TwoPhotonSeries"}
        assert hidden(folder) == []
        _remove(target)
        go.unlink()


def test_eight_parallel_appends_are_in_or_refused(folder, target, whole):
    for _ in range(rounds(1, 5)):
        _put(whole, target)
        names = [f"Series{number}" for number in range(8)]
        appends = {name: _convert(target, "--append", "--set", f"{NAME}{name}") for name in names}
        programs = {name: Program(folder, *appends[name]) for name in names}
        ended = {name: program.wait() for name, program in programs.items()}
        done = {name for name, each in ended.items() if each.code == 0}
        assert done
        for name in set(names) - done:
            assert ended[name].code == 2
            assert re.fullmatch(r"Error: '.*' is being written by .*\n", ended[name].err)
        assert series_of(target) == {"TwoPhotonSeries", *done}
        assert hidden(folder) == []
        for name in sorted(set(names) - done)[:1]:
            assert run(folder, *appends[name]).code == 0
            assert series_of(target) == {"TwoPhotonSeries", *done, name}
