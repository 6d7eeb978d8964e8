"""Hashes of values: of the blocks of a dataset while it is written, and of a whole dataset.

A hash depends on the values alone: not on chunks, compression, byte order or backend of the file.
Blocks are hashed in any order and by any thread, and combined in the order of the grid.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np
import xxhash
from numpy.typing import NDArray

from nwb_ophys.storage.encoding import chunk_bytes, num_bytes
from nwb_ophys.storage.grid import Selection, Shape, cell_at

ALGORITHM = "xxh3_128"
DIGEST_BYTES = 16
# Blocks of fewer bytes share a stored hash; so do blocks of datasets with more than _MOST_STORED.
_LEAST_BYTES = 4_000_000
_MOST_STORED = 1 << 16
_ZEROS_AT_ONCE = 1 << 20


def digest(data: Any) -> bytes:
    """Return the hash of bytes, or of a contiguous array."""
    return xxhash.xxh3_128_digest(data)


def hexadecimal(value: bytes) -> str:
    """Return a hash as text."""
    return value.hex()


@attrs.frozen(kw_only=True)
class BlockGrid:
    """The blocks in which a dataset is hashed.

    Attributes
    ----------
    shape, block_shape : tuple of int
        Shape of the dataset, and of a block.
    dtype : numpy.dtype
        Little-endian dtype of the values that are hashed.
    is_shuffled : bool
        Whether the first bytes of all values of a block are hashed first, then their second bytes,
        and so on. The bytes that a codec gets anyway are then hashed while they are in the cache.
    """

    shape: Shape
    block_shape: Shape
    dtype: np.dtype[Any]
    is_shuffled: bool

    @classmethod
    def of(
        cls, shape: Shape, block_shape: Shape, dtype: np.dtype[Any], *, is_shuffled: bool
    ) -> BlockGrid:
        """Return a grid of values in any byte order."""
        kind = np.dtype(dtype).newbyteorder("<")
        shuffled = is_shuffled and kind.itemsize > 1
        return cls(shape=shape, block_shape=block_shape, dtype=kind, is_shuffled=shuffled)

    @property
    def counts(self) -> Shape:
        """Number of blocks along each axis."""
        return tuple(-(-n // step) for n, step in zip(self.shape, self.block_shape, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    @property
    def default_group_size(self) -> int:
        """Number of consecutive blocks that share one stored hash."""
        size = max(num_bytes(self.block_shape, self.dtype), 1)
        return max(-(-_LEAST_BYTES // size), -(-len(self) // _MOST_STORED))

    def index(self, corner: Shape) -> int:
        """Return the position of a block in C order, by its lowest index."""
        position = 0
        for start, step, count in zip(corner, self.block_shape, self.counts, strict=True):
            position = position * count + start // step
        return position

    def cell(self, index: int) -> Selection:
        """Return the values of a block, clipped at the edges of the dataset."""
        at = np.unravel_index(index, self.counts)
        corner = tuple(int(i) * step for i, step in zip(at, self.block_shape, strict=True))
        return cell_at(corner, self.block_shape, self.shape)

    def digest_of(self, values: NDArray[Any]) -> bytes:
        """Return the hash of the values of a block; zeros fill a block that the edge clips.

        Values are brought into C order by NumPy first, so that the hash also checks the encoding
        of blocks in other orders.
        """
        ordered = np.ascontiguousarray(values)
        shuffle = self.is_shuffled
        return digest(chunk_bytes(ordered, self.block_shape, self.dtype, shuffle=shuffle))

    def digest_of_zeros(self) -> bytes:
        """Return the hash of a block of zeros."""
        state, left = xxhash.xxh3_128(), num_bytes(self.block_shape, self.dtype)
        zeros = bytes(min(left, _ZEROS_AT_ONCE))
        while left:
            state.update(memoryview(zeros)[:left])
            left -= min(left, len(zeros))
        return state.digest()


class BlockDigests:
    """Hashes of the blocks of one dataset; threads note them in any order.

    Parameters
    ----------
    grid : BlockGrid
    from_values : bool
        Whether the values are hashed as they were read, instead of the bytes that a codec gets,
        which costs more and also finds errors of their order.
    """

    def __init__(self, grid: BlockGrid, *, from_values: bool = False) -> None:
        self.grid, self.from_values = grid, from_values
        # Threads write different elements, so that no lock is needed.
        self._digests = np.zeros((len(grid), DIGEST_BYTES), np.uint8)
        self._is_noted = np.zeros(len(grid), bool)

    def note(self, corner: Shape, value: bytes) -> None:
        """Note the hash of a block, by its lowest index."""
        index = self.grid.index(corner)
        self._digests[index] = np.frombuffer(value, np.uint8)
        self._is_noted[index] = True

    def get(self, corner: Shape) -> bytes | None:
        """Return the hash of a block, or None if it was not noted."""
        index = self.grid.index(corner)
        return self._digests[index].tobytes() if self._is_noted[index] else None

    def at(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the hashes of blocks by their positions; zeros for those that were not noted."""
        return self._digests[index]

    def restore(self, index: NDArray[np.int64], values: NDArray[np.uint8]) -> None:
        """Note hashes that :meth:`at` returned in an earlier run."""
        self._digests[index] = values
        self._is_noted[index] = True

    def hash(self, group_size: int | None = None) -> DatasetHash:
        """Return the combined hash; a block that was not noted counts as zeros.

        Parameters
        ----------
        group_size : int, optional
            Number of consecutive blocks that share a hash; by default few hashes result.
        """
        if not self._is_noted.all():
            zero = np.frombuffer(self.grid.digest_of_zeros(), np.uint8)
            self._digests[~self._is_noted] = zero
        size = group_size or self.grid.default_group_size
        return DatasetHash(grid=self.grid, group_size=size, groups=_grouped(self._digests, size))


