"""Contract of formats: the checks that every format passes, also one of another package."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from jsonschema import Draft202012Validator
from pynwb import NWBHDF5IO, validate

from nwb_ophys.errors import MetadataError, OptionError, SourceArgumentError, SourceNotFoundError
from nwb_ophys.interfaces import ImagingInterface, SegmentationInterface
from nwb_ophys.interfaces.arguments import path_argument
from nwb_ophys.metadata.datetimes import parse_datetime
from nwb_ophys.testing.reading import check_blocks, check_pixel_masks
from nwb_ophys.testing.written import check_movie, check_rois

_FEWEST_TIMES = 3  # a rate cannot be checked with fewer
_START = "2024-05-17T14:30:00+02:00"


def check_format(cls: Any, sample: Any, *, is_detected: bool = True) -> None:
    """Check that a format behaves as users, the command line and converters expect.

    The checks cover the schema of the source arguments, metadata, detection, streams, the reading
    of parts, by several threads where the format allows it, the conversion of a part, the whole
    conversion, which is validated and compared with the data of the extractor, and the errors for
    wrong arguments.

    Parameters
    ----------
    cls : type
        Interface class of the format.
    sample : path-like or Mapping
        Small recording: its path, or the source arguments that open it.
    is_detected : bool
        Whether :meth:`matches` must recognise the path of the sample.

    Raises
    ------
    AssertionError
        If a check fails; the message says which.
    """
    source = dict(sample) if isinstance(sample, Mapping) else {_path_key(cls): Path(sample)}
    bases = (ImagingInterface, SegmentationInterface)
    _hold(issubclass(cls, bases), "it is an ImagingInterface or a SegmentationInterface")
    _hold(any(base in cls.__bases__ for base in bases), "no format subclasses another format")
    _check_source_schema(cls, source)
    with tempfile.TemporaryDirectory() as folder:
        if is_detected:
            _check_detection(cls, Path(source[_path_key(cls)]), Path(folder))
        _check_errors(cls, source, Path(folder))
        interface = cls(**source)
        _check_metadata(interface)
        _check_clock(interface.extractor)
        check = check_blocks if isinstance(interface, ImagingInterface) else check_pixel_masks
        check(interface.extractor)
        _check_arguments_are_used(cls, source)
        _check_streams(cls, source)
        _check_conversion(interface, Path(folder))
        _close(interface)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Check that a dictionary is a JSON schema; those of many formats are equal, checked once.

    Parameters
    ----------
    schema : Mapping

    Raises
    ------
    jsonschema.SchemaError
    """
    _check_once(_Schema(repr(schema), schema))


@attrs.frozen
class _Schema:
    text: str
    value: Any = attrs.field(eq=False)


@functools.cache
def _check_once(schema: _Schema) -> None:
    Draft202012Validator.check_schema(schema.value)


def _hold(condition: Any, what: str) -> None:
    if not condition:
        raise AssertionError(f"This must hold, but does not: {what}.")


def _path_key(cls: Any) -> str:
    return path_argument(cls.Source) or "file_path"


def _close(interface: Any) -> None:
    close = getattr(interface.extractor, "close", None)
    if callable(close):
        close()


def _check_source_schema(cls: Any, source: Mapping[str, Any]) -> None:
    schema = cls.get_source_schema()
    check_schema(schema)
    _hold((cls.__doc__ or "").strip(), "the class has a docstring, which the list of formats shows")
    for name, field in schema["properties"].items():
        _hold(field["description"].endswith("."), f"the description of {name} is a sentence")
    missing = set(schema["required"]) - set(source)
    _hold(not missing, f"the sample gives all required source arguments; missing: {missing}")


def _check_detection(cls: Any, path: Path, folder: Path) -> None:
    evidence = cls.matches(path)
    _hold(isinstance(evidence, str) and evidence, f"matches('{path}') gives evidence in words")
    empty, text, blank = folder / "empty", folder / f"text{path.suffix}", folder / "notes.txt"
    empty.mkdir()
    for file in (text, blank):
        file.write_text("this is no recording")
    for other in (empty, text, blank, folder / "absent"):
        try:
            claim = cls.matches(other)
        except Exception as error:
            raise AssertionError(
                f"matches() must return None for '{other.name}', which is no recording, but "
                f"raises {error!r}."
            ) from error
        _hold(claim is None, f"'{other.name}', which is no recording, is not matched")
    for other in (text, blank):
        other.unlink()
    empty.rmdir()


