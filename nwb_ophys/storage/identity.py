"""Facts on the source and the plan of a write, by which a later run recognises the same write.

A fact has a name and a value, both texts for a message. Two writes are the same if all facts are.
Identifiers that are random in each run, and the time of the write, are no facts.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from hdmf.build import DatasetBuilder, GroupBuilder, LinkBuilder, ReferenceBuilder
from hdmf.data_utils import AbstractDataChunkIterator, DataIO
from numpy.typing import NDArray

from nwb_ophys.remote.paths import RemotePath, walk
from nwb_ophys.storage.backends.registry import NWB_SUFFIXES
from nwb_ophys.storage.hidden_names import HiddenName
from nwb_ophys.storage.planning import PlannedDataset
from nwb_ophys.storage.sources import unwrapped
from nwb_ophys.timing import utc_time

Facts = Mapping[str, str]

_LONGEST = 200
_PIECE_BYTES = 1 << 26
_DEPTH = 4
# A name that the package or a library gives at random, unless the user states one.
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
VOLATILE = ("file_create_date", "identifier", "general/source_script")
"""Datasets whose values differ between two runs of the same write."""
# Attributes by which iterators and extractors refer to what they read.
_LEADS_ON = re.compile(r"extractor|parent|^_?(rois|owner|data|values|kwargs)$")


class UnknownSourceError(Exception):
    """Data whose source cannot be compared between two runs; the message names them."""


# --- files ----------------------------------------------------------------------------------------


def file_facts(paths: Iterable[Path], *, without: Path | None = None) -> dict[str, str]:
    """Return size and time of modification of files, and of all files in folders.

    Parameters
    ----------
    paths : iterable of pathlib.Path
    without : pathlib.Path, optional
        The file that is written, which may lie among them.
    """
    found: dict[str, str] = {}
    for path in paths:
        for file in _files(path):
            if file != without:
                found[f"file '{file}'"] = _state(file)
    return found


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files in a folder without those that a conversion writes."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in walk(path):
        folders[:] = [name for name in sorted(folders) if _may_be_source(folder / name)]
        files = (folder / name for name in sorted(names))
        yield from (file for file in files if _may_be_source(file))


def _may_be_source(path: Path) -> bool:
    return not path.name.endswith(NWB_SUFFIXES) and HiddenName.parse(path) is None


def _state(file: Path) -> str:
    try:
        status = file.stat()
    except OSError:
        return "absent"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    seconds, rest = divmod(status.st_mtime_ns, 1_000_000_000)
    time = utc_time(seconds).replace(tzinfo=None).isoformat(" ")
    return f"{status.st_size:,} bytes of {time}.{rest:09d} (UTC)"


# --- plan -----------------------------------------------------------------------------------------


def plan_facts(planned: Sequence[PlannedDataset]) -> dict[str, str]:
    """Return shape, dtype, chunks and compression of each dataset that is filled."""
    found = {}
    for each in planned:
        how = each.configuration
        limits = "" if how.maxshape is None else f", maxshape {how.maxshape}"
        shuffled = ", shuffled" if how.shuffle else ""
        found[f"dataset '{each.location}'"] = (
            f"{how.shape} of {how.dtype} in chunks of {how.chunk_shape}, {how.compression}"
            f"{shuffled}{limits}"
        )
    return found


# --- sources --------------------------------------------------------------------------------------


def source_facts(planned: Sequence[PlannedDataset]) -> dict[str, str]:
    """Return facts on the values of datasets: their files, or a hash of arrays in memory.

    Raises
    ------
    UnknownSourceError
        If it is not known from which files a dataset is read.
    """
    found: dict[str, str] = {}
    for each in planned:
        files, arrays = origins_of(each.source)
        if not files and not arrays:
            raise UnknownSourceError(
                f"'{each.location}' comes from {each.source.label}, whose files are not known."
            )
        found |= file_facts(files)
        if arrays:
            found[f"the contents of '{each.location}'"] = " ".join(map(hash_of_array, arrays))
    return found


def origins_of(source: Any, depth: int = _DEPTH) -> tuple[set[Path], list[NDArray[Any]]]:
    """Return the files and the arrays in memory from which something is read."""
    files: set[Path] = set()
    arrays: list[NDArray[Any]] = []
    if isinstance(source, np.ndarray):
        mapped = _file_of_map(source)
        return ({mapped}, []) if mapped else (set(), [source])
    name = getattr(source, "filename", None) or getattr(
        getattr(source, "file", None), "filename", None
    )
    if isinstance(name, (str, Path)) and Path(name).exists():
        files.add(Path(name))
    state = source if isinstance(source, dict) else getattr(source, "__dict__", {})
    for key, value in list(state.items()):
        if re.search("path|file|folder", str(key)):
            files |= set(_paths_in(value))
        elif isinstance(value, np.ndarray) or (depth and _LEADS_ON.search(str(key))):
            for each in value if isinstance(value, (list, tuple)) else [value]:
                more_files, more_arrays = origins_of(each, depth - 1)
                files |= more_files
                arrays += more_arrays
    return files, arrays


def is_within(path: Path, target: Path) -> bool:
    """Return whether a path is the target or lies in it, whatever its name or links are."""
    if target in (path, *path.parents):
        return True
    if isinstance(path, RemotePath) or isinstance(target, RemotePath):
        return False
    return any(each.exists() and each.samefile(target) for each in (path, *path.parents))


def _paths_in(value: Any) -> Iterator[Path]:
    values = value if isinstance(value, (list, tuple, set)) else [value]
    for each in values:
        if isinstance(each, (str, Path)) and str(each):
            with suppress(OSError, ValueError):
                path = each if isinstance(each, Path) else Path(each)
                if path.exists():
                    yield path.resolve()


def _file_of_map(values: NDArray[Any]) -> Path | None:
    base: Any = values
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.filename is not None:
            return Path(base.filename)
        base = base.base
    return None


def hash_of_array(values: NDArray[Any]) -> str:
    """Return dtype, shape and a hash of the values of an array; objects count by their texts."""
    if values.dtype.hasobject:
        return f"{values.shape} of objects, {_digest(repr(values.tolist()))}"
    hashing = xxhash.xxh3_64()
    flat = values.reshape(1) if values.ndim == 0 else values
    step = max(_PIECE_BYTES // max(flat[:1].nbytes, 1), 1)
    for start in range(0, len(flat), step):
        part = np.ascontiguousarray(flat[start : start + step])
        hashing.update(part.view(np.uint8).data if part.size else b"")
    return f"{values.shape} of {values.dtype}, {hashing.hexdigest()}"


# --- metadata -------------------------------------------------------------------------------------


def tree_facts(
    root: GroupBuilder,
    filled: Iterable[str],
    is_written: Callable[[DatasetBuilder], bool],
    *,
    is_source_known: bool,
) -> dict[str, str]:
    """Return facts on everything that hdmf writes: attributes, links and small datasets.

    Parameters
    ----------
    root : hdmf.build.GroupBuilder
    filled : iterable of str
        Locations of the datasets that the engine fills.
    is_written : callable
        Return whether a dataset is in the file already.
    is_source_known : bool
        Whether other facts cover the data of iterators that yield them once.
    """
    found: dict[str, str] = {}
    skipped = {*filled, *VOLATILE[:1], *VOLATILE[2:]}

    def walk(group: GroupBuilder, path: str) -> None:
        _add_attributes(found, path.rstrip("/"), group)
        for name, dataset in group.datasets.items():
            where = f"{path}{name}"
            _add_attributes(found, where, dataset)
            if where in skipped or is_written(dataset):
                continue
            if _is_lazy(dataset.data):
                if not is_source_known:
                    raise UnknownSourceError(
                        f"'{where}' comes from an iterator that yields its data once."
                    )
                continue
            found[f"metadata '{where}'"] = text_of(dataset.data)
        for name, link in group.links.items():
            found[f"metadata '{path}{name}'"] = text_of(link)
        for name, inner in group.groups.items():
            walk(inner, f"{path}{name}/")

    walk(root, "")
    return found


def _is_lazy(data: Any) -> bool:
    return isinstance(unwrapped(data), AbstractDataChunkIterator)


def _add_attributes(found: dict[str, str], path: str, builder: Any) -> None:
    for name, value in builder.attributes.items():
        if name != "object_id":
            found[f"metadata '{path}.{name}'"] = text_of(value)


def text_of(value: Any) -> str:
    """Return a text that is equal in two runs if the value is."""
    text = _text(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]}… ({_digest(text)})"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return "a random identifier" if _RANDOM.fullmatch(value) else repr(value)
    if isinstance(value, (bool, int, float, complex, bytes, type(None), np.generic)):
        return repr(value)
    if isinstance(value, os.PathLike):
        return f"'{Path(value).absolute()}'"
    if isinstance(value, (datetime.date, datetime.timedelta)):
        return str(value)
    if isinstance(value, np.ndarray):
        mapped = _file_of_map(value)
        return hash_of_array(value) if mapped is None else f"{mapped}: {_state(mapped)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, (LinkBuilder, ReferenceBuilder)):
        return f"the link to '{value.builder.path}'"
    if isinstance(value, (DatasetBuilder, GroupBuilder)):
        return f"the object '{value.path}'"
    if isinstance(value, DataIO):
        return _text(unwrapped(value))
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return f"{type(value).__name__} of {shape} and {dtype}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# --- comparison -----------------------------------------------------------------------------------


def difference(earlier: Facts, present: Facts) -> str | None:
    """Return the first fact that differs, with both values, as a part of a sentence; or None."""
    names = [name for name in {**present, **earlier} if present.get(name) != earlier.get(name)]
    if not names:
        return None
    first = names[0]
    was, now = earlier.get(first, "absent"), present.get(first, "absent")
    more = f", and {len(names) - 1} more facts differ" if len(names) > 1 else ""
    return f"{first} was {was} then and is {now} now{more}"
