"""The provenance of a conversion: its command, streams, metadata, source files and notes.

Archives are public, so that no absolute path is stored, which may hold names of people and
machines: paths are relative to the folder that all sources have in common.
"""

from __future__ import annotations

import datetime
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.interfaces.comparison import listed
from nwb_ophys.interfaces.witness import Witness
from nwb_ophys.remote.paths import RemotePath, as_path, walk
from nwb_ophys.remote.reading import changed_since, stated_version
from nwb_ophys.remote.shortening import Shortener, absolute_path
from nwb_ophys.shell_words import joined
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.command import present_command
from nwb_ophys.storage.file_hashes import BackgroundHashes, Sampling, is_system_file
from nwb_ophys.storage.hidden_names import HiddenName
from nwb_ophys.storage.record import Provenance
from nwb_ophys.timing import utc_time

# Files of a folder; those of a larger one are not listed.
MOST_FILES = 100_000
# Objects in stores that are hashed.
_MOST_HASHED = 500
_LARGEST_ARRAY = 1_000


@attrs.frozen(kw_only=True)
class SourceFile:
    """A source file before the conversion."""

    path: Path
    size: int
    modified_ns: int
    version: int
    stated_version: str = ""
    """Version of an object of a store, as the store states it; empty on a disk."""
    is_stated: bool
    """Whether the interface names the file, not only its folder."""


