"""Matching of pulses with the samples of a recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError, counted

PAUSE = 2.5
"""Intervals longer than this many periods separate trains of pulses."""

GAP = 1.5
"""Intervals longer than this many periods are reported."""

LAST_EXTRA = 2
"""Samples whose pulses may follow the last sample in an uninterrupted train."""

_MOST_SHOWN = 4


@attrs.frozen(kw_only=True)
class Rules:
    """Rules by which pulses are matched with samples; see :class:`nwb_ophys.opening.times.Given`.

    Attributes
    ----------
    per_sample : int or None
        Pulses in each sample; None for one, or for one per plane of a volume.
    plane : int
        The pulse in a sample that has its time, from 0.
    extra : {"first", "last", None}
        Which pulses are not used where there are too many.
    missing : {"interpolate", None}
        Whether pulses are inserted where the intervals show that they are missing.
    """

    per_sample: int | None = None
    plane: int = 0
    extra: str | None = None
    missing: str | None = None


@attrs.frozen(kw_only=True, eq=False)
class Matched:
    """Times of samples from pulses.

    Attributes
    ----------
    times : numpy.ndarray of float64, shape (samples,)
        In seconds, on the clock of the pulses.
    per_sample : int
        Pulses in each sample.
    num_given, num_used : int
        All pulses, and those that belong to samples.
    notes : tuple of str
        Sentences about pulses that are not used, that were inserted, and about gaps.
    """

    times: NDArray[np.float64]
    per_sample: int
    num_given: int
    num_used: int
    notes: tuple[str, ...]


def match_pulses(
    pulses: NDArray[np.float64],
    num_samples: int,
    *,
    num_planes: int = 1,
    rules: Rules | None = None,
    noun: str = "frame",
    hint: str = "",
) -> Matched:
    """Return the time of each sample, from the pulses of the acquisition.

    As many pulses as samples are matched one to one. If there are more, they are divided into
    trains by pauses of more than ``PAUSE`` periods: if exactly one row of trains has the right
    number, it is used. If exactly one has up to ``LAST_EXTRA`` pulses per pulse of a sample too
    many, the last ones are not used, since the acquisition was stopped within a sample.

    Parameters
    ----------
    pulses : numpy.ndarray of float64, shape (pulses,)
        Ascending times in seconds.
    num_samples : int
    num_planes : int
        Planes of a volume. Either each volume or each plane has a pulse; their number decides.
    rules : Rules, optional
    noun : str
        Name of a sample, for messages.
    hint : str
        A further sentence for the error about too few pulses.

    Raises
    ------
    SourceError
        If it is not clear which pulse belongs to which sample; states both numbers.
    """
    rules = rules or Rules()
    per_sample = rules.per_sample or _pulses_per_sample(pulses.size, num_samples, num_planes)
    wanted = num_samples * per_sample
    case = _Case(pulses, wanted, num_samples, per_sample, noun, hint)
    if pulses.size < wanted:
        chosen, notes = case.filled(rules.missing)
    elif pulses.size > wanted and rules.extra is not None:
        chosen, notes = case.without_extra(rules.extra)
    elif pulses.size > wanted:
        chosen, notes = case.train()
    else:
        chosen, notes = pulses, []
    notes += _gaps(chosen, noun, per_sample)
    return case.matched(chosen, rules, notes)


def match_times(
    times: NDArray[np.float64],
    num_samples: int,
    *,
    num_planes: int = 1,
    rules: Rules | None = None,
    noun: str = "frame",
) -> Matched:
    """Return the time of each sample from a list of times, of which none is left out by itself.

    Parameters
    ----------
    times : numpy.ndarray of float64, shape (times,)
        Ascending, in seconds.
    num_samples, num_planes, rules, noun
        As for :func:`match_pulses`.

    Raises
    ------
    SourceError
        If there are not as many times as samples, or as planes of all volumes; states both numbers.
    """
    rules = rules or Rules()
    per_sample = rules.per_sample or _pulses_per_sample(times.size, num_samples, num_planes)
    case = _Case(times, num_samples * per_sample, num_samples, per_sample, noun, "", "time")
    number = times.size - case.wanted
    if number > 0 and rules.extra is not None:
        chosen, notes = case.without_extra(rules.extra)
        return case.matched(chosen, rules, notes)
    if number > 0:
        raise SourceError(
            f"There are {case.numbers}, {number} too many. If the clock ran on after the last "
            f"{noun}, give extra=last not to use the last {number}; if it ran before the first, "
            "extra=first."
        )
    if number < 0:
        raise SourceError(
            f"There are {case.numbers}, {-number} too few. Every {noun} needs a time; check that "
            "the file belongs to this recording and is complete."
        )
    return case.matched(times, rules, [])


def _pulses_per_sample(num_pulses: int, num_samples: int, num_planes: int) -> int:
    """Return the number of planes if there are about that many pulses for each volume, else 1."""
    return num_planes if num_pulses > num_samples * (1 + num_planes) / 2 else 1


@attrs.frozen
class _Case:
    """Pulses whose number is not that of the samples."""

    pulses: NDArray[np.float64]
    wanted: int
    num_samples: int
    per_sample: int
    noun: str
    hint: str
    what: str = "pulse"

    def matched(self, chosen: NDArray[np.float64], rules: Rules, notes: list[str]) -> Matched:
        """Return the times of the samples from the chosen pulses."""
        if rules.plane >= self.per_sample:
            raise SourceError(
                f"plane={rules.plane} is given, but each {self.noun} has "
                f"{counted(self.per_sample, self.what)}; give per_sample, or leave plane out."
            )
        used = int(np.isin(chosen, self.pulses).sum())
        return Matched(
            times=chosen[rules.plane :: self.per_sample],
            per_sample=self.per_sample,
            num_given=int(self.pulses.size),
            num_used=used,
            notes=tuple(notes),
        )

    @property
    def numbers(self) -> str:
        """Both numbers in words."""
        needed = f"{counted(self.num_samples, self.noun)}"
        if self.per_sample > 1:
            needed += f" of {self.per_sample} {self.what}s each ({self.wanted} {self.what}s)"
        return f"{counted(self.pulses.size, self.what)} for {needed}"

    def without_extra(self, extra: str) -> tuple[NDArray[np.float64], list[str]]:
        """Return the pulses without the first or the last ones, as the user says."""
        number = self.pulses.size - self.wanted
        if extra == "last":
            return self.pulses[: self.wanted], [self._unused(0, number)]
        return self.pulses[number:], [self._unused(number, 0)]

    def _unused(self, before: int, after: int) -> str:
        """Return a sentence about the pulses that are not used."""
        parts = []
        if before:
            last = self.pulses[before - 1]
            parts.append(f"{before} before the first {self.noun}, the last at {last:.6g} s")
        if after:
            first = self.pulses[self.pulses.size - after]
            parts.append(f"{after} after the last {self.noun}, the first at {first:.6g} s")
        verb = "is" if before + after == 1 else "are"
        return f"{counted(before + after, self.what)} {verb} not used: {', and '.join(parts)}."

    def train(self) -> tuple[NDArray[np.float64], list[str]]:
        """Return the only row of trains that has the right number of pulses."""
        bounds = _train_bounds(self.pulses)
        most = self.wanted + LAST_EXTRA * self.per_sample
        for least, largest in ((self.wanted, self.wanted), (self.wanted + 1, most)):
            runs = list(_runs(bounds, least, largest))
            if len(runs) == 1:
                first, _ = runs[0]
                stop = first + self.wanted
                if least > self.wanted and _missing_in(self.pulses[first:stop])[0].size:
                    raise self._unclear(bounds, "Pulses may also be missing within them")
                return self.pulses[first:stop], [self._unused(first, self.pulses.size - stop)]
            if runs:
                raise self._unclear(bounds, f"{len(runs)} rows of trains have the right number")
        raise self._unclear(bounds, "")

    def _unclear(self, bounds: NDArray[np.int64], reason: str) -> SourceError:
        number = self.pulses.size - self.wanted
        sizes = np.diff(bounds)
        if sizes.size == 1:
            trains = "They are one train without a pause."
        else:
            shown = ", ".join(
                f"{size} from {self.pulses[start]:.6g} s"
                for start, size in list(zip(bounds[:-1], sizes, strict=True))[:_MOST_SHOWN]
            )
            more = f", … and {sizes.size - _MOST_SHOWN} more" if sizes.size > _MOST_SHOWN else ""
            trains = f"Pauses divide them into {sizes.size} trains: {shown}{more}."
        remedy = (
            f"give extra=last not to use the last {number}, extra=first not to use the first, or "
            "after=SECONDS and before=SECONDS to choose"
        )
        ratio = self.pulses.size / max(self.wanted, 1)
        is_whole = round(ratio) > 1 and abs(ratio - round(ratio)) < 0.01 * ratio
        # Trains of as many pulses each are those of frames, such as a contact that bounces makes.
        is_of_frames = bool((sizes == round(ratio)).all())
        if is_whole and self.per_sample == 1 and (is_of_frames or not reason):
            number = round(ratio)
            remedy = (
                f"if {number} pulses belong to each {self.noun}, give per_sample={number}; else "
                "give extra=last or extra=first, or after=SECONDS and before=SECONDS to choose"
            )
        why = f"{reason}, so that it" if reason else "It"
        return SourceError(
            f"There are {self.numbers}. {trains} {why} is not clear which belong to "
            f"the {self.noun}s: {remedy}."
        )

    def filled(self, missing: str | None) -> tuple[NDArray[np.float64], list[str]]:
        """Return the pulses with those that are missing, if the user allows it."""
        lacking = self.wanted - self.pulses.size
        places, numbers = _missing_in(self.pulses)
        if missing == "interpolate" and int(numbers.sum()) == lacking:
            inserted = _inserted(self.pulses, places, numbers)
            shown = _listed_places(places)
            return inserted, [
                f"{counted(lacking, 'absent pulse')} {'is' if lacking == 1 else 'are'} inserted "
                f"at even intervals, after the {counted_places(places)} {shown} (from 0)."
            ]
        where = ""
        if numbers.size:
            where = (
                f" {counted(int(numbers.sum()), 'pulse')} may be missing within them: intervals "
                f"of several periods follow the {counted_places(places)} {_listed_places(places)} "
                "(from 0)."
            )
        if int(numbers.sum()) == lacking:
            remedy = " Give missing=interpolate to insert pulses there at even intervals."
        else:
            remedy = (
                " Check the channel, the edge and the threshold, and that the channel was recorded "
                "from the beginning to the end."
            )
        raise SourceError(f"There are {self.numbers}, {lacking} too few.{where}{remedy}{self.hint}")


def counted_places(places: NDArray[np.int64]) -> str:
    """Return the noun before a list of pulses."""
    return "pulse" if places.size == 1 else "pulses"


def _listed_places(places: Sequence[int] | NDArray[np.int64]) -> str:
    more = ", …" if len(places) > _MOST_SHOWN else ""
    return ", ".join(str(int(each)) for each in places[:_MOST_SHOWN]) + more


def _train_bounds(pulses: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices at which trains begin, and the number of pulses."""
    intervals = np.diff(pulses)
    period = _period(intervals)
    starts = np.flatnonzero(intervals > PAUSE * period) + 1
    return np.concatenate(([0], starts, [pulses.size])).astype(np.int64)


