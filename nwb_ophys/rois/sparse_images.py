"""Image masks made from pixels block by block, so that no field of zeros is ever held."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.rois.pixel_lists import PixelLists

# Bytes of chunks that are made together: few enough to stay in a core's cache.
_BATCH_BYTES = 2_000_000
# Number of pixels that are sorted into chunks together.
_PIXELS_AT_ONCE = 1 << 16


class SparseImages:
    """The image masks of ROIs whose pixels are known.

    All methods may be called from several threads at once.

    Parameters
    ----------
    pixels : PixelLists

    Attributes
    ----------
    shape : tuple of int
        (ROIs, columns, rows[, planes]).
    dtype : numpy.dtype
        The dtype of the source's own images.
    pixels : PixelLists
        The pixels that the images consist of, each once, with non-zero weights.

    Raises
    ------
    SourceError
        When a pixel lies outside the field.
    """

    def __init__(self, pixels: PixelLists) -> None:
        self.shape = (len(pixels), *pixels.field_shape)
        self.dtype = pixels.image_dtype
        self.pixels = _overlaid(pixels)

    def block(self, selection: Sequence[slice]) -> NDArray[Any]:
        """Return a block of the images.

        Parameters
        ----------
        selection : sequence of slice
            One per axis, in steps of 1.
        """
        bounds = [one.indices(size) for one, size in zip(selection, self.shape, strict=True)]
        block = np.zeros([max(stop - start, 0) for start, stop, _ in bounds], dtype=self.dtype)
        if not block.size:
            return block
        corner = np.array([start for start, _, _ in bounds])
        indices, weights = self._between(bounds[0][0], bounds[0][1])
        places = [index - start for index, start in zip(indices, corner, strict=True)]
        inside = np.ones(len(weights), dtype=bool)
        for place, size in zip(places[1:], block.shape[1:], strict=True):
            inside &= (place >= 0) & (place < size)
        block[tuple(place[inside] for place in places)] = weights[inside]
        return block

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Sequence[int], as_byte_planes: bool = False
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Yield the chunks that hold any pixel, in ascending order.

        Parameters
        ----------
        start, stop : int
            Range of the ROIs; the start must be a multiple of the chunk's length.
        chunk_shape : sequence of int
            One size per axis; the chunks need not divide the field.
        as_byte_planes : bool
            Yield the bytes of the values instead: first the first bytes of all values, then their
            second bytes, and so on, in the order of a byte shuffle.

        Yields
        ------
        corner : tuple of int
            Indices of the chunk's first element.
        values : numpy.ndarray
            An array of the shape of a chunk, with zeros beyond the edges, or (itemsize, values)
            of uint8; a new array each time.
        """
        stop = min(stop, self.shape[0])
        while start < stop:
            # Whole chunks of ROIs whose pixels together are few, but at least one chunk.
            enough = self._first_pixel(start) + _PIXELS_AT_ONCE
            many = int(np.searchsorted(self.pixels.ends, enough))
            step = max((many - start) // chunk_shape[0], 1) * chunk_shape[0]
            yield from self._chunks(
                start, min(start + step, stop), tuple(chunk_shape), as_byte_planes
            )
            start += step

    def _between(self, start: int, stop: int) -> tuple[list[NDArray[np.int64]], NDArray[Any]]:
        """Return the index along each axis, and the weight, of all pixels of a range of ROIs."""
        pixels, first = self.pixels, self._first_pixel(start)
        counts = np.diff(pixels.ends[start:stop], prepend=first)
        span = slice(first, pixels.ends[stop - 1])
        axes = [axis[span].astype(np.int64) for axis in pixels.coordinates]
        return [np.repeat(np.arange(start, stop), counts), *axes], pixels.weights[span]

    def _first_pixel(self, roi: int) -> int:
        return int(self.pixels.ends[roi - 1]) if roi else 0

    def _chunks(
        self, start: int, stop: int, chunk_shape: tuple[int, ...], as_byte_planes: bool
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Yield the chunks of ROIs whose pixels are sorted together."""
        indices, weights = self._between(start, stop)
        grid = [
            math.ceil(size / chunk) for size, chunk in zip(self.shape, chunk_shape, strict=True)
        ]
        chunks, places = (np.zeros(len(weights), dtype=np.int64) for _ in range(2))
        for index, chunk, count in zip(indices, chunk_shape, grid, strict=True):
            quotient, rest = np.divmod(index, chunk)
            chunks = chunks * count + quotient
            places = places * chunk + rest
        order = np.argsort(chunks, kind="stable")
        chunks, places, weights = chunks[order], places[order], weights[order]
        is_first = np.diff(chunks, prepend=-1) != 0
        firsts = np.append(np.flatnonzero(is_first), len(chunks))
        size = math.prod(chunk_shape)
        batch = max(_BATCH_BYTES // (size * self.dtype.itemsize), 1)
        slots = np.cumsum(is_first) - 1
        for low in range(0, len(firsts) - 1, batch):
            high = min(low + batch, len(firsts) - 1)
            span = slice(firsts[low], firsts[high])
            within = slots[span] - low
            values = _batch(high - low, size, within, places[span], weights[span], as_byte_planes)
            positions = np.unravel_index(chunks[firsts[low:high]], grid)
            corners = np.stack(positions, axis=1) * chunk_shape
            if not as_byte_planes:
                values = values.reshape(-1, *chunk_shape)
            yield from zip(map(tuple, corners.tolist()), values, strict=True)


def _batch(
    num_chunks: int,
    size: int,
    chunks: NDArray[np.int64],
    places: NDArray[np.int64],
    weights: NDArray[Any],
    as_byte_planes: bool,
) -> NDArray[Any]:
    """Return chunks, (chunks, values), or their bytes, (chunks, bytes of a value, values)."""
    if not as_byte_planes:
        values = np.zeros((num_chunks, size), dtype=weights.dtype)
        values[chunks, places] = weights
        return values
    itemsize = weights.dtype.itemsize
    planes = np.zeros((num_chunks, itemsize, size), dtype=np.uint8)
    planes[chunks, :, places] = weights.view(np.uint8).reshape(-1, itemsize)
    return planes


def _overlaid(pixels: PixelLists) -> PixelLists:
    """Return the pixels that images show: the last one at each place, where it is not zero."""
    if len(pixels.coordinates) != len(pixels.field_shape):
        raise SourceError(
            f"Pixels with {len(pixels.coordinates)} coordinates do not fit a field of "
            f"{pixels.field_shape}."
        )
    pixels.check_field()
    weights = pixels.weights.astype(pixels.image_dtype, copy=False)
    kept = _is_last_of_its_place(pixels)
    kept = weights != 0 if kept is None else kept & (weights != 0)
    if kept.all():
        return attrs.evolve(pixels, weights=weights)
    return attrs.evolve(
        pixels,
        coordinates=tuple(axis[kept] for axis in pixels.coordinates),
        weights=weights[kept],
        ends=np.append(0, np.cumsum(kept))[pixels.ends],
    )


def _is_last_of_its_place(pixels: PixelLists) -> NDArray[np.bool_] | None:
    """Return whether each pixel is the last one at its place; None where all places differ."""
    for axes in (range(len(pixels.field_shape)), (1, 0, *range(2, len(pixels.field_shape)))):
        places = np.repeat(np.arange(len(pixels)), pixels.counts)
        for axis in axes:
            places = places * pixels.field_shape[axis] + pixels.coordinates[axis]
        if np.all(places[1:] > places[:-1]):  # the two orders that are common
            return None
    order = np.argsort(places, kind="stable")
    last = np.append(np.diff(places[order]) != 0, True)
    if last.all():
        return None
    kept = np.empty(len(places), dtype=bool)
    kept[order] = last
    return kept
