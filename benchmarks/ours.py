"""Conversions with nwb_ophys, as in its documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.session import new_nwbfile


def write_movie(
    extractor: Any, target: Path, backend: str, workers: int | None = None
) -> Callable[[], Any]:
    """Return a job that writes a movie with default settings.

    The movie is in an ``NWBFile`` before the job starts; the job includes planning the layout.
    """
    import nwb_ophys
    from nwb_ophys import tools

    nwbfile = new_nwbfile()
    tools.add_imaging(extractor, nwbfile)
    return lambda: nwb_ophys.write_nwbfile(nwbfile, target, backend=backend, workers=workers)


def write_segmentation(extractor: Any, target: Path) -> Callable[[], Any]:
    """Return a job that adds a segmentation to an ``NWBFile`` and writes it with defaults."""
    import nwb_ophys
    from nwb_ophys import tools

    def run() -> None:
        nwbfile = new_nwbfile()
        tools.add_segmentation(extractor, nwbfile)
        nwb_ophys.write_nwbfile(nwbfile, target)

    return run
