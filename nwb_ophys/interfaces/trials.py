"""Interface of trials: a table of a text file with a line for each trial."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import OptionError, SourceError, counted, not_found
from nwb_ophys.filetypes.files import read_small_file, unreadable_file
from nwb_ophys.filetypes.tables import TextTable, read_table, typed_column
from nwb_ophys.filetypes.vectors import split_unit
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.movies_in_file import span_of
from nwb_ophys.metadata import (
    JSON_SCHEMA_DIALECT,
    DeepDict,
    get_default_session_metadata,
    session_schemas,
)
from nwb_ophys.paths import with_short_paths
from nwb_ophys.timing import Datetimes, seconds_per, warn_of_distance
from nwb_ophys.writers.trials import add_trials, check_column_names

if TYPE_CHECKING:
    from pynwb import NWBFile

_SIDECAR_BYTES = 1 << 22
_LIKE_START = re.compile(r"start|onset|begin|\bon\b|_on\b", re.IGNORECASE)
_LIKE_STOP = re.compile(r"stop|offset|end|\boff\b|_off\b", re.IGNORECASE)
_LIKE_TIME = re.compile(r"time|onset|offset|latency|duration", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class TrialsSource:
    """Source arguments of trials."""

    file_path: Path = argument("A .csv or .tsv file with a line of names, and a line per trial.")
    start: str = argument("Column with the starts.", default="start_time")
    stop: str = argument("Column with the ends.", default="stop_time")
    duration: str | None = argument(
        "Column with the durations, in place of one with the ends.", default=None
    )
    unit: str | None = argument(
        "Unit of these columns: s, ms, us, ns or min. By default the one in their names, such as "
        "start_time_ms or start_time (ms), or else s.",
        default=None,
    )
    zero: float = argument(
        "Time on the clock of the file at which the session started, in seconds; it is subtracted. "
        "Not for dates and times.",
        default=0.0,
    )
    descriptions_path: Path | None = argument(
        "JSON file with a description of each column; by default the one of the same name beside "
        "the table, if there is one.",
        default=None,
    )


@attrs.frozen(kw_only=True, eq=False)
class Trials:
    """Trials of a table.

    Attributes
    ----------
    start_times, stop_times : numpy.ndarray of float64, shape (trials,)
        In seconds from the start of the session; for dates and times from that of the first trial.
    columns : dict of str to (numpy.ndarray or list of str)
        Further columns, as booleans, integers, numbers or texts.
    descriptions : dict of str to str
    ids : numpy.ndarray of int64 or None
        The column ``id``, if the table has one.
    first : Datetimes or None
        Date and time of the start of the first trial, if the table has such.
    """

    start_times: NDArray[np.float64]
    stop_times: NDArray[np.float64]
    columns: dict[str, Any]
    descriptions: dict[str, str]
    ids: NDArray[np.int64] | None = None
    first: Datetimes | None = None

    def times_in(self, nwbfile: NWBFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the starts and ends as a file counts them."""
        if self.first is None:
            return self.start_times, self.stop_times
        starts, stops = (
            self.first.later(each).seconds_from(nwbfile.timestamps_reference_time)
            for each in (self.start_times, self.stop_times)
        )
        warn_of_distance(starts, "The start of the first trial")
        return starts, stops


class TrialsInterface(BaseOphysInterface):
    """Trials from a table in a text file, for the table ``trials`` of NWB.

    Times count from the start of the session. Columns of booleans, integers and numbers keep their
    type; all others are texts.
    """

    Source = TrialsSource

    @classmethod
    def open(cls, source: Any) -> Trials:
        """Return the trials."""
        return read_trials(source)

    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata of a session without anything stated."""
        return get_default_session_metadata()

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""
        return {
            "$schema": JSON_SCHEMA_DIALECT,
            "title": "Metadata",
            "type": "object",
            "properties": session_schemas(),
            "additionalProperties": False,
        }

    def shift_to_session_start(self, delay: float) -> None:
        """Do nothing: trials count from the start of the session."""

    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add the trials.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Not used, because it has nothing about trials.
        **options
            There are none.

        Returns
        -------
        pynwb.NWBFile
            The same.

        Raises
        ------
        MetadataError
            If the file has trials already.
        """
        self.parse_options(options)
        trials = self.extractor
        starts, stops = trials.times_in(nwbfile)
        _warn_of_other_clock(self.source.file_path, starts, nwbfile)
        return add_trials(
            nwbfile,
            starts,
            stops,
            trials.columns,
            trials.descriptions,
            ids=trials.ids,
        )

    def summary(self) -> str:
        """Return the number of trials, their times and columns in one line."""
        trials = self.extractor
        columns = ", ".join(f"'{name}'" for name in trials.columns) or "none"
        source = with_short_paths(f"'{self.source.file_path}'")
        if trials.first is None:
            start, stop = trials.start_times[0], trials.stop_times[-1]
            span = f"{start:.6g} s to {stop:.6g} s after the start of the session"
        else:
            last = trials.first.later(trials.stop_times[-1:])
            span = f"{trials.first.in_words(0)} to {last.in_words(0)}"
        number = counted(len(trials.start_times), "trial")
        return f"{number} of {source} from {span}; further columns: {columns}."


