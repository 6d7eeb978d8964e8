"""``nwb-ophys detect``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared


@click.command()
@shared.paths
@shared.debug
def detect(paths: tuple[Path, ...], debug: bool) -> None:
    """Say which formats PATHS are of, the likeliest first, and why.

    Of a folder that is no recording itself, what is in it is listed.
    """
    from nwb_ophys.registry import detect as candidates_of
    from nwb_ophys.registry import unrecognised

    for path in paths:
        found = candidates_of(path)
        if not found:
            raise unrecognised(path)
        for candidate in found:
            where = next(iter(candidate.source.values()))
            click.echo(f"{where}: {candidate.format} ({candidate.kind}): {candidate.evidence}")
