"""Tests of combining the metadata of several streams, and of getting back the part of each."""

from __future__ import annotations

import copy
import datetime
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynwb.device import Device

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    DeepDict,
    compose_metadata,
    get_default_ophys_metadata,
    get_default_segmentation_metadata,
)

UTC = datetime.timezone.utc
CONTAINERS = ("Fluorescence", "DfOverF", "SegmentationImages")


def _movie(kind="TwoPhotonSeries", device=None, plane=None, start=None):
    metadata = get_default_ophys_metadata()
    ophys = metadata["Ophys"]
    ophys["ImagingPlane"][0].update(plane or {})
    if device:
        ophys["Device"] = [device]
        ophys["ImagingPlane"][0]["device"] = device["name"]
    ophys[kind] = [{"name": kind, "imaging_plane": ophys["ImagingPlane"][0]["name"]}]
    if start is not None:
        metadata["NWBFile"]["session_start_time"] = start
    return metadata


def _rois(plane=None):
    metadata = get_default_segmentation_metadata()
    metadata["Ophys"]["ImagingPlane"][0].update(plane or {})
    return metadata


def _names(metadata, category):
    return [entry["name"] for entry in metadata["Ophys"][category]]


def _check_links(metadata):
    """Check that every link leads to an existing entry, and that every name is unique."""
    ophys = metadata["Ophys"]
    segmentations = ophys.get("ImageSegmentation", {}).get("plane_segmentations", [])
    series = ophys.get("TwoPhotonSeries", []) + ophys.get("OnePhotonSeries", [])
    planes, devices = _names(metadata, "ImagingPlane"), _names(metadata, "Device")
    assert {plane["device"] for plane in ophys["ImagingPlane"]} <= set(devices)
    assert {entry["imaging_plane"] for entry in series + segmentations} <= set(planes)
    for names in (planes, devices, [s["name"] for s in series], [s["name"] for s in segmentations]):
        assert len(names) == len(set(names))
    for container in CONTAINERS:
        by_plane = {k: v for k, v in ophys.get(container, {}).items() if isinstance(v, dict)}
        assert set(by_plane) <= {entry["name"] for entry in segmentations}
        members = [member["name"] for plane in by_plane.values() for member in plane.values()]
        assert len(members) == len(set(members))


def test_a_movie_and_its_rois_share_device_and_plane():
    streams = {"rois": _rois(), "movie": _movie()}
    before = copy.deepcopy(streams)
    composed = compose_metadata(streams).metadata
    assert streams == before
    assert _names(composed, "Device") == ["Microscope"]
    assert _names(composed, "ImagingPlane") == ["ImagingPlane"]
    _check_links(composed)


def test_what_the_movie_says_of_the_plane_is_said_of_the_shared_one():
    plane = {"indicator": "GCaMP6s", "imaging_rate": 30.0}
    movie = _movie(device={"name": "Olympus", "description": "2P"}, plane=plane)
    for streams in ({"m": movie, "r": _rois()}, {"r": _rois(), "m": movie}):
        composed = compose_metadata(streams).metadata
        (shared,) = composed["Ophys"]["ImagingPlane"]
        assert shared["indicator"] == "GCaMP6s"
        assert shared["device"] == "Olympus"
        assert shared["imaging_rate"] == 30
        # The device that the segmentation's defaults invented is of no plane any more.
        assert _names(composed, "Device") == ["Olympus"]
        _check_links(composed)


def test_what_the_rois_say_of_the_plane_is_added_to_what_the_movie_says():
    composed = compose_metadata(
        {"movie": _movie(plane={"indicator": "GCaMP6s"}), "rois": _rois({"location": "V1"})}
    ).metadata
    (shared,) = composed["Ophys"]["ImagingPlane"]
    assert (shared["indicator"], shared["location"]) == ("GCaMP6s", "V1")


