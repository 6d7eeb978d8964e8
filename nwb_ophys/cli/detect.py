"""``nwb-ophys detect``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared


@click.command()
@shared.paths
@click.option(
    "--every-file",
    is_flag=True,
    help="Look at each file of a folder with more than a hundred that may be recordings.",
)
@shared.debug
def detect(paths: tuple[Path, ...], every_file: bool, debug: bool) -> None:
    """Say which formats PATHS are of, the likeliest first, and why.

    Of a folder that is no recording itself, what is in it is listed.
    """
    from nwb_ophys.errors import UnknownFormatError
    from nwb_ophys.registry import detect as candidates_of
    from nwb_ophys.registry import formats

    for path in paths:
        found = candidates_of(path, every_file=every_file)
        if not found:
            known = "; ".join(f"{row.name}: {row.recognised}" for row in formats().values())
            raise UnknownFormatError(f"No format recognises '{path}'. Looked for: {known}.")
        for candidate in found:
            where = next(iter(candidate.source.values()))
            click.echo(f"{where}: {candidate.format} ({candidate.kind}): {candidate.evidence}")
