"""The command line ``nwb-ophys``: one file per command, without logic of its own."""

from __future__ import annotations

import os
import sys


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
        user can correct, 130 after SIGINT (Ctrl-C), 143 after SIGTERM, 129 after SIGHUP, and 141
        when nobody reads the output.
    """
    # Signals are handled before anything else is imported.
    from nwb_ophys.cli.signals import Signals, is_program

    signals = Signals(is_program=arguments is None and is_program(sys._getframe(1)))
    signals.install()
    try:
        _fill_closed_streams()
        from nwb_ophys.cli.failures import run
        from nwb_ophys.storage.command import stated_command

        given = sys.argv[1:] if arguments is None else arguments
        with stated_command(given):
            code = run(given, signals)
        signals.leave(code)
    finally:
        signals.uninstall()


def _fill_closed_streams() -> None:
    """Open the null device as each standard stream that is closed, as it may be in a service.

    Otherwise the next file that is opened gets its number, and whatever a library prints goes
    into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, "r" if number == 0 else "w")  # noqa: SIM115, PTH123
            if stream.fileno() == number:
                os.set_inheritable(number, True)  # to the processes of a batch, too
            setattr(sys, name, stream)


__all__ = ["main"]
