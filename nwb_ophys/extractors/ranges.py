"""Check the arguments that readers share: ranges of samples, rates, indices and counts."""

from __future__ import annotations

import math
import numbers
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.errors import SourceArgumentError, SourceError
from nwb_ophys.timing import HIGHEST_RATE, LOWEST_RATE, usable_rate

# Relative difference of rates that rounding explains.
_SAME_RATE = 1e-3


def check_range(start: int | None, end: int | None, num_samples: int) -> tuple[int, int]:
    """Return the first sample of a range and the one after its last.

    Parameters
    ----------
    start, end : int or None
        The requested range; all samples by default.
    num_samples : int
        Number of samples of the recording.

    Raises
    ------
    SourceArgumentError
        When the range lies outside the recording.
    """
    first = 0 if start is None else int(start)
    last = num_samples if end is None else int(end)
    if not 0 <= first <= last <= num_samples:
        raise SourceArgumentError(
            f"Samples {start} to {end} are out of range; this recording has the samples 0 to "
            f"{num_samples}, and the start must not be after the end."
        )
    return first, last


def check_rate(value: Any) -> None:
    """Raise unless a value is a sampling rate.

    Parameters
    ----------
    value : object
        The argument ``sampling_frequency``.

    Raises
    ------
    SourceArgumentError
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise SourceArgumentError(
            f"sampling_frequency is {value!r}; it must be a finite number above 0, in samples per "
            "second."
        )
    if usable_rate(value) is None:
        raise SourceArgumentError(
            f"sampling_frequency is {value!r}; it must be from {LOWEST_RATE:g} to "
            f"{HIGHEST_RATE:g}, in samples per second."
        )


def check_stated_rate(path: Path, rate: float, source: str) -> float:
    """Return the rate that a header states, or raise if no microscope can have it.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    rate : float
        Samples per second in Hz.
    source : str
        Name of the value in the header from which the rate follows.

    Raises
    ------
    SourceError
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise SourceError(
            f"'{path}': {source} gives a sampling rate of {rate:g} Hz; a rate must be from "
            f"{LOWEST_RATE:g} to {HIGHEST_RATE:g} Hz. Correct {source} in a copy of the file."
        )
    return float(rate)


def warn_of_stated_rate(path: Path, given: float | None, stated: float | None, source: str) -> None:
    """Warn if the rate that the user gives replaces another one that the file states.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the warning.
    given, stated : float or None
        Samples per second in Hz.
    source : str
        Name of the value in the file from which the rate follows.
    """
    if given is None or stated is None or math.isclose(given, stated, rel_tol=_SAME_RATE):
        return
    warnings.warn(
        f"'{path}' states {stated:g} Hz ({source}); the given {given:g} Hz are used.",
        UserWarning,
        stacklevel=2,
    )


def check_index(name: str, index: object, size: int) -> None:
    """Raise SourceArgumentError unless ``index`` is an int from 0 to before ``size``."""
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise SourceArgumentError(f"{name} must be an int, not {index!r}.")
    if not 0 <= index < size:
        raise SourceArgumentError(f"{name} is {index}; it must be from 0 to {size - 1}.")


def check_count(name: str, count: object) -> None:
    """Raise SourceArgumentError unless ``count`` is an int of at least 1."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise SourceArgumentError(f"{name} is {count!r}; it must be an int of at least 1.")
