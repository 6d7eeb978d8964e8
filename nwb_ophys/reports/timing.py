"""Times of all streams of a file: start, end, gaps, jitter, and rates that disagree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import counted
from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.stored_file import StoredFile

_MOST_TIMES = 8_000_000
_MOST_GAPS = 200
# Steps of that many usual steps are gaps: at least one sample is missing.
GAP_STEPS = 1.5
_INTERVALS = "TimeIntervals"
# Differences that are marked: of rates, as a share; of starts and ends, in samples.
_RATE_TOLERANCE = 0.01
_SAMPLES_TOLERANCE = 1.5


@attrs.frozen(kw_only=True, eq=False)
class StreamTimes:
    """The times of one stream.

    Attributes
    ----------
    path, kind : str
        Path in the file, and neurodata type.
    num_samples : int
        Number of samples, or of intervals.
    start, end : float or None
        Time of the first and the last sample, in s; None where they are not known.
    stated_rate : float or None
        Rate that the file states, in Hz; a finite number, which may be 0 or below.
    rate : float or None
        The same if it is above 0, or that of the median step of the timestamps.
    has_timestamps : bool
    num_times, num_times_read : int
        Number of timestamps, and of those that were read: the first 8 million, and the last one.
    num_times_unknown : int
        Number of those that are NaN or infinite; steps beside them are left out of everything else.
    num_gaps, num_backward : int
        Steps longer than 1.5 median steps, and steps that are not above 0.
    num_missing : int
        Samples that the gaps would hold.
    gaps : tuple of (float, float)
        The longest gaps, from sample to sample, in s, in their order.
    jitter : float or None
        Standard deviation of the steps that are no gaps, in s.
    plane : str or None
        Path of the imaging plane of the stream.
    timestamps : numpy.ndarray or None
        In s, float64.
    lacking : str
        Timestamps that were never written, as a sentence; empty if there are none.
    """

    path: str
    kind: str
    num_samples: int
    start: float | None = None
    end: float | None = None
    stated_rate: float | None = None
    rate: float | None = None
    has_timestamps: bool = False
    num_times: int = 0
    num_times_read: int = 0
    num_times_unknown: int = 0
    num_gaps: int = 0
    num_backward: int = 0
    num_missing: int = 0
    gaps: tuple[tuple[float, float], ...] = ()
    jitter: float | None = None
    plane: str | None = None
    timestamps: NDArray[np.float64] | None = None
    lacking: str = ""

    @property
    def name(self) -> str:
        """Path without the first group, which says little."""
        return self.path.partition("/")[2] or self.path

    def times(self, samples: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the times of samples in s; their numbers where no time is known."""
        if self.timestamps is not None and len(self.timestamps) == self.num_samples:
            return self.timestamps[samples]
        if self.rate and self.start is not None:
            return self.start + samples / self.rate
        return samples.astype(np.float64)

    @property
    def are_known(self) -> bool:
        """Return whether samples have times."""
        return self.start is not None and (self.rate is not None or self.num_samples < 2)


@attrs.frozen(kw_only=True)
class Timing:
    """The times of a file.

    Attributes
    ----------
    streams : tuple of StreamTimes
    marks : mapping of str to tuple of str
        What disagrees, in sentences, by the path of a stream.
    failures : tuple of Unreadable
    """

    streams: tuple[StreamTimes, ...]
    marks: dict[str, tuple[str, ...]]
    failures: tuple[Unreadable, ...]


def gather_timing(file: StoredFile) -> Timing:
    """Return the times of all streams of a file.

    Parameters
    ----------
    file : StoredFile
    """
    streams: list[StreamTimes] = []
    failures: list[Unreadable] = []
    for path in _paths(file):
        found = attempt(path, stream_times, file, path)
        if isinstance(found, Unreadable):
            failures.append(found)
        else:
            streams.append(found)
    marks = {each.path: tuple(_marks(each, streams, file)) for each in streams}
    return Timing(
        streams=tuple(streams),
        marks={path: found for path, found in marks.items() if found},
        failures=tuple(failures),
    )


