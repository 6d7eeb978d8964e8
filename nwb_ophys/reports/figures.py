"""Figures of a report: pictures and charts with their captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from nwb_ophys.errors import counted
from nwb_ophys.reports.charts import Span, histogram, line_chart, time_line
from nwb_ophys.reports.failures import Unreadable
from nwb_ophys.reports.pictures import (
    CONTRAST,
    ScaleBar,
    limits_of,
    picture,
    scale_bar,
    stored_limits,
)
from nwb_ophys.reports.segmentation import SummaryPicture
from nwb_ophys.reports.series import MovieFacts, as_image, planes_of
from nwb_ophys.reports.timing import StreamTimes, Timing

MOST_PLANES = 6
"""Planes of a volume that are shown of each kind of image."""
_MOST_SPANS = 40


@attrs.frozen(kw_only=True)
class Figure:
    """A picture or chart, and its caption.

    Attributes
    ----------
    content : markupsafe.Markup
    caption : str
    size : {"", "wide", "large"}
        ``large`` is for pictures with outlines, ``wide`` for charts.
    row : str
        Pictures of one row are shown beside each other.
    """

    content: Markup
    caption: str
    size: str = ""
    row: str = ""


def movie_pictures(movie: MovieFacts, most_pixels: int) -> list[Figure]:
    """Return mean, maximum and standard deviation of a movie; of a volume, by plane.

    Parameters
    ----------
    movie : MovieFacts
        With statistics.
    most_pixels : int
        Size of each picture.
    """
    found: Any = movie.statistics
    bar = scale_bar(found.frame_shape[0], movie.pixel_size)
    is_inverted = movie.scaling.is_inverted
    images = (
        ("Mean", found.mean, found.frames_read, is_inverted),
        ("Minimum" if is_inverted else "Maximum", found.maximum, found.frames_read, is_inverted),
        ("Standard deviation", found.standard_deviation, found.std_frames, False),
    )
    figures = []
    for label, values, number, is_exchanged in images:
        title = f"{label} of {counted(number, movie.noun)}"
        limits = limits_of(values, is_inverted=is_exchanged)
        if values.ndim == 2:
            figures.append(_gray_figure(as_image(values), title, bar, most_pixels, limits))
        else:
            noun = "colour" if movie.is_coloured else "plane"
            figures += _by_plane(values, title, bar, most_pixels, noun, limits)
    return figures


def _by_plane(
    values: NDArray[Any],
    label: str,
    bar: ScaleBar | None,
    most_pixels: int,
    noun: str,
    limits: tuple[float, float],
) -> Iterator[Figure]:
    planes = planes_of(values.shape[2], MOST_PLANES)
    for plane in planes:
        title = f"{label}, {noun} {plane + 1} of {values.shape[2]}"
        image, share = as_image(values, plane), most_pixels // len(planes)
        found = _gray_figure(image, title, bar, share, limits=limits)
        yield attrs.evolve(found, row=label)


def _gray_figure(
    image: NDArray[Any],
    title: str,
    bar: ScaleBar | None,
    most_pixels: int,
    limits: tuple[float, float] | None = None,
) -> Figure:
    low, high = limits_of(image) if limits is None else limits
    content = picture(image, title, limits=(low, high), bar=bar, most_pixels=most_pixels)
    return Figure(content=content, caption=f"{title}. Black {low:.5g}, white {high:.5g}.")


def movie_charts(movie: MovieFacts) -> list[Figure]:
    """Return the mean of each frame over time, and the histogram of pixels.

    Parameters
    ----------
    movie : MovieFacts
        With statistics.
    """
    found: Any = movie.statistics
    times = movie.times
    are_times = isinstance(times, StreamTimes) and times.are_known
    x = times.times(found.frame_numbers) if are_times else found.frame_numbers  # type: ignore[union-attr]
    x_label = "time (s)" if are_times else movie.noun
    caption = f"Mean of each {movie.noun}, of {counted(len(found.frame_means), movie.noun)}."
    if found.every > 1:
        caption += f" One part in {found.every} of the movie was read."
    gaps = times.gaps if are_times else ()  # type: ignore[union-attr]
    stored = " (stored values)" if movie.scaling.in_words else ""
    title = f"Mean of each {movie.noun} over time"
    mean = line_chart(x, found.frame_means, title, x_label, f"mean{stored}", gaps)
    bars = histogram(
        found.histogram.counts,
        found.histogram.edges,
        "Histogram of pixels",
        f"pixel value{stored}",
        "pixels",
        is_logarithmic=True,
    )
    number = counted(found.histogram_frames, movie.noun)
    of_pixels = f"Histogram of the pixels of {number}; counts are logarithmic."
    return [
        Figure(content=mean, caption=caption, size="wide"),
        Figure(content=bars, caption=of_pixels, size="wide"),
    ]


def summary_figures(
    pictures: Sequence[SummaryPicture | Unreadable], most_pixels: int
) -> list[Figure]:
    """Return the summary images of a file.

    Parameters
    ----------
    pictures : sequence of SummaryPicture or Unreadable
    most_pixels : int
        Size of each picture.
    """
    return [
        _summary_figure(each, each.path.partition("/")[2], most_pixels)
        for each in pictures
        if isinstance(each, SummaryPicture)
    ]


def _summary_figure(found: SummaryPicture, title: str, most_pixels: int) -> Figure:
    if found.image.ndim == 2:
        return _gray_figure(as_image(found.image), title, None, most_pixels)
    image = np.swapaxes(found.image, 0, 1)
    limits = stored_limits(image)
    figure = _gray_figure(image, title, None, most_pixels, limits)
    caption = figure.caption if limits is None else f"{title}. Colours as they are stored."
    alpha = " The alpha channel is not shown." * found.has_alpha
    return attrs.evolve(figure, caption=caption + alpha)


def timing_figure(timing: Timing) -> Figure | None:
    """Return all streams on one axis of time; None without a stream that states times.

    Parameters
    ----------
    timing : Timing
    """
    known = [each for each in timing.streams if each.start is not None and each.end is not None]
    if not known:
        return None
    spans = [
        Span(
            label=each.name,
            css="span marked" if each.path in timing.marks else "span",
            start=float(each.start or 0.0),
            end=float(each.end or 0.0),
            gaps=each.gaps,
        )
        for each in known[:_MOST_SPANS]
    ]
    caption = "From the first to the last sample of each stream; gaps are left out of the bars."
    if len(known) > _MOST_SPANS:
        caption += f" The first {_MOST_SPANS} of {len(known)} streams are shown."
    content = time_line(spans, "Start and end of all streams", "time (s)")
    return Figure(content=content, caption=caption, size="wide")


CONTRAST_NOTE = f"Gray pictures span the {CONTRAST} of their pixels from black to white."
"""Rule of the contrast of all gray pictures."""
