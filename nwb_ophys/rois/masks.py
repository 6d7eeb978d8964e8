"""Image masks of ROIs as NWB orients them: (columns, rows[, planes])."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.rois.centroids import (
    centroid_of_image,
    centroids_of_images,
    has_centre,
    have_centres,
)
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.sparse_images import SparseImages

# The pixels found while dense images are read are kept up to this size, and up to this share of the
# images: a share beyond which lists of pixels are slower to write than the images.
_KEPT_BYTES = 64_000_000
_KEPT_SHARE = 1 / 16


class ImageMasks:
    """The image masks of ROIs: made from pixels where the source has pixels, else read one by one.

    Parameters
    ----------
    num_rois : int
        At least one.
    pixels : PixelLists or None
        Pixels of all ROIs, where the source has them.
    read : callable
        Returns the image of one ROI by its position, (columns, rows[, planes]); for sources without
        pixels. The image read last is kept, so that neighbouring blocks do not read it again.

    Attributes
    ----------
    shape : tuple of int
        (ROIs, columns, rows[, planes]).
    dtype : numpy.dtype
        The dtype of the source's images.
    sparse : SparseImages or None
        The images as pixels, where the source has pixels or :meth:`centroids` found them to be few.
    """

    def __init__(
        self, num_rois: int, pixels: PixelLists | None, read: Callable[[int], NDArray[Any]]
    ) -> None:
        self._read_image = read
        self._latest: tuple[int, NDArray[Any]] | None = None
        self.sparse = SparseImages(pixels) if pixels is not None else None
        first = self.sparse if self.sparse else self._read(0)[np.newaxis]
        self.shape: tuple[int, ...] = (num_rois, *first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype

    def as_dtype(self, dtype: np.dtype[Any]) -> ImageMasks:
        """Return the same masks with weights of another dtype, which holds them without loss."""
        if dtype == self.dtype:
            return self
        other = copy.copy(self)
        other.dtype = dtype
        if self.sparse:
            other.sparse = SparseImages(attrs.evolve(self.sparse.pixels, image_dtype=dtype))
        return other

    @property
    def is_sparse(self) -> bool:
        """True where the masks are made from pixels."""
        return self.sparse is not None

    def image(self, index: int) -> NDArray[Any]:
        """Return the mask of one ROI, (columns, rows[, planes])."""
        whole = [slice(None) for _ in self.shape[1:]]
        return self.block((slice(index, index + 1), *whole))[0]

    def block(self, selection: Sequence[slice]) -> NDArray[Any]:
        """Return a block of the masks, (ROIs, columns, rows[, planes]).

        Parameters
        ----------
        selection : sequence of slice
            One per axis, in steps of 1.
        """
        if self.sparse:
            return self.sparse.block(selection)
        bounds = [one.indices(size) for one, size in zip(selection, self.shape, strict=True)]
        block = np.empty([max(stop - start, 0) for start, stop, _ in bounds], dtype=self.dtype)
        for position, index in enumerate(range(bounds[0][0], bounds[0][1])):
            block[position] = self._read(index)[tuple(selection[1:])]
        return block

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Sequence[int], as_byte_planes: bool = False
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Yield the chunks that hold any pixel, for sparse masks.

        Parameters and yields are those of :meth:`SparseImages.nonzero_chunks`.
        """
        if not self.sparse:
            raise TypeError("Chunks without pixels can be left out of sparse masks only.")
        return self.sparse.nonzero_chunks(start, stop, chunk_shape, as_byte_planes)

    def centroids(self) -> NDArray[np.int64]:
        """Return the centroid of each mask, (x, y[, z]).

        Dense images are read once each, and become sparse where their pixels are few, so that
        whoever writes them need not read them again.
        """
        return self.centroids_and_placed()[0]

    def centroids_and_placed(self) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the centroid of each mask as :meth:`centroids` does, and which have a centre."""
        if self.sparse:
            pixels = self.sparse.pixels
            return centroids_of_images(pixels), have_centres(pixels, of_images=True)
        centroids = np.empty((self.shape[0], len(self.shape) - 1), dtype=np.int64)
        are_placed = np.empty(self.shape[0], dtype=bool)
        found = _FewPixels(self.shape, self.dtype)
        for index in range(self.shape[0]):
            image = self._read(index)
            centroids[index], are_placed[index] = centroid_of_image(image), has_centre(image)
            found.add(image)
        few = found.lists()
        if few is not None:
            self.sparse, self._latest = SparseImages(few), None
        return centroids, are_placed

    def _read(self, index: int) -> NDArray[Any]:
        latest = self._latest
        if latest is None or latest[0] != index:
            latest = self._latest = (index, self._read_image(index))
        return latest[1]


class _FewPixels:
    """The non-zero pixels of dense images, collected while they are few.

    Parameters
    ----------
    shape : tuple of int
        (ROIs, columns, rows[, planes]).
    dtype : numpy.dtype
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._field, self._dtype = shape[1:], dtype
        pixel_bytes = 4 * len(self._field) + dtype.itemsize
        self._room = min(int(_KEPT_SHARE * math.prod(shape)), _KEPT_BYTES // pixel_bytes)
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(self, image: NDArray[Any]) -> None:
        """Add the pixels of the next ROI, unless there have been too many before."""
        if self._room < 0:
            return
        self._room -= int(np.count_nonzero(image))
        if self._room < 0 or image.shape != self._field:
            self._room = -1
            self._parts.clear()
            return
        places = np.nonzero(image)
        weights = image[places].astype(self._dtype, copy=False)
        self._parts.append((*(axis.astype(np.int32) for axis in places), weights))

    def lists(self) -> PixelLists | None:
        """Return the pixels of all ROIs; None where they are too many."""
        if self._room < 0:
            return None
        *coordinates, weights = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        return PixelLists(
            coordinates=tuple(coordinates),
            weights=weights,
            ends=np.cumsum([len(part[-1]) for part in self._parts], dtype=np.int64),
            field_shape=self._field,
            image_dtype=self._dtype,
        )
