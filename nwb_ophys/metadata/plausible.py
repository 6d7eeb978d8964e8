"""Numbers that a source can state: impossible ones are left out of its metadata.

Programs write 0, -1 or NaN for values that they do not know, and damaged headers have any number.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import attrs

_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")


@attrs.frozen
class _Range:
    """The values that a field can have."""

    least: float
    most: float
    unit: str
    is_whole: bool = False

    def has(self, value: Any) -> bool:
        is_number = hasattr(value, "__float__") and not isinstance(value, bool)
        is_within = is_number and self.least <= float(value) <= self.most  # False for NaN
        return is_within and (not self.is_whole or float(value).is_integer())


_WAVELENGTH = _Range(100.0, 20_000.0, "nm")
_LENGTH = _Range(1e-10, 0.01, "m")
_RATE = _Range(1e-6, 1e7, "Hz")
_LIGHT = _Range(1e-12, 1e6, "mW")
_GAIN = _Range(1e-9, 1e9, "as a gain")
_RANGES: Mapping[str, _Range] = {
    "excitation_lambda": _WAVELENGTH,
    "emission_lambda": _WAVELENGTH,
    "imaging_rate": _RATE,
    "scan_line_rate": _RATE,
    "pmt_gain": _GAIN,
    "exposure_time": _Range(1e-9, 86_400.0, "s"),
    "binning": _Range(1, 1024, "pixels", is_whole=True),
    "power": _LIGHT,
    "intensity": _LIGHT,
}
_ORIGIN = _Range(-10.0, 10.0, "m")


def without_impossible(stated: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the metadata that a source states, without numbers that no instrument has.

    Parameters
    ----------
    stated : Mapping
        Description of a source, with lists of planes and series in ``Ophys``.
    source : str
        Name of the source, for messages.

    Returns
    -------
    dict
        A copy, in which None replaces such numbers.

    Warns
    -----
    UserWarning
        For each number that is left out, except 0 and NaN, with which programs mark unknown values.
    """
    ophys = dict(stated.get("Ophys") or {})
    for kind in ("ImagingPlane", *_SERIES):
        if isinstance(ophys.get(kind), list):
            ophys[kind] = [_cleaned(entry, source) for entry in ophys[kind]]
    return {**stated, "Ophys": ophys} if "Ophys" in stated else dict(stated)


def _cleaned(entry: Any, source: str) -> Any:
    """Return an entry of a list of metadata without impossible numbers."""
    if not isinstance(entry, Mapping):
        return entry
    found = dict(entry)
    for name, limits in _RANGES.items():
        value = found.get(name)
        if value is not None and not limits.has(value):
            found[name] = None
            _warn(source, name, value, limits)
    for name, limits in (("grid_spacing", _LENGTH), ("origin_coords", _ORIGIN)):
        if found.get(name) is not None:
            _clean_vector(found, name, limits, source)
    channels = found.get("optical_channel")
    if isinstance(channels, list):
        found["optical_channel"] = [_cleaned(channel, source) for channel in channels]
    return found


def _clean_vector(found: dict[str, Any], name: str, limits: _Range, source: str) -> None:
    """Leave out a vector with an impossible number; of pixel sizes, x and y remain without z."""
    values = list(found[name])
    unit = found.get(f"{name}_unit") or "meters"
    if unit != "meters":  # an NWB file may have any unit
        limits = _Range(-math.inf if limits.least < 0 else 1e-300, 1e300, unit)
    wrong = [value for value in values if not limits.has(value)]
    if not wrong:
        return
    _warn(source, name, wrong[0], limits)
    rest = values[:2] if name == "grid_spacing" and all(map(limits.has, values[:2])) else None
    found[name] = rest
    if rest is None:
        found[f"{name}_unit"] = None
        if name == "origin_coords":
            found["reference_frame"] = None


def _warn(source: str, name: str, value: Any, limits: _Range) -> None:
    is_marker = isinstance(value, (int, float)) and (value == 0 or math.isnan(value))
    if not is_marker:
        shown = f"{value:g}" if isinstance(value, (int, float)) else repr(value)
        warnings.warn(
            f"'{source}' states {shown} {limits.unit} for {name}, which is not possible; it is "
            "left out. Give the right value in the metadata.",
            UserWarning,
            stacklevel=1,
        )


def possible_wavelength(value: Any) -> float | None:
    """Return a wavelength of light in nm if an instrument can have it; else None."""
    return float(value) if _WAVELENGTH.has(value) else None


def possible_number(value: Any, least: float = 0.0, most: float = 1e15) -> float | None:
    """Return a number of a header if it is above a limit; else None.

    Parameters
    ----------
    value : object
        A number, its text, or None.
    least : float
        The number must be larger.
    most : float
        The number must not be larger.
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if least < number <= most else None
