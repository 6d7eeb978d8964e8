"""The page of a report: its parts as fragments of HTML, put together by templates."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nwb_ophys import __version__
from nwb_ophys.errors import counted, printable, shown_size
from nwb_ophys.reports.failures import Unreadable
from nwb_ophys.reports.figures import (
    CONTRAST_NOTE,
    MOST_PLANES,
    movie_charts,
    movie_pictures,
    summary_figures,
    timing_figure,
)
from nwb_ophys.reports.masks import RoiPixels
from nwb_ophys.reports.roi_figures import (
    MOST_HEAT_PIXELS,
    MOST_OUTLINE_BYTES,
    outline_figures,
    size_figure,
    trace_figures,
)
from nwb_ophys.reports.rows import META, row_of, row_text
from nwb_ophys.reports.segmentation import Segmentation, counts_of
from nwb_ophys.reports.series import MovieFacts, at_time, duration, in_sizes
from nwb_ophys.reports.timing import StreamTimes
from nwb_ophys.reports.traces import TraceSet
from nwb_ophys.shell_words import quoted

if TYPE_CHECKING:
    from nwb_ophys.reports.report import Report

TEMPLATES = Path(__file__).with_name("templates")
"""Folder of the templates."""

# Bytes of names that are no text, as Python has them.
_BYTES = re.compile("[\udc80-\udcff]")
# Controls, which a command that is copied would carry, and marks that reverse the text behind them.
_CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Pixels of all pictures of a page together, and of one.
_ALL_PIXELS, _MOST_PIXELS, _FEWEST_PIXELS = 1_500_000, 1 << 18, 1 << 12
_MOST_FINDINGS = 100
# Characters of a text of the file, such as a description.
_MOST_CHARACTERS = 5000
_WORDS = {
    "ERROR": "cannot be read",
    "PYNWB_VALIDATION": "not valid NWB",
    "CRITICAL": "critical",
    "REQUIRED": "required by DANDI",
    "BEST_PRACTICE_VIOLATION": "best practice violated",
    "BEST_PRACTICE_SUGGESTION": "suggestion",
    "ADVISED": "advised for DANDI",
}


def render_report(report: Report) -> str:
    """Return the page of a report, one HTML document without references to other files.

    Parameters
    ----------
    report : Report
    """
    return rendered("report.html", _context(report))


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a page that UTF-8 can express, with codes for bytes of names that are no text.

    Parameters
    ----------
    template : str
        Name of the file.
    values : Mapping of str to Any
        Values in it.
    """
    page = environment().get_template(template).render(values)
    named = _BYTES.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", page)
    named = _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], named)
    return named.encode("utf-8", "backslashreplace").decode()


def style() -> Markup:
    """Return the style sheet of all pages."""
    return Markup((TEMPLATES / "style.css").read_text("utf-8"))  # noqa: S704 - our own


def framed(page: str) -> str:
    """Return a page in a frame of its own, for a notebook; it can run nothing.

    Parameters
    ----------
    page : str
        HTML document.
    """
    frame = '<iframe srcdoc="{page}" sandbox style="width:100%;height:640px;border:0"></iframe>'
    return str(Markup(frame).format(page=page))  # noqa: S704 - the page is escaped


@functools.cache
def environment() -> Environment:
    """Return the environment of the templates, in which texts are escaped.

    There is one, which compiles a template once: that takes longer than to fill it in.
    """
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["size"] = shown_size
    made.filters["sizes"] = in_sizes
    made.filters["duration"] = duration
    made.filters["number"] = in_digits
    made.filters["time"] = at_time
    made.filters["cut"] = cut
    made.filters["hertz"] = lambda rate: f"{rate:.6g} Hz"
    made.tests["unreadable"] = lambda part: isinstance(part, Unreadable)
    return made