def _paths(file: StoredFile) -> Iterator[str]:
    for path in file.members:
        if file.kind(path) == _INTERVALS or is_series(file, path):
            yield path


def is_series(file: StoredFile, path: str) -> bool:
    """Return whether a group is a time series of any type: it states times for its samples."""
    found = file.members.get(path, {})
    has_times = "starting_time" in found or "timestamps" in found
    return bool(file.kind(path)) and has_times and path != ""


def stream_times(file: StoredFile, path: str) -> StreamTimes:
    """Return the times of a series or a table of intervals.

    Parameters
    ----------
    file : StoredFile
    path : str
        Path of a group.
    """
    if file.kind(path) == _INTERVALS:
        return _of_intervals(file, path)
    data = file.member(path, "data")
    shape = file.shape(data)
    # A series whose frames are in other files may state their number.
    stated = _number(file.member_value(path, "num_samples"))
    num_samples = (shape[0] if shape else 0) or int(stated or 0)
    start_path = file.member(path, "starting_time")
    plane = _plane_of(file, path)
    times = file.member(path, "timestamps")
    if times is None:
        start = _number(file.value(start_path))
        stated_rate = _number(file.attribute(start_path or "", "rate"))
        rate = stated_rate if stated_rate is not None and stated_rate > 0 else None
        ends = start is not None and rate is not None and num_samples
        return StreamTimes(
            path=path,
            kind=file.kind(path),
            num_samples=num_samples,
            start=start,
            end=start + (num_samples - 1) / rate if ends else None,  # type: ignore[operator]
            stated_rate=stated_rate,
            rate=rate,
            plane=plane,
        )
    return _of_timestamps(file, path, times, num_samples, plane)


def _number(value: object) -> float | None:
    """Return a number that a dataset holds, perhaps as an array of one; None for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _of_timestamps(
    file: StoredFile, path: str, times: str, num_samples: int, plane: str | None
) -> StreamTimes:
    length = (file.shape(times) or (0,))[0]
    read = file.objects[times].read
    assert read is not None
    values = np.asarray(read(slice(0, min(length, _MOST_TIMES))), dtype=np.float64)
    finite = values[np.isfinite(values)]
    is_cut = len(values) < length
    last = np.asarray(read(slice(length - 1, length)), dtype=np.float64) if is_cut else finite
    last = last[np.isfinite(last)]
    steps = _steps(values)
    known = steps[np.isfinite(steps)]
    step = float(np.median(known)) if len(known) else 0.0
    is_gap = (steps > GAP_STEPS * step) if step > 0 else np.zeros(len(steps), bool)
    places = np.flatnonzero(is_gap)
    longest = np.sort(places[np.argsort(-steps[places], kind="stable")[:_MOST_GAPS]])
    usual = known[~is_gap[np.isfinite(steps)]]
    return StreamTimes(
        path=path,
        kind=file.kind(path),
        num_samples=num_samples or length,
        start=float(finite[0]) if len(finite) else None,
        end=float(last[-1]) if len(last) else None,
        rate=1 / step if step > 0 else None,
        has_timestamps=True,
        num_times=length,
        num_times_read=len(values),
        num_times_unknown=len(values) - len(finite),
        num_gaps=len(places),
        num_backward=int((steps <= 0).sum()),
        num_missing=int(np.round(steps[is_gap] / step - 1).sum()) if len(places) else 0,
        gaps=tuple((float(values[place]), float(values[place + 1])) for place in longest),
        jitter=float(usual.std()) if len(usual) else None,
        plane=plane,
        timestamps=values if len(values) == length else None,
        lacking=file.lacking(times),
    )


def _steps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the steps between neighbouring times; NaN where one of them is no number."""
    with np.errstate(invalid="ignore"):
        steps = np.diff(values)
    steps[~np.isfinite(steps)] = np.nan
    return steps


