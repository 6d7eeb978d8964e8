"""Rows of an index: the facts of each session, kept in its page so that it is not read again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys import __version__
from nwb_ophys.remote.paths import is_url
from nwb_ophys.reports.segmentation import Segmentation
from nwb_ophys.reports.series import MovieFacts, as_image
from nwb_ophys.reports.session import SessionFacts
from nwb_ophys.reports.timing import StreamTimes
from nwb_ophys.reports.verdict import Verdict

if TYPE_CHECKING:
    from nwb_ophys.reports.report import Report

META = "nwb-ophys-row"
"""Name of the element in the head of a page that holds its row."""

_HEAD_BYTES = 200_000
_THUMBNAIL_PIXELS = 72 * 72
_REFUSED = ("ERROR", "PYNWB_VALIDATION", "CRITICAL", "REQUIRED")


@attrs.frozen(kw_only=True)
class Row:
    """One session of an index.

    Attributes
    ----------
    name : str
        Name of the session or file, as the index shows it.
    state : str
        ``done``, ``failed``, ``waiting``, ``running``, or ``unreadable``.
    reason : str
        Reason of a failure.
    page : str
        Path of its page, relative to the index; empty if there is none.
    thumbnail : str
        Picture as a data URI; empty if there is none.
    subject, start : str
    seconds : float or None
        Length of the longest movie, or else of the longest stream.
    num_rois : int or None
    rate : float or None
        Rate of the first movie, or else of the first stream, in Hz.
    num_bytes : int
    num_severe, num_findings : int or None
        Findings for which DANDI refuses the file, and all findings.
    """

    name: str
    state: str = "done"
    reason: str = ""
    page: str = ""
    thumbnail: str = ""
    subject: str = ""
    start: str = ""
    seconds: float | None = None
    num_rois: int | None = None
    rate: float | None = None
    num_bytes: int = 0
    num_severe: int | None = None
    num_findings: int | None = None


def row_of(report: Report) -> Row:
    """Return the row of a report.

    Parameters
    ----------
    report : Report
    """
    stated: dict[str, Any] = {}
    if isinstance(report.session, SessionFacts):
        stated = {
            **report.session.metadata["NWBFile"],
            **report.session.metadata.get("Subject", {}),
        }
    tables = [each for each in report.tables if isinstance(each, Segmentation)]
    findings = report.verdict.findings if isinstance(report.verdict, Verdict) else None
    lengths, rates = _times_of(report)
    return Row(
        name=report.path.name,
        thumbnail=_thumbnail(report, tables),
        subject=str(stated.get("subject_id", "")),
        start=str(stated.get("session_start_time", "")),
        seconds=max(lengths, default=None),
        num_rois=report.num_rois,
        rate=rates[0] if rates else None,
        num_bytes=report.num_bytes,
        num_severe=None if findings is None else sum(f.importance in _REFUSED for f in findings),
        num_findings=None if findings is None else len(findings),
    )


def _times_of(report: Report) -> tuple[list[float], list[float]]:
    """Return the lengths and rates of the movies, or of all streams of a file without movies."""
    movies = [each.times for each in report.movies if isinstance(each, MovieFacts)]
    streams = [each for each in movies if isinstance(each, StreamTimes)]
    streams = streams or list(getattr(report.timing, "streams", ()))
    lengths = [
        each.end - each.start for each in streams if each.end is not None and each.start is not None
    ]
    return lengths, [each.rate for each in streams if each.rate]


def _thumbnail(report: Report, tables: list[Segmentation]) -> str:
    from nwb_ophys.reports.pictures import gray, limits_of, png_uri, reduced

    means = [
        (getattr(each.statistics, "mean", None), each.scaling.is_inverted)
        for each in report.movies
        if isinstance(each, MovieFacts)
    ]
    backdrops = [each.backdrop for each in tables if each.backdrop is not None]
    means += [(each.image, each.is_inverted) for each in backdrops]
    mean, is_inverted = next((each for each in means if each[0] is not None), (None, False))
    if mean is None:
        return ""
    image = as_image(mean, mean.shape[2] // 2 if mean.ndim == 3 else None)
    small, _ = reduced(image, _THUMBNAIL_PIXELS)
    return png_uri(gray(small, *limits_of(small, is_inverted=is_inverted)))


def version_of(path: Path) -> list[Any]:
    """Return what tells whether a page is of a file as it is now, made by this version.

    Parameters
    ----------
    path : pathlib.Path
        Of a URL, whose page no index keeps, only the version is returned.
    """
    if is_url(path):
        return [__version__]
    # A change of a chunk of a store leaves the folder of the store as it was.
    statuses = [path.stat(), *_statuses_within(path)]
    sizes, times = ([getattr(e, name) for e in statuses] for name in ("st_size", "st_mtime_ns"))
    return [__version__, len(statuses), sum(sizes), sum(times)]


def _statuses_within(path: Path) -> Iterator[os.stat_result]:
    """Yield the status of everything in a folder; of nothing for a file."""
    pending = [path] if path.is_dir() else []
    while pending:
        with os.scandir(pending.pop()) as found:
            for each in found:
                yield each.stat(follow_symlinks=False)
                if each.is_dir(follow_symlinks=False):
                    pending.append(Path(each.path))


def row_text(row: Row, path: Path) -> str:
    """Return a row with the identity of its file as the text that its page holds.

    Parameters
    ----------
    row : Row
    path : pathlib.Path
        The NWB file.
    """
    return json.dumps({"of": version_of(path), "row": attrs.asdict(row)})


class _Head(HTMLParser):
    """Finds the row in the head of a page."""

    text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "meta" and found.get("name") == META:
            self.text = found.get("content") or ""


def text_in(page: Path) -> str | None:
    """Return the text that a page of this package holds in its head; None for other files.

    Parameters
    ----------
    page : pathlib.Path
    """
    try:
        with page.open(encoding="utf-8", errors="replace") as file:
            start = file.read(_HEAD_BYTES)
    except OSError:
        return None
    head = _Head()
    head.feed(start)
    return head.text


def known_row(page: Path, path: Path) -> Row | None:
    """Return the row in the page of a file, if the page is of the file as it is now.

    Parameters
    ----------
    page, path : pathlib.Path
        The page, and the NWB file.
    """
    try:
        found = json.loads(text_in(page) or "")
        if found["of"] == version_of(path):
            return Row(**found["row"])
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None
