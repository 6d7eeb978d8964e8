"""Centroids of ROIs: the median column and row of the pixels equal to the mask's maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.rois.pixel_lists import PixelLists

# Number of ROIs whose pixels are counted along an axis at a time.
_ROIS_AT_ONCE = 1024


def centroids_of_pixels(pixels: PixelLists, field: Sequence[int]) -> NDArray[np.int64]:
    """Return the centroid of each list of pixels.

    Parameters
    ----------
    pixels : PixelLists
    field : sequence of int
        (columns, rows[, planes]), whose middle is the centroid of an ROI without any weight.

    Returns
    -------
    numpy.ndarray of int, shape (ROIs, coordinates)
        Medians, truncated.
    """
    num_axes = len(pixels.coordinates)
    middle = [(size - 1) // 2 for size in field[:num_axes]]
    centroids = np.tile(middle + [0] * (num_axes - len(middle)), (len(pixels), 1))
    maxima = _maxima(pixels)
    _set_medians(centroids, pixels, maxima, maxima > 0)
    return centroids.astype(np.int64)


def centroids_of_images(pixels: PixelLists) -> NDArray[np.int64]:
    """Return the centroid of each image mask that consists of pixels.

    Parameters
    ----------
    pixels : PixelLists
        Pixels of an ROI differ in place and have non-zero weights. Where all are negative, the
        maximum is the zero of the rest of the field.

    Returns
    -------
    numpy.ndarray of int, shape (ROIs, coordinates)
        Medians, truncated.
    """
    centroids = centroids_of_pixels(pixels, pixels.field_shape)
    maxima = _maxima(pixels)
    negative = (pixels.counts > 0) & (maxima < 0)
    full = pixels.counts == math.prod(pixels.field_shape)
    _set_medians(centroids, pixels, maxima, negative & full)
    rest = np.flatnonzero(negative & ~full)
    for start in range(0, len(rest), _ROIS_AT_ONCE):
        chosen = rest[start : start + _ROIS_AT_ONCE]
        centroids[chosen] = _medians_of_rest(pixels.take(chosen))
    return centroids


def have_centres(pixels: PixelLists, of_images: bool = False) -> NDArray[np.bool_]:
    """Return which ROIs have a centre: those with weights, all of which are numbers.

    Parameters
    ----------
    pixels : PixelLists
    of_images : bool
        Whether the pixels are those of image masks. The maximum of negative weights is then the
        zero of the rest of the field; in a list of pixels they have no maximum above 0.
    """
    maxima = _maxima(pixels)
    if of_images:
        return (pixels.counts > 0) & ~np.isnan(maxima)
    return maxima > 0


def has_centre(image: NDArray[Any]) -> bool:
    """Return whether an image mask has a centre: it has weights, all of which are numbers."""
    return bool(image.any() and not np.isnan(image.max()))


def with_nan(centroids: NDArray[np.int64], are_placed: NDArray[np.bool_]) -> NDArray[Any]:
    """Return centroids that are NaN for ROIs without a centre; integers where all have one."""
    if are_placed.all():
        return centroids
    return np.where(are_placed[:, np.newaxis], centroids.astype(np.float64), np.nan)


def centroid_of_image(image: NDArray[Any]) -> list[float]:
    """Return the centroid of one image, (x, y[, z]), as medians that are not truncated.

    Parameters
    ----------
    image : numpy.ndarray, shape (columns, rows) or (columns, rows, planes)
        The centroid of an image that holds a NaN is the middle of the field.
    """
    brightest = np.nonzero(image == image.max())
    if not len(brightest[0]):  # a NaN equals nothing, not even itself
        brightest = np.nonzero(np.ones(image.shape, dtype=bool))
    return [np.median(axis) for axis in brightest]


def _maxima(pixels: PixelLists) -> NDArray[np.float64]:
    """Return the largest weight of each ROI: 0 without pixels, NaN where a weight is NaN."""
    maxima = np.zeros(len(pixels), dtype=pixels.weights.dtype)
    filled = pixels.counts > 0
    if filled.any():
        maxima[filled] = np.maximum.reduceat(pixels.weights, pixels.starts[filled])
    return maxima


def _set_medians(
    centroids: NDArray[np.int64],
    pixels: PixelLists,
    maxima: NDArray[np.float64],
    chosen: NDArray[np.bool_],
) -> None:
    """Set the centroids of the chosen ROIs to the medians of the pixels equal to the maximum."""
    rois = np.repeat(np.arange(len(pixels)), pixels.counts)
    brightest = chosen[rois] & (pixels.weights == maxima[rois])
    rois = rois[brightest]
    counts = np.bincount(rois, minlength=len(pixels))
    first = np.cumsum(counts) - counts
    found = counts > 0
    lower, upper = (first + (counts - 1) // 2)[found], (first + counts // 2)[found]
    for position, axis in enumerate(pixels.coordinates):
        values = axis[brightest].astype(np.int64)
        stride = values.max(initial=0) + 1
        values = np.sort(rois * stride + values) % stride
        centroids[found, position] = (values[lower] + values[upper]) // 2


def _medians_of_rest(pixels: PixelLists) -> NDArray[np.int64]:
    """Return the medians of the places in the field that hold no pixel."""
    field, num_rois = pixels.field_shape, len(pixels)
    rois = np.repeat(np.arange(num_rois), pixels.counts)
    medians = np.empty((num_rois, len(field)), dtype=np.int64)
    for position, (axis, size) in enumerate(zip(pixels.coordinates, field, strict=True)):
        taken = np.bincount(rois * size + axis, minlength=num_rois * size).reshape(num_rois, size)
        sums = np.cumsum(math.prod(field) // size - taken, axis=1)
        total = sums[:, -1:]
        lower = np.argmax(sums > (total - 1) // 2, axis=1)
        upper = np.argmax(sums > total // 2, axis=1)
        medians[:, position] = (lower + upper) // 2
    return medians
