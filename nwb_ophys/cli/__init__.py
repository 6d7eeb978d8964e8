"""The command line: one file per command, none with logic of its own."""

from __future__ import annotations

import sys

from nwb_ophys.cli.app import app
from nwb_ophys.cli.failures import report


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process when not given.

    Raises
    ------
    SystemExit
        With 0 when all went well, 1 when a file was found wrong or something failed that is no
        mistake of the user's, 2 for a user's mistake, 130 when interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    with report(debug="--debug" in given):
        code = app.main(args=given, prog_name="nwb-ophys", standalone_mode=False)
    # click returns the code of an Exit, and the value of a command otherwise.
    sys.exit(code if isinstance(code, int) else 0)


__all__ = ["main"]