def _of_intervals(file: StoredFile, path: str) -> StreamTimes:
    starts, stops = file.member_value(path, "start_time"), file.member_value(path, "stop_time")
    starts, stops = (
        np.asarray([] if each is None else each, dtype=np.float64) for each in (starts, stops)
    )
    edges = np.concatenate([starts, stops])
    edges = edges[np.isfinite(edges)]
    return StreamTimes(
        path=path,
        kind=_INTERVALS,
        num_samples=len(starts),
        start=float(edges.min()) if len(edges) else None,
        end=float(edges.max()) if len(edges) else None,
    )


def _plane_of(file: StoredFile, path: str) -> str | None:
    """Return the imaging plane of a series of pixels or of traces."""
    plane = file.member(path, "imaging_plane")
    rois = file.member(path, "rois")
    if plane is None and rois is not None:
        table = file.referenced(rois, "table")
        plane = None if table is None else file.member(table, "imaging_plane")
    return plane


def _marks(stream: StreamTimes, streams: Sequence[StreamTimes], file: StoredFile) -> Iterator[str]:
    """Yield what disagrees about the times of a stream, in sentences."""
    if stream.num_times_unknown:
        yield f"{_timestamps_are(stream.num_times_unknown)} NaN or infinite."
    if stream.num_backward:
        yield f"{_timestamps_are(stream.num_backward)} not later than the one before."
    if stream.has_timestamps and stream.num_times != stream.num_samples:
        yield f"It has {stream.num_samples} samples, but {stream.num_times} timestamps."
    is_timed = stream.num_times > 0 or stream.rate is not None
    if stream.kind != _INTERVALS and stream.num_samples > 1 and not is_timed:
        yield (
            "Neither a rate nor timestamps state when its samples were taken."
            if stream.stated_rate is None
            else f"It states a rate of {stream.stated_rate:g} Hz, which gives its samples no times."
        )
    if stream.lacking:
        yield stream.lacking
    plane = stream.plane
    planned = None if plane is None else file.member_value(plane, "imaging_rate")
    if _differ(stream.rate, planned):
        yield f"Its imaging plane states a rate of {planned:g} Hz, the series {stream.rate:g} Hz."
    yield from _against_movie(stream, streams, file)


def _timestamps_are(number: int) -> str:
    return f"{counted(number, 'timestamp')} {'is' if number == 1 else 'are'}"


def _differ(first: float | None, second: object) -> bool:
    if first is None or not isinstance(second, (int, float)) or not second > 0:
        return False
    return abs(first - second) > _RATE_TOLERANCE * second


def _against_movie(
    stream: StreamTimes, streams: Sequence[StreamTimes], file: StoredFile
) -> Iterator[str]:
    """Yield differences between traces and the movies on the same plane, if all movies differ."""
    if stream.plane is None or file.member(stream.path, "rois") is None:
        return
    movies = [
        each
        for each in streams
        if each.plane == stream.plane and file.member(each.path, "imaging_plane")
        # Frames in other files may be any number, and a series without frames is of no traces.
        if each.num_samples
    ]
    if not movies or any(_agree(stream, each) for each in movies):
        return
    movie = next((each for each in movies if each.num_samples == stream.num_samples), movies[0])
    if stream.num_samples != movie.num_samples:
        yield (
            f"It has {stream.num_samples} samples, '{movie.name}' on the same plane "
            f"{movie.num_samples} frames."
        )
    else:
        yield f"Its times differ from those of '{movie.name}' on the same plane."


def _agree(stream: StreamTimes, movie: StreamTimes) -> bool:
    if stream.num_samples != movie.num_samples:
        return False
    if None in (stream.start, stream.end, movie.start, movie.end) or not movie.rate:
        return True
    allowed = _SAMPLES_TOLERANCE / movie.rate
    assert stream.start is not None and stream.end is not None  # noqa: PT018
    assert movie.start is not None and movie.end is not None  # noqa: PT018
    return abs(stream.start - movie.start) <= allowed and abs(stream.end - movie.end) <= allowed
