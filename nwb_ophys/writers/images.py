"""Summary images of a segmented movie, and images without a time axis."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray
from pynwb.base import Images
from pynwb.image import GrayscaleImage

from nwb_ophys.dtypes import as_stored
from nwb_ophys.errors import ArgumentError, MetadataError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.metadata import (
    get_default_segmentation_metadata,
    image_entry,
    merge_lists,
    models,
    parse_model,
)
from nwb_ophys.writers.devices import add_imaging_plane
from nwb_ophys.writers.session import check_name_is_free, ophys_container, ophys_module

if TYPE_CHECKING:
    from pynwb import NWBFile

_DEFAULT_NAME = "PlaneSegmentation"


def add_summary_images(
    nwbfile: NWBFile,
    segmentation_extractor: Any,
    metadata: Mapping[str, Any] | None = None,
    plane_segmentation_name: str | None = None,
    images_set_name: str | None = None,
) -> NWBFile:
    """Add the summary images of a segmentation.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    segmentation_extractor : roiextractors.SegmentationExtractor
        The source of the images, (rows, columns[, planes]); one image, (columns, rows), is written
        per plane.
    metadata : Mapping, optional
        ``metadata["Ophys"]["SegmentationImages"]`` names the container and, under the name of the
        plane segmentation, each image.
    plane_segmentation_name : str, optional
        ``PlaneSegmentation`` by default.
    images_set_name : str, optional
        Deprecated name of ``plane_segmentation_name``.

    Returns
    -------
    pynwb.NWBFile
        The same file; an existing image of the name is left as it is. Without images nothing is
        added.

    Raises
    ------
    AssertionError
        When the metadata lack the plane segmentation.
    ValueError
        When the metadata give an image the name of a different image in the container.
    """
    if images_set_name is not None:
        warnings.warn(
            "images_set_name is deprecated; use plane_segmentation_name.", UserWarning, stacklevel=2
        )
        plane_segmentation_name = plane_segmentation_name or images_set_name
    images = segmentation_extractor.get_images_dict()
    images = {name: image for name, image in images.items() if image is not None}
    if not images:
        return nwbfile
    merged = merge_lists(get_default_segmentation_metadata(), metadata)["Ophys"]
    described = merged["SegmentationImages"]
    plane = plane_segmentation_name or _DEFAULT_NAME
    known = [key for key in described if key not in ("name", "description")]
    segmentations = [entry["name"] for entry in merged["ImageSegmentation"]["plane_segmentations"]]
    if plane not in known and plane not in segmentations:
        raise ArgumentError(
            f'No plane segmentation \'{plane}\' in metadata["Ophys"]["SegmentationImages"]; '
            f"its names: {', '.join(repr(name) for name in known)}."
        )
    source = extractor_label(segmentation_extractor)
    images = {
        name: as_stored(pixels, f"The image '{name}' of {source}")
        for name, pixels in images.items()
    }
    container = ophys_container(
        nwbfile, Images, described["name"], description=described["description"]
    )
    for name, pixels in images.items():
        for suffix, data in _planar(pixels):
            model = _image_model(described.get(plane) or {}, plane, name, suffix, data, container)
            if model is not None:
                fields = attrs.asdict(model, filter=lambda _, value: value is not None)
                container.add_image(GrayscaleImage(**fields, data=data))
    return nwbfile


def add_images(
    nwbfile: NWBFile,
    metadata: Mapping[str, Any],
    images: Mapping[str, Any],
    images_index: int = 0,
    parent_container: str = "acquisition",
) -> NWBFile:
    """Add images without a time axis, such as the planes of a z-stack.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping
        Complete metadata; ``metadata["Ophys"]["Images"][images_index]`` describes the container.
    images : mapping of str to array-like
        Images by name, (columns, rows).
    images_index : int
    parent_container : {"acquisition", "processing/ophys"}

    Returns
    -------
    pynwb.NWBFile
        The same file.

    Raises
    ------
    ValueError
        When the file has an object of the name already, or the metadata is wrong.
    """
    path = f'metadata["Ophys"]["Images"][{images_index}]'
    model = parse_model(models.Images, metadata["Ophys"]["Images"][images_index], path)
    check_name_is_free(nwbfile, model.name, parent_container)
    add_imaging_plane(nwbfile, metadata, imaging_plane_name=model.imaging_plane)
    container = Images(
        name=model.name, description=f"{model.description} Imaging plane: {model.imaging_plane}."
    )
    for name, pixels in images.items():
        stored = as_stored(pixels, f"Image '{name}'") if isinstance(pixels, np.ndarray) else pixels
        container.add_image(GrayscaleImage(name=name, data=stored))
    if parent_container == "acquisition":
        nwbfile.add_acquisition(container)
    else:
        ophys_module(nwbfile).add(container)
    return nwbfile


def _planar(pixels: Any) -> list[tuple[str, NDArray[Any]]]:
    """Return an image, or one for each plane of a volume, as (suffix of the name, image)."""
    image = np.swapaxes(pixels, 0, 1)
    if image.ndim == 2:
        return [("", image)]
    return [(f"Plane{index}", image[:, :, index]) for index in range(image.shape[2])]


def _image_model(
    described: Mapping[str, Any],
    plane: str,
    image: str,
    suffix: str,
    data: NDArray[Any],
    container: Images,
) -> models.SummaryImage | None:
    """Return the fields of an image, or None where the container has the same image already."""
    stated = described.get(image)
    path = f'metadata["Ophys"]["SegmentationImages"]["{plane}"]["{image}"]'
    model = parse_model(models.SummaryImage, image_entry(image) | dict(stated or {}), path)
    model = attrs.evolve(model, name=f"{model.name}{suffix}")
    if stated is None and _holds_another(container, model.name, data):
        # Another plane's image has the default name; the plane's name distinguishes this one.
        model = attrs.evolve(model, name=f"{model.name}{plane}")
    if _holds_another(container, model.name, data):
        raise MetadataError(
            f"{path}[\"name\"] is '{model.name}', the name of a different image in "
            f"'{container.name}'; give this image another name."
        )
    return None if model.name in container.images else model


def _holds_another(container: Images, name: str, data: NDArray[Any]) -> bool:
    if name not in container.images:
        return False
    return not np.array_equal(container.images[name].data, data, equal_nan=True)
