"""Read the image description that ImageJ writes: lines of ``key=value``.

ImageJ states a calibration of the values by the number of a function (``cf``) and its coefficients
(``c0``, ``c1``, ...). It stores signed 16-bit images as unsigned numbers with the straight line
``c0=-32768``, ``c1=1``. The interval of frames is ``finterval``, in the unit ``tunit``, which is
left out for seconds; ``fps`` is only the speed at which ImageJ shows the frames.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nwb_ophys.extractors.calibration import (
    Calibration,
    checked_calibration,
    common_calibration,
)
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.timing import usable_rate

IMAGEJ_MARK = "ImageJ="
_STRAIGHT_LINE, _NONE = 0, 20
# Names of ImageJ's functions, by their numbers.
_FUNCTIONS = {
    1: "polynomial of degree 2",
    2: "polynomial of degree 3",
    3: "polynomial of degree 4",
    4: "exponential",
    5: "power",
    6: "logarithm",
    7: "Rodbard",
    8: "gamma variate",
    9: "logarithm",
    10: "Rodbard",
    21: "uncalibrated optical density",
}
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "usec", "\u00b5s", "\u03bcs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
}
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
# ImageJ's unit of values that have no unit.
_GRAY = "gray value"


def imagej_values(description: str) -> dict[str, str]:
    """Return the values of a description by their keys, in lower case."""
    pairs = (line.split("=", 1) for line in description.splitlines() if "=" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}


def imagej_unit(text: str) -> str:
    """Return a unit without quotes and escapes, as ImageJ writes the micro sign."""
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    # Programs write the micro sign with bytes of several encodings.
    return plain.replace("\u00c2\u00b5", "\u00b5").strip('" ')


def imagej_rate(values: Mapping[str, str]) -> float | None:
    """Return the rate of frames in Hz that follows from the interval of a description.

    Parameters
    ----------
    values : mapping of str to str
        Values of the description.

    Returns
    -------
    float or None
        None where no possible interval is stated, or its unit is unknown.
    """
    interval = _number(values.get("finterval"))
    seconds = _SECONDS.get(imagej_unit(values.get("tunit", "sec")).lower())
    if interval is None or seconds is None or interval <= 0:
        return None
    return usable_rate(1 / (interval * seconds))


def calibration_of_tiffs(tables: Iterable[PageTable], dtype: np.dtype | None) -> Calibration | None:
    """Return the calibration that the descriptions of all files of a movie state, if any.

    Parameters
    ----------
    tables : iterable of PageTable
        The files; of each, the description of the first page is read if ImageJ wrote it.
    dtype : numpy.dtype or None
        Type of a pixel.
    """
    stated: dict[Path, Calibration | None] = {}
    for table in tables:
        if int(table.description_sizes[0]) < len(IMAGEJ_MARK):
            stated[table.path] = None
            continue
        with table.path.open("rb", buffering=0) as file:
            file.seek(int(table.description_offsets[0]))
            is_imagej = file.read(len(IMAGEJ_MARK)) == IMAGEJ_MARK.encode()
        values = imagej_values(table.read_description(0)) if is_imagej else {}
        stated[table.path] = imagej_calibration(table.path, values, dtype)
    return common_calibration(stated)


def imagej_calibration(
    path: Path, values: Mapping[str, str], dtype: np.dtype | None
) -> Calibration | None:
    """Return the linear calibration of the values of an ImageJ file.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    values : mapping of str to str
        Values of its description.
    dtype : numpy.dtype or None
        Type of a pixel; ImageJ calibrates integers only.

    Returns
    -------
    Calibration or None
        None where no calibration is stated; also, with a warning, where it is not linear.
    """
    number = _number(values.get("cf"))
    coefficients = [_number(values.get(f"c{index}")) for index in range(2)]
    if number is None and None in coefficients:
        return None
    function = _STRAIGHT_LINE if number is None else int(number)
    if function == _NONE:
        return None
    where = f"'{path}'"
    if function != _STRAIGHT_LINE:
        name = _FUNCTIONS.get(function, "a function")
        _warn(
            f"{where} states a calibration of its values that is not linear, which NWB cannot "
            f"hold: {name} (cf={function})"
        )
        return None
    if None in coefficients:
        _warn(f"{where} states a linear calibration of its values (cf=0) without both c0 and c1")
        return None
    if dtype is not None and dtype.kind not in "iu" and coefficients != [0.0, 1.0]:
        _warn(
            f"{where} states a calibration of its values (c0={coefficients[0]:g}, "
            f"c1={coefficients[1]:g}), but its pixels are {dtype}, which ImageJ does not calibrate"
        )
        return None
    unit = values.get("vunit", "").strip('"').strip()
    shift, factor = coefficients
    return checked_calibration(where, factor, shift, None if unit.lower() == _GRAY else unit)


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _warn(what: str) -> None:
    warnings.warn(f"{what}; the stored numbers are written without it.", UserWarning, stacklevel=2)
