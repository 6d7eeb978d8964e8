"""The command ``nwb-ophys metadata``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say, say_lines


@click.command()
@shared.paths
@click.option(
    "-o",
    "--output",
    type=shared.OutputPath("metadata.yaml"),
    help="YAML file to write.  [default: print to the terminal]",
)
@shared.format_names
@shared.metadata_file
@shared.settings
@shared.options
@shared.clocks
@shared.all_in_one
@shared.leave_out
@click.option(
    "--style",
    type=click.Choice(["lists", "neuroconv"]),
    default="lists",
    show_default=True,
    help="Form of the document: lists, or dictionaries as NeuroConv has them. 'nwb-ophys convert' "
    "reads both.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@shared.debug
def metadata(
    paths: tuple[Path, ...],
    output: Path | None,
    format_names: tuple[str, ...],
    metadata_file: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    times: tuple[str, ...],
    pulses: tuple[str, ...],
    trials: str | None,
    all_in_one: bool,
    left: tuple[str, ...],
    style: str,
    overwrite: bool,
    debug: bool,
) -> None:
    """Write the metadata of the recordings in PATHS as YAML with comments, for editing.

    \b
    Example:
      nwb-ophys metadata movie.tif -o meta.yaml --option sampling_frequency=30
      nwb-ophys convert movie.tif -o session.nwb --metadata meta.yaml
          --option sampling_frequency=30
    """  # noqa: D301
    from nwb_ophys.opening import describe_recording, edited_metadata, write_metadata

    given = shared.pairs(options, "--option")
    recording, _ = shared.open_paths(
        *(paths, format_names, given, all_in_one, left, times, pulses, trials)
    )
    edits = shared.pairs(settings, "--set")
    edited = edited_metadata(
        recording.converter, metadata_file, edits, recording.conversion_options
    )
    document = describe_recording(
        recording.converter, edited, recording.conversion_options, style=style
    )
    if output is None:
        say_lines(document)
        return
    write_metadata(output, document, overwrite=overwrite)
    say(f"{output}: edit this file and pass it to 'nwb-ophys convert --metadata'.")
