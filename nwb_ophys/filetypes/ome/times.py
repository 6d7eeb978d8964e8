"""Times, rates, channels and images of a recording, from its OME metadata and the arguments."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.ranges import check_index, check_rate
from nwb_ophys.timing import LONGEST_S

# Relative difference up to which two rates are equal except for rounding and jitter.
TOLERANCE = 0.01
_ROUNDING_S = 2e-3
# Part of the steps of a recording that may be pauses; more of them are its own rhythm.
_MOST_PAUSES = 0.25


def sample_times(
    path: Path, times: npt.NDArray[np.float64], name: str = "DeltaT"
) -> npt.NDArray[np.float64] | None:
    """Return the earliest time of each sample, or None with a warning if they are unusable.

    Times are used only if the file states all of them and they increase.

    Parameters
    ----------
    path : Path
        The file, for messages.
    times : numpy.ndarray of float64, shape (samples, planes)
        Seconds; NaN where not stated.
    name : str
        Name of the times in the file, for messages.
    """
    is_stated = ~np.isnan(times)
    if not is_stated.any():
        return None
    if not (np.abs(times[is_stated]) <= LONGEST_S).all():
        why = f"a {name} is not finite, or longer than any recording"
    elif not is_stated.all():
        why = f"only {int(is_stated.sum())} of {times.size} planes state their {name}"
    elif (np.diff(first := times.min(axis=1)) <= 0).any():
        number = int(np.argmax(np.diff(first) <= 0)) + 1
        why = f"the {name} of sample {number} is not later than the {name} of the sample before it"
    else:
        return first
    warnings.warn(f"'{path}': {why}; these times are not used.", UserWarning, stacklevel=4)
    return None


def mean_rate(times: npt.NDArray[np.float64] | None) -> float | None:
    """Return the mean rate of times in Hz, without few pauses; None for fewer than two times."""
    if times is None or len(times) < 2:
        return None
    steps = np.diff(times)
    usual = float(np.median(steps))
    # Times in whole milliseconds have steps that differ by one.
    is_pause = steps > usual + np.maximum(usual / 2, _ROUNDING_S)
    if 0 < is_pause.mean() <= _MOST_PAUSES:
        return float(1 / steps[~is_pause].mean())
    return float(len(steps) / (times[-1] - times[0]))


def select_rate(
    path: Path, given: float | None, measured: float | None, planned: float | None, times: str
) -> float | None:
    """Return the user's rate, else the measured rate, else the planned rate.

    Warns if the rate differs from another rate that the file states.

    Parameters
    ----------
    path : Path
        The file, for messages.
    given, measured, planned : float or None
        Rates in Hz.
    times : str
        Name of the times that the measured rate follows from.
    """
    if given is not None:
        check_rate(given)
        _warn_if_apart(path, "sampling_frequency", given, measured or planned)
        return given
    if measured is not None:
        _warn_if_apart(path, times, measured, planned)
        return measured
    return planned


def select_image(
    path: Path, names: tuple[str, ...], index: int | None, argument: str = "image_index"
) -> int:
    """Return the index of an image; the argument may be omitted if there is only one."""
    if index is None and len(names) > 1:
        listed = ", ".join(f"{number} ({name})" for number, name in enumerate(names[:20]))
        raise SourceArgumentError(
            f"'{path}' has {len(names)} images; give {argument}, one of: {listed}."
        )
    if index is None:
        return 0
    check_index(argument, index, len(names))
    return index


def _warn_if_apart(path: Path, name: str, rate: float, other: float | None) -> None:
    """Warn if the rate that is used differs from another one that the file states."""
    if other is not None and abs(rate - other) > TOLERANCE * other:
        warnings.warn(
            f"'{path}': {name} gives {rate:g} Hz, which is used, but the file states {other:g} Hz.",
            UserWarning,
            stacklevel=6,
        )
