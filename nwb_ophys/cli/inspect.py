"""The command ``nwb-ophys inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say
from nwb_ophys.errors import CorruptSourceError, counted


@click.command()
@click.argument("paths", nargs=-1, required=True, type=shared.PATH, callback=shared.expanded)
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
    paths: tuple[Path, ...],
    archive: str | None,
    allow_outside: tuple[Path, ...],
    as_json: bool,
    debug: bool,
) -> None:
    """Validate the NWB files PATHS, files or URLs, with pynwb and the NWB Inspector.

    The exit code is 1 if a file is not valid NWB or cannot be read. Recommendations of the
    Inspector are listed but do not change the exit code. With --for dandi they have the
    importance that the DANDI archive gives them, and the exit code is also 1 if it would refuse
    a file: with critical findings.
    """
    from nwb_ophys.inspection import Finding, inspect_file

    reports = []
    for path in paths:
        try:
            with shared.with_own_flag():
                findings = inspect_file(path, archive=archive, allow_outside=allow_outside)
        except CorruptSourceError as error:
            if len(paths) == 1:
                raise
            # A damaged file hides nothing about the other ones.
            findings = [Finding(importance="ERROR", location="/", message=str(error))]
        reports.append(_Report(path=path, archive=archive, findings=findings))
        if not as_json:
            reports[-1].say()
    if as_json:
        values = [report.values() for report in reports]
        shared.say_json(values[0] if len(values) == 1 else values)
    if any(report.is_refused for report in reports):
        raise click.exceptions.Exit(1)


@attrs.frozen(kw_only=True)
class _Report:
    """The findings on one file.

    Attributes
    ----------
    path : pathlib.Path
    archive : str or None
    findings : sequence of nwb_ophys.inspection.Finding
    """

    path: Path
    archive: str | None
    findings: Sequence[Any]

    @property
    def num_errors(self) -> int:
        return sum(finding.is_error for finding in self.findings)

    @property
    def num_critical(self) -> int:
        return sum(finding.importance == "CRITICAL" for finding in self.findings)

    @property
    def is_refused(self) -> bool:
        return bool(self.num_errors or (self.archive and self.num_critical))

    def values(self) -> dict[str, Any]:
        """Return the report as plain values."""
        verdicts = {"valid": not self.num_errors}
        verdicts |= {"refused": self.is_refused} if self.archive else {}
        stated = {"path": self.path, "archive": self.archive}
        return {**stated, **verdicts, "findings": self.findings}

    def say(self) -> None:
        """Print the report as lines."""
        for finding in self.findings:
            say(f"{finding.importance:<25} {finding.location}: {finding.message}")
        if self.archive is None:
            say("To apply the rules of the DANDI archive, add --for dandi.")
        others = len(self.findings) - self.num_errors - self.num_critical
        say(
            f"{self.path}: {counted(self.num_errors, 'error')}, {self.num_critical} critical, "
            f"{counted(others, 'other finding')}."
        )
        if self.archive:
            say(f"DANDI would {'refuse' if self.is_refused else 'accept'} this file.")
