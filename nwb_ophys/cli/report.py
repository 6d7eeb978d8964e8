"""The command ``nwb-ophys report``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say
from nwb_ophys.errors import OptionError, counted


@click.command()
@click.argument("paths", nargs=-1, required=True, type=shared.PATH, callback=shared.expanded)
@click.option(
    "-o",
    "--output",
    type=shared.OutputPath("report.html"),
    help="Page to write; of several files or a folder, the folder of the pages.  [default: beside "
    "each file, with its name and .html; the index of a folder is index.html in it]",
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

    For a folder, a page is written for each NWB file in it, and an index of all sessions, with
    the reasons of those that failed in a batch. Pages of files that have not changed are kept. The
    exit code is 3 if a file cannot be shown.

    \b
    Examples:
      nwb-ophys report session.nwb -o report.html
      nwb-ophys report converted/
    """  # noqa: D301
    from nwb_ophys.reports import write_report
    from nwb_ophys.reports.places import is_dataset

    if len(paths) == 1 and is_dataset(paths[0]):
        if allow_outside:
            raise OptionError("--allow-outside is of single files; leave it out for a folder.")
        _write_index(paths[0], output, overwrite=overwrite)
        return
    if output is not None and len(paths) > 1 and not output.is_dir():
        raise OptionError(
            f"'{output}' is not a folder; with several files, --output is the folder of the pages."
        )
    pages = [_page_of(path, output) for path in paths]
    for path, place in zip(paths, pages, strict=True):
        if pages.count(place) > 1:
            raise OptionError(
                f"Several files have the page '{place}', that of '{path}' among them; make their "
                "reports one at a time, each with its own --output."
            )
    for path, place in zip(paths, pages, strict=True):
        with shared.with_own_flag():
            page = write_report(path, place, overwrite=overwrite, allow_outside=allow_outside)
        say(f"Wrote {page}")


def _page_of(path: Path, output: Path | None) -> Path:
    """Return the page of one of the files."""
    from nwb_ophys.reports.places import default_output

    page = default_output(path)
    if output is None:
        return page
    return output / page.name if output.is_dir() else output


def _write_index(folder: Path, output: Path | None, *, overwrite: bool) -> None:
    from nwb_ophys.reports import write_index

    index, rows = write_index(folder, output, overwrite=overwrite, progress=say)
    say(f"Wrote {index}: {counted(len(rows), 'session')}")
    if any(row.state == "unreadable" for row in rows):
        raise click.exceptions.Exit(3)
