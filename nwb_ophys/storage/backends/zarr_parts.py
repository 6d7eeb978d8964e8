"""Parts of Zarr stores that lie elsewhere, or that were never written."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import CorruptSourceError, OutsideFolderError
from nwb_ophys.outside import (
    check_links_in,
    current_reach,
    named_file,
    reach_of,
    reading_from,
    within_reach,
)
from nwb_ophys.remote.paths import RemotePath, walk
from nwb_ophys.storage.backends.ranges import positions
from nwb_ophys.storage.backends.zarr_claims import check_array_claims, layout_of
from nwb_ophys.storage.backends.zarr_places import (
    ABSENT,
    ShardLayout,
    array_folder,
    read_sound_index,
)

_ATTRIBUTES = {".zattrs", ".zmetadata", "zarr.json"}


def check_store(store: Path, *, chunks: bool = True) -> None:
    """Check that a Zarr store holds files only, and no link or reference that leads out of it.

    Parameters
    ----------
    store : pathlib.Path
    chunks : bool
        Whether the chunks of arrays are checked; else whoever reads them does that.

    Raises
    ------
    OutsideFolderError
        If a link or a reference in attributes leads out of the folders of the recording.
    SpecialFileError
        If a file is a pipe, a socket or a device, which Zarr would wait for.
    CorruptSourceError
        If an array claims more than its chunks hold, or holds pickles.
    """
    within = nullcontext() if current_reach() is not None else reading_from([store])
    with within:
        check_links_in(store)
        for folder, _, names in walk(store):
            for name in _ATTRIBUTES.intersection(names):
                for reference in _references(_json(folder / name)):
                    check_reference(store, reference)
            # The chunks in an object store are checked when they are fetched.
            check_array_claims(folder, chunks=chunks and not isinstance(store, RemotePath))


def _json(path: Path) -> Any:
    try:
        return parse_source_json(read_limited(path))
    except (OSError, ValueError, RecursionError):  # the reader says what is wrong
        return None


def _references(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the references in attributes, which have a store and the path of an object."""
    remaining = [value]
    while remaining:
        each = remaining.pop()
        if isinstance(each, dict):
            if isinstance(each.get("source"), str) and isinstance(each.get("path"), str):
                yield each
            remaining += each.values()
        elif isinstance(each, list):
            remaining += each


def check_reference(store: Path, reference: Mapping[str, Any]) -> None:
    """Check the store that a link or a reference names, before it is followed.

    Parameters
    ----------
    store : pathlib.Path
        The store with the reference.
    reference : Mapping
        The other store as ``source``, relative to this one; ``.`` for this one.
    """
    source = reference.get("source")
    name = str(reference.get("path") if source is None else source)
    if name == ".":
        return
    if isinstance(store, RemotePath):
        raise OutsideFolderError(
            f"'{store}' names the other store '{name}' in its reference to "
            f"'{reference.get('path')}'; other stores of an object store are not read. Download "
            "both, and give the path of the copy."
        )
    place = os.path.normpath(store / name)
    other = named_file(store, name, of=f"The reference to '{reference.get('path')}'", place=place)
    if other.is_dir() and not other.samefile(store):
        with within_reach(current_reach() or reach_of([store])):
            check_links_in(other)


def check_complete(array: Any, path: Path | None = None) -> None:
    """Check that all chunks of a Zarr array were written, so that no fill value is read as data.

    Parameters
    ----------
    array : zarr.Array
    path : pathlib.Path, optional
        Folder of the array; by default that of its store.

    Raises
    ------
    CorruptSourceError
        If a chunk is not stored; names the frames.
    """
    folder = array_folder(array) if path is None else path
    try:
        lacking = absent_chunks(array, path)
    except ValueError as error:
        raise CorruptSourceError(f"'{folder}' is damaged: {error}") from error
    if not lacking:
        return
    total = math.prod(_counts(array))
    missing = sum(lacking.values())
    where = positions(sorted(lacking), array.chunks[0], array.shape[0])
    raise CorruptSourceError(
        f"'{folder}' lacks {missing} of {total} chunks, {where} along its first axis; Zarr would "
        "read fill values in their place. Copy the folder again from where it was recorded; if its "
        "program leaves out chunks of one value, write it again with write_empty_chunks=True."
    )


def _counts(array: Any) -> list[int]:
    return [math.ceil(n / size) for n, size in zip(array.shape, array.chunks, strict=True)]


def absent_chunks(array: Any, path: Path | None = None) -> dict[int, int]:
    """Return the number of chunks that are not stored by their index along the first axis.

    Parameters
    ----------
    array : zarr.Array
        One in no folder counts as complete.
    path : pathlib.Path, optional
        Folder of the array; by default that of its store.

    Raises
    ------
    ValueError
        If the index of a shard is damaged.
    """
    folder = array_folder(array) if path is None else path
    if folder is None or not folder.is_dir() or 0 in array.shape or not array.shape:
        return {}
    layout = layout_of(folder)
    if layout is not None:
        return _absent_in_shards(folder, layout)
    return _steps_without_file(folder, _counts(array))


def _absent_in_shards(folder: Path, layout: ShardLayout) -> dict[int, int]:
    found: dict[int, int] = {}
    for number in layout.every_shard():
        inside = layout.positions_in(number)
        file = folder.joinpath("c", *map(str, number))
        if file.is_file():
            index = read_sound_index(file, layout)
            inside = inside[(index[inside] == ABSENT).all(axis=1)]
        first = number[0] * layout.per_shard[0]
        steps = np.unravel_index(inside, layout.per_shard)[0] + first
        for step, count in zip(*np.unique(steps, return_counts=True), strict=True):
            found[int(step)] = found.get(int(step), 0) + int(count)
    return found


def _steps_without_file(folder: Path, counts: Sequence[int]) -> dict[int, int]:
    """Return the number of absent chunks by their index along the first axis."""
    separator, base = _keys(folder)
    start = len(str(base)) + 1
    present = {
        f"{str(where)[start:]}/{name}".lstrip("/") if separator == "/" else name
        for where, _, names in itertools.islice(walk(base), 1 if separator == "." else None)
        for name in names
    }
    found: dict[int, int] = {}
    for index in itertools.product(*map(range, counts)):
        if separator.join(map(str, index)) not in present:
            found[index[0]] = found.get(index[0], 0) + 1
    return found


def _keys(folder: Path) -> tuple[str, Path]:
    """Return the separator in the names of chunks, and the folder in which they lie."""
    try:
        header = json.loads((folder / ".zarray").read_bytes())
    except (OSError, ValueError):  # of format 3, whose chunks lie in a folder ``c``
        header = {"dimension_separator": "/"}
    base = folder / "c" if (folder / "c").is_dir() else folder
    return header.get("dimension_separator", "."), base
