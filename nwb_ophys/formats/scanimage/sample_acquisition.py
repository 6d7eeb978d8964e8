"""A ScanImage acquisition: channels, rates, and the description of each frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Angle of the whole field at zoom 1, in degrees of scanning, as of a resonant-galvo microscope.
_FIELD_DEGREES = 18.0
#: Time from the trigger to the first frame in seconds, of the order of a line's duration.
_TRIGGER_LEAD = 0.00008


@attrs.frozen(kw_only=True, eq=False)
class Acquisition:
    """Settings and movies of an acquisition; see `nwb_ophys.testing.write_scanimage` for the terms.

    Every movie in `channels` has the shape (samples, rows, columns, planes).
    """

    channels: dict[int, Array] = attrs.field(repr=False)
    channel_names: dict[int, str]
    num_channels_available: int
    sampling_frequency: float
    num_flyback_frames: int
    frames_per_slice: int
    stack_mode: str
    frames_per_file: int | None
    num_frames: int | None
    frame_timestamps: Sequence[float] | Array | None
    session_start_time: datetime
    objective_resolution: float
    zoom: float
    line_period: float | None
    pmt_gains: Sequence[float]
    z_step: float
    average_factor: int = 1
    regions: Mapping[str, tuple[int, tuple[float, float], tuple[float, float]]] = attrs.field(
        factory=dict
    )

    def __attrs_post_init__(self) -> None:
        """Raise a ValueError if ScanImage could not have acquired this."""
        _check(self)

    @property
    def movie_shape(self) -> tuple[int, ...]:
        """(samples, rows, columns, planes) of one channel."""
        return tuple(next(iter(self.channels.values())).shape)

    @property
    def num_planes(self) -> int:
        """Number of slices of a volume; 1 without a stack."""
        return self.movie_shape[3]

    @property
    def num_volumes(self) -> int:
        """Number of volumes; without a stack every frame is a volume."""
        return self.movie_shape[0] // self.frames_per_slice

    @property
    def frames_per_volume(self) -> int:
        """Number of frames of one volume per channel, without flyback frames."""
        return self.num_planes * self.frames_per_slice

    @property
    def frames_per_cycle(self) -> int:
        """Number of frames from one volume to the next, including flyback frames."""
        return self.frames_per_volume + self.num_flyback_frames

    @property
    def num_planned_frames(self) -> int:
        """Number of frames of the whole acquisition per channel."""
        return self.num_volumes * self.frames_per_cycle

    @property
    def num_logged_frames(self) -> int:
        """Number of frames in the files; fewer than planned if the acquisition was stopped."""
        return self.num_planned_frames if self.num_frames is None else self.num_frames

    @property
    def frame_rate(self) -> float:
        """Saved frames per second in Hz, including flyback frames."""
        return self.sampling_frequency * self.frames_per_cycle

    @property
    def scan_rate(self) -> float:
        """Frames that the scanner acquires per second in Hz, before averaging."""
        return self.frame_rate * self.average_factor

    @property
    def num_flyto_rows(self) -> int:
        """Number of rows between two regions."""
        rows = self.movie_shape[1] - sum(region[0] for region in self.regions.values())
        return rows // max(len(self.regions) - 1, 1)

    @property
    def field_degrees(self) -> tuple[float, float]:
        """Width and height of the field in degrees; pixels are square."""
        _, num_rows, num_columns, _ = self.movie_shape
        width = _FIELD_DEGREES / self.zoom
        return width, width * num_rows / num_columns

    @property
    def pixel_size(self) -> float:
        """Size of a pixel in micrometres."""
        return self.field_degrees[0] * self.objective_resolution / self.movie_shape[2]

    def timestamp(self, frame: int) -> float:
        """Return the start of a frame in seconds after the start of the acquisition."""
        if self.frame_timestamps is not None:
            return float(self.frame_timestamps[frame])
        # The time of an averaged frame is that of the last frame in the average.
        return frame / self.frame_rate + (self.average_factor - 1) / self.scan_rate

    def frame_number(self, frame: int) -> int:
        """Return ScanImage's number of a saved frame, which counts acquired frames from 1."""
        return (frame + 1) * self.average_factor

    def image(self, movie: Array, frame: int) -> Array:
        """Return the little-endian pixels (rows, columns) of a frame of one channel."""
        volume, position = divmod(frame, self.frames_per_cycle)
        plane, in_slice = divmod(position, self.frames_per_slice)
        if plane >= self.num_planes:
            pixels = np.full(movie.shape[1:3], np.iinfo(movie.dtype).max)
        else:
            pixels = movie[volume * self.frames_per_slice + in_slice, :, :, plane]
        return pixels.astype(movie.dtype.newbyteorder("<"))


