"""Sizes of pixels, as far as a file states them with a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from nwb_ophys.reports.stored_file import StoredFile

_FACTORS = {
    **dict.fromkeys(("meters", "metres", "meter", "metre", "m"), 1.0),
    **dict.fromkeys(("millimeters", "millimetres", "millimeter", "mm"), 1e-3),
    **dict.fromkeys(("micrometers", "micrometres", "micrometer", "microns", "micron"), 1e-6),
    **dict.fromkeys(("um", "µm", "μm"), 1e-6),
    **dict.fromkeys(("nanometers", "nanometres", "nm"), 1e-9),
}
# Difference of width and height of a pixel that rounding explains, as a share.
_SQUARE = 0.01


@attrs.frozen(kw_only=True)
class PixelSize:
    """Size of a pixel.

    Attributes
    ----------
    x, y : float
        Width and height in metres.
    origin : str
        Field of the file that states them.
    """

    x: float
    y: float
    origin: str

    @property
    def is_square(self) -> bool:
        """Return whether width and height are the same but for rounding."""
        return abs(self.x - self.y) <= _SQUARE * self.x


def metres(value: float, unit: str) -> float | None:
    """Return a length in metres; None for an unknown unit, or a length that is not above 0."""
    factor = _FACTORS.get(unit.strip().lower())
    found = None if factor is None else float(value) * factor
    return found if found is not None and math.isfinite(found) and found > 0 else None


def pixel_size_of(
    file: StoredFile, series: str | None, plane: str | None, shape: Sequence[int]
) -> PixelSize | None:
    """Return the size of the pixels of a series or plane; None where the file does not state it.

    Parameters
    ----------
    file : StoredFile
    series, plane : str or None
        Paths of the series and of its imaging plane.
    shape : sequence of int
        (frames, columns, rows[, planes]) of the series; may be empty.
    """
    spacing = None if plane is None else file.member(plane, "grid_spacing")
    if spacing is not None:
        unit = str(file.attribute(spacing, "unit") or "meters")
        found = _pair(file.value(spacing), (1, 1), unit, "grid_spacing")
        if found is not None:
            return found
    field = None if series is None else file.member(series, "field_of_view")
    if field is not None and len(shape) >= 3:
        unit = str(file.attribute(field, "unit") or "meters")
        return _pair(file.value(field), shape[1:3], unit, "field_of_view")
    return None


def _pair(value: Any, divisors: Sequence[int], unit: str, origin: str) -> PixelSize | None:
    lengths = np.ravel(np.asarray(value, dtype=np.float64))
    if len(lengths) < 2:
        return None
    x, y = (metres(length / n, unit) for length, n in zip(lengths[:2], divisors, strict=True))
    return None if x is None or y is None else PixelSize(x=x, y=y, origin=origin)