class ConversionProvenance(Provenance):
    """Provenance of the conversion of interfaces.

    Parameters
    ----------
    streams : mapping of str to object
        The interfaces by the name of the stream.
    options : mapping of str to Mapping
        Conversion options by the name of the stream.
    metadata : Mapping
        All metadata that are written.
    witness : Witness
        Notes and opened files of the conversion, which is not yet complete.
    whole : bool
        Whether every byte of the source files is hashed.
    """

    def __init__(
        self,
        streams: Mapping[str, Any],
        options: Mapping[str, Mapping[str, Any]],
        metadata: Mapping[str, Any],
        witness: Witness,
        *,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self._streams, self._options, self._metadata = streams, options, metadata
        self._witness = witness
        paths = [path for each in streams.values() for path in _paths_of(each)]
        origins = (getattr(each, "times_origin", None) for each in streams.values())
        self._clocks = {absolute_path(each.path): each for each in origins if each is not None}
        self._shortener = Shortener(paths)
        self._files = list(_source_files(streams.values()))
        self._sampling = Sampling.of([each.size for each in self._files], whole=whole)
        hashed = dict.fromkeys([*_hashed(self._files), *self._clocks])
        self._hashes = BackgroundHashes(list(hashed), self._sampling)

    def close(self) -> None:
        """End the hashing of source files."""
        self._hashes.stop()

    def calls(self) -> Iterator[str]:
        """Yield the command line, or the calls in Python, that made the file."""
        if present_command():
            yield joined(("nwb-ophys", *self._command()))
            return
        for name in self._streams:
            stream = self._stream(name)
            source = ", ".join(f"{key}={_shown(v)}" for key, v in stream["source"].items())
            options = ", ".join(f"{key}={_shown(v)}" for key, v in stream["options"].items())
            if name:
                yield f"# {name}"
            yield f"{stream['class'].rpartition(':')[2]}({source}).run_conversion({options})"

    def contents(self, backend: Backend) -> dict[str, Any]:
        """Return everything but the hashes of the datasets as plain data.

        Warn of source files that changed while they were read.
        """
        witness = Witness()
        for each in self._streams.values():
            if isinstance(own := getattr(each, "witness", None), Witness):
                witness.add(own)
        witness.add(self._witness)
        _check_objects(self._files)
        files = self._listed(witness)
        _warn_of_changes(files)
        found = {
            **super().contents(backend),
            "command": ["nwb-ophys", *self._command()] if present_command() else None,
            "streams": [self._stream(name) for name in self._streams],
            "metadata": self._plain(self._metadata),
            "source_files": files,
            "clock_files": self._listed_clocks() or None,
            "sampling": attrs.asdict(self._sampling),
            "notes": [self._shortener.text(note) for note in witness.notes],
        }
        return {key: value for key, value in found.items() if value is not None}

    def _command(self) -> list[str]:
        return [self._shortener.argument(each) for each in present_command()]

    def _stream(self, name: str) -> dict[str, Any]:
        interface = self._streams[name]
        options = {**getattr(interface, "default_options", {}), **self._options.get(name, {})}
        return {
            "name": name,
            **self._opened_as(interface),
            "options": {key: self._plain(v) for key, v in options.items()},
            "times_are_set": bool(getattr(interface, "times_are_set", False)),
            **self._clock_of(interface),
        }

    def _clock_of(self, interface: Any) -> dict[str, Any]:
        """Return the file from which the times were set, with the rules, and the shift of all."""
        found: dict[str, Any] = {}
        start = getattr(interface, "aligned_starting_time", None)
        if start is not None:
            found["aligned_starting_time"] = start
        origin = getattr(interface, "times_origin", None)
        if origin is not None:
            file = self._shortener.path(origin.path)
            found["times_from"] = {"file": file, **self._plain(origin.settings)}
        return found

    def _opened_as(self, interface: Any) -> dict[str, Any]:
        cls: Any = type(interface)
        source: Any = getattr(interface, "source", None)
        given = attrs.asdict(source, recurse=False) if attrs.has(type(source)) else {}
        return {
            "class": f"{cls.__module__}:{cls.__qualname__}",
            "source": {
                key: _array_in_words(v) if isinstance(v, np.ndarray) else self._plain(v)
                for key, v in given.items()
                if v is not None
            },
        }

    def _plain(self, value: Any) -> Any:
        """Return an argument as plain data, with paths shortened and without large arrays."""
        if attrs.has(type(getattr(value, "source", None))):  # an interface within another one
            return {"interface": self._opened_as(value)}
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        if isinstance(value, PurePath):
            return {"path": self._shortener.path(str(value))}
        if isinstance(value, Mapping):
            return {str(key): self._plain(item) for key, item in value.items()}
        if isinstance(value, np.ndarray) and value.size > _LARGEST_ARRAY:
            return _array_in_words(value)
        if isinstance(value, (list, tuple, np.ndarray)):
            return [self._plain(item) for item in value]
        if isinstance(value, (datetime.datetime, datetime.date)):
            return value.isoformat()
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, str):
            return self._shortener.text(value)
        return value if isinstance(value, int | float | bool | None) else {"type": _kind(value)}

    def _listed_clocks(self) -> list[dict[str, Any]]:
        """Return the files from which times were set, with size and hash.

        They are not among the source files, because nothing else in them is converted.
        """
        hashes = self._hashes.result()
        return [
            {
                "path": self._shortener.path(path),
                "size": path.stat().st_size if path.is_file() else None,
                "hash": hashes.get(path),
            }
            for path in self._clocks
        ]

    def _listed(self, witness: Witness) -> list[dict[str, Any]]:
        """Return the source files with size, time and hash, and whether they were read."""
        hashes = self._hashes.result()
        # Thousands of files of a Zarr store may have been opened as well, whose names are others.
        names = {each.path.name for each in self._files}
        last = os.path.basename  # without the objects that Path makes
        opened = {str(absolute_path(name)) for name in witness.opened if last(name) in names}
        found = []
        for each in self._files:
            entry: dict[str, Any] = {
                "path": self._shortener.path(each.path),
                "size": each.size,
                "modified": _time(each.modified_ns),
                "hash": hashes.get(each.path),
                "is_sampled": not self._sampling.is_whole(each.size),
                "is_read": each.is_stated or str(each.path) in opened,
            }
            if each.stated_version:
                entry["version"] = each.stated_version
            if _has_changed(each):
                entry["has_changed"] = True
            found.append(entry)
        return found


def _paths_of(interface: Any) -> list[Path]:
    """Return all paths that an interface was opened with, and those of an interface within it."""
    source: Any = getattr(interface, "source", None)
    if not attrs.has(type(source)):
        return []
    found: list[Path] = []
    for value in attrs.asdict(source, recurse=False).values():
        items = value if isinstance(value, (list, tuple)) else [value]
        found += [item for item in items if isinstance(item, Path)]
        found += [path for item in items for path in _paths_of(item)]
    return found


