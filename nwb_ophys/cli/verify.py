"""The command ``nwb-ophys verify``."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@click.argument("path", type=shared.PATH)
@click.argument("sources", nargs=-1, type=shared.PATH, callback=shared.expanded)
@shared.options
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Threads that read and compare; 0 uses the main thread only.  [default: one per core]",
)
@shared.as_json
@shared.no_progress
@shared.debug
def verify(
    path: Path,
    sources: tuple[Path, ...],
    options: tuple[str, ...],
    workers: int | None,
    as_json: bool,
    no_progress: bool,
    debug: bool,
) -> None:
    """Compare the NWB file PATH with the hashes of its writing, and with its SOURCES.

    All datasets and attributes that nwb_ophys wrote are compared with the hashes in the file. With
    SOURCES, the files and folders that were converted, each movie and trace is also compared with
    them value by value, and the last line answers whether they may be deleted. They may have been
    moved since.

    The exit code is 0 if everything is equal, 1 if anything differs or, with SOURCES, if they may
    not be deleted, and 2 if the comparison could not be made.

    \b
    Example:
      nwb-ophys verify session.nwb
      nwb-ophys verify session.nwb raw/
    """  # noqa: D301
    from nwb_ophys.certification import verify as compare

    report = compare(
        path,
        sources,
        options=shared.pairs(options, "--option"),
        workers=workers,
        progress=not no_progress,
    )
    if as_json:
        shared.say_json({"equal": report.is_equal, **attrs.asdict(report)})
    for line in () if as_json else report.lines():
        say(line)
    if not report.is_equal or (report.answer is not None and not report.answer.is_yes):
        raise click.exceptions.Exit(1)
