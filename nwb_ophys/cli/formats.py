"""The command ``nwb-ophys formats``."""

from __future__ import annotations

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@shared.debug
def formats(debug: bool) -> None:
    """List the supported formats: kind, name, recognised files, and what to install."""
    from nwb_ophys.registry import format_table

    rows = format_table()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        say("  ".join([*cells, row[-1]]).rstrip())
