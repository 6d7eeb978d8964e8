"""Child processes that convert: their start, and their end by Ctrl-C or with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, resource_tracker
from typing import Any, NoReturn, TypeVar

from nwb_ophys.storage.threads import to_the_end

Result = TypeVar("Result")

_PATIENCE_SECONDS = 30.0


class Child:
    """A fresh process with a pipe to it.

    Parameters
    ----------
    target : callable
        Function of a module that runs in the process, called with its end of the pipe. It begins
        with :func:`prepare_child`.
    """

    def __init__(self, target: Callable[[Any], None]) -> None:
        _check_not_beginning()
        # A fresh process: a fork would share locks of threads and of the HDF5 library.
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=target, args=(other,), daemon=False)
        with _without_interrupts():
            # The command line defers an interrupt that reaches another thread meanwhile.
            to_the_end(self._start)
        other.close()

    def _start(self) -> None:
        if self.process.pid is None:
            self.process.start()

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the process, if it runs."""
        if self.process.pid is not None and self.process.is_alive():
            with suppress(OSError):
                os.kill(self.process.pid, number)

    def end(self, number: int | None = None) -> None:
        """End the process, with a signal if one is given, and wait for it."""
        self.pipe.close()
        if number is not None:
            self.interrupt(number)
        self.wait()

    def wait(self) -> None:
        """Wait until the process has ended; one that does not is killed."""
        self.process.join(_PATIENCE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _check_not_beginning() -> None:
    """End a child that starts another one while it still imports the script of its parent.

    Python would print a traceback of 30 lines for each child; the parent says what to change.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back within the block, and in a process that is started in it until it is ready.

    Python prints the traceback of an interrupt that comes while it starts.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # It starts with the first process, and would let interrupts through.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_child() -> Interrupts:
    """Let this process end with its parent, and by Ctrl-C; called first in a child.

    Returns
    -------
    Interrupts
        The handler of Ctrl-C, which guards conversions.
    """
    _end_with_parent()
    interrupts = Interrupts()
    signal.signal(signal.SIGINT, interrupts)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    return interrupts


class Interrupts:
    """Handler of Ctrl-C that lets a conversion clean up, and else ends the process at once."""

    def __init__(self) -> None:
        self._is_converting = False

    def __call__(self, number: int, _: Any) -> None:
        """Handle a signal."""
        if not self._is_converting:
            os._exit(128 + number)
        # A second signal must not interrupt the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        # Python loses it in callbacks and reports that; the session then ends first.
        sys.unraisablehook = lambda *_: None
        raise KeyboardInterrupt

    def guarded(self, convert: Callable[[], Result]) -> Result:
        """Call a function, which may clean up after an interrupt; then the process ends."""
        try:
            self._is_converting = True
            return convert()
        except KeyboardInterrupt:
            os._exit(128 + signal.SIGINT)
        finally:
            self._is_converting = False


def leave() -> NoReturn:
    """End this process, which has closed all files; Python would first free each object."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, or closed
            stream.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when its parent ends; nobody would take its results."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, name="nwb_ophys parent", daemon=True).start()
