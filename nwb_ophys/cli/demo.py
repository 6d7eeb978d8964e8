"""The command ``nwb-ophys demo``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared


@click.command()
@click.argument("folder", type=shared.LocalPath(), default=Path("nwb-ophys-demo"))
@click.option("--overwrite", is_flag=True, help="Replace an existing demo.")
@shared.debug
def demo(folder: Path, overwrite: bool, debug: bool) -> None:
    """Simulate a small two-photon recording in FOLDER and convert it.

    The command writes the same simulated cells as several programs would, as the files of the
    tutorials, and converts ScanImage's movie and Suite2p's cells to one NWB file. Nothing is
    downloaded.
    """
    from nwb_ophys.cli.demo_recording import run_demo

    run_demo(folder, overwrite=overwrite, say=shared.say)
