"""The command ``nwb-ophys clean``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared
from nwb_ophys.errors import counted


@click.command()
@click.argument("folder", type=shared.LocalPath())
@click.option("--dry-run", is_flag=True, help="List the files without removing them.")
@shared.debug
def clean(folder: Path, dry_run: bool, debug: bool) -> None:
    """Remove the hidden files that killed conversions left in FOLDER and the folders below it.

    A file whose change in its place was killed returns to its state before. Each file is listed
    with its size. Files that a running process writes stay, as do files that merely have such a
    name.
    """
    from nwb_ophys.storage import remove_debris, shown_size

    found = remove_debris(folder, dry_run=dry_run)
    for each in found:
        if each.restored is not None:
            verb = "Would restore" if dry_run else "Restored"
            shared.say(f"{verb} '{each.restored}' from '{each.path}', {shown_size(each.num_bytes)}")
        elif each.is_removed:
            verb = "Would remove" if dry_run else "Removed"
            shared.say(f"{verb} '{each.path}', {shown_size(each.num_bytes)}")
        else:
            shared.say(f"Left '{each.path}', {shown_size(each.num_bytes)}: {each.reason}")
    removed = [each for each in found if each.is_removed]
    size = shown_size(sum(each.num_bytes for each in removed))
    files = counted(len(removed), "file")
    verb = "would be removed" if dry_run else "removed"
    shared.say(f"'{folder}': {files} {verb}, {size}.")
