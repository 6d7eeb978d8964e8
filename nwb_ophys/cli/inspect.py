"""The command ``nwb-ophys inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@click.argument("path", type=shared.InputPath())
@shared.allow_outside
@shared.debug
def inspect(path: Path, allow_outside: tuple[Path, ...], debug: bool) -> None:
    """Validate the NWB file PATH, a file or a URL, with pynwb and the NWB Inspector.

    The exit code is 1 if the file is not valid NWB or cannot be read. Recommendations of the
    Inspector are listed but do not change the exit code.
    """
    from nwb_ophys.inspection import inspect_file

    with shared.with_own_flag():
        findings = inspect_file(path, allow_outside=allow_outside)
    for finding in findings:
        say(f"{finding.importance:<25} {finding.location}: {finding.message}")
    errors = sum(finding.is_error for finding in findings)
    critical = sum(finding.importance == "CRITICAL" for finding in findings)
    others = len(findings) - errors - critical
    say(f"{path}: {errors} errors, {critical} critical, {others} other findings.")
    if errors:
        raise click.exceptions.Exit(1)
