"""The command ``nwb-ophys report``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say
from nwb_ophys.errors import OptionError


@click.command()
@click.argument("paths", nargs=-1, required=True, type=shared.InputPath())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Page to write, or folder of the pages of several files.  [default: beside each file, "
    "with its name and .html]",
)
@shared.overwrite
@shared.allow_outside
@shared.debug
def report(
    paths: tuple[Path, ...],
    output: Path | None,
    overwrite: bool,
    allow_outside: tuple[Path, ...],
    debug: bool,
) -> None:
    """Write an HTML page that shows what is in each of the NWB files PATHS, of any author.

    A page shows the findings of the checks, the metadata, images of the movies, the outlines and
    traces of the ROIs, the times of all streams, and how the data are stored. It needs no network
    and no other file.

    \b
    Example:
      nwb-ophys report session.nwb -o report.html
    """  # noqa: D301
    from nwb_ophys.reports import write_report
    from nwb_ophys.reports.writing import default_output

    if output is not None and len(paths) > 1 and not output.is_dir():
        raise OptionError(
            f"'{output}' is not a folder; with several files, --output is the folder of the pages."
        )
    for path in paths:
        place = output
        if output is not None and output.is_dir():
            place = output / default_output(path).name
        with shared.with_own_flag():
            page = write_report(path, place, overwrite=overwrite, allow_outside=allow_outside)
        say(f"Wrote {page}")