def _runs(bounds: NDArray[np.int64], least: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of rows of trains with between `least` and `most` pulses."""
    for first in bounds[:-1]:
        start, stop = np.searchsorted(bounds, [first + least, first + most + 1])
        for end in bounds[start:stop]:
            yield int(first), int(end)


def _period(intervals: NDArray[np.float64]) -> float:
    """Return the usual interval: the mean of those that are about the median; 0 without any."""
    if not intervals.size:
        return 0.0
    median = float(np.median(intervals))
    usual = intervals[np.abs(intervals - median) <= median / 2]
    return float(usual.mean()) if usual.size else median


def _missing_in(pulses: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pulses before intervals of several whole periods, and how many lack in each."""
    intervals = np.diff(pulses)
    period = _period(intervals)
    if not period > 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    ratios = intervals / period
    periods = np.rint(ratios)
    is_whole = np.abs(ratios - periods) <= 0.25
    places = np.flatnonzero((periods > 1) & is_whole)
    return places, (periods[places] - 1).astype(np.int64)


def _inserted(
    pulses: NDArray[np.float64], places: NDArray[np.int64], numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    positions = np.arange(pulses.size, dtype=np.float64)
    shift = np.zeros(pulses.size, np.int64)
    shift[places + 1] = numbers
    positions += np.cumsum(shift)
    return np.asarray(np.interp(np.arange(positions[-1] + 1), positions, pulses))


def _median(values: NDArray[np.float64], default: float) -> float:
    return float(np.median(values)) if values.size else default


def _gaps(pulses: NDArray[np.float64], noun: str, per_sample: int) -> list[str]:
    """Return sentences about intervals that are far longer or shorter than the others."""
    intervals = np.diff(pulses)
    if intervals.size < 2:
        return []
    period = _period(intervals)
    # The pulses of a volume need not be even: each interval is compared with those of its place.
    usual = np.empty(intervals.size)
    for place in range(per_sample):
        usual[place::per_sample] = _median(intervals[place::per_sample], period)
    excess = intervals - usual
    notes = []
    long = np.flatnonzero(excess > (GAP - 1) * period)
    unit = "pulse" if per_sample > 1 else noun
    if long.size:
        largest = int(long[np.argmax(intervals[long])])
        notes.append(
            f"{counted(int(long.size), 'gap')} between the pulses, after {unit} "
            f"{_listed_places(long)} (from 0): the longest interval has {intervals[largest]:.4g} "
            f"s, where the period is {period:.4g} s. If a pulse was lost there, and not a {noun}, "
            f"the later {noun}s have the times of their neighbours."
        )
    short = np.flatnonzero(excess < -period / 2)
    if short.size:
        notes.append(
            f"{counted(int(short.size), 'interval')} between the pulses shorter than half the "
            f"period of {period:.4g} s, after {unit} {_listed_places(short)} (from 0); check that "
            "no noise was counted as a pulse."
        )
    return notes
