"""Unit of the values of a series, and the conversion of the stored values to it."""

from __future__ import annotations

import math

import attrs

from nwb_ophys.reports.stored_file import StoredFile


@attrs.frozen(kw_only=True)
class Scaling:
    """Unit of a series; a stored value times the conversion plus the offset is in it.

    Attributes
    ----------
    unit : str
        Empty if the file states none.
    conversion, offset : float
    """

    unit: str = ""
    conversion: float = 1.0
    offset: float = 0.0

    @property
    def is_inverted(self) -> bool:
        """Return whether the highest stored values are the lowest in the unit."""
        return self.conversion < 0

    @property
    def in_words(self) -> str:
        """Conversion of the stored values in words; empty if they are in the unit."""
        if (self.conversion, self.offset) == (1.0, 0.0):
            return ""
        offset = f" {'-' if self.offset < 0 else '+'} {abs(self.offset):g}" if self.offset else ""
        unit = f" {self.unit}" if self.unit else ""
        return f"stored value × {self.conversion:g}{offset}{unit}; stored values are shown"


def scaling_of(file: StoredFile, data: str | None) -> Scaling:
    """Return the scaling of a series.

    Parameters
    ----------
    file : StoredFile
    data : str or None
        Path of its dataset.
    """
    if data is None:
        return Scaling()
    found = {"conversion": 1.0, "offset": 0.0}
    for name in found:
        value = file.attribute(data, name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[name] = float(value)
    return Scaling(unit=str(file.attribute(data, "unit") or ""), **found)
