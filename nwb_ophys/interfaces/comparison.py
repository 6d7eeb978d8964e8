"""Comparison of the times and fields of traces with those of their movie."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import NwbOphysError, OptionError
from nwb_ophys.timing import Clock, clock_of

RATE_TOLERANCE = 1e-3
"""Largest relative difference of rates that agree: a rate is often rounded, such as 30.01 to 30."""

# Intervals of timestamps vary, and frames are lost, so that their rate is known less exactly.
_TOLERANCE_OF_TIMESTAMPS = 1e-2


@attrs.frozen(kw_only=True, eq=False)
class Timed:
    """Samples of one stream and their times.

    Attributes
    ----------
    name : str
    num_samples : int
    clock : Clock
        With a rate, or with timestamps.
    """

    name: str
    num_samples: int
    clock: Clock

    @property
    def times(self) -> NDArray[np.float64]:
        """The time of each sample in seconds."""
        return self.clock.times(self.num_samples)

    @property
    def rates(self) -> tuple[float, ...]:
        """The rate in Hz; of timestamps that by the usual interval, then that over all."""
        times = self.clock.timestamps
        if times is None:
            return (float(self.clock.rate or 0),)
        periods = np.diff(times)
        if not periods.size or not np.isfinite(periods).all() or (periods <= 0).any():
            return ()
        return (1 / float(np.median(periods)), periods.size / float(periods.sum()))

    @property
    def rate_in_words(self) -> str:
        """The rate, such as ``30 Hz``."""
        exact = "" if self.clock.timestamps is None else "about "
        return f"{exact}{self.rates[0]:.6g} Hz" if self.rates else "no constant rate"

    @property
    def duration(self) -> float:
        """Seconds from the first sample to the end of the last one."""
        if self.clock.timestamps is None or not self.rates:
            return self.num_samples / self.rates[0] if self.rates else 0.0
        return float(self.times[-1] - self.times[0]) + 1 / self.rates[0]

    def is_simultaneous(self, other: Timed) -> bool:
        """Return whether the samples of another stream have the same times, within half a frame."""
        if self.num_samples != other.num_samples or not self.rates:
            return False
        return bool((np.abs(self.times - other.times) <= 0.5 / self.rates[0]).all())

    @property
    def length_in_words(self) -> str:
        """The number of samples with their duration, such as ``80 samples (2 s at 30 Hz)``."""
        return f"{self.num_samples} samples ({self.duration:.4g} s at {self.rate_in_words})"


def timed(
    name: str, extractor: Any, rate: float | None = None, starting_time: float | None = None
) -> Timed | None:
    """Return the samples of an extractor with their times; None where the times are unknown.

    Parameters
    ----------
    name : str
        Name of the stream.
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor
    rate, starting_time : float, optional
        Stated in the metadata; see :func:`nwb_ophys.timing.clock_of`.
    """
    try:
        num_samples = int(extractor.get_num_samples())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the writer of the series warns
            clock = clock_of(extractor, rate, starting_time)
    except (NwbOphysError, TypeError, NotImplementedError, AttributeError):
        return None  # the writer of the series says which times are missing
    return Timed(name=name, num_samples=num_samples, clock=clock) if num_samples else None


def simultaneous(movies: Sequence[Timed | None]) -> Timed | None:
    """Return the first of some movies if all have the same times, such as channels; else None."""
    first = movies[0] if movies else None
    if first is None or any(each is None or not each.is_simultaneous(first) for each in movies):
        return None
    return first


@attrs.frozen(kw_only=True)
class Alignment:
    """Ways to decide between the times of traces and of their movie.

    Attributes
    ----------
    align : {"movie", "own", None}
        Choice of the user.
    can_align : bool
        Whether the stream has the option ``align``.
    is_set : bool
        Whether the user has set the times, which are then not compared.
    has_times : bool
        Whether the source states a time for each sample.
    has_rate : bool
        Whether the user stated the rate.
    states_start : bool
        Whether the source states when it began.
    movie_is_timed : bool
        Whether the user has set a time for each frame of the movie.
    noun : str
        The word for the samples of the stream.
    """

    align: str | None = None
    can_align: bool = True
    is_set: bool = False
    has_times: bool = False
    has_rate: bool = False
    states_start: bool = False
    movie_is_timed: bool = False
    noun: str = "traces"


@attrs.define
class Notes:
    """Warnings about streams, of which those with the same words are one.

    ``{streams}`` in a text is replaced by the names of the streams.
    """

    found: dict[str, list[str]] = attrs.field(factory=dict)

    def add(self, text: str, stream: str) -> None:
        """Add a note about a stream."""
        self.found.setdefault(text, []).append(stream)

    def warn(self, stacklevel: int = 3) -> None:
        """Emit all notes as warnings."""
        for text, streams in self.found.items():
            shown = listed(streams)
            warnings.warn(text.replace("{streams}", shown), UserWarning, stacklevel=stacklevel)


def listed(names: Iterable[str], most: int = 6) -> str:
    """Return names in quotes, joined by commas and ``and``."""
    quoted = [f"'{name}'" for name in names]
    if len(quoted) > most:
        return f"{', '.join(quoted[: most - 1])} and {len(quoted) - most + 1} others"
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def shape_in_words(field: Sequence[int]) -> str:
    """Return a field such as ``64 x 48 (x, y)``."""
    return f"{' x '.join(map(str, field))} ({', '.join('xyz'[: len(field)])})"


def clock_to_take(own: Timed | None, movie: Timed, chosen: Alignment, notes: Notes) -> Clock | None:
    """Compare traces with their movie; return the clock of the movie where they get its times.

    Parameters
    ----------
    own : Timed or None
        None if the rate of the traces is unknown.
    movie : Timed
    chosen : Alignment
    notes : Notes
        Disagreements are added.

    Raises
    ------
    OptionError
        If ``align=movie`` is not possible.
    """
    if chosen.align == "movie":
        return _required(own, movie, chosen)
    if own is None:
        return movie.clock
    if own.num_samples != movie.num_samples:
        if not _is_downsampled(own, movie):
            notes.add(
                f"The {chosen.noun} of {{streams}} have {own.length_in_words}, but the movie "
                f"'{movie.name}' has {movie.length_in_words}. Both are written as they are; check "
                "whether they belong together and are complete.",
                own.name,
            )
        return None
    if chosen.align == "own" or chosen.is_set:
        return None
    if chosen.has_times:
        _note_difference(own, own, movie, chosen, notes)
        return None
    if chosen.has_rate:
        return _with_own_rate(own, movie, chosen, notes)
    if chosen.can_align:
        return _by_rate(own, movie, chosen, notes)
    if own.clock.is_regular and not rates_agree(own, movie):
        _note_rates(own, movie, chosen, notes)
    return None


def _required(own: Timed | None, movie: Timed, chosen: Alignment) -> Clock | None:
    if own is not None and own.num_samples != movie.num_samples:
        raise OptionError(
            f"align=movie is given for '{own.name}', whose traces have {own.num_samples} samples, "
            f"but the movie '{movie.name}' has {movie.num_samples}; only traces with one sample "
            "per frame can have its times. Leave the option out."
        )
    return movie.clock


def _by_rate(own: Timed, movie: Timed, chosen: Alignment, notes: Notes) -> Clock | None:
    """Compare traces that state only a rate with a movie of as many samples."""
    agrees = rates_agree(own, movie)
    if chosen.movie_is_timed or not movie.clock.is_regular:
        if not movie.rates:  # times that are not finite or go backwards, of which its writer warns
            return None
        apart = abs((own.clock.starting_time or 0.0) - float(movie.times[0]))
        if chosen.states_start and apart > 0.5 / movie.rates[0]:
            _note_difference(own, own, movie, chosen, notes)
            return None
        if not agrees:
            notes.add(
                f"The source of {{streams}} states a rate of {own.rate_in_words}, but the frames "
                f"of the movie '{movie.name}' have timestamps at {movie.rate_in_words}. The traces "
                "get these timestamps, one per frame; give align=own (--option align=own) to write "
                f"them at {own.rate_in_words}.",
                own.name,
            )
        return movie.clock
    if not agrees:
        _note_rates(own, movie, chosen, notes)
        return None
    start = own.clock.starting_time if chosen.states_start else movie.clock.starting_time
    taken = attrs.evolve(movie.clock, starting_time=start)
    is_same = (taken.rate, taken.starting_time) == (own.clock.rate, own.clock.starting_time)
    return None if is_same else taken


def _note_rates(own: Timed, movie: Timed, chosen: Alignment, notes: Notes) -> None:
    remedy = (
        "If the first is wrong, state the right one in the metadata, as the rate of its series."
    )
    if chosen.can_align:
        remedy = (
            f"The traces are written at {own.rate_in_words}; give align=movie (--option "
            "align=movie) to write them with the times of the movie, or align=own to hide this "
            "note."
        )
    notes.add(
        f"The {chosen.noun} of {{streams}} have a rate of {own.rate_in_words}, but the movie "
        f"'{movie.name}', which has as many samples, {movie.rate_in_words}. {remedy}",
        own.name,
    )


def _with_own_rate(own: Timed, movie: Timed, chosen: Alignment, notes: Notes) -> Clock | None:
    """Compare traces whose rate the user stated; they keep it, and begin with the movie."""
    if movie.clock.is_regular and not rates_agree(own, movie):
        _note_rates(own, movie, chosen, notes)
        return None
    start = own.clock.starting_time if chosen.states_start else float(movie.times[0])
    moved = attrs.evolve(own, clock=attrs.evolve(own.clock, starting_time=start))
    if not movie.clock.is_regular:
        _note_difference(own, moved, movie, chosen, notes)
    return None if start == own.clock.starting_time else moved.clock


def _note_difference(
    own: Timed, shown: Timed, movie: Timed, chosen: Alignment, notes: Notes
) -> None:
    """Note where times differ from those of the movie by more than half a frame."""
    difference = np.abs(shown.times - movie.times)
    if not movie.rates or not np.isfinite(difference).all():
        return
    largest = int(difference.argmax())
    if difference[largest] <= 0.5 / movie.rates[0]:
        return
    remedy = "align the stream, or state its rate in the metadata"
    if chosen.can_align:
        remedy = "give align=movie (--option align=movie) to write the times of the movie, or "
        remedy += "align=own to hide this note"
    notes.add(
        f"The times of {{streams}} and of the movie '{movie.name}', which has as many samples, "
        f"differ by up to {difference[largest]:.4g} s: sample {largest} is at "
        f"{shown.times[largest]:.6g} s and at {movie.times[largest]:.6g} s. Both are written as "
        f"they are; {remedy}.",
        own.name,
    )


def rates_agree(own: Timed, other: Timed) -> bool:
    """Return whether the rate of one stream is that of another one, within its tolerance."""
    tolerance = RATE_TOLERANCE if other.clock.is_regular else _TOLERANCE_OF_TIMESTAMPS
    return any(abs(own.rates[0] - rate) <= tolerance * rate for rate in other.rates)


def _is_downsampled(own: Timed, movie: Timed) -> bool:
    """Return whether traces are of a movie whose frames were averaged or skipped over time."""
    factor = round(movie.num_samples / own.num_samples)
    if factor < 2 or not own.rates or not movie.rates:
        return False
    is_whole = abs(movie.num_samples / factor - own.num_samples) <= 1
    return is_whole and abs(own.rates[0] * factor - movie.rates[0]) <= 0.01 * movie.rates[0]


def stated_times(metadata: Mapping[str, Any], plane_segmentation: str) -> dict[str, Any]:
    """Return the rate and the start that metadata state for the traces of a plane segmentation."""
    stated: dict[str, Any] = {"rate": None, "starting_time": None}
    for container in ("Fluorescence", "DfOverF"):
        traces = (metadata["Ophys"].get(container) or {}).get(plane_segmentation) or {}
        for entry in traces.values() if isinstance(traces, Mapping) else ():
            for key in stated:
                if isinstance(entry, Mapping) and stated[key] is None:
                    stated[key] = entry.get(key)
    return stated
