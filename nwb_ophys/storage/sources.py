"""Sources: the values of a dataset, of which the engine reads any block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from hdmf.data_utils import DataIO, GenericDataChunkIterator
from numpy.typing import NDArray

from nwb_ophys.memory import copy_if_mapped, read_unshared, slowest_axis
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hdmf.iterators import IteratorSource

# hdmf writes smaller arrays in one piece: chunks would cost more than they save.
SMALL_BYTES = 1 << 16
_NUMBERS = "biufc"


class Source(Protocol):
    """Values of a dataset, readable in blocks.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    label : str
        Name of the source in messages.
    in_parallel : bool
        Whether several threads may read at once; otherwise only the caller's thread reads.
    is_sparse : bool
        Whether :meth:`nonzero_chunks` yields the chunks, so that no block need be read.
    skips_zeros : bool
        Whether chunks of zeros may be left out, which readers take from the fill value.
    is_stored : bool
        Whether the source is a dataset of a file, whose dtype is kept.
    slowest_axis : int
        The axis along which values lie farthest apart.
    chunk_shape, largest_block : tuple of int or None
        The chunks, and the largest block, that the data propose.
    """

    shape: Shape
    dtype: np.dtype[Any]
    label: str
    in_parallel: bool
    is_sparse: bool
    skips_zeros: bool
    is_stored: bool
    slowest_axis: int
    chunk_shape: Shape | None
    largest_block: Shape | None

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block, in any order of memory."""

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Yield the corner and the values of each chunk that is not all zeros."""

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return chunks of a size, if the data propose their shape."""

    def report_written(self, num_values: int) -> None:
        """Report that ``num_values`` were written."""


class ArraySource:
    """An array in memory, a memory map, or a dataset of another file.

    Parameters
    ----------
    values : array-like
        With ``shape``, ``dtype`` and slicing.
    label : str
        Name of the source in messages.
    in_parallel : bool
        Whether several threads may read at once.
    """

    largest_block: Shape | None = None
    is_sparse = False
    skips_zeros = False
    is_stored = False

    def __init__(self, values: Any, label: str, *, in_parallel: bool = True) -> None:
        # A subclass of ndarray may index differently.
        self._values: Any = np.asarray(values) if isinstance(values, np.ndarray) else values
        self.slowest_axis = slowest_axis(values)
        self.shape: Shape = tuple(int(size) for size in values.shape)
        self.dtype: np.dtype[Any] = np.dtype(values.dtype)
        self.label, self.in_parallel = label, in_parallel
        chunks = getattr(values, "chunks", None)
        self.chunk_shape: Shape | None = None if chunks is None else tuple(chunks)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block."""
        if self.in_parallel:
            return copy_if_mapped(np.asarray(self._values[selection]))
        return read_unshared(lambda: self._values[selection])

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return None: an array proposes no chunks."""
        return None

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Raise an error: the engine reads an array block by block."""
        raise NotImplementedError

    def report_written(self, num_values: int) -> None:
        """Do nothing: an array shows no progress."""


def source_of(value: Any) -> Source | None:
    """Return data as a source, or None for data that hdmf writes itself.

    Parameters
    ----------
    value : object
        The data of a dataset, perhaps in the wrapper of a backend.
    """
    is_wrapped = isinstance(value, DataIO)
    data = unwrapped(value)
    if isinstance(data, GenericDataChunkIterator):
        return IteratorSource(data) if is_fillable(data.maxshape, data.dtype) else None
    if isinstance(data, np.ndarray) and (is_wrapped or data.nbytes >= SMALL_BYTES):
        file_name = getattr(data, "filename", None)
        label = f"'{file_name}'" if file_name else "an array in memory"
        return ArraySource(data, label) if is_fillable(data.shape, data.dtype) else None
    return None


def is_fillable(shape: Any, dtype: Any) -> bool:
    """Return whether data are numbers, or records of numbers, with at least one axis and value."""
    if not len(shape) or 0 in shape:
        return False
    kind = np.dtype(dtype)
    if kind.names is None:
        return kind.kind in _NUMBERS
    return all(kind[name].kind in _NUMBERS and kind[name].shape == () for name in kind.names)


def unwrapped(value: Any) -> Any:
    """Return the data inside the wrapper of a backend."""
    while isinstance(value, DataIO):
        value = value.data
    return value
