"""Which frames of a Prairie View recording are planes of one volume, and which follow in time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import SourceError
from nwb_ophys.formats.bruker.xml import Cycle, Frame, PrairieRecording

# Types whose frames follow in time, even where the focus is moved within a cycle.
_IN_TIME = ("timed", "brightness", "single", "linescan")


@attrs.frozen(kw_only=True, eq=False)
class PrairieLayout:
    """The complete samples of a recording.

    Attributes
    ----------
    channels : dict of int to str
        Names by number.
    samples : list of list of Frame
        The frames of each sample by plane, from the first plane of the first volume on.
    """

    channels: dict[int, str]
    samples: list[list[Frame]]

    @property
    def num_planes(self) -> int:
        """Number of planes of a sample."""
        return len(self.samples[0])

    @property
    def depths(self) -> list[tuple[float, ...]]:
        """Positions along z of each plane, of each device that moves the focus."""
        return [frame.z for frame in self.samples[0]]

    def times(self, plane: int | None = None) -> npt.NDArray[np.float64] | None:
        """Return when samples, or the frames of one plane of them, were begun.

        Parameters
        ----------
        plane : int, optional
            By default whole samples, which begin with their earliest frame.

        Returns
        -------
        numpy.ndarray of float64, shape (samples,), or None
            Seconds after the first frame of the recording, of whatever plane; None if not stated.
        """
        for name in ("absolute_time", "relative_time"):
            # The time within a sequence begins anew with each of some kinds.
            stated = [[getattr(frame, name) for frame in sample] for sample in self.samples]
            if all(None not in sample for sample in stated):
                of_frames = np.array(stated, np.float64)
                starts = of_frames.min(axis=1)
                if np.isfinite(of_frames).all() and (np.diff(starts) > 0).all():
                    times = starts if plane is None else of_frames[:, plane]
                    return np.round(times - starts[0], 9)
        return None


def arrange(recording: PrairieRecording, present: frozenset[str]) -> PrairieLayout:
    """Arrange the frames of a recording to samples.

    Parameters
    ----------
    recording : PrairieRecording
    present : frozenset of str
        Names of the files in the folder.

    Raises
    ------
    SourceError
        When cycles are of different kinds or sizes, or files are missing elsewhere than in the
        last sample.

    Warns
    -----
    UserWarning
        When the last sample is left out, since frames or files of it are missing.
    """
    kinds = {_is_volume(cycle): cycle for cycle in reversed(recording.cycles)}
    several = any(len(cycle.frames) > 1 for cycle in recording.cycles)
    if len(kinds) > 1 and several:
        first, other = kinds[True], kinds[False]
        raise SourceError(
            f"{recording.path}: cycle {first.number} ('{first.type}') is of volumes, cycle "
            f"{other.number} ('{other.type}') of single planes; a series has one or the other. "
            "Put a copy of the XML file with the <Sequence> elements of one kind into the folder, "
            "and give it instead"
        )
    if True in kinds and several:
        samples = _volumes(recording)
    else:
        samples = [[frame] for cycle in recording.cycles for frame in cycle.frames]
    channels = _channels(recording)
    return PrairieLayout(
        channels=channels, samples=_complete(recording, samples, set(channels), present)
    )


def _is_volume(cycle: Cycle) -> bool:
    """Whether the frames of a cycle are planes: by its type, or by positions that all differ."""
    kind = cycle.type.lower()
    if "zseries" in kind.replace(" ", ""):
        return True
    if any(word in kind for word in _IN_TIME):
        return False
    positions = [frame.z for frame in cycle.frames]
    return len(positions) > 1 and all(positions) and len(set(positions)) == len(positions)


def _volumes(recording: PrairieRecording) -> list[list[Frame]]:
    cycles = recording.cycles
    size = len(cycles[0].frames)
    wrong = [cycle for cycle in cycles[:-1] if len(cycle.frames) != size]
    wrong += [cycle for cycle in cycles[-1:] if len(cycle.frames) > size]
    if wrong:
        raise SourceError(
            f"{recording.path}: cycle {wrong[0].number} has {len(wrong[0].frames)} planes, cycle "
            f"{cycles[0].number} has {size}; all volumes of a recording have the same planes, but "
            "for a last one that was broken off. Take the others out of a copy of the XML file"
        )
    depths = [frame.z for frame in cycles[0].frames]
    return [_in_order_of(depths, cycle.frames) for cycle in cycles]


def _in_order_of(depths: Sequence[tuple[float, ...]], frames: Sequence[Frame]) -> list[Frame]:
    """Return the planes of a volume as those of the first: every other is swept backwards."""
    backwards = [frame.z for frame in reversed(frames)]
    same = [frame.z for frame in frames] == list(depths)
    return list(reversed(frames)) if backwards == list(depths) and not same else list(frames)


def _channels(recording: PrairieRecording) -> dict[int, str]:
    names: dict[int, str] = {}
    for cycle in recording.cycles:
        for frame in cycle.frames:
            for file in frame.files:
                names.setdefault(file.channel, file.channel_name)
    if not names:
        raise SourceError(
            f"{recording.path} names no image file; raw data have to be converted to TIFF files by "
            "Prairie View first"
        )
    if len(set(names.values())) < len(names):
        return {number: f"Ch{number}" for number in sorted(names)}
    return dict(sorted(names.items()))


def _complete(
    recording: PrairieRecording,
    samples: list[list[Frame]],
    channels: set[int],
    present: frozenset[str],
) -> list[list[Frame]]:
    """Return the samples without a last one of which frames, channels or files are missing."""
    size = max(len(sample) for sample in samples)
    absent: list[str] = []
    lacking = []
    for number, sample in enumerate(samples):
        missing = [
            file.file_name
            for frame in sample
            for file in frame.files
            if file.file_name not in present
        ]
        absent += missing
        is_whole = all({file.channel for file in frame.files} == channels for frame in sample)
        if missing or not is_whole or len(sample) < size:
            lacking.append(number)
    if not lacking:
        return samples
    if lacking != [len(samples) - 1] or len(samples) == 1:
        raise SourceError(_what_lacks(recording, samples, lacking, absent))
    warnings.warn(
        f"{recording.path}: the last of {len(samples)} samples is left out, since "
        f"{_why(samples[-1], size, channels, absent)}.",
        UserWarning,
        stacklevel=2,
    )
    return samples[:-1]


def _why(sample: Sequence[Frame], size: int, channels: set[int], absent: list[str]) -> str:
    if absent:
        return f"{len(absent)} of its files are not in the folder, such as '{absent[0]}'"
    if len(sample) < size:
        return f"it has {len(sample)} of {size} planes"
    return f"a frame of it has not all channels ({', '.join(map(str, sorted(channels)))})"


def _what_lacks(
    recording: PrairieRecording, samples: Sequence[Any], lacking: list[int], absent: list[str]
) -> str:
    what = f"{recording.path}: {len(lacking)} of {len(samples)} samples are not whole"
    if absent:
        number = len(set(absent))
        return f"{what}: {number} files are missing, such as '{absent[0]}'. Copy the folder again"
    return (
        f"{what}, the first of them number {lacking[0]} (from 0), of which frames or channels are "
        "missing. Take their <Frame> elements out of a copy of the XML file, and give that"
    )
