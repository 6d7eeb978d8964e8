"""Passes over lazy data that hdmf writes itself: each write reads them anew."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from hdmf.data_utils import (
    AbstractDataChunkIterator,
    DataChunk,
    DataChunkIterator,
    GenericDataChunkIterator,
)

from nwb_ophys.errors import OutputError, SourceError
from nwb_ophys.storage.grid import cell_at, shape_of

# Set on an iterator that gives its data once, when the first of them are taken.
_STARTED = "_nwb_ophys_started"


class Blocks(AbstractDataChunkIterator):  # type: ignore[misc]
    """One pass over a random-access iterator of texts or objects, which itself is not used up.

    hdmf's own iterators give their data once: written a second time, they would leave zeros.

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
        except StopIteration as error:  # would end the pass early, and leave zeros
            raise RuntimeError("A reader raised StopIteration.") from error
        expected = shape_of(selection)
        if np.shape(values) != expected:  # HDF5 would repeat a smaller block to fill its place
            raise SourceError(
                f"{type(self._data).__name__} gave an array of shape {np.shape(values)} for the "
                f"block {selection}; it must be {expected}."
            )
        block = DataChunk(data=np.asarray(values), selection=selection)
        if self._data.display_progress:
            self._data.progress_bar.update(n=1)
        return block

    def recommended_chunk_shape(self) -> tuple[int, ...]:
        """Return the chunks of the data."""
        return tuple(self._data.recommended_chunk_shape())

    def recommended_data_shape(self) -> tuple[int, ...]:
        """Return the full shape of the data."""
        return tuple(self._data.recommended_data_shape())

    @property
    def dtype(self) -> Any:
        """The dtype of the data."""
        return self._data.dtype

    @property
    def maxshape(self) -> tuple[int, ...]:
        """The full shape of the data."""
        return tuple(self._data.maxshape)


class OneShotIterator(AbstractDataChunkIterator):  # type: ignore[misc]
    """The only pass over an iterator that gives its data once.

    Parameters
    ----------
    data : hdmf.data_utils.AbstractDataChunkIterator
    location : str
        Where the data are, for messages.

    Raises
    ------
    OutputError
        When the pass was begun before: what was taken then would be missing now.
    """

    def __init__(self, data: AbstractDataChunkIterator, location: str) -> None:
        begun = isinstance(data, DataChunkIterator) and data.chunk_index > 1
        if begun or getattr(data, _STARTED, False):
            raise OutputError(
                f"The data of '{location}' come from an iterator that gives them once, and some "
                "were taken before; make the NWBFile anew, with a new iterator."
            )
        self._data = data

    def __iter__(self) -> OneShotIterator:
        return self

    def __next__(self) -> DataChunk:
        setattr(self._data, _STARTED, True)
        return next(self._data)

    def recommended_chunk_shape(self) -> tuple[int, ...] | None:
        """Return the chunks of the data, if it has any in mind."""
        return self._data.recommended_chunk_shape()

    def recommended_data_shape(self) -> tuple[int, ...]:
        """Return the shape of the data as far as it is known."""
        return self._data.recommended_data_shape()

    @property
    def dtype(self) -> Any:
        """The dtype of the data."""
        return self._data.dtype

    @property
    def maxshape(self) -> tuple[int | None, ...]:
        """The full shape of the data, None where it is not known."""
        return self._data.maxshape


def _sequential_pass(data: AbstractDataChunkIterator, location: str) -> AbstractDataChunkIterator:
    """Return a pass over an iterator without random access: a fresh one where that can be had."""
    if type(data) is not DataChunkIterator or isinstance(data.data, Iterator):
        return OneShotIterator(data, location)
    shape = data.maxshape
    return DataChunkIterator(
        data=data.data,
        maxshape=shape,
        # Of a shape that is not known the first block is looked at, which tells the dtype too.
        dtype=None if None in shape else np.dtype(data.dtype),
        buffer_size=data.buffer_size,
        iter_axis=data.iter_axis,
    )


def fresh_iterator(data: Any, location: str) -> Any:
    """Return a pass over lazy data that hdmf's own queue is to write; other data as they are."""
    if isinstance(data, GenericDataChunkIterator):
        return Blocks(data)
    return _sequential_pass(data, location) if isinstance(data, AbstractDataChunkIterator) else data
