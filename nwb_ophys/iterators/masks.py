"""Blocks of the image masks of ROIs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import ArgumentError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators.base import ArrayLike, check_positive, within
from nwb_ophys.storage.grid import tile_shape

# Columns and rows of a default chunk: small enough that an ROI touches few of them, and large
# enough that making, storing and finding a chunk costs little beside its pixels.
_TILE = 128
_BUFFER_BYTES = 64e6


class RoiImageMaskIterator(ArrayLike):
    """Blocks of the image masks of ROIs, (ROIs, columns, rows[, planes]).

    Parameters
    ----------
    masks : ImageMasks
        With ``shape`` (ROIs, columns, rows[, planes]), ``dtype``, ``block(selection)``,
        ``is_sparse`` and ``nonzero_chunks``.
    **iterator_options
        As for :class:`SliceableDataChunkIterator`; unless given, a chunk is a tile of one ROI and
        one plane.

    Attributes
    ----------
    is_sparse : bool
        Whether chunks without pixels can be told beforehand, by `nonzero_chunks`.
    """

    def __init__(self, masks: Any, **iterator_options: Any) -> None:
        self.masks = masks
        self.is_sparse: bool = masks.is_sparse
        self.reads_in_parallel = self.is_sparse
        self.source_label = extractor_label(masks.extractor)
        options = dict(iterator_options)
        if options.get("chunk_shape") is None and options.get("chunk_mb") is None:
            options["chunk_shape"] = self._default_chunk(options.get("buffer_shape"))
        if options.get("buffer_shape") is None and options.get("buffer_gb") is None:
            options |= self._default_buffer(options)
        super().__init__(**options)

    def _get_default_chunk_shape(self, chunk_mb: float) -> tuple[int, ...]:
        """Return a tile of one plane of one ROI, as square as fits into ``chunk_mb``."""
        check_positive("chunk_mb", chunk_mb)
        columns, rows, *planes = self._get_maxshape()[1:]
        itemsize = self._get_dtype().itemsize
        return (1, *tile_shape((columns, rows), itemsize, chunk_mb), *(1 for _ in planes))

    def _default_chunk(self, buffer_shape: tuple[int, ...] | None) -> tuple[int, ...]:
        """Return a tile of one plane of one ROI, within a block that is given."""
        columns, rows, *planes = self.masks.shape[1:]
        tile = (1, min(columns, _TILE), min(rows, _TILE), *(1 for _ in planes))
        return tile if buffer_shape is None else within(tile, buffer_shape)

    def _default_buffer(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return whole masks, about 64 MB of them."""
        if options.get("chunk_shape") is None:  # hdmf chooses both, to fit
            return {"buffer_gb": max(_BUFFER_BYTES / 1e9, 2 * options["chunk_mb"] / 1e3)}
        num_rois, *field = self.masks.shape
        step = options["chunk_shape"][0]
        mask_bytes = math.prod(field) * np.dtype(self.masks.dtype).itemsize
        chunks = max(int(_BUFFER_BYTES // (mask_bytes * step)), 1)
        return {"buffer_shape": (min(chunks * step, num_rois), *field)}

    def nonzero_chunks(
        self,
        start: int,
        stop: int,
        chunk_shape: tuple[int, ...],
        as_byte_planes: bool = False,
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Yield the chunks that hold any non-zero value, in ascending order.

        May be called from several threads at once. Only for masks that are sparse at their source.

        Parameters
        ----------
        start, stop : int
            Which ROIs; the start must be a multiple of the chunk's length.
        chunk_shape : tuple of int
            One size per axis; the chunks need not divide the field.
        as_byte_planes : bool
            Give the bytes of the values instead, (itemsize, values) of uint8, in the order that a
            byte shuffle puts them.

        Yields
        ------
        corner : tuple of int
            Indices of the chunk's first element in the whole dataset.
        values : numpy.ndarray
            Contiguous, of exactly ``chunk_shape`` unless as bytes, with zeros beyond the
            dataset's edges; a new array each time.

        Raises
        ------
        ArgumentError
            When the chunks do not fit the masks, or the start is not that of a chunk.
        """
        if len(chunk_shape) != self.ndim or min(chunk_shape) <= 0 or start % chunk_shape[0]:
            raise ArgumentError(
                f"Chunks of shape {chunk_shape} from ROI {start} on do not tile masks of shape "
                f"{self.shape}."
            )
        found: Iterator[Any] = self.masks.nonzero_chunks(start, stop, chunk_shape, as_byte_planes)
        return found

    def _get_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.masks.dtype)

    def _get_maxshape(self) -> tuple[int, ...]:
        return tuple(self.masks.shape)

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        block: NDArray[Any] = self.masks.block(selection)
        return block