def _check_errors(cls: Any, source: Mapping[str, Any], folder: Path) -> None:
    _raises(SourceArgumentError, lambda: cls(**source, bogus=1), "bogus", "an unknown argument")
    key = _path_key(cls)
    if isinstance(source.get(key), (str, Path)):
        absent = folder / "absent" / Path(source[key]).name
        _raises(SourceNotFoundError, lambda: cls(**{**source, key: absent}), "absent", "no file")
    interface = cls(**source)
    _raises(OptionError, lambda: interface.parse_options({"bogus": 1}), "bogus", "a wrong option")
    _close(interface)


def _raises(error: type[Exception], call: Any, word: str, case: str) -> None:
    try:
        call()
    except error as raised:
        _hold(word in str(raised), f"the message for {case} names it: {raised}")
        return
    except Exception as raised:
        raise AssertionError(f"For {case}, {error.__name__} is raised, not {raised!r}.") from raised
    raise AssertionError(f"For {case}, {error.__name__} is raised, but nothing was.")


def _check_arguments_are_used(cls: Any, source: Mapping[str, Any]) -> None:
    """Check that the format's own methods read every source argument."""
    read: set[str] = set()

    class Watched(cls.Source):  # type: ignore[misc, name-defined]
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return super().__getattribute__(name)

    interface = cls(**source)
    given = {
        field.name: getattr(interface.source, field.name) for field in attrs.fields(cls.Source)
    }
    _close(interface)
    interface.source = Watched(**given)
    read.clear()
    interface.extractor = cls.open(interface.source)
    for state in (interface.describe, interface.get_metadata, interface.part):
        state()
    _close(interface)
    unused = set(given) - read
    _hold(not unused, f"every source argument is used; never read: {', '.join(sorted(unused))}")


def _check_metadata(interface: Any) -> None:
    stated = interface.describe()
    _hold(isinstance(stated, Mapping), f"describe() returns a dictionary; it returned {stated!r}")
    # A copy, because changes to an object that describe() returns again would be in both.
    stated = copy.deepcopy(stated)
    _hold(
        interface.describe() == stated,
        "describe() states the same on each call; let it return a new dictionary each time",
    )
    _check_start(stated)
    metadata = interface.get_metadata()
    check_schema(interface.get_metadata_schema())
    interface.validate_metadata(metadata)
    metadata["Ophys"]["ImagingPlane"].clear()
    _hold(
        interface.get_metadata()["Ophys"]["ImagingPlane"],
        "get_metadata() returns a new dictionary on each call",
    )
    unknown = set(stated) - {"NWBFile", "Subject", "Ophys"}
    _hold(not unknown, f"describe() has only NWBFile, Subject and Ophys; it has {unknown}")


def _check_start(stated: Mapping[str, Any]) -> None:
    start = (stated.get("NWBFile") or {}).get("session_start_time")
    if start is not None:
        try:
            parse_datetime(start, "session_start_time")
        except MetadataError as error:
            raise AssertionError(f"describe() must state a date and time: {error}") from error


def _check_clock(extractor: Any) -> None:
    """Check that the rate and the times in the files have the same clock."""
    rate = float(extractor.get_sampling_frequency())
    _hold(np.isfinite(rate) and rate > 0, f"the rate is above 0 Hz; it is {rate}")
    times = extractor.get_native_timestamps()
    if times is None or len(times) < _FEWEST_TIMES:
        return
    _hold((np.diff(times) > 0).all(), "the extractor's timestamps, in seconds, increase")
    measured = 1 / float(np.median(np.diff(times)))
    _hold(
        0.5 < measured / rate < 2,
        f"the rate ({rate:g} Hz) is the rate of the timestamps in seconds ({measured:g} Hz)",
    )


def _check_streams(cls: Any, source: Mapping[str, Any]) -> None:
    key = _path_key(cls)
    if not isinstance(source.get(key), (str, Path)):
        return
    others = {name: value for name, value in source.items() if name != key}
    streams = cls.streams(Path(source[key]), **others)
    _hold(streams, "streams() names at least one stream")
    for arguments in streams.values():
        _close(cls(**arguments))


def _check_conversion(interface: Any, folder: Path) -> None:
    metadata = {"NWBFile": {"session_start_time": _START}}
    options = {"metadata": metadata, "progress": False}
    stub = interface.run_conversion(folder / "stub.nwb", stub=1, **options)
    whole = interface.run_conversion(folder / "whole.nwb", **options)
    check = check_movie if isinstance(interface, ImagingInterface) else check_rois
    for path, num_samples in ((stub, 1), (whole, int(interface.extractor.get_num_samples()))):
        faults = validate(path=str(path))
        _hold(not faults, f"'{path.name}' is valid NWB: {faults}")
        with NWBHDF5IO(path, "r") as io:
            check(io.read(), interface, num_samples)
