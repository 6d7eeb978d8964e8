"""Tests of the handlers of signals; ``tests/reliability`` sends them at every moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nwb_ophys.cli import main
from nwb_ophys.cli import signals as module
from nwb_ophys.cli.signals import Signals

PROGRAM = Path(sys.executable).parent / "nwb-ophys"


@pytest.fixture
def installed(monkeypatch):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Signals(is_program=False)
    made.install()
    yield made
    made.uninstall()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _send(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def test_handlers_are_those_of_before_afterwards(run):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    hook = sys.unraisablehook
    run("formats")
    now = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert now == before
    assert sys.unraisablehook is hook
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_signal_that_is_ignored_stays_ignored():
    """nohup and background jobs of a shell start processes that ignore signals."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        made = Signals(is_program=False)
        made.install()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        made.uninstall()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_a_command(installed, number, capsys):
    with pytest.raises(KeyboardInterrupt):
        installed.guarded(lambda: _send(number))
    assert installed.say() == 128 + number
    word = "Interrupted" if number == signal.SIGINT else "Terminated"
    assert capsys.readouterr().err == f"{word}. No incomplete file was left.\n"
    assert installed.say() == 128 + number
    assert capsys.readouterr().err == ""


def test_an_interrupt_waits_for_the_end_of_an_import(installed, tmp_path, monkeypatch):
    (tmp_path / "slow_module.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.2)\nx = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    whole = []

    def command():
        import slow_module

        whole.append(slow_module.x)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        installed.guarded(command)
    assert whole == [1]


def test_an_interrupt_that_is_swallowed_is_raised_again(installed):
    swallowed = []

    def command():
        try:
            _send()
        except BaseException as error:
            swallowed.append(error)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        installed.guarded(command)
    assert swallowed


def test_clean_up_is_not_interrupted_again(installed):
    cleaned = []

    def command():
        try:
            _send()
        finally:
            for _ in range(20):
                _send(signal.SIGINT)
            cleaned.append(True)

    with pytest.raises(KeyboardInterrupt):
        installed.guarded(command)
    assert cleaned


def test_an_interrupt_in_a_destructor_is_neither_lost_nor_printed(installed, capsys):
    class Swallows:
        def __del__(self):
            _send()

    def command():
        Swallows()
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        installed.guarded(command)
    assert capsys.readouterr().err == ""


def test_a_thread_may_run_a_command(capsys):
    codes = []

    def run():
        try:
            main(["formats"])
        except SystemExit as end:
            codes.append(end.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]


def test_only_a_script_is_a_program():
    assert not module.is_program(sys._getframe())
    assert not module.is_program(None)


@pytest.mark.parametrize("arguments", [("formats",), ("--help",)])
def test_a_reader_that_ends_is_no_error(arguments):
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run([PROGRAM, *arguments], stdout=writes, stderr=subprocess.PIPE, text=True)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_exit_code_reaches_the_shell(tmp_path):
    for arguments, code in ((("--version",), 0), (("absent",), 2)):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
        assert done.returncode == code
