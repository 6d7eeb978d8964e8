"""The sources of a record, opened again and planned as in the conversion, without writing.

A record is a text in a file that may come from anywhere. It chooses among the interfaces of
formats and files below the sources that the user gives, and nothing else: it imports no module,
names no other file, and trusts no pickle.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.certification.raw_files import RawFiles
from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import NwbOphysError, SourceError
from nwb_ophys.interfaces import BaseOphysInterface
from nwb_ophys.metadata import alternatives, type_hints
from nwb_ophys.metadata.value_texts import parse_options
from nwb_ophys.opening.times import apply_times
from nwb_ophys.registry import formats
from nwb_ophys.storage.hdmf.managers import make_manager
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, restored_after_write
from nwb_ophys.storage.hdmf.records import data_of, detached_records, reattach
from nwb_ophys.storage.sources import ArraySource, Source, is_fillable, source_of, unwrapped
from nwb_ophys.timing import is_without_times, times_follow
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks

if TYPE_CHECKING:
    from pynwb import NWBFile

_OWN_MODULES = ("nwb_ophys.formats.", "nwb_ophys.interfaces.")
# A record never turns these on; the user may.
_NEVER_RECORDED = ("trust_pickles", "allow_outside")


@attrs.frozen(kw_only=True)
class Start:
    """Times of a series with a constant rate.

    Attributes
    ----------
    starting_time : float
        In seconds.
    rate : float
        In Hz.
    """

    starting_time: float
    rate: float


@attrs.frozen(kw_only=True)
class Replanned:
    """Datasets that the sources of a record make.

    Attributes
    ----------
    sources : dict of str to Source
        Values of the datasets of numbers, by location.
    interfaces : dict of str to BaseOphysInterface
    starts : dict of str to Start
        Time of the first sample and rate of each series that has no timestamps, by location.
    unknown_times : dict of str to str
        Streams whose times the user had set and no file states, with the reason.
    clocks : set of pathlib.Path
        Files of times that were read again.
    nwbfile : pynwb.NWBFile
        Everything that this record and those before it make.
    """

    sources: dict[str, Source]
    interfaces: dict[str, Any]
    starts: dict[str, Start]
    unknown_times: dict[str, str]
    clocks: set[Path]
    nwbfile: NWBFile


def replan(
    contents: Mapping[str, Any],
    files: RawFiles,
    options: Mapping[str, Any],
    before: NWBFile | None = None,
) -> Replanned:
    """Open the sources of a record again, and plan what they make.

    Parameters
    ----------
    contents : Mapping
        The record without hashes.
    files : RawFiles
        The source files, matched with the record.
    options : Mapping
        Source arguments of the user, which replace those of the record.
    before : pynwb.NWBFile, optional
        What the earlier records of the file make, to which this one was appended: it may lack a
        start of the session, and link to planes of theirs.

    Raises
    ------
    Exception
        Any error of opening a source.
    """
    streams = list(contents.get("streams") or ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the conversion gave these notes
        interfaces = {str(each["name"]): _reopened(each, files, options) for each in streams}
        chosen: Any = {str(each["name"]): dict(each.get("options") or {}) for each in streams}
        metadata = contents.get("metadata")
        if set(interfaces) == {""}:
            source: Any = interfaces[""]
            chosen = chosen[""]
        else:
            source = OphysConverter(interfaces)
        clocks = StreamClocks(source, interfaces, files)
        for each in streams:
            clocks.set_again(each)
        prepared = source.prepare(metadata, chosen, joins_file=before is not None)
        known = set() if before is None else {name for name, _ in _values_of(before)}
        nwbfile = prepared.new_nwbfile() if before is None else before
        prepared.add_to(nwbfile)
        complete_tables_without_masks(nwbfile)
        values = {name: each for name, each in _values_of(nwbfile) if name not in known}
    return Replanned(
        sources={name: each for name, each in values.items() if not isinstance(each, Start)},
        interfaces=interfaces,
        starts={name: each for name, each in values.items() if isinstance(each, Start)},
        unknown_times=clocks.unknown,
        clocks=clocks.read,
        nwbfile=nwbfile,
    )


class StreamClocks:
    """Times that a user had set for streams, set again from the files that state them.

    Parameters
    ----------
    source : OphysConverter or BaseOphysInterface
        The streams, opened again.
    interfaces : mapping of str to BaseOphysInterface
    files : RawFiles
        With the files of times.

    Attributes
    ----------
    unknown : dict of str to str
        Streams whose times could not be set again, with the reason.
    read : set of pathlib.Path
        Files that were read.
    """

    def __init__(self, source: Any, interfaces: Mapping[str, Any], files: RawFiles) -> None:
        self._source, self._interfaces, self._files = source, interfaces, files
        self.unknown: dict[str, str] = {}
        self.read: set[Path] = set()

    def set_again(self, stream: Mapping[str, Any]) -> None:
        """Set the times of a stream as its record states."""
        if not stream.get("times_are_set"):
            return
        name = str(stream["name"])
        interface, clock = self._interfaces[name], stream.get("times_from")
        start = stream.get("aligned_starting_time")
        reason = "the times were set by the user" if start is None else None
        if isinstance(clock, Mapping):
            reason = self._read(name, clock)
        if reason is None and isinstance(start, (int, float)):
            interface.set_aligned_starting_time(start)
        if reason is not None:
            self.unknown[name] = reason
        if is_without_times(interface.extractor):
            # These are not compared; without any times it could not be planned.
            interface.set_aligned_timestamps(np.arange(interface.extractor.get_num_samples()))

    def _read(self, name: str, clock: Mapping[str, Any]) -> str | None:
        """Set the times of a stream from a file; return why this is not possible, or None."""
        settings = {str(key): value for key, value in clock.items() if key not in ("file", "kind")}
        recorded = PurePosixPath(str(clock.get("file")))
        path = self._files.clocks.get(recorded)
        if path is None:
            why = "which is not among the sources"
            if recorded in self._files.ambiguous_clocks:
                why = "a name that several files of times have"
            return f"the times were set from '{recorded}', {why}"
        given = {**settings, "file": path, **({"stream": name} if name else {})}
        kind = "pulses" if clock.get("kind") == "pulses" else "times"
        try:
            apply_times(self._source, **{kind: given})
        except NwbOphysError as error:
            return f"the times could not be read again: {str(error).rstrip('.')}"
        self.read.add(path)
        return None


def _reopened(stream: Mapping[str, Any], files: RawFiles, options: Mapping[str, Any]) -> Any:
    cls = _interface_class(str(stream["class"]))
    fields = {each.name: each for each in attrs.fields(cls.Source)}
    hints = type_hints(cls.Source)
    given = {
        str(key): _argument(value, files, options, is_path=Path in alternatives(hints[key]))
        for key, value in dict(stream.get("source") or {}).items()
        if key in fields and key not in _NEVER_RECORDED
    }
    own = parse_options(options, cls.get_source_schema()["properties"])
    with times_follow(bool(stream.get("times_are_set"))):
        return cls(**{**given, **own})


def _interface_class(name: str) -> Any:
    """Return the interface class of a record, which must be one of a format.

    Raises
    ------
    SourceError
        If there is no such class here.
    """
    module, _, qualified = name.partition(":")
    found: Any = None
    if module.startswith(_OWN_MODULES) and qualified.isidentifier():
        found = getattr(importlib.import_module(module), qualified, None)
    else:
        rows = (row.load() for row in formats().values() if not row.is_ours)
        found = next((c for c in rows if f"{c.__module__}:{c.__qualname__}" == name), None)
    if not (isinstance(found, type) and issubclass(found, BaseOphysInterface)):
        raise SourceError(f"it was opened with '{name}', which is not a format here.")
    return found


def _argument(
    value: Any, files: RawFiles, options: Mapping[str, Any], *, is_path: bool = False
) -> Any:
    if isinstance(value, Mapping) and set(value) == {"path"}:
        path = PurePosixPath(str(value["path"]))
        place = None if path.is_absolute() or ".." in path.parts else files.place(path)
        if place is None:
            raise SourceError(f"'{path}' was not found among the sources.")
        return place
    if isinstance(value, Mapping) and set(value) == {"interface"}:
        return _reopened(value["interface"], files, options)
    if isinstance(value, Mapping) and set(value) <= {"array", "type"}:
        raise SourceError("it was opened with an object in memory, not only with files.")
    if isinstance(value, list):
        return [_argument(item, files, options, is_path=is_path) for item in value]
    if is_path and isinstance(value, str):  # a record states paths in another way
        raise SourceError(f"'{value}' was not found among the sources.")
    return value


def _values_of(nwbfile: Any) -> Iterator[tuple[str, Source | Start]]:
    """Yield the datasets of numbers of an ``NWBFile`` in memory, and the times of its series."""
    with restored_after_write(nwbfile), detached_records(nwbfile) as records:
        root = make_manager().build(nwbfile, source="verify", root=True)
        reattach(root, records)
        for location, builder in dataset_builders(root):
            data = data_of(builder)
            if location.rpartition("/")[2] == "starting_time":
                rate = builder.attributes.get("rate")
                yield location, Start(starting_time=float(data), rate=float(rate))
                continue
            source = source_of(data) or _in_memory(unwrapped(data))
            if source is not None:
                yield location, source


def _in_memory(data: Any) -> Source | None:
    if not isinstance(data, (np.ndarray, list, tuple)):
        return None
    try:
        values = np.asarray(data)
    except ValueError:  # of different lengths
        return None
    return ArraySource(values, "memory") if is_fillable(values.shape, values.dtype) else None
