"""Report errors and warnings in plain lines for the user, with a traceback after ``--debug``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from nwb_ophys.cli.signals import Signals
from nwb_ophys.cli.terminal import output_to, say
from nwb_ophys.errors import OutputError
from nwb_ophys.flags import error_lines, with_flags
from nwb_ophys.paths import with_short_paths

_NAME, _LOG = "nwb-ophys", "--log-file"
_COMPLETION = "_NWB_OPHYS_COMPLETE"
_NOBODY_READS = 128 + 13  # as after SIGPIPE


def run(arguments: list[str], signals: Signals) -> int:
    """Run a command, print errors and warnings on stderr, and return the exit code.

    Each takes one line; several errors of metadata take a line each.

    Parameters
    ----------
    arguments : list of str
        With ``--debug``, errors are raised, with their tracebacks, instead of printed.
    signals : Signals
    """
    debug = "--debug" in arguments
    try:
        with output_to(is_quiet="--quiet" in arguments, log_path=_log_path(arguments)):
            return _run(arguments, signals, debug=debug)
    except OutputError as error:  # of the log file
        return _explain(error)


def _log_path(arguments: list[str]) -> str | None:
    """Return the file that ``--log-file`` names; click checks that it names one."""
    for index, argument in enumerate(arguments):
        if argument == _LOG and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"{_LOG}="):
            return argument.partition("=")[2]
    return None


def _run(arguments: list[str], signals: Signals, *, debug: bool) -> int:
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _notes()
        try:
            code = signals.guarded(lambda: _invoke(arguments))
        except BaseException as error:
            return _outcome(error, signals, debug=debug)
    return signals.say() if signals.received else code


def _invoke(arguments: list[str]) -> int:
    """Run a command without the handling of errors by click, which prints an empty line."""
    from nwb_ophys.cli.app import app

    if _COMPLETION in os.environ:
        app.main(args=arguments, prog_name=_NAME, standalone_mode=False)
    try:
        with app.make_context(_NAME, list(arguments)) as context:
            code = app.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return code if isinstance(code, int) else 0


def _outcome(error: BaseException, signals: Signals, *, debug: bool) -> int:
    """Print the error and return the exit code, or raise it."""
    if signals.received or isinstance(error, (KeyboardInterrupt, click.Abort)):
        return signals.say()
    if isinstance(error, click.ClickException):
        _say(f"Error: {error.format_message()}{_usage(error)}")
        return 2
    if isinstance(error, BrokenPipeError):  # of the output, as in nwb-ophys formats | head
        return _NOBODY_READS
    if debug or not isinstance(error, Exception):
        raise error
    return _explain(error)


def _usage(error: click.ClickException) -> str:
    """Return where the arguments of a command are described, after an error of their use."""
    context = getattr(error, "ctx", None)
    if context is None or context.parent is None:
        return ""
    if isinstance(error, click.NoSuchOption) and {"options"} & set(_names(context.command)):
        name = error.option_name.lstrip("-").replace("-", "_")
        if name in _arguments_of_formats():
            return f" It is an argument of a format: give --option {name}=VALUE."
    if isinstance(error, (click.MissingParameter, click.NoSuchOption)):
        return f" '{context.command_path} --help' shows the arguments."
    return ""


def _names(command: click.Command) -> list[str | None]:
    return [each.name for each in command.params]


def _arguments_of_formats() -> set[str]:
    from nwb_ophys.registry import formats

    found = set()
    for row in formats().values():
        with suppress(Exception):  # a plug-in that cannot be imported
            found |= set(row.load().get_source_schema()["properties"])
    return found


def _explain(error: Exception) -> int:
    """Print the error and return the exit code."""
    lines = error_lines(error)
    if lines is not None:
        for line in lines:
            _say(f"Error: {line}")
        return 2
    _say(f"Error: {type(error).__name__}: {error}")
    _say("This error is unexpected. Run the command again with --debug to see the traceback.")
    return 1


def _say(text: str, *, always: bool = True) -> None:
    say(_line(text), err=True, always=always)


def _line(text: str) -> str:
    """Return a message, which may hold line breaks, on one line and with short paths."""
    return with_short_paths(" ".join(text.split()))


def _notes() -> Callable[..., None]:
    """Return a replacement of ``warnings.showwarning`` that prints each note once."""
    # Python forgets the warnings it has shown whenever other code changes its filters.
    shown: set[str] = set()

    def show(message: Any, *_: Any, **__: Any) -> None:
        # Absolute and relative paths of one file are the same when they are printed.
        text = _line(f"Note: {with_flags(str(message))}")
        if text not in shown:
            shown.add(text)
            _say(text, always=False)

    return show
