"""The command ``nwb-ophys formats``."""

from __future__ import annotations

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say_lines
from nwb_ophys.errors import aligned


@click.command()
@shared.as_json
@shared.debug
def formats(as_json: bool, debug: bool) -> None:
    """List the supported formats: kind, name, recognised files, and what to install."""
    from nwb_ophys.registry import format_table

    rows = format_table()
    if as_json:
        keys = [heading.lower() for heading in rows[0]]
        shared.say_json([dict(zip(keys, row, strict=True)) for row in rows[1:]])
        return
    say_lines(aligned(rows))
