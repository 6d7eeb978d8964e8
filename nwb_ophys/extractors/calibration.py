"""Linear calibrations of the numbers that a file holds, as the file states them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np


@attrs.frozen(kw_only=True)
class Calibration:
    """Conversion of stored numbers to the quantity they mean: number x conversion + offset.

    Extractors have it as the attribute ``calibration``, from which the metadata of the series
    follows. The samples of an extractor are the stored numbers.

    Attributes
    ----------
    conversion, offset : float
    unit : str or None
        Unit of the quantity; None if the file states none.
    """

    conversion: float = 1.0
    offset: float = 0.0
    unit: str | None = None

    @property
    def changes_numbers(self) -> bool:
        """True unless the stored numbers are the quantity itself."""
        return (self.conversion, self.offset) != (1.0, 0.0)

    def __str__(self) -> str:
        words = f"x {self.conversion:g} {'-' if self.offset < 0 else '+'} {abs(self.offset):g}"
        return f"{words} {self.unit}" if self.unit else words


def checked_calibration(
    where: str, conversion: float | None, offset: float | None, unit: str | None = None
) -> Calibration | None:
    """Return a stated calibration; None, with a warning, where its numbers cannot be right.

    Parameters
    ----------
    where : str
        File, and place in it, that states the calibration, for messages.
    conversion, offset : float or None
        Stated factor and offset; None where one is not stated.
    unit : str, optional
        Stated unit.

    Returns
    -------
    Calibration or None
        None also where nothing is stated.
    """
    factor = 1.0 if conversion is None else float(conversion)
    shift = 0.0 if offset is None else float(offset)
    if not (math.isfinite(factor) and math.isfinite(shift)) or factor == 0:
        warnings.warn(
            f"{where} states a calibration of its values with the factor {factor:g} and the "
            f"offset {shift:g}, which cannot be right; the stored numbers are written without it.",
            UserWarning,
            stacklevel=2,
        )
        return None
    if conversion is None and offset is None and not unit:
        return None
    return Calibration(conversion=factor, offset=shift, unit=unit or None)


def common_calibration(stated: Mapping[Path, Calibration | None]) -> Calibration | None:
    """Return the calibration that all files of a movie state; None, with a warning, if they differ.

    Parameters
    ----------
    stated : mapping of pathlib.Path to Calibration or None
        By file.
    """
    found = list(stated.items())
    other = next((path for path, each in found if each != found[0][1]), None)
    if other is None:
        return found[0][1] if found else None
    first = found[0][0]
    warnings.warn(
        f"'{first}' and '{other}' state different calibrations of their values "
        f"({stated[first] or 'none'} and {stated[other] or 'none'}), so that one factor cannot "
        "hold for all; the stored numbers are written without a calibration. To keep them, convert "
        "the files as series of their own.",
        UserWarning,
        stacklevel=2,
    )
    return None


# Names of the factor and of the offset, in the conventions of CF and netCDF, NWB, and NeXus.
_CONVENTIONS = (
    ("scale_factor", "add_offset"),
    ("conversion", "offset"),
    ("scaling_factor", "offset"),
    ("slope", "intercept"),
)
_UNITS = ("units", "unit")


def calibration_of_attributes(
    attributes: Mapping[str, Any], where: str, channel: int = 0, num_channels: int = 1
) -> Calibration | None:
    """Return the calibration that the attributes of an array state, by any common convention.

    Parameters
    ----------
    attributes : mapping of str to object
        Attributes of an HDF5 dataset, or of a Zarr array.
    where : str
        Name of the array and its file, for messages.
    channel, num_channels : int
        Index of the channel, and number of channels, for attributes with a number per channel.

    Returns
    -------
    Calibration or None
        ``scale_factor`` and ``add_offset`` (CF), ``conversion`` and ``offset`` (NWB), and so on.
    """
    unit = next((text for name in _UNITS if (text := _text(attributes.get(name)))), None)
    for names in _CONVENTIONS:
        stated = [attributes.get(name) for name in names]
        # An offset alone may be any other offset, unless its name says what it is for.
        if stated[0] is None and (stated[1] is None or names[1] == "offset"):
            continue
        factor, shift = (_number(each, channel, num_channels) for each in stated)
        numbers = zip((factor, shift), stated, strict=True)
        if any(number is None and each is not None for number, each in numbers):
            warnings.warn(
                f"{where} has attributes of a calibration ({' and '.join(names)}) that are not "
                "one number each; the stored numbers are written without it.",
                UserWarning,
                stacklevel=2,
            )
            return None
        return checked_calibration(where, factor, shift, unit)
    return checked_calibration(where, None, None, unit)


def _number(value: Any, channel: int, num_channels: int) -> float | None:
    """Return an attribute as a number, of the channel where it has several; None if it is none."""
    try:
        found = np.asarray([] if value is None else value, dtype=float).ravel()
    except (TypeError, ValueError):
        return None
    if found.size == num_channels:
        return float(found[channel])
    return float(found[0]) if found.size == 1 else None


def _text(value: Any) -> str | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.strip() or None if isinstance(value, str) else None
