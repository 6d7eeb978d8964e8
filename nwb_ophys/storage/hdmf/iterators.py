"""Iterators of hdmf: as sources of the engine, and re-read from the start when hdmf writes them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from hdmf.data_utils import (
    AbstractDataChunkIterator,
    DataChunk,
    DataChunkIterator,
    GenericDataChunkIterator,
)
from numpy.typing import NDArray

from nwb_ophys.dtypes import without_mask
from nwb_ophys.errors import OutputError, SourceError
from nwb_ophys.memory import copy_if_mapped, read_unshared
from nwb_ophys.storage.grid import Selection, Shape, cell_at, shape_of

# Attribute set on a one-shot iterator when its first data are read.
_STARTED = "_nwb_ophys_started"


class IteratorSource:
    """A random-access iterator of hdmf as a source; reading does not advance the iterator.

    The attributes ``reads_in_parallel``, ``owns_blocks``, ``source_label``, ``slowest_axis``,
    ``is_sparse``, ``is_dense`` and ``nonzero_chunks()`` of the iterator are used where it has
    them. All chunks of dense data are stored, so that one that is absent is one that was lost.

    Parameters
    ----------
    data : hdmf.data_utils.GenericDataChunkIterator
    """

    is_stored = False

    def __init__(self, data: GenericDataChunkIterator) -> None:
        self._data = data
        self.shape: Shape = tuple(int(size) for size in data.maxshape)
        self.dtype: np.dtype[Any] = np.dtype(data.dtype)
        self.chunk_shape: Shape | None = tuple(int(size) for size in data.chunk_shape)
        self.largest_block: Shape | None = tuple(int(size) for size in data.buffer_shape)
        self.in_parallel = bool(getattr(data, "reads_in_parallel", False))
        self._is_unshared = self.in_parallel or bool(getattr(data, "owns_blocks", False))
        self.label = str(getattr(data, "source_label", type(data).__name__))
        self.is_sparse = bool(getattr(data, "is_sparse", False))
        self.skips_zeros = not getattr(data, "is_dense", False)
        self.slowest_axis = int(getattr(data, "slowest_axis", 0))

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return a block.

        Raises
        ------
        SourceError
            If the iterator returns another shape.
        """
        values = self._values(selection)
        expected = shape_of(selection)
        if values.shape != expected:
            raise SourceError(
                f"{self.label} gave an array of shape {values.shape} for the block {selection}; "
                f"it must be {expected}."
            )
        return copy_if_mapped(self._fitting(values, selection))

    def _values(self, selection: Selection) -> NDArray[Any]:
        def read() -> NDArray[Any]:
            return without_mask(self._data._get_data(selection=selection), self.label)

        return read() if self._is_unshared else read_unshared(read)

    def _fitting(self, values: NDArray[Any], selection: Selection) -> NDArray[Any]:
        """Return values in the dtype that the iterator states, which the dataset has.

        Raises
        ------
        SourceError
            If values do not fit into that dtype; floats may be rounded.
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
        """Yield the corner and the values of each chunk that is not all zeros."""
        given = (start, stop, chunk_shape, as_byte_planes)
        return self._data.nonzero_chunks(*given)  # type: ignore[no-any-return]

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return the chunks of a size that hdmf proposes."""
        return tuple(int(n) for n in self._data._get_default_chunk_shape(chunk_mb=chunk_mb))

    def report_written(self, num_values: int) -> None:
        """Move the progress bar of the iterator, if it shows one."""
        if self._data.display_progress:
            share = num_values / math.prod(self.shape)
            self._data.progress_bar.update(n=share * self._data.num_buffers)


