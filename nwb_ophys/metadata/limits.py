"""Values that numbers of metadata can have, from sources and from users."""

from __future__ import annotations

from collections.abc import Mapping
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

LENGTH = Limits(1e-10, 0.01, "m")
FIELD = Limits(1e-9, 10.0, "m")
ORIGIN = Limits(-10.0, 10.0, "m")
