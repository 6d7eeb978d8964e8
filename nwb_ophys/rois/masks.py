"""The masks of ROIs as NWB orients them: x is the column, y the row.

roiextractors gives (rows, columns[, planes]) images and (row, column[, plane], weight) pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.rois.centroids import centroids_of_images, centroids_of_pixels
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.pixel_sources import ragged_pixels
from nwb_ophys.rois.sparse_images import SparseImages


class ImageMasks:
    """The image masks of ROIs: made from pixels where the source has pixels, else read one by one.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    roi_ids : sequence
        Which ROIs, in which order.

    Attributes
    ----------
    extractor : roiextractors.SegmentationExtractor
    shape : tuple of int
        (ROIs, columns, rows[, planes]).
    dtype : numpy.dtype
        That of the source.
    sparse : SparseImages or None
        Where the source has pixels.
    """

    def __init__(self, extractor: Any, roi_ids: Sequence[Any]) -> None:
        self.extractor = extractor
        self._roi_ids = list(roi_ids)
        pixels = ragged_pixels(extractor, self._roi_ids, "image")
        self.sparse = SparseImages(pixels) if pixels is not None else None
        first = self.sparse if self.sparse else self._read(0)[np.newaxis]
        self.shape: tuple[int, ...] = (len(self._roi_ids), *first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype

    @property
    def is_sparse(self) -> bool:
        """Whether the masks are made from pixels."""
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
        """Yield the chunks that hold any pixel, where the source has pixels.

        As :meth:`SparseImages.nonzero_chunks`.
        """
        if not self.sparse:
            raise TypeError("Chunks without pixels can be left out of sparse masks only.")
        return self.sparse.nonzero_chunks(start, stop, chunk_shape, as_byte_planes)

    def centroids(self) -> NDArray[np.int64]:
        """Return the centroid of each mask, (x, y[, z]); each image is read once."""
        if self.sparse:
            return centroids_of_images(self.sparse.pixels)
        centroids = np.empty((self.shape[0], len(self.shape) - 1), dtype=np.int64)
        for index in range(self.shape[0]):
            image = self._read(index)
            brightest = np.nonzero(image == image.max())
            if not len(brightest[0]):  # not even a NaN is equal to a NaN
                brightest = np.nonzero(np.ones(image.shape, dtype=bool))
            centroids[index] = [np.median(axis) for axis in brightest]
        return centroids

    def _read(self, index: int) -> NDArray[Any]:
        masks = np.asarray(self.extractor.get_roi_image_masks(roi_ids=[self._roi_ids[index]]))
        if masks.ndim == 3 and masks.shape == self._volume():
            return np.swapaxes(masks, 0, 1)  # one mask alone, whose planes are no ROIs
        # Volumes come with the axis of ROIs before that of planes (roiextractors stacks masks on
        # axis 2) or, as documented, behind it; with a single ROI its length 1 tells which. An
        # extractor that gives all its ROIs whatever it is asked for is taken at its order.
        for count, position in ((1, 0), (len(self._roi_ids), index)):
            for axis in (2, -1) if masks.ndim == 4 else (-1,):
                if masks.shape[axis] == count:
                    return np.swapaxes(masks.take(position, axis=axis), 0, 1)
        raise SourceError(
            f"{type(self.extractor).__name__} gave masks of shape {masks.shape} for one ROI; the "
            "axis of ROIs must have length 1."
        )

    def _volume(self) -> tuple[int, ...]:
        """Return (rows, columns, planes); nothing of a plane."""
        stated = getattr(self.extractor, "get_frame_shape", tuple)
        shape = tuple(int(size) for size in stated())
        return shape if len(shape) == 3 else ()


def pixel_masks(extractor: Any, roi_ids: Sequence[Any]) -> PixelLists:
    """Return the pixels of each ROI, a sequence of x, y[, z], weight.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    roi_ids : sequence
        Which ROIs, in which order.

    Raises
    ------
    SourceError
        When there are not as many masks as ROIs.
    """
    found = ragged_pixels(extractor, roi_ids, "pixel")
    if found is None:
        masks = list(extractor.get_roi_pixel_masks(roi_ids=list(roi_ids)))
        found = PixelLists.from_masks(masks, extractor.get_frame_shape())
    if len(found) != len(roi_ids):
        raise SourceError(
            f"{type(extractor).__name__} gave {len(found)} pixel masks for {len(roi_ids)} ROIs."
        )
    return found


def image_centroids(masks: ImageMasks) -> NDArray[np.int64]:
    """Return the centroid of each image mask.

    Parameters
    ----------
    masks : ImageMasks

    Returns
    -------
    numpy.ndarray of int, shape (ROIs, 2) or (ROIs, 3)
        (x, y[, z]): the medians over the pixels equal to the mask's maximum, truncated.
    """
    return masks.centroids()


def pixel_centroids(masks: PixelLists, field: Sequence[int]) -> NDArray[np.int64]:
    """Return the centroid of each pixel mask, the same as that of its image.

    Parameters
    ----------
    masks : PixelLists
    field : sequence of int
        (columns, rows[, planes]), whose middle is the centroid of an ROI without pixels: there
        every pixel of its image equals the maximum, 0.
    """
    return centroids_of_pixels(masks, field)
