"""Case f: time to import the package, and to show the help of its command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points

from benchmarks.model import Comparison, Contender, Job, Setup

#: The command of each package.
_COMMANDS = {"neuroconv": "neuroconv", "nwb_ophys": "nwb-ophys"}


def _import(package: str) -> str:
    return f"import {package}"


def _help(package: str) -> str:
    """Return Python code that prints the help of a command, like its script."""
    command = _COMMANDS[package]
    (entry,) = entry_points(group="console_scripts", name=command)
    return (
        f"import sys; from {entry.module} import {entry.attr}; "
        f"sys.argv = ['{command}', '--help']; sys.exit({entry.attr}())"
    )


def _prepare(package: str, code: Callable[[str], str]) -> Callable[[Setup], Job]:
    def prepare(setup: Setup) -> Job:
        command = [sys.executable, "-c", code(package)]

        def run() -> None:
            subprocess.run(command, check=True, capture_output=True)

        run()  # so that the files are in the system's memory, and compiled
        return Job(run=run)

    return prepare


def starting_comparisons() -> list[Comparison]:
    """Return the comparisons of case f."""
    return [
        Comparison(
            key=key,
            title=title,
            timed="A new Python process is timed from start to end, after one that is not timed.",
            contenders=[
                Contender(name=package, prepare=_prepare(package, code)) for package in _COMMANDS
            ],
            least_rounds=11,
        )
        for key, title, code in (
            ("f-import", '`python -c "import …"`', _import),
            ("f-help", "`nwb-ophys --help` and `neuroconv --help`", _help),
        )
    ]
