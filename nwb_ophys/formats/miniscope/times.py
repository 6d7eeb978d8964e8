"""Times of the frames of a Miniscope, from its files of timestamps."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, counted
from nwb_ophys.filetypes.files import read_small_file
from nwb_ophys.formats.miniscope.avi import AviOutline
from nwb_ophys.formats.miniscope.files import Device
from nwb_ophys.metadata import possible_number
from nwb_ophys.outside import check_file
from nwb_ophys.timing import HIGHEST_RATE, LOWEST_RATE

Times = NDArray[np.float64]

_RATE = re.compile(r"(\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*(?:FPS|Hz)?", re.IGNORECASE)
# Milliseconds of 30 years, and more frames than a recording can have.
_LARGEST = 1e12
_LONGEST = 1 << 28


def read_times(device: Device, num_frames: int, camera_number: int | None = None) -> Times | None:
    """Return the times of frames in seconds since the start, or None without a file of timestamps.

    Parameters
    ----------
    device : Device
    num_frames : int
        Number of frames in the videos, which identifies the camera in files of the earlier program.
    camera_number : int, optional
        Number of the camera in such a file.

    Raises
    ------
    CorruptSourceError
        When a line of the file cannot be read.
    SourceArgumentError
        When the file has several cameras and the Miniscope is not known.
    """
    if device.times is None:
        return None
    if device.is_old:
        cameras, clock = _columns(device.times, "\t", ("camNum", "sysClock"))
        is_own = cameras == _camera(device.times, cameras, num_frames, camera_number)
        # The clock is unsigned: just before the start it is almost 2**32.
        return np.where(clock >= 2**31, clock - 2**32, clock)[is_own] / 1000
    numbers, times, *counted_by_daq = _columns(
        device.times, ",", ("Frame Number", "Time Stamp (ms)"), ("DAQ Frame Number",)
    )
    _check_numbers(device.times, numbers, num_frames)
    if counted_by_daq:
        _warn_of_lost_frames(device.times, counted_by_daq[0])
    return times / 1000


def _warn_of_lost_frames(path: Path, numbers: NDArray[np.float64]) -> None:
    """Warn of frames that the DAQ counted, and the computer did not get."""
    steps = np.diff(numbers)
    is_gap = steps > 1
    if is_gap.any():
        number = int((steps[is_gap] - 1).sum())
        warnings.warn(
            f"'{path}': the DAQ counted {counted(number, 'frame')} that the computer did not get, "
            f"the first after row {int(np.argmax(is_gap))} (from 0). The other frames have their "
            "own times; frame pulses of the DAQ include the lost ones.",
            UserWarning,
            stacklevel=5,
        )


def _check_numbers(path: Path, numbers: NDArray[np.float64], num_frames: int) -> None:
    """Raise if skipped or repeated frame numbers leave open which frame a row belongs to."""
    jumps = np.flatnonzero(np.diff(numbers) != 1)
    if not len(jumps):
        return
    pair = f"Frame Number {numbers[jumps[0]]:.0f} is followed by {numbers[jumps[0] + 1]:.0f}"
    if len(numbers) == num_frames and (np.diff(numbers) > 0).all():
        _warn(
            f"'{path}': {pair}, but the file has one row for each of the {num_frames} frames of "
            "the videos; each row is the time of one frame, in this order."
        )
        return
    raise CorruptSourceError(
        f"'{path}': {pair}, and its {len(numbers)} rows are not one for each of the {num_frames} "
        "frames of the videos, so times cannot be assigned to frames; correct the file, or move it "
        "away for evenly spaced frames."
    )


def _columns(
    path: Path, separator: str, names: Sequence[str], optional: Sequence[str] = ()
) -> list[NDArray[np.float64]]:
    """Read columns of numbers by their names, without a last line that is cut off.

    Those of the optional names follow, as far as the file has them.
    """
    check_file(path)
    content = read_small_file(path, "a table of times", _LONGEST)
    lines = content.decode("utf-8-sig", "replace").splitlines()
    heading = [name.strip() for name in lines[0].split(separator)] if lines else []
    missing = [name for name in names if name not in heading]
    if missing:
        raise CorruptSourceError(
            f"'{path}' has no column '{missing[0]}'; its first line must name its columns, as the "
            "acquisition program writes it. Correct it or move it away."
        )
    names = [*names, *(name for name in optional if name in heading)]
    places = [heading.index(name) for name in names]
    rows: list[list[float]] = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(separator)
        try:
            values = [float(cells[place]) for place in places]
            if not all(abs(value) <= _LARGEST for value in values):
                raise ValueError("A value is not finite, or larger than any time.")
            rows.append(values)
        except (IndexError, ValueError):
            if number == len(lines) or not line.strip():
                continue
            raise CorruptSourceError(
                f"'{path}', line {number}: {line!r} is not {', '.join(heading)}; correct it."
            ) from None
    table = np.asarray(rows, dtype=np.float64).reshape(-1, len(names))
    return [table[:, index] for index in range(len(names))]


def _camera(
    path: Path, cameras: NDArray[np.float64], num_frames: int, asked: int | None
) -> int | float:
    """Return the number of the Miniscope: the camera with as many times as there are frames."""
    found, counts = np.unique(cameras, return_counts=True)
    known = dict(zip(found.astype(int).tolist(), counts.tolist(), strict=True))
    if asked is not None and asked in known:
        return asked
    alike = [camera for camera, count in known.items() if count == num_frames]
    if asked is None and (len(alike) == 1 or len(known) == 1):
        return alike[0] if alike else next(iter(known))
    shown = ", ".join(f"{camera} ({count} times)" for camera, count in known.items())
    raise SourceArgumentError(
        f"'{path}' has times of the cameras {shown}, and the videos have {num_frames} frames; give "
        f"the Miniscope's as camera_number{'' if asked is None else f', not {asked}'}."
    )


def reconcile(
    times: Times, outlines: Sequence[AviOutline], device: Device, rate: float | None
) -> Times:
    """Return one time per frame, or the times of those frames that have one.

    Parameters
    ----------
    times : numpy.ndarray, shape (times,)
        Times in seconds.
    outlines : sequence of AviOutline
    device : Device
    rate : float or None
        Frames per second in Hz, given by the user for frames without a time.

    Raises
    ------
    CorruptSourceError
        When frames are missing within the recording, or there are no times at all.
    """
    num_frames = sum(outline.num_frames for outline in outlines)
    if len(times) == num_frames:
        return times
    counts = f"'{device.times}' has {len(times)} timestamps for the {num_frames} frames of the "
    counts += f"{len(outlines)} videos"
    size = device.settings.get("framesPerFile")
    short = [outline for outline in outlines[:-1] if size and outline.num_frames != size]
    if short:
        raise CorruptSourceError(
            f"{counts}, and '{short[0].path.name}' has {short[0].num_frames} where metaData.json "
            f"states {size} per file, so times cannot be assigned to frames; move the file of "
            "timestamps away for evenly spaced frames."
        )
    if not len(times) and rate is None:
        raise CorruptSourceError(f"{counts}; give sampling_frequency, or convert it without them.")
    if len(times) > num_frames:
        _warn(f"{counts}: the last {len(times) - num_frames} timestamps are left out.")
        return times[:num_frames]
    missing = num_frames - len(times)
    if rate is None:
        _warn(
            f"{counts}: the last {missing} frames, which have no time, are left out. Give "
            "sampling_frequency to keep them, evenly spaced."
        )
        return times
    _warn(f"{counts}: the last {missing} frames are spaced at the given {rate:g} Hz.")
    last = times[-1] if len(times) else -1 / rate
    return np.concatenate([times, last + np.arange(1, missing + 1) / rate])


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=6)


def stated_rate(settings: dict[str, Any] | Any) -> float | None:
    """Return the stated frames per second in Hz, as in ``30FPS`` or ``20.00``, or None."""
    stated = settings.get("frameRate")
    is_scalar = isinstance(stated, (str, int, float))
    match = _RATE.fullmatch(str(stated).strip()) if is_scalar else None
    return possible_number(match[1], LOWEST_RATE, HIGHEST_RATE) if match else None
