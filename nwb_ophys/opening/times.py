"""Apply clocks and events that were recorded beside the imaging: times, pulses and trials."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.converter import OphysConverter
from nwb_ophys.dtypes import as_seconds
from nwb_ophys.errors import ArgumentError, OptionError, SourceError, counted
from nwb_ophys.filetypes.datetime_texts import parse_datetimes
from nwb_ophys.filetypes.vectors import Vector, opened_vector, split_unit, whole
from nwb_ophys.home import with_home
from nwb_ophys.interfaces.alignment import TimesOrigin
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.comparison import listed
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.opening.edges import find_edges, levels_of
from nwb_ophys.opening.pulses import Matched, Rules, match_pulses, match_times
from nwb_ophys.opening.recordings import Recording
from nwb_ophys.opening.times_given import (
    GivenFile,
    GivenPulses,
    GivenTimes,
    parse_given,
    parse_trials,
)
from nwb_ophys.opening.times_of_streams import (
    Target,
    is_other_channel,
    targets_of,
    untimed_movies,
)
from nwb_ophys.outside import reading_from
from nwb_ophys.timing import (
    LONGEST_S,
    PLAUSIBLE,
    UNITS,
    Datetimes,
    is_without_times,
    seconds_per,
)

_MOST_TIMES = 100_000_000
_RATE_TOLERANCE = 0.05
# Rates in Hz that times without a unit have if they are in seconds.
_USUAL_RATES = (0.2, 2000.0)
_FEWEST_COUNTED = 2
_NO_UNIT = "in seconds, since no unit is stated"
# Usual steps that a counter may go on within one, when it passes its largest value.
_LONGEST_STEP = 100.0


def apply_times(
    recording: Recording | OphysConverter | BaseOphysInterface,
    *,
    times: Any = None,
    pulses: Any = None,
    trials: Any = None,
) -> list[str]:
    """Give the streams of a recording the times that another device recorded, and add trials.

    Everything is read and checked before anything is changed. Traces made from a movie get its
    times when they are written; see :mod:`nwb_ophys.interfaces.comparison`.

    Parameters
    ----------
    recording : Recording, OphysConverter or interface
        From :func:`open_recording` or :func:`open`. It is changed: the streams get times, and a
        converter gets a stream ``trials``.
    times : path-like, str, Mapping or sequence of them, optional
        Files with a time for each frame: a path; a text ``[STREAM=]FILE[::COLUMN][,KEY=VALUE…]``;
        or a dictionary with the keys of :class:`~nwb_ophys.opening.times_given.GivenTimes`, of
        which only ``file`` is required: ``stream``, ``column``, ``unit``, ``zero``, ``per_sample``,
        ``plane``, ``extra``.
    pulses : path-like, str, Mapping or sequence of them, optional
        Files with a channel of pulses, one pulse per frame, in the same forms, with the further
        keys of :class:`~nwb_ophys.opening.times_given.GivenPulses`: ``rate``, ``time``, ``edge``,
        ``threshold``, ``bit``, ``missing``, ``after``, ``before``.
    trials : path-like, str or Mapping, optional
        A table with a line per trial: a path; a text ``FILE[,KEY=VALUE…]``; or a dictionary with
        ``file`` and the arguments of :class:`~nwb_ophys.interfaces.trials.TrialsInterface`:
        ``start``, ``stop``, ``duration``, ``unit``, ``zero``, ``descriptions_path``.

    Returns
    -------
    list of str
        Lines for the user: which values were matched with which samples. A warning is given for
        everything that is not used, inserted, or looks wrong.

    Raises
    ------
    OptionError
        For an unknown key or stream, and where it is not clear which stream or unit is meant.
    SourceError
        If a file cannot be read, or if the numbers of times and samples differ in a way that is
        not clear; states both.

    Examples
    --------
    >>> recording = open_recording(["movie.tif"], has_times=True)
    >>> apply_times(
    ...     recording,
    ...     pulses={"file": "daq.h5", "column": "frames", "rate": 20000.0},
    ...     trials="trials.csv",
    ... )
    """
    source = recording.converter if isinstance(recording, Recording) else recording
    interfaces = _interfaces_of(source)
    with witnessed() as witness:
        new = [*_new_times(times, GivenTimes, interfaces)]
        new += _new_times(pulses, GivenPulses, interfaces)
        _check_once(new)
        added = None if trials is None else _with_trials(source, trials)
        lines = [line for each in new for line in each.lines]
        lines += _others_in_words(interfaces, {each.target.name for each in new})
        for each in new:
            each.set()
    if added is not None:
        lines.append(f"trials: {added.summary()}")
    if new or added is not None:
        source.notes = [*source.notes, *witness.notes]
    return lines


@attrs.frozen(kw_only=True, eq=False)
class _NewTimes:
    """Times for one stream, and what to say of them."""

    target: Target
    times: NDArray[np.float64] | Datetimes
    origin: TimesOrigin
    lines: tuple[str, ...]

    def set(self) -> None:
        """Set the times of the stream."""
        interface, times = self.target.interface, self.times
        if isinstance(times, Datetimes):
            moments = times.nanoseconds.view("datetime64[ns]")
            interface.set_aligned_datetimes(moments, in_utc=times.in_utc)
        else:
            interface.set_aligned_timestamps(times)
        interface.times_origin = self.origin


def _interfaces_of(source: Any) -> Mapping[str, Any]:
    if isinstance(source, OphysConverter):
        return source.interfaces
    if isinstance(source, BaseOphysInterface):
        return {"": source}
    raise ArgumentError(
        f"recording is a {type(source).__name__}; give what nwb_ophys.open() or open_recording() "
        "returns."
    )


def _with_trials(source: Any, given: Any) -> Any:
    if not isinstance(source, OphysConverter):
        raise ArgumentError(
            "Trials are a stream of their own: give an OphysConverter, such as "
            "OphysConverter({'movie': interface})."
        )
    arguments = parse_trials(given)
    return source.add_trials(arguments.pop("file_path"), **arguments)


def _others_in_words(interfaces: Mapping[str, Any], timed: Collection[str]) -> list[str]:
    """Return a line about the movies that keep the times of their files; warn of channels."""
    if not timed:
        return []
    others = [
        name
        for name in untimed_movies(interfaces, timed)
        if not is_without_times(interfaces[name].extractor)
    ]
    channels = [name for name in others if is_other_channel(interfaces, name, timed)]
    if channels:
        warnings.warn(
            f"{listed(channels)} {'is another channel' if len(channels) == 1 else 'are channels'} "
            "of a recording whose times are set, and keeps the times of its own file. Leave the "
            "name of the stream out to set the times of all channels.",
            UserWarning,
            stacklevel=4,
        )
    return [f"{listed(others)}: the times of the files are kept."] if others else []


def _check_once(new: Iterable[_NewTimes]) -> None:
    seen: set[str] = set()
    for each in new:
        if each.target.name in seen:
            raise OptionError(f"The stream '{each.target.name}' is given times twice; give one.")
        seen.add(each.target.name)


def _new_times(
    given: Any, cls: type[GivenFile], interfaces: Mapping[str, Any]
) -> Iterator[_NewTimes]:
    """Yield the times of the streams for each file that the user gives."""
    if given is None:
        return
    is_several = isinstance(given, Sequence) and not isinstance(given, str)
    for one in given if is_several else [given]:
        parsed: Any = parse_given(one, cls, interfaces)
        path = with_home(parsed.file)
        targets = targets_of(interfaces, parsed.stream, cls is GivenTimes)
        with reading_from([path], []):
            if isinstance(parsed, GivenPulses):
                found, lines, dated = _from_pulses(path, parsed, targets[0])
            else:
                found, lines, dated = _from_times(path, parsed, targets[0])
        for note in found.notes:
            warnings.warn(f"'{path}': {note}", UserWarning, stacklevel=5)
        values = _counted_from(found.times, parsed.zero, dated)
        lines.append(_matched_line(targets, values, found, path))
        origin = TimesOrigin(path=path, settings=_settings(parsed))
        for index, target in enumerate(targets):
            _check_rate(target, found.times)
            yield _NewTimes(
                target=target, times=values, origin=origin, lines=() if index else tuple(lines)
            )


def _settings(parsed: GivenFile) -> dict[str, Any]:
    """Return the settings that the user gave, for the record of the conversion."""
    kind = "pulses" if isinstance(parsed, GivenPulses) else "times"
    given = attrs.asdict(parsed, filter=lambda field, value: value != field.default)
    return {"kind": kind, **{k: v for k, v in given.items() if k not in ("file", "stream")}}


def _rules(parsed: Any) -> Rules:
    return Rules(
        per_sample=parsed.per_sample,
        plane=parsed.plane,
        extra=parsed.extra,
        missing=getattr(parsed, "missing", None),
    )


# --- times ----------------------------------------------------------------------------------------


def _from_times(
    path: Path, parsed: Any, target: Target
) -> tuple[Matched, list[str], Datetimes | None]:
    with opened_vector(path, parsed.column) as vector:
        seconds, unit, dated = _seconds(vector, parsed, target)
    found = match_times(
        seconds,
        target.num_samples,
        num_planes=target.num_planes,
        rules=_rules(parsed),
        noun=target.noun,
    )
    return found, [f"times: {vector.label}, {counted(seconds.size, 'value')}, {unit}."], dated


def _seconds(
    vector: Vector, parsed: Any, target: Target | None
) -> tuple[NDArray[np.float64], str, Datetimes | None]:
    """Return ascending times in seconds, their unit in words, and dates and times, if any.

    Dates and times are returned as the seconds after the first one. The rate of times without a
    unit is compared with that of the target; None for times that are not those of its samples.
    """
    if vector.in_utc is not None:
        return _seconds_of_datetimes(vector, parsed)
    stated = vector.unit or split_unit(vector.name.rpartition("/")[2])[1]
    factor = seconds_per(parsed.unit, stated, f"the {vector.label}")
    values = whole(vector, _MOST_TIMES)
    base = values[0] if values.size and values.dtype.kind in "iu" else 0
    # Counts of nanoseconds since 1970 are larger than the integers that float64 can hold.
    counted_on = _differences(values, base) if base else values
    numbers = as_seconds(counted_on, f"The values of the {vector.label}")
    _check_ascending(numbers, vector.label)
    if factor is None and target is not None:
        _check_in_seconds(numbers, vector, target)
    seconds = numbers * (factor or 1.0)
    # The limits of pulses are on the clock of the file.
    limits = (getattr(parsed, "after", None), getattr(parsed, "before", None))
    if parsed.zero != "first" or limits != (None, None):
        seconds = seconds + float(base) * (factor or 1.0)
        _check_not_of_calendar(seconds, vector, parsed)
    shown = _NO_UNIT
    if factor is not None:
        by = "as given" if parsed.unit is not None else "as the file states"
        shown = f"in {parsed.unit or stated}, {by}"
    return seconds, shown, None


def _seconds_of_datetimes(
    vector: Vector, parsed: Any
) -> tuple[NDArray[np.float64], str, Datetimes]:
    values, in_utc = whole(vector, _MOST_TIMES), bool(vector.in_utc)
    for key in ("unit", "after", "before"):
        if getattr(parsed, key, None) is not None:
            raise OptionError(
                f"{key} is given, but the {vector.label} has dates and times, not numbers; leave "
                f"{key} out."
            )
    dated = Datetimes(nanoseconds=values, in_utc=in_utc)
    seconds = dated.seconds_after(values[:1])
    _check_ascending(seconds, vector.label)
    zone = "with a time zone" if in_utc else "without a time zone: local times of the session"
    return seconds, f"dates and times {zone}", dated


def _differences(values: NDArray[Any], base: Any) -> NDArray[Any]:
    """Return integers less the first one.

    A counter without a sign that passed its largest value goes on; one that was set back descends.
    """
    found = values - base
    if values.dtype.kind == "u" and values.size > 2 and (values[1:] < values[:-1]).any():
        steps = np.diff(found.astype(np.float64))
        if steps.max() > _LONGEST_STEP * np.median(steps):
            return values.astype(np.float64) - float(base)
    return found


def _check_ascending(values: NDArray[np.float64], label: str) -> None:
    if not np.isfinite(values).all():
        index = int(np.argmax(~np.isfinite(values)))
        number = int(np.count_nonzero(~np.isfinite(values)))
        raise SourceError(
            f"The {label} has {counted(number, 'time')} without a finite number, the first at "
            f"index {index} of {values.size}. Every frame needs a time; correct the file."
        )
    steps = np.diff(values)
    if (steps <= 0).any():
        index = int(np.argmax(steps <= 0))
        raise SourceError(
            f"The {label} does not ascend: value {index} is {values[index]:.9g}, value {index + 1} "
            f"is {values[index + 1]:.9g}. If it is the trace of a channel of pulses, give it as "
            "pulses with its rate; else correct the file."
        )


def _check_in_seconds(values: NDArray[np.float64], vector: Vector, target: Target) -> None:
    """Raise if times without a unit cannot be in seconds, by the rate that the source states.

    Warn of times that are hardly in seconds where the source states none.
    """
    if values.size < 2:
        return
    rate = 1 / float(np.median(np.diff(values)))
    if target.rate is None:
        _warn_of_rate_in_seconds(values, rate, vector, target.noun)
        return
    # Each plane of a volume may have a time.
    rates = (target.rate, target.rate * target.num_planes)
    if any(1 / PLAUSIBLE < rate / each < PLAUSIBLE for each in rates):
        return
    fitting = next(
        (
            unit
            for unit in ("ms", "us", "ns", "min")
            if 1 / PLAUSIBLE < rate / UNITS[unit] / target.rate < PLAUSIBLE
        ),
        "ms, us, ns or min",
    )
    raise OptionError(
        f"The {vector.label} states no unit. In seconds it has {rate:.4g} Hz, but the source of "
        f"{target.label} states {target.rate:.4g} Hz; give unit={fitting}, or unit=s if it is so."
    )


def _warn_of_rate_in_seconds(
    values: NDArray[np.float64], rate: float, vector: Vector, noun: str
) -> None:
    is_count = values.size > _FEWEST_COUNTED and bool((np.diff(values) == 1).all())
    low, high = _USUAL_RATES
    if low < rate < high and not is_count:
        return
    fitting = [unit for unit in ("ms", "us", "min") if low < rate / UNITS[unit] < high]
    if is_count:
        why = f"they count one by one, as numbers of {noun}s do"
    elif fitting:
        why = f"in {fitting[0]} they have {rate / UNITS[fitting[0]]:.4g} Hz"
    else:
        why = "few recordings have such a rate"
    warnings.warn(
        f"The {vector.label} states no unit: in seconds its values have {rate:.4g} Hz, but {why}. "
        "Check that they are times in seconds, and give unit=s to hide this note, or the right "
        "unit.",
        UserWarning,
        stacklevel=7,
    )


def _check_not_of_calendar(seconds: NDArray[np.float64], vector: Vector, parsed: Any) -> None:
    if parsed.zero is None and seconds.size and np.abs(seconds).max() > LONGEST_S:
        raise OptionError(
            f"The {vector.label} counts from a date, such as 1970: its first value is "
            f"{seconds[0]:.9g} s. NWB counts from the start of the session: give zero=SECONDS, the "
            "start on this clock, or zero=first if the first frame is the start."
        )


def _counted_from(
    times: NDArray[np.float64], zero: Any, dated: Datetimes | None
) -> NDArray[np.float64] | Datetimes:
    """Return times that count from the start of the session, or else dates and times.

    Parameters
    ----------
    times : numpy.ndarray of float64
        Those of the samples, on the clock of the file.
    zero : float, str or None
        The start on this clock, as the user gives it.
    dated : Datetimes or None
        Dates and times of the file, from the first of which the times count.
    """
    is_number = zero is not None and not isinstance(zero, str)
    if zero == "first":
        return times - times[0]
    if dated is None and (zero is None or is_number):
        return times - float(zero or 0.0)
    if dated is None or is_number:
        other = "numbers" if dated is None else "dates and times"
        raise OptionError(
            f"zero is {zero}, but the file has {other}; give zero in the form of its times, or "
            "zero=first if the first frame is the start."
        )
    found = dated.later(times)
    if zero is None:
        return found
    start = parse_datetimes([zero], ["zero"])
    if start.in_utc != dated.in_utc:
        has, lacks = ("zero", "the file") if start.in_utc else ("the file", "zero")
        raise OptionError(f"{has} states a time zone, and {lacks} does not; give both or neither.")
    return found.seconds_after(start.nanoseconds[0])


_PULSE_NAMES = re.compile(
    r"(frames?|pulses?|ttl|sync|trigger|edges?|clock)"
    r"([ _]?(clock|ttl|sync|trigger|pulses?|times?))?"
    r"|times?|timestamps?",
    re.IGNORECASE,
)
"""Names of channels and times of pulses where the user names none."""


# --- pulses ---------------------------------------------------------------------------------------


def _from_pulses(
    path: Path, parsed: GivenPulses, target: Target
) -> tuple[Matched, list[str], Datetimes | None]:
    _check_form(parsed)
    with opened_vector(path, parsed.column, names=_PULSE_NAMES) as vector:
        if parsed.rate is None and parsed.time is None:
            pulses, unit, dated = _seconds(vector, parsed, target)
            line = f"pulses: {vector.label}, {counted(pulses.size, 'time')} of pulses, {unit}."
            hint = ""
        else:
            pulses, line, hint, dated = _edges_of(path, vector, parsed, target)
    inside = np.ones(pulses.size, bool)
    if parsed.after is not None:
        inside &= pulses >= parsed.after
    if parsed.before is not None:
        inside &= pulses < parsed.before
    if not inside.all():
        outside = counted(int(np.count_nonzero(~inside)), "further pulse")
        line += f" {outside} outside of after and before."
        hint += f" There are {outside} outside of after and before."
    found = match_pulses(
        pulses[inside],
        target.num_samples,
        num_planes=target.num_planes,
        rules=_rules(parsed),
        noun=target.noun,
        hint=hint,
    )
    return found, [line], dated


def _check_form(parsed: GivenPulses) -> None:
    """Raise for keys of traces without a trace, which would have no effect."""
    if parsed.rate is not None and parsed.time is not None:
        raise OptionError("pulses: rate and time are both given; leave one out.")
    of_traces = {"edge": "rising", "threshold": None, "bit": None}
    given = [key for key, default in of_traces.items() if getattr(parsed, key) != default]
    if given and parsed.rate is None and parsed.time is None:
        raise OptionError(
            f"pulses: {given[0]} is of a trace, which needs rate=HZ or time=COLUMN as well."
        )
    if parsed.rate is not None and parsed.unit is not None:
        raise OptionError("pulses: unit is given, but a rate is in Hz; leave unit out.")


def _edges_of(
    path: Path, vector: Vector, parsed: GivenPulses, target: Target
) -> tuple[NDArray[np.float64], str, str, Datetimes | None]:
    """Return the times of the edges of a trace, a line, a hint for errors, and any dates."""
    if vector.in_utc is not None:
        raise OptionError(f"The {vector.label} has dates and times, and is not a trace.")

    def blocks() -> Iterator[NDArray[Any]]:
        return vector.blocks() if parsed.bit is None else _bits(vector, parsed.bit)

    label = vector.label if parsed.bit is None else f"bit {parsed.bit} of the {vector.label}"
    levels = levels_of(blocks, label, parsed.threshold)
    edges = find_edges(blocks, levels, falling=parsed.edge == "falling")
    dated = None
    if parsed.time is None:
        seconds = edges.samples / float(parsed.rate or 1.0)
    else:
        with opened_vector(path, parsed.time) as clock:
            if len(clock) != len(vector):
                raise SourceError(
                    f"The {clock.label} has {len(clock)} values, but the {vector.label} has "
                    f"{len(vector)}; each sample of the trace needs a time."
                )
            times, unit, dated = _seconds(clock, parsed, None)
            seconds = times[edges.samples]
            if unit == _NO_UNIT:
                _check_in_seconds(seconds, clock, target)
    how = "halfway" if parsed.threshold is None else "as given"
    line = (
        f"pulses: {label}, {counted(int(seconds.size), f'{parsed.edge} edge')}; low level "
        f"{levels.low:.4g}, high level {levels.high:.4g}, threshold {levels.threshold:.4g} ({how})."
    )
    hint = ""
    if edges.begins_behind:
        side = "below" if parsed.edge == "falling" else "above"
        hint = f" The trace begins {side} the threshold: one pulse may have begun before it."
    return seconds, line, hint, dated


def _bits(vector: Vector, bit: int) -> Iterator[NDArray[Any]]:
    for block in vector.blocks():
        if block.dtype.kind == "f" and (block == np.floor(block)).all():
            block = block.astype(np.int64)
        if block.dtype.kind not in "iu":
            raise OptionError(f"bit={bit} is given, but the {vector.label} has no integers.")
        yield (block.astype(np.int64) >> bit) & 1


# --- report ---------------------------------------------------------------------------------------


def _matched_line(
    targets: Sequence[Target],
    times: NDArray[np.float64] | Datetimes,
    found: Matched,
    path: Path,
) -> str:
    names = listed(target.name for target in targets) if targets[0].name else "The recording"
    target = targets[0]
    each = f", {found.per_sample} for each {target.noun}" if found.per_sample > 1 else ""
    rate = f", {_mean_rate(found.times):.6g} Hz on average" if found.times.size > 1 else ""
    if isinstance(times, Datetimes):
        span = f"{times.in_words(0)} to {times.in_words(-1)}"
    else:
        span = f"{times[0]:.6g} s to {times[-1]:.6g} s after the start of the session"
    verb = "have" if len(targets) > 1 else "has"
    return (
        f"{names} {verb} {counted(target.num_samples, target.noun)} at the times of "
        f"'{path.name}'{each}: {span}{rate}; {found.num_used} of {found.num_given} used."
    )


def _mean_rate(times: NDArray[np.float64]) -> float:
    return (times.size - 1) / float(times[-1] - times[0])


def _check_rate(target: Target, times: NDArray[np.float64]) -> None:
    """Warn if the rate of new times is not about the one that the source states."""
    if target.rate is None or times.size < 2:
        return
    rate = 1 / float(np.median(np.diff(times)))
    if abs(rate - target.rate) > _RATE_TOLERANCE * target.rate:
        warnings.warn(
            f"By its new times {target.label} has {rate:.4g} Hz, but its source states "
            f"{target.rate:.4g} Hz. The new times are written; check the unit, the channel and "
            "per_sample.",
            UserWarning,
            stacklevel=6,
        )
