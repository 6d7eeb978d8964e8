"""The columns of a table of ROIs: masks, centroids, names and properties."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from hdmf.common import VectorData, VectorIndex

from nwb_ophys.extractors.masks import ImageMasks, image_centroids, pixel_centroids, pixel_masks
from nwb_ophys.extractors.ragged import RaggedPixels
from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.writers.properties import property_columns
from nwb_ophys.writers.wrapping import compressed

_AXES = ("x", "y", "z")


class PixelTuples(np.ndarray):  # type: ignore[type-arg]
    """A structured array of pixels that gives tuples, as pynwb's own pixel masks in memory do."""

    def __getitem__(self, selection: Any) -> Any:
        found = super().__getitem__(selection)
        is_record = isinstance(found, np.void) or (self.dtype.names and found.dtype == self.dtype)
        return found.tolist() if is_record else found


@attrs.frozen
class ColumnStorage:
    """How the columns of a table are read and stored."""

    iterator_options: dict[str, Any] | None
    compression_options: dict[str, Any] | None

    def column(self, name: str, description: str, values: Any) -> VectorData:
        """Return a column with a value per ROI."""
        # NWB text has no fixed length; hdmf takes a list of str for it.
        is_text = getattr(values, "dtype", np.dtype(int)).kind in "USO"
        data = self.stored([str(value) for value in values] if is_text else values)
        return VectorData(name=name, description=description, data=data)

    def stored(self, values: Any) -> Any:
        """Return values wrapped with compression."""
        return compressed(values, self.compression_options)


def roi_columns(
    extractor: Any, mask_type: str | None, centroids: bool, acceptance: bool, how: ColumnStorage
) -> list[VectorData]:
    """Return the columns of the table; a ragged one is followed by its index."""
    roi_ids = list(extractor.get_roi_ids())
    columns = []
    if not are_integers(roi_ids):
        names = np.asarray([str(roi_id) for roi_id in roi_ids], dtype=object)
        columns.append(how.column("roi_name", "Name of the ROI in the segmentation.", names))
    if mask_type is None:
        images = _masks_if_any(extractor, roi_ids) if centroids else None
        centres = image_centroids(images) if images else None
    elif mask_type == "image":
        images = ImageMasks(extractor, roi_ids) if roi_ids else None
        columns.append(_image_column(images, extractor, how))
        centres = image_centroids(images) if images and centroids else None
    else:
        masks = pixel_masks(extractor, roi_ids)
        columns.extend(_pixel_columns(masks, mask_type, how))
        rows, num_columns, *planes = extractor.get_frame_shape()
        field = (num_columns, rows, *planes)
        centres = pixel_centroids(masks, field) if len(masks) and centroids else None
    if centres is not None:
        description = "Centre of the ROI in pixels: x (column), y (row)[, z (plane)]."
        columns.append(how.column("ROICentroids", description, centres))
    taken = [column.name for column in columns]
    for found in property_columns(extractor, roi_ids, acceptance, taken):
        columns.append(how.column(found.name, found.description, found.values))
    return columns


def _masks_if_any(extractor: Any, roi_ids: Sequence[Any]) -> ImageMasks | None:
    """Return the masks of a segmentation that need not have any."""
    try:
        return ImageMasks(extractor, roi_ids) if roi_ids else None
    except NotImplementedError:  # roiextractors' answer where there are no masks
        return None


def are_integers(roi_ids: Sequence[Any]) -> bool:
    """Whether ids of ROIs can be the ids of a table's rows."""
    return all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in roi_ids)


def _image_column(images: ImageMasks | None, extractor: Any, how: ColumnStorage) -> VectorData:
    description = "Weight of each pixel of the field, per ROI: (columns, rows[, planes])."
    if images is None:
        rows, columns, *planes = extractor.get_frame_shape()
        return how.column("image_mask", description, np.zeros((0, columns, rows, *planes)))
    iterator = RoiImageMaskIterator(images, **(how.iterator_options or {}))
    return how.column("image_mask", description, iterator)


def _pixel_columns(masks: RaggedPixels, mask_type: str, how: ColumnStorage) -> list[VectorData]:
    """Return a ragged column of pixels, or of voxels where the masks are volumes."""
    # Without ROIs nothing tells pixels from voxels but what was asked for.
    num_axes = len(masks.coordinates) if len(masks) else (3 if mask_type == "voxel" else 2)
    fitting = "voxel" if num_axes == 3 else "pixel"
    if mask_type != fitting:
        warnings.warn(
            f"mask_type is '{mask_type}', but the masks have {num_axes} coordinates per pixel; "
            f"'{fitting}' masks are written.",
            UserWarning,
            stacklevel=4,
        )
    weights = masks.weights.astype(np.float32)
    # NWB stores weights as float32; in memory they stay exact.
    if not np.array_equal(weights, masks.weights):
        weights = masks.weights.astype(np.float64)
    fields = [(axis, np.uint32) for axis in _AXES[:num_axes]] + [("weight", weights.dtype)]
    values = np.empty(len(weights), dtype=fields)
    for axis, coordinates in zip(_AXES[:num_axes], masks.coordinates, strict=False):
        values[axis] = coordinates
    values["weight"] = weights
    name, axes = f"{fitting}_mask", ", ".join(_AXES[:num_axes])
    description = f"{fitting.capitalize()}s of each ROI: ({axes}, weight); x is the column."
    data = VectorData(name=name, description=description, data=how.stored(values.view(PixelTuples)))
    ends = masks.ends.astype(np.uint64)
    return [data, VectorIndex(name=f"{name}_index", data=how.stored(ends), target=data)]
