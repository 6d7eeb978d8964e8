"""Numbers that a source can state: impossible ones are left out of its metadata.

Programs write 0, -1 or NaN for values that they do not know, and damaged headers have any number.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from nwb_ophys.metadata.limits import (
    LIMITS,
    VECTORS,
    WAVELENGTH,
    Limits,
    in_micrometres,
    limits_of_vector,
)

_SERIES = ("TwoPhotonSeries", "OnePhotonSeries")


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
    for name, limits in LIMITS.items():
        value = found.get(name)
        if value is not None and not limits.has(value):
            found[name] = None
            _warn(source, name, value, limits)
    for name in VECTORS:
        if found.get(name) is not None:
            _clean_vector(found, name, source)
    channels = found.get("optical_channel")
    if isinstance(channels, list):
        found["optical_channel"] = [_cleaned(channel, source) for channel in channels]
    return found


def _clean_vector(found: dict[str, Any], name: str, source: str) -> None:
    """Leave out a vector with an impossible number; of sizes, x and y remain without z."""
    values = list(found[name])
    limits = limits_of_vector(name, found.get(f"{name}_unit"))
    wrong = [value for value in values if not limits.has(value)]
    if not wrong:
        return
    is_metres = limits.unit == "m" and isinstance(wrong[0], (int, float))
    _warn(source, name, wrong[0], limits, in_micrometres(name, wrong[:1]) if is_metres else "")
    rest = values[:2] if name != "origin_coords" and all(map(limits.has, values[:2])) else None
    found[name] = rest
    if rest is None and name != "field_of_view":
        found[f"{name}_unit"] = None
        if name == "origin_coords":
            found["reference_frame"] = None


def _warn(source: str, name: str, value: Any, limits: Limits, micrometres: str = "") -> None:
    is_marker = isinstance(value, (int, float)) and (value == 0 or math.isnan(value))
    if not is_marker:
        shown = f"{value:g}" if isinstance(value, (int, float)) else repr(value)
        hint = f" (in micrometres it would be {micrometres} m)" if micrometres else ""
        warnings.warn(
            f"'{source}' states {shown} {limits.unit} for {name}, which is not possible{hint}; it "
            "is left out. Give the right value in the metadata.",
            UserWarning,
            stacklevel=1,
        )


def possible_wavelength(value: Any) -> float | None:
    """Return a wavelength of light in nm if an instrument can have it; else None."""
    return float(value) if WAVELENGTH.has(value) else None


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
