"""Where the values of a dataset come from: lazy data, arrays, and datasets of other files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from hdmf.data_utils import DataIO, GenericDataChunkIterator
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.memory import copy_if_mapped, slowest_axis
from nwb_ophys.storage.grid import Selection, Shape, shape_of

# Smaller arrays are written by hdmf, in one piece: chunks would cost more than they save.
SMALL_BYTES = 1 << 16
_NUMBERS = "biufc"


class Source(Protocol):
    """Values that any part can be asked of.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    label : str
        What it is, for messages.
    in_parallel : bool
        Whether several threads may read at once; else only the caller's thread reads.
    is_sparse : bool
        Whether it gives its chunks that are not all zeros, and need not be read.
    is_stored : bool
        Whether it is a dataset of a file, of which everything is to be kept.
    slowest_axis : int
        The axis along which values lie farthest apart.
    chunk_shape, largest_block : tuple of int or None
        What the data propose.
    """

    shape: Shape
    dtype: np.dtype[Any]
    label: str
    in_parallel: bool
    is_sparse: bool
    is_stored: bool
    slowest_axis: int
    chunk_shape: Shape | None
    largest_block: Shape | None

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a part, in any order of memory."""

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Give the corner and the values of each chunk that is not all zeros."""

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return the chunks of a size, where the data have a say in it."""

    def report_written(self, num_values: int) -> None:
        """Take note that so many values were stored."""


class IteratorSource:
    """A random-access iterator of hdmf's, which is not used up.

    Its ``reads_in_parallel``, ``source_label``, ``slowest_axis``, ``is_sparse`` and
    ``nonzero_chunks()`` are heeded where it has them.
    """

    is_stored = False

    def __init__(self, data: GenericDataChunkIterator) -> None:
        self._data = data
        self.shape: Shape = tuple(int(size) for size in data.maxshape)
        self.dtype: np.dtype[Any] = np.dtype(data.dtype)
        self.chunk_shape: Shape | None = tuple(int(size) for size in data.chunk_shape)
        self.largest_block: Shape | None = tuple(int(size) for size in data.buffer_shape)
        self.in_parallel = bool(getattr(data, "reads_in_parallel", False))
        self.label = str(getattr(data, "source_label", type(data).__name__))
        self.is_sparse = bool(getattr(data, "is_sparse", False))
        self.slowest_axis = int(getattr(data, "slowest_axis", 0))

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a part.

        Raises
        ------
        SourceError
            When it has not the shape asked for.
        """
        values = np.asarray(self._data._get_data(selection=selection))
        expected = shape_of(selection)
        if values.shape != expected:
            raise SourceError(
                f"{self.label} gave an array of shape {values.shape} for the block {selection}; "
                f"it must be {expected}."
            )
        return copy_if_mapped(self._fitting(values, selection))

    def _fitting(self, values: NDArray[Any], selection: Selection) -> NDArray[Any]:
        """Return values in the dtype that was stated, which the dataset has.

        Raises
        ------
        SourceError
            When they do not fit into it; floats may be rounded.
        """
        if np.can_cast(values.dtype, self.dtype, "safe"):
            return values
        with np.errstate(all="ignore"):
            cast = values.astype(self.dtype)
        if values.dtype.kind == self.dtype.kind == "f":
            fits = np.isfinite(cast) | ~np.isfinite(values)
        else:
            fits = cast == values
        if not np.all(fits):
            raise SourceError(
                f"{self.label} gave values of {values.dtype} for the block {selection} that do not "
                f"fit into {self.dtype}, which it states to be its dtype."
            )
        return cast

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Give the corner and the values of each chunk that is not all zeros."""
        given = (start, stop, chunk_shape, as_byte_planes)
        return self._data.nonzero_chunks(*given)  # type: ignore[no-any-return]

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return the chunks of a size."""
        return tuple(int(n) for n in self._data._get_default_chunk_shape(chunk_mb=chunk_mb))

    def report_written(self, num_values: int) -> None:
        """Move the bar that the iterator itself was asked to show."""
        if self._data.display_progress:
            share = num_values / math.prod(self.shape)
            self._data.progress_bar.update(n=share * self._data.num_buffers)


class ArraySource:
    """An array in memory, a memory map, or a dataset of another file.

    Parameters
    ----------
    values : array-like
        With ``shape``, ``dtype`` and slicing.
    label : str
    in_parallel : bool
    """

    largest_block: Shape | None = None
    is_sparse = False
    is_stored = False

    def __init__(self, values: Any, label: str, *, in_parallel: bool = True) -> None:
        # A subclass may index otherwise than an array.
        self._values: Any = np.asarray(values) if isinstance(values, np.ndarray) else values
        self.slowest_axis = slowest_axis(values)
        self.shape: Shape = tuple(int(size) for size in values.shape)
        self.dtype: np.dtype[Any] = np.dtype(values.dtype)
        self.label, self.in_parallel = label, in_parallel
        chunks = getattr(values, "chunks", None)
        self.chunk_shape: Shape | None = None if chunks is None else tuple(chunks)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a part."""
        return copy_if_mapped(np.asarray(self._values[selection]))

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return None: an array has no say in it."""
        return None

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Give nothing: an array is read."""
        raise NotImplementedError

    def report_written(self, num_values: int) -> None:
        """Take no note."""


def source_of(value: Any) -> Source | None:
    """Return the source that data make, or None for what hdmf is to write itself.

    Parameters
    ----------
    value : object
        The data of a dataset, perhaps wrapped for a backend.
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
    """Whether data are numbers, or records of them, with at least one axis and one value."""
    if not len(shape) or 0 in shape:
        return False
    kind = np.dtype(dtype)
    if kind.names is None:
        return kind.kind in _NUMBERS
    return all(kind[name].kind in _NUMBERS and kind[name].shape == () for name in kind.names)


def unwrapped(value: Any) -> Any:
    """Return the data within a backend's wrapper."""
    while isinstance(value, DataIO):
        value = value.data
    return value
