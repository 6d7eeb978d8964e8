"""Charts as SVG, made by hand: lines, histograms, stacked traces and a time line.

They have classes in place of colours, so that the page shows them light or dark, and print.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 480, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 38
# Room for the label of an upright axis and around its ticks, and for a digit in a small window.
_BESIDE_LABELS, _BESIDE_ROWS, _WIDTH_OF_DIGIT = 27, 10, 7.6
# Points of a line: two for each, the lowest and the highest value within.
_MOST_BINS = 300
_LONGEST_LABEL = 48
_NUM_TICKS = 5
# Gaps of a line that interrupt it, as a share of its length.
_SHORTEST_GAP = 0.01
_ROUNDING = 1e-13
# Labels with more digits are written out, since a power of ten would make them longer yet.
_FEW_DIGITS, _MOST_DIGITS = 5, 16
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@attrs.frozen(kw_only=True)
class Axis:
    """An axis from a low to a high value, along some pixels of a chart.

    Attributes
    ----------
    low, high : float
    start, end : float
        Places of the low and the high value in the chart.
    is_whole : bool
        Whether ticks are whole numbers.
    """

    low: float
    high: float
    start: float
    end: float
    is_whole: bool = False

    def place(self, value: Any) -> Any:
        """Return the place of a value, or of an array of values."""
        span = self.high - self.low or 1.0
        return self.start + (np.asarray(value, dtype=np.float64) - self.low) / span * (
            self.end - self.start
        )

    def ticks(self) -> list[float]:
        """Return a few round values within the axis."""
        low, high = sorted((self.low, self.high))
        span = high - low
        # Values that differ by the rounding of their sums alone are one value.
        if not math.isfinite(span) or span <= _ROUNDING * max(abs(low), abs(high)):
            return [self.low]
        raw = span / _NUM_TICKS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(each * power for each in _ROUND if each * power >= raw * 0.999)
        step = max(math.ceil(step), 1) if self.is_whole else step
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Return the values of an axis in few characters, but enough to tell them apart."""
    steps = [abs(second - first) for first, second in itertools.pairwise(values)]
    step = min(filter(None, steps), default=0.0)
    largest = max(map(abs, values), default=0.0)
    digits = math.ceil(math.log10(largest / step)) + 1 if step and largest else 3
    digits = min(digits, _MOST_DIGITS)
    return [_tick_label(0.0 if abs(each) < step / 1e6 else each, digits) for each in values]


def _tick_label(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if digits <= _FEW_DIGITS and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.{max(digits, 3)}g}"
    return f"{value:,.{max(digits, 6)}g}".replace(",", "\u2009")


def power_of_ten(exponent: int) -> str:
    """Return a power of ten in few characters."""
    digits = str(exponent).translate(_SUPERSCRIPTS)
    return str(10**exponent) if 0 <= exponent < 3 else f"10{digits}"


