"""Iterator over blocks of anything that can be sliced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.dtypes import stored_dtype, without_mask
from nwb_ophys.extractors.labels import array_label
from nwb_ophys.iterators.base import ArrayLike, check_positive
from nwb_ophys.memory import slowest_axis
from nwb_ophys.storage.grid import default_chunk_shape


class SliceableDataChunkIterator(ArrayLike):
    """Blocks of anything that can be sliced: an array, a memory map, an HDF5 dataset, a lazy view.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and slicing along each axis; kept as ``data``.
    **iterator_options
        ``buffer_gb``, ``buffer_shape``, ``chunk_mb``, ``chunk_shape``, ``display_progress``,
        ``progress_bar_options``, as hdmf's ``GenericDataChunkIterator`` takes them. Chunks of
        ``chunk_mb`` cut tables of two axes by the same factor along both.
    """

    owner: Any = None
    """The extractor of the data, held so that it does not close its file too early."""

    def __init__(self, data: Any, **iterator_options: Any) -> None:
        self.data = data
        self.reads_in_parallel = isinstance(data, np.ndarray)
        self.source_label = array_label(data)
        self.slowest_axis = slowest_axis(data)
        super().__init__(**iterator_options)

    def _get_default_chunk_shape(self, chunk_mb: float) -> tuple[int, ...]:
        check_positive("chunk_mb", chunk_mb)
        return default_chunk_shape(self._get_maxshape(), self._get_dtype().itemsize, chunk_mb)

    def _get_dtype(self) -> np.dtype[Any]:
        return stored_dtype(self.data.dtype, self.source_label)

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.data.shape)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        return self.as_stored(without_mask(self.data[selection], self.source_label))
