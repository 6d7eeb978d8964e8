"""Plane segmentations: the table of ROIs with their masks and properties."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from hdmf.common import ElementIdentifiers, VectorData, VectorIndex
from numpy.typing import NDArray
from pynwb import NWBFile
from pynwb.ophys import ImageSegmentation, PlaneSegmentation

from nwb_ophys.errors import ArgumentError, MetadataError
from nwb_ophys.extractors.masks import ImageMasks, image_centroids, pixel_centroids, pixel_masks
from nwb_ophys.iterators import RoiImageMaskIterator
from nwb_ophys.metadata import (
    get_default_segmentation_metadata,
    merge_metadata,
    models,
    parse_model,
    validate,
)
from nwb_ophys.writers.devices import add_imaging_plane
from nwb_ophys.writers.properties import property_columns
from nwb_ophys.writers.session import ophys_module
from nwb_ophys.writers.wrapping import compressed

_MASK_TYPES = ("image", "pixel", "voxel", None)
_DEFAULT_NAME = "PlaneSegmentation"
_AXES = ("x", "y", "z")


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
        The same; a container of the name is left as it is.
    """
    merged = merge_metadata(get_default_segmentation_metadata(), metadata)
    name = merged["Ophys"]["ImageSegmentation"]["name"]
    ophys = ophys_module(nwbfile)
    if name not in ophys.data_interfaces:
        ophys.add(ImageSegmentation(name=name))
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
    segmentation_extractor : roiextractors.SegmentationExtractor
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        What it lacks is filled with defaults.
    plane_segmentation_name : str, optional
        Which entry of ``metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]``;
        ``PlaneSegmentation`` when not given.
    plane_segmentation_index : int, optional
        Which one, by position. Deprecated.
    include_roi_centroids : bool
        Add the column ``ROICentroids``: (x, y[, z]) of each ROI.
    include_roi_acceptance : bool
        Add the columns ``Accepted`` and ``Rejected`` where the segmentation states them.
    mask_type : {"image", "pixel", "voxel", None}
        ``image_mask``, (ROI, columns, rows[, planes]); ``pixel_mask``, (x, y, weight) per pixel;
        ``voxel_mask``, (x, y, z, weight) per voxel; or no mask.
    iterator_options : dict, optional
        Arguments of the iterator over image masks.
    compression_options : dict, optional
        Arguments of ``H5DataIO`` for every column; gzip when not given.

    Returns
    -------
    pynwb.NWBFile
        The same; a plane segmentation of the name is left as it is.

    Raises
    ------
    AssertionError
        For a mask type that is not offered.
    ValueError
        When no such plane segmentation is in the metadata.
    """
    if mask_type not in _MASK_TYPES:
        shown = ", ".join(repr(choice) for choice in _MASK_TYPES)
        raise ArgumentError(f"mask_type is {mask_type!r}; it must be one of {shown}.")
    merged = merge_metadata(get_default_segmentation_metadata(), metadata)
    name = resolve_plane_segmentation(
        merged, plane_segmentation_name, plane_segmentation_index, "plane_segmentation_index"
    )
    model = _model_of(merged, name)
    add_imaging_plane(nwbfile, merged, imaging_plane_name=model.imaging_plane)
    add_image_segmentation(nwbfile, merged)
    container = _container(nwbfile, merged)
    if name in container.plane_segmentations:
        return nwbfile
    columns = _roi_columns(
        segmentation_extractor,
        mask_type,
        include_roi_centroids,
        include_roi_acceptance,
        _Compression(iterator_options, compression_options),
    )
    plane = nwbfile.imaging_planes[model.imaging_plane]
    container.add_plane_segmentation(_make_table(model, plane, segmentation_extractor, columns))
    return nwbfile


def resolve_plane_segmentation(
    metadata: Mapping[str, Any], name: str | None, index: int | None, index_argument: str
) -> str:
    """Return the name of the plane segmentation that the arguments mean.

    Parameters
    ----------
    metadata : Mapping
        With all defaults.
    name : str or None
        As given; ``PlaneSegmentation`` when None.
    index : int or None
        Position in the metadata; deprecated.
    index_argument : str
        What the caller's argument for it is called.

    Raises
    ------
    ValueError
        When no plane segmentation of the name is in the metadata.
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
    """Return a plane segmentation that is in the file."""
    return _container(nwbfile, metadata).plane_segmentations[name]


def _container(nwbfile: NWBFile, metadata: Mapping[str, Any]) -> ImageSegmentation:
    name = metadata["Ophys"]["ImageSegmentation"]["name"]
    return nwbfile.processing["ophys"].data_interfaces[name]


def _model_of(metadata: Mapping[str, Any], name: str) -> models.PlaneSegmentation:
    entries = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    index = [entry.get("name") for entry in entries].index(name)
    path = f'metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][{index}]'
    return parse_model(models.PlaneSegmentation, entries[index], path)


@attrs.frozen
class _Compression:
    """How the columns of a table are read and stored."""

    iterator_options: dict[str, Any] | None
    compression_options: dict[str, Any] | None

    def column(self, name: str, description: str, values: Any) -> VectorData:
        # NWB text has no fixed length; hdmf takes a list of str for it.
        is_text = getattr(values, "dtype", np.dtype(int)).kind in "USO"
        data = [str(value) for value in values] if is_text else self.stored(values)
        return VectorData(name=name, description=description, data=data)

    def stored(self, values: Any) -> Any:
        return compressed(values, self.compression_options)


