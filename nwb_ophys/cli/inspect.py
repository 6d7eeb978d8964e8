"""The command ``nwb-ophys inspect``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@click.argument("path", type=shared.InputPath())
@click.option(
    "--for",
    "archive",
    type=click.Choice(["dandi"]),
    help="Use the rules of this archive: the exit code is 1 if it would refuse the file.",
)
@shared.allow_outside
@shared.as_json
@shared.debug
def inspect(
    path: Path, archive: str | None, allow_outside: tuple[Path, ...], as_json: bool, debug: bool
) -> None:
    """Validate the NWB file PATH, a file or a URL, with pynwb and the NWB Inspector.

    The exit code is 1 if the file is not valid NWB or cannot be read. Recommendations of the
    Inspector are listed but do not change the exit code. With --for dandi they have the
    importance that the DANDI archive gives them, and the exit code is also 1 if it would refuse
    the file: with critical findings.
    """
    from nwb_ophys.inspection import inspect_file

    with shared.with_own_flag():
        findings = inspect_file(path, archive=archive, allow_outside=allow_outside)
    errors = sum(finding.is_error for finding in findings)
    critical = sum(finding.importance == "CRITICAL" for finding in findings)
    is_refused = bool(errors or (archive and critical))
    if as_json:
        verdicts = {"valid": not errors} | ({"refused": is_refused} if archive else {})
        shared.say_json({"path": path, "archive": archive, **verdicts, "findings": findings})
    else:
        for finding in findings:
            say(f"{finding.importance:<25} {finding.location}: {finding.message}")
        others = len(findings) - errors - critical
        if archive is None:
            say("To apply the rules of the DANDI archive, add --for dandi.")
        say(f"{path}: {errors} errors, {critical} critical, {others} other findings.")
        if archive:
            say(f"DANDI would {'refuse' if is_refused else 'accept'} this file.")
    if is_refused:
        raise click.exceptions.Exit(1)
