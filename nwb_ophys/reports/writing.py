"""Writing of reports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.home import with_home
from nwb_ophys.memory import collection_paused
from nwb_ophys.reports.places import (
    PAGE,
    check_packages,
    check_page,
    default_output,
    existing,
)
from nwb_ophys.trial import try_hdf5

if TYPE_CHECKING:
    from nwb_ophys.reports.gathering import StatisticsGatherer
    from nwb_ophys.reports.previews import Preview
    from nwb_ophys.reports.rows import Row
    from nwb_ophys.sessions.session import Session


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
    begin_trial(path)
    place = check_page(default_output(path) if output is None else output, overwrite=overwrite)
    with collection_paused():
        from nwb_ophys.reports.inspecting import Inspection

        inspection = Inspection(existing(path), allow_outside)
        from nwb_ophys.reports.rendering import render_report
        from nwb_ophys.reports.report import gather_report
        from nwb_ophys.storage.text_files import write_text

    report = gather_report(
        path, allow_outside=allow_outside, gatherer=gatherer, inspection=inspection
    )
    write_text(place, render_report(report), replaces=PAGE if overwrite else None)
    return place


def begin_trial(path: str | Path) -> None:
    """Begin the trial of a file while modules are imported; it is done when the file is opened.

    Parameters
    ----------
    path : path-like
    """

    def run() -> None:
        with suppress(Exception):  # reported when the file is opened
            try_hdf5(path)

    threading.Thread(target=run, name="nwb_ophys trial", daemon=True).start()


def write_index(
    folder: str | Path,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[Path, tuple[Row, ...]]:
    """Write a report of each NWB file in a folder, and an index with links to them.

    A page that an earlier call wrote of a file that has not changed since is kept.

    Parameters
    ----------
    folder : path-like
        Folder with NWB files and stores, also in its subfolders. Sessions that failed in a batch
        are listed with their reasons.
    output : path-like, optional
        Folder of the index and the pages; by default the index lies in the folder, and each page
        beside its file.
    overwrite : bool
        Whether files with the names of pages may be replaced that no earlier call wrote.
    progress : callable, optional
        Called with a line of text for each page.

    Returns
    -------
    pathlib.Path, tuple of Row
        The index, and its rows. A file that cannot be shown has the state ``unreadable``.

    Raises
    ------
    SourceError
        If the folder has no NWB files, and no session of a batch.
    OutputExistsError, OutputError
        If a page or the index cannot be written.
    MissingPackageError
        If a package is not installed that reports need.
    """
    check_packages()
    from nwb_ophys.reports.index import entries_of, write_entries

    root = with_home(Path(folder))
    place = root if output is None else with_home(Path(output))
    entries = list(entries_of(root))
    if not entries:
        raise SourceError(
            f"'{folder}' has no NWB files; give an NWB file, or a folder of them. 'nwb-ophys "
            "convert' makes them of recordings."
        )
    return write_entries(entries, root, place, overwrite=overwrite, progress=progress)


def write_batch_index(
    sessions: Sequence[Session],
    *,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[Path, tuple[Row, ...]]:
    """Write a report of each session of a batch that is done, and an index of all sessions.

    Parameters
    ----------
    sessions : sequence of Session
        All sessions of the batch, of :func:`nwb_ophys.sessions_of`.
    overwrite, progress
        See :func:`write_index`.

    Returns
    -------
    pathlib.Path, tuple of Row
        The index, in the folder of the files, and its rows.

    Raises
    ------
    OutputError
        If the files are in an object store, or a page cannot be written.
    OutputExistsError, MissingPackageError
        See :func:`write_index`.
    """
    check_packages()
    from nwb_ophys.reports.index import entries_of_batch, write_entries

    entries, root = entries_of_batch(sessions)
    return write_entries(entries, root, root, overwrite=overwrite, progress=progress)


def preview(source: Any) -> Preview:
    """Return a look at what an interface or a converter reads, which a notebook shows.

    Of a movie the mean of at most 32 frames, of a segmentation the outlines of all ROIs over a
    summary image, and the traces with the highest ratio of signal to noise in the first 64 MB.

    Parameters
    ----------
    source : BaseOphysInterface or OphysConverter
        Of a converter, all streams with a movie or ROIs are shown.

    Returns
    -------
    Preview

    Raises
    ------
    ArgumentError
        For a source of neither a movie nor ROIs.
    SourceError
        If the interface was closed, or its files cannot be read.
    MissingPackageError
        If a package is not installed that reports need.
    """
    check_packages()
    from nwb_ophys.reports.previews import preview_of

    return preview_of(source)
