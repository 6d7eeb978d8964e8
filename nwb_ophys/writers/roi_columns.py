"""Columns of a table of ROIs: masks, centroids, names and properties."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy as np
from hdmf.common import VectorData, VectorIndex
from numpy.typing import NDArray

from nwb_ophys.dtypes import as_stored, stored_dtype
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.writers.compression import compressed

CENTROIDS = "ROICentroids"
"""Name of the column of the centres of masks."""

OWN_CENTROIDS = "Centre of the ROI in pixels: x (column), y (row)[, z (plane)]."
"""Description of centres that are computed."""

_NUMBERS = (bool, int, float, complex, np.bool_, np.number)
_LARGEST = 1 << 63
_RESERVED = {"id", "image_mask", "pixel_mask", "voxel_mask"}


@attrs.frozen
class PropertyColumn:
    """A column of the table of ROIs.

    Attributes
    ----------
    name, description : str
    values : numpy.ndarray, shape (ROIs, …), or list of str
    """

    name: str
    description: str
    values: NDArray[Any] | list[str]


def property_columns(
    rois: Rois, include_acceptance: bool, taken: Collection[str] = ()
) -> list[PropertyColumn]:
    """Return a column per property, acceptance and rejection first, as 0 and 1.

    Parameters
    ----------
    rois : Rois
    include_acceptance : bool
        Whether to return ``Accepted`` and ``Rejected``, where the source states either.
    taken : collection of str
        Names of the other columns; a property of such a name is called ``roi_<name>``.
    """
    columns = []
    if include_acceptance:
        flags = {"accepted": rois.accepted, "rejected": rois.rejected}
        columns = [
            PropertyColumn(
                state.capitalize(), f"1 if the ROI was {state}, else 0.", values.astype(np.uint8)
            )
            for state, values in flags.items()
            if values is not None
        ]
    reserved = _RESERVED | set(taken) | {column.name for column in columns}
    for key, found in rois.properties.items():
        name = f"roi_{key}" if key in reserved else key
        description = found.description or f"{key} of the ROI."
        what = f"The property '{key}' of {extractor_label(rois.source)}"
        columns.append(PropertyColumn(name, description, _as_column(found.values, what)))
    return columns


def _as_column(values: NDArray[Any], what: str) -> NDArray[Any] | list[str]:
    """Return values as NWB stores them in a column: numbers, truth values, or text.

    Dates become text in the form of ISO 8601.
    """
    if values.dtype.kind == "O" and all(isinstance(value, _NUMBERS) for value in values.flat):
        values = np.asarray(values.tolist())
    if values.dtype.kind == "S":
        return [value.decode(errors="backslashreplace") for value in values.tolist()]
    # NWB text has no fixed length, and hdmf writes a list of str as such.
    if values.dtype.kind in "UTMO":
        return [str(value) for value in values]
    return values if values.dtype.kind == "b" else as_stored(values, what)


_AXES = ("x", "y", "z")


class PixelTuples(np.ndarray):  # type: ignore[type-arg]
    """A structured array of pixels that returns tuples, as pynwb's own pixel masks do."""

    def __getitem__(self, selection: Any) -> Any:
        found = super().__getitem__(selection)
        is_record = isinstance(found, np.void) or (self.dtype.names and found.dtype == self.dtype)
        return found.tolist() if is_record else found


@attrs.frozen
class ColumnStorage:
    """The settings by which the columns of a table are read and stored."""

    iterator_options: dict[str, Any] | None
    compression_options: dict[str, Any] | None

    def column(self, name: str, description: str, values: Any) -> VectorData:
        """Return a column with a value per ROI."""
        return VectorData(name=name, description=description, data=self.stored(values))

    def stored(self, values: Any) -> Any:
        """Return the values wrapped with compression."""
        return compressed(values, self.compression_options)


def roi_columns(
    rois: Rois, mask_type: str | None, centroids: bool, acceptance: bool, how: ColumnStorage
) -> list[VectorData]:
    """Return the columns of the table; a ragged one is followed by its index."""
    columns = []
    if not are_integers(rois.ids):
        names = [str(roi_id) for roi_id in rois.ids]
        columns.append(how.column("roi_name", "Name of the ROI in the segmentation.", names))
    _check_masks(rois, mask_type)
    # Before the masks: dense images that turn out to have few pixels are then not read again.
    centres = _centroids(rois, mask_type) if centroids else None
    if mask_type == "image":
        columns.append(_image_column(rois, how))
    elif mask_type is not None:
        columns.extend(_pixel_columns(rois.pixels, mask_type, how))
    # Of ROIs without masks, a source may state centres that were computed when there were masks.
    if centres is not None and CENTROIDS in rois.properties and np.isnan(centres).all():
        centres = None
    if centres is not None:
        description = OWN_CENTROIDS
        if centres.dtype.kind == "f":
            description += " NaN for ROIs whose masks have no pixels, or weights that are NaN."
        columns.append(how.column(CENTROIDS, description, centres))
    taken = [column.name for column in columns]
    for found in property_columns(rois, acceptance, taken):
        columns.append(how.column(found.name, found.description, found.values))
    return columns


def _centroids(rois: Rois, mask_type: str | None) -> NDArray[Any] | None:
    """Return the centroids of masks of the type, or of whichever masks there are."""
    if mask_type in ("pixel", "voxel"):
        return rois.centres("pixel")
    try:
        return rois.centres("image")
    except NotImplementedError:  # raised by roiextractors where there are no masks
        if mask_type is None:
            return None
        raise


def _check_masks(rois: Rois, mask_type: str | None) -> None:
    """Raise SourceError where the weights of masks are of a type that cannot be stored."""
    if not rois.ids or mask_type is None:
        return
    masks = rois.images if mask_type == "image" else rois.pixels.weights
    stored_dtype(masks.dtype, f"The masks of {extractor_label(rois.source)}")  # type: ignore[union-attr]


def are_integers(roi_ids: Sequence[Any]) -> bool:
    """Return whether ids of ROIs can be the ids of a table's rows, integers of 64 bits."""
    return all(
        isinstance(i, (int, np.integer)) and not isinstance(i, bool) and -_LARGEST <= i < _LARGEST
        for i in roi_ids
    )


def _image_column(rois: Rois, how: ColumnStorage) -> VectorData:
    description = "Weight of each pixel of the field, per ROI: (columns, rows[, planes])."
    if not rois.ids:
        return how.column("image_mask", description, np.zeros((0, *rois.field_shape)))
    iterator = RoiImageMaskIterator(rois, **(how.iterator_options or {}))
    return how.column("image_mask", description, iterator)


def _pixel_columns(masks: PixelLists, mask_type: str, how: ColumnStorage) -> list[VectorData]:
    """Return a ragged column of pixels, or of voxels where the masks are volumes."""
    # Without ROIs the requested type alone separates pixels from voxels.
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
    # NWB stores weights as float32; in memory they remain exact.
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
