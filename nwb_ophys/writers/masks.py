"""Plane segmentations: the table of ROIs with their masks and properties."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hdmf.common import ElementIdentifiers, VectorData, VectorIndex
from pynwb.ophys import ImageSegmentation, PlaneSegmentation

from nwb_ophys.errors import ArgumentError, MetadataError
from nwb_ophys.metadata import (
    get_default_segmentation_metadata,
    merge_lists,
    models,
    parse_model,
    validate,
)
from nwb_ophys.rois.model import Rois
from nwb_ophys.writers.devices import add_imaging_plane
from nwb_ophys.writers.roi_columns import ColumnStorage, are_integers, roi_columns
from nwb_ophys.writers.session import ophys_container
from nwb_ophys.writers.tables_without_masks import MASK_NAMES, TableWithoutMasks

if TYPE_CHECKING:
    from pynwb import NWBFile

_MASK_TYPES = ("image", "pixel", "voxel", None)
_DEFAULT_NAME = "PlaneSegmentation"


def add_image_segmentation(nwbfile: NWBFile, metadata: Mapping[str, Any] | None) -> NWBFile:
    """Add the container of plane segmentations to the ophys module.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        The container's name is ``metadata["Ophys"]["ImageSegmentation"]["name"]``.

    Returns
    -------
    pynwb.NWBFile
        The same file; an existing container of the name is left as it is.
    """
    merged = merge_lists(get_default_segmentation_metadata(), metadata)
    name = merged["Ophys"]["ImageSegmentation"]["name"]
    ophys_container(nwbfile, ImageSegmentation, name)
    return nwbfile


def add_plane_segmentation(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    plane_segmentation_name: str | None = None,
    plane_segmentation_index: int | None = None,
    include_roi_centroids: bool = True,
    include_roi_acceptance: bool = True,
    mask_type: str | None = "image",
    iterator_options: dict[str, Any] | None = None,
    compression_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add the ROIs of a segmentation as a plane segmentation, its imaging plane first.

    Parameters
    ----------
    segmentation_extractor : roiextractors.SegmentationExtractor or Rois
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        Missing keys are filled with defaults.
    plane_segmentation_name : str, optional
        Name of the entry in ``metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]``;
        ``PlaneSegmentation`` by default.
    plane_segmentation_index : int, optional
        Position of the entry. Deprecated.
    include_roi_centroids : bool
        Add the column ``ROICentroids``: (x, y[, z]) of each ROI.
    include_roi_acceptance : bool
        Add the columns ``Accepted`` and ``Rejected`` where the source states them.
    mask_type : {"image", "pixel", "voxel", None}
        ``image_mask``, (ROI, columns, rows[, planes]); ``pixel_mask``, (x, y, weight) per pixel;
        ``voxel_mask``, (x, y, z, weight) per voxel; or no mask.
    iterator_options : dict, optional
        Arguments of the iterator over image masks.
    compression_options : dict, optional
        Arguments of ``H5DataIO`` for every column; gzip by default.

    Returns
    -------
    pynwb.NWBFile
        The same file; an existing plane segmentation of the name is left as it is.

    Raises
    ------
    AssertionError
        When ``mask_type`` is not one of these.
    ValueError
        When the metadata have no plane segmentation of the name.
    """
    if mask_type not in _MASK_TYPES:
        shown = ", ".join(repr(choice) for choice in _MASK_TYPES)
        raise ArgumentError(f"mask_type is {mask_type!r}; it must be one of {shown}.")
    merged = merge_lists(get_default_segmentation_metadata(), metadata)
    name = resolve_plane_segmentation(
        merged, plane_segmentation_name, plane_segmentation_index, "plane_segmentation_index"
    )
    model = _model_of(merged, name)
    add_imaging_plane(nwbfile, merged, imaging_plane_name=model.imaging_plane)
    add_image_segmentation(nwbfile, merged)
    container = _container(nwbfile, merged)
    if name in container.plane_segmentations:
        return nwbfile
    rois = Rois.of(segmentation_extractor)
    columns = roi_columns(
        rois,
        mask_type,
        include_roi_centroids,
        include_roi_acceptance,
        ColumnStorage(iterator_options, compression_options),
    )
    plane = nwbfile.imaging_planes[model.imaging_plane]
    container.add_plane_segmentation(_make_table(model, plane, rois, columns))
    return nwbfile


def resolve_plane_segmentation(
    metadata: Mapping[str, Any], name: str | None, index: int | None, index_argument: str
) -> str:
    """Return the name of the plane segmentation that the arguments choose.

    Parameters
    ----------
    metadata : Mapping
        With all defaults.
    name : str or None
        The given name; ``PlaneSegmentation`` when None.
    index : int or None
        Position in the metadata; deprecated.
    index_argument : str
        Name of the caller's argument for the position.

    Raises
    ------
    ValueError
        When the metadata have no plane segmentation of the name.
    """
    path = 'metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]'
    entries = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    validate(entries, {"type": "array", "items": {"type": "object"}}, path)
    if index is not None:
        warnings.warn(
            f"{index_argument} is deprecated; use plane_segmentation_name.",
            UserWarning,
            stacklevel=3,
        )
        name = entries[index]["name"]
    name = name or _DEFAULT_NAME
    names = [entry.get("name") for entry in entries]
    if name not in names:
        raise MetadataError(
            f"No plane segmentation '{name}' in {path}; its names: "
            f"{', '.join(repr(known) for known in names)}."
        )
    return name


def find_plane_segmentation(
    nwbfile: NWBFile, metadata: Mapping[str, Any], name: str
) -> PlaneSegmentation:
    """Return a plane segmentation of the file."""
    return _container(nwbfile, metadata).plane_segmentations[name]


def _container(nwbfile: NWBFile, metadata: Mapping[str, Any]) -> ImageSegmentation:
    name = metadata["Ophys"]["ImageSegmentation"]["name"]
    return nwbfile.processing["ophys"].data_interfaces[name]


def _model_of(metadata: Mapping[str, Any], name: str) -> models.PlaneSegmentation:
    entries = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    index = [entry.get("name") for entry in entries].index(name)
    path = f'metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][{index}]'
    return parse_model(models.PlaneSegmentation, entries[index], path)


def _make_table(
    model: models.PlaneSegmentation, plane: Any, rois: Rois, columns: list[VectorData]
) -> PlaneSegmentation:
    ids = [int(i) for i in rois.ids] if are_integers(rois.ids) else list(range(len(rois)))
    fields = {"name": model.name, "description": model.description, "imaging_plane": plane}
    names = [column.name for column in columns if not isinstance(column, VectorIndex)]
    if not MASK_NAMES.intersection(names):
        # The constructor refuses a table without masks; a table that is built up is accepted.
        table = TableWithoutMasks(**fields)
        table.id.extend(ids)
        for column in columns:
            table.add_column(column.name, column.description, data=column.data)
        return table
    id_column = ElementIdentifiers(name="id", data=ids)
    return PlaneSegmentation(**fields, id=id_column, columns=columns, colnames=names)
