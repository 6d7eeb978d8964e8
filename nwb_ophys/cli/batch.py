"""The command ``nwb-ophys batch``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.batch_display import BatchDisplay, summary_of
from nwb_ophys.errors import OptionError


@click.command()
@click.argument("specification", required=False, type=shared.LocalPath())
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    help="Sessions that are converted at a time, each in a process of its own.  [default: 1]",
)
@click.option("--dry-run", is_flag=True, help="List what would be converted; write nothing.")
@click.option(
    "--check", is_flag=True, help="Print the values of each session, and where each is stated."
)
@click.option("--status", is_flag=True, help="Print what became of each session so far.")
@click.option(
    "--only",
    multiple=True,
    metavar="KEY=VALUE",
    help="Only sessions with this value, such as subject_id=M1 or 'subject_id=M*'.",
)
@click.option("--retry-failed", is_flag=True, help="Convert only sessions that failed before.")
@click.option(
    "--task",
    metavar="I/N",
    help="Only the part of task I of N.  [default: that of an array of SLURM or AWS Batch]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Scheduler of Dask, such as tcp://scheduler:8786, the .json file of one, or 'dask' for "
    "that of Dask's configuration. Its workers convert the sessions; all machines need the same "
    "folders.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Threads that read and compress, of all jobs together.  [default: one per core]",
)
@click.option(
    "--buffer-gb",
    type=click.FloatRange(min=0, min_open=True),
    help="Memory for data being read and compressed, in GB, of all jobs together.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace files that no run of this batch wrote, too."
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    help="Folder of the files, or template of their names, in place of the specification's.",
)
@click.option(
    "--data-folder",
    metavar="FOLDER",
    type=shared.LocalPath(),
    help="Folder in which relative paths of recordings begin.  [default: that of SPECIFICATION]",
)
@click.option(
    "--reports",
    is_flag=True,
    help="Write an HTML page of each file at the end, and index.html with a row for each session "
    "in the folder of the files, as 'nwb-ophys report' does.",
)
@shared.as_json
@click.option("--schema", is_flag=True, help="Print the JSON schema of specifications for editors.")
@shared.no_progress
@shared.debug
def batch(
    specification: Path | None,
    jobs: int,
    dry_run: bool,
    check: bool,
    status: bool,
    only: tuple[str, ...],
    retry_failed: bool,
    task: str | None,
    cluster: str | None,
    workers: int | None,
    buffer_gb: float | None,
    overwrite: bool,
    output: str | None,
    data_folder: Path | None,
    reports: bool,
    as_json: bool,
    schema: bool,
    no_progress: bool,
    debug: bool,
) -> None:
    """Convert the sessions of a SPECIFICATION, a YAML file, to NWB files.

    Sessions that are done and unchanged are skipped, so that the same command does only the rest.
    Exit codes: 0 if all are done, 3 if some failed or are being converted by another process, 2 for
    a wrong command or specification. --dry-run ends with 3 if some would fail, as far as it is
    known without opening them, and with 0 otherwise; --check and --status end with 0.

    \b
    Example of a specification:
      output: dandi
      metadata: lab.yaml
      subjects: participants.tsv
      sessions:
        - pattern: raw/{subject_id}/{session_id}
          paths: ["*.tif", suite2p]
          options: {sampling_frequency: 30}
    """  # noqa: D301
    from nwb_ophys.sessions import (
        plan_sessions,
        run_planned,
        selected,
        sessions_of,
        specification_schema,
    )
    from nwb_ophys.sessions.selection import task_of_environment

    if schema:
        shared.say_json(specification_schema())
        return
    if specification is None:
        raise click.UsageError("Missing argument 'SPECIFICATION'.")
    _check_choices(check + status, dry_run, reports=reports, retry_failed=retry_failed)
    part = task if task is not None else task_of_environment()
    found = sessions_of(specification, output=output, data_folder=data_folder)
    sessions = selected(found, shared.pairs(only, "--only"), part)
    if check or status:
        _say(sessions, check=check, as_json=as_json)
        return
    planned = plan_sessions(sessions, retry_failed=retry_failed)
    if dry_run:
        _say_plan(planned, overwrite=overwrite, as_json=as_json)
    if part is not None and not isinstance(part, str) and not as_json:
        shared.say(f"This is {part}.")
    with BatchDisplay(planned, is_shown=not no_progress, is_quiet=as_json) as display:
        result = run_planned(
            planned,
            cluster,
            jobs=jobs,
            workers=workers,
            buffer_gb=buffer_gb,
            overwrite=overwrite,
            progress=display.show,
        )
    _say_result(result, specification, as_json=as_json)
    if reports:
        _write_reports(found, overwrite=overwrite, is_quiet=as_json)
    click.get_current_context().exit(result.exit_code)


def _check_choices(num_looks: int, dry_run: bool, *, reports: bool, retry_failed: bool) -> None:
    """Check options that exclude each other, and that reports can be written."""
    if num_looks + dry_run > 1:
        raise OptionError("--dry-run, --check and --status exclude each other; give one of them.")
    if retry_failed and num_looks:
        raise OptionError("--retry-failed needs a run, or --dry-run; leave it out.")
    if reports and (num_looks or dry_run):
        raise OptionError("--reports needs a run; leave out --dry-run, --check and --status.")
    if reports:
        from nwb_ophys.reports.places import check_packages

        check_packages()


def _say_result(result: Any, specification: Path, *, as_json: bool) -> None:
    if as_json:
        shared.say_json(result.states)
    else:
        shared.say(summary_of(result, specification))


def _write_reports(sessions: Sequence[Any], *, overwrite: bool, is_quiet: bool) -> None:
    """Write the pages of all sessions of a batch that are done, and their index."""
    from nwb_ophys.reports import write_batch_index

    progress = None if is_quiet else shared.say
    index, _ = write_batch_index(sessions, overwrite=overwrite, progress=progress)
    if not is_quiet:
        shared.say(f"Wrote {index}")


def _say_plan(planned: Sequence[Any], *, overwrite: bool, as_json: bool) -> None:
    """Print what a run would do, and end with 3 if sessions would fail, as the run does."""
    from nwb_ophys.cli import batch_display as display

    if as_json:
        shared.say_json([display.plan_values(each, overwrite=overwrite) for each in planned])
    else:
        shared.say(display.plan_in_words(planned, overwrite=overwrite))
    fails = any(each.would_fail(overwrite=overwrite) for each in planned)
    click.get_current_context().exit(3 if fails else 0)


def _say(sessions: Sequence[Any], *, check: bool, as_json: bool) -> None:
    """Print what is known of sessions without converting any."""
    from nwb_ophys.cli import batch_display as display
    from nwb_ophys.sessions import states_of

    if check:
        values = [display.values_of(session) for session in sessions]
        if as_json:
            shared.say_json(values)
        else:
            shared.say("\n\n".join(map(display.values_in_words, values)))
    else:
        states = states_of(sessions)
        if as_json:
            shared.say_json(states)
        else:
            shared.say(display.table_of(states))
