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
from typing import Any

import attrs

from nwb_ophys.errors import printable
from nwb_ophys.flags import error_lines, with_flags
from nwb_ophys.storage.children import Child, prepare_child

# Work that leaves something to clean up when it is ended.
_WRITING = ("convert", "run_batch")
CANCELLED = "Cancelled. No incomplete file was left."


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

        def tell(value: Any) -> None:
            loop.call_soon_threadsafe(report, value)

        return await asyncio.to_thread(self._run, name, dict(arguments), tell)

    def _run(self, name: str, arguments: dict[str, Any], report: Callable[[Any], None]) -> Done:
        self._is_cancelled, self._work = False, name
        self.start()
        child = self._child
        if child is None:  # the page ends
            raise WorkCancelled(CANCELLED)
        try:
            child.pipe.send((name, arguments))
            while True:
                kind, value, notes = child.pipe.recv()
                if kind == "progress":
                    report(value)
                elif kind == "failed":
                    raise WorkFailed(*value)
                else:
                    return Done(value=value, notes=notes)
        except (EOFError, OSError):
            child.wait()
            if self._is_cancelled:
                raise WorkCancelled(CANCELLED) from None
            raise WorkFailed(
                f"The process of the work ended with code {child.process.exitcode}. If the system "
                "killed it for its memory, close other programs and try again."
            ) from None
        finally:
            self._work = ""

    def cancel(self) -> None:
        """End the present work; what it has written is removed."""
        if self._child is not None:
            self._is_cancelled = True
            self._child.interrupt()

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
    from nwb_ophys.page import batches, work

    kinds = {
        **{name: getattr(work, name) for name in ("detect", "survey", "look", "plan", "convert")},
        **{name: getattr(batches, name) for name in ("plan_batch", "run_batch")},
    }
    tools = work.Tools(report=report)
    return lambda name, arguments: _answer(partial(kinds[name], tools, **arguments))


def _answer(task: Callable[[], Any]) -> Answer:
    """Return what became of work."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            value, kind = task(), "done"
        except Exception as error:
            lines = error_lines(error) or [_unexpected(error)]
            value, kind = [printable(line) for line in lines], "failed"
    notes = dict.fromkeys(" ".join(with_flags(str(each.message)).split()) for each in caught)
    return kind, value, tuple(map(printable, notes))


def _unexpected(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {error}. This error is unexpected; run the command that is shown "
        "with --debug to see the traceback."
    )
