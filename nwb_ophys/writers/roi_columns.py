"""The columns of a table of ROIs: masks, centroids, names and properties."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy as np
from hdmf.common import VectorData, VectorIndex
from numpy.typing import NDArray

from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.rois.masks import ImageMasks, image_centroids, pixel_centroids, pixel_masks
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.writers.compression import compressed

# Which property says that an ROI was accepted: as a rule is_accepted, in Suite2p iscell.
_ACCEPTANCE = ("is_accepted", "iscell")
_REJECTION = "is_rejected"
_RESERVED = {"id", "image_mask", "pixel_mask", "voxel_mask"}


@attrs.frozen
class PropertyColumn:
    """A column of the table of ROIs.

    Attributes
    ----------
    name, description : str
    values : numpy.ndarray, shape (ROIs, …)
    """

    name: str
    description: str
    values: NDArray[Any]


def property_columns(
    extractor: Any, roi_ids: Sequence[Any], include_acceptance: bool, taken: Collection[str] = ()
) -> list[PropertyColumn]:
    """Return a column per property, acceptance and rejection first, as 0 and 1.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    roi_ids : sequence
        All ids of the extractor, in its order.
    include_acceptance : bool
        Whether to return ``Accepted`` and ``Rejected``, where the extractor states either.
    taken : collection of str
        Names of columns there are already; a property of such a name is called ``roi_<name>``.
    """
    keys = list(extractor.get_property_keys())
    acceptance = next((key for key in _ACCEPTANCE if key in keys), None)
    columns = []
    if include_acceptance:
        columns.extend(_acceptance_columns(extractor, roi_ids, acceptance, _REJECTION in keys))
    reserved = _RESERVED | set(taken) | {column.name for column in columns}
    for key in keys:
        if key not in (acceptance, _REJECTION):
            name = f"roi_{key}" if key in reserved else key
            description = extractor.get_property_info(key).description or f"{key} of the ROI."
            columns.append(PropertyColumn(name, description, _values(extractor, key, roi_ids)))
    return columns


def _acceptance_columns(
    extractor: Any, roi_ids: Sequence[Any], acceptance: str | None, has_rejection: bool
) -> list[PropertyColumn]:
    """Return both columns; where only one is stated, the other is its complement."""
    if acceptance is None and not has_rejection:
        return []
    rejected = _values(extractor, _REJECTION, roi_ids).astype(bool) if has_rejection else None
    if acceptance is None:
        accepted = ~rejected  # type: ignore[operator]
    else:
        accepted = _values(extractor, acceptance, roi_ids).astype(bool)
    rejected = ~accepted if rejected is None else rejected
    return [
        PropertyColumn("Accepted", "1 if the ROI was accepted, else 0.", accepted.astype(np.uint8)),
        PropertyColumn("Rejected", "1 if the ROI was rejected, else 0.", rejected.astype(np.uint8)),
    ]


def _values(extractor: Any, key: str, roi_ids: Sequence[Any]) -> NDArray[Any]:
    whole = np.asarray(extractor.get_property_info(key).data)
    # get_property looks every id up in a list, which takes seconds for thousands of ROIs.
    return whole if len(whole) == len(roi_ids) else np.asarray(extractor.get_property(key, roi_ids))


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


def _pixel_columns(masks: PixelLists, mask_type: str, how: ColumnStorage) -> list[VectorData]:
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
