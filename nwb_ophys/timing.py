"""Sample times: a constant rate or one time per sample, and the arithmetic of alignment."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.dtypes import as_seconds
from nwb_ophys.errors import MetadataError, OptionError, SourceError

TOLERANCE = 1e-6
"""Largest error in seconds with which a constant rate may replace a time vector."""

LOWEST_RATE, HIGHEST_RATE = 1e-6, 1e6
"""Rates in Hz that a source can state."""

_ROUNDING = 1e-6
"""Relative difference of two rates that rounding explains."""

# Share by which steps of even times differ, and rates that are the same.
_NEAR, _FEWEST_STEPS = 0.1, 3

_ONE_DAY_S = 86400.0

PLAUSIBLE = 30.0
"""Factor within which two rates can be of the same unit: units of time lie 1000 apart."""

LONGEST_S = 1e9
"""Seconds that are longer than any recording."""

UNITS: Mapping[str, float] = {
    word: factor
    for factor, words in (
        (1.0, "s sec secs second seconds"),
        (1e-3, "ms msec msecs millisecond milliseconds"),
        (1e-6, "us \u00b5s \u03bcs usec usecs microsecond microseconds"),
        (1e-9, "ns nsec nanosecond nanoseconds"),
        (60.0, "min minute minutes"),
    )
    for word in words.split()
}
"""Seconds in each unit of time."""


@attrs.frozen(kw_only=True)
class Clock:
    """The times of a series: either a rate with the time of the first sample, or timestamps.

    Attributes
    ----------
    rate : float or None
        Samples per second.
    starting_time : float or None
        Time of the first sample in seconds.
    timestamps : numpy.ndarray or None
        Time of each sample in seconds, float64.
    """

    rate: float | None = None
    starting_time: float | None = None
    timestamps: NDArray[np.float64] | None = attrs.field(default=None, eq=False)

    @property
    def is_regular(self) -> bool:
        """Return whether a rate describes the times."""
        return self.timestamps is None

    def times(self, num_samples: int) -> NDArray[np.float64]:
        """Return the time of each sample in seconds."""
        if self.timestamps is not None:
            return self.timestamps
        if self.rate is None:
            raise MetadataError("The times are unknown, because there is no rate; state one.")
        return regular_times(num_samples, self.rate, self.starting_time or 0.0)


_EPOCH = datetime.datetime(1970, 1, 1)


def utc_time(seconds: int) -> datetime.datetime:
    """Return the date and time in UTC by the seconds since 1970.

    Disks of Windows and of cameras state 1601 for files without a time; the function of Python for
    this refuses times before 1970 on Windows.
    """
    return _EPOCH.replace(tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def nanoseconds_of(moment: datetime.datetime) -> int:
    """Return the nanoseconds from 1970 to a date and time, in UTC if it has a time zone."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    past = moment - _EPOCH
    return (past.days * 86400 + past.seconds) * 10**9 + past.microseconds * 1000


def as_nanoseconds(datetimes: ArrayLike, what: str) -> NDArray[np.int64]:
    """Return dates and times as nanoseconds from the beginning of 1970.

    Parameters
    ----------
    datetimes : array-like of numpy.datetime64
    what : str
        Their name, for messages.

    Raises
    ------
    SourceError
        For values of another type, absent ones, and those that int64 cannot hold.
    """
    values = np.asarray(datetimes)
    if values.dtype.kind != "M":
        raise SourceError(
            f"{what} are of type {values.dtype}; give an array of numpy.datetime64, such as "
            "numpy.array(['2024-05-17T12:30:00.5'], 'datetime64[ns]')."
        )
    if np.isnat(values).any():
        index = int(np.argmax(np.isnat(values)))
        raise SourceError(f"{what} lack a date and time at index {index} (NaT).")
    try:
        found = values.astype("datetime64[ns]")
        is_exact = np.array_equal(found.astype(values.dtype), values)
    except OverflowError:  # of NumPy 2.5 and later; earlier versions wrap around
        is_exact = False
    if not is_exact:
        raise SourceError(f"{what} cannot be held as nanoseconds in 64 bits.")
    return found.view(np.int64)