def cut(text: str) -> str:
    """Return a text, of a very long one the beginning and its length."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    return f"{text[:_MOST_CHARACTERS]}… (the first of {in_digits(len(text))} characters)"


def in_digits(value: Any) -> str:
    """Return a number with spaces between its thousands."""
    return f"{value:,}".replace(",", "\u202f")


def _context(report: Report) -> dict[str, Any]:
    tables = {each.path: each for each in report.tables if isinstance(each, Segmentation)}
    pixels = pixels_of_each(report)
    return {
        "report": report,
        "version": __version__,
        "meta": META,
        "row": row_text(row_of(report), report.path),
        "style": style(),
        "edit": f"nwb-ophys edit {_quoted(report.path)}",
        "verify": f"nwb-ophys verify {_quoted(report.path)}",
        "words": _WORDS,
        "most_findings": _MOST_FINDINGS,
        "contrast": CONTRAST_NOTE,
        "movies": [
            each if isinstance(each, Unreadable) else _movie(each, pixels) for each in report.movies
        ],
        "tables": [
            each if isinstance(each, Unreadable) else _table(each, report, tables, pixels)
            for each in report.tables
        ],
        "other_traces": [
            _traces(each, tables, len(report.traces)) if isinstance(each, TraceSet) else each
            for each in report.traces
            if not isinstance(each, TraceSet) or each.table not in tables
        ],
        "pictures": summary_figures(report.pictures, pixels),
        "timing_figure": None
        if isinstance(report.timing, Unreadable)
        else timing_figure(report.timing),
        "glance": _glance(report),
    }


def _quoted(path: Path) -> str:
    return quoted(printable(str(path)))


def pixels_of_each(report: Report) -> int:
    """Return the number of pixels that each picture of a page may have.

    Parameters
    ----------
    report : Report
    """
    movies = sum(3 for each in report.movies if getattr(each, "statistics", None) is not None)
    number = movies + len(report.tables) + len(report.pictures)
    return min(max(_ALL_PIXELS // max(number, 1), _FEWEST_PIXELS), _MOST_PIXELS)


@attrs.frozen(kw_only=True)
class _Shown:
    """A part with its figures."""

    facts: Any
    figures: tuple[Any, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    parts: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


def _movie(movie: MovieFacts, pixels: int) -> _Shown:
    statistics: Any = movie.statistics
    figures: list[Any] = []
    notes: list[str] = []
    if statistics is not None and not isinstance(statistics, Unreadable):
        figures = [*movie_pictures(movie, pixels), *movie_charts(movie)]
        if len(statistics.frame_shape) == 3 and statistics.frame_shape[2] > MOST_PLANES:
            noun = "colours" if movie.is_coloured else "planes"
            notes.append(f"{MOST_PLANES} of {statistics.frame_shape[2]} {noun} are shown.")
    if figures and movie.scaling.is_inverted:
        notes.append(
            "Its conversion is negative: pictures show the highest stored values black, as they "
            "are the lowest of the converted ones."
        )
    if figures and movie.pixel_size is not None and not movie.pixel_size.is_square:
        notes.append("Its pixels are not square, but are shown so: the scale bar holds along x.")
    return _Shown(
        facts=movie, figures=tuple(figures), rows=tuple(movie_rows(movie)), notes=tuple(notes)
    )


def movie_rows(movie: MovieFacts) -> list[tuple[str, str]]:
    """Return the facts of a movie as label and value.

    Parameters
    ----------
    movie : MovieFacts
    """
    rows = [("type", movie.kind)]
    if movie.plane:
        rows.append(("imaging plane", movie.plane.rpartition("/")[2]))
    if movie.shape:
        rows.append((f"{movie.noun}s", in_digits(movie.shape[0])))
        axes = f"x, y{', z' * movie.is_volumetric}{', colours' * movie.is_coloured}"
        rows.append(("size of each", f"{in_sizes(movie.shape[1:])} ({axes})"))
        rows.append(("pixels", movie.dtype))
    elif isinstance(movie.times, StreamTimes):
        number = movie.times.num_samples
        rows.append(("frames", in_digits(number) if number else "not stated"))
    if movie.scaling.in_words:
        rows.append(("conversion", movie.scaling.in_words))
    size = movie.pixel_size
    if size is not None:
        rows.append(("pixel size", f"{size.x * 1e6:.4g} × {size.y * 1e6:.4g} µm ({size.origin})"))
    elif movie.plane:
        rows.append(("pixel size", "unknown"))
    if isinstance(movie.times, StreamTimes):
        rows += _rows_of_times(movie.times)
    return [*rows, *_rows_of_pixels(movie)]


def _rows_of_times(times: StreamTimes) -> list[tuple[str, str]]:
    rate = "unknown" if times.rate is None else f"{times.rate:.6g} Hz"
    if times.rate is None and times.stated_rate is not None:
        rate = f"{times.stated_rate:g} Hz, which is not above 0"
    origin = " (median step of timestamps)" if times.has_timestamps and times.rate else ""
    rows = [("rate", f"{rate}{origin}")]
    if times.start is not None and times.end is not None:
        rows.append(("time", f"{duration(times.end - times.start)}, from {at_time(times.start)}"))
    if times.has_timestamps:
        gaps = counted(times.num_gaps, "gap")
        lost = f"{in_digits(times.num_missing)} in {gaps}, unless these are pauses"
        lost = lost if times.num_gaps else "none"
        odd = times.num_times_unknown + times.num_backward
        but = f", but {odd} timestamps are not known or not in order" if odd else ""
        rows.append(("dropped frames", f"{lost} (steps of more than 1.5 median steps){but}"))
    else:
        states = "a rate states the times"
        if times.rate is None:
            is_stated = times.stated_rate is not None
            states = "its rate gives no times" if is_stated else "nothing states the times"
        rows.append(("dropped frames", f"not known: {states}"))
    return rows


def _rows_of_pixels(movie: MovieFacts) -> list[tuple[str, str]]:
    found: Any = movie.statistics
    if found is None or isinstance(found, Unreadable):
        return []
    total, is_whole = found.num_pixels_read, found.every == 1
    of = "" if is_whole else " of those read"
    zero, saturated = "zero pixels", f"saturated pixels (value {found.saturation_value})"
    if movie.scaling.is_inverted and movie.dtype.startswith("uint"):
        zero, saturated = "brightest pixels (value 0)", f"pixels of value {found.saturation_value}"
    rows = [(zero, f"{_share(found.num_zero, total)}{of}")]
    if found.saturation_value is not None:
        rows.append((saturated, f"{_share(found.num_saturated, total)}{of}"))
    if found.num_not_finite:
        rows.append(("NaN or infinite pixels", f"{_share(found.num_not_finite, total)}{of}"))
    # All frames are compared while a file is written.
    of = "" if found.frames_compared == found.num_frames else of
    rows.append(("blank frames", f"{_frames(found.num_blank_frames, found.blank_frames)}{of}"))
    repeated = _frames(found.num_repeated_frames, found.repeated_frames)
    rows.append(("repeated frames", f"{repeated}{of and ' found, but not all were compared'}"))
    if not is_whole:
        rows.append(
            ("frames read", f"{in_digits(found.frames_read)} of {in_digits(found.num_frames)}")
        )
    return rows


def _share(count: int, total: int) -> str:
    if not count:
        return "none"
    return f"{in_digits(count)} ({100 * count / max(total, 1):.3g} %)"


def _frames(count: int, numbers: Any) -> str:
    if not count:
        return "none"
    shown = ", ".join(str(int(each)) for each in numbers[:8])
    return f"{in_digits(count)} (number {shown}{', …' * (count > 8)}, counted from 0)"


def _table(
    table: Segmentation, report: Report, tables: Mapping[str, Segmentation], pixels: int
) -> _Shown:
    sizes = size_figure(table)
    total = sum(len(each.ids) for each in tables.values())
    most_bytes = MOST_OUTLINE_BYTES * len(table.ids) // max(total, 1)
    figures = [*outline_figures(table, pixels, most_bytes), *([sizes] if sizes else [])]
    own = [
        _traces(each, tables, len(report.traces))
        for each in report.traces
        if isinstance(each, TraceSet) and each.table == table.path
    ]
    return _Shown(
        facts=table,
        figures=tuple(figures),
        rows=tuple(_rows_of_table(table)),
        parts=tuple(own),
        notes=tuple(_notes_of_table(table)),
    )


def _rows_of_table(table: Segmentation) -> list[tuple[str, str]]:
    rows = [("ROIs", in_digits(len(table.ids)))]
    counts = counts_of(table)
    if counts:
        text = ", ".join(f"{in_digits(number)} {name}" for name, number in counts.items())
        noun = "columns" if "," in table.acceptance_origin else "column"
        rows.append(("accepted", f"{text} ({noun} {table.acceptance_origin})"))
    if table.plane:
        rows.append(("imaging plane", table.plane.rpartition("/")[2]))
    if not isinstance(table.pixels, Unreadable):
        rows.append(("masks", getattr(table.pixels, "form", "none")))
    if table.columns:
        rows.append(("columns", ", ".join(table.columns)))
    return rows


def _notes_of_table(table: Segmentation) -> list[str]:
    notes = []
    every = getattr(table.pixels, "every", 1)
    if every > 1:
        notes.append(f"The mask of one in {every} ROIs was read; the others have no outline.")
    num_empty = int((table.sizes == 0).sum()) if isinstance(table.pixels, RoiPixels) else 0
    if num_empty and every == 1:
        have = "has" if num_empty == 1 else "have"
        notes.append(f"{counted(num_empty, 'ROI')} {have} no pixel whose weight is not 0.")
    notes += filter(None, [getattr(table.pixels, "note", "")])
    if table.description == "suite2p output" and {"iscell", "pixel_mask"} <= {*table.columns}:
        notes.append(
            "Suite2p calls the row x: its masks and images lie across the movie that it read, "
            "rows for columns, and are shown as the file has them."
        )
    if len(table.outlines) > 1:
        notes.append(
            f"{len(table.outlines)} of {table.num_planes} planes are shown, those with the most "
            "pixels of ROIs."
        )
    return notes


def _traces(traces: TraceSet, tables: Mapping[str, Segmentation], num_sets: int) -> _Shown:
    axes = "samples, ROIs" if len(traces.shape) == 2 else "samples of one ROI"
    rows = [
        ("shape", f"{in_sizes(traces.shape)} ({axes})"),
        ("unit", traces.scaling.unit or "unknown"),
    ]
    if traces.scaling.in_words:
        rows.append(("conversion", traces.scaling.in_words))
    if isinstance(traces.times, StreamTimes):
        rows += _rows_of_times(traces.times)[:2]
    if traces.num_not_finite:
        rows.append(("NaN or infinite values", in_digits(traces.num_not_finite)))
    return _Shown(
        facts=traces,
        figures=tuple(trace_figures(traces, tables, MOST_HEAT_PIXELS // num_sets)),
        rows=tuple(rows),
        notes=tuple(_notes_of_traces(traces, tables.get(traces.table or ""))),
    )


def _notes_of_traces(traces: TraceSet, table: Segmentation | None) -> list[str]:
    num_columns = traces.shape[1] if len(traces.shape) == 2 else 1
    num_rois = len(traces.rows)
    if not num_rois:
        return ["It names no ROIs."]
    notes = []
    if num_columns != num_rois:
        note = f"It has {num_columns} columns, but names {num_rois} ROIs"
        is_turned = len(traces.shape) == 2 and traces.shape[0] == num_rois
        turned = ": its axes seem to be exchanged, (ROIs, samples) instead of (samples, ROIs)"
        notes.append(f"{note}{turned * is_turned}.")
    if traces.table is None:
        notes.append("It states no table of its ROIs.")
    elif table is not None:
        outside = traces.rows[(traces.rows < 0) | (traces.rows >= len(table.ids))]
        if len(outside):
            named = f"row {outside[0]}" if len(outside) == 1 else f"rows such as {outside[0]}"
            notes.append(f"It names {named} of a table of {counted(len(table.ids), 'ROI')}.")
    return notes


def _glance(report: Report) -> list[tuple[str, str]]:
    """Return what the file holds in a few numbers, for the head of the page."""
    movies = [each for each in report.movies if isinstance(each, MovieFacts)]
    found = [("size", shown_size(report.num_bytes)), ("movies", in_digits(report.num_movies))]
    found.append(("ROIs", in_digits(report.num_rois)))
    lengths = [
        each.times.end - each.times.start
        for each in movies
        if isinstance(each.times, StreamTimes)
        and each.times.end is not None
        and each.times.start is not None
    ]
    if lengths:
        found.append(("length", duration(max(lengths))))
    stated = [each.times.rate for each in movies if isinstance(each.times, StreamTimes)]
    rates = sorted({f"{rate:.4g} Hz" for rate in stated if rate})
    if rates:
        found.append(("rate", ", ".join(rates[:3])))
    return found


_PARTS = ("movies.html", "rois.html", "timing.html")


def render_parts(report: Report) -> str:
    """Return a page with the movies, ROIs and timing of a report, without its heading and verdict.

    Parameters
    ----------
    report : Report
    """
    context = {**_context(report), "parts": _PARTS}
    return rendered("parts.html", context)
