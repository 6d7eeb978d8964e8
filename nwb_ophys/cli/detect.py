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
    from nwb_ophys.registry import detect as candidates_of
    from nwb_ophys.registry import option_asking_for, unrecognised

    for path in paths:
        found = candidates_of(path, every_file=every_file)
        if not found:
            raise unrecognised(path)
        are_alone = all(option_asking_for(candidate.row) for candidate in found)
        for candidate in found:
            option = "" if are_alone else option_asking_for(candidate.row)
            how = f"; left out unless --option {option}=true" if option else ""
            what = f"{candidate.format} ({candidate.kind}): {candidate.evidence}"
            click.echo(f"{candidate.path}: {what}{how}")
