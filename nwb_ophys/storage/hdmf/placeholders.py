"""Placeholders for large data while hdmf writes the structure of the file around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk

from nwb_ophys.storage.grid import Shape
from nwb_ophys.storage.hdmf.internals import forget_fields, forget_file, settings_of

if TYPE_CHECKING:
    from pynwb import NWBFile

BeforeWriting = Callable[[GroupBuilder], bool]


class Placeholder(AbstractDataChunkIterator):  # type: ignore[misc]
    """Data without values: hdmf creates the full dataset, and the engine fills it afterwards.

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
        """Dtype of the dataset."""
        return self._dtype

    @property
    def maxshape(self) -> Shape:
        """Full shape of the dataset."""
        return self.shape


class BuilderHook:
    """Mixin for an IO class of hdmf that calls ``before_writing`` with the tree of builders.

    The callback may change the tree, and returns whether it is to be written.
    """

    before_writing: BeforeWriting | None = None

    def write_builder(self, builder: GroupBuilder, **options: Any) -> None:
        """Write a tree of builders."""
        if self.before_writing is not None and not self.before_writing(builder):
            return
        super().write_builder(builder, **options)  # type: ignore[misc]


def dataset_builders(group: GroupBuilder, path: str = "") -> Iterator[tuple[str, DatasetBuilder]]:
    """Yield all datasets below a group, each with its path in the file."""
    for name, dataset in group.datasets.items():
        yield f"{path}{name}", dataset
    for name, inner in group.groups.items():
        yield from dataset_builders(inner, f"{path}{name}/")


def put(builder: DatasetBuilder, data: Any) -> None:
    """Replace the data of a builder; its own setter works only once."""
    builder["data"] = data
    if isinstance(builder.dtype, list):
        forget_fields(builder)


@contextmanager
def restored_after_write(nwbfile: NWBFile) -> Iterator[None]:
    """Restore an ``NWBFile`` to its state before the write, at the end of the block.

    hdmf notes the file in each object, and would refuse to write the object to another file.
    """
    unwritten = [item for item in nwbfile.all_children() if item.container_source is None]
    try:
        yield
    finally:
        for item in unwritten:
            forget_file(item)


def rewrapped(given: Any, data: Any) -> Any:
    """Return data in a wrapper with the settings of another wrapper."""
    wrapper = type(given)(data=data)
    # The constructor would warn about the settings a second time.
    settings_of(wrapper).update(settings_of(given))
    return wrapper
