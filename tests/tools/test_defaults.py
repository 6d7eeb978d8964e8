"""Tests of the defaults of metadata, which fill the caller's metadata and do not change it."""

import copy
import math
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pynwb import NWBFile
from pynwb.device import Device
from roiextractors.testing import generate_dummy_imaging_extractor

from nwb_ophys import tools
from nwb_ophys.metadata import merge_metadata
from nwb_ophys.tools import DeepDict

PLANE_KEYS = {
    "name",
    "description",
    "excitation_lambda",
    "indicator",
    "location",
    "device",
    "optical_channel",
}


def check_common(metadata: dict[str, Any]) -> None:
    """Check the part that all defaults share."""
    assert set(metadata["NWBFile"]) == {"session_description", "identifier"}
    assert metadata["NWBFile"]["session_description"] == "no description"
    identifier = metadata["NWBFile"]["identifier"]
    assert isinstance(identifier, str)
    assert uuid.UUID(identifier).version == 4
    assert str(uuid.UUID(identifier)) == identifier
    assert metadata["Ophys"]["Device"] == [{"name": "Microscope"}]
    (plane,) = metadata["Ophys"]["ImagingPlane"]
    assert set(plane) == PLANE_KEYS
    assert plane["name"] == "ImagingPlane"
    assert math.isnan(plane["excitation_lambda"])
    assert plane["indicator"] == plane["location"] == "unknown"
    assert plane["device"] == "Microscope"
    (channel,) = plane["optical_channel"]
    assert set(channel) == {"name", "emission_lambda", "description"}
    assert channel["name"] == "OpticalChannel"
    assert math.isnan(channel["emission_lambda"])
    for described in (plane, channel):
        assert isinstance(described["description"], str)
        assert described["description"]


def test_ophys_defaults() -> None:
    metadata = tools.get_default_ophys_metadata()
    assert type(metadata) is DeepDict
    assert set(metadata) == {"NWBFile", "Ophys"}
    assert set(metadata["Ophys"]) == {"Device", "ImagingPlane"}
    check_common(metadata)


def test_segmentation_defaults() -> None:
    metadata = tools.get_default_segmentation_metadata()
    assert type(metadata) is DeepDict
    check_common(metadata)
    ophys = metadata["Ophys"]
    assert set(ophys) == {
        "Device",
        "ImagingPlane",
        "Fluorescence",
        "DfOverF",
        "ImageSegmentation",
        "SegmentationImages",
    }
    for container, trace in (("Fluorescence", "raw"), ("DfOverF", "dff")):
        assert set(ophys[container]) == {"name", "PlaneSegmentation"}
        assert ophys[container]["name"] == container
        assert set(ophys[container]["PlaneSegmentation"]) == {trace}
        entry = ophys[container]["PlaneSegmentation"][trace]
        assert set(entry) == {"name", "description", "unit"}
        assert entry["name"] == "RoiResponseSeries"
        assert entry["unit"] == "n.a."
        assert entry["description"]
    assert set(ophys["ImageSegmentation"]) == {"name", "plane_segmentations"}
    assert ophys["ImageSegmentation"]["name"] == "ImageSegmentation"
    (table,) = ophys["ImageSegmentation"]["plane_segmentations"]
    assert set(table) == {"name", "description", "imaging_plane"}
    assert table["name"] == "PlaneSegmentation"
    assert table["imaging_plane"] == "ImagingPlane"
    assert table["description"]
    images = ophys["SegmentationImages"]
    assert set(images) == {"name", "description", "PlaneSegmentation"}
    assert images["name"] == "SegmentationImages"
    assert images["description"]
    assert set(images["PlaneSegmentation"]) == {"correlation"}
    assert set(images["PlaneSegmentation"]["correlation"]) == {"name", "description"}
    assert images["PlaneSegmentation"]["correlation"]["name"] == "correlation"


