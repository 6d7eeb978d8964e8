"""Base class of iterators, which are indexed like arrays, and checks of their sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from numpy.typing import NDArray

from nwb_ophys.dtypes import widened
from nwb_ophys.errors import ArgumentError


class ArrayLike(GenericDataChunkIterator):  # type: ignore[misc]
    """Base class of iterators that are indexed and converted like the array that they read.

    Attributes
    ----------
    reads_in_parallel : bool
        Whether blocks may be read by several threads at once.
    owns_blocks : bool
        Whether nobody fills the memory of a block again.
    source_label : str
        Name of the source of the data, for messages.
    is_dense : bool
        Whether chunks of zeros are stored like all others.
    """

    reads_in_parallel: bool = False
    owns_blocks: bool = False
    is_dense: bool = True
    source_label: str

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except ArgumentError:
            raise
        except AssertionError as error:  # raised by hdmf for sizes that do not fit each other
            raise ArgumentError(str(error)) from error

    @property
    def shape(self) -> tuple[int, ...]:
        """The full shape, the same as ``maxshape``."""
        return tuple(self.maxshape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.maxshape)

    @staticmethod
    def as_stored(block: NDArray[Any]) -> NDArray[Any]:
        """Return a block that was read from the source in the dtype in which it is stored."""
        return block.astype(widened(block.dtype), copy=False)

    def __len__(self) -> int:
        return int(self.maxshape[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "Data that are read when sliced cannot become an array without a copy."
            )
        whole = self._get_data(tuple(slice(0, size) for size in self.maxshape))
        return np.asarray(whole, dtype=dtype)

    def __getitem__(self, selection: Any) -> Any:
        first = selection[0] if isinstance(selection, tuple) else selection
        rest = selection[1:] if isinstance(selection, tuple) else ()
        whole = tuple(slice(0, size) for size in self.maxshape[1:])
        if isinstance(first, (int, np.integer)):
            index = range(len(self))[first]
            block = self._get_data((slice(index, index + 1), *whole))[0]
            return block[rest] if rest else block
        if isinstance(first, slice) and first.step in (None, 1):
            start, stop, _ = first.indices(len(self))
            block = self._get_data((slice(start, max(start, stop)), *whole))
            return block[(slice(None), *rest)]
        return np.asarray(self)[selection]


def check_pair(size_name: str, size: Any, shape_name: str, shape: Any) -> None:
    """Raise ArgumentError unless at most one of a pair is given and it is positive."""
    if size is not None and shape is not None:
        raise ArgumentError(f"Give '{size_name}' or '{shape_name}', not both.")
    if size is not None:
        check_positive(size_name, size)
    if shape is not None and min(shape) <= 0:
        raise ArgumentError(f"{shape_name} {tuple(shape)} must be positive along every axis.")


def check_positive(name: str, size: float) -> None:
    """Raise ArgumentError unless a size is positive."""
    if not size > 0:
        raise ArgumentError(f"{name} must be greater than zero, not {size}.")


def within(chunk_shape: tuple[int, ...], buffer_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shrink a default chunk until a given buffer holds whole chunks along each axis."""
    return tuple(
        next(size for size in range(min(chunk, buffer), 0, -1) if buffer % size == 0)
        for chunk, buffer in zip(chunk_shape, buffer_shape, strict=True)
    )