def _array_in_words(values: np.ndarray[Any, Any]) -> dict[str, str]:
    return {"array": f"{values.dtype} {values.shape}"}


def _shown(value: Any) -> str:
    return repr(value["path"]) if isinstance(value, dict) and "path" in value else repr(value)


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _time(nanoseconds: int) -> str:
    return utc_time(nanoseconds // 10**9).isoformat()


def _check_objects(files: Sequence[SourceFile]) -> None:
    """Raise if objects in stores were replaced, so that the output may be a mixture of both.

    The parts of an object are requested one by one, so that each may be of another version.
    """
    remote = {each.path: each for each in files if isinstance(each.path, RemotePath)}
    changed = changed_since({path: (f.size, f.version) for path, f in remote.items()})
    if changed:
        raise SourceError(
            f"{listed([str(path) for path in changed])} was replaced while it was converted. "
            "Convert it again when no program writes to it."
        )


def _has_changed(file: SourceFile) -> bool:
    if _is_remote(file):  # which was checked before
        return False
    try:
        now = file.path.stat()
    except OSError:
        return True
    return (now.st_size, now.st_mtime_ns) != (file.size, file.modified_ns)


def _warn_of_changes(files: Sequence[Mapping[str, Any]]) -> None:
    changed = [str(each["path"]) for each in files if each["is_read"] and each.get("has_changed")]
    if changed:
        warnings.warn(
            f"Source files changed while they were converted: {listed(changed)}. The output may "
            "hold old and new values; convert again when no program writes to them.",
            UserWarning,
            stacklevel=2,
        )


def _source_files(interfaces: Any) -> Iterator[SourceFile]:
    """Yield the files that interfaces name, and those in the folders that they name, once."""
    stated: dict[Path, bool] = {}
    for interface in interfaces:
        paths = _paths_of(interface)
        pages = getattr(getattr(interface, "extractor", None), "pages_of_files", ())
        for path in [*paths, *(as_path(each) for each in pages)]:
            absolute = absolute_path(path)
            if not absolute.is_dir():
                stated[absolute] = True
                continue
            for each in _files_in(absolute):
                stated.setdefault(each, False)
        for each in _companions(interface, [path for path in stated if stated[path]]):
            stated.setdefault(each, True)
    for path, is_stated in stated.items():
        try:
            found = path.stat()
        except OSError:
            continue
        yield SourceFile(
            path=path,
            size=found.st_size,
            modified_ns=found.st_mtime_ns,
            version=found.st_ino,
            stated_version=stated_version(path) if isinstance(path, RemotePath) else "",
            is_stated=is_stated,
        )


def _companions(interface: Any, files: Sequence[Path]) -> Iterator[Path]:
    """Yield the files beside some files that the interface read, such as their headers.

    Files of the same kind are other recordings, of which it may have looked at the header.
    """
    witness = getattr(interface, "witness", None)
    folders = {path.parent for path in files}
    suffixes = {path.suffix.lower() for path in files}
    for name in sorted(witness.opened if isinstance(witness, Witness) else ()):
        path = absolute_path(name)
        is_beside = any(path.is_relative_to(folder) for folder in folders)
        # Other threads write their own outputs meanwhile.
        is_beside = is_beside and HiddenName.parse(path) is None
        if is_beside and path.suffix.lower() not in suffixes and path.is_file():
            yield path


def _hashed(files: Sequence[SourceFile]) -> list[Path]:
    """Return the files that are hashed; of those in object stores only some.

    Each of them is at least one request, and the record states its version.
    """
    found = [each.path for each in files if not _is_remote(each)]
    remote = sorted(filter(_is_remote, files), key=lambda each: not each.is_stated)
    return found + [each.path for each in remote[:_MOST_HASHED]]


def _is_remote(file: SourceFile) -> bool:
    return isinstance(file.path, RemotePath)


def _files_in(folder: Path) -> Iterator[Path]:
    number = 0
    for place, folders, names in walk(folder):
        folders.sort()
        for name in sorted(names):
            path = place / name
            if number < MOST_FILES and path.is_file() and not is_system_file(name):
                number += 1
                yield path