@pytest.mark.parametrize(
    "get", [tools.get_default_ophys_metadata, tools.get_default_segmentation_metadata]
)
def test_each_call_returns_a_fresh_object(get: Callable[[], DeepDict]) -> None:
    first = get()
    first["Ophys"]["ImagingPlane"][0]["optical_channel"].append("spoilt")
    first["Ophys"]["Device"][0]["name"] = "spoilt"
    first["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["name"] = "spoilt"
    second = get()
    assert second["NWBFile"]["identifier"] != first["NWBFile"]["identifier"]
    check_common(second)
    assert "spoilt" not in str(second)


def test_defaults_equal_themselves_and_plain_dictionaries() -> None:
    """Two sets of defaults are equal, because NumPy's NaN is one object."""
    first, second = tools.get_default_ophys_metadata(), tools.get_default_ophys_metadata()
    assert first["Ophys"] == second["Ophys"]
    assert second["Ophys"]["ImagingPlane"][0]["excitation_lambda"] is np.nan


@pytest.mark.parametrize("kind", ["TwoPhotonSeries", "OnePhotonSeries"])
@pytest.mark.parametrize("num_planes", [None, 3])
def test_imaging_metadata(kind: str, num_planes: int | None) -> None:
    extractor = generate_dummy_imaging_extractor(
        num_rows=7, num_columns=9, num_samples=5, num_planes=num_planes
    )
    metadata = tools.get_nwb_imaging_metadata(extractor, photon_series_type=kind)
    assert isinstance(metadata, dict)
    check_common(metadata)
    assert set(metadata["Ophys"]) == {"Device", "ImagingPlane", kind}
    (series,) = metadata["Ophys"][kind]
    assert set(series) == {"name", "description", "unit", "imaging_plane", "dimension"}
    assert series["name"] == kind
    assert series["unit"] == "n.a."
    assert series["imaging_plane"] == "ImagingPlane"
    assert series["description"]
    assert series["dimension"] == ([9, 7] if num_planes is None else [9, 7, 3])
    assert all(type(size) is int for size in series["dimension"])


def test_imaging_metadata_are_of_two_photon_by_default(imaging: Any) -> None:
    assert "TwoPhotonSeries" in tools.get_nwb_imaging_metadata(imaging)["Ophys"]


def test_segmentation_metadata(make_segmentation: Callable[..., Any]) -> None:
    trace = np.ones((4, 2))
    kinds = ("raw", "dff", "neuropil", "deconvolved", "denoised", "slow_drift")
    extractor = make_segmentation(np.ones((3, 5, 2)), dict.fromkeys(kinds, trace))
    metadata = tools.get_nwb_segmentation_metadata(extractor)
    check_common(metadata)
    described = metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]
    assert {key: entry["name"] for key, entry in described.items()} == {
        "raw": "RoiResponseSeries",
        "neuropil": "Neuropil",
        "deconvolved": "Deconvolved",
        "denoised": "Denoised",
        "slow_drift": "Slow_drift",
    }
    for entry in described.values():
        assert set(entry) == {"name", "description", "unit"}
        assert entry["unit"] == "n.a."
    assert set(metadata["Ophys"]["DfOverF"]["PlaneSegmentation"]) == {"dff"}


def test_segmentation_metadata_of_traces_that_are_none(segmentation: Any) -> None:
    segmentation.get_traces_dict = lambda: {"raw": None, "neuropil": None, "denoised": None}
    metadata = tools.get_nwb_segmentation_metadata(segmentation)
    assert set(metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]) == {"raw"}


def test_values_of_the_caller_win_recursively_and_lists_replace_lists() -> None:
    defaults = {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "list": [{"x": 1, "y": 2}, {"x": 3}]}
    given = {"a": {"c": {"d": 9}}, "list": [{"x": 7}], "new": 5}
    assert merge_metadata(defaults, given) == {
        "a": {"b": 1, "c": {"d": 9, "e": 3}},
        "list": [{"x": 7}],
        "new": 5,
    }


