"""End of the program by SIGINT, SIGTERM and SIGHUP: one line and exit code 130, 143 or 129.

The module imports next to nothing, because :func:`nwb_ophys.cli.main` handles signals before it
imports anything else. While a command runs, a signal raises ``KeyboardInterrupt``, so that the
command cleans up. Python loses such an exception in callbacks from C, in ``__del__`` and in
imports of extension modules. It is therefore raised later in these places, and raised again while
the command goes on without handling it. Before and after the command, a signal ends the process at
once.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # typing takes as long to import as everything else until main() is called
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any

_WORDS = {"SIGINT": "Interrupted", "SIGTERM": "Terminated", "SIGHUP": "Terminated"}
# Seconds between the attempts to raise an interrupt that was deferred or lost.
_INTERVAL = 0.05
# Code of these modules locks, renames and removes files; it ends soon and is not interrupted.
_SHIELDED = {"nwb_ophys.storage.locking", "nwb_ophys.storage.atomic"}
_SHIELDED_FUNCTIONS = {"__del__", "to_the_end"}
_IMPORTS = "<frozen importlib._bootstrap"
# Modules whose innermost frames are between two steps of a with statement.
_BETWEEN = {"contextlib"}
_MOST_CAUSES = 100


class Signals:
    """Handlers of the signals that end the program.

    Parameters
    ----------
    is_program : bool
        Whether the process runs nothing else, so that it may be ended here.

    Attributes
    ----------
    received : list of int
        Numbers of the signals received.
    """

    def __init__(self, *, is_program: bool) -> None:
        self.received: list[int] = []
        self._is_program = is_program
        self._pid = os.getpid()
        self._is_said = False
        self._code = 0
        self._before: dict[int, Any] = {}
        self._unraisable: Any = None
        self._completed_before: Any = None
        self._kept_before: Any = None
        self._left_before: Any = None

    def install(self) -> None:
        """Handle the signals, except those that the process was started to ignore."""
        import threading

        if threading.current_thread() is not threading.main_thread():
            return
        self._completed_before, self._kept_before = _last_completed(), _last_kept()
        self._left_before = _last_left()
        for number in (getattr(signal, name, None) for name in _WORDS):
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        self._unraisable, sys.unraisablehook = sys.unraisablehook, self._on_unraisable

    def uninstall(self) -> None:
        """Restore the handlers of the process."""
        if self._unraisable is None:
            return
        self._stop_ticks()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._unraisable
        self._unraisable = None

    def guarded(self, command: Callable[[], int]) -> int:
        """Run a command, within which signals raise ``KeyboardInterrupt``."""
        try:
            return command()
        finally:
            self._stop_ticks()

    def say(self) -> int:
        """Print the line about the first signal once, and return the exit code."""
        number = self.received[0] if self.received else signal.SIGINT
        if not self._is_said:
            self._is_said = True
            path, kept, parts = _last_completed(), _last_kept(), _last_left()
            left = "No incomplete file was left."
            if path is not None and path is not self._completed_before:
                left = f"'{path}' is complete."
            elif kept is not None and kept is not self._kept_before:
                left = f"The part of '{kept}' that was written is kept; run again with --resume."
            elif parts is not None and parts is not self._left_before:
                left = f"Parts of '{parts}' could not be removed; remove them in the store."
            self._print(number, f"{_WORDS[signal.Signals(number).name]}. {left}\n")
        return 128 + number

    def leave(self, code: int) -> None:
        """End the process with an exit code, so that a later signal finds it ended.

        Raises
        ------
        SystemExit
            With the code.
        """
        if self._is_program:
            import atexit

            _flush()
            self._code = code
            # The first function registered is called last.
            atexit.register(self._end)
        sys.exit(code)

    def _end(self) -> None:
        if sys.gettrace() is None and sys.getprofile() is None:
            _flush()
            os._exit(self._code)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._pid:  # a child after a fork, which has nothing to say
            os._exit(128 + number)
        self.received.append(number)
        if self._is_program and not self._is_guarded(frame):
            os._exit(self.say())
        self._start_ticks()
        self._raise_in(frame)

    def _on_tick(self, _: int, frame: FrameType | None) -> None:
        if self.received and os.getpid() == self._pid:
            self._raise_in(frame)

    def _raise_in(self, frame: FrameType | None) -> None:
        """Raise an interrupt, unless it is handled already or would be lost in the frame."""
        if self._is_guarded(frame) and not _is_handled() and not _loses_interrupts(frame):
            raise KeyboardInterrupt

    def _is_guarded(self, frame: FrameType | None) -> bool:
        codes = {each.f_code for each in _stack(frame)}
        return Signals.guarded.__code__ in codes

    def _on_unraisable(self, unraisable: Any) -> None:
        if not (self.received and isinstance(unraisable.exc_value, KeyboardInterrupt)):
            self._unraisable(unraisable)

    def _start_ticks(self) -> None:
        if hasattr(signal, "SIGALRM") and signal.SIGALRM not in self._before:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_tick)
            signal.setitimer(signal.ITIMER_REAL, _INTERVAL, _INTERVAL)

    def _stop_ticks(self) -> None:
        if hasattr(signal, "SIGALRM") and signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _print(self, number: int, line: str) -> None:
        if sys.stderr is None:  # closed, and its number may be that of another file now
            return
        # The name of a file may hold the codes of a terminal.
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line.strip())
        line = f"{shown}\n"
        try:
            if number == signal.SIGINT and sys.stderr.isatty():
                line = f"\n{line}"  # the terminal shows ^C
            sys.stderr.write(line)
            sys.stderr.flush()
        except Exception:  # the interrupted code was writing, or the terminal is gone
            try:
                os.write(2, line.encode(errors="backslashreplace"))
            except OSError:
                return


def _last_completed() -> Any:
    """Return the last file that was completed, without importing the code that writes files."""
    atomic = sys.modules.get("nwb_ophys.storage.atomic")
    return getattr(atomic, "last_completed", lambda: None)()


def _last_left() -> Any:
    """Return the last target of which parts stay in a store."""
    atomic = sys.modules.get("nwb_ophys.storage.atomic")
    return getattr(atomic, "last_left", lambda: None)()


def _last_kept() -> Any:
    """Return the last file that was kept to be resumed."""
    resuming = sys.modules.get("nwb_ophys.storage.resuming")
    return getattr(resuming, "last_kept", lambda: None)()


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_handled() -> bool:
    """Return whether an interrupt is being handled, or a generator closed, by the frames below."""
    error = sys.exc_info()[1]
    for _ in range(_MOST_CAUSES):
        if error is None:
            return False
        if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
            return True
        error = error.__context__
    return False


def _loses_interrupts(frame: FrameType | None) -> bool:
    """Return whether an interrupt would be lost, or would break what must not be broken."""
    if frame is not None and frame.f_globals.get("__name__") in _BETWEEN:
        return True
    return any(
        each.f_code.co_filename.startswith(_IMPORTS)
        or each.f_code.co_name in _SHIELDED_FUNCTIONS
        or each.f_globals.get("__name__") in _SHIELDED
        for each in _stack(frame)
    )


def _flush() -> None:
    """Flush stdout and stderr; a pipe that nobody reads is replaced, so that Python is silent."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            setattr(sys, name, None)


def is_program(frame: FrameType | None) -> bool:
    """Return whether a frame is the script ``nwb-ophys``, or ``python -m nwb_ophys``.

    Parameters
    ----------
    frame : types.FrameType
        The caller of ``main``.
    """
    if frame is None or frame.f_globals.get("__name__") != "__main__":
        return False
    above = frame.f_back
    if above is not None and above.f_code.co_filename != "<frozen runpy>":
        return False  # a debugger, a profiler or a notebook
    name = os.path.basename(sys.argv[0])  # noqa: PTH119, since pathlib takes long to import
    return name in ("__main__.py", "nwb-ophys", "nwb-ophys.exe", "nwb-ophys-script.py")
