"""Shards of Zarr format 3, which are filled chunk by chunk in any order.

A shard begins with its index. The encoded chunks follow in the order in which they are finished,
and each is noted in the index when it is in the file, so that no shard is ever held in memory, and
a shard of a killed write has all chunks that were finished.
"""

from __future__ import annotations

import math
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.storage.backends.zarr_places import (
    ABSENT,
    Index,
    ShardLayout,
    StoredChunk,
    check_not_gone,
    checksum,
    read_index,
)
from nwb_ophys.storage.direct_writing import write_past_cache
from nwb_ophys.storage.grid import Shape
from nwb_ophys.storage.positioned_access import write_all

SHARD_BYTES = 128_000_000
# The index of a shard is read before each of its chunks.
_MOST_CHUNKS = 4096


def shard_shape(shape: Shape, chunks: Shape, itemsize: int) -> Shape:
    """Return the shape of shards: as many chunks that follow each other as fit into 128 MB.

    Parameters
    ----------
    shape, chunks : tuple of int
    itemsize : int
        Bytes per value.
    """
    most = min(SHARD_BYTES // max(math.prod(chunks) * itemsize, 1), _MOST_CHUNKS)
    shards = list(chunks)
    for axis in reversed(range(len(shape))):
        total = max(-(-shape[axis] // chunks[axis]), 1)
        count = max(min(total, most), 1)
        shards[axis] = count * chunks[axis]
        if count < total:
            break
        most //= count
    return tuple(shards)


class _Shard:
    """Index of a shard that is being filled."""

    def __init__(self, file: Path, layout: ShardLayout, num_chunks: int) -> None:
        self.file = file
        self.index: Index = np.full((math.prod(layout.per_shard), 2), ABSENT, "<u8")
        self.end = layout.index_bytes
        self.is_new = not file.is_file()
        if not self.is_new:  # of an earlier run
            with suppress(ValueError):  # torn: all its chunks are stored again
                self.index = read_index(file, layout)[0].copy()
            self.end = max(self.end, file.stat().st_size)
        self.num_absent = num_chunks - int((self.index[:, 0] != ABSENT).sum())

    def reserve(self, position: int, size: int) -> int:
        """Return the place for a chunk: that of before where it fits, or else the end."""
        start, before = self.index[position].tolist()
        if start != ABSENT and size <= before:
            return int(start)
        start, self.end = self.end, self.end + size
        return start

    def note(self, position: int, entry: Any) -> bool:
        """Note the place of a chunk that is in the file, and return whether it was the last."""
        is_first = self.index[position, 0] == ABSENT
        self.index[position] = entry
        self.num_absent -= bool(is_first)
        return bool(is_first) and not self.num_absent

    def complete(self) -> None:
        """Write the index with its checksum."""
        content = self.index.tobytes()
        with _opened(self.file, os.O_CREAT) as handle:
            write_all(handle, content + checksum(content), 0)


class ShardFiles:
    """Files of the shards of an array, to which several threads add chunks.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.
    layout : ShardLayout
        With the index first.
    before_change : callable, optional
        Called with the name of a shard within the folder before its file is made.
    is_shared : bool
        Whether other processes add other shards. A shard then gets its name when it is complete,
        so that two processes never write the same file.
    """

    def __init__(
        self,
        folder: Path,
        layout: ShardLayout,
        before_change: Callable[[str], None] | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        self._folder, self._base = folder, folder / "c"
        self._layout, self._before_change = layout, before_change
        self._is_shared = is_shared
        self._lock = threading.Lock()
        self._open: dict[Shape, _Shard] = {}
        self._complete: set[Shape] = set()
        self._last: tuple[Shape, Index] | None = None

    def put(self, corner: Shape, encoded: Any) -> Path | None:
        """Store an encoded chunk by the lowest index of its values.

        Returns
        -------
        pathlib.Path or None
            The file of the shard, if all its chunks are in it now.
        """
        number, position = self._place_of(corner)
        data = memoryview(encoded).cast("B")
        with self._lock:
            shard = self._shard(number)
            start = shard.reserve(position, data.nbytes)
        entry = np.array([start, data.nbytes], "<u8")
        with _opened(shard.file) as handle:
            write_past_cache(shard.file, handle, data, start)
            write_all(handle, entry.tobytes(), position * entry.nbytes)
        with self._lock:
            if not shard.note(position, entry):
                return None
            self._finish(number, shard)
        return self._file(number)

    def length(self, corner: Shape) -> int | None:
        """Return the size of an encoded chunk in the file of a complete shard, or None."""
        number, position = self._place_of(corner)
        if self._last is None or self._last[0] != number or self._last[1][position, 0] == ABSENT:
            try:
                self._last = (number, read_index(self._file(number), self._layout)[0])
            except (FileNotFoundError, ValueError):
                return None
        start, size = self._last[1][position].tolist()
        return None if start == ABSENT else int(size)

    def read(self, corner: Shape) -> bytes | None:
        """Return an encoded chunk, or None if it is not stored."""
        number, position = self._place_of(corner)
        with self._lock:
            if number not in self._open and not self._file(number).is_file():
                return None
            shard = self._shard(number)
            start, size = shard.index[position].tolist()
        if start == ABSENT:
            return None
        return StoredChunk(shard.file, start, size, "").read()

    def finish(self) -> None:
        """Complete the indices of shards of which some chunks are not stored."""
        with self._lock:
            # The others may be those of other processes.
            for number in list(self._open) if self._is_shared else self._layout.every_shard():
                is_there = number in self._open or self._file(number).is_file()
                if is_there and number not in self._complete:
                    self._finish(number, self._shard(number))

    def _finish(self, number: Shape, shard: _Shard) -> None:
        shard.complete()
        if self._is_shared:
            shard.file.replace(self._file(number))
        self._complete.add(number)
        self._open.pop(number, None)  # so that memory does not grow with the array

    def _place_of(self, corner: Shape) -> tuple[Shape, int]:
        chunks = self._layout.chunks
        return self._layout.place_of([at // step for at, step in zip(corner, chunks, strict=True)])

    def _shard(self, number: Shape) -> _Shard:
        """Return a shard, whose file is made where there is none."""
        shard = self._open.get(number)
        if shard is None:
            num_chunks = len(self._layout.positions_in(number))
            file = self._file(number)
            if self._is_shared:
                file = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
            shard = _Shard(file, self._layout, num_chunks)
            if shard.is_new:
                if self._before_change is not None:
                    self._before_change("/".join(map(str, ("c", *number))))
                if self._is_shared:
                    check_not_gone(self._folder, "zarr.json")
                shard.file.parent.mkdir(parents=True, exist_ok=True)
                shard.complete()
            self._open[number] = shard
        return shard

    def _file(self, number: Shape) -> Path:
        return self._base.joinpath(*map(str, number))


@contextmanager
def _opened(file: Path, flags: int = 0) -> Iterator[int]:
    handle = os.open(file, os.O_WRONLY | getattr(os, "O_BINARY", 0) | flags, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)
