"""``nwb-ophys demo``."""

from __future__ import annotations

from pathlib import Path

import click

from nwb_ophys.cli import options as shared


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("nwb-ophys-demo"))
@click.option("--overwrite", is_flag=True, help="Replace the demo that is there.")
@shared.debug
def demo(folder: Path, overwrite: bool, debug: bool) -> None:
    """Make a small two-photon recording and its ROIs in FOLDER, and convert them.

    A ScanImage TIFF and a Suite2p folder, in their true formats, of the same simulated cells.
    Nothing is downloaded.
    """
    from nwb_ophys.cli.demo_recording import run_demo

    run_demo(folder, overwrite=overwrite, say=click.echo)
