"""Times, pulses and trials as a user gives them: a path, a text or a dictionary."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs

from nwb_ophys.errors import OptionError
from nwb_ophys.filetypes.datetime_texts import is_datetime
from nwb_ophys.home import with_home
from nwb_ophys.interfaces.arguments import argument, arguments_schema, check_paths, parse_arguments
from nwb_ophys.interfaces.trials import TrialsSource
from nwb_ophys.metadata.value_texts import parse_options
from nwb_ophys.remote.paths import as_path

Given = TypeVar("Given", bound="GivenFile")
_SETTING = re.compile(r"\s*([A-Za-z_]+)=(.*)", re.DOTALL)
_ENDS = {"enum": ["first", "last", None]}


@attrs.frozen(kw_only=True)
class GivenFile:
    """Keys that times and pulses have in common."""

    file: Path = argument("A table (.csv, .tsv, .txt), .npy, .npz, MATLAB or HDF5 file.")
    stream: str | None = argument(
        "Stream whose times these are; needed where there are several movies.", default=None
    )
    column: str | None = argument(
        "Column, variable or dataset of the file. NAME[2] is a column of an array with two axes, 2 "
        "one of a file without names, from 0.",
        default=None,
    )
    unit: str | None = argument(
        "Unit of the times: s, ms, us, ns or min. By default the one that the file states.",
        default=None,
    )
    zero: float | str | None = argument(
        "Time on the clock of the file at which the session started, in seconds, or a date and "
        "time if the file has such; or first for the time of the first frame. It is subtracted.",
        default=None,
    )
    per_sample: int | None = argument(
        "Times or pulses in each frame or volume. By default 1, or the number of planes of a "
        "volume if there are about as many.",
        default=None,
        schema={"minimum": 1},
    )
    plane: int = argument(
        "With several times or pulses per sample, the one that is its time, from 0.",
        default=0,
        schema={"minimum": 0},
    )
    extra: str | None = argument(
        "first or last: the ones that are not used where there are too many.",
        default=None,
        schema=_ENDS,
    )


@attrs.frozen(kw_only=True)
class GivenTimes(GivenFile):
    """A file with the time of each frame."""


@attrs.frozen(kw_only=True)
class GivenPulses(GivenFile):
    """A file with the trace of a channel of pulses, or with the times of pulses."""

    rate: float | None = argument(
        "Samples of the trace per second, in Hz. Without rate and time, the values are the times "
        "of pulses.",
        default=None,
        schema={"exclusiveMinimum": 0, "maximum": 1e9},
    )
    time: str | None = argument(
        "Column with the time of each sample of the trace, in place of a rate.", default=None
    )
    edge: str = argument(
        "rising or falling: the edge of the trace at which a frame begins.",
        default="rising",
        schema={"enum": ["rising", "falling"]},
    )
    threshold: float | None = argument(
        "Value between the levels of the trace. By default halfway between the low and the high "
        "level, which are medians.",
        default=None,
    )
    bit: int | None = argument(
        "Bit of a digital port with several lines in one integer, from 0.",
        default=None,
        schema={"minimum": 0, "maximum": 63},
    )
    missing: str | None = argument(
        "interpolate: insert pulses at even intervals where an interval has several periods.",
        default=None,
        schema={"enum": ["interpolate", None]},
    )
    after: float | None = argument(
        "Use only pulses from this time on the clock of the file, in seconds.", default=None
    )
    before: float | None = argument(
        "Use only pulses before this time on the clock of the file, in seconds.", default=None
    )


def parse_given(given: Any, cls: type[Given], streams: Collection[str]) -> Given:
    """Return what a user gives for the times of a stream.

    Parameters
    ----------
    given : path-like, str or Mapping
        A path; a text ``[STREAM=]FILE[::COLUMN][,KEY=VALUE…]``; or a dictionary with the keys.
    cls : type
        :class:`GivenTimes` or :class:`GivenPulses`.
    streams : collection of str
        Names of the streams.

    Raises
    ------
    OptionError
        For an unknown or ill-typed key, or if there is no such stream.
    """
    owner = "times" if cls is GivenTimes else "pulses"
    found = stated_keys(given, owner, has_stream=True)
    parsed = _parsed(found, cls, owner)
    if isinstance(parsed.zero, str) and parsed.zero != "first" and not is_datetime(parsed.zero):
        raise OptionError(
            f"{owner}: zero is '{parsed.zero}'; it must be a number of seconds, a date and time "
            "such as 2024-05-17T14:30:00+02:00, or first."
        )
    if parsed.per_sample is not None and parsed.plane >= parsed.per_sample:
        raise OptionError(
            f"{owner}: plane is {parsed.plane}, but with per_sample={parsed.per_sample} the last "
            f"one is {parsed.per_sample - 1}."
        )
    if parsed.stream is not None and parsed.stream not in streams:
        raise _no_stream(parsed.stream, streams)
    return parsed


def parse_trials(given: Any) -> dict[str, Any]:
    """Return source arguments of :class:`nwb_ophys.interfaces.trials.TrialsInterface`.

    Parameters
    ----------
    given : path-like, str or Mapping
        A path; a text ``FILE[,KEY=VALUE…]``; or a dictionary with ``file`` and further arguments.

    Raises
    ------
    OptionError
        For an unknown or ill-typed key.
    """
    found = stated_keys(given, "trials", has_stream=False)
    if "file" in found:
        found["file_path"] = found.pop("file")
    parsed = _parsed(found, TrialsSource, "trials")
    return {each.name: getattr(parsed, each.name) for each in attrs.fields(TrialsSource)}


def stated_keys(given: Any, owner: str, *, has_stream: bool) -> dict[str, Any]:
    """Return the keys that a path, a text or a dictionary states; their values are not checked.

    Parameters
    ----------
    given : path-like, str or Mapping
    owner : {"times", "pulses", "trials"}
        Name of the argument, for messages.
    has_stream : bool
        Whether a text may name a stream and a column.

    Raises
    ------
    OptionError
        For any other object, or a text that states a key twice.
    """
    if isinstance(given, Mapping):
        return {str(key): value for key, value in given.items()}
    if isinstance(given, str):
        return _from_text(given, has_stream=has_stream)
    if isinstance(given, Path):
        return {"file": given}
    raise OptionError(
        f"{owner} is a {type(given).__name__}; give a path, a text such as 'FILE::COLUMN,unit=ms', "
        "or a dictionary with the key 'file'."
    )


def _from_text(text: str, *, has_stream: bool) -> dict[str, Any]:
    """Return the parts of ``[STREAM=]FILE[::COLUMN][,KEY=VALUE…]``."""
    if with_home(as_path(text)).is_file():
        return {"file": text}
    found: dict[str, Any] = {}
    first, equals, rest = text.partition("=")
    if has_stream and equals and "::" not in first and "," not in first:
        found["stream"], text = first, rest
    parts = text.split(",")
    while len(parts) > 1 and (match := _SETTING.fullmatch(parts[-1])) is not None:
        if match[1] in found:
            raise OptionError(f"'{text}' states {match[1]} twice; leave one out.")
        found[match[1]] = match[2].strip()
        parts.pop()
    file, colons, column = ",".join(parts).partition("::")
    if colons and has_stream:
        found["column"] = column
    elif colons:
        raise OptionError(f"'{text}' names a column, but trials have several; leave '::' out.")
    return {"file": file, **found}


def _parsed(found: Mapping[str, Any], cls: Any, owner: str) -> Any:
    schema = arguments_schema(cls, owner)["properties"]
    if isinstance(zero := found.get("zero"), datetime):  # of a YAML document
        found = {**found, "zero": zero.isoformat()}
    dated = {key for key, value in found.items() if isinstance(value, str) and is_datetime(value)}
    read = parse_options({k: v for k, v in found.items() if k not in dated}, schema)
    parsed = parse_arguments(cls, {**found, **read}, owner, OptionError)
    path = parsed.file_path if hasattr(parsed, "file_path") else parsed.file
    check_paths([with_home(path)], reads_ranges=True)
    return parsed


def _no_stream(name: str, streams: Collection[str]) -> OptionError:
    close = difflib.get_close_matches(name, streams, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    listed = ", ".join(f"'{each}'" for each in streams)
    return OptionError(f"There is no stream '{name}'.{hint} Streams: {listed}.")
