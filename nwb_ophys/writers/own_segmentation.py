"""Writers of the segmentation of one stream, whose metadata name it.

Several streams of one file have plane segmentations of other names than the default,
``PlaneSegmentation``. If it is not in the metadata, and the arguments choose no other, the first
one is written, as imaging planes are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nwb_ophys.writers.images import add_summary_images
from nwb_ophys.writers.masks import add_plane_segmentation
from nwb_ophys.writers.streams import add_background
from nwb_ophys.writers.traces import add_traces_alone

if TYPE_CHECKING:
    from pynwb import NWBFile

_DEFAULT_NAME = "PlaneSegmentation"
# Arguments that choose a plane segmentation.
_CHOOSING = ("plane_segmentation_name", "plane_segmentation_index", "plane_index")


def add_own_plane_segmentation(
    extractor: Any, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
) -> NWBFile:
    """Add the table of ROIs; arguments are those of ``add_plane_segmentation``."""
    return add_plane_segmentation(extractor, nwbfile, metadata, **_chosen(metadata, options))


def add_own_background(
    extractor: Any, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
) -> NWBFile:
    """Add the background components; arguments are those of ``add_background``."""
    return add_background(extractor, nwbfile, metadata, **_chosen(metadata, options))


def add_own_traces(
    extractor: Any, nwbfile: NWBFile, metadata: Mapping[str, Any], **options: Any
) -> NWBFile:
    """Add the traces; arguments are those of ``add_traces_alone``."""
    return add_traces_alone(extractor, nwbfile, metadata, **_chosen(metadata, options))


def add_own_images(
    extractor: Any, nwbfile: NWBFile, metadata: Mapping[str, Any], name: str | None = None
) -> NWBFile:
    """Add the summary images of a plane segmentation."""
    options = _chosen(metadata, {"plane_segmentation_name": name})
    return add_summary_images(nwbfile, extractor, metadata, **options)


def _chosen(metadata: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments with the name of the plane segmentation."""
    entries = metadata.get("Ophys", {}).get("ImageSegmentation", {}).get("plane_segmentations", [])
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    is_chosen = any(options.get(argument) is not None for argument in _CHOOSING)
    if is_chosen or not names or _DEFAULT_NAME in names:
        return dict(options)
    return {**options, "plane_segmentation_name": names[0]}
