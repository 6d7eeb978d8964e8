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
from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces import BaseOphysInterface
from nwb_ophys.metadata import alternatives, type_hints
from nwb_ophys.metadata.value_texts import parse_options
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
class Replanned:
    """Datasets that the sources of a record make.

    Attributes
    ----------
    sources : dict of str to Source
        Values of the datasets of numbers, by location.
    interfaces : dict of str to BaseOphysInterface
    set_times : bool
        Whether the user had set times, which the sources do not have.
    nwbfile : pynwb.NWBFile
        Everything that this record and those before it make.
    """

    sources: dict[str, Source]
    interfaces: dict[str, Any]
    set_times: bool
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
        prepared = source.prepare(metadata, chosen, joins_file=before is not None)
        known = set() if before is None else {name for name, _ in _numbers_of(before)}
        nwbfile = prepared.new_nwbfile() if before is None else before
        prepared.add_to(nwbfile)
        complete_tables_without_masks(nwbfile)
        sources = {name: each for name, each in _numbers_of(nwbfile) if name not in known}
    return Replanned(
        sources=sources,
        interfaces=interfaces,
        set_times=any(each.get("times_are_set") for each in streams),
        nwbfile=nwbfile,
    )


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
    times_are_set = bool(stream.get("times_are_set"))
    with times_follow(times_are_set):
        interface = cls(**{**given, **own})
    if times_are_set and is_without_times(interface.extractor):
        # These are not compared; without any times it could not be planned.
        interface.set_aligned_timestamps(np.arange(interface.extractor.get_num_samples()))
    return interface


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


def _numbers_of(nwbfile: Any) -> Iterator[tuple[str, Source]]:
    """Yield the datasets of numbers of an ``NWBFile`` in memory, as sources."""
    with restored_after_write(nwbfile), detached_records(nwbfile) as records:
        root = make_manager().build(nwbfile, source="verify", root=True)
        reattach(root, records)
        for location, builder in dataset_builders(root):
            data = data_of(builder)
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