def _grouped(digests: NDArray[np.uint8], size: int) -> bytes:
    """Return the hashes of groups of consecutive blocks; a block alone keeps its own."""
    if size == 1:
        return digests.tobytes()
    parts = (digests[start : start + size] for start in range(0, len(digests), size))
    return b"".join(digest(part.tobytes()) for part in parts)


@attrs.frozen(kw_only=True)
class DatasetHash:
    """Hash of a dataset, with the hashes of its groups of blocks.

    Attributes
    ----------
    grid : BlockGrid
    group_size : int
        Number of consecutive blocks, in C order of the grid, in a group.
    groups : bytes
        Hashes of the groups, one after the other: the hash of a single block, or else the hash of
        the hashes of its blocks.
    """

    grid: BlockGrid
    group_size: int
    groups: bytes = attrs.field(repr=False)

    @property
    def total(self) -> str:
        """Hash of the whole dataset, in hexadecimal digits."""
        return hexadecimal(digest(self.groups))

    def differing(self, other: DatasetHash) -> Iterator[list[Selection]]:
        """Yield the blocks of each group that differs from another hash with the same grid."""
        size = self.group_size
        for number in range(len(self.groups) // DIGEST_BYTES):
            part = slice(number * DIGEST_BYTES, (number + 1) * DIGEST_BYTES)
            if self.groups[part] != other.groups[part]:
                stop = min((number + 1) * size, len(self.grid))
                yield [self.grid.cell(index) for index in range(number * size, stop)]

    def to_dict(self) -> dict[str, Any]:
        """Return the hash as plain data."""
        return {
            "shape": list(self.grid.shape),
            "dtype": dtype_text(self.grid.dtype),
            "block_shape": list(self.grid.block_shape),
            "is_shuffled": self.grid.is_shuffled,
            "group_size": self.group_size,
            ALGORITHM: self.total,
            "blocks": base64.b64encode(self.groups).decode(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> DatasetHash:
        """Return the hash that :meth:`to_dict` described.

        Raises
        ------
        ValueError
            If the description is damaged.
        """
        shape, block_shape = (_sizes(given[key]) for key in ("shape", "block_shape"))
        grid = BlockGrid.of(
            shape, block_shape, parse_dtype(given["dtype"]), is_shuffled=bool(given["is_shuffled"])
        )
        if len(shape) != len(block_shape) or 0 in block_shape:
            raise ValueError("The blocks do not fit the shape.")
        groups, (size,) = (
            base64.b64decode(given["blocks"], validate=True),
            _sizes([given["group_size"]]),
        )
        found = cls(grid=grid, group_size=size, groups=groups)
        if size == 0 or len(groups) != -(-len(grid) // size) * DIGEST_BYTES:
            raise ValueError("The number of hashes is wrong.")
        if found.total != given[ALGORITHM]:
            raise ValueError("The hashes of the blocks do not make the hash of the dataset.")
        return found


def _sizes(given: Any) -> Shape:
    sizes = tuple(given)
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError("A shape is not a list of sizes.")
    return sizes


def dtype_text(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as plain data: a text such as ``<u2``, or the fields of records."""
    if dtype.names is None:
        return dtype.str
    return [[name, dtype[name].str] for name in dtype.names]


def parse_dtype(given: Any) -> np.dtype[Any]:
    """Return the dtype that :func:`dtype_text` described.

    Raises
    ------
    ValueError
        If it is not a dtype of numbers.
    """
    try:
        dtype = np.dtype(given if isinstance(given, str) else [(str(n), str(k)) for n, k in given])
    except TypeError as error:
        raise ValueError("A dtype is not known.") from error
    kinds = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    if any(kind.kind not in "biufc" for kind in kinds):
        raise ValueError("A dtype is not of numbers.")
    return dtype
