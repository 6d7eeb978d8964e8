"""The command line that makes a conversion, for the record in the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_COMMAND: ContextVar[tuple[str, ...]] = ContextVar("command", default=())


@contextmanager
def stated_command(arguments: Sequence[str]) -> Iterator[None]:
    """State the command line that makes the conversions in the block."""
    token = _COMMAND.set(tuple(arguments))
    try:
        yield
    finally:
        _COMMAND.reset(token)


def present_command() -> tuple[str, ...]:
    """Return the arguments of the command line; empty for a call from Python."""
    return _COMMAND.get()
