"""Tests of neuroconv's names of arguments, extractors and options, and of the former names."""

from __future__ import annotations

import inspect
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import neuroconv
import numpy as np
import pytest
from roiextractors import NwbImagingExtractor, NwbSegmentationExtractor

from nwb_ophys import (
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
)
from nwb_ophys.errors import MetadataError, OptionError
from nwb_ophys.interfaces import BaseOphysInterface

START = {"NWBFile": {"session_start_time": datetime(2024, 5, 17, tzinfo=timezone.utc)}}
MOVIE = np.arange(130 * 4 * 5, dtype=np.uint16).reshape(130, 4, 5)
MASKS = np.zeros((4, 5, 3), np.float32)
MASKS[[0, 1, 3], [4, 2, 0], [0, 1, 2]] = [1, 0.5, 0.25]

# NeuroConv 0.10 warns of the list form of metadata.
pytestmark = pytest.mark.filterwarnings("default::FutureWarning")


def _movie() -> NumpyImagingInterface:
    return NumpyImagingInterface(MOVIE, 10.0)


def _rois() -> NumpySegmentationInterface:
    traces = np.arange(390.0).reshape(130, 3)
    return NumpySegmentationInterface(image_masks=MASKS, raw=traces, sampling_frequency=10.0)


def test_arguments_have_the_names_of_neuroconv() -> None:
    theirs = neuroconv.basetemporalalignmentinterface.BaseTemporalAlignmentInterface
    for method in ("set_aligned_timestamps", "set_aligned_starting_time", "align_by_interpolation"):
        expected = list(inspect.signature(getattr(theirs, method)).parameters)
        assert list(inspect.signature(getattr(BaseOphysInterface, method)).parameters) == expected


@pytest.mark.parametrize(
    ("method", "former", "present"),
    [
        ("set_aligned_timestamps", "t", "aligned_timestamps"),
        ("set_aligned_starting_time", "t0", "aligned_starting_time"),
    ],
)
def test_former_names_of_arguments_work(method: str, former: str, present: str) -> None:
    value = 2.5 if former == "t0" else np.arange(130) / 7
    found = []
    for given in ({former: value}, {present: value}):
        interface = _movie()
        getattr(interface, method)(**given)
        found.append(interface.get_timestamps())
    np.testing.assert_array_equal(*found)
    with pytest.raises(TypeError, match="multiple values"):
        getattr(_movie(), method)(value, **{former: value})
    with pytest.raises(TypeError, match="bogus"):
        getattr(_movie(), method)(bogus=value)


def test_former_names_of_interpolation_work() -> None:
    clocks = ([0.0, 10.0], [1.0, 21.0])
    found = []
    for names in (("unaligned", "aligned"), ("unaligned_timestamps", "aligned_timestamps")):
        interface = _rois()
        interface.align_by_interpolation(**dict(zip(names, clocks, strict=True)))
        found.append(interface.get_timestamps())
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], 1 + 2 * np.arange(130) / 10)


def test_a_starting_time_that_is_no_number_of_seconds() -> None:
    with pytest.raises(MetadataError, match="starting time is nan"):
        _movie().set_aligned_starting_time(aligned_starting_time=np.nan)


def test_extractors_have_the_names_of_neuroconv() -> None:
    movie, rois = _movie(), _rois()
    assert movie.imaging_extractor is movie.extractor
    assert rois.segmentation_extractor is rois.extractor
    other = _movie().extractor
    movie.imaging_extractor = other
    assert movie.extractor is other
    other = _rois().extractor
    rois.segmentation_extractor = other
    assert rois.extractor is other


# --- stubs --------------------------------------------------------------------------------------


def _num_samples(nwbfile: Any) -> int:
    if nwbfile.acquisition:
        return len(nwbfile.acquisition["TwoPhotonSeries"].data)
    fluorescence = nwbfile.processing["ophys"]["Fluorescence"]
    return len(fluorescence["RoiResponseSeries"].data)


@pytest.mark.parametrize("make", [_movie, _rois])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"stub_test": True}, 100),
        ({"stub_test": True, "stub_samples": 7}, 7),
        ({"stub_test": True, "stub_samples": 500}, 130),
        ({"stub_test": False, "stub_samples": 7}, 130),
        ({"stub": 9}, 9),
        ({}, 130),
    ],
)
def test_stubs(make: Any, options: dict[str, Any], expected: int, tmp_path: Path) -> None:
    interface = make()
    assert _num_samples(interface.create_nwbfile(START, **options)) == expected
    nwbfile = neuroconv.tools.nwb_helpers.make_nwbfile_from_metadata(START)
    interface.add_to_nwbfile(nwbfile, **options)
    assert _num_samples(nwbfile) == expected
    converter = OphysConverter({"one": interface})
    nwbfile = converter.create_nwbfile(START, conversion_options={"one": options})
    assert _num_samples(nwbfile) == expected


@pytest.mark.parametrize("make", [_movie, _rois])
def test_stubs_that_contradict(make: Any) -> None:
    with pytest.raises(OptionError, match="'stub' and 'stub_test' were both given; leave one out"):
        make().create_nwbfile(START, stub=3, stub_test=True)
    with pytest.raises(OptionError, match="'stub' is 0; it must be at least 1"):
        make().create_nwbfile(START, stub=0)
    with pytest.raises(OptionError, match="stub_samples"):
        make().create_nwbfile(START, stub_test=True, stub_samples=0)


# --- readers of roiextractors -------------------------------------------------------------------


def test_files_are_read_by_roiextractors(tmp_path: Path) -> None:
    converter = OphysConverter({"movie": _movie(), "rois": _rois()})
    path = converter.run_conversion(tmp_path / "a.nwb", metadata=START, progress=False)
    movie = NwbImagingExtractor(path)
    np.testing.assert_array_equal(movie.get_series(), MOVIE)
    assert movie.get_sampling_frequency() == 10.0
    rois = NwbSegmentationExtractor(path)
    np.testing.assert_array_equal(np.asarray(rois.get_roi_image_masks()), MASKS)
    np.testing.assert_array_equal(rois.get_traces(name="raw"), np.arange(390.0).reshape(130, 3))
    assert rois.get_roi_ids() == [0, 1, 2]
    movie.io.close()
    rois._io.close()


def test_roiextractors_reads_no_pixel_masks(tmp_path: Path) -> None:
    """Its reader asks for the column image_mask, whoever wrote the file."""
    path = _rois().run_conversion(tmp_path / "a.nwb", metadata=START, mask_type="pixel")
    with pytest.raises(AssertionError, match="image_masks"):
        NwbSegmentationExtractor(path)
