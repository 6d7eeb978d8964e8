"""Tests of metadata in the dictionary form: reading, writing, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nwb_ophys import (
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    tools,
)
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import DeepDict, load_metadata, to_dictionaries
from nwb_ophys.opening import describe_recording
from nwb_ophys.registry import formats
from nwb_ophys.testing import SimulatedRecording, simulate_recording
from nwb_ophys.testing.samples import write_sample

MOVIE = np.arange(6 * 4 * 5, dtype=np.uint16).reshape(6, 4, 5)
MASKS = np.zeros((4, 5, 2), np.float32)
MASKS[[0, 1], [4, 2], [0, 1]] = 1
START = {"session_start_time": "2024-05-17T12:30:00+02:00", "identifier": "M7"}


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)


def _interface(name: str, folder: Path, recording: SimulatedRecording) -> Any:
    row = formats()[name]
    return row.load()(**write_sample(row, folder, recording))


def _movie() -> NumpyImagingInterface:
    return NumpyImagingInterface(MOVIE, 10.0)


def _rois() -> NumpySegmentationInterface:
    traces = np.arange(12.0).reshape(6, 2)
    return NumpySegmentationInterface(image_masks=MASKS, raw=traces, sampling_frequency=10.0)


def _ophys(source: Any, **given: Any) -> Any:
    top = {key: given.pop(key) for key in ("Devices", "DeviceModels") if key in given}
    full = source.complete_metadata if isinstance(source, OphysConverter) else source.full_metadata
    return full({**top, "Ophys": given})["Ophys"]


def _same(one: Any, other: Any) -> None:
    """Compare metadata, in which unknown numbers are NaN."""
    np.testing.assert_equal(DeepDict(all=one).to_dict(), DeepDict(all=other).to_dict())


# --- round trip -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(formats()))
def test_round_trip_of_every_format(
    name: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    interface = _interface(name, tmp_path, recording)
    stated = interface.get_metadata()
    given = to_dictionaries(stated, stated)
    assert not {"Device", "ImagingPlane", "TwoPhotonSeries"} & given["Ophys"].keys()
    _same(interface.full_metadata(given), stated)
    close = getattr(interface.extractor, "close", None)
    if close:
        close()


def _edited(source: Any) -> DeepDict:
    metadata = source.get_metadata()
    metadata["NWBFile"] |= START
    ophys = metadata["Ophys"]
    model = {"name": "Bergamo II", "manufacturer": "Thorlabs"}
    ophys["Device"][0] |= {"name": "Rig", "serial_number": "7", "model": model}
    ophys["Device"].append({"name": "Lamp", "model": model | {"name": "L3"}})
    ophys["ImagingPlane"][0] |= {"name": "Plane", "device": "Rig", "location": "VISp"}
    ophys["TwoPhotonSeries"][0] |= {"name": "Movie", "imaging_plane": "Plane", "pmt_gain": 2.0}
    tables = ophys["ImageSegmentation"]["plane_segmentations"]
    for table in tables:
        table["imaging_plane"] = "Plane"
    tables[0]["name"] = "Cells"
    ophys["ImageSegmentation"]["name"] = "Segmentation"
    for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
        if "PlaneSegmentation" in ophys.get(container, {}):
            ophys[container]["Cells"] = ophys[container].pop("PlaneSegmentation")
    for trace in ophys.get("Fluorescence", {}).get("Cells", {}).values():
        trace["description"] = "Mean of the pixels."
    return metadata


def _contents(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if name.startswith(("specifications", "file_create_date", "scratch")):
            return
        attributes = {k: v for k, v in item.attrs.items() if k != "object_id"}
        found[name] = {
            k: str(v) for k, v in attributes.items() if not isinstance(v, h5py.Reference)
        }
        if isinstance(item, h5py.Dataset) and not item.dtype.hasobject:
            found[name]["values"] = item[()].tolist()
        elif isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype):
            found[name]["values"] = np.asarray(item[()]).tolist()

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.filterwarnings("ignore:.*manufacturer.*is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:metadata.*is written as a further entry:UserWarning")
@pytest.mark.parametrize(
    ("movie", "rois"), [("tiff", "suite2p"), ("scanimage", "caiman"), ("thor", "extract")]
)
def test_files_of_both_forms_are_equal(
    movie: str, rois: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    streams = {}
    for name in (movie, rois):
        (tmp_path / name).mkdir()
        streams[name] = _interface(name, tmp_path / name, recording)
    with OphysConverter(streams) as converter:
        lists = _edited(converter)
        given = to_dictionaries(lists, converter.get_metadata())
        assert {"Rig", "Bergamo II"} <= {
            entry["name"] for each in ("Devices", "DeviceModels") for entry in given[each].values()
        }
        found = []
        for form, metadata in (("lists", lists), ("dictionaries", given)):
            path = tmp_path / f"{form}.nwb"
            converter.run_conversion(path, metadata=metadata, progress=False)
            found.append(_contents(path))
    assert found[0].keys() == found[1].keys()
    different = [key for key in found[0] if str(found[0][key]) != str(found[1][key])]
    assert [key for key in different if "provenance" not in key] == []


def test_document_of_the_dictionary_form(tmp_path: Path) -> None:
    converter = OphysConverter({"movie": _movie(), "rois": _rois()})
    metadata = _edited_without_lamp(converter)
    with pytest.warns(
        UserWarning, match=r"no place for Ophys\.ImageSegmentation\. nwb-ophys reads"
    ):
        text = describe_recording(converter, metadata, style="neuroconv")
    (tmp_path / "a.yaml").write_text(text)
    loaded = load_metadata(tmp_path / "a.yaml")
    assert loaded["Ophys"]["ImageSegmentation"] == {"name": "Segmentation"}
    full = converter.complete_metadata(loaded)
    full["NWBFile"]["identifier"] = metadata["NWBFile"]["identifier"]
    _same(full["Ophys"]["ImageSegmentation"], metadata["Ophys"]["ImageSegmentation"])
    _same(full["Ophys"]["Device"], metadata["Ophys"]["Device"])
    _same(full["Ophys"]["ImagingPlane"], metadata["Ophys"]["ImagingPlane"])
    _same(full["Ophys"]["Fluorescence"]["Cells"], metadata["Ophys"]["Fluorescence"]["Cells"])


def _edited_without_lamp(converter: OphysConverter) -> DeepDict:
    metadata = _edited(converter)
    del metadata["Ophys"]["Device"][1]
    return metadata


# --- which entries belong to which ----------------------------------------------------------------


def test_keys_of_the_users_choosing() -> None:
    ophys = _ophys(
        OphysConverter({"movie": _movie(), "rois": _rois()}),
        Devices={"d": {"name": "Rig", "device_model_metadata_key": "m", "type": "Device"}},
        DeviceModels={"m": {"manufacturer": "Thorlabs"}},
        ImagingPlanes={"p": {"name": "Plane", "device_metadata_key": "d", "location": "VISp"}},
        MicroscopySeries={"x": {"imaging_plane_metadata_key": "p", "pmt_gain": 2.0}},
        PlaneSegmentations={"y": {"name": "Cells", "imaging_plane_metadata_key": "p"}},
        RoiResponses={"y": {"raw": {"name": "F"}}},
    )
    model = {"name": "m", "manufacturer": "Thorlabs"}
    assert ophys["Device"] == [{"name": "Rig", "model": model}]
    (plane,) = ophys["ImagingPlane"]
    assert (plane["name"], plane["device"], plane["location"]) == ("Plane", "Rig", "VISp")
    assert plane["optical_channel"][0]["name"] == "OpticalChannel"
    (series,) = ophys["TwoPhotonSeries"]
    assert (series["name"], series["imaging_plane"]) == ("TwoPhotonSeries", "Plane")
    assert (series["pmt_gain"], series["dimension"]) == (2.0, [5, 4])
    (table,) = ophys["ImageSegmentation"]["plane_segmentations"]
    assert (table["name"], table["imaging_plane"]) == ("Cells", "Plane")
    assert ophys["Fluorescence"]["Cells"]["raw"]["name"] == "F"
    assert ophys["Fluorescence"]["Cells"]["raw"]["description"].startswith("Fluorescence")


def test_a_renamed_plane_keeps_facts_of_the_file(
    tmp_path: Path, recording: SimulatedRecording
) -> None:
    interface = _interface("scanimage", tmp_path, recording)
    (before,) = interface.get_metadata()["Ophys"]["ImagingPlane"]
    ophys = _ophys(
        interface,
        ImagingPlanes={"p": {"name": "Plane"}},
        MicroscopySeries={"x": {"imaging_plane_metadata_key": "p"}},
    )
    _same(ophys["ImagingPlane"], [before | {"name": "Plane"}])
    interface.extractor.close()


def test_entries_that_are_not_given_stay_and_follow_a_new_name() -> None:
    ophys = _ophys(_movie(), ImagingPlanes={"ImagingPlane": {"name": "Plane"}})
    assert ophys["TwoPhotonSeries"][0]["imaging_plane"] == "Plane"
    ophys = _ophys(_movie(), Devices={"Microscope": {"name": "Rig"}})
    assert ophys["ImagingPlane"][0]["device"] == "Rig"
    ophys = _ophys(_movie(), MicroscopySeries={"a": {"name": "Movie", "comments": None}})
    assert ophys["TwoPhotonSeries"][0]["name"] == "Movie"
    assert ophys["ImagingPlane"][0]["name"] == "ImagingPlane"


def test_option_sets_the_type_of_a_series() -> None:
    given = {"NWBFile": START, "Ophys": {"MicroscopySeries": {"x": {"name": "M", "power": 2.0}}}}
    nwbfile = _movie().create_nwbfile(given, photon_series_type="OnePhotonSeries")
    assert nwbfile.acquisition["M"].power == 2.0
    converter = OphysConverter({"movie": _movie()})
    options = {"movie": {"photon_series_type": "OnePhotonSeries"}}
    nwbfile = converter.create_nwbfile(given, options)
    assert nwbfile.acquisition["M"].neurodata_type == "OnePhotonSeries"


@pytest.mark.parametrize("streams", ["a", "ab"])
def test_document_that_was_made_without_the_option(streams: str) -> None:
    converter = OphysConverter({name: _movie() for name in streams})
    options = {name: {"photon_series_type": "OnePhotonSeries"} for name in streams}
    stated = converter.get_metadata()
    stated["Ophys"]["TwoPhotonSeries"][0] |= {"name": "Movie", "field_of_view": [1e-3, 1e-3]}
    given = to_dictionaries(stated, converter.get_metadata())
    with pytest.warns(UserWarning, match="field_of_view of the series 'Movie' is left out"):
        ophys = converter.complete_metadata(given, options)["Ophys"]
    expected = converter.get_metadata(options)["Ophys"]
    expected["OnePhotonSeries"][0]["name"] = "Movie"
    _same(ophys, expected)


def test_metadata_that_is_no_dictionary() -> None:
    for source in (_movie(), OphysConverter({"movie": _movie()})):
        with pytest.raises(MetadataError, match="it must be a dictionary"):
            source.validate_metadata({"Devices": {}, "Ophys": "x"})


def test_two_movies_are_told_apart_by_names() -> None:
    converter = OphysConverter({"a": _movie(), "b": _movie()})
    first, second = (e["name"] for e in converter.get_metadata()["Ophys"]["TwoPhotonSeries"])
    ophys = _ophys(converter, MicroscopySeries={second: {"comments": "2"}, "x": {"name": first}})
    assert [e.get("comments") for e in ophys["TwoPhotonSeries"]] == [None, "2"]
    with pytest.raises(MetadataError, match="names of the recording are"):
        _ophys(converter, MicroscopySeries={"x": {"comments": "2"}})


def test_further_planes_and_devices_are_written_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r'\["Devices"\]\["lamp"\] is written as a further entry'):
        ophys = _ophys(_movie(), Devices={"lamp": {"name": "Lamp"}})
    assert [each["name"] for each in ophys["Device"]] == ["Microscope", "Lamp"]
    with pytest.warns(UserWarning, match=r'\["ImagingPlanes"\]\["p"\] is written as a further'):
        ophys = _ophys(_movie(), ImagingPlanes={"p": {"location": "VISp"}})
    assert [each["name"] for each in ophys["ImagingPlane"]] == ["ImagingPlane", "p"]
    assert ophys["ImagingPlane"][1]["device"] == "Microscope"


def test_metadata_is_not_changed() -> None:
    given = {"Ophys": {"MicroscopySeries": {"x": {"name": "M"}}}}
    _movie().full_metadata(given)
    assert given == {"Ophys": {"MicroscopySeries": {"x": {"name": "M"}}}}


def test_link_that_is_not_given_joins_the_plane_of_the_recording(tmp_path: Path) -> None:
    """A link that the user gives means a plane of the file; the default does not."""
    _movie().run_conversion(tmp_path / "a.nwb", metadata={"NWBFile": START}, progress=False)
    for entry in ({"name": "B"}, {"name": "B", "imaging_plane_metadata_key": "ImagingPlane"}):
        given = _movie().full_metadata({"Ophys": {"MicroscopySeries": {"x": entry}}})
        assert bool(given.implied_links) is ("imaging_plane_metadata_key" in entry)


# --- what is refused -----------------------------------------------------------------------------

SERIES = [{"name": "TwoPhotonSeries", "imaging_plane": "ImagingPlane"}]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"MicroscopySeries": {"x": {}}, "TwoPhotonSeries": SERIES},
            r'\["MicroscopySeries"\] and .*\["TwoPhotonSeries"\] describe the same',
        ),
        (
            {"Devices": {"d": {"name": "Rig"}}, "Device": [{"name": "Rig"}]},
            r'\["Devices"\] and .*\["Device"\] describe the same',
        ),
        (
            {"ImagingPlanes": {"ImagingPlane": {"locaton": "V1"}}},
            r'\["ImagingPlanes"\]\["ImagingPlane"\] has the unknown key .*mean \'location\'',
        ),
        ({"ImagingPlane5": {}}, r"unknown key 'ImagingPlane5'\. Did you mean 'ImagingPlane"),
        (
            {"MicroscopySeris": {}},
            r"unknown key 'MicroscopySeris'\. Did you mean 'MicroscopySeries'",
        ),
        (
            {"MicroscopySeries": {"x": {"imaging_plane_metadata_key": "Imaging"}}},
            r"is 'Imaging', but .*no such key; keys: 'ImagingPlane'\. Did you mean 'ImagingPlane'",
        ),
        (
            {"MicroscopySeries": {"x": {"imaging_plane": "ImagingPlane"}}},
            r"Did you mean 'imaging_plane_metadata_key'",
        ),
        ({"ImagingPlanes": {"ImagingPlane": {"excitation_lambda": "920"}}}, "must be a number"),
        ({"PlaneSegmentations": {"y": {}}}, r"has 'y', but the names of the recording are: none"),
        ({"RoiResponses": {"y": {"raw": {}}}}, r"no plane segmentation has that key; keys: none"),
        ({"Devices": [{"name": "Rig"}]}, r'\["Devices"\] is a list; it must be a dictionary'),
        ({"MicroscopySeries": {"x": [1]}}, r"it must be a dictionary"),
        ({"ImagingPlanes": {"x": [1]}}, r"it must be a dictionary"),
        ({"MicroscopySeries": {"x": {}}, "TwoPhotonSeries": "x"}, "describe the same"),
        ({"Devices": {"Microscope": {}}, "Device": []}, "describe the same"),
        ({"MicroscopySeries": {"x": {}}, "ImageSegmentation": [1]}, "it must be a dictionary"),
        ({"MicroscopySeries": {"x": {"name": "a/b"}}}, "a name must not be empty"),
        ({"ImagingPlanes": {1: {"imaging_rate": "x"}}}, r'\["ImagingPlanes"\]\[1\]\["imaging'),
        ({"Devices": {"Microscope": {"type": "Lamp"}}}, "must be one of 'Device'"),
        (
            {"DeviceModels": {"m": {"name": "M", "manufacturer": "T"}}},
            "would not be written, because no device has the device_model_metadata_key 'm'",
        ),
        (
            {"Devices": {"Microscope": {"device_model_metadata_key": "x"}}},
            r"is 'x', but .*\[\"DeviceModels\"\] has no such key; keys: none",
        ),
    ],
)
def test_wrong_metadata_is_refused(given: dict[str, Any], message: str) -> None:
    top = {key: given[key] for key in ("Devices", "DeviceModels") if key in given}
    ophys = {key: each for key, each in given.items() if key not in top}
    metadata = {"NWBFile": START, **top, "Ophys": ophys}
    for source in (_movie(), OphysConverter({"movie": _movie()})):
        with pytest.raises(MetadataError, match=message) as error:
            source.validate_metadata(metadata)
        assert "\n" not in str(error.value)


def test_same_trace_in_both_forms_is_refused() -> None:
    given = {"RoiResponses": {"PlaneSegmentation": {"raw": {"name": "F"}}}}
    both = given | {"Fluorescence": {"PlaneSegmentation": {"raw": {"name": "G"}}}}
    with pytest.raises(MetadataError, match=r'"raw"\] and .*"Fluorescence"\] describe the same'):
        _ophys(_rois(), **both)


def test_functions_that_read_lists_only_refuse_dictionaries() -> None:
    nwbfile, given = (
        _movie().create_nwbfile({"NWBFile": START}),
        {"Devices": {"d": {"name": "Rig"}}},
    )
    for add in (tools.add_devices, tools.add_imaging_plane, tools.add_image_segmentation):
        with pytest.raises(MetadataError, match="reads metadata in the list form"):
            add(nwbfile, given)
    with pytest.raises(MetadataError, match="reads metadata in the list form"):
        tools.add_photon_series(_movie().extractor, nwbfile, given)
    with pytest.raises(MetadataError, match="reads metadata in the list form"):
        tools.add_segmentation(_rois().extractor, nwbfile, given)


def test_what_the_dictionary_form_cannot_say() -> None:
    interface = _movie()
    stated = interface.get_metadata()
    wrong = stated.copy()
    wrong["Ophys"]["TwoPhotonSeries"][0]["imaging_plane"] = "Other"
    with pytest.raises(MetadataError, match="names the imaging_plane 'Other'"):
        to_dictionaries(wrong, stated)
    wrong = stated.copy()
    wrong["Ophys"]["Device"] = [object()]
    with pytest.raises(MetadataError, match="give a dictionary"):
        to_dictionaries(wrong, stated)
