"""The functional API: functions that add roiextractors objects to an ``NWBFile``.

This module binds functions of other modules and contains no logic; the interfaces call the same
functions.
"""

from __future__ import annotations

from nwb_ophys.iterators import ImagingExtractorDataChunkIterator
from nwb_ophys.metadata import (
    DeepDict,
    get_default_ophys_metadata,
    get_default_segmentation_metadata,
    get_nwb_imaging_metadata,
    get_nwb_segmentation_metadata,
)
from nwb_ophys.writers.devices import (
    _create_imaging_plane_from_metadata,
    add_devices,
    add_imaging_plane,
)
from nwb_ophys.writers.functional import write_imaging, write_segmentation
from nwb_ophys.writers.images import add_summary_images
from nwb_ophys.writers.masks import add_image_segmentation, add_plane_segmentation
from nwb_ophys.writers.series import (
    _imaging_frames_to_hdmf_iterator,
    add_photon_series,
    check_if_imaging_fits_into_memory,
)
from nwb_ophys.writers.streams import add_imaging, add_segmentation
from nwb_ophys.writers.traces import (
    _create_roi_table_region,
    _get_segmentation_data_interface,
    add_fluorescence_traces,
)

# The names of these functions in newer versions of neuroconv.
add_imaging_to_nwbfile = add_imaging
add_segmentation_to_nwbfile = add_segmentation

__all__ = [
    "DeepDict",
    "ImagingExtractorDataChunkIterator",
    "_create_imaging_plane_from_metadata",
    "_create_roi_table_region",
    "_get_segmentation_data_interface",
    "_imaging_frames_to_hdmf_iterator",
    "add_devices",
    "add_fluorescence_traces",
    "add_image_segmentation",
    "add_imaging",
    "add_imaging_plane",
    "add_imaging_to_nwbfile",
    "add_photon_series",
    "add_plane_segmentation",
    "add_segmentation",
    "add_segmentation_to_nwbfile",
    "add_summary_images",
    "check_if_imaging_fits_into_memory",
    "get_default_ophys_metadata",
    "get_default_segmentation_metadata",
    "get_nwb_imaging_metadata",
    "get_nwb_segmentation_metadata",
    "write_imaging",
    "write_segmentation",
]