def movies_by_channel(channels: Array | Mapping[int, Array]) -> dict[int, Array]:
    """Return the movies by channel, in order, each as (samples, rows, columns, planes)."""
    if not isinstance(channels, Mapping):
        channels = {1: channels}
    volumes = {}
    for number in sorted(channels):
        movie = np.asarray(channels[number])
        movie = movie.astype(movie.dtype.newbyteorder("="), copy=False)
        if movie.ndim not in (3, 4) or movie.dtype not in (np.int16, np.uint16):
            raise ValueError(
                f"channel {number} has {movie.ndim} axes of {movie.dtype}, but ScanImage writes "
                "(samples, rows, columns) or (samples, rows, columns, planes) of int16 or uint16."
            )
        volumes[number] = movie.reshape(*movie.shape[:3], -1)
    return volumes


def frame_description(acquisition: Acquisition, frame: int) -> str:
    """Return what is stated of one frame (counted from 0), the same for all channels."""
    # In a slow stack every slice is an acquisition of its own, with a trigger of its own.
    slow = acquisition.num_planes > 1 and acquisition.stack_mode == "slow"
    length = acquisition.frames_per_slice if slow else acquisition.num_planned_frames
    first = frame - frame % length
    triggered = slow or frame == first
    start = acquisition.session_start_time
    seconds = start.second + start.microsecond // 1000 / 1000
    values = {
        "frameNumbers": acquisition.frame_number(frame),
        "acquisitionNumbers": frame // length + 1,
        "frameNumberAcquisition": frame - first + 1,
        "frameTimestamps_sec": f"{acquisition.timestamp(frame):.9f}",
        "acqTriggerTimestamps_sec": (
            f"{acquisition.timestamp(first) - _TRIGGER_LEAD:.9f}" if triggered else "-1.000000000"
        ),
        "nextFileMarkerTimestamps_sec": "-1.000000000",
        "endOfAcquisition": int(frame - first + 1 == length),
        "endOfAcquisitionMode": int(frame + 1 == acquisition.num_planned_frames),
        "dcOverVoltage": 0,
        "epoch": (
            f"[{start.year:4d} {start.month:2d} {start.day:2d} "
            f"{start.hour:2d} {start.minute:2d} {seconds:.3f}]"
        ),
        **{f"auxTrigger{line}": "[]" for line in range(4)},
        "I2CData": "{}",
    }
    return "".join(f"{name} = {value}\n" for name, value in values.items())


def _check(acquisition: Acquisition) -> None:
    """Raise a ValueError if the acquisition cannot be."""
    movies = acquisition.channels
    num_samples, planned = acquisition.movie_shape[0], acquisition.num_planned_frames
    timestamps = acquisition.frame_timestamps
    stack_only = acquisition.frames_per_slice > 1 or acquisition.num_flyback_frames > 0
    last = acquisition.num_channels_available
    wrong = {
        "channels differ in shape or dtype": len({(m.shape, m.dtype) for m in movies.values()}) > 1,
        f"channel numbers must be 1 to {last} (num_channels_available)": not all(
            1 <= number <= last for number in movies
        ),
        f"stack_mode is {acquisition.stack_mode!r}, but may be 'fast' or 'slow'": (
            acquisition.stack_mode not in ("fast", "slow")
        ),
        "a slow stack has no flyback frames": (
            acquisition.stack_mode == "slow" and acquisition.num_flyback_frames > 0
        ),
        "flyback frames and several frames per slice need a movie with planes": (
            acquisition.num_planes == 1 and stack_only
        ),
        f"{num_samples} samples are no multiple of frames_per_slice": (
            num_samples % acquisition.frames_per_slice > 0
        ),
        "frames_per_file must be 1 or more": (
            acquisition.frames_per_file is not None and acquisition.frames_per_file < 1
        ),
        f"num_frames must be 1 to {planned}": not 1 <= acquisition.num_logged_frames <= planned,
        "average_factor must be 1 or more, and flyback frames are not averaged": (
            acquisition.average_factor < 1
            or (acquisition.average_factor > 1 and acquisition.num_flyback_frames > 0)
        ),
        "regions and equal gaps between them do not fill the rows of the movies": (
            not _regions_fit(acquisition)
        ),
        f"frame_timestamps must have {planned} values, one per frame": (
            timestamps is not None and len(timestamps) != planned
        ),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"No ScanImage file can hold this: {message}.")


def _regions_fit(acquisition: Acquisition) -> bool:
    """Return whether regions and equal gaps fill the rows."""
    heights = [region[0] for region in acquisition.regions.values()]
    rest, gaps = acquisition.movie_shape[1] - sum(heights), max(len(heights) - 1, 1)
    return not heights or (rest >= 0 and rest % gaps == 0 and (len(heights) > 1 or rest == 0))