def _warn_of_other_clock(path: Path, starts: NDArray[np.float64], nwbfile: NWBFile) -> None:
    """Warn if most trials begin when nothing was recorded, as with a wrong unit or clock."""
    span = span_of(nwbfile)
    outside = np.zeros(0) if span is None else starts[(starts < span[0]) | (starts > span[1])]
    if span is not None and 2 * outside.size > starts.size:
        warnings.warn(
            f"'{path}': {outside.size} of {counted(starts.size, 'trial')} {_begin(outside)} "
            f"outside of the time of the recording, {span[0]:.6g} s to {span[1]:.6g} s; the first "
            f"one at {outside[0]:.6g} s. Check the unit and the clock (zero) of the trials.",
            UserWarning,
            stacklevel=4,
        )


def _begin(trials: NDArray[np.float64]) -> str:
    return "begins" if trials.size == 1 else "begin"


def read_trials(source: TrialsSource) -> Trials:
    """Read the trials of a table.

    Parameters
    ----------
    source : TrialsSource

    Raises
    ------
    SourceError
        If the table has no such columns, which lists those that it has; or if times are not
        finite, descend, or end before they begin, which names the line.
    """
    table = read_table(source.file_path, has_names=True)
    names = [split_unit(name)[0] for name in table.names]
    start = _column(table, names, source.start, "start", _LIKE_START)
    stop_key = "stop" if source.duration is None else "duration"
    stop = _column(table, names, getattr(source, stop_key), stop_key, _LIKE_STOP)
    dated = table.datetimes(start)
    if dated is None:
        factor = _seconds_per(table, start, source.unit)
        starts = table.numbers(start) * factor
    else:
        factor, starts = 1.0, dated.seconds_after(dated.nanoseconds[0])
    stops = _stops(table, stop, source, dated)
    if stop_key == "duration":
        stops = starts + stops
    _check_times(table, starts, stops)
    others = [i for i in range(len(table.names)) if i not in (start, stop)]
    _check_names(table, others)
    if source.zero or factor != 1:
        _note_times(table, others)
    # The index that pandas writes has no name.
    ids = [index for index in others if table.names[index] in ("id", "")]
    columns = {table.names[i]: typed_column(table.columns[i]) for i in others if i not in ids}
    return Trials(
        start_times=starts - source.zero,
        stop_times=stops - source.zero,
        columns=columns,
        descriptions=_descriptions(source, list(columns), table.names),
        ids=_ids(table, ids[0]) if ids else None,
        first=None if dated is None else dated.later(starts[:1]),
    )


def _stops(
    table: TextTable, index: int, source: TrialsSource, starts: Datetimes | None
) -> NDArray[np.float64]:
    """Return the ends or durations of trials in seconds, after the first start if it is a date."""
    dated = None if starts is None else table.datetimes(index)
    if starts is not None and source.zero:
        raise SourceError(
            f"zero is {source.zero:g}, but '{table.path}' has dates and times, which count from "
            "the start of the session by themselves; leave zero out."
        )
    if starts is not None and source.unit is not None and source.duration is None:
        raise OptionError(
            f"unit={source.unit} is given, but '{table.path}' has dates and times; leave unit out."
        )
    if starts is not None and source.duration is None:
        if dated is None or dated.in_utc != starts.in_utc:
            raise SourceError(
                f"'{table.path}': the column '{table.names[index]}' must have dates and times in "
                "the form of the starts, with or without time zones; or give duration=COLUMN."
            )
        return dated.seconds_after(starts.nanoseconds[0])
    return table.numbers(index) * _seconds_per(table, index, source.unit)


