"""Times of an interface's samples, and their alignment to the clock of the session."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.dtypes import as_seconds
from nwb_ophys.errors import MetadataError, shown
from nwb_ophys.timing import (
    Clock,
    Datetimes,
    as_nanoseconds,
    extractor_times,
    interpolate_times,
    is_without_times,
    regular_times,
    usable_rate,
    warn_of_distance,
)

if TYPE_CHECKING:
    from pynwb import NWBFile


def _former_names(**names: str) -> Callable[[Any], Any]:
    """Return a decorator for methods whose arguments had other names, which still work."""

    def decorate(method: Any) -> Any:
        @functools.wraps(method)
        def call(self: Any, *args: Any, **given: Any) -> Any:
            renamed = {names.get(name, name): value for name, value in given.items()}
            return method(self, *args, **renamed)

        return call

    return decorate


@attrs.frozen(kw_only=True)
class TimesOrigin:
    """File from which the times of a stream were set.

    Attributes
    ----------
    path : pathlib.Path
    settings : Mapping of str to object
        Rules by which they were read.
    """

    path: Path
    settings: Mapping[str, Any]


class TimeAlignment:
    """Mixin that reads and sets the times of the samples of ``self.extractor``."""

    extractor: Any
    times_origin: TimesOrigin | None = None
    """File from which the times were set; None for times of another origin."""
    _unshifted: NDArray[np.float64] | None = None
    """Times before the shift; None when they were not shifted."""
    _shift_s = 0.0
    """Seconds by which they were shifted."""
    _datetimes: Datetimes | None = None
    """Dates and times of the samples, which become seconds when the start of the session is known.
    """
    _are_counted = False
    """Whether the dates and times have become seconds, by the start of the last file."""
    _delay_in_movie = 0.0
    """Seconds from the start of a movie of several recordings to that of these times."""
    _is_aligned = False
    """Whether the user has set the times."""
    _clock_of_movie: Clock | None = None
    """Times of the movie, which traces get instead of their own."""
    _is_compared = False
    """Whether the caller has compared the stream with the others of the file."""

    @contextmanager
    def compared(self, clock: Clock | None) -> Iterator[None]:
        """Write the stream with the times of its movie, without comparing it again.

        Parameters
        ----------
        clock : Clock or None
            The times of the movie that traces get; None to keep their own.
        """
        before = self._clock_of_movie, self._is_compared
        self._clock_of_movie, self._is_compared = clock, True
        try:
            yield
        finally:
            self._clock_of_movie, self._is_compared = before

    @property
    def times_are_set(self) -> bool:
        """Return whether the user has set or shifted the times."""
        return self._is_aligned

    @property
    def timestamps_are_set(self) -> bool:
        """Return whether the user has set a time for each sample, not only a shift of all."""
        return self._is_aligned and self._unshifted is None

    @property
    def aligned_starting_time(self) -> float | None:
        """Return the seconds by which the user has shifted all times; None without a shift."""
        return self._shift_s if self._is_aligned and self._unshifted is not None else None

    @property
    def is_shifted(self) -> bool:
        """Return whether the times count from the start of the session, not of the recording."""
        return self._unshifted is not None

    def get_original_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds, as the source counts them."""
        native = self.extractor.get_native_timestamps()
        return self._regular_timestamps() if native is None else np.asarray(native, dtype=float)

    def get_timestamps(self) -> NDArray[np.float64]:
        """Return the times of the samples in seconds, as they will be written.

        Raises
        ------
        MetadataError
            If they were set as dates and times, since the start of the session is not known yet.
        """
        if self._datetimes is not None and not self._are_counted:
            raise MetadataError(
                f"The times of {type(self).__name__} are dates and times, which become seconds "
                "when they are written, by the start of the session; set other times, or use "
                "get_datetimes()."
            )
        times = extractor_times(self.extractor)
        return self._regular_timestamps() if times is None else times

    def _regular_timestamps(self) -> NDArray[np.float64]:
        rate = usable_rate(self.extractor.get_sampling_frequency())
        if rate is None:
            raise MetadataError(
                f"{type(self).__name__}: the source states no sampling frequency; give one, or "
                "timestamps with set_aligned_timestamps()."
            )
        return regular_times(int(self.extractor.get_num_samples()), rate)

    @_former_names(t="aligned_timestamps")
    def set_aligned_timestamps(self, aligned_timestamps: ArrayLike) -> None:
        """Set the times of the samples.

        Parameters
        ----------
        aligned_timestamps : array-like of float, shape (samples,)
            Times in seconds from the start of the session.
        """
        self._set_times(aligned_timestamps)
        self._unshifted, self._is_aligned, self.times_origin = None, True, None
        self._datetimes = None

    def set_aligned_datetimes(self, datetimes: ArrayLike, *, in_utc: bool) -> None:
        """Set the times of the samples as dates and times.

        They are written as seconds from the start of the session, or from the
        ``timestamps_reference_time`` if the metadata states one.

        Parameters
        ----------
        datetimes : array-like of numpy.datetime64, shape (samples,)
            Exact to the nanosecond.
        in_utc : bool
            Whether they are in UTC. Otherwise they are local times, in the time zone in which the
            start of the session is stated.
        """
        nanoseconds = as_nanoseconds(datetimes, f"The times for {type(self).__name__}")
        self.set_aligned_timestamps((nanoseconds - nanoseconds[:1]) / 1e9)
        self._datetimes = Datetimes(nanoseconds=nanoseconds, in_utc=in_utc)
        self._are_counted = False

    def get_datetimes(self) -> NDArray[np.datetime64] | None:
        """Return the dates and times that were set; None for times of another kind."""
        found = self._datetimes
        return None if found is None else found.nanoseconds.view("datetime64[ns]")

    def count_from_start_of(self, nwbfile: NWBFile) -> None:
        """Count times that were set as dates and times from the time zero of a file.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        """
        if self._datetimes is None:
            return
        seconds = self._datetimes.seconds_from(nwbfile.timestamps_reference_time)
        if not np.array_equal(seconds, self.extractor.get_timestamps()):
            warn_of_distance(seconds, f"The first date and time of {type(self).__name__}")
            self._set_times(seconds)
        self._are_counted = True

    @_former_names(t0="aligned_starting_time")
    def set_aligned_starting_time(self, aligned_starting_time: float) -> None:
        """Shift all times by the start of this recording on the clock of the session.

        Parameters
        ----------
        aligned_starting_time : float
            Zero of the recording's own clock, in seconds from the start of the session. A second
            call replaces the shift instead of adding to it.
        """
        is_number = np.asarray(aligned_starting_time).dtype.kind in "iuf"
        if not (is_number and np.isfinite(aligned_starting_time)):
            raise MetadataError(
                f"The starting time is {shown(aligned_starting_time)}; it must be a finite number "
                "of seconds."
            )
        self._shift(float(aligned_starting_time))
        self._is_aligned = True

    def shift_to_session_start(self, delay: float) -> None:
        """Count times from the start of the session, unless the user has set them.

        Parameters
        ----------
        delay : float
            Seconds from the start of the session to the start of this recording.
        """
        has_times = not is_without_times(self.extractor)
        total = delay + self._delay_in_movie
        if has_times and not self._is_aligned and (total or self._unshifted is not None):
            self._shift(total)

    def count_from_movie(self, delay: float) -> None:
        """Count times from the start of a movie that joins several recordings.

        Parameters
        ----------
        delay : float
            Seconds from the start of the movie to that of the recording of these times. It is kept
            when the times are shifted to the start of a session.
        """
        self._delay_in_movie = delay
        self.shift_to_session_start(0.0)

    def _shift(self, t0: float) -> None:
        unshifted = self.get_timestamps() if self._unshifted is None else self._unshifted
        self._set_times(unshifted + t0)
        self._unshifted, self._shift_s = unshifted, t0

    @_former_names(unaligned="unaligned_timestamps", aligned="aligned_timestamps")
    def align_by_interpolation(
        self, unaligned_timestamps: ArrayLike, aligned_timestamps: ArrayLike
    ) -> None:
        """Convert the times to the clock of the session by events known on both clocks.

        Parameters
        ----------
        unaligned_timestamps, aligned_timestamps : array-like of float, shape (events,)
            The same events on this recording's clock and on the clock of the session, in seconds.
        """
        times = interpolate_times(self.get_timestamps(), unaligned_timestamps, aligned_timestamps)
        self.set_aligned_timestamps(times)

    def _set_times(self, times: ArrayLike) -> None:
        vector = as_seconds(times, f"The timestamps for {type(self).__name__}")
        num_samples = int(self.extractor.get_num_samples())
        if vector.shape != (num_samples,):
            raise MetadataError(
                f"{type(self).__name__}: {num_samples} samples need {num_samples} timestamps in "
                f"one vector; got the shape {vector.shape}."
            )
        self.extractor.set_times(vector)
