"""Times of the frames that Minian kept, from the miniscope's table or a rate."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, shown
from nwb_ophys.outside import check_file
from nwb_ophys.timing import LONGEST_S, require_rate

_TABLE = "timeStamps.csv"
_COLUMNS = ("Frame Number", "Time Stamp (ms)")
# A larger difference between a given rate and the table's raises a warning.
_RATE_TOLERANCE = 0.01


def find_timestamps(folder: Path) -> Path | None:
    """Return the table of timestamps in a folder of Minian, or in its parent, the recording."""
    places = (folder / _TABLE, folder.resolve().parent / _TABLE)
    return next((place for place in places if place.is_file()), None)


def sample_times(
    folder: Path,
    frames: NDArray[Any] | None,
    num_samples: int,
    rate: float | None,
    table: Path | None = None,
) -> NDArray[np.float64] | None:
    """Return the time of each sample in seconds where more than a constant rate is known.

    Parameters
    ----------
    folder : pathlib.Path
        The folder of Minian.
    frames : numpy.ndarray or None, shape (samples,)
        The number of each frame in the recorded movie; Minian may have left frames out.
    num_samples : int
    rate : float or None
        Samples per second that the user states.
    table : pathlib.Path, optional
        The table of timestamps, where it is not in its usual place.

    Raises
    ------
    CorruptSourceError
        When the table lacks the times of some frames, and no rate is stated.
    SourceError
        When neither a table nor a rate is known.
    """
    path = find_timestamps(folder) if table is None else table
    if path is None and rate is None:
        require_rate(
            SourceError(
                f"'{folder}' has no {_TABLE}, nor has the folder it lies in; give timestamps_path "
                "or sampling_frequency, in samples of the traces per second."
            )
        )
    if path is None:
        return _times_by_number(folder, frames, rate)
    try:
        times = _times_of(path, frames, num_samples)
    except CorruptSourceError as error:
        if rate is None or table is not None:
            raise
        _warn(f"{error} The stated rate of {rate:g} Hz is used instead.")
        return _times_by_number(folder, frames, rate)
    _compare(path, times, rate)
    return times


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=5)


def _times_by_number(
    folder: Path, frames: NDArray[Any] | None, rate: float | None
) -> NDArray[np.float64] | None:
    """Return times where frames are left out unevenly or at the start, beyond a constant rate."""
    if rate is None or frames is None or not len(frames):
        return None
    steps = np.diff(frames)
    is_even = len(np.unique(steps)) < 2
    step = float(np.median(steps)) if len(steps) else 1.0
    first = int(frames[0]) if frames[0] > 1 else 0  # numbers may count from 1
    if is_even and (not first or step <= 0):
        return None
    if not is_even:
        odd = int(np.count_nonzero(steps != step))
        _warn(
            f"'{folder}': the frames' numbers rise by {step:g}, but by something else at {odd} of "
            f"{len(steps)} steps; times follow the numbers, {rate:g} Hz at the usual step."
        )
    if first:
        _warn(
            f"'{folder}': Minian analysed its movie from frame {first}; times are "
            "counted from the start of that movie."
        )
    return (frames - frames[0] + first) / step / rate


def _times_of(path: Path, frames: NDArray[Any] | None, num_samples: int) -> NDArray[np.float64]:
    numbers, times = _read_table(path)
    if frames is None:
        if len(times) == num_samples:
            return times
        raise CorruptSourceError(
            f"'{path}' has {len(times)} times for {num_samples} samples, of which no coordinate "
            "'frame' says which frames they are; give another timestamps_path."
        )
    order = np.argsort(numbers, kind="stable")
    place = np.searchsorted(numbers, frames, sorter=order).clip(max=max(len(numbers) - 1, 0))
    known = numbers[order[place]] == frames if len(numbers) else np.zeros(len(frames), bool)
    if not known.all():
        absent = frames[~known]
        raise CorruptSourceError(
            f"'{path}' has {len(times)} times, but lacks those of {len(absent)} of {len(frames)} "
            f"frames, the first of them frame {absent[0]}; give the whole table with "
            "timestamps_path, or sampling_frequency."
        )
    return times[order[place]]


def _read_table(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers of frames and their times in seconds."""
    try:
        check_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            values = [(int(row[_COLUMNS[0]]), float(row[_COLUMNS[1]])) for row in table]
        if not values:
            raise ValueError("The table has no rows.")
        large = [number for number, _ in values if abs(number) >= 1 << 63]
        if large:
            raise ValueError(f"The number of a frame has {len(str(large[0]))} digits.")
        wrong = [number for number, time in values if not abs(time) / 1e3 <= LONGEST_S]
        if wrong:
            raise ValueError(f"The time of frame {wrong[0]} is not possible.")
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise CorruptSourceError(
            f"'{path}' is not a complete table of timestamps with the columns "
            f"{' and '.join(repr(name) for name in _COLUMNS)}: {shown(error)}."
        ) from error
    numbers = np.array([number for number, _ in values], dtype=np.int64)
    if len(np.unique(numbers)) != len(numbers):
        raise CorruptSourceError(
            f"'{path}' has {len(numbers)} rows, but only {len(np.unique(numbers))} different "
            "frame numbers; it may be of several recordings."
        )
    return numbers, np.array([time for _, time in values]) / 1e3


def _compare(path: Path, times: NDArray[np.float64], rate: float | None) -> None:
    if rate is None or len(times) < 2 or times[-1] <= times[0]:
        return
    found = (len(times) - 1) / (times[-1] - times[0])
    if abs(found / rate - 1) > _RATE_TOLERANCE:
        _warn(
            f"sampling_frequency is {rate:g} Hz, but '{path}' states {found:.4g} Hz for the "
            "samples; its times are written."
        )
