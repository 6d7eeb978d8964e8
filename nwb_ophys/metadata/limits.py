"""Values that numbers of metadata can have, from sources and from users."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs


@attrs.frozen
class Limits:
    """The values that a field can have.

    Attributes
    ----------
    least, most : float
        Smallest and largest value.
    unit : str
        Unit, for messages.
    is_whole : bool
        Whether only integers are possible.
    has_zero : bool
        Whether 0 is possible too. From a program it is the mark of an unknown value all the same.
    """

    least: float
    most: float
    unit: str
    is_whole: bool = False
    has_zero: bool = False

    def has(self, value: Any) -> bool:
        """Return whether a source can state a value."""
        is_number = hasattr(value, "__float__") and not isinstance(value, bool)
        is_within = is_number and self.least <= float(value) <= self.most  # False for NaN
        return is_within and (not self.is_whole or float(value).is_integer())

    def schema(self) -> dict[str, Any]:
        """Return the keywords of a JSON schema; NaN, the mark of an unknown value, agrees."""
        least = 0.0 if self.has_zero else self.least
        return {"minimum": least, "maximum": self.most, "unit": self.unit}


WAVELENGTH = Limits(100.0, 20_000.0, "nm")
_RATE = Limits(1e-6, 1e7, "Hz")
_LIGHT = Limits(1e-12, 1e6, "mW", has_zero=True)
LIMITS: Mapping[str, Limits] = {
    "excitation_lambda": WAVELENGTH,
    "emission_lambda": WAVELENGTH,
    "imaging_rate": _RATE,
    "scan_line_rate": _RATE,
    "pmt_gain": Limits(1e-9, 1e9, "as a gain", has_zero=True),
    "exposure_time": Limits(1e-9, 86_400.0, "s"),
    "binning": Limits(1, 1024, "pixels", is_whole=True),
    "power": _LIGHT,
    "intensity": attrs.evolve(_LIGHT, unit="mW/mm^2"),
}
"""Values of single numbers by field."""

_LENGTH = Limits(1e-10, 0.01, "m")
_FIELD = Limits(1e-9, 10.0, "m")
_ORIGIN = Limits(-10.0, 10.0, "m")
VECTORS: Mapping[str, Limits] = {
    "grid_spacing": _LENGTH,
    "origin_coords": _ORIGIN,
    "field_of_view": _FIELD,
}
"""Values of each number of vectors in metres by field."""

_MICRO = 1e-6
_METRES = {
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1.0),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1e-3),
    **dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns"), _MICRO),
    **dict.fromkeys(("micrometer", "micrometers", "micrometre", "micrometres"), _MICRO),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre", "nanometres"), 1e-9),
}
"""Metres of a unit by its name."""

FIRST_YEAR, LAST_YEAR = 1601, 2199
"""Years of dates; programs write earlier and later ones for a clock that was not set."""


def limits_of_vector(name: str, unit: str | None) -> Limits:
    """Return the values that the numbers of a vector can have in a unit.

    Parameters
    ----------
    name : str
        A field of `VECTORS`.
    unit : str or None
        Metres by default; in a unit that is not known, any number is possible.
    """
    limits = VECTORS[name]
    if unit is None or unit == "meters":
        return limits
    metres = _METRES.get(unit.strip().casefold())
    if metres is None:
        least = -math.inf if limits.least < 0 else 1e-300
        return Limits(least, 1e300, unit)
    return Limits(limits.least / metres, limits.most / metres, unit)


def in_micrometres(name: str, values: list[float]) -> str:
    """Return the values in metres if numbers that cannot be metres may be micrometres, else ''."""
    metres = [value * _MICRO for value in values]
    is_possible = all(map(VECTORS[name].has, metres))
    return f"[{', '.join(f'{value:g}' for value in metres)}]" if is_possible else ""


def faults_of_vectors(entry: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield a sentence for each vector of a description with an impossible number.

    Parameters
    ----------
    entry : Mapping
        Description of a plane or series.
    path : str
        Path of the description in the metadata, for messages.
    """
    for name in VECTORS:
        given, unit = entry.get(name), entry.get(f"{name}_unit")
        try:
            values = [float(value) for value in given]  # type: ignore[union-attr]
        except (TypeError, ValueError):
            continue  # absent or of a wrong type; the check of types reports it
        limits = limits_of_vector(name, unit if isinstance(unit, str) else None)
        if not all(map(math.isfinite, values)) or (limits.least > 0 >= min(values, default=1.0)):
            continue  # so does the schema
        if all(map(limits.has, values)):
            continue
        micro = in_micrometres(name, values) if limits.unit == "m" else ""
        other = f', or its unit as "{name}_unit"' if name != "field_of_view" else ""
        hint = f" If it is in micrometres, give {micro}{other}." if micro else ""
        yield (
            f'{path}["{name}"] is {[float(f"{value:g}") for value in values]} in '
            f"{'metres' if limits.unit == 'm' else limits.unit}; each number must be from "
            f"{limits.least:g} to {limits.most:g}.{hint}"
        )
