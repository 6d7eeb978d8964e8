"""TODO."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.ranges import check_index, check_rate

# Rates that differ by less are the same but for rounding and jitter.
TOLERANCE = 0.01


def usable_times(
    path: Path, times: npt.NDArray[np.float64], name: str = "DeltaT"
) -> npt.NDArray[np.float64] | None:
    """Return the earliest time of each sample, where all are stated and increase.

    Parameters
    ----------
    path : Path
        For messages.
    times : numpy.ndarray of float64, shape (samples, planes)
        Seconds; NaN where not stated.
    name : str
        What the times are called there.
    """
    is_stated = ~np.isnan(times)
    if not is_stated.any():
        return None
    if not is_stated.all():
        why = f"of {times.size} planes {int(is_stated.sum())} state their {name}"
    elif (np.diff(first := times.min(axis=1)) <= 0).any():
        number = int(np.argmax(np.diff(first) <= 0)) + 1
        why = f"the {name} of sample {number} is not after that of the one before"
    else:
        return first
    warnings.warn(f"{path}: {why}; these times are not used.", UserWarning, stacklevel=4)
    return None


def mean_rate(times: npt.NDArray[np.float64] | None) -> float | None:
    """Return the mean rate of times in Hz; None for fewer than two."""
    if times is None or len(times) < 2:
        return None
    return float((len(times) - 1) / (times[-1] - times[0]))


def chosen_rate(
    path: Path, given: float | None, measured: float | None, planned: float | None, times: str
) -> float | None:
    """Return the rate that the user gives, else the measured, else the planned one.

    A UserWarning says where it is not what the file states elsewhere.

    Parameters
    ----------
    path : Path
        For messages.
    given, measured, planned : float or None
        In Hz.
    times : str
        What the measured rate follows from.
    """
    if given is not None:
        check_rate(given)
        _warn_if_apart(path, "sampling_frequency", given, measured or planned)
        return given
    if measured is not None:
        _warn_if_apart(path, times, measured, planned)
        return measured
    return planned


def _warn_if_apart(path: Path, name: str, rate: float, other: float | None) -> None:
    """Say that a rate that is used is not the one that a file states elsewhere."""
    if other is not None and abs(rate - other) > TOLERANCE * other:
        warnings.warn(
            f"{path}: {name} gives {rate:g} Hz, which is used, but the file states {other:g} Hz.",
            UserWarning,
            stacklevel=6,
        )


def image_index_of(
    path: Path, names: tuple[str, ...], index: int | None, argument: str = "image_index"
) -> int:
    """Return the index of an image, which is not needed where there is one."""
    if index is None and len(names) > 1:
        listed = ", ".join(f"{number} ({name})" for number, name in enumerate(names[:20]))
        message = f"{path} has {len(names)} images; give {argument}, one of: {listed}"
        raise SourceArgumentError(message)
    if index is None:
        return 0
    check_index(argument, index, len(names))
    return index
