"""The report of a file: all of its facts, gathered in one pass, before anything is rendered."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import counted
from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.gathering import StatisticsGatherer
from nwb_ophys.reports.inspecting import Inspection
from nwb_ophys.reports.origin import Origin, gather_origin
from nwb_ophys.reports.places import existing
from nwb_ophys.reports.segmentation import (
    Segmentation,
    SummaryPicture,
    gather_segmentation,
    num_rois_of,
    pictures_left_out,
    summary_pictures,
    table_paths,
)
from nwb_ophys.reports.series import MovieFacts, gather_movie, movie_paths
from nwb_ophys.reports.session import SessionFacts, gather_session
from nwb_ophys.reports.stored import Storage, gather_storage, size_of
from nwb_ophys.reports.stored_file import StoredFile, opened
from nwb_ophys.reports.timing import Timing, gather_timing
from nwb_ophys.reports.traces import TraceSet, gather_traces, trace_paths
from nwb_ophys.reports.verdict import Verdict, verdict_of

_MOST_MOVIES, _MOST_TABLES, _MOST_TRACES = 24, 24, 24


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Report:
    """All facts of a file that its page shows. A part that cannot be read says why.

    Attributes
    ----------
    path : pathlib.Path
    num_bytes : int
    made : datetime.datetime
        Time at which the report was made, with its zone.
    verdict : Verdict or Unreadable
    session : SessionFacts or Unreadable
    movies : tuple of MovieFacts or Unreadable
    tables : tuple of Segmentation or Unreadable
    traces : tuple of TraceSet or Unreadable
    pictures : tuple of SummaryPicture or Unreadable
    num_movies, num_rois : int
        All movies of the file, and the ROIs of all its tables that are not background, also of
        those that are not shown.
    timing : Timing or Unreadable
    storage : Storage or Unreadable
    origin : Origin or Unreadable
    outside : tuple of (str, str)
        Links that lead to other files, and their targets, which are not followed.
    unreadable : tuple of Unreadable
        Groups and datasets that cannot be opened.
    left_out : tuple of str
        What the page does not show, in sentences.
    """

    path: Path
    num_bytes: int
    made: datetime.datetime
    verdict: Verdict | Unreadable
    session: SessionFacts | Unreadable
    movies: tuple[MovieFacts | Unreadable, ...]
    tables: tuple[Segmentation | Unreadable, ...]
    traces: tuple[TraceSet | Unreadable, ...]
    pictures: tuple[SummaryPicture | Unreadable, ...]
    num_movies: int
    num_rois: int
    timing: Timing | Unreadable
    storage: Storage | Unreadable
    origin: Origin | Unreadable
    outside: tuple[tuple[str, str], ...]
    unreadable: tuple[Unreadable, ...]
    left_out: tuple[str, ...]

    def __repr__(self) -> str:
        movies, rois = counted(self.num_movies, "movie"), counted(self.num_rois, "ROI")
        return f"<Report of '{self.path}': {movies}, {rois}>"

    def _repr_html_(self) -> str:
        # The pictures need packages that the facts do not.
        from nwb_ophys.reports.rendering import framed, render_report

        return framed(render_report(self))


def gather_report(
    path: str | Path,
    *,
    allow_outside: Sequence[str | Path] = (),
    gatherer: StatisticsGatherer | None = None,
    inspection: Inspection | None = None,
) -> Report:
    """Gather all facts of an NWB file that its report shows.

    Parameters
    ----------
    path : path-like
        File of any author and backend.
    allow_outside : sequence of path-like
        Folders in which files may lie that the file names, beyond its own folder.
    gatherer : StatisticsGatherer, optional
        What observed the write of the file; movies of which it has no statistics are read.
    inspection : Inspection, optional
        A check of the file that has begun already.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file does not exist, is not an NWB file, or cannot be opened.
    MissingPackageError
        If a package that reads it is not installed.
    """
    inspection = inspection or Inspection(existing(path), allow_outside)
    try:
        with opened(path, allow_outside) as file:
            return _gathered(file, inspection, gatherer)
    finally:
        inspection.end()


def _gathered(
    file: StoredFile, inspection: Inspection, gatherer: StatisticsGatherer | None
) -> Report:
    left_out: list[str] = []
    paths = _first(movie_paths(file), _MOST_MOVIES, "movies", left_out)
    movies = [attempt(path, gather_movie, file, path, gatherer) for path in paths]
    good = [each for each in movies if isinstance(each, MovieFacts)]
    listed = list(table_paths(file))
    tables = [
        attempt(path, gather_segmentation, file, path, good)
        for path in _first(listed, _MOST_TABLES, "tables of ROIs", left_out)
    ]
    traces = [
        attempt(path, gather_traces, file, path)
        for path in _first(trace_paths(file), _MOST_TRACES, "sets of traces", left_out)
    ]
    left_out += pictures_left_out(file)
    session = attempt("session", gather_session, file)
    return Report(
        path=file.path,
        num_bytes=size_of(file),
        made=datetime.datetime.now().astimezone(),
        session=session,
        movies=tuple(movies),
        tables=tuple(tables),
        traces=tuple(traces),
        pictures=tuple(summary_pictures(file)),
        num_movies=len(list(movie_paths(file))),
        num_rois=num_rois_of(file, listed),
        timing=attempt("times", gather_timing, file),
        storage=attempt("storage", gather_storage, file),
        origin=attempt("provenance", gather_origin, file),
        outside=tuple(file.outside.items()),
        unreadable=tuple(
            Unreadable(place=each.path or "/", reason=each.error)
            for each in file.objects.values()
            if each.error
        ),
        left_out=tuple(left_out),
        # The other process has had the most time when it is asked last.
        verdict=attempt("check", _verdict, session, inspection),
    )


def _verdict(session: SessionFacts | Unreadable, inspection: Inspection) -> Verdict:
    metadata = session.metadata if isinstance(session, SessionFacts) else {}
    return verdict_of(metadata, inspection.result())


def _first(paths: Any, most: int, noun: str, left_out: list[str]) -> list[str]:
    """Return the first paths, and note how many are left out."""
    found = list(paths)
    if len(found) > most:
        left_out.append(f"The first {most} of {len(found)} {noun} are shown.")
    return found[:most]