def test_rois_of_a_plane_that_contradicts_the_movies_have_their_own():
    composed = compose_metadata(
        {"movie": _movie(plane={"location": "V1"}), "rois": _rois({"location": "M1"})}
    ).metadata
    assert _names(composed, "ImagingPlane") == ["ImagingPlaneMovie", "ImagingPlaneRois"]
    (series,) = composed["Ophys"]["TwoPhotonSeries"]
    (rois,) = composed["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    assert series["imaging_plane"] == "ImagingPlaneMovie"
    assert rois["imaging_plane"] == "ImagingPlaneRois"
    _check_links(composed)


def test_two_movies_of_unknown_planes_are_kept_apart():
    composition = compose_metadata({"left eye": _movie(), "right": _movie(), "rois": _rois()})
    composed = composition.metadata
    assert _names(composed, "TwoPhotonSeries") == [
        "TwoPhotonSeriesLeftEye",
        "TwoPhotonSeriesRight",
    ]
    assert _names(composed, "ImagingPlane")[:2] == ["ImagingPlaneLeftEye", "ImagingPlaneRight"]
    # Of which of the two the ROIs are is not known.
    assert _names(composed, "ImagingPlane")[2:] == ["ImagingPlaneRois"]
    assert _names(composed, "Device") == ["Microscope"]
    _check_links(composed)
    assert _names(composition.project(composed, "right"), "TwoPhotonSeries") == [
        "TwoPhotonSeriesRight"
    ]


def test_two_movies_of_the_same_described_plane_share_it():
    plane = {"indicator": "GCaMP6s", "grid_spacing": np.array([1e-6, 1e-6])}
    composed = compose_metadata({"a": _movie(plane=plane), "b": _movie(plane=plane)}).metadata
    assert _names(composed, "ImagingPlane") == ["ImagingPlane"]
    assert _names(composed, "TwoPhotonSeries") == ["TwoPhotonSeriesA", "TwoPhotonSeriesB"]
    _check_links(composed)


def test_different_devices_of_one_name_take_their_planes_with_them():
    plane = {"indicator": "GCaMP6s"}
    composed = compose_metadata(
        {
            "a": _movie(device={"name": "Scope", "manufacturer": "X"}, plane=plane),
            "b": _movie(device={"name": "Scope", "manufacturer": "Y"}, plane=plane),
            "c": _movie(device={"name": "Scope", "manufacturer": "X", "description": "d"}),
        }
    ).metadata
    assert composed["Ophys"]["Device"] == [
        {"name": "ScopeA", "manufacturer": "X", "description": "d"},
        {"name": "ScopeB", "manufacturer": "Y"},
    ]
    devices = {p["name"]: p["device"] for p in composed["Ophys"]["ImagingPlane"]}
    assert devices == {
        "ImagingPlaneA": "ScopeA",
        "ImagingPlaneB": "ScopeB",
        "ImagingPlaneC": "ScopeA",
    }
    _check_links(composed)


def test_rois_traces_and_images_are_kept_apart_in_every_container():
    first, second = _rois(), _rois()
    for metadata, value in ((first, "of first"), (second, "of second")):
        for container in CONTAINERS:
            for member in metadata["Ophys"][container]["PlaneSegmentation"].values():
                member["description"] = value
    composition = compose_metadata({"first": first, "second": second})
    ophys = composition.metadata["Ophys"]
    for stream in ("first", "second"):
        plane = f"PlaneSegmentation{stream.title()}"
        for container, key, name in (
            ("Fluorescence", "raw", "RoiResponseSeries"),
            ("DfOverF", "dff", "RoiResponseSeries"),
            ("SegmentationImages", "correlation", "correlation"),
        ):
            member = ophys[container][plane][key]
            assert member["name"] == name + stream.title()
            assert member["description"] == f"of {stream}"
            assert "PlaneSegmentation" not in ophys[container]
        (own,) = composition.project(composition.metadata, stream)["Ophys"]["ImageSegmentation"][
            "plane_segmentations"
        ]
        assert own["name"] == plane
    _check_links(composition.metadata)


def test_series_of_different_kinds_and_one_name_are_kept_apart():
    first, second = _movie(), _movie("OnePhotonSeries")
    second["Ophys"]["OnePhotonSeries"][0]["name"] = "TwoPhotonSeries"
    composition = compose_metadata({"a": first, "b": second})
    _check_links(composition.metadata)
    view = composition.project(composition.metadata, "b")
    assert _names(view, "OnePhotonSeries") == ["TwoPhotonSeriesB"]
    assert "TwoPhotonSeries" not in view["Ophys"]


@given(
    st.lists(
        st.text(st.sampled_from("aA b_-1дμ"), min_size=1, max_size=4),
        min_size=2,
        max_size=5,
        unique=True,
    ),
    st.data(),
)
def test_names_are_unique_and_links_right_whatever_the_streams_are_called(streams, data):
    kinds = st.sampled_from([_movie, _rois])
    given = {stream: data.draw(kinds)() for stream in streams}
    composition = compose_metadata(given)
    _check_links(composition.metadata)
    for stream, metadata in given.items():
        view = composition.project(composition.metadata, stream)
        for kind in ("TwoPhotonSeries", "OnePhotonSeries"):
            assert len(view["Ophys"].get(kind, [])) == len(metadata["Ophys"].get(kind, []))
        own = view["Ophys"].get("ImageSegmentation", {}).get("plane_segmentations", [])
        assert len(own) == ("ImageSegmentation" in metadata["Ophys"])
        for entry in own:
            for container in CONTAINERS:
                assert entry["name"] in view["Ophys"][container]


def test_a_name_made_of_a_streams_never_meets_one_that_is_there():
    third = _movie()
    third["Ophys"]["TwoPhotonSeries"][0]["name"] = "TwoPhotonSeriesA"
    third["Ophys"]["ImagingPlane"][0]["name"] = "ImagingPlaneA"
    third["Ophys"]["TwoPhotonSeries"][0]["imaging_plane"] = "ImagingPlaneA"
    composition = compose_metadata({"a": _movie(), "b": _movie(), "c": third})
    _check_links(composition.metadata)
    assert len(composition.metadata["Ophys"]["ImagingPlane"]) == 3
    (series,) = composition.project(composition.metadata, "c")["Ophys"]["TwoPhotonSeries"]
    assert series == {"name": "TwoPhotonSeriesA", "imaging_plane": "ImagingPlaneA"}


# --- projection ---------------------------------------------------------------------------------


def test_edits_reach_the_stream_whose_entry_it_is():
    composition = compose_metadata({"a": _movie(), "b": _movie(), "rois": _rois()})
    edited = copy.deepcopy(composition.metadata)
    edited["Ophys"]["TwoPhotonSeries"][1].update(name="Renamed", comments="mine")
    edited["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["name"] = "Cells"
    edited["Subject"]["subject_id"] = "M7"
    before = copy.deepcopy(edited)
    view = composition.project(edited, "b")
    assert view["Ophys"]["TwoPhotonSeries"] == [
        {"name": "Renamed", "comments": "mine", "imaging_plane": "ImagingPlaneB"}
    ]
    assert view["Subject"]["subject_id"] == "M7"
    assert composition.project(edited, "a")["Ophys"]["TwoPhotonSeries"][0]["name"] == (
        "TwoPhotonSeriesA"
    )
    own = composition.project(edited, "rois")
    assert own["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["name"] == "Cells"
    assert "TwoPhotonSeries" not in own["Ophys"]
    assert edited == before


def test_lists_may_be_given_as_tuples():
    composition = compose_metadata({"a": _movie(), "b": _movie()})
    edited = composition.metadata.to_dict()
    edited["Ophys"]["TwoPhotonSeries"] = tuple(edited["Ophys"]["TwoPhotonSeries"])
    assert _names(composition.project(edited, "b"), "TwoPhotonSeries") == ["TwoPhotonSeriesB"]


@pytest.mark.parametrize("stream", ["a", "b"])
@pytest.mark.parametrize("edit", ["first", "last", "all", "added"])
def test_entries_taken_out_or_added_are_an_error_for_every_stream(stream, edit):
    composition = compose_metadata({"a": _movie(), "b": _movie()})
    edited = composition.metadata
    series = edited["Ophys"]["TwoPhotonSeries"]
    if edit == "all":
        del edited["Ophys"]["TwoPhotonSeries"]
    elif edit == "added":
        series.append({**series[0], "name": "Third"})
    else:
        series.pop(0 if edit == "first" else -1)
    count = {"all": 0, "added": 3}.get(edit, 1)
    with pytest.raises(MetadataError) as caught:
        composition.project(edited, stream)
    assert str(caught.value) == (
        f"metadata[\"Ophys\"][\"TwoPhotonSeries\"] has {count} entries, but the streams 'a', 'b' "
        "have 2; keep their entries, in the order of get_metadata()."
    )


def test_segmentations_taken_out_are_an_error():
    composition = compose_metadata({"a": _rois()})
    composition.metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"].clear()
    with pytest.raises(
        MetadataError, match=r'"ImageSegmentation"\]\["plane_segmentations"\] has 0'
    ):
        composition.project(composition.metadata, "a")


def test_a_kind_of_series_that_only_the_user_describes_reaches_the_stream():
    """A conversion option writes the movie as the other kind of series."""
    composition = compose_metadata({"a": _movie()})
    edited = composition.metadata
    edited["Ophys"]["OnePhotonSeries"] = [{"name": "Mine", "imaging_plane": "ImagingPlane"}]
    assert _names(composition.project(edited, "a"), "OnePhotonSeries") == ["Mine"]


# --- other shapes -------------------------------------------------------------------------------


def test_foreign_metadata_pass_through():
    foreign = {
        "NWBFile": {"lab": "Theirs"},
        "Behavior": {"Position": {"reference_frame": "corner"}},
        "Ecephys": {"Device": [{"name": "Probe"}]},
        "Devices": {"probe": {"name": "Probe"}},
        "Ophys": {"MicroscopySeries": {"key": {"name": "x"}}, "Device": {"odd": "shape"}},
    }
    composition = compose_metadata({"movie": _movie(), "foreign": foreign, "none": {}})
    composed = composition.metadata
    assert composed["Behavior"] == foreign["Behavior"]
    assert composed["Ecephys"] == foreign["Ecephys"]
    assert composed["Devices"] == foreign["Devices"]
    assert composed["Ophys"]["MicroscopySeries"] == {"key": {"name": "x"}}
    assert composed["NWBFile"]["lab"] == "Theirs"
    assert composition.project(composed, "foreign")["Behavior"] == foreign["Behavior"]
    assert composition.project(composed, "none") == {
        **composed,
        "Ophys": {k: v for k, v in composed["Ophys"].items() if k != "TwoPhotonSeries"},
    }


def test_odd_entries_are_left_as_they_are():
    odd = {"Ophys": {"Device": [Device(name="Scope"), 5, {"no": "name"}], "Fluorescence": None}}
    movie = _movie()
    movie["Ophys"]["TwoPhotonSeries"].append({"description": "no name"})
    composed = compose_metadata({"odd": odd, "movie": movie, "other": _movie()}).metadata
    assert composed["Ophys"]["Device"][:3] == odd["Ophys"]["Device"]
    assert composed["Ophys"]["TwoPhotonSeries"][1] == {"description": "no name"}


def test_the_first_that_states_a_session_field_wins_and_lists_are_united():
    first, second = _movie(), _movie()
    second["NWBFile"].update(session_description="Second", lab="B", keywords=["b", "c"])
    first["NWBFile"].update(lab="A", keywords=["a", "b"])
    composed = compose_metadata({"a": first, "b": second}).metadata
    assert composed["NWBFile"]["session_description"] == "Second"
    assert composed["NWBFile"]["lab"] == "A"
    assert composed["NWBFile"]["keywords"] == ["a", "b", "c"]
    assert composed["NWBFile"]["identifier"] == first["NWBFile"]["identifier"]


# --- the start of the session -------------------------------------------------------------------

NOON = datetime.datetime(2024, 5, 17, 12, tzinfo=UTC)
TWO_HOURS_EAST = datetime.timezone(datetime.timedelta(hours=2))


def _start_of(*starts):
    streams = {f"s{index}": _movie(start=start) for index, start in enumerate(starts)}
    return compose_metadata(streams).metadata["NWBFile"].get("session_start_time")


@pytest.mark.parametrize(
    "starts",
    [
        (NOON, NOON),
        (NOON, "2024-05-17T12:00:00Z"),
        (NOON, NOON.astimezone(TWO_HOURS_EAST)),
        ("2024-05-17T12:00:00+00:00", "2024-05-17 14:00:00+02:00"),
        (NOON, None),
        (NOON, NOON.astimezone().replace(tzinfo=None)),
    ],
    ids=str,
)
def test_the_same_moment_said_in_two_ways_is_one_start(starts):
    assert _start_of(*starts) == NOON or _start_of(*starts) == starts[0]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (NOON, NOON + datetime.timedelta(microseconds=1)),
        # As texts, the later one would come first.
        ("2024-05-17T13:00:00+02:00", "2024-05-17T12:00:00+00:00"),
        (NOON.replace(tzinfo=TWO_HOURS_EAST), "2024-05-17T11:00:00Z"),
        ("2024-05-17T11:59:59Z", NOON),
        (datetime.datetime(2024, 5, 17, 8), "2024-05-17T08:00:01"),
        (datetime.date(2024, 5, 17), datetime.datetime(2024, 5, 17, 0, 0, 1)),
        ((NOON - datetime.timedelta(hours=1)).astimezone().replace(tzinfo=None), NOON),
    ],
    ids=str,
)
def test_of_different_starts_the_earliest_is_taken_with_a_warning(earlier, later):
    for starts in ((earlier, later), (later, earlier), (None, later, earlier, later)):
        with pytest.warns(UserWarning, match="different session starts: .*'s0'|'s1'") as caught:
            assert _start_of(*starts) == earlier
        assert str(earlier) in str(caught[0].message)
        assert str(later) in str(caught[0].message)


def test_the_note_of_several_starts_holds_where_another_is_given():
    """Fault: the note said that the earliest start is written, even if the user had set another."""
    words = "Unless the metadata gives another, the earliest is written."
    with pytest.warns(UserWarning, match=words):
        _start_of("2024-05-17T14:30:00+02:00", "2024-05-17T14:31:00+02:00")


def test_a_start_that_is_none_is_an_error_that_names_the_stream():
    with pytest.raises(MetadataError, match=r"of stream 's1' is 'soon'; it must be an ISO 8601"):
        _start_of(NOON, "soon")
    with pytest.raises(MetadataError, match=r"of stream 's0' is \['2024'\]; it must be a date"):
        _start_of(["2024"], NOON)


def test_no_start_is_none_invented():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _start_of(None, None) is None
    assert isinstance(compose_metadata({"a": {}}).metadata, DeepDict)
