"""The command ``nwb-ophys edit``."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from nwb_ophys.cli import options as shared
from nwb_ophys.cli.terminal import say


@click.command()
@click.argument("path", type=shared.LocalPath())
@shared.settings
@shared.debug
def edit(path: Path, settings: tuple[str, ...], debug: bool) -> None:
    """Change metadata of the NWB file PATH in its place, without rewriting it.

    The keys are those of 'nwb-ophys convert --set'. An entry of a list has an index, in the order
    of the paths in the file, or its name; without both, all entries are changed. The value null
    removes a field that NWB does not require. All changes are made, or none; an edit that was
    killed is undone by the next one, or by 'nwb-ophys clean'. The file gets a record of the
    changes.

    \b
    Example:
      nwb-ophys edit session.nwb --set Subject.sex=F
          --set Ophys.ImagingPlane.ImagingPlane.location=VISp
    """  # noqa: D301
    from nwb_ophys.trial import begin_trials

    changes = shared.pairs(settings, "--set")
    if not changes:
        raise click.UsageError("Nothing to change is given; give --set KEY=VALUE.")
    begin_trials(path)  # which runs beside the imports
    from nwb_ophys.memory import collection_paused

    with collection_paused():  # imports take most of the time, and leave no garbage
        from nwb_ophys.editing import edit_metadata

        report = edit_metadata(path, changes)
    for line in attrs.evolve(report, path=path).lines():
        say(line)
