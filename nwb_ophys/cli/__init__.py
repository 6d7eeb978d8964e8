"""The command line ``nwb-ophys``: one file per command, without logic of its own."""

from __future__ import annotations

import sys

from nwb_ophys.cli.app import app
from nwb_ophys.cli.failures import report
from nwb_ophys.storage.command import stated_command


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process.

    Parameters
    ----------
    arguments : list of str, optional
        By default the arguments of the process.

    Raises
    ------
    SystemExit
        With 0 on success, 1 for an invalid file or an unexpected error, 2 for an error that the
        user can correct, and 130 when interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with report(debug="--debug" in given), stated_command(given):
        code = app.main(args=given, prog_name="nwb-ophys", standalone_mode=False)
    # click returns the exit code of an Exit, or else the return value of the command.
    sys.exit(code if isinstance(code, int) else 0)


__all__ = ["main"]
