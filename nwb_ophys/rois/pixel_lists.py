"""Pixels of all ROIs laid end to end; their size follows the pixels, not the field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.errors import SourceError

# Size of the images in memory that are searched for pixels at a time.
_BLOCK_BYTES = 16_000_000
# Of non-zero pixels in images; beyond, the lists would take as much memory as the images.
_LARGEST_SHARE = 1 / 16


def _as_ends(values: Any) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)


@attrs.frozen(kw_only=True, eq=False)
class PixelLists:
    """The pixels of ROIs as NWB's ragged columns hold them: x is the column, y the row.

    The object is also a sequence of the masks of single ROIs, each of shape (pixels, 3) or
    (pixels, 4): x, y[, z], weight.

    Attributes
    ----------
    coordinates : tuple of numpy.ndarray of int32, shape (pixels,)
        x, y[, z] of each pixel.
    weights : numpy.ndarray, shape (pixels,)
        In the precision of the source. Pixels may be repeated, and weights may be zero.
    ends : numpy.ndarray of int64, shape (ROIs,)
        Index behind the last pixel of each ROI.
    field_shape : tuple of int
        (columns, rows[, planes]).
    image_dtype : numpy.dtype
        The dtype of the source's own image masks.
    """

    coordinates: tuple[NDArray[np.int32], ...]
    weights: NDArray[Any]
    ends: NDArray[np.int64] = attrs.field(converter=_as_ends)
    field_shape: tuple[int, ...]
    image_dtype: np.dtype[Any] = attrs.field(converter=np.dtype)

    def __attrs_post_init__(self) -> None:
        if np.any(self.counts < 0) or (len(self.ends) and self.ends[-1] != len(self.weights)):
            raise SourceError(
                "The pixel lists of the ROIs overlap or have gaps; the source is damaged."
            )
        if any(len(axis) and axis.min() < 0 for axis in self.coordinates):
            raise SourceError("A pixel of an ROI has a negative coordinate.")

    @classmethod
    def from_masks(
        cls, masks: Sequence[Any], frame_shape: Sequence[int], image_dtype: Any = np.float32
    ) -> PixelLists:
        """Lay the pixel masks of roiextractors end to end.

        Parameters
        ----------
        masks : sequence of array-like, shape (pixels, 3) or (pixels, 4)
            (row, column[, plane], weight).
        frame_shape : sequence of int
            (rows, columns[, planes]).
        image_dtype : numpy dtype
        """
        columns_of_none = np.zeros((0, len(frame_shape) + 1))
        arrays = [np.asarray(mask) for mask in masks]
        flat = np.concatenate(arrays) if arrays else columns_of_none
        row, column, *plane = flat[:, :-1].real.T  # complex weights are refused when written
        for axis in (row, column, *plane):
            is_real = axis.dtype.kind == "f"  # other weights than numbers are refused when written
            odd = axis[~np.isfinite(axis) | (axis != np.floor(axis))] if is_real else axis[:0]
            if len(odd):
                raise SourceError(
                    f"A pixel of an ROI has the coordinate {odd[0]:g}; coordinates must be whole "
                    "numbers, from 0."
                )
        return cls(
            coordinates=tuple(axis.astype(np.int32) for axis in (column, row, *plane)),
            weights=np.ascontiguousarray(flat[:, -1]),
            ends=np.cumsum([len(mask) for mask in arrays], dtype=np.int64),
            field_shape=field_of(frame_shape),
            image_dtype=image_dtype,
        )

    @classmethod
    def from_images(cls, images: NDArray[Any], indices: Sequence[int]) -> PixelLists | None:
        """Lay the non-zero pixels of images in memory end to end, a few images at a time.

        Parameters
        ----------
        images : numpy.ndarray, shape (rows, columns, ROIs)
        indices : sequence of int
            Positions of the ROIs.

        Returns
        -------
        PixelLists or None
            None for images that are not numbers, and for those whose lists would take as much
            memory as the images.
        """
        if images.dtype.kind not in "biufc":
            return None
        scan = _scan_rows if images.flags.c_contiguous else _scan_images
        limit = int(_LARGEST_SHARE * images.shape[0] * images.shape[1] * len(indices))
        found = scan(images, indices, limit)
        if found is None:
            return None
        roi, row, column, weights = found
        return cls(
            coordinates=(column, row),
            weights=weights,
            ends=np.cumsum(np.bincount(roi, minlength=len(indices)).astype(np.int64)),
            field_shape=field_of(images.shape[:2]),
            image_dtype=images.dtype,
        )

    def check_field(self) -> None:
        """Check that all pixels lie in the field, along the axes that it states.

        Raises
        ------
        SourceError
        """
        field = self.field_shape
        for axis, size, name in zip(self.coordinates, field, "xyz", strict=False):
            if len(axis) and axis.max() >= size:
                raise SourceError(
                    f"A pixel at {name} = {axis.max()} lies outside the field of {field}."
                )

    @property
    def counts(self) -> NDArray[np.int64]:
        """The number of pixels of each ROI."""
        return np.diff(self.ends, prepend=0)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Index of the first pixel of each ROI."""
        return self.ends - self.counts

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> NDArray[Any]:
        position = range(len(self))[index]
        span = slice(self.ends[position - 1] if position else 0, self.ends[position])
        return np.column_stack([*(axis[span] for axis in self.coordinates), self.weights[span]])

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: ArrayLike) -> PixelLists:
        """Return the pixels of some ROIs, in the order of the indices.

        Parameters
        ----------
        indices : array-like of int
        """
        chosen = np.asarray(indices, dtype=np.int64)
        if np.array_equal(chosen, np.arange(len(self))):
            return self
        counts = self.counts[chosen]
        ends = np.cumsum(counts)
        # The pixel at position p of the result lies as far behind the start of its ROI as before.
        found = np.repeat(self.starts[chosen] - (ends - counts), counts) + np.arange(counts.sum())
        return attrs.evolve(
            self,
            coordinates=tuple(axis[found] for axis in self.coordinates),
            weights=self.weights[found],
            ends=ends,
        )


