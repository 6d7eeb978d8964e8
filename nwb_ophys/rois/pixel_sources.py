"""Probing of extractors for the masks that they hold as lists of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import numpy as np

from nwb_ophys.base_extractors import (
    RoiMasks,
    SampleSlicedSegmentationExtractor,
    SegmentationExtractor,
)
from nwb_ophys.errors import SourceError
from nwb_ophys.rois.pixel_lists import PixelLists, RoiMaskList

Form = Literal["image", "pixel"]

_PARTS = ("roi", "background")
_FORMS = ("image", "pixel")


def holds_pixels(extractor: Any, form: Form, of_background: bool = False) -> bool:
    """Return whether an extractor may hold, as lists of pixels, what one form of masks shows.

    An extractor does so in one of two ways, provided that no class below the one that says so, and
    nothing set on the object itself, replaces a method that gives masks:

    1. it has a method ``get_ragged_pixels(ids, of_background)``, as the extractors of this package;
    2. it takes its masks from roiextractors' own ``_ROIMasks`` by the methods of the base class, or
       is a slice in time of such an extractor. Images in memory with few non-zero pixels are
       searched for those once. For lists of pixels in ``_ROIMasks``, the method that returns them
       may also be that of another class in roiextractors.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    form : {"image", "pixel"}
        A subclass may replace the method of one form alone.
    of_background : bool
        Whether the masks are those of background components.
    """
    part = _PARTS[of_background]
    if _has_last_word(extractor, part):
        return True
    method = _implementation(extractor, f"get_{part}_{form}_masks")
    if method is getattr(SampleSlicedSegmentationExtractor, f"get_{part}_{form}_masks"):
        return holds_pixels(extractor._parent_segmentation, form, of_background)
    if method is getattr(SegmentationExtractor, f"get_{part}_{form}_masks"):
        return True
    is_pixels = (part, form) == ("roi", "pixel")
    return is_pixels and _is_of_roiextractors(method) and _stores_pixels(extractor)


def read_pixels(
    extractor: Any, ids: Sequence[Any], of_background: bool = False
) -> PixelLists | None:
    """Return the pixels of ROIs from an extractor that may hold them; None where it holds images.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
        For which :func:`holds_pixels` returns True.
    ids : sequence
        Ids of the ROIs, or of background components, in the requested order.
    of_background : bool
        Whether the ids are those of background components.
    """
    if _has_last_word(extractor, _PARTS[of_background]):
        found: PixelLists | None = extractor.get_ragged_pixels(ids, of_background=of_background)
        return found
    if isinstance(extractor, SampleSlicedSegmentationExtractor):
        return read_pixels(extractor._parent_segmentation, ids, of_background)
    # The base class leaves out ROIs that are called background.
    left_out = not of_background and any(str(i).startswith("background") for i in ids)
    return None if left_out else _native_pixels(extractor, ids)


def _implementation(extractor: Any, name: str) -> Any:
    """Return the function behind a method; None where it was set on the object."""
    on_object = name in getattr(extractor, "__dict__", {})
    return None if on_object else getattr(type(extractor), name, None)


def _is_of_roiextractors(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).partition(".")[0] == "roiextractors"


def _stores_pixels(extractor: Any) -> bool:
    masks: Any = getattr(extractor, "_roi_masks", None)
    return type(masks) is RoiMasks and masks.mask_tpe == "nwb-pixel_mask"


def _has_last_word(extractor: Any, part: str) -> bool:
    """Return whether get_ragged_pixels is defined where the methods for masks are, or below."""
    names = [f"get_{part}_{form}_masks" for form in _FORMS]
    if any(name in getattr(extractor, "__dict__", {}) for name in names):
        return False
    for ancestor in type(extractor).__mro__:
        if "get_ragged_pixels" in vars(ancestor):
            return True
        if any(name in vars(ancestor) for name in names):
            return False
    return False


def _native_pixels(extractor: Any, ids: Sequence[Any]) -> PixelLists | None:
    """Return the pixels that roiextractors holds, from which it makes images of float32."""
    masks: Any = getattr(extractor, "_roi_masks", None)
    if type(masks) is not RoiMasks:
        return None
    indices = [masks.roi_id_map[roi_id] for roi_id in ids]
    if masks.mask_tpe == "nwb-image_mask" and np.ndim(masks.data) == 4:
        return _voxels(extractor, masks, indices)
    if masks.mask_tpe == "nwb-image_mask":
        is_array = isinstance(masks.data, np.ndarray) and masks.data.ndim == 3
        return PixelLists.from_images(masks.data, indices) if is_array else None
    if isinstance(masks.data, RoiMaskList):
        return attrs.evolve(masks.data.pixels.take(indices), image_dtype=np.float32)
    frame_shape = masks.field_of_view_shape
    return PixelLists.from_masks([masks.data[index] for index in indices], frame_shape, np.float32)


def _voxels(extractor: Any, masks: Any, indices: Sequence[int]) -> PixelLists:
    """Return the voxels of dense masks, (rows, columns, planes, ROIs).

    roiextractors itself takes the planes for ROIs.
    """
    field = masks.field_of_view_shape
    if len(field) != 3:
        raise SourceError(
            f"{type(extractor).__name__} holds masks of shape {masks.data.shape} and takes their "
            f"{masks.data.shape[2]} planes for ROIs. Give masks of volumes, (rows, columns, "
            "planes, ROIs), to NumpySegmentationInterface."
        )
    found = []
    for index in indices:
        image = np.asarray(masks.data[..., index])
        places = np.nonzero(image)
        found.append(np.column_stack([*places, image[places]]))
    return PixelLists.from_masks(found, field, masks.data.dtype)