def envelope(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the points of a line with at most 600 points, which keeps its highs and lows.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (points,)
        NaN in y interrupts the line.
    """
    if len(y) <= 2 * _MOST_BINS:
        return x, y
    starts = np.linspace(0, len(y), _MOST_BINS, endpoint=False).astype(int)
    low, high = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)
    middles = (starts + np.append(starts[1:], len(y))) // 2
    places = np.stack([starts, middles], axis=1).ravel()
    return x[places], np.stack([low, high], axis=1).ravel()


def polyline(x: NDArray[Any], y: NDArray[Any], css: str = "line") -> Markup:
    """Return a line through points in places of a chart; NaN in y interrupts it."""
    parts: list[str] = []
    command = "M"
    for column, row in zip(np.round(x, 1).tolist(), np.round(y, 1).tolist(), strict=True):
        if not math.isfinite(row) or not math.isfinite(column):
            command = "M"
            continue
        parts.append(f"{command}{column:g} {row:g}")
        command = "L"
    return Markup('<path class="{css}" d="{d}"/>').format(css=css, d="".join(parts))


def interrupted(
    x: NDArray[Any], y: NDArray[Any], gaps: Sequence[tuple[float, float]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the points of a line with NaN at the gaps that are long enough to be seen.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (points,)
    gaps : sequence of (float, float)
        Ranges of x without points.
    """
    if not gaps or not (np.diff(x) >= 0).all():  # times may go back, or be unknown
        return x, y
    low, high = _range(x)
    seen = [start for start, end in gaps if end - start > _SHORTEST_GAP * (high - low)]
    # The point after a gap is the first beyond its start.
    places = np.unique(np.searchsorted(x, seen, side="right"))
    places = places[(places > 0) & (places < len(x))]
    return np.insert(x, places, x[places]), np.insert(y, places, np.nan)


def line_chart(
    x: NDArray[Any],
    y: NDArray[Any],
    title: str,
    x_label: str,
    y_label: str,
    gaps: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Return a chart of one line.

    Parameters
    ----------
    x, y : numpy.ndarray, shape (points,)
    title : str
        Description for readers that cannot see it.
    x_label, y_label : str
        Labels of the axes, with units.
    gaps : sequence of (float, float)
        Ranges of x without points, which interrupt the line.
    """
    x, y = envelope(np.asarray(x, np.float64), np.asarray(y, np.float64))
    across, up = _axes(x, y)
    x, y = interrupted(x, y, gaps)
    line = polyline(across.place(x), up.place(y))
    if len(x) == 1:
        line = Markup('<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>').format(
            x=float(across.place(x[0])), y=float(up.place(y[0]))
        )
    return _chart(title, [_frame(across, up, x_label, y_label), line])


def _axes(x: NDArray[Any], y: NDArray[Any], *, from_zero: bool = False) -> tuple[Axis, Axis]:
    low, high = _range(y)
    if from_zero:
        low = min(low, 0.0)
    margin = (high - low) * 0.05 or max(abs(high) * 0.05, 0.5)
    bottom = low if from_zero else low - margin
    up = Axis(low=bottom, high=high + margin, start=_HEIGHT - _BOTTOM, end=_TOP)
    first, last = _range(x)
    left = _left_of(tick_labels(up.ticks()), _BESIDE_LABELS)
    return Axis(low=first, high=last, start=left, end=_WIDTH - _RIGHT), up


def _left_of(labels: Sequence[str], beside: float) -> float:
    """Return the place of the upright axis, which leaves room for labels and some beside them."""
    return max(_LEFT, beside + max(map(len, labels), default=0) * _WIDTH_OF_DIGIT)


def _shortened(label: str) -> str:
    """Return a label with an ellipsis in place of the beginning of a long one."""
    return label if len(label) <= _LONGEST_LABEL else f"…{label[1 - _LONGEST_LABEL :]}"


def _range(values: NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def histogram(
    counts: NDArray[Any],
    edges: NDArray[Any],
    title: str,
    x_label: str,
    y_label: str,
    *,
    is_logarithmic: bool = False,
    are_whole: bool = False,
) -> Markup:
    """Return a histogram.

    Parameters
    ----------
    counts : numpy.ndarray, shape (bins,)
    edges : numpy.ndarray, shape (bins + 1,)
    title, x_label, y_label : str
    is_logarithmic : bool
        Whether the heights are logarithms of the counts.
    are_whole : bool
        Whether values and heights are whole numbers, and so the ticks.
    """
    heights = np.log10(np.maximum(counts, 1)) if is_logarithmic else np.asarray(counts, np.float64)
    axes = _axes(np.asarray(edges, np.float64), heights, from_zero=True)
    across, up = (attrs.evolve(axis, is_whole=are_whole) for axis in axes)
    bottom = float(up.place(0))
    x = np.repeat(across.place(edges), 2)
    y = np.concatenate([[bottom], np.repeat(up.place(heights), 2), [bottom]])
    d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    bars = Markup('<path class="bars" d="{d}z"/>').format(d=d)
    return _chart(title, [_frame(across, up, x_label, y_label, is_logarithmic), bars])


def _chart(title: str, parts: Iterable[Markup], height: float = _HEIGHT) -> Markup:
    return Markup(
        '<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
        "{parts}</svg>"
    ).format(width=_WIDTH, height=f"{height:g}", title=title, parts=Markup().join(parts))


def _frame(
    across: Axis, up: Axis, x_label: str, y_label: str, is_logarithmic: bool = False
) -> Markup:
    """Return both axes with ticks, and a line across at each tick of the upright one."""
    parts = []
    bottom = up.start
    ticks = up.ticks()
    for value, text in zip(ticks, tick_labels(ticks), strict=True):
        if is_logarithmic and value != int(value):
            continue
        label = power_of_ten(int(value)) if is_logarithmic else text
        parts.append(
            Markup(
                '<path class="grid" d="M{left} {y:.1f}H{right}"/>'
                '<text class="tick" x="{x}" y="{down:.1f}" text-anchor="end">{label}</text>'
            ).format(
                left=across.start,
                right=across.end,
                y=float(up.place(value)),
                x=across.start - 5,
                down=float(up.place(value)) + 3.5,
                label=label,
            )
        )
    parts.append(_across(across, bottom, x_label))
    parts.append(
        Markup(
            '<text class="label" transform="translate(13 {y:.1f}) rotate(-90)" '
            'text-anchor="middle">{label}</text>'
        ).format(y=(up.start + up.end) / 2, label=y_label)
    )
    return Markup().join(parts)


def _across(axis: Axis, y: float, label: str) -> Markup:
    """Return the axis at the bottom, with ticks and its label."""
    parts = [
        Markup('<path class="axis" d="M{start:g} {y:g}H{end:g}"/>').format(
            start=axis.start, end=axis.end, y=y
        )
    ]
    ticks = axis.ticks()
    for value, text in zip(ticks, tick_labels(ticks), strict=True):
        x = float(axis.place(value))
        anchor = "end" if x > _WIDTH - _RIGHT - 12 else "middle"
        parts.append(
            Markup(
                '<path class="axis" d="M{x:.1f} {y:g}v4"/>'
                '<text class="tick" x="{x:.1f}" y="{down:g}" text-anchor="{anchor}">{label}</text>'
            ).format(x=x, y=y, down=y + 15, anchor=anchor, label=text)
        )
    parts.append(
        Markup(
            '<text class="label" x="{x:.1f}" y="{y:g}" text-anchor="middle">{label}</text>'
        ).format(x=(axis.start + axis.end) / 2, y=y + 31, label=label)
    )
    return Markup().join(parts)


def image_chart(
    uri: str,
    title: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    labels: tuple[str, str],
) -> Markup:
    """Return an image that fills the frame of a chart.

    Parameters
    ----------
    uri : str
        Data URI of the image.
    title : str
    x_range, y_range : tuple of float
        Values at the left and right edge, and at the lower and upper edge.
    labels : tuple of str
        Labels of the axes.
    """
    height = 336
    up = Axis(low=y_range[0], high=y_range[1], start=height - _BOTTOM, end=_TOP)
    left = _left_of(tick_labels(up.ticks()), _BESIDE_LABELS)
    across = Axis(low=x_range[0], high=x_range[1], start=left, end=_WIDTH - _RIGHT)
    image = Markup(
        '<image class="pixels" href="{uri}" x="{x}" y="{y}" width="{width}" height="{height}" '
        'preserveAspectRatio="none"/>'
    ).format(uri=uri, x=left, y=_TOP, width=_WIDTH - _RIGHT - left, height=height - _BOTTOM - _TOP)
    return _chart(title, [_frame(across, up, *labels), image], height)


@attrs.frozen(kw_only=True)
class TraceRow:
    """A trace in a stack.

    Attributes
    ----------
    label : str
    css : str
        Class of its line.
    times, values : numpy.ndarray, shape (samples,)
        NaN in the values interrupts the line.
    gaps : tuple of (float, float)
        Ranges of the times without samples, which interrupt it as well.
    """

    label: str
    css: str
    times: NDArray[Any] = attrs.field(eq=False)
    values: NDArray[Any] = attrs.field(eq=False)
    gaps: tuple[tuple[float, float], ...] = ()


def trace_stack(rows: Sequence[TraceRow], title: str, x_label: str) -> Markup:
    """Return traces one below the other, each over the whole height of its row.

    Parameters
    ----------
    rows : sequence of TraceRow
    title, x_label : str
    """
    row_height = 36.0
    height = _TOP + row_height * len(rows) + _BOTTOM
    # Times may go back, and may be unknown at the ends.
    low, high = _range(np.concatenate([_range(each.times) for each in rows if len(each.times)]))
    left = _left_of([each.label for each in rows], _BESIDE_ROWS)
    across = Axis(low=low, high=high, start=left, end=_WIDTH - _RIGHT)
    parts = []
    for number, row in enumerate(rows):
        x, y = interrupted(*envelope(row.times, row.values), row.gaps)
        top = _TOP + number * row_height
        bottom, summit = _range(y)
        up = Axis(low=bottom, high=summit, start=top + row_height - 4, end=top + 4)
        parts.append(
            Markup(
                '<text class="tick" x="{x}" y="{y:.1f}" text-anchor="end">{label}</text>'
            ).format(x=left - 6, y=top + row_height / 2 + 4, label=row.label)
        )
        parts.append(polyline(across.place(x), up.place(y), row.css))
    parts.append(_across(across, _TOP + row_height * len(rows), x_label))
    return _chart(title, parts, height)


@attrs.frozen(kw_only=True)
class Span:
    """A stream on a time line.

    Attributes
    ----------
    label : str
    css : str
        Class of its bar.
    start, end : float
        In seconds.
    gaps : tuple of (float, float)
        Parts without samples, in seconds.
    """

    label: str
    css: str
    start: float
    end: float
    gaps: tuple[tuple[float, float], ...] = ()


def time_line(spans: Sequence[Span], title: str, x_label: str) -> Markup:
    """Return the streams as bars on one axis of time; gaps are left out of the bars.

    Parameters
    ----------
    spans : sequence of Span
    title, x_label : str
    """
    row_height = 30.0
    height = _TOP + row_height * len(spans) + _BOTTOM
    low, high = _range(np.array([edge for each in spans for edge in (each.start, each.end)]))
    across = Axis(low=low, high=high, start=12, end=_WIDTH - _RIGHT)
    parts = []
    for number, span in enumerate(spans):
        top = _TOP + number * row_height
        x = float(across.place(span.start))
        width = max(float(across.place(span.end)) - x, 1.5)
        gaps = Markup().join(
            Markup(
                '<rect class="gap" x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="8"/>'
            ).format(
                x=float(across.place(first)),
                y=top + 16,
                width=max(float(across.place(last) - across.place(first)), 0.6),
            )
            for first, last in span.gaps
        )
        parts.append(
            Markup(
                '<text class="tick" x="12" y="{text:.1f}">{label}</text><rect class="{css}" '
                'x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="8"/>{gaps}'
            ).format(
                text=top + 11,
                label=_shortened(span.label),
                css=span.css,
                x=x,
                y=top + 16,
                width=width,
                gaps=gaps,
            )
        )
    parts.append(_across(across, _TOP + row_height * len(spans) + 2, x_label))
    return _chart(title, parts, height)