def field_of(frame_shape: Sequence[int]) -> tuple[int, ...]:
    """Return (columns, rows[, planes]) of roiextractors' (rows, columns[, planes])."""
    rows, columns, *planes = (int(size) for size in frame_shape)
    return (columns, rows, *planes)


class RoiMaskList(Sequence[NDArray[Any]]):
    """Pixel lists as the list of masks that roiextractors keeps, each made on request.

    Parameters
    ----------
    pixels : PixelLists
    """

    def __init__(self, pixels: PixelLists) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: Any) -> Any:
        x, y, *rest = self.pixels[index].T
        return np.column_stack([y, x, *rest])


_Found = tuple[NDArray[Any], NDArray[np.int32], NDArray[np.int32], NDArray[Any]]


def _scan_images(images: NDArray[Any], indices: Sequence[int], limit: int) -> _Found | None:
    """Find the non-zero pixels, a few ROIs at a time: (ROI, row, column, weight)."""
    rows, columns, _ = images.shape
    step = max(_BLOCK_BYTES // (rows * columns * images.itemsize), 1)
    parts = []
    for start in range(0, len(indices), step):
        block = np.moveaxis(images[:, :, indices[start : start + step]], -1, 0)
        block = np.ascontiguousarray(block)
        parts.append(_nonzero(block, (start, 0, 0)))
        limit -= len(parts[-1][0])
        if limit < 0:
            return None
    return _joined(parts, images.dtype)


def _scan_rows(images: NDArray[Any], indices: Sequence[int], limit: int) -> _Found | None:
    """Find the non-zero pixels of images whose ROIs lie side by side, a few rows at a time."""
    rows, columns, num_rois = images.shape
    step = max(_BLOCK_BYTES // max(columns * num_rois * images.itemsize, 1), 1)
    position = np.full(num_rois, -1)
    position[np.asarray(indices, dtype=np.int64)] = np.arange(len(indices))
    parts = []
    for start in range(0, rows, step):
        row, column, roi, weights = _nonzero(images[start : start + step], (start, 0, 0))
        roi = position[roi]
        kept = roi >= 0
        parts.append((roi[kept], row[kept], column[kept], weights[kept]))
        limit -= len(parts[-1][0])
        if limit < 0:
            return None
    roi, row, column, weights = _joined(parts, images.dtype)
    order = np.argsort(roi, kind="stable")
    return roi[order], row[order], column[order], weights[order]


def _nonzero(block: NDArray[Any], origin: tuple[int, int, int]) -> _Found:
    """Return the coordinates and values of the non-zero elements of a contiguous block."""
    # NumPy searches booleans many times as fast as numbers.
    place = np.flatnonzero(block.reshape(-1) != 0)
    first, second, third = np.unravel_index(place, block.shape)
    values = block.reshape(-1)[place]
    moved = [
        (axis + start).astype(np.int32)
        for axis, start in zip((first, second, third), origin, strict=True)
    ]
    return moved[0], moved[1], moved[2], values


def _joined(parts: Sequence[_Found], dtype: Any) -> _Found:
    empty = (*(np.zeros(0, np.int32) for _ in range(3)), np.zeros(0, dtype))
    first, second, third, fourth = (
        np.concatenate(columns) for columns in zip(empty, *parts, strict=True)
    )
    return first, second, third, fourth
