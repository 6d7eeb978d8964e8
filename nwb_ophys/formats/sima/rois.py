"""Conversion of SIMA's ROIs, masks or polygons, to pixels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, as_sentence
from nwb_ophys.formats.sima.pickles import SparseState
from nwb_ophys.rois.pixel_lists import PixelLists, field_of

# (plane, row, column, weight) of the pixels of an ROI.
_Pixels = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def roi_field(rois: Sequence[Mapping[str, Any]]) -> tuple[int, int, int] | None:
    """Return the largest (planes, rows, columns) that ROIs state; None where none states them.

    Parameters
    ----------
    rois : sequence of Mapping
        As SIMA saves them: mask, polygons, im_shape, id, label and tags.
    """
    shapes = []
    for roi in rois:
        if roi.get("im_shape") is not None:
            shapes.append([1, *roi["im_shape"]][-3:])
        elif roi.get("mask") is not None:
            planes = _planes(roi["mask"])
            rows, columns = np.max([plane.shape for plane in planes], axis=0)
            shapes.append([len(planes), rows, columns])
    if not shapes:
        return None
    planes_, rows, columns = (int(size) for size in np.max(shapes, axis=0))
    return planes_, rows, columns


def roi_pixels(
    rois: Sequence[Mapping[str, Any]], field: tuple[int, int, int], path: Path
) -> PixelLists:
    """Return the pixels of ROIs; pixels outside the field are left out with a warning, as in SIMA.

    Parameters
    ----------
    rois : sequence of Mapping
        As SIMA saves them.
    field : tuple of int
        (planes, rows, columns).
    path : pathlib.Path
        The file, for messages.

    Raises
    ------
    CorruptSourceError
        When an ROI has neither mask nor polygons, or they cannot be read.
    """
    found: list[_Pixels] = []
    num_outside = 0
    for index, roi in enumerate(rois):
        try:
            pixels = _pixels_of(roi, field)
        except Exception as error:  # a damaged ROI can raise anything
            raise CorruptSourceError(
                f"'{path}': ROI {index} cannot be read: {as_sentence(error)} The file may be "
                "damaged."
            ) from error
        inside = np.all([(a >= 0) & (a < n) for a, n in zip(pixels, field, strict=False)], axis=0)
        num_outside += int(np.count_nonzero(~inside))
        plane, row, column, weight = (values[inside] for values in pixels)
        found.append((plane, row, column, weight))
    if num_outside:
        warnings.warn(
            f"'{path}': {num_outside} pixels of ROIs lie outside the field of {field} (planes, "
            "rows, columns) and are left out.",
            UserWarning,
            stacklevel=5,
        )
    return _joined(found, field)


def _joined(found: Sequence[_Pixels], field: tuple[int, int, int]) -> PixelLists:
    dtype = np.result_type(np.float32, *{pixels[3].dtype for pixels in found})
    plane, row, column = (
        np.concatenate([np.zeros(0, int), *(pixels[axis] for pixels in found)]).astype(np.int32)
        for axis in range(3)
    )
    weights = np.concatenate([np.zeros(0, dtype), *(pixels[3] for pixels in found)]).astype(dtype)
    is_volume = field[0] > 1
    return PixelLists(
        coordinates=(column, row, plane) if is_volume else (column, row),
        weights=weights,
        ends=np.cumsum([len(pixels[3]) for pixels in found], dtype=np.int64),
        field_shape=field_of((*field[1:], field[0]) if is_volume else field[1:]),
        image_dtype=dtype,
    )


def _pixels_of(roi: Mapping[str, Any], field: tuple[int, int, int]) -> _Pixels:
    if roi.get("mask") is not None:
        return _of_mask(roi["mask"])
    if roi.get("polygons") is not None:
        return _of_polygons(roi["polygons"], field)
    raise ValueError("it has neither a mask nor polygons.")


def _planes(mask: Any) -> list[Any]:
    """Return the planes of a mask: sparse matrices or arrays."""
    if isinstance(mask, SparseState):
        return [mask]
    if isinstance(mask, np.ndarray) and mask.dtype != object and mask.ndim == 2:
        return [mask]
    return list(mask)


def _of_mask(mask: Any) -> _Pixels:
    parts: list[_Pixels] = []
    for index, plane in enumerate(_planes(mask)):
        if isinstance(plane, SparseState):
            row, column, weight = plane.pixels()
        else:
            row, column = np.nonzero(plane)
            weight = np.asarray(plane)[row, column]
        kept = weight != 0
        parts.append(
            (np.full(np.count_nonzero(kept), index), row[kept], column[kept], weight[kept])
        )
    plane, row, column, weight = (np.concatenate(each) for each in zip(*parts, strict=True))
    return plane, row, column, weight


def _of_polygons(polygons: Any, field: tuple[int, int, int]) -> _Pixels:
    """Return the pixels whose centres lie within any of the polygons."""
    inside = np.zeros(field, dtype=bool)
    for polygon in polygons:
        corners = np.asarray(polygon, dtype=float)
        if corners.ndim != 2 or corners.shape[1] not in (2, 3) or not np.isfinite(corners).all():
            raise ValueError(
                f"a polygon has the shape {corners.shape}; it must be (corners, 2 or 3)."
            )
        plane = int(corners[0, 2]) if corners.shape[1] == 3 else 0
        if not 0 <= plane < field[0]:
            raise ValueError(f"a polygon lies in plane {plane} of {field[0]}")
        inside[plane] |= _within(corners[:, :2], field[1], field[2])
    plane_, row, column = np.nonzero(inside)
    return plane_, row, column, np.ones(len(row), dtype=bool)


def _within(corners: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which pixels have their centre within a polygon of (x, y), not on its edge."""
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    inside = np.zeros((rows, columns), dtype=bool)
    on_edge = np.zeros((rows, columns), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = (x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)
        between = (np.minimum(x0, x1) <= x) & (x <= np.maximum(x0, x1))
        between &= (np.minimum(y0, y1) <= y) & (y <= np.maximum(y0, y1))
        on_edge |= between & (side == 0)
        crosses = (y0 > y) != (y1 > y)
        # A ray to the right meets the edge where the centre lies on its left.
        inside ^= crosses & ((side > 0) == (y1 > y0))
    return inside & ~on_edge
