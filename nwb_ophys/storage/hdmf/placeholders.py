"""What stands for large data while hdmf writes the structure of a file around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk
from pynwb import NWBFile

from nwb_ophys.storage.grid import Shape

BeforeWriting = Callable[[GroupBuilder], None]


class Placeholder(AbstractDataChunkIterator):  # type: ignore[misc]
    """Data that hdmf makes room for, and that give none: the engine fills it afterwards.

    Parameters
    ----------
    shape, chunk_shape : tuple of int
    dtype : numpy.dtype
    """

    def __init__(self, shape: Shape, dtype: np.dtype[Any], chunk_shape: Shape) -> None:
        self.shape, self.ndim = shape, len(shape)
        self._dtype, self._chunk_shape = dtype, chunk_shape

    def __iter__(self) -> Placeholder:
        return self

    def __next__(self) -> DataChunk:
        raise StopIteration

    def recommended_chunk_shape(self) -> Shape:
        """Return the chunks."""
        return self._chunk_shape

    def recommended_data_shape(self) -> Shape:
        """Return the full shape."""
        return self.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype."""
        return self._dtype

    @property
    def maxshape(self) -> Shape:
        """The full shape."""
        return self.shape


class BuilderHook:
    """An IO of hdmf's that lets the tree of what it writes be changed just before.

    To be mixed into the IO class of a backend.
    """

    before_writing: BeforeWriting | None = None

    def write_builder(self, builder: GroupBuilder, **options: Any) -> None:
        """Write a tree of builders."""
        if self.before_writing is not None:
            self.before_writing(builder)
        super().write_builder(builder, **options)  # type: ignore[misc]


def dataset_builders(group: GroupBuilder, path: str = "") -> Iterator[tuple[str, DatasetBuilder]]:
    """Give all datasets below a group, each with its path in the file."""
    for name, dataset in group.datasets.items():
        yield f"{path}{name}", dataset
    for name, inner in group.groups.items():
        yield from dataset_builders(inner, f"{path}{name}/")


def put(builder: DatasetBuilder, data: Any) -> None:
    """Exchange the data of a builder, whose own setter allows it only once."""
    builder["data"] = data
    if isinstance(builder.dtype, list):
        # hdmf would write records at once, from memory, if the builder named their fields.
        builder._DatasetBuilder__dtype = None


@contextmanager
def restored_after_write(nwbfile: NWBFile) -> Iterator[None]:
    """Have an ``NWBFile`` afterwards as if it had not been written.

    hdmf notes the file in each object, and would refuse to write it to another one.
    """
    unwritten = [item for item in nwbfile.all_children() if item.container_source is None]
    try:
        yield
    finally:
        for item in unwritten:
            item._AbstractContainer__container_source = None
            item.set_modified()


def rewrapped(given: Any, data: Any) -> Any:
    """Return data in a wrapper with the settings of another one."""
    wrapper = type(given)(data=data)
    # Given to the constructor, they would be warned of a second time.
    wrapper.io_settings.update(given.io_settings)
    return wrapper
