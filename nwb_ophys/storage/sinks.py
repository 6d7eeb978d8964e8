"""What the open datasets of both backends do alike: from values to bytes, and what is left out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.chunks import Shape
from nwb_ophys.storage.encoding import chunk_bytes, is_all_zero
from nwb_ophys.storage.protocols import SinkTools


class ChunkSink(ABC):
    """An open dataset into which chunks go; a backend says how bytes are encoded and stored.

    Parameters
    ----------
    dataset : h5py.Dataset or zarr.Array
    fill_value : scalar or None
        What a reader gets for a chunk that is not stored.
    tools : SinkTools
    """

    shuffles: bool

    def __init__(self, dataset: Any, fill_value: Any, tools: SinkTools) -> None:
        self._tools = tools
        self.dtype: np.dtype[Any] = dataset.dtype
        self._chunks: Shape = dataset.chunks
        is_zero = fill_value is not None and not np.any(fill_value != np.zeros((), self.dtype))
        self.zero_is_implied = is_zero
        self._padding = None if is_zero else fill_value

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk."""
        stored = chunk_bytes(
            values,
            self._chunks,
            self.dtype,
            shuffle=self.shuffles,
            scratch=self._tools.scratch,
            padding=self._padding,
        )
        if not (self.zero_is_implied and is_all_zero(stored)):
            self.put_byte_planes(corner, stored)

    @abstractmethod
    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in order, and shuffled where they are to be."""
