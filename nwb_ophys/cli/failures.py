"""How a failure is shown: a line or two for a person, a traceback for ``--debug``."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from nwb_ophys.errors import NwbOphysError

_INTERRUPTED = "Interrupted; no file is half-written."


@contextmanager
def _ended_as_interrupted() -> Iterator[list[int]]:
    """Have a request to end, as a cluster's scheduler sends it, clean up like Ctrl-C.

    Yields
    ------
    list of int
        The signals that came.
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
    """Show errors and warnings in plain lines on stderr, and end the process after an error.

    Parameters
    ----------
    debug : bool
        Let errors through, with their tracebacks.
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
            _say("Ended; no file is half-written." if received else _INTERRUPTED)
            sys.exit(128 + received[0] if received else 130)
        except Exception as error:
            if debug:
                raise
            sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """Say what went wrong and return the exit code."""
    if isinstance(error, NwbOphysError):
        _say(f"Error: {error}")
        return 2
    if isinstance(error, OSError):
        _say(
            f"Error: {error.strerror or error}: '{error.filename}'"
            if error.filename
            else f"Error: {error}"
        )
        return 2
    _say(f"Error: {type(error).__name__}: {error}")
    _say("This was not expected. Run it again with --debug to see where it arose.")
    return 1


def _say(text: str) -> None:
    # One line each, however the message was broken.
    click.echo(" ".join(text.split()), err=True)


def _show_warning(message: Any, *_: Any, **__: Any) -> None:
    _say(f"Note: {message}")
