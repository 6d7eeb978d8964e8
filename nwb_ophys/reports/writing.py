"""Writing of reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.reports.gathering import StatisticsGatherer

EXTRA = "report"
"""The extra of the package with what reports need."""


def check_packages() -> None:
    """Check that the packages are installed that reports need.

    Raises
    ------
    MissingPackageError
        Names the ``pip install`` that brings them.
    """
    for name in ("jinja2", "PIL"):
        require_package(name, EXTRA)


def write_report(
    path: str | Path,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    allow_outside: Sequence[str | Path] = (),
    gatherer: StatisticsGatherer | None = None,
) -> Path:
    """Write a report of an NWB file: one HTML page that needs no other file and no network.

    Parameters
    ----------
    path : path-like
        NWB file of any author, in HDF5 or Zarr.
    output : path-like, optional
        Page to write; by default beside the file, with its name and ``.html``.
    overwrite : bool
        Whether an existing page may be replaced.
    allow_outside : sequence of path-like
        Folders in which files may lie that the NWB file names, beyond its own folder.
    gatherer : StatisticsGatherer, optional
        What observed the write of the file. Movies of which it has no statistics are read: once,
        and above 2 GB in parts.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file does not exist, is not an NWB file, or cannot be opened.
    OutputExistsError, OutputError
        If the page exists and ``overwrite`` is False, or cannot be written.
    MissingPackageError
        If a package is not installed that the report, or the file, needs.
    """
    check_packages()
    from nwb_ophys.opening import write_text
    from nwb_ophys.reports.rendering import render_report
    from nwb_ophys.reports.report import gather_report

    place = default_output(path) if output is None else Path(output).expanduser()
    report = gather_report(path, allow_outside=allow_outside, gatherer=gatherer)
    write_text(place, render_report(report), overwrite=overwrite)
    return place


def default_output(path: str | Path) -> Path:
    """Return the page beside a file, with its name and ``.html``.

    Parameters
    ----------
    path : path-like
    """
    file = Path(path).expanduser()
    return file.with_name(f"{file.name}.html")
