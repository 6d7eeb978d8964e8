"""The output of all commands, in which control characters of files and paths are escaped.

A name or a text from a file may hold the codes by which a terminal is cleared, coloured or made to
show another text than there is. All other modules of the command line print through this one.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import attrs
import click

from nwb_ophys.errors import OutputError, printable
from nwb_ophys.home import with_home
from nwb_ophys.outside import check_output
from nwb_ophys.storage.text_files import check_replaceable, kind_with

_LOG = kind_with("a log of this program", r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d ", ".log")


def say(text: str, *, err: bool = False, always: bool = False) -> None:
    """Print one line.

    Parameters
    ----------
    text : str
        Line breaks in it are escaped, since they come from a name.
    err : bool
        Whether to print on stderr.
    always : bool
        Whether to print it after ``--quiet``, too.
    """
    _print(printable(text), err=err, always=always)


def say_lines(text: str, *, err: bool = False, always: bool = False) -> None:
    """Print a text of several lines, whose line breaks are meant.

    Parameters
    ----------
    text : str
    err : bool
        Whether to print on stderr.
    always : bool
        Whether to print it after ``--quiet``, too.
    """
    lines = text.removesuffix("\n").split("\n")
    _print("\n".join(printable(line) for line in lines), err=err, always=always)


def escape_foreign_output() -> None:
    """Escape also the records that libraries log, and the tracebacks of ``--debug``."""
    logging.lastResort = _Handler(logging.WARNING)
    sys.excepthook = _show_traceback


class _Handler(logging.Handler):
    """A handler of the records of libraries, which prints each on one line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record on stderr."""
        say(" ".join(record.getMessage().split()), err=True)


def _show_traceback(kind: Any, error: Any, trace: Any) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    say_lines(text, err=True, always=True)


class _Log:
    """A file of lines, without which the command goes on if it cannot be written any more.

    Parameters
    ----------
    file : file object
        Without a buffer, so that whoever looks at it sees how far the command is.
    name : str
        Name for messages.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file: IO[bytes] | None = file
        self._name = name

    def add(self, text: str) -> None:
        """Add the lines of a text, each with the time."""
        moment = datetime.now().astimezone().isoformat(" ", "seconds")
        lines = "".join(f"{moment} {line}\n" for line in text.split("\n"))
        try:
            if self._file is not None:
                self._file.write(lines.encode("utf-8", "replace"))
        except OSError as error:  # such as a disk that is full
            self._file = None
            reason = error.strerror or error
            note = f"Note: The log file '{self._name}' cannot be written any more: {reason}."
            click.echo(printable(note), err=True)


@attrs.frozen(kw_only=True)
class Output:
    """Destination of the lines of a command.

    Attributes
    ----------
    is_quiet : bool
        Whether only errors and JSON are printed.
    log : _Log or None
        File that also gets each line, with the time before it.
    stdout : file object or None
        Destination in place of ``sys.stdout``.
    """

    is_quiet: bool = False
    log: _Log | None = None
    stdout: IO[str] | None = None


_USUAL = Output()
_OUTPUT: ContextVar[Output] = ContextVar("output", default=_USUAL)


def is_quiet() -> bool:
    """Return whether the command prints only errors and JSON."""
    return _OUTPUT.get().is_quiet


@contextmanager
def output_to(*, is_quiet: bool, log_path: str | None) -> Iterator[None]:
    """Print only errors and JSON within the block, or write each line to a file, too.

    Parameters
    ----------
    is_quiet : bool
    log_path : str or None
        File to which the lines are added.

    Raises
    ------
    OutputError
        When the file cannot be written, or what is there is not a log.
    """
    if log_path is None:
        token = _OUTPUT.set(Output(is_quiet=is_quiet))
        try:
            yield
        finally:
            _OUTPUT.reset(token)
        return
    place = with_home(Path(log_path))
    check_output(place)
    try:
        if place.is_file():
            check_replaceable(place, _LOG)
        log = place.open("ab", buffering=0)
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"The log file '{log_path}' cannot be written: {reason}.") from error
    with log:
        token = _OUTPUT.set(Output(is_quiet=is_quiet, log=_Log(log, log_path)))
        try:
            yield
        finally:
            _OUTPUT.reset(token)


@contextmanager
def own_stdout() -> Iterator[None]:
    """Keep stdout for the lines of this module within the block.

    Whatever else is printed there, by libraries in Python or C and by child processes, goes to
    stderr, so that a program which reads stdout finds one document of JSON.
    """
    if sys.stdout is None:  # it is closed
        yield
        return
    with ExitStack() as stack:
        own = stack.enter_context(_apart()) if sys.stdout is sys.__stdout__ else sys.stdout
        stack.enter_context(redirect_stdout(sys.stderr))
        token = _OUTPUT.set(attrs.evolve(_OUTPUT.get(), stdout=own))
        try:
            yield
        finally:
            _OUTPUT.reset(token)


@contextmanager
def _apart() -> Iterator[IO[str] | None]:
    """Give a file that writes to the stdout of the process, whose number then means stderr."""
    try:
        sys.stdout.flush()
        number, errors = sys.stdout.fileno(), sys.stderr.fileno()
        copy = os.dup(number)
    except (AttributeError, OSError):  # stderr is closed, or stdout is no file
        yield sys.stdout
        return
    own = open(copy, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors)  # noqa: SIM115, PTH123
    os.dup2(errors, number)
    try:
        yield own
    finally:
        os.dup2(copy, number)
        with suppress(BrokenPipeError):
            own.close()


def _print(text: str, *, err: bool, always: bool = False) -> None:
    output = _OUTPUT.get()
    if output.log is not None:
        output.log.add(text)
    if output.is_quiet and not always:
        return
    stream = sys.stderr if err else output.stdout or sys.stdout
    # A terminal of an old system shows the code of a character that it lacks.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)
