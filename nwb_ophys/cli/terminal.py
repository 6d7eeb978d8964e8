"""The output of all commands, in which control characters of files and paths are escaped.

A name or a text from a file may hold the codes by which a terminal is cleared, coloured or made to
show another text than there is. All other modules of the command line print through this one.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import click

from nwb_ophys.errors import printable


def say(text: str, *, err: bool = False) -> None:
    """Print one line.

    Parameters
    ----------
    text : str
        Line breaks in it are escaped, since they come from a name.
    err : bool
        Whether to print on stderr.
    """
    _print(printable(text), err=err)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print a text of several lines, whose line breaks are meant.

    Parameters
    ----------
    text : str
    err : bool
        Whether to print on stderr.
    """
    lines = text.removesuffix("\n").split("\n")
    _print("\n".join(printable(line) for line in lines), err=err)


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
    say_lines("".join(traceback.format_exception(kind, error, trace)), err=True)


def _print(text: str, *, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    # A terminal of an old system shows the code of a character that it lacks.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=err)
