"""Places of the arrays and chunks of Zarr stores in folders, and the indices of their shards."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import OutputError
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage.grid import Shape

CHECKSUM_BYTES = 4
_ENTRY_BYTES = 16
ABSENT = np.iinfo(np.uint64).max
"""Offset and size in an index of a chunk that is not stored."""

Index = NDArray[np.uint64]
"""Offset and size of each chunk of a shard, in C order; shape (chunks, 2)."""


def store_folder(array: Any) -> Path | None:
    """Return the folder of the store of an open array; None where it is in no folder."""
    store = getattr(array, "chunk_store", None)  # of Zarr 2 only
    if store is None:  # no more is asked of it, as its length would list all files
        store = array.store
    place = getattr(store, "root", None) or getattr(store, "path", None)
    return None if place is None else as_path(str(place))


def array_folder(array: Any) -> Path | None:
    """Return the folder of an open array; None where its store is in no folder."""
    folder = store_folder(array)
    return None if folder is None else folder / array.path


def check_not_gone(folder: Path, header: str) -> None:
    """Check that an array which other processes fill, too, is still there.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.
    header : str
        Name of its header.

    Raises
    ------
    OutputError
        If it is not, since the write has ended.
    """
    if not (folder / header).is_file():
        raise OutputError(f"'{folder}' is gone, since the write has ended.")


@attrs.frozen
class StoredChunk:
    """An encoded chunk: a file, or a part of the file of a shard."""

    path: Path
    start: int
    size: int
    name: str

    @classmethod
    def of_file(cls, path: Path) -> StoredChunk:
        """Return the chunk that is a whole file."""
        return cls(path, 0, path.stat().st_size, path.name)

    def read(self, most: int | None = None) -> bytes:
        """Return its bytes, or the first of them."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            return file.read(self.size if most is None else min(most, self.size))


@attrs.frozen(kw_only=True)
class ShardLayout:
    """Shards of an array, and the chunks in each.

    Attributes
    ----------
    shape, chunks, shards : tuple of int
        Shape of the array, of a chunk and of a shard.
    is_index_first : bool
        Whether the index lies at the beginning of a shard, not at its end.
    """

    shape: Shape
    chunks: Shape
    shards: Shape
    is_index_first: bool

    @property
    def per_shard(self) -> Shape:
        """Number of chunks in a shard along each axis."""
        return tuple(shard // chunk for shard, chunk in zip(self.shards, self.chunks, strict=True))

    @property
    def num_shards(self) -> Shape:
        """Number of shards along each axis."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.shards, strict=True))

    @property
    def num_chunks(self) -> Shape:
        """Number of chunks of the array along each axis."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.chunks, strict=True))

    @property
    def index_bytes(self) -> int:
        """Size of an index with its checksum."""
        return math.prod(self.per_shard) * _ENTRY_BYTES + CHECKSUM_BYTES

    def place_of(self, chunk: Sequence[int]) -> tuple[Shape, int]:
        """Return the shard of a chunk, and the position of the chunk in its index."""
        shard, position = [], 0
        for at, count in zip(chunk, self.per_shard, strict=True):
            shard.append(at // count)
            position = position * count + at % count
        return tuple(shard), position

    def positions_in(self, shard: Shape) -> NDArray[np.int64]:
        """Return the positions in the index of a shard of the chunks that lie in the array."""
        axes = [
            np.arange(min(count, total - at * count))
            for at, count, total in zip(shard, self.per_shard, self.num_chunks, strict=True)
        ]
        return np.ravel_multi_index(np.ix_(*axes), self.per_shard).ravel().astype(np.int64)

    def every_shard(self) -> Iterator[Shape]:
        """Yield the numbers of all shards."""
        return itertools.product(*map(range, self.num_shards))


def read_index(file: Path, layout: ShardLayout) -> tuple[Index, bytes]:
    """Return the index of a shard and its checksum, and check that it fits the file.

    Raises
    ------
    ValueError
        If the file is shorter than the index or than a chunk in it.
    """
    size = file.stat().st_size
    with file.open("rb", buffering=0) as opened:
        if size < layout.index_bytes:
            raise ValueError(
                f"the shard '{shown(file)}' has {size} bytes, fewer than its index of "
                f"{layout.index_bytes}."
            )
        opened.seek(0 if layout.is_index_first else size - layout.index_bytes)
        content = opened.read(layout.index_bytes)
    return index_in(content, size, file), content[-CHECKSUM_BYTES:]


def index_in(content: bytes, size: int, file: Path) -> Index:
    """Return the index of a shard from its bytes with their checksum.

    Parameters
    ----------
    content : bytes
    size : int
        Size of the shard.
    file : pathlib.Path
        For messages.

    Raises
    ------
    ValueError
        If the shard is shorter than a chunk in the index.
    """
    index = np.frombuffer(content[:-CHECKSUM_BYTES], "<u8").reshape(-1, 2)
    _check_ends(file, index, size)
    return index


def read_sound_index(file: Path, layout: ShardLayout) -> Index:
    """Return the index of a shard whose checksum is right.

    Raises
    ------
    ValueError
        If it is not, or the index does not fit the file.
    """
    index, stated = read_index(file, layout)
    if checksum(index.tobytes()) != stated:
        raise ValueError(f"the index of the shard '{shown(file)}' has another checksum.")
    return index


def checksum(content: bytes) -> bytes:
    """Return the checksum of an index, CRC32C."""
    value: int = importlib.import_module("google_crc32c").value(content)
    return value.to_bytes(CHECKSUM_BYTES, "little")


def _check_ends(file: Path, index: Index, size: int) -> None:
    is_stored = (index != ABSENT).any(axis=1)
    starts, sizes = index[is_stored].T
    # Neither sum may exceed 64 bits.
    if (starts > size).any() or (sizes > size).any() or (starts + sizes > size).any():
        raise ValueError(f"the index of the shard '{shown(file)}' names bytes beyond its end.")


def shown(file: Path) -> str:
    """Return the last parts of the path of a chunk, for messages."""
    parts = file.parts
    first = next((at for at in range(len(parts) - 1, 0, -1) if parts[at] == "c"), -1)
    return "/".join(parts[first:])
