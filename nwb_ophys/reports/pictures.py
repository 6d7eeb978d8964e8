"""Gray and coloured pictures as PNG within the page: contrast, size and scale bar."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import attrs
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from nwb_ophys.optional import require_package
from nwb_ophys.reports.pixel_sizes import PixelSize

_LOW, _HIGH = 1.0, 99.7
CONTRAST = f"percentiles {_LOW:g} to {_HIGH:g}"
"""Percentiles of the pixels that are shown black and white, in words."""

_STEPS = (1, 2, 5)
# Share of the width of a picture that its scale bar takes at most.
_BAR_SHARE = 0.25
_MICRO = 1e6


@attrs.frozen(kw_only=True)
class ScaleBar:
    """A scale bar.

    Attributes
    ----------
    length : float
        Length in pixels of the picture.
    label : str
    """

    length: float
    label: str


def scale_bar(width: int, pixel_size: PixelSize | None) -> ScaleBar | None:
    """Return a bar of a round length for a picture; None where the pixel size is unknown.

    Parameters
    ----------
    width : int
        Width of the picture in pixels.
    pixel_size : PixelSize or None
        The label names the axis of pixels that are not square, since pictures show them so.
    """
    if pixel_size is None:
        return None
    pixel = pixel_size.x * _MICRO
    longest = width * pixel * _BAR_SHARE
    power = math.floor(math.log10(longest))
    length = max(
        step * 10.0**p for p in (power - 1, power) for step in _STEPS if step * 10.0**p <= longest
    )
    label = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
    axis = "" if pixel_size.is_square else " (x)"
    return ScaleBar(length=length / pixel, label=f"{label}{axis}")


def limits_of(values: NDArray[Any], *, is_inverted: bool = False) -> tuple[float, float]:
    """Return the values that are shown black and white; NaN and infinity are left out.

    Parameters
    ----------
    values : numpy.ndarray
    is_inverted : bool
        Whether high values are black.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (_LOW, _HIGH))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    return (float(high), float(low)) if is_inverted else (float(low), float(high))


def stored_limits(values: NDArray[Any]) -> tuple[float, float] | None:
    """Return the levels of no and of full light of a coloured image; None where they are unknown.

    Parameters
    ----------
    values : numpy.ndarray
        Levels are known for bytes, and for real numbers between 0 and 1.
    """
    if values.dtype == np.uint8:
        return 0.0, 255.0
    is_share = values.dtype.kind == "f" and bool(((values >= 0) & (values <= 1)).all())
    return (0.0, 1.0) if is_share else None


def gray(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return values as gray levels from 0 to 255; NaN is black, and `low` may be above `high`."""
    span = (high - low) or 1.0
    with np.errstate(invalid="ignore"):
        scaled = (np.asarray(values, dtype=np.float32) - low) * (255.0 / span)
    return np.nan_to_num(np.clip(scaled, 0, 255), nan=0.0).astype(np.uint8)


def reduced(values: NDArray[Any], most_pixels: int) -> tuple[NDArray[Any], int]:
    """Return an image whose blocks of n by n pixels are averaged, and n, 1 for an image as it is.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, columns[, channels])
    most_pixels : int
        Pixels that the result has at most.
    """
    rows, columns, *channels = values.shape
    step = max(math.ceil(math.sqrt(rows * columns / most_pixels)), 1)
    if step == 1:
        return values, 1
    wide = np.pad(
        np.asarray(values, dtype=np.float32),
        ((0, -rows % step), (0, -columns % step), *((0, 0) for _ in channels)),
        mode="edge",
    )
    blocks = wide.reshape(wide.shape[0] // step, step, wide.shape[1] // step, step, *channels)
    return blocks.mean(axis=(1, 3)), step


def png_uri(levels: NDArray[np.uint8], *, is_coloured: bool = False) -> str:
    """Return levels as a PNG in a data URI.

    Parameters
    ----------
    levels : numpy.ndarray of uint8, shape (rows, columns[, 3])
    is_coloured : bool
        Whether levels go from dark blue over red to yellow, rather than from black to white.
    """
    library = require_package("PIL.Image", "report")
    image = library.fromarray(np.ascontiguousarray(levels))
    if is_coloured:
        image = image.convert("P")
        image.putpalette(_palette())
    written = io.BytesIO()
    image.save(written, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


# Colours of increasing lightness, which readers with any colour vision tell apart.
_COLOURS = (
    *((4, 4, 22), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21)),
    *((250, 193, 39), (252, 255, 164)),
)


def _palette() -> list[int]:
    """Return red, green and blue of 256 levels."""
    places = np.linspace(0, 255, len(_COLOURS))
    channels = [
        np.interp(np.arange(256), places, channel) for channel in zip(*_COLOURS, strict=True)
    ]
    return [int(value) for value in np.round(np.stack(channels, axis=1)).ravel()]


def picture(
    values: NDArray[Any],
    title: str,
    *,
    limits: tuple[float, float] | None = None,
    bar: ScaleBar | None = None,
    overlay: Markup | str = "",
    most_pixels: int = 1 << 18,
) -> Markup:
    """Return an image as SVG with a PNG in it.

    Parameters
    ----------
    values : numpy.ndarray, shape (rows, columns[, 3])
        Gray, or red, green and blue.
    title : str
        Description for readers that cannot see it.
    limits : tuple of float, optional
        Values that are shown black and white; else those of :func:`limits_of`.
    bar : ScaleBar, optional
    overlay : markupsafe.Markup
        Shapes of SVG in pixels of the image.
    most_pixels : int
        Larger images are averaged over blocks of pixels.
    """
    rows, columns = values.shape[:2]
    small, step = reduced(values, most_pixels)
    low, high = limits_of(values) if limits is None else limits
    uri = png_uri(gray(small, low, high))
    # The last block may reach beyond the image.
    size = (small.shape[1] * step, small.shape[0] * step) if step > 1 else (columns, rows)
    return Markup(
        '<svg class="picture" viewBox="0 0 {columns} {rows}" role="img" aria-label="{title}">'
        '<image href="{uri}" width="{width}" height="{height}"{smooth}/>{overlay}{bar}</svg>'
    ).format(
        columns=columns,
        rows=rows,
        title=title,
        uri=uri,
        width=size[0],
        height=size[1],
        smooth=Markup(' class="pixels"') if max(rows, columns) <= 200 else "",
        overlay=overlay,
        bar=_bar(bar, columns, rows),
    )


def _bar(bar: ScaleBar | None, columns: int, rows: int) -> Markup:
    if bar is None:
        return Markup()
    unit = max(columns, rows) / 100
    x, y = columns - bar.length - 3 * unit, rows - 4 * unit
    return Markup(
        '<g class="bar"><rect x="{x:.2f}" y="{y:.2f}" width="{length:.2f}" height="{height:.2f}"/>'
        '<text x="{middle:.2f}" y="{above:.2f}" font-size="{size:.2f}">{label}</text></g>'
    ).format(
        x=x,
        y=y,
        length=bar.length,
        height=1.2 * unit,
        middle=x + bar.length / 2,
        above=y - 1.2 * unit,
        size=4.2 * unit,
        label=bar.label,
    )