CALLS: dict[str, Callable[[NWBFile, Any, Any, Any], Any]] = {
    "add_devices": lambda f, _i, _s, m: tools.add_devices(f, m),
    "add_imaging_plane": lambda f, _i, _s, m: tools.add_imaging_plane(f, m),
    "add_image_segmentation": lambda f, _i, _s, m: tools.add_image_segmentation(f, m),
    "add_photon_series": lambda f, i, _s, m: tools.add_photon_series(i, f, m),
    "add_plane_segmentation": lambda f, _i, s, m: tools.add_plane_segmentation(s, f, m),
    "add_fluorescence_traces": lambda f, _i, s, m: tools.add_fluorescence_traces(s, f, m),
    "add_summary_images": lambda f, _i, s, m: tools.add_summary_images(f, s, m),
    "add_imaging": lambda f, i, _s, m: tools.add_imaging(i, f, m),
    "add_segmentation": lambda f, _i, s, m: tools.add_segmentation(s, f, m),
    "_create_roi_table_region": lambda f, _i, s, m: tools._create_roi_table_region(s, f, m),
    "write_imaging": lambda f, i, _s, m: tools.write_imaging(i, nwbfile=f, metadata=m),
    "write_segmentation": lambda f, _i, s, m: tools.write_segmentation(s, nwbfile=f, metadata=m),
}


def contents(nwbfile: NWBFile) -> set[tuple[str, str]]:
    return {(type(item).__name__, item.name) for item in nwbfile.objects.values()}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "given", [{}, {"Ophys": {}}, {"Ophys": None}, DeepDict()], ids=["{}", "Ophys{}", "None", "Deep"]
)
def test_empty_metadata_mean_defaults(
    call: str, given: Any, imaging: Any, segmentation: Any, new_file: Callable[[], NWBFile]
) -> None:
    reference, other = new_file(), new_file()
    before = copy.deepcopy(given)
    CALLS[call](reference, imaging, segmentation, None)
    CALLS[call](other, imaging, segmentation, given)
    assert contents(other) == contents(reference)
    assert len(contents(other)) > 1
    assert given == before


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [dict, DeepDict])
def test_metadata_of_the_caller_are_not_changed(
    call: str, kind: type, imaging: Any, segmentation: Any, nwbfile: NWBFile
) -> None:
    device = Device(name="Own")
    given = kind(
        {
            "NWBFile": {"session_start_time": "2024-05-17T00:00:00Z"},
            "Ophys": {
                "Device": [device, {"name": "Second"}],
                "ImagingPlane": [
                    {
                        "name": "ImagingPlane",
                        "description": "d",
                        "device": "Own",
                        "excitation_lambda": 900.0,
                        "indicator": "i",
                        "location": "l",
                        "optical_channel": [
                            {"name": "c", "description": "d", "emission_lambda": 500.0}
                        ],
                        "grid_spacing": [1e-6, 2e-6],
                    }
                ],
                "TwoPhotonSeries": [{"name": "M", "imaging_plane": "ImagingPlane"}],
                "Fluorescence": {"PlaneSegmentation": {"raw": {"rate": 4.0}}},
            },
        }
    )

    def snapshot(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: snapshot(item) for key, item in value.items()}
        if isinstance(value, list):
            return [snapshot(item) for item in value]
        return value

    def identities(value: Any) -> list[int]:
        inner = value.values() if isinstance(value, dict) else value
        nested = [identities(item) for item in inner if isinstance(item, (dict, list))]
        return [id(value)] + [number for found in nested for number in found]

    before, objects = snapshot(given), identities(given)
    CALLS[call](nwbfile, imaging, segmentation, given)
    assert snapshot(given) == before
    assert identities(given) == objects
    assert given["Ophys"]["Device"][0] is device


def test_a_list_of_the_caller_replaces_the_default_whole(nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, {"Ophys": {"Device": [{"name": "Mine"}]}})
    assert list(nwbfile.devices) == ["Mine"]


def test_values_of_the_caller_fill_the_defaults_when_written(
    segmentation: Any, nwbfile: NWBFile
) -> None:
    given = {"Ophys": {"Fluorescence": {"PlaneSegmentation": {"raw": {"unit": "photons"}}}}}
    tools.add_fluorescence_traces(segmentation, nwbfile, given)
    series = nwbfile.processing["ophys"]["Fluorescence"]["RoiResponseSeries"]
    assert series.unit == "photons"
    default = tools.get_default_segmentation_metadata()["Ophys"]["Fluorescence"]
    assert series.description == default["PlaneSegmentation"]["raw"]["description"]