def _roi_columns(
    extractor: Any, mask_type: str | None, centroids: bool, acceptance: bool, how: _Compression
) -> list[VectorData]:
    """Return the columns of the table; a ragged one is followed by its index."""
    roi_ids = list(extractor.get_roi_ids())
    columns = []
    if not _are_integers(roi_ids):
        names = np.asarray([str(roi_id) for roi_id in roi_ids], dtype=object)
        columns.append(how.column("roi_name", "Name of the ROI in the segmentation.", names))
    if mask_type == "image" or mask_type is None:
        images = ImageMasks(extractor, roi_ids) if roi_ids else None
        if mask_type == "image":
            columns.append(_image_column(images, extractor, how))
        centres = image_centroids(images) if images and centroids else None
    else:
        masks = pixel_masks(extractor, roi_ids)
        columns.extend(_pixel_columns(masks, mask_type, how))
        rows, num_columns, *planes = extractor.get_frame_shape()
        field = (num_columns, rows, *planes)
        centres = pixel_centroids(masks, field) if masks and centroids else None
    if centres is not None:
        description = "Centre of the ROI in pixels: x (column), y (row)[, z (plane)]."
        columns.append(how.column("ROICentroids", description, centres))
    for found in property_columns(extractor, roi_ids, acceptance):
        columns.append(how.column(found.name, found.description, found.values))
    return columns


def _are_integers(roi_ids: Sequence[Any]) -> bool:
    return all(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in roi_ids)


def _image_column(images: ImageMasks | None, extractor: Any, how: _Compression) -> VectorData:
    description = "Weight of each pixel of the field, per ROI: (columns, rows[, planes])."
    if images is None:
        rows, columns, *planes = extractor.get_frame_shape()
        return how.column("image_mask", description, np.zeros((0, columns, rows, *planes)))
    iterator = RoiImageMaskIterator(images, **(how.iterator_options or {}))
    return how.column("image_mask", description, iterator)


def _pixel_columns(
    masks: Sequence[NDArray[Any]], mask_type: str, how: _Compression
) -> list[VectorData]:
    """Return a ragged column of pixels, or of voxels where the masks are volumes."""
    num_axes = masks[0].shape[1] - 1 if masks else (3 if mask_type == "voxel" else 2)
    fitting = "voxel" if num_axes == 3 else "pixel"
    if mask_type != fitting:
        warnings.warn(
            f"mask_type is '{mask_type}', but the masks have {num_axes} coordinates per pixel; "
            f"'{fitting}' masks are written.",
            UserWarning,
            stacklevel=4,
        )
    flat = np.concatenate(masks) if masks else np.zeros((0, num_axes + 1))
    weights = flat[:, -1].astype(np.float32)
    # NWB stores weights as float32; in memory they stay exact.
    exact = weights if np.array_equal(weights, flat[:, -1]) else flat[:, -1].astype(np.float64)
    fields = [(axis, np.uint32) for axis in _AXES[:num_axes]] + [("weight", exact.dtype)]
    values = np.empty(len(flat), dtype=fields)
    for position, axis in enumerate(_AXES[:num_axes]):
        values[axis] = flat[:, position]
    values["weight"] = exact
    name = f"{fitting}_mask"
    coordinates = ", ".join(_AXES[:num_axes])
    description = f"{fitting.capitalize()}s of each ROI: ({coordinates}, weight); x is the column."
    ends = np.cumsum([len(mask) for mask in masks], dtype=np.uint64)
    data = VectorData(name=name, description=description, data=how.stored(values))
    return [data, VectorIndex(name=f"{name}_index", data=how.stored(ends), target=data)]


def _make_table(
    model: models.PlaneSegmentation, plane: Any, extractor: Any, columns: list[VectorData]
) -> PlaneSegmentation:
    roi_ids = list(extractor.get_roi_ids())
    ids = [int(i) for i in roi_ids] if _are_integers(roi_ids) else list(range(len(roi_ids)))
    fields = {"name": model.name, "description": model.description, "imaging_plane": plane}
    names = [column.name for column in columns if not isinstance(column, VectorIndex)]
    if roi_ids and not any(name.endswith("_mask") for name in names):
        # The constructor refuses a table without masks; one that is built up does not.
        table = PlaneSegmentation(**fields)
        table.id.extend(ids)
        for column in columns:
            table.add_column(column.name, column.description, data=column.data)
        return table
    id_column = ElementIdentifiers(name="id", data=ids)
    return PlaneSegmentation(**fields, id=id_column, columns=columns, colnames=names)


def complete_tables_without_masks(nwbfile: NWBFile) -> None:
    """Give plane segmentations without masks the form in which pynwb can read them again.

    pynwb writes a table without a mask column and then cannot construct it on reading. An empty
    list of pixels per ROI says the same and is read back.
    """
    for table in nwbfile.objects.values():
        has_mask = isinstance(table, PlaneSegmentation) and any(
            name in table.colnames for name in ("image_mask", "pixel_mask", "voxel_mask")
        )
        if isinstance(table, PlaneSegmentation) and len(table.id) and not has_mask:
            table.add_column(
                name="pixel_mask",
                description="No masks were written: the list of pixels of every ROI is empty.",
                data=[[] for _ in range(len(table.id))],
                index=True,
            )
