"""Iterator over blocks of the image masks of ROIs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.dtypes import stored_dtype
from nwb_ophys.errors import ArgumentError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators.base import ArrayLike, check_positive, within
from nwb_ophys.rois.model import Rois
from nwb_ophys.storage.grid import tile_shape

# Columns and rows of a default chunk: small enough that an ROI touches few of them, and large
# enough that making, storing and finding a chunk costs little beside its pixels.
_TILE = 128
_BUFFER_BYTES = 64e6


class RoiImageMaskIterator(ArrayLike):
    """Blocks of the image masks of ROIs, (ROIs, columns, rows[, planes]).

    Parameters
    ----------
    rois : Rois
        At least one.
    **iterator_options
        See :class:`SliceableDataChunkIterator`. By default, a chunk is a tile of one ROI and one
        plane.

    Attributes
    ----------
    rois : Rois
    masks : ImageMasks
    is_sparse : bool
        Whether `nonzero_chunks` can leave out chunks without pixels.

    Raises
    ------
    ArgumentError
        When there are no ROIs.
    """

    is_dense = False

    def __init__(self, rois: Rois, **iterator_options: Any) -> None:
        if rois.images is None:
            raise ArgumentError(
                "There are no ROIs, so that there are no image masks to iterate over."
            )
        self.source_label = extractor_label(rois.extractor)
        stored = stored_dtype(rois.images.dtype, f"The masks of {self.source_label}")
        self.rois, self.masks = rois, rois.images.as_dtype(stored)
        self.is_sparse: bool = self.masks.is_sparse
        self.reads_in_parallel = self.is_sparse
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
        """Return a tile of one plane of one ROI, within a given block."""
        columns, rows, *planes = self.masks.shape[1:]
        tile = (1, min(columns, _TILE), min(rows, _TILE), *(1 for _ in planes))
        return tile if buffer_shape is None else within(tile, buffer_shape)

    def _default_buffer(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return whole masks, about 64 MB of them."""
        if options.get("chunk_shape") is None:  # hdmf chooses both, to fit
            return {"buffer_gb": max(_BUFFER_BYTES / 1e9, 2 * options["chunk_mb"] / 1e3)}
        num_rois, *field = self.masks.shape
        step = options["chunk_shape"][0]
        mask_bytes = math.prod(field) * self.masks.dtype.itemsize
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

        May be called from several threads at once, for sparse masks only.

        Parameters
        ----------
        start, stop : int
            Range of the ROIs; the start must be a multiple of the chunk's length.
        chunk_shape : tuple of int
            One size per axis; the chunks need not divide the field.
        as_byte_planes : bool
            Yield the bytes of the values instead, (itemsize, values) of uint8, in the order of a
            byte shuffle.

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
            When the chunks do not fit the masks, or the start is not the start of a chunk.
        """
        if len(chunk_shape) != self.ndim or min(chunk_shape) <= 0 or start % chunk_shape[0]:
            raise ArgumentError(
                f"Chunks of shape {chunk_shape} from ROI {start} on do not tile masks of shape "
                f"{self.shape}."
            )
        return self.masks.nonzero_chunks(start, stop, chunk_shape, as_byte_planes)

    def _get_dtype(self) -> np.dtype[Any]:
        return self.masks.dtype

    def _get_maxshape(self) -> tuple[int, ...]:
        return self.masks.shape

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        return self.masks.block(selection)