@attrs.frozen(kw_only=True, eq=False)
class Datetimes:
    """Dates and times of samples.

    Attributes
    ----------
    nanoseconds : numpy.ndarray of int64
        From the beginning of 1970.
    in_utc : bool
        Whether they are in UTC. Otherwise their time zone is unknown, and they count as local
        times where the session is.
    """

    nanoseconds: NDArray[np.int64]
    in_utc: bool

    def later(self, seconds: NDArray[np.float64]) -> Datetimes:
        """Return the dates and times that lie some seconds after the first one."""
        steps = np.rint(seconds * 1e9).astype(np.int64)
        return attrs.evolve(self, nanoseconds=self.nanoseconds[0] + steps)

    def seconds_after(self, nanoseconds: int | np.int64 | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the seconds after a date and time that is given as the others are."""
        return (self.nanoseconds - nanoseconds) / 1e9

    def seconds_from(self, start: datetime.datetime) -> NDArray[np.float64]:
        """Return the seconds from a date and time, which has a time zone."""
        zero = nanoseconds_of(start if self.in_utc else start.replace(tzinfo=None))
        return self.seconds_after(zero)

    def in_words(self, index: int) -> str:
        """Return one date and time for messages."""
        text = str(self.nanoseconds[index].astype("datetime64[ns]"))
        text = text.replace("T", " ").rstrip("0").removesuffix(".")
        return f"{text} UTC" if self.in_utc else text


def warn_of_distance(seconds: NDArray[np.float64], what: str) -> None:
    """Warn if times that were dates begin before the session, or more than a day after its start.

    Parameters
    ----------
    seconds : numpy.ndarray of float64
        From the start of the session.
    what : str
        Name of the first one, for the message.
    """
    if seconds.size and not 0 <= seconds[0] <= _ONE_DAY_S:
        side = "before" if seconds[0] < 0 else "after"
        warnings.warn(
            f"{what} is {abs(seconds[0]):.6g} s {side} the start of the session; check the start "
            "and the time zones.",
            UserWarning,
            stacklevel=4,
        )


def extractor_times(extractor: Any) -> NDArray[np.float64] | None:
    """Return the time vector of an extractor: the one that was set, else the source's, else None.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor

    Returns
    -------
    numpy.ndarray of float64, shape (samples,), or None
        In seconds.

    Raises
    ------
    SourceError
        When the numbers of times and samples differ.
    """
    if extractor.has_time_vector():
        times = extractor.get_timestamps()
    else:
        times = extractor.get_native_timestamps()
    if times is None:
        return None
    times = as_seconds(times, f"The timestamps of {type(extractor).__name__}")
    if times.shape != (int(extractor.get_num_samples()),):
        raise SourceError(
            f"{type(extractor).__name__} gives {times.size} timestamps for "
            f"{extractor.get_num_samples()} samples; set one timestamp per sample."
        )
    return times


def clock_of(
    extractor: Any,
    rate: float | None = None,
    starting_time: float | None = None,
    *,
    label: str | None = None,
) -> Clock:
    """Find the shortest true description of an extractor's times.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor
    rate : float, optional
        A rate in Hz that the user states. It replaces regular times; irregular times override it.
    starting_time : float, optional
        Time of the first sample in seconds that the user states, under the same rule.
    label : str, optional
        Name of the extractor with its file, for messages; its class by default.

    Raises
    ------
    MetadataError
        When neither the extractor nor the user states a rate or times.
    """
    label = label or type(extractor).__name__
    times = extractor_times(extractor)
    stated = extractor.get_sampling_frequency()
    nominal = usable_rate(stated)
    if times is None or times.size == 0:
        clock = Clock(rate=nominal, starting_time=0.0)
    else:
        clock = describe_times(times, rate if nominal is None else nominal, label=label)
    if not clock.is_regular:
        return clock
    if rate is None and clock.rate is None:
        if stated is not None:
            _checked_rate(stated)
        raise MetadataError(
            f"{label} states no sampling frequency and no timestamps; give "
            "sampling_frequency to the interface, a rate in the metadata of the series, or "
            "timestamps with set_aligned_timestamps()."
        )
    found_rate = clock.rate if rate is None else rate
    found_start = clock.starting_time if starting_time is None else starting_time
    return Clock(rate=_checked_rate(found_rate), starting_time=float(found_start or 0.0))


_TIMES_FOLLOW: ContextVar[bool] = ContextVar("times_follow", default=False)


@contextmanager
def times_follow(is_so: bool = True) -> Iterator[None]:
    """Let sources that state no rate be opened within the block, before their times are set.

    Parameters
    ----------
    is_so : bool
        Whether times will be set; without them, a rate is required.
    """
    token = _TIMES_FOLLOW.set(is_so)
    try:
        yield
    finally:
        _TIMES_FOLLOW.reset(token)


def do_times_follow() -> bool:
    """Return whether the times of the sources will be set after they are opened."""
    return _TIMES_FOLLOW.get()


def require_rate(error: Exception) -> None:
    """Raise the error of a source without a rate, unless the times of its samples will be set.

    The rate is then None. A source whose times are not set after all is refused when it is written.

    Parameters
    ----------
    error : Exception
        States how to give the rate.
    """
    if not do_times_follow():
        raise error


def is_without_times(extractor: Any) -> bool:
    """Return whether an extractor has neither a rate nor a time of each sample."""
    rate = usable_rate(extractor.get_sampling_frequency())
    return rate is None and extractor_times(extractor) is None


def usable_rate(rate: Any) -> float | None:
    """Return a rate that a source states if a recording can have it, else None."""
    found = np.nan if rate is None else float(rate)
    return found if LOWEST_RATE <= found <= HIGHEST_RATE else None


def _checked_rate(rate: Any) -> float:
    rate = float(rate)
    if not (np.isfinite(rate) and rate > 0):
        raise MetadataError(f"A sampling rate must be a positive number of Hz, not {rate}.")
    return rate


def describe_times(
    times: ArrayLike, nominal_rate: float | None = None, *, label: str | None = None
) -> Clock:
    """Describe a time vector by a rate if one reproduces it within ``TOLERANCE``.

    Parameters
    ----------
    times : array-like of float, shape (samples,)
        In seconds.
    nominal_rate : float, optional
        The source's rate in Hz, preferred if it fits, and the rate of a single sample.
    label : str, optional
        Name of the source with its file, for warnings.

    Returns
    -------
    Clock
        With a rate and the first time, else with the timestamps. Warns of times that go backwards
        or are not finite.
    """
    vector = np.asarray(times, dtype=np.float64)
    if not np.isfinite(vector).all():
        number = np.count_nonzero(~np.isfinite(vector))
        _warn(f"{number} of {vector.size} timestamps{_of(label)} are not finite")
        return Clock(timestamps=vector)
    if vector.size == 1 and nominal_rate is not None:
        return Clock(rate=nominal_rate, starting_time=float(vector[0]))
    if vector.size < 2:
        return Clock(timestamps=vector)
    steps = np.diff(vector)
    if (steps <= 0).any():
        backwards = int(np.count_nonzero(steps < 0))
        fault = f"go backwards at {backwards}" if backwards else f"repeat at {(steps == 0).sum()}"
        _warn(f"Timestamps{_of(label)} {fault} of {vector.size} samples")
        return Clock(timestamps=vector)
    rate = _constant_rate(vector, nominal_rate)
    if rate is None:
        return Clock(timestamps=vector)
    return Clock(rate=rate, starting_time=float(vector[0]))


def _of(label: str | None) -> str:
    return f" of {label}" if label else ""


def _warn(what: str) -> None:
    warnings.warn(f"{what}; they are written unchanged.", UserWarning, stacklevel=4)


def _constant_rate(times: NDArray[np.float64], nominal: float | None) -> float | None:
    """Return a rate in Hz that reproduces the times from the first one on, or None.

    Sample i allows the periods from (t_i - t_0 - tolerance) / i to (t_i - t_0 + tolerance) / i;
    a constant rate exists exactly if all these intervals have a period in common.
    """
    index = np.arange(1, times.size)
    elapsed = times[1:] - times[0]
    shortest = float(((elapsed - TOLERANCE) / index).max())
    longest = float(((elapsed + TOLERANCE) / index).min())
    if shortest > longest or shortest <= 0:  # the period cannot be told from zero
        return None
    middle = 2.0 / (shortest + longest)
    average = (times.size - 1) / elapsed[-1]
    # The simplest number that fits is most likely the setting of the instrument.
    for rate in (nominal, round(average), float(f"{average:.6g}"), average, middle):
        if rate is not None and rate > 0 and shortest <= 1.0 / rate <= longest:
            return float(rate)
    return None


def rate_of_times(times: ArrayLike | None, nominal_rate: float) -> float:
    """Return the rate of a series that is written with given times.

    Parameters
    ----------
    times : array-like of float, shape (samples,), or None
        In seconds; None if only a rate is known.
    nominal_rate : float
        The source's rate in Hz.

    Returns
    -------
    float
        In Hz. The rate that reproduces the times within ``TOLERANCE``, which is the nominal one if
        it does, or else the inverse of their median interval, as roiextractors defines the rate of
        timestamps. The nominal rate where the two differ by rounding only, and where the intervals
        are uneven by design, such as those of a plane that is swept forth and back.
    """
    vector = np.empty(0) if times is None else np.asarray(times, dtype=np.float64)
    if vector.size < 2 or not np.isfinite(vector).all():
        return nominal_rate
    intervals = np.diff(vector)
    rate = _constant_rate(vector, nominal_rate) if (intervals >= 0).all() else None
    if rate is not None:
        return rate
    median = float(np.median(intervals))
    is_rounding = abs(median * nominal_rate - 1) < _ROUNDING
    is_uneven = (np.abs(intervals - median) > median / 5).mean() > 0.25
    return nominal_rate if is_rounding or is_uneven or median <= 0 else 1 / median


def other_rate(times: ArrayLike, stated_rate: float) -> float | None:
    """Return the rate of even times if it is another one than a source states, else None.

    Parameters
    ----------
    times : array-like of float, shape (samples,)
        In seconds.
    stated_rate : float
        In Hz.

    Returns
    -------
    float or None
        In Hz. None where the rates lie within a tenth of each other, and where the times are few,
        uneven or not finite, so that they have no rate.
    """
    vector = np.asarray(times, dtype=np.float64)
    if vector.size <= _FEWEST_STEPS or not np.isfinite(vector).all():
        return None
    steps = np.diff(vector)
    typical = float(np.median(steps))
    is_even = float((np.abs(steps - typical) < _NEAR * typical).mean()) > 1 - _NEAR
    return 1 / typical if is_even and abs(stated_rate * typical - 1) > _NEAR else None


def seconds_per(given: str | None, stated: str | None, what: str) -> float | None:
    """Return the seconds in the unit of some times.

    Parameters
    ----------
    given : str or None
        The unit that the user gives.
    stated : str or None
        The unit that the file states.
    what : str
        Name of the times, for messages.

    Returns
    -------
    float or None
        None where neither is known.

    Raises
    ------
    OptionError
        If a unit is unknown, or if the two differ.
    """
    chosen = None if given is None else UNITS.get(given.lower())
    if given is not None and chosen is None:
        raise OptionError(f"unit is '{given}'; it must be s, ms, us, ns or min.")
    found = None if stated is None else UNITS.get(stated.lower())
    if chosen is None and stated is not None and found is None:
        raise OptionError(
            f"The unit of {what} is '{stated}'; give unit= with the right one of s, ms, us, ns or "
            "min."
        )
    if chosen is not None and found not in (None, chosen):
        raise OptionError(f"unit={given} is given, but {what} states the unit '{stated}'.")
    return found if chosen is None else chosen


def regular_times(num_samples: int, rate: float, starting_time: float = 0.0) -> NDArray[np.float64]:
    """Return the times in seconds of samples taken at a constant rate in Hz."""
    return starting_time + np.arange(num_samples, dtype=np.float64) / rate


def interpolate_times(
    times: ArrayLike, unaligned: ArrayLike, aligned: ArrayLike
) -> NDArray[np.float64]:
    """Convert times from one clock to another, given the times of some events on both clocks.

    Parameters
    ----------
    times : array-like of float
        Times on the unaligned clock, in seconds.
    unaligned, aligned : array-like of float, shape (events,)
        Times of the same events on each clock in seconds, both ascending.

    Returns
    -------
    numpy.ndarray of float64
        Linear between the events. Outside them the slope of the nearest pair is extended, since
        ``numpy.interp`` would repeat the last value and give many samples the same time.

    Raises
    ------
    MetadataError
        When there are fewer than two events, their numbers differ, or their times do not ascend.
    """
    source = as_seconds(unaligned, "The unaligned times of the events")
    target = as_seconds(aligned, "The aligned times of the events")
    if source.shape != target.shape or source.ndim != 1 or source.size < 2:
        raise MetadataError(
            f"Alignment needs two vectors of the same length, with at least two times; got shapes "
            f"{source.shape} and {target.shape}."
        )
    finite = np.isfinite(source).all() and np.isfinite(target).all()
    if not (finite and (np.diff(source) > 0).all() and (np.diff(target) >= 0).all()):
        raise MetadataError("The times for alignment must be finite and ascend on both clocks.")
    vector = np.asarray(times, dtype=np.float64)
    result = np.asarray(np.interp(vector, source, target))
    for outside, first, last in ((vector < source[0], 0, 1), (vector > source[-1], -2, -1)):
        slope = (target[last] - target[first]) / (source[last] - source[first])
        result[outside] = target[first] + slope * (vector[outside] - source[first])
    return result
