"""The process that does the long work of the page, so that the page answers and work can be ended.

One process stays warm with everything imported. Each piece of work runs in its main thread, where
Ctrl-C ends it as it ends the commands: a conversion removes what it has written.
"""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing import connection
from typing import Any

import attrs

from nwb_ophys.errors import printable
from nwb_ophys.page.wording import page_lines, page_note
from nwb_ophys.storage.children import Child, prepare_child

# Work that leaves something to clean up when it is ended.
_WRITING = ("convert", "run_batch")
CANCELLED = "Cancelled. No incomplete file was left."
KILLED = (
    "Cancelled. The work did not stop and was killed; 'nwb-ophys clean FOLDER' removes the hidden "
    "files that it may have left."
)
SECONDS_TO_STOP = 30.0
"""Time in which cancelled work ends; then it is killed."""


class WorkFailed(Exception):  # noqa: N818  (not an error of this package, but its report)
    """Work that ended with an error.

    Parameters
    ----------
    *lines : str
        What the command line prints of it.
    """


class WorkCancelled(Exception):  # noqa: N818
    """Work that was cancelled, or whose process was ended by the system."""


@attrs.frozen(kw_only=True)
class Done:
    """Outcome of work.

    Attributes
    ----------
    value : object
        Plain values.
    notes : tuple of str
        Warnings that were given.
    """

    value: Any
    notes: tuple[str, ...]


class Worker:
    """The process, as the server sees it."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._is_cancelled = False
        self._is_ended = False
        self._work = ""
        self._killed: Child | None = None

    def start(self) -> None:
        """Start the process, if it does not run, so that it imports everything beforehand."""
        with self._lock:
            if self._is_ended:
                return
            if self._child is None or not self._child.process.is_alive():
                self._child = Child(_serve)

    async def run(
        self, name: str, arguments: Mapping[str, Any], report: Callable[[Any], None]
    ) -> Done:
        """Do one piece of work.

        Parameters
        ----------
        name : str
            Function of :mod:`nwb_ophys.page.work`.
        arguments : Mapping
            Its arguments, plain values.
        report : callable
            Called in the event loop with each report of progress.

        Raises
        ------
        WorkFailed
            With the lines of the error.
        WorkCancelled
            When it was cancelled.
        """
        loop = asyncio.get_running_loop()
        # Before anything waits: a cancel may come at once.
        self._is_cancelled, self._work = False, name

        def tell(value: Any) -> None:
            loop.call_soon_threadsafe(report, value)

        return await asyncio.to_thread(self._run, name, dict(arguments), tell)

    def _run(self, name: str, arguments: dict[str, Any], report: Callable[[Any], None]) -> Done:
        try:
            child = self._ready()
            try:
                child.pipe.send((name, arguments))
                return _received(child, report)
            except (EOFError, OSError):
                child.wait()
                raise self._reason(name, child) from None
        finally:
            self._work = ""

    def _ready(self) -> Child:
        """Return the process, started if it does not run."""
        self.start()
        with self._lock:
            if self._child is None or self._is_cancelled:  # the page ends, or nobody wants it
                raise WorkCancelled(CANCELLED)
            return self._child

    def _reason(self, name: str, child: Child) -> Exception:
        """Return why the process of a piece of work has ended."""
        code = child.process.exitcode
        if self._is_cancelled:
            return WorkCancelled(KILLED if self._killed is child else CANCELLED)
        left = " 'nwb-ophys clean FOLDER' removes the hidden files that it may have left."
        return WorkFailed(
            f"The process of the work ended with code {code}. If the system killed it for its "
            f"memory, close other programs and try again.{left if name in _WRITING else ''}"
        )

    def cancel(self) -> None:
        """End the present work; what it has written is removed."""
        with self._lock:
            self._is_cancelled = True
            # The next work has a new process, even if this one ends only now.
            child, self._child = self._child, None
        if child is not None:
            child.interrupt()
            threading.Thread(target=self._kill_later, args=(child,), daemon=True).start()

    def _kill_later(self, child: Child) -> None:
        if not connection.wait([child.process.sentinel], SECONDS_TO_STOP):
            self._killed = child
            child.process.kill()

    def end(self) -> None:
        """End the process and wait for it."""
        with self._lock:
            self._is_ended = True
            child, self._child = self._child, None
        if child is not None:
            if self._work in _WRITING:  # it cleans up
                child.interrupt()
            else:
                child.process.kill()
            child.wait()


def _received(child: Child, report: Callable[[Any], None]) -> Done:
    """Return the outcome that a process sends, and pass its reports on."""
    while True:
        kind, value, notes = child.pipe.recv()
        if kind == "progress":
            report(value)
        elif kind == "failed":
            raise WorkFailed(*value)
        else:
            return Done(value=value, notes=notes)


def _serve(pipe: Any) -> None:
    """Do the work that comes through a pipe, until it is closed."""
    interrupts = prepare_child()
    do = doer(lambda value: pipe.send(("progress", value, ())))
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(interrupts.guarded(partial(do, name, arguments)))


Answer = tuple[str, Any, tuple[str, ...]]
"""What became of work: a word, its value or the lines of its error, and its notes."""


def doer(report: Callable[[Any], None]) -> Callable[[str, Mapping[str, Any]], Answer]:
    """Return a function that does work, by its name and arguments.

    Parameters
    ----------
    report : callable
        Called with each report of progress.
    """
    import nwb_ophys.interfaces.writing  # with pynwb, before a conversion waits for it  # noqa: F401
    from nwb_ophys.page import batches, work

    kinds = {
        **{name: getattr(work, name) for name in ("detect", "survey", "look", "plan", "convert")},
        **{name: getattr(batches, name) for name in ("plan_batch", "run_batch")},
    }
    tools = work.Tools(report=report)
    return lambda name, arguments: _answer(
        partial(kinds[name], tools, **arguments), has_controls=not name.endswith("_batch")
    )


def _answer(task: Callable[[], Any], has_controls: bool) -> Answer:
    """Return what became of work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            value, kind = task(), "done"
        except Exception as error:
            lines = page_lines(error, has_controls=has_controls) or [_unexpected(error)]
            value, kind = [printable(line) for line in lines], "failed"
    notes = dict.fromkeys(
        page_note(str(each.message), has_controls=has_controls) for each in caught
    )
    return kind, value, tuple(map(printable, notes))


def _unexpected(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {error}. This error is unexpected; run the command that is shown "
        "with --debug to see the traceback."
    )