class Blocks(AbstractDataChunkIterator):  # type: ignore[misc]
    """One pass over a random-access iterator of texts or objects, without advancing it.

    hdmf's own iterators yield their data once: a second write would leave zeros.

    Parameters
    ----------
    data : hdmf.data_utils.GenericDataChunkIterator
    """

    def __init__(self, data: GenericDataChunkIterator) -> None:
        self._data = data
        starts = (
            range(0, size, step)
            for size, step in zip(data.maxshape, data.buffer_shape, strict=True)
        )
        self._corners = itertools.product(*starts)

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> DataChunk:
        corner = next(self._corners)
        selection = cell_at(corner, self._data.buffer_shape, self._data.maxshape)
        try:
            values = self._data._get_data(selection=selection)
        except StopIteration as error:  # it would end the pass early, and leave zeros
            raise RuntimeError("A reader raised StopIteration.") from error
        expected = shape_of(selection)
        if np.shape(values) != expected:  # h5py would repeat a smaller block to fill the space
            raise SourceError(
                f"{type(self._data).__name__} gave an array of shape {np.shape(values)} for the "
                f"block {selection}; it must be {expected}."
            )
        block = DataChunk(data=np.asarray(values), selection=selection)
        if self._data.display_progress:
            self._data.progress_bar.update(n=1)
        return block

    def recommended_chunk_shape(self) -> tuple[int, ...]:
        """Return the chunks that the data propose."""
        return tuple(self._data.recommended_chunk_shape())

    def recommended_data_shape(self) -> tuple[int, ...]:
        """Return the full shape of the data."""
        return tuple(self._data.recommended_data_shape())

    @property
    def dtype(self) -> Any:
        """Dtype of the data."""
        return self._data.dtype

    @property
    def maxshape(self) -> tuple[int, ...]:
        """Full shape of the data."""
        return tuple(self._data.maxshape)


class OneShotIterator(AbstractDataChunkIterator):  # type: ignore[misc]
    """The only pass over an iterator that yields its data once.

    Parameters
    ----------
    data : hdmf.data_utils.AbstractDataChunkIterator
    location : str
        Path of the dataset, for messages.

    Raises
    ------
    OutputError
        If data were read from the iterator before; they would be missing from the file.
    """

    def __init__(self, data: AbstractDataChunkIterator, location: str) -> None:
        begun = isinstance(data, DataChunkIterator) and data.chunk_index > 1
        if begun or getattr(data, _STARTED, False):
            raise OutputError(
                f"The data of '{location}' come from an iterator that yields them once, and some "
                "were read before; make a new NWBFile, with a new iterator."
            )
        self._data = data

    def __iter__(self) -> OneShotIterator:
        return self

    def __next__(self) -> DataChunk:
        setattr(self._data, _STARTED, True)
        return next(self._data)

    def recommended_chunk_shape(self) -> tuple[int, ...] | None:
        """Return the chunks that the data propose, if any."""
        return self._data.recommended_chunk_shape()

    def recommended_data_shape(self) -> tuple[int, ...]:
        """Return the shape of the data, as far as it is known."""
        return self._data.recommended_data_shape()

    @property
    def dtype(self) -> Any:
        """Dtype of the data."""
        return self._data.dtype

    @property
    def maxshape(self) -> tuple[int | None, ...]:
        """Full shape of the data, None along axes of unknown length."""
        return self._data.maxshape


def _sequential_pass(data: AbstractDataChunkIterator, location: str) -> AbstractDataChunkIterator:
    """Return a pass over an iterator without random access: a new iterator where possible."""
    if type(data) is not DataChunkIterator or isinstance(data.data, Iterator):
        return OneShotIterator(data, location)
    shape = data.maxshape
    return DataChunkIterator(
        data=data.data,
        maxshape=shape,
        # If the shape is not known, hdmf reads the first block, which also has the dtype.
        dtype=None if None in shape else np.dtype(data.dtype),
        buffer_size=data.buffer_size,
        iter_axis=data.iter_axis,
    )


def fresh_iterator(data: Any, location: str) -> Any:
    """Return a new pass over lazy data that hdmf writes; return other data unchanged."""
    if isinstance(data, GenericDataChunkIterator):
        return Blocks(data)
    return _sequential_pass(data, location) if isinstance(data, AbstractDataChunkIterator) else data
