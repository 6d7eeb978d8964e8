"""The command ``nwb-ophys detect``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@shared.paths
@click.option(
    "--every-file",
    is_flag=True,
    help="Check every file of a folder, even if more than 100 may be recordings.",
)
@shared.as_json
@shared.debug
def detect(paths: tuple[Path, ...], every_file: bool, as_json: bool, debug: bool) -> None:
    """List the formats that PATHS match, most likely first, with the evidence.

    For a folder that is not itself a recording, the recordings in it are listed.
    """
    from nwb_ophys.opening.grouping import group
    from nwb_ophys.registry import detect as candidates_of
    from nwb_ophys.registry import likeliest, option_asking_for, unrecognised

    values = []
    for path in paths:
        found = candidates_of(path, every_file=every_file)
        if not found:
            raise unrecognised(path)
        are_alone = all(option_asking_for(candidate.row) for candidate in found)
        for candidate in found:
            option = "" if are_alone else option_asking_for(candidate.row)
            values.append(
                {
                    "path": candidate.path,
                    "format": candidate.format,
                    "kind": candidate.kind,
                    "evidence": candidate.evidence,
                    "skipped_unless": option or None,
                }
            )
            if as_json:
                continue
            how = f"; skipped unless --option {option}=true" if option else ""
            what = f"{candidate.format} ({candidate.kind}): {candidate.evidence}"
            say(f"{candidate.path}: {what}{how}")
        if as_json:
            continue
        rows = [(path, row) for path, row in likeliest(found) if not option_asking_for(row)]
        for recordings in group(rows, given=[path]):
            for line in recordings.describe():
                say(f"  {line}")
    if as_json:
        shared.say_json(values)
