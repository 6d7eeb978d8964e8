"""The command ``nwb-ophys convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say_lines
from nwb_ophys.storage import DEFAULT_BACKEND
from nwb_ophys.storage.in_place import check_in_place


@click.command()
@shared.paths
@click.option(
    "-o",
    "--output",
    required=True,
    type=shared.OutputPath(),
    help="NWB file to write.",
)
@shared.format_names
@shared.metadata_file
@shared.settings
@shared.options
@shared.clocks
@click.option(
    "--stub", type=click.IntRange(min=1), metavar="N", help="Write only the first N samples."
)
@shared.overwrite
@click.option("--append", is_flag=True, help="Add to an existing NWB file.")
@shared.all_in_one
@click.option(
    "--backend",
    type=shared.backend_names,
    help="Backend of the file.  [default: that of --configuration, or of the suffix of the output "
    f"such as .zarr, or else {DEFAULT_BACKEND}]",
)
@shared.zarr_format
@shared.storage
@click.option(
    "--hash-sources",
    is_flag=True,
    help="Hash every byte of the source files for the record in the file, not only samples of "
    "large files; see 'nwb-ophys verify'.",
)
@shared.resume
@shared.in_place
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Scheduler of Dask, such as tcp://scheduler:8786, the .json file of one, or 'dask' for "
    "that of Dask's configuration. Its workers fill the large datasets of a new Zarr store; all "
    "machines need the same folders.",
)
@shared.no_space_check
@shared.no_progress
@shared.debug
def convert(
    paths: tuple[Path, ...],
    output: Path,
    format_names: tuple[str, ...],
    metadata_file: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    times: tuple[str, ...],
    pulses: tuple[str, ...],
    trials: str | None,
    stub: int | None,
    overwrite: bool,
    append: bool,
    all_in_one: bool,
    backend: str | None,
    zarr_format: int | None,
    compression: str | None,
    chunk_mb: float | None,
    buffer_gb: float | None,
    configuration_file: Path | None,
    workers: int | None,
    verify: bool,
    plan: bool,
    hash_sources: bool,
    resume: bool,
    in_place: bool,
    cluster: str | None,
    no_space_check: bool,
    no_progress: bool,
    debug: bool,
) -> None:
    """Convert the recordings in PATHS to one NWB file.

    Each path is a file or folder of a recording or of its segmentation. All channels and planes
    are written. A file stands for the recording that it belongs to, so that its folder, one of
    its files and all of them give the same. Several recordings become several streams of one
    file.

    \b
    Example:
      nwb-ophys convert movie.tif suite2p -o session.nwb
          --option sampling_frequency=30
          --set NWBFile.session_start_time=2024-05-17T14:30:00+02:00
    """  # noqa: D301
    check_in_place(in_place=in_place, append=append, resume=resume)
    if not plan:
        shared.reserve(output, overwrite=overwrite, append=append)
    from nwb_ophys.opening import apply_times, edited_metadata, joined_files, open_recording

    named, default = _backends(output, backend, append=append)
    storage = shared.configuration(
        *(configuration_file, named, compression, chunk_mb, buffer_gb, default, zarr_format)
    )
    given = shared.pairs(options, "--option") | ({} if stub is None else {"stub": stub})
    recording = open_recording(paths, format_names, given, all_in_one=all_in_one)
    click.get_current_context().call_on_close(recording.converter.close)
    applied = apply_times(recording, times=times, pulses=pulses, trials=trials)
    edits = shared.pairs(settings, "--set")
    chosen = recording.conversion_options
    metadata = edited_metadata(recording.converter, metadata_file, edits, chosen)
    if plan:
        _say_plan(recording.converter.create_nwbfile(metadata, chosen), storage, workers)
        return
    shared.say("\n".join([*joined_files(recording), *applied]))
    written = recording.converter.run_conversion(
        output,
        metadata=metadata,
        overwrite=overwrite,
        append=append,
        backend=backend,
        zarr_format=zarr_format,
        progress=not no_progress,
        configuration=storage,
        workers=workers,
        verify=verify,
        hash_sources=hash_sources,
        resume=resume,
        in_place=in_place,
        cluster=cluster,
        space_check=not no_space_check,
        conversion_options=chosen,
    )
    shared.say_written(written, recording.converter.interfaces)


def _say_plan(nwbfile: Any, storage: Any, workers: int | None) -> None:
    """Print the plan of a file as YAML, and an estimate as a comment below it."""
    from nwb_ophys.storage import estimate_nwbfile, plan_nwbfile

    say_lines(plan_nwbfile(nwbfile, storage).to_yaml())
    say_lines(f"# {estimate_nwbfile(nwbfile, storage, workers)}")


def _backends(output: Path, backend: str | None, *, append: bool) -> tuple[str | None, str | None]:
    """Return the backend that is given or that an existing file has, and that of a name."""
    from nwb_ophys.storage import backend_of_name, backend_of_path

    there = backend_of_path(output.expanduser()) if append and backend is None else None
    return backend if there is None else there.name, backend_of_name(output)
