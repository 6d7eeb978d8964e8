"""Tests of a movie of each format beside ROIs of each format: streams that agree say nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nwb_ophys import CaimanSegmentationInterface, OphysConverter, TiffImagingInterface
from nwb_ophys.registry import formats
from nwb_ophys.testing.samples import write_sample

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
MOVIES = sorted(name for name, row in formats().items() if row.kind == "imaging")
ROIS = sorted(name for name, row in formats().items() if row.kind == "segmentation")
# NWB files have a start of their own, and state facts of their plane.
DESCRIBED = "nwb-segmentation"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, recording: Any) -> dict[str, Any]:
    """Source arguments of a sample of every format, all of one recording."""
    sources = {}
    for name, row in formats().items():
        folder: Path = tmp_path_factory.mktemp(name)
        sources[name] = write_sample(row, folder, recording)
    return sources


def _open(name: str, written: dict[str, Any]) -> Any:
    return formats()[name].load()(**written[name])


@pytest.mark.parametrize("rois", ROIS)
@pytest.mark.parametrize("movie", MOVIES)
def test_streams_that_agree_say_nothing(written, movie, rois):
    streams = {"movie": _open(movie, written), "rois": _open(rois, written)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if rois == DESCRIBED:
            warnings.filterwarnings("ignore", message="The streams state different session starts")
        nwbfile = OphysConverter(streams).create_nwbfile(START)
    ophys = nwbfile.processing["ophys"]
    (series,) = _series_of(nwbfile)
    tables = ophys["ImageSegmentation"].plane_segmentations.values()
    if rois != DESCRIBED and (movie, rois) != ("femtonics", "inscopix-cells"):
        assert {table.imaging_plane for table in tables} == {series.imaging_plane}
    for container in ("Fluorescence", "DfOverF"):
        if container in ophys.data_interfaces and rois != DESCRIBED:
            for trace in ophys[container].roi_response_series.values():
                np.testing.assert_allclose(_times(trace), _times(series), atol=1e-3)


def _series_of(nwbfile: Any) -> list[Any]:
    """Return the series of movies, also of those that were registered."""
    held = [*nwbfile.acquisition.values(), *nwbfile.processing["ophys"].data_interfaces.values()]
    for container in list(held):
        for stack in getattr(container, "corrected_image_stacks", {}).values():
            held.append(stack.corrected)
    return [each for each in held if hasattr(each, "imaging_plane")]


def _times(series: Any) -> Any:
    if series.timestamps is None:
        return series.starting_time + np.arange(40) / series.rate
    stored = series.timestamps
    return np.asarray(getattr(stored, "data", stored)[:])


def test_a_real_movie_and_its_real_rois_agree(data_folder):
    movie = data_folder / "tiff" / "neurofinder_crop_101x256x256.tif"
    rois = data_folder / "caiman" / "v1.12.1_neurofinder_crop.hdf5"
    nwbfile = OphysConverter(
        {
            "movie": TiffImagingInterface(movie, sampling_frequency=7.5),
            "rois": CaimanSegmentationInterface(rois),
        }
    ).create_nwbfile(START)
    assert list(nwbfile.imaging_planes) == ["ImagingPlane"]