def _column(
    table: TextTable, names: Sequence[str], wanted: str, key: str, like: re.Pattern[str]
) -> int:
    """Return the index of a column by its name, with or without the unit behind it."""
    found = [i for i, name in enumerate(table.names) if wanted in (name, names[i])]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(f"'{table.names[i]}'" for i in found)
        raise SourceError(f"'{table.path}' has several columns '{wanted}': {shown}; rename one.")
    candidates = [name for name in table.names if like.search(name)] or ["COLUMN"]
    duration = next((name for name in table.names if name.lower().startswith("duration")), None)
    instead = f" or duration={duration}" if duration is not None and key == "stop" else ""
    raise SourceError(
        f"'{table.path}' has no column '{wanted}'. It has {table.describe()}. Name the column as "
        f"{' or '.join(f'{key}={name}' for name in candidates)}{instead}."
    )


def _seconds_per(table: TextTable, index: int, unit: str | None) -> float:
    stated = split_unit(table.names[index])[1]
    factor = seconds_per(unit, stated, f"the column '{table.names[index]}' of '{table.path}'")
    return 1.0 if factor is None else factor


def _check_times(table: TextTable, starts: NDArray[np.float64], stops: NDArray[np.float64]) -> None:
    """Raise unless all times are finite, starts ascend, and no trial ends before it begins."""
    if not table.num_rows:
        raise SourceError(f"'{table.path}' holds no trials, only a line of names.")
    faults = (
        (~(np.isfinite(starts) & np.isfinite(stops)), "has a time that is not a finite number"),
        (stops < starts, "ends before it begins"),
        (np.diff(starts, prepend=starts[0]) < 0, "begins before the trial of the line above"),
    )
    for wrong, fault in faults:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise SourceError(
                f"'{table.path}', line {table.lines[row]}: the trial {fault} (from "
                f"{starts[row]:.6g} s to {stops[row]:.6g} s). Correct or sort the file."
            )


def _check_names(table: TextTable, others: Sequence[int]) -> None:
    names = [table.names[index] for index in others]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"'{table.path}' has several columns '{twice}'; rename one.")
    check_column_names([name for name in names if name not in ("id", "")])
    if {"id", ""} <= set(names):
        raise SourceError(f"'{table.path}' has a column without a name; name it, or remove it.")


def _note_times(table: TextTable, others: Sequence[int]) -> None:
    """Warn of other columns that look like times, where those of the trials are converted."""
    names = [table.names[index] for index in others if _LIKE_TIME.search(table.names[index])]
    if names:
        warnings.warn(
            f"Columns of '{table.path}' are written as they are, and not converted as the starts "
            f"and ends of the trials: {', '.join(repr(name) for name in names)}.",
            UserWarning,
            stacklevel=5,
        )


def _ids(table: TextTable, index: int) -> NDArray[np.int64]:
    found = typed_column(table.columns[index])
    if isinstance(found, list) or found.dtype.kind != "i" or np.unique(found).size != found.size:
        raise SourceError(
            f"The column '{table.names[index]}' of '{table.path}' must have a different integer in "
            "each line, by which NWB numbers the trials; rename it."
        )
    return found.astype(np.int64)


# --- descriptions ---------------------------------------------------------------------------------


def _descriptions(
    source: TrialsSource, columns: Sequence[str], all_names: Sequence[str]
) -> dict[str, str]:
    """Return a description of each column: that of the JSON file, or a default."""
    path = source.descriptions_path
    if path is not None and not path.is_file():
        raise not_found(path)
    beside = source.file_path.with_suffix(".json")
    path = path or (beside if beside.is_file() else None)
    stated = {} if path is None else _stated(path)
    if path is not None:
        unknown = [name for name in stated if name not in all_names]
        if unknown:
            warnings.warn(
                f"'{path}' describes columns that '{source.file_path}' does not have: "
                f"{', '.join(repr(name) for name in unknown)}.",
                UserWarning,
                stacklevel=5,
            )
    default = f"of the trial, from '{source.file_path.name}'."
    return {name: stated.get(name) or f"{name} {default}" for name in columns}


def _stated(path: Path) -> dict[str, str]:
    """Return the descriptions in a JSON file, in the form of BIDS or as texts by column."""
    try:
        found = parse_source_json(read_small_file(path, "a JSON file", _SIDECAR_BYTES))
    except ValueError as error:
        raise unreadable_file(path, "a JSON file", error) from error
    if not isinstance(found, dict):
        raise SourceError(f"'{path}' holds no descriptions by the name of the column; remove it.")
    return {str(name): text for name, value in found.items() if (text := _text_of(value))}


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        return ""
    folded = {str(key).lower(): item for key, item in value.items()}
    parts = [str(folded.get("description") or folded.get("longname") or "")]
    if folded.get("units"):
        parts.append(f"Unit: {folded['units']}.")
    levels = folded.get("levels")
    if isinstance(levels, Mapping):
        parts.append("; ".join(f"{key}: {item}" for key, item in levels.items()) + ".")
    return " ".join(part for part in parts if part)
