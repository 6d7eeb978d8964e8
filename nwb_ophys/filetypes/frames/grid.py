"""Arrange the frames of a stream by time and plane, and find their times and their rate."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError
from nwb_ophys.extractors.ranges import check_index, check_stated_rate
from nwb_ophys.filetypes.frames.values import first_positive, first_value
from nwb_ophys.filetypes.ome.times import mean_rate, sample_times, select_rate
from nwb_ophys.filetypes.tiff.pages import Integers
from nwb_ophys.timing import require_rate

Frame = TypeVar("Frame")
Times = npt.NDArray[np.float64]
_MOST_SHOWN = 5


@attrs.frozen(kw_only=True, eq=False)
class FrameGrid(Generic[Frame]):
    """Frames of one channel at one position, sorted by time and plane.

    Attributes
    ----------
    times : numpy.ndarray of int64, shape (samples,)
        Index of each sample on the axis of time, from the first index of the recording.
    planes : list of int
        Index of each plane on the axis of planes.
    frames : list of list of Frame
        The frames of each sample, plane by plane.
    """

    times: Integers
    planes: list[int]
    frames: list[list[Frame]]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of samples and of planes."""
        return len(self.times), len(self.planes)

    def flat(self) -> list[Frame]:
        """Return all frames, sample by sample."""
        return [frame for sample in self.frames for frame in sample]

    def of_plane(self, index: int | None) -> FrameGrid[Frame]:
        """Return the frames of one plane; all frames if the index is None."""
        if index is None:
            return self
        check_index("plane_index", index, len(self.planes))
        own = [[sample[index]] for sample in self.frames]
        return attrs.evolve(self, planes=[self.planes[index]], frames=own)


def num_planes(frames: Iterable[tuple[int, int]]) -> int:
    """Return the number of planes of frames, given by their indices of time and plane."""
    return len({plane for _, plane in frames})


def frame_grid(
    path: Path, stream: str, frames: Mapping[tuple[int, int], Frame], first_time: int = 0
) -> FrameGrid[Frame]:
    """Sort frames by time and plane; times that lack a plane are left out with a warning.

    Parameters
    ----------
    path : pathlib.Path
        File that lists the frames, for messages.
    stream : str
        Name of the channel and the position, for messages.
    frames : mapping of (int, int) to Frame
        Frames by their indices of time and plane.
    first_time : int
        First index of time of all streams of the recording.

    Raises
    ------
    CorruptSourceError
        If each time lacks a plane.
    """
    times = sorted({time for time, _ in frames})
    planes = sorted({plane for _, plane in frames})
    lacking = {
        time: [plane for plane in planes if (time, plane) not in frames]
        for time in times
        if any((time, plane) not in frames for plane in planes)
    }
    if lacking:
        shown = [
            f"time {time} lacks plane {', '.join(map(str, own))}" for time, own in lacking.items()
        ]
        listed = "; ".join(shown[:_MOST_SHOWN]) + "; …" * (len(shown) > _MOST_SHOWN)
        what = f"'{path}': {len(lacking)} of {len(times)} times{stream} lack images ({listed})"
        if len(lacking) == len(times):
            raise CorruptSourceError(
                f"{what}, so that no volume is complete. Copy the files again."
            )
        warnings.warn(f"{what}. These times are left out.", UserWarning, stacklevel=4)
    complete = [time for time in times if time not in lacking]
    return FrameGrid(
        times=np.array(complete, np.int64) - first_time,
        planes=planes,
        frames=[[frames[time, plane] for plane in planes] for time in complete],
    )


def planned_rate(summary: Mapping[str, Any]) -> float | None:
    """Return the rate that follows from the requested interval, in Hz; None if there is none."""
    interval = first_positive(summary, "Interval_ms")
    if first_value(summary, "CustomIntervals_ms"):
        interval = None  # each frame has its own interval
    return None if interval is None else round(1000 / interval, 9)


def rate_and_times(
    path: Path,
    summary: Mapping[str, Any],
    elapsed: Times,
    given: float | None,
    indices: Integers | None = None,
) -> tuple[float | None, Times | None]:
    """Return the rate in Hz, and the times of samples in seconds where they are known.

    The rate is the user's, else the mean rate of the stated times, else it follows from the
    requested interval. Times are None if the samples follow each other at the rate. A single
    sample, which may be an image or a z-stack, needs no rate.

    Parameters
    ----------
    path : pathlib.Path
        For messages.
    summary : mapping
        Metadata of the acquisition.
    elapsed : numpy.ndarray of float64, shape (samples, planes)
        Stated times in seconds, NaN where not stated.
    given : float or None
        Rate that the user gives.
    indices : numpy.ndarray of int64, shape (samples,), optional
        Index of each sample on the axis of time; where indices are skipped and no times are
        stated, they define the times.

    Raises
    ------
    SourceArgumentError
        If no rate is stated or given.
    """
    stated = sample_times(path, elapsed, "ElapsedTime-ms")
    planned = planned_rate(summary)
    rate = select_rate(path, given, mean_rate(stated), planned, "ElapsedTime-ms of its frames")
    if rate is None and len(elapsed) > 1:
        require_rate(
            SourceArgumentError(
                f"'{path}' states neither the times of its frames (ElapsedTime-ms) nor an interval "
                "(Interval_ms) above 0; give sampling_frequency, in samples per second."
            )
        )
    if rate is None:
        return None, None
    if given is None:
        check_stated_rate(path, rate, "Interval_ms" if stated is None else "ElapsedTime-ms")
    if given is None and stated is not None:
        return rate, stated
    if indices is not None and (np.diff(indices, prepend=-1) != 1).any():
        return rate, indices / rate
    return rate, None
