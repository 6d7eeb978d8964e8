"""The command ``nwb-ophys gui``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@click.argument("folder", required=False, type=shared.LocalPath())
@click.option(
    "--port",
    type=click.IntRange(min=0, max=65535),
    default=0,
    help="Port of the page.  [default: one that is free]",
)
@click.option("--no-browser", is_flag=True, help="Print the address; open no browser.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="FOLDER",
    type=shared.LocalPath(),
    help="Folder below which the page reads and writes; may be given several times.  [default: "
    "FOLDER, or else the current folder and your home folder]",
)
@shared.debug
def gui(
    folder: Path | None, port: int, no_browser: bool, roots: tuple[Path, ...], debug: bool
) -> None:
    """Convert recordings in a local web page, step by step, beginning with FOLDER.

    The page is only on this computer, and only for who has the address that is printed. It reads
    and writes files below the folders of --root. Ctrl-C ends it.

    \b
    Example:
      nwb-ophys gui
      nwb-ophys gui raw/M7 --root /data --root /scratch
    """  # noqa: D301
    from nwb_ophys.page.roots import Roots
    from nwb_ophys.page.server import served

    given = [*roots, *([] if folder is None else [folder])] or [Path.cwd(), Path.home()]
    allowed = Roots.of([each.parent if each.is_file() else each for each in given])
    with served(allowed, folder, port) as address:
        say(address.url, always=True)
        say("Open this address in a browser; Ctrl-C ends the page.")
        if not no_browser:
            import webbrowser

            webbrowser.open(address.url)
        while not address.has_ended.wait(0.5):  # a longer wait would not let Ctrl-C in on Windows
            pass
