"""Size of a pixel in TIFF files of ImageJ: the tags of the resolution, and a unit in the text.

ImageJ writes the number of pixels per unit into the tags of the resolution, and the unit and the
distance of planes as ``unit`` and ``spacing`` into the image description. Without that unit the
tags are those of a printer, which say nothing about a microscope.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.imagej import IMAGEJ_MARK, imagej_unit, imagej_values
from nwb_ophys.metadata import possible_number
from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import opened_by_ranges

_X_RESOLUTION, _Y_RESOLUTION = 282, 283
_METRES = {
    "m": 1.0,
    "meter": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "um": 1e-6,
    "\u00b5m": 1e-6,
    "\u03bcm": 1e-6,
    "micron": 1e-6,
    "microns": 1e-6,
    "micrometer": 1e-6,
    "nm": 1e-9,
    "inch": 0.0254,
}


def imagej_pixel_size(path: Path) -> tuple[float | None, float | None, float | None]:
    """Return the distances of pixels along x, y and z in metres, as ImageJ states them.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF file of any program.

    Returns
    -------
    tuple of (float or None)
        None where the file does not state a length in a known unit.
    """
    heading = read_tiff_heading(path)
    if heading is not None and not heading.description.startswith(IMAGEJ_MARK):
        return None, None, None
    tifffile = require_package("tifffile", "tiff")
    with tifffile.TiffFile(opened_by_ranges(path)) as tiff:
        page = tiff.pages.first
        if not page.description.startswith(IMAGEJ_MARK):
            return None, None, None
        values = imagej_values(page.description)
        resolutions = [
            page.tags[tag].value if tag in page.tags else (0, 0)
            for tag in (_X_RESOLUTION, _Y_RESOLUTION)
        ]
    x, y = (_length(values, axis, pair) for axis, pair in zip("xy", resolutions, strict=True))
    spacing = possible_number(values.get("spacing"))
    unit = _factor(values, "z")
    return x, y, None if spacing is None or unit is None else spacing * unit


def _factor(values: Mapping[str, str], axis: str) -> float | None:
    """Return the unit of an axis in metres; None if it is unknown, such as ``pixel``."""
    text = imagej_unit(values.get(f"{axis}unit", values.get("unit", "")))
    return _METRES.get(text, _METRES.get(text.lower()) if len(text) > 2 else None)


def _length(values: Mapping[str, str], axis: str, pair: tuple[int, int]) -> float | None:
    """Return the size of a pixel in metres, from the pixels per unit as a fraction."""
    numerator, denominator = pair
    unit = _factor(values, axis)
    if unit is None or numerator <= 0 or denominator <= 0:
        return None
    return denominator / numerator * unit
