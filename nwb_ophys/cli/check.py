"""The command ``nwb-ophys check``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@shared.paths
@shared.format_names
@shared.metadata_file
@shared.settings
@shared.options
@shared.all_in_one
@shared.as_json
@shared.debug
def check(
    paths: tuple[Path, ...],
    format_names: tuple[str, ...],
    metadata_file: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    all_in_one: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """List what the DANDI archive requires or advises of the recordings in PATHS.

    The recordings are opened as 'nwb-ophys convert' does with the same options; no pixel is read
    and nothing is written. Each finding has the option of 'nwb-ophys convert' that cures it. Its
    value is an example: give your own.

    The exit code is 0 if DANDI would accept the metadata, 1 if something that it requires is
    missing or wrong, and 2 if the recordings cannot be converted with these options.

    \b
    Example:
      nwb-ophys check movie.tif suite2p --option sampling_frequency=30
          --set Subject.subject_id=M7 --set "Subject.species=Mus musculus"
    """  # noqa: D301
    from nwb_ophys.opening import check_recording, open_recording

    given = shared.pairs(options, "--option")
    recording = open_recording(paths, format_names, given, all_in_one=all_in_one)
    click.get_current_context().call_on_close(recording.converter.close)
    findings = check_recording(recording, metadata_file, shared.pairs(settings, "--set"))
    required = sum(finding.importance == "required" for finding in findings)
    if as_json:
        shared.say_json({"paths": paths, "accepted": not required, "findings": findings})
    else:
        for finding in findings:
            say(f"{finding.importance:<8}  {finding.key}: {finding.message}")
            say(f"{'':<8}  {finding.cure}")
        advised = len(findings) - required
        say(f"For the DANDI archive: {required} required, {advised} advised.")
    if required:
        raise click.exceptions.Exit(1)
