"""The command ``nwb-ophys check``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say
from nwb_ophys.errors import NwbOphysError, OptionError

_SPECIFICATIONS = (".yaml", ".yml", ".json")


@click.command()
@shared.paths
@shared.format_names
@shared.metadata_file
@shared.settings
@shared.options
@shared.clocks
@shared.all_in_one
@shared.leave_out
@shared.as_json
@shared.debug
def check(
    paths: tuple[Path, ...],
    format_names: tuple[str, ...],
    metadata_file: Path | None,
    settings: tuple[str, ...],
    options: tuple[str, ...],
    times: tuple[str, ...],
    pulses: tuple[str, ...],
    trials: str | None,
    all_in_one: bool,
    left: tuple[str, ...],
    as_json: bool,
    debug: bool,
) -> None:
    """List what the DANDI archive requires or advises of the recordings in PATHS.

    PATHS may also be one specification of 'nwb-ophys batch', a YAML file, whose sessions are opened
    one after the other.

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
    from nwb_ophys.opening import check_recording

    if len(paths) == 1 and paths[0].suffix.lower() in _SPECIFICATIONS and paths[0].is_file():
        stated = (format_names, metadata_file, settings, options, all_in_one, left)
        if any((*stated, times, pulses, trials)):
            raise OptionError(
                f"'{paths[0]}' is a specification of a batch, which states metadata and options "
                "itself; give it alone."
            )
        raise click.exceptions.Exit(_check_batch(paths[0], as_json=as_json))
    given = shared.pairs(options, "--option")
    recording, _ = shared.open_paths(
        *(paths, format_names, given, all_in_one, left, times, pulses, trials)
    )
    findings = check_recording(recording, metadata_file, shared.pairs(settings, "--set"))
    required = sum(finding.importance == "required" for finding in findings)
    if as_json:
        shared.say_json({"paths": paths, "accepted": not required, "findings": findings})
    else:
        _say_findings(findings)
        advised = len(findings) - required
        say(f"For the DANDI archive: {required} required, {advised} advised.")
    if required:
        raise click.exceptions.Exit(1)


def _say_findings(findings: Sequence[Any], indent: str = "") -> None:
    for finding in findings:
        say(f"{indent}{finding.importance:<8}  {finding.key}: {finding.message}")
        say(f"{indent}{'':<8}  {finding.cure}")


def _check_batch(path: Path, *, as_json: bool) -> int:
    """Check the sessions of a specification, and return the exit code."""
    from nwb_ophys.sessions import sessions_of
    from nwb_ophys.sessions.archive import check_session

    values, refused = [], 0
    for session in sessions_of(path):
        findings, reason = [], ""
        try:
            findings = check_session(session)
        except NwbOphysError as error:
            reason = " ".join(str(error).split())
        is_refused = bool(reason) or any(each.importance == "required" for each in findings)
        refused += is_refused
        values.append(
            {
                "key": session.key,
                "accepted": not is_refused,
                "reason": reason,
                "findings": findings,
            }
        )
        if not as_json:
            say(f"{session.key}: {'refused' if is_refused else 'accepted'}")
            if reason:
                say(f"  cannot be converted: {reason}")
            _say_findings(findings, "  ")
    if as_json:
        shared.say_json(values)
    else:
        say(f"For the DANDI archive: {len(values) - refused} accepted, {refused} refused.")
    return 1 if refused else 0
