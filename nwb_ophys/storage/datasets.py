"""Finding the large datasets of an ``NWBFile``, and exchanging them while it is written."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from hdmf.common import VectorData
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk, GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys.storage.progress import ProgressCallback, WriteProgress


@attrs.frozen
class DatasetSlot:
    """A place in an ``NWBFile`` that holds data: a field of an object."""

    owner: Any
    field: str

    @property
    def value(self) -> Any:
        """What it holds: an array, an iterator, or either wrapped for a backend."""
        return self.owner.fields[self.field] if self._in_fields else self.owner.data

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return f"{self.owner.name}/{self.field}" if self._in_fields else str(self.owner.name)

    @property
    def _in_fields(self) -> bool:
        return self.field in self.owner.fields

    def exchange(self, value: Any) -> None:
        """Put something else there, which pynwb's own setters forbid."""
        if self._in_fields:
            self.owner.fields[self.field] = value
        else:
            self.owner._Data__data = value


def data_slots(nwbfile: NWBFile) -> Iterator[DatasetSlot]:
    """Find the places in a file that hold data.

    Yields
    ------
    DatasetSlot
        The data and timestamps of series, and the columns of tables.
    """
    for owner in list(nwbfile.objects.values()):
        if isinstance(owner, TimeSeries):
            for field in ("data", "timestamps"):
                if owner.fields.get(field) is not None:
                    yield DatasetSlot(owner, field)
        elif isinstance(owner, VectorData):
            yield DatasetSlot(owner, "data")


@contextmanager
def exchanged(nwbfile: NWBFile, change: Callable[[DatasetSlot], Any]) -> Iterator[None]:
    """Exchange the data of a file for what a backend takes, and put the old back afterwards.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    change : callable
        Gives the value to write for a slot, or the slot's own.
    """
    slots = [(slot, slot.value) for slot in data_slots(nwbfile)]
    unwritten = [item for item in nwbfile.objects.values() if item.container_source is None]
    try:
        for slot, value in slots:
            new = change(slot)
            if new is not value:
                slot.exchange(new)
        yield
    finally:
        for slot, value in slots:
            if slot.value is not value:
                slot.exchange(value)
        for item in unwritten:
            # hdmf notes the file in each object, and would refuse to write it to another one.
            item._AbstractContainer__container_source = None
            item.set_modified()


def unwrapped(value: Any) -> Any:
    """Return the data within a backend's wrapper."""
    while isinstance(value, H5DataIO):
        value = value.data
    return value


class Blocks(AbstractDataChunkIterator):  # type: ignore[misc]
    """One pass over a random-access iterator, which itself is not used up.

    hdmf's own iterators give their data once: written a second time, they would leave zeros.

    Parameters
    ----------
    data : hdmf.data_utils.GenericDataChunkIterator
    tell : callable, optional
        Called with each block as it is passed on.
    """

    def __init__(
        self, data: GenericDataChunkIterator, tell: Callable[[DataChunk], None] | None = None
    ) -> None:
        self._data = data
        self._tell = tell
        starts = (
            range(0, size, step)
            for size, step in zip(data.maxshape, data.buffer_shape, strict=True)
        )
        self._corners = itertools.product(*starts)

    def __iter__(self) -> Blocks:
        return self

    def __next__(self) -> DataChunk:
        corner = next(self._corners)
        selection = tuple(
            slice(start, min(start + step, size))
            for start, step, size in zip(
                corner, self._data.buffer_shape, self._data.maxshape, strict=True
            )
        )
        try:
            values = self._data._get_data(selection=selection)
        except StopIteration as error:  # would end the pass early, and leave zeros
            raise RuntimeError("A reader raised StopIteration.") from error
        block = DataChunk(data=values, selection=selection)
        if self._data.display_progress:
            self._data.progress_bar.update(n=1)
        if self._tell is not None:
            self._tell(block)
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


class Counter:
    """Counts the blocks of all the lazy datasets of a file, and tells a callback.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    callback : callable, optional
        Called with a :class:`WriteProgress` after each block.
    """

    def __init__(self, nwbfile: NWBFile, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._done = 0
        lazy = (unwrapped(slot.value) for slot in data_slots(nwbfile))
        self._total = sum(_size(d) for d in lazy if isinstance(d, GenericDataChunkIterator))

    def blocks(self, data: Any, location: str) -> Any:
        """Return a pass over data that counts its blocks; data in memory as they are."""
        if not isinstance(data, GenericDataChunkIterator):
            return data
        if self._callback is None:
            return Blocks(data)
        return Blocks(data, lambda block: self._advance(data, location, block))

    def _advance(self, data: GenericDataChunkIterator, location: str, block: DataChunk) -> None:
        self._done += block.data.nbytes
        progress = WriteProgress(
            location=location,
            frames=block.selection[0].stop,
            num_frames=data.maxshape[0],
            num_bytes=self._done,
            total_bytes=self._total,
        )
        if self._callback is not None:
            self._callback(progress)


def _size(data: GenericDataChunkIterator) -> int:
    return math.prod(data.maxshape) * np.dtype(data.dtype).itemsize
