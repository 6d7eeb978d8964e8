"""Size of a pixel in TIFF files of ImageJ: the tags of the resolution, and a unit in the text.

ImageJ writes the number of pixels per unit into the tags of the resolution, and the unit and the
distance of planes as ``unit`` and ``spacing`` into the image description. Without that unit the
tags are those of a printer, which say nothing about a microscope.
"""

from __future__ import annotations

from pathlib import Path

from nwb_ophys.filetypes.lengths import metres_per_unit
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.imagej import IMAGEJ_MARK, imagej_unit, imagej_values
from nwb_ophys.metadata import possible_number
from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import opened_by_ranges

_X_RESOLUTION, _Y_RESOLUTION = 282, 283


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
    spacing = possible_number(values.get("spacing"))
    sizes = [_size(*pair) for pair in resolutions] + [spacing]
    units = {axis: imagej_unit(values.get(f"{axis}unit", values.get("unit", ""))) for axis in "xyz"}
    stated = {units[axis] for axis, size in zip("xyz", sizes, strict=True) if size is not None}
    factors = {unit: metres_per_unit(unit, f"the pixels of '{path}'") for unit in sorted(stated)}
    x, y, z = (
        None if size is None or (factor := factors[unit]) is None else size * factor
        for size, unit in zip(sizes, units.values(), strict=True)
    )
    return x, y, z


def _size(numerator: int, denominator: int) -> float | None:
    """Return the size of a pixel in units, from the pixels per unit as a fraction."""
    return denominator / numerator if numerator > 0 and denominator > 0 else None
