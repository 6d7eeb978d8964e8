"""The command ``nwb-ophys repack``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say_lines
from nwb_ophys.remote.paths import is_url


@click.command()
@click.argument("path", type=shared.PATH)
@click.option(
    "-o",
    "--output",
    required=True,
    type=shared.OutputPath(),
    help="NWB file to write; with --overwrite this may be PATH itself.",
)
@click.option(
    "--backend",
    type=shared.backend_names,
    help="Backend of the new file.  [default: that of the suffix of the output, or else of PATH]",
)
@shared.zarr_format
@shared.allow_outside
@shared.storage
@shared.overwrite
@shared.resume
@shared.no_space_check
@shared.no_progress
@shared.debug
def repack(
    path: Path,
    output: Path,
    backend: str | None,
    zarr_format: int | None,
    allow_outside: tuple[Path, ...],
    compression: str | None,
    chunk_mb: float | None,
    buffer_gb: float | None,
    configuration_file: Path | None,
    workers: int | None,
    verify: bool,
    plan: bool,
    overwrite: bool,
    resume: bool,
    no_space_check: bool,
    no_progress: bool,
    debug: bool,
) -> None:
    """Rewrite the NWB file PATH with other compression, chunks or backend.

    From HDF5 to HDF5, every value, attribute, link and reference is kept. Tables that mix
    references with other columns cannot be stored in Zarr. Chunk shapes are kept unless --chunk-mb
    or --configuration sets others.

    \b
    Example:
      nwb-ophys repack session.nwb -o smaller.nwb --compression gzip:9
      nwb-ophys repack session.nwb -o session.nwb.zarr --backend zarr
    """  # noqa: D301
    if not plan:
        shared.lock_at_once(output)
    from nwb_ophys.storage import backend_for_repack, plan_repack, size_of
    from nwb_ophys.storage import repack as rewrite

    storage = shared.configuration(
        configuration_file,
        backend,
        compression,
        chunk_mb,
        buffer_gb,
        default=backend_for_repack(path, output),
        zarr_format=zarr_format,
    )
    if plan:
        say_lines(plan_repack(path, storage).to_yaml())
        return
    # Before it may be replaced; of a link, the file that it leads to.
    num_bytes = size_of(path if is_url(path) else Path(os.path.realpath(path)))
    with shared.with_own_flag():
        written = rewrite(
            path,
            output,
            zarr_format=zarr_format,
            configuration=storage,
            workers=workers,
            overwrite=overwrite,
            progress=not no_progress,
            verify=verify,
            resume=resume,
            space_check=not no_space_check,
            allow_outside=allow_outside,
        )
    if is_url(written):
        shared.say(f"{written}: written, from {num_bytes / 1e6:.1f} MB")
        return
    shared.say(f"{written}: {size_of(written) / 1e6:.1f} MB, from {num_bytes / 1e6:.1f} MB")
