"""Report errors and warnings in plain lines for the user, with a traceback after ``--debug``."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from nwb_ophys.cli.flags import with_flags
from nwb_ophys.cli.terminal import say
from nwb_ophys.errors import MetadataError, NwbOphysError

_INTERRUPTED = "Interrupted. No incomplete file was left."


@contextmanager
def _ended_as_interrupted() -> Iterator[list[int]]:
    """Clean up after SIGTERM, which schedulers of clusters send, as after Ctrl-C.

    Yields
    ------
    list of int
        The signals received.
    """
    received: list[int] = []

    def end(number: int, _: Any) -> None:
        received.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def report(*, debug: bool) -> Iterator[None]:
    """Print errors and warnings on stderr, and exit after an error.

    Each takes one line; several errors of metadata take a line each.

    Parameters
    ----------
    debug : bool
        Whether errors are raised, with their tracebacks, instead of printed.
    """
    with warnings.catch_warnings(), _ended_as_interrupted() as received:
        if not debug:
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
        try:
            yield
        except click.ClickException as error:
            _say(f"Error: {error.format_message()}")
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            _say("Terminated. No incomplete file was left." if received else _INTERRUPTED)
            sys.exit(128 + received[0] if received else 130)
        except Exception as error:
            if debug:
                raise
            sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Print the error and return the exit code."""
    if isinstance(error, MetadataError):
        for fault in error.args:
            _say(f"Error: {with_flags(str(fault))}")
        return 2
    if isinstance(error, NwbOphysError):
        _say(f"Error: {with_flags(str(error))}")
        return 2
    if isinstance(error, OSError):
        _say(
            f"Error: {error.strerror or error}: '{error.filename}'"
            if error.filename
            else f"Error: {error}"
        )
        return 2
    _say(f"Error: {type(error).__name__}: {error}")
    _say("This error is unexpected. Run the command again with --debug to see the traceback.")
    return 1


def _say(text: str) -> None:
    # A message may hold line breaks; each is printed on one line.
    say(" ".join(text.split()), err=True)


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    _say(f"Note: {with_flags(str(message))}")
