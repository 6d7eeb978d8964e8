"""Units of lengths by the names that programs and users give them."""

from __future__ import annotations

import warnings

from nwb_ophys.errors import shown

_METRES = {
    1.0: ("m", "meter", "meters", "metre", "metres"),
    1e-2: ("cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    1e-3: ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    1e-6: (
        *("um", "\u00b5m", "\u03bcm", "\u00b5", "\u03bc", "micron", "microns"),
        *("micrometer", "micrometers", "micrometre", "micrometres"),
    ),
    1e-9: ("nm", "nanometer", "nanometers", "nanometre", "nanometres"),
    0.0254: ("in", "inch", "inches"),
}
_FACTORS = {name: factor for factor, names in _METRES.items() for name in names}
# Users write them as they like; of two letters, Mm and mm are not the same.
_LONGEST_OF_CASE = 2
_RELATIVE = ("", "pixel", "pixels", "px", "none")


def known_metres(unit: str) -> float | None:
    """Return the metres in a unit; None if it is unknown or no length.

    Parameters
    ----------
    unit : str
    """
    text = unit.strip()
    factor = _FACTORS.get(text)
    if factor is None and len(text) > _LONGEST_OF_CASE:
        factor = _FACTORS.get(text.lower())
    return factor


def metres_per_unit(unit: str, what: str) -> float | None:
    """Return the metres in a unit; None for pixels, and with a warning for an unknown unit.

    Parameters
    ----------
    unit : str
    what : str
        File and value in the unit, for the message, such as ``the pixel size in 'a.stk'``.
    """
    factor = known_metres(unit)
    if factor is None and unit.strip().lower() not in _RELATIVE:
        warnings.warn(
            f"The unit of {what} is {shown(unit.strip())}, which is not known; the value is "
            "left out. Give it in the metadata: grid_spacing of the imaging plane.",
            UserWarning,
            stacklevel=3,
        )
    return factor
