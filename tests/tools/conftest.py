"""Fixtures for the functional API: files in memory, movies and segmentations of known values."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from roiextractors.testing import (
    generate_dummy_imaging_extractor,
    generate_dummy_segmentation_extractor,
)

from nwb_ophys.extractors.arrays import ArrayImagingExtractor, ArraySegmentationExtractor

START = datetime.datetime(2024, 5, 17, 14, 30, tzinfo=datetime.timezone.utc)


@pytest.fixture
def new_file() -> Callable[[], NWBFile]:
    """Return a function that makes an empty file in memory."""

    def make() -> NWBFile:
        return NWBFile(session_description="s", identifier="i", session_start_time=START)

    return make


@pytest.fixture
def nwbfile(new_file: Callable[[], NWBFile]) -> NWBFile:
    return new_file()


@pytest.fixture
def imaging() -> Any:
    """Movie of noise with 12 frames, 7 rows and 9 columns."""
    return generate_dummy_imaging_extractor(num_samples=12, num_rows=7, num_columns=9)


@pytest.fixture
def segmentation() -> Any:
    """Segmentation of 5 ROIs with string ids: 7 rows, 9 columns, four traces of 12 samples."""
    return generate_dummy_segmentation_extractor(
        num_rois=5, num_rows=7, num_columns=9, num_samples=12
    )


@pytest.fixture
def make_movie() -> Callable[..., Any]:
    """Return a function that makes an extractor of an array (samples, rows, columns[, planes])."""

    def make(movie: Any, rate: float = 10.0) -> Any:
        return ArrayImagingExtractor(np.asarray(movie), rate)

    return make


@pytest.fixture
def make_segmentation() -> Callable[..., Any]:
    """Return a function that makes an extractor of masks (rows, columns[, planes], ROIs)."""

    def make(masks: Any, traces: Any = None, **options: Any) -> Any:
        masks = np.asarray(masks)
        if traces is None:
            traces = {"raw": np.arange(4.0 * masks.shape[-1]).reshape(4, -1)}
        options.setdefault("sampling_frequency", 10.0)
        return ArraySegmentationExtractor(masks, traces, **options)

    return make


@pytest.fixture
def metadata() -> dict[str, Any]:
    """Metadata of two devices, planes, series and plane segmentations, none with default names."""
    channel = {"name": "Green", "emission_lambda": 513.0, "description": "d"}
    plane = {
        "description": "d",
        "excitation_lambda": 920.0,
        "indicator": "GCaMP6s",
        "location": "V1",
        "optical_channel": [channel],
    }
    traces = {"raw": {"name": "Raw", "description": "d", "unit": "u"}}
    return {
        "NWBFile": {"session_start_time": START},
        "Ophys": {
            "Device": [{"name": "Scope1"}, {"name": "Scope2", "description": "second"}],
            "ImagingPlane": [
                {"name": "Plane1", "device": "Scope1", **copy.deepcopy(plane)},
                {"name": "Plane2", "device": "Scope2", **copy.deepcopy(plane)},
            ],
            "TwoPhotonSeries": [
                {"name": "Movie1", "imaging_plane": "Plane1", "unit": "n.a."},
                {"name": "Movie2", "imaging_plane": "Plane2", "unit": "n.a."},
            ],
            "ImageSegmentation": {
                "name": "Cells",
                "plane_segmentations": [
                    {"name": "Cells1", "description": "first", "imaging_plane": "Plane1"},
                    {"name": "Cells2", "description": "second", "imaging_plane": "Plane2"},
                ],
            },
            "Fluorescence": {
                "name": "Traces",
                "Cells1": copy.deepcopy(traces),
                "Cells2": {"raw": {"name": "Raw2", "description": "d", "unit": "u"}},
            },
            "DfOverF": {
                "name": "Changes",
                "Cells1": {"dff": {"name": "Dff", "description": "d", "unit": "u"}},
                "Cells2": {"dff": {"name": "Dff2", "description": "d", "unit": "u"}},
            },
            "SegmentationImages": {
                "name": "Pictures",
                "description": "pictures of the cells",
                "Cells1": {"mean": {"name": "average", "description": "mean of it all"}},
                "Cells2": {"mean": {"name": "average2", "description": "of the second"}},
            },
        },
    }


@pytest.fixture
def round_trip(tmp_path: Any) -> Callable[..., Any]:
    """Write a file with plain pynwb, read it, and apply a function to the result."""

    def write_and_read(nwbfile: NWBFile, look: Callable[[NWBFile], Any]) -> Any:
        path = tmp_path / "round_trip.nwb"
        with NWBHDF5IO(str(path), "w") as io:
            io.write(nwbfile)
        with NWBHDF5IO(str(path), "r") as io:
            return look(io.read())

    return write_and_read
