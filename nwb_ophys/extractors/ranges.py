"""Ranges of samples as they are asked for, and rates as they are given."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from nwb_ophys.errors import SourceArgumentError


def check_range(start: int | None, end: int | None, num_samples: int) -> tuple[int, int]:
    """Return the first sample of a range and the one behind its last.

    Parameters
    ----------
    start, end : int or None
        As asked for; by default all samples.
    num_samples : int
        How many there are.

    Raises
    ------
    SourceArgumentError
        When the range lies outside of the recording.
    """
    first = 0 if start is None else int(start)
    last = num_samples if end is None else int(end)
    if not 0 <= first <= last <= num_samples:
        raise SourceArgumentError(
            f"samples {start} to {end} were asked for; this recording has the samples 0 to "
            f"{num_samples}, and the start must not lie behind the end"
        )
    return first, last


def check_rate(value: Any) -> None:
    """Raise unless a value is a rate.

    Parameters
    ----------
    value : object
        What was given as ``sampling_frequency``.

    Raises
    ------
    SourceArgumentError
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise SourceArgumentError(
            f"sampling_frequency is {value!r}; it must be a finite number above 0, in samples per "
            "second"
        )


def check_index(name: str, index: object, size: int) -> None:
    """Raise SourceArgumentError unless ``index`` is an int from 0 to before ``size``."""
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise SourceArgumentError(f"{name} must be an int, not {index!r}")
    if not 0 <= index < size:
        raise SourceArgumentError(f"{name} is {index}; allowed here: 0 to {size - 1}")


def check_count(name: str, count: object) -> None:
    """Raise SourceArgumentError unless ``count`` is an int of at least 1."""
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise SourceArgumentError(f"{name} is {count!r}; it must be an int of at least 1")
