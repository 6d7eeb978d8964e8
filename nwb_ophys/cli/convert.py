"""The command ``nwb-ophys convert``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say, say_lines
from nwb_ophys.errors import OptionError
from nwb_ophys.home import with_home
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
@shared.leave_out
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
@click.option(
    "--report",
    "page",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    help="Write an HTML page that shows the file, too, as 'nwb-ophys report' does. Without PATH it "
    "lies beside the output, with its name and .html. --overwrite and --append replace a page.",
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
    left: tuple[str, ...],
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
    page: str | None,
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
    reserve = shared.check_place_of_plan if plan else shared.reserve
    reserve(output, overwrite=overwrite, append=append)
    report = Reporting.of(page, output, replace=overwrite or append, plan=plan)
    from nwb_ophys.opening import edited_metadata, joined_files

    named, default = _backends(output, backend, append=append)
    storage = shared.configuration(
        *(configuration_file, named, compression, chunk_mb, buffer_gb, default, zarr_format)
    )
    given = shared.pairs(options, "--option") | ({"stub": stub} if stub else {})
    recording, applied = shared.open_paths(
        *(paths, format_names, given, all_in_one, left, times, pulses, trials)
    )
    edits, chosen = shared.pairs(settings, "--set"), recording.conversion_options
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
        observer=report.observer,
        conversion_options=chosen,
    )
    report.finish(written, recording.converter.interfaces)


@attrs.frozen(kw_only=True)
class Reporting:
    """The page that is written with a file.

    Attributes
    ----------
    page : pathlib.Path or None
        None if no page is asked for.
    observer : StatisticsGatherer or None
        Gathers the statistics of movies while they are written.
    """

    page: Path | None = None
    observer: Any = None

    @classmethod
    def of(cls, page: str | None, output: Path, *, replace: bool, plan: bool) -> Reporting:
        """Return what ``--report`` asks for, after a check that the page can be written."""
        if page is None:
            return cls()
        if plan:
            raise OptionError("--plan writes no file that --report could show; leave out one.")
        from nwb_ophys.reports.gathering import StatisticsGatherer
        from nwb_ophys.reports.places import check_page, default_output

        place = check_page(page or default_output(output), overwrite=replace)
        return cls(page=place, observer=StatisticsGatherer())

    def finish(self, path: Any, streams: Iterable[str]) -> None:
        """Print what was written, and write the page of the file, if one is asked for."""
        shared.say_written(path, streams)
        if self.page is not None:
            from nwb_ophys.reports import write_report

            write_report(path, self.page, overwrite=True, gatherer=self.observer)
            say(f"Wrote {self.page}")


def _say_plan(nwbfile: Any, storage: Any, workers: int | None) -> None:
    """Print the plan of a file as YAML, and an estimate as a comment below it."""
    from nwb_ophys.storage import estimate_nwbfile, plan_nwbfile

    say_lines(plan_nwbfile(nwbfile, storage).to_yaml())
    say_lines(f"# {estimate_nwbfile(nwbfile, storage, workers)}")


def _backends(output: Path, backend: str | None, *, append: bool) -> tuple[str | None, str | None]:
    """Return the backend that is given or that an existing file has, and that of a name."""
    from nwb_ophys.storage import backend_of_name, backend_of_path

    there = backend_of_path(with_home(output)) if append and backend is None else None
    return backend if there is None else there.name, backend_of_name(output)
