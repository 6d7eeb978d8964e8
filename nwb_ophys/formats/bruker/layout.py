"""Arrange the frames of a Prairie View recording into samples: planes of volumes, and times."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from operator import attrgetter

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.truncation import ALLOW_TRUNCATED, report_truncated
from nwb_ophys.formats.bruker.xml import Frame, PrairieRecording
from nwb_ophys.timing import LONGEST_S

TIMES = ("absolute_time", "relative_time")
"""Kinds of times of frames, the better one first."""


@attrs.frozen(kw_only=True, eq=False)
class Everything:
    """The whole recording, of which a layout arranges a part.

    Attributes
    ----------
    frames : list of Frame
        All frames in the order of the XML file.
    zeros : mapping of str to float
        Earliest time, from which times count, for each kind of time.
    """

    frames: list[Frame]
    zeros: Mapping[str, float]


@attrs.frozen(kw_only=True, eq=False)
class PrairieLayout:
    """The complete samples of a recording, or of one position or line of it.

    Attributes
    ----------
    channels : dict of int to str
        Names by number.
    frames : list of Frame
        The frames of all samples, those of each ordered by plane as in the first volume.
    num_planes : int
        Number of frames of a sample.
    whole : Everything
        The whole recording.
    is_complete : bool
        Whether no sample was left out.
    """

    channels: dict[int, str]
    frames: list[Frame]
    num_planes: int
    whole: Everything
    is_complete: bool

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return len(self.frames) // self.num_planes

    @property
    def stage(self) -> tuple[float, float] | None:
        """Position of the stage along x and y in micrometres; None if it is not stated."""
        return self.frames[0].stage

    @property
    def depths(self) -> list[tuple[float, ...]]:
        """Position of each plane along z, for each device that moves the focus."""
        return [frame.z for frame in self.frames[: self.num_planes]]

    def times(self, plane: int | None = None) -> npt.NDArray[np.float64] | None:
        """Return the start of each sample, or of its frame of one plane.

        Parameters
        ----------
        plane : int, optional
            By default the whole sample, which starts with its earliest frame.

        Returns
        -------
        numpy.ndarray of float64, shape (samples,), or None
            Seconds after the first frame of the recording, whatever its plane; None if not stated.
        """
        for name in TIMES:
            # The relative time restarts in each sequence of some types, so it may not ascend.
            stated = list(map(attrgetter(name), self.frames))
            if name in self.whole.zeros and None not in stated:
                frame_times = np.array(stated, np.float64).reshape(-1, self.num_planes)
                starts = frame_times.min(axis=1)
                is_possible = bool((np.abs(frame_times) < LONGEST_S).all())
                if is_possible and (np.diff(starts) > 0).all():
                    times = starts if plane is None else frame_times[:, plane]
                    return np.round(times - self.whole.zeros[name], 9)
        return None


def arrange(
    recording: PrairieRecording,
    present: frozenset[str],
    whole: Everything,
    allow_truncated: bool = False,
) -> PrairieLayout:
    """Arrange the frames of a recording, or of one position or line of it, into samples.

    Parameters
    ----------
    recording : PrairieRecording
    present : frozenset of str
        Names of the files in the folder.
    whole : Everything
        The whole recording.
    allow_truncated : bool
        Whether to leave out all samples from the first incomplete one on, with a UserWarning.

    Raises
    ------
    SourceError
        When cycles differ in type or size, or files of other samples than the last are missing.

    Warns
    -----
    UserWarning
        When the last sample is left out, since some of its frames or files are missing.
    """
    kinds = {cycle.kind == "volume": cycle for cycle in reversed(recording.cycles)}
    several = any(len(cycle.frames) > 1 for cycle in recording.cycles)
    if len(kinds) > 1 and several:
        first, other = kinds[True], kinds[False]
        raise SourceError(
            f"'{recording.path}': cycle {first.number} ('{first.type}') has volumes, cycle "
            f"{other.number} ('{other.type}') single planes; a series must have one or the other. "
            "Put a copy of the XML file with the <Sequence> elements of one kind into the folder, "
            "and give that copy."
        )
    num_planes = 1
    if True in kinds and several:
        num_planes = len(recording.cycles[0].frames)
        frames = _volumes(recording)
    else:
        frames = [frame for cycle in recording.cycles for frame in cycle.frames]
    channels = channels_of(recording)
    complete = _complete(recording, frames, num_planes, set(channels), present, allow_truncated)
    return PrairieLayout(
        channels=channels,
        whole=whole,
        frames=complete,
        num_planes=num_planes,
        is_complete=len(complete) == len(frames),
    )


def _volumes(recording: PrairieRecording) -> list[Frame]:
    """Return the frames of all volumes, of which the last one may lack planes."""
    cycles = recording.cycles
    size = len(cycles[0].frames)
    wrong = [cycle for cycle in cycles[:-1] if len(cycle.frames) != size]
    wrong += [cycle for cycle in cycles[-1:] if len(cycle.frames) > size]
    if wrong:
        raise SourceError(
            f"'{recording.path}': cycle {wrong[0].number} has {len(wrong[0].frames)} planes, cycle "
            f"{cycles[0].number} has {size}; all volumes of a recording but an incomplete last one "
            "must have the same planes. Remove the other cycles from a copy of the XML file, and "
            "give that copy."
        )
    depths = [frame.z for frame in cycles[0].frames]
    if len(set(depths)) < size and len(cycles) > 1 and any(c.is_bidirectional for c in cycles):
        warnings.warn(
            f"'{recording.path}' states that the focus moved in both directions (bidirectionalZ), "
            "but not the depth of each plane. The planes of each volume are in the order of their "
            "frames, so that every other volume may be upside down; check them.",
            UserWarning,
            stacklevel=2,
        )
    return [frame for cycle in cycles for frame in _order_planes(depths, cycle.frames)]


def _order_planes(depths: Sequence[tuple[float, ...]], frames: Sequence[Frame]) -> list[Frame]:
    """Return the planes of a volume in the order of the first volume, even if swept backwards."""
    backwards = [frame.z for frame in reversed(frames)]
    same = [frame.z for frame in frames] == list(depths)
    return list(reversed(frames)) if backwards == list(depths) and not same else list(frames)


def channels_of(recording: PrairieRecording) -> dict[int, str]:
    """Return the names of the channels by number, or raise if no frame has a file."""
    names: dict[int, str] = {}
    for cycle in recording.cycles:
        for frame in cycle.frames:
            for file in frame.files:
                names.setdefault(file.channel, file.channel_name)
    if not names:
        raise SourceError(
            f"'{recording.path}' names no image file; convert raw data to TIFF files with Prairie "
            "View first."
        )
    if len(set(names.values())) < len(names):
        return {number: f"Ch{number}" for number in sorted(names)}
    return dict(sorted(names.items()))


def _complete(
    recording: PrairieRecording,
    frames: list[Frame],
    size: int,
    channels: set[int],
    present: frozenset[str],
    allow_truncated: bool,
) -> list[Frame]:
    """Return the frames of samples, without a last one that lacks frames, channels or files.

    If truncated recordings are allowed, the samples end with the last one before a gap.
    """
    absent: list[str] = []
    number = -(-len(frames) // size)
    lacking = {number - 1: None} if len(frames) % size else {}
    for index, frame in enumerate(frames):
        missing = [file.file_name for file in frame.files if file.file_name not in present]
        if missing or _channels_in(frame) != channels:
            absent += missing
            lacking[index // size] = None
    if not lacking:
        return frames
    first = min(lacking)
    if allow_truncated and first:
        reason = _incomplete_reason(_sample(frames, first, size), size, channels, absent)
        report_truncated(
            recording.path.parent, first, number, allow=True, unit="samples", reason=reason
        )
        return frames[: first * size]
    if first != number - 1 or number == 1:
        raise SourceError(_missing_message(recording, number, sorted(lacking), absent))
    reason = _incomplete_reason(_sample(frames, first, size), size, channels, absent)
    warnings.warn(
        f"'{recording.path}': the last of {number} samples is left out, since {reason}.",
        UserWarning,
        stacklevel=2,
    )
    return frames[: first * size]


def _sample(frames: Sequence[Frame], number: int, size: int) -> Sequence[Frame]:
    return frames[number * size : (number + 1) * size]


def _channels_in(frame: Frame) -> set[int]:
    return {file.channel for file in frame.files}


def _incomplete_reason(
    sample: Sequence[Frame], size: int, channels: set[int], absent: list[str]
) -> str:
    if absent:
        return f"{len(absent)} of its files are missing in the folder, such as '{absent[0]}'"
    if len(sample) < size:
        return f"it has {len(sample)} of {size} planes"
    return f"one of its frames lacks a channel ({', '.join(map(str, sorted(channels)))})"


def _missing_message(
    recording: PrairieRecording, num_samples: int, lacking: list[int], absent: list[str]
) -> str:
    what = f"'{recording.path}': {len(lacking)} of {num_samples} samples are incomplete"
    if absent:
        number = len(set(absent))
        return (
            f"{what}: {number} files are missing, such as '{absent[0]}'. Copy the "
            f"folder again; to convert only the samples before the first gap, give "
            f"{ALLOW_TRUNCATED}."
        )
    return (
        f"{what}: frames or channels are missing, first in sample {lacking[0]} (from 0). Remove "
        "their <Frame> elements from a copy of the XML file, and give that copy."
    )
