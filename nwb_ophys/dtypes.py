"""The dtypes in which values are stored: those that NWB's schema and its validator know."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.errors import SourceError

PLAIN_CLASSES = frozenset((str, int, float, bool, type(None)))
"""Classes of most single values, which are looked up faster than any other kind is recognised."""

_KINDS = {
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "T": "text",
    "O": "Python objects",
    "V": "records of several fields",
    "M": "dates",
    "m": "durations",
}
_REMEDIES = {
    "c": "store the magnitude, or the real and the imaginary part, as numbers",
    "f": "convert them to float64",
}


def widened(dtype: Any) -> np.dtype[Any]:
    """Return the dtype in which values are stored without loss.

    Parameters
    ----------
    dtype : numpy dtype
        Truth values become uint8 and float16 becomes float32, since NWB's numbers include neither;
        other numbers keep their type and byte order.

    Returns
    -------
    numpy.dtype
        A dtype that cannot be stored is returned as it is.
    """
    given = np.dtype(dtype)
    if given.kind == "b":
        return np.dtype(np.uint8)
    if given.kind == "f" and given.itemsize == 2:
        return np.dtype(np.float32)
    return given


def without_mask(values: Any, what: str) -> NDArray[Any]:
    """Return values as a plain array.

    Parameters
    ----------
    values : array-like
    what : str
        Source of the values, for the message.

    Raises
    ------
    SourceError
        When some are masked; a plain array would show what the mask hides.
    """
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise SourceError(masked(what))
    return np.asarray(values)


def masked(what: str) -> str:
    """Return the message about an array some of whose values are masked."""
    return (
        f"{what} has masked values, which NWB cannot store; give numbers for them first, such as "
        "array.filled(0), or array.filled(numpy.nan) for real numbers."
    )


def is_number(dtype: Any) -> bool:
    """Return whether values of a dtype can be stored as numbers, by :func:`widened`."""
    kind = widened(dtype)
    return kind.kind in "iuf" and kind.itemsize <= 8


def stored_dtype(dtype: Any, what: str) -> np.dtype[Any]:
    """Return the dtype in which values are stored, as :func:`widened`.

    Parameters
    ----------
    dtype : numpy dtype
    what : str
        Source of the values, for the message: the file, dataset or argument.

    Raises
    ------
    SourceError
        When NWB has no number for the values, such as complex numbers.
    """
    if is_number(dtype):
        return widened(dtype)
    raise SourceError(not_storable(dtype, what))


def not_storable(dtype: Any, what: str) -> str:
    """Return why values of a dtype cannot be stored, with the next step.

    Parameters
    ----------
    dtype : numpy dtype
    what : str
        Source of the values.
    """
    given = np.dtype(dtype)
    kind = f" ({_KINDS[given.kind]})" if given.kind in _KINDS else ""
    remedy = _REMEDIES.get(given.kind, "convert them to numbers")
    return (
        f"{what} has values of type {given}{kind}, which NWB cannot store; it stores integers of 8 "
        f"to 64 bits, float32 and float64. To convert the data, {remedy} first."
    )


def as_stored(values: ArrayLike, what: str) -> NDArray[Any]:
    """Return an array in memory in the dtype in which it is stored.

    Parameters
    ----------
    values : array-like
        Floats longer than float64 become float64 where that changes no value.
    what : str
        Source of the values, for the message.

    Raises
    ------
    SourceError
        When the values cannot be stored without loss.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        shorter = array.astype(np.float64)
        if np.array_equal(shorter.astype(array.dtype), array, equal_nan=True):
            return shorter
    return array.astype(stored_dtype(array.dtype, what), copy=False)


def as_seconds(values: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return times as float64, in which NWB stores timestamps.

    Parameters
    ----------
    values : array-like of numbers
        In seconds.
    what : str
        Name of the times, for the message.

    Raises
    ------
    SourceError
        When they are not real numbers, or integers that float64 cannot hold, or some are masked.
    """
    array = without_mask(values, f"{what}: the array")
    if array.dtype.kind == "O":
        array = np.asarray(array.tolist())
    seconds = array.astype(np.float64) if array.dtype.kind in "iuf" else None
    if seconds is None or (
        array.dtype.kind in "iu" and not np.array_equal(seconds.astype(array.dtype), array)
    ):
        raise SourceError(
            f"{what} are of type {array.dtype}, from which float64, NWB's type of timestamps, "
            "cannot be made without loss; give real numbers, in seconds from the start of the "
            "session."
        )
    return seconds
