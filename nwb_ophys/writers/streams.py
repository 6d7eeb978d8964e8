"""Writers of whole streams: a movie, or a segmentation with traces, background and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nwb_ophys.metadata import (
    DeepDict,
    background_entry,
    get_nwb_segmentation_metadata,
    merge_lists,
)
from nwb_ophys.rois.model import Rois
from nwb_ophys.writers.devices import add_devices
from nwb_ophys.writers.images import add_summary_images
from nwb_ophys.writers.masks import add_plane_segmentation, resolve_plane_segmentation
from nwb_ophys.writers.series import add_photon_series
from nwb_ophys.writers.traces import add_fluorescence_traces

if TYPE_CHECKING:
    from pynwb import NWBFile


def add_imaging(
    imaging: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None = None,
    photon_series_type: str = "TwoPhotonSeries",
    photon_series_index: int = 0,
    iterator_type: str | None = "v2",
    iterator_options: dict[str, Any] | None = None,
    parent_container: str = "acquisition",
) -> NWBFile:
    """Add a movie with its devices and imaging plane.

    Parameters are those of :func:`add_photon_series`.

    Returns
    -------
    pynwb.NWBFile
        The same file.
    """
    add_devices(nwbfile, metadata)
    return add_photon_series(
        imaging,
        nwbfile,
        metadata,
        photon_series_type=photon_series_type,
        photon_series_index=photon_series_index,
        parent_container=parent_container,
        iterator_type=iterator_type,
        iterator_options=iterator_options,
    )


def add_segmentation(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None = None,
    plane_segmentation_name: str | None = None,
    include_roi_centroids: bool = True,
    include_roi_acceptance: bool = True,
    mask_type: str | None = "image",
    iterator_options: dict[str, Any] | None = None,
    compression_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add a segmentation: ROIs, traces, summary images and background components.

    Parameters are those of :func:`add_plane_segmentation`. Background components go to a plane
    segmentation of their own, ``BackgroundPlaneSegmentation``.

    Returns
    -------
    pynwb.NWBFile
        The same file.
    """
    rois = Rois.of(segmentation_extractor)
    merged = merge_lists(get_nwb_segmentation_metadata(rois.extractor), metadata)
    if plane_segmentation_name is None:
        plane_segmentation_name = _only_name(merged)
    storing: dict[str, Any] = {
        "iterator_options": iterator_options,
        "compression_options": compression_options,
    }
    add_devices(nwbfile, merged)
    add_plane_segmentation(
        rois,
        nwbfile,
        merged,
        plane_segmentation_name=plane_segmentation_name,
        include_roi_centroids=include_roi_centroids,
        include_roi_acceptance=include_roi_acceptance,
        mask_type=mask_type,
        **storing,
    )
    add_fluorescence_traces(rois, nwbfile, merged, plane_segmentation_name, **storing)
    add_background(rois, nwbfile, merged, plane_segmentation_name, mask_type=mask_type, **storing)
    return add_summary_images(
        nwbfile, rois.extractor, merged, plane_segmentation_name=plane_segmentation_name
    )


def _only_name(metadata: Mapping[str, Any]) -> str | None:
    """Return the name of the only plane segmentation in the metadata; None where there are more."""
    entries = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    return names[0] if len(names) == 1 else None


def add_background(
    segmentation_extractor: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any],
    plane_segmentation_name: str | None = None,
    background_name: str | None = None,
    **options: Any,
) -> NWBFile:
    """Add the background components of a segmentation as a plane segmentation of their own.

    Parameters
    ----------
    segmentation_extractor : roiextractors.SegmentationExtractor or Rois
        Without background components nothing is added.
    nwbfile : pynwb.NWBFile
    metadata : Mapping
        Metadata with all defaults. An entry of the background's name in ``plane_segmentations``
        describes it; without an entry the background lies on the plane of the ROIs.
    plane_segmentation_name : str, optional
        Name of the plane segmentation of the ROIs; ``PlaneSegmentation`` by default.
    background_name : str, optional
        Name of the new plane segmentation; by default ``Background`` and the name of the ROIs'.
    **options
        ``mask_type``, ``iterator_options`` and ``compression_options`` of
        :func:`add_plane_segmentation`.

    Returns
    -------
    pynwb.NWBFile
        The same file.
    """
    background = Rois.of(segmentation_extractor).background
    if not background.ids:
        return nwbfile
    merged = DeepDict(metadata)
    cells = resolve_plane_segmentation(merged, plane_segmentation_name, None, "")
    name = background_name or f"Background{cells}"
    entries = merged["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    if name not in [entry["name"] for entry in entries]:
        of_cells = next(entry for entry in entries if entry["name"] == cells)
        entries.append(background_entry(name, of_cells["imaging_plane"]))
    add_plane_segmentation(background, nwbfile, merged, plane_segmentation_name=name, **options)
    options.pop("mask_type", None)
    return add_fluorescence_traces(background, nwbfile, merged, name, **options)
