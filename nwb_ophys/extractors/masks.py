"""The masks of ROIs as NWB orients them: x is the column, y the row.

roiextractors gives (rows, columns[, planes]) images and (row, column[, plane], weight) pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError


class ImageMasks:
    """The image masks of ROIs, read one ROI at a time.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    roi_ids : sequence
        Which ROIs, in which order.

    Attributes
    ----------
    shape : tuple of int
        (ROIs, columns, rows[, planes]).
    dtype : numpy.dtype
        That of the source.
    """

    def __init__(self, extractor: Any, roi_ids: Sequence[Any]) -> None:
        self._extractor = extractor
        self._roi_ids = list(roi_ids)
        first = self.image(0)
        self.shape = (len(self._roi_ids), *first.shape)
        self.dtype = first.dtype

    def image(self, index: int) -> NDArray[Any]:
        """Return the mask of one ROI, (columns, rows[, planes])."""
        masks = np.asarray(self._extractor.get_roi_image_masks(roi_ids=[self._roi_ids[index]]))
        # Volumes come with the axis of ROIs before that of planes (roiextractors stacks masks on
        # axis 2) or, as documented, behind it; with a single ROI its length 1 tells which. An
        # extractor that gives all its ROIs whatever it is asked for is taken at its order.
        for count, position in ((1, 0), (len(self._roi_ids), index)):
            for axis in (2, -1) if masks.ndim == 4 else (-1,):
                if masks.shape[axis] == count:
                    return np.swapaxes(masks.take(position, axis=axis), 0, 1)
        raise SourceError(
            f"{type(self._extractor).__name__} gave masks of shape {masks.shape} for one ROI; the "
            "axis of ROIs must have length 1."
        )


def pixel_masks(extractor: Any, roi_ids: Sequence[Any]) -> list[NDArray[Any]]:
    """Return the pixels of each ROI, (pixels, 3) or (pixels, 4): x, y[, z], weight.

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
    masks = [np.asarray(mask) for mask in extractor.get_roi_pixel_masks(roi_ids=list(roi_ids))]
    if len(masks) != len(roi_ids):
        raise SourceError(
            f"{type(extractor).__name__} gave {len(masks)} pixel masks for {len(roi_ids)} ROIs."
        )
    return [mask[:, [1, 0, *range(2, mask.shape[1])]] for mask in masks]


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
    centroids = np.empty((masks.shape[0], len(masks.shape) - 1), dtype=np.int64)
    for index in range(masks.shape[0]):
        image = masks.image(index)
        centroids[index] = [np.median(axis) for axis in np.nonzero(image == image.max())]
    return centroids


def pixel_centroids(masks: Sequence[NDArray[Any]], field: Sequence[int]) -> NDArray[np.int64]:
    """Return the centroid of each pixel mask, the same as that of its image.

    Parameters
    ----------
    masks : sequence of numpy.ndarray, shape (pixels, 3) or (pixels, 4)
        Of (x, y[, z], weight).
    field : sequence of int
        (columns, rows[, planes]), whose middle is the centroid of an ROI without pixels: there
        every pixel of its image equals the maximum, 0.
    """
    num_axes = masks[0].shape[1] - 1
    centroids = np.empty((len(masks), num_axes), dtype=np.int64)
    middle = [(size - 1) / 2 for size in field[:num_axes]] + [0.0] * (num_axes - len(field))
    for index, mask in enumerate(masks):
        weights = mask[:, -1]
        brightest = mask[weights == weights.max()] if len(mask) and weights.max() > 0 else None
        centroids[index] = middle if brightest is None else np.median(brightest[:, :-1], axis=0)
    return centroids
