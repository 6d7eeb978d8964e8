"""Tests of the names and signatures of the functional API, which must equal the specification."""

import inspect
from typing import Any

import pytest
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile

from nwb_ophys import tools
from nwb_ophys.iterators import ImagingExtractorDataChunkIterator

SIGNATURES = {
    "get_default_ophys_metadata": "()",
    "get_default_segmentation_metadata": "()",
    "get_nwb_imaging_metadata": "(imgextractor, photon_series_type='TwoPhotonSeries')",
    "get_nwb_segmentation_metadata": "(sgmextractor)",
    "add_devices": "(nwbfile, metadata)",
    "add_imaging_plane": ("(nwbfile, metadata, imaging_plane_name=None, imaging_plane_index=None)"),
    "add_image_segmentation": "(nwbfile, metadata)",
    "add_photon_series": (
        "(imaging, nwbfile, metadata, photon_series_type='TwoPhotonSeries', photon_series_index=0, "
        "parent_container='acquisition', two_photon_series_index=None, iterator_type='v2', "
        "iterator_options=None)"
    ),
    "add_plane_segmentation": (
        "(segmentation_extractor, nwbfile, metadata, plane_segmentation_name=None, "
        "plane_segmentation_index=None, include_roi_centroids=True, include_roi_acceptance=True, "
        "mask_type='image', iterator_options=None, compression_options=None)"
    ),
    "add_fluorescence_traces": (
        "(segmentation_extractor, nwbfile, metadata, plane_segmentation_name=None, "
        "plane_index=None, iterator_options=None, compression_options=None)"
    ),
    "add_summary_images": (
        "(nwbfile, segmentation_extractor, metadata=None, plane_segmentation_name=None, "
        "images_set_name=None)"
    ),
    "check_if_imaging_fits_into_memory": "(imaging)",
    "write_imaging": (
        "(imaging, nwbfile_path=None, nwbfile=None, metadata=None, overwrite=False, verbose=True, "
        "iterator_type='v2', iterator_options=None, photon_series_type='TwoPhotonSeries', "
        "buffer_size=None)"
    ),
    "write_segmentation": (
        "(segmentation_extractor, nwbfile_path=None, nwbfile=None, metadata=None, "
        "overwrite=False, verbose=True, include_roi_centroids=True, include_roi_acceptance=True, "
        "mask_type='image', iterator_options=None, compression_options=None)"
    ),
    "_create_imaging_plane_from_metadata": "(nwbfile, imaging_plane_metadata)",
    "_imaging_frames_to_hdmf_iterator": ("(imaging, iterator_type='v2', iterator_options=None)"),
    "_create_roi_table_region": (
        "(segmentation_extractor, nwbfile, metadata, plane_segmentation_name=None, "
        "plane_index=None)"
    ),
    "_get_segmentation_data_interface": "(nwbfile, data_interface_name)",
    "add_imaging": (
        "(imaging, nwbfile, metadata=None, photon_series_type='TwoPhotonSeries', "
        "photon_series_index=0, iterator_type='v2', iterator_options=None, "
        "parent_container='acquisition')"
    ),
    "add_segmentation": (
        "(segmentation_extractor, nwbfile, metadata=None, plane_segmentation_name=None, "
        "include_roi_centroids=True, include_roi_acceptance=True, mask_type='image', "
        "iterator_options=None, compression_options=None)"
    ),
    "ImagingExtractorDataChunkIterator": (
        "(imaging_extractor, buffer_gb=None, buffer_shape=None, chunk_mb=None, chunk_shape=None, "
        "display_progress=False, progress_bar_options=None)"
    ),
}

NEWER_NAMES = {
    "add_imaging_to_nwbfile": "add_imaging",
    "add_segmentation_to_nwbfile": "add_segmentation",
}


def plain_signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    empty = inspect.Signature.empty
    return str(signature.replace(parameters=parameters, return_annotation=empty))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    assert plain_signature(getattr(tools, name)) == SIGNATURES[name]


def test_all_names_them_all() -> None:
    assert set(tools.__all__) == {*SIGNATURES, *NEWER_NAMES, "DeepDict"}


@pytest.mark.parametrize("name", NEWER_NAMES)
def test_newer_names_are_bound_to_the_same_functions(name: str) -> None:
    assert getattr(tools, name) is getattr(tools, NEWER_NAMES[name])


@pytest.mark.parametrize(
    ("method", "signature"),
    [
        ("_get_default_chunk_shape", "(self, chunk_mb)"),
        ("_get_scaled_buffer_shape", "(self, buffer_gb, chunk_shape)"),
        ("_get_dtype", "(self)"),
        ("_get_maxshape", "(self)"),
        ("_get_data", "(self, selection)"),
    ],
)
def test_iterator_methods(method: str, signature: str) -> None:
    iterator = ImagingExtractorDataChunkIterator
    assert issubclass(iterator, GenericDataChunkIterator)
    assert plain_signature(getattr(iterator, method)) == signature
    assert method in vars(iterator)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("get_default_ophys_metadata", "DeepDict"),
        ("get_default_segmentation_metadata", "DeepDict"),
        ("add_devices", "NWBFile"),
        ("add_imaging_plane", "NWBFile"),
        ("add_image_segmentation", "NWBFile"),
        ("add_photon_series", "NWBFile"),
        ("add_plane_segmentation", "NWBFile"),
        ("add_fluorescence_traces", "NWBFile"),
        ("add_summary_images", "NWBFile"),
        ("check_if_imaging_fits_into_memory", "None"),
        ("write_segmentation", "NWBFile"),
        ("_create_imaging_plane_from_metadata", "ImagingPlane"),
    ],
)
def test_return_annotation(name: str, kind: str) -> None:
    assert inspect.signature(getattr(tools, name)).return_annotation == kind


def test_every_function_returns_the_file_it_was_given(
    imaging: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    assert tools.add_devices(nwbfile, None) is nwbfile
    assert tools.add_imaging_plane(nwbfile, None) is nwbfile
    assert tools.add_image_segmentation(nwbfile, None) is nwbfile
    assert tools.add_photon_series(imaging, nwbfile, None) is nwbfile
    assert tools.add_plane_segmentation(segmentation, nwbfile, None) is nwbfile
    assert tools.add_fluorescence_traces(segmentation, nwbfile, None) is nwbfile
    assert tools.add_summary_images(nwbfile, segmentation) is nwbfile


def test_functions_are_the_writers() -> None:
    from nwb_ophys.writers import devices, images, masks, series, traces

    assert tools.add_devices is devices.add_devices
    assert tools.add_photon_series is series.add_photon_series
    assert tools.add_plane_segmentation is masks.add_plane_segmentation
    assert tools.add_fluorescence_traces is traces.add_fluorescence_traces
    assert tools.add_summary_images is images.add_summary_images
