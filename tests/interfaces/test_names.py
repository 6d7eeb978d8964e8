"""Tests of two recordings in one file: each states its own facts, whatever the names are.

The files are read with pynwb, h5py and zarr; the rules of the package are not used to check them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb.device import Device
from pynwb.ophys import ImagingPlane, OpticalChannel
from pynwb.testing.mock.file import mock_NWBFile

from nwb_ophys import NumpyImagingInterface, NumpySegmentationInterface, OphysConverter
from nwb_ophys.errors import MetadataError
from nwb_ophys.storage import get_backend

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
QUIET = {"progress": False, "workers": 0}
MOVIE = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5)

#: A value of each fact, another one, and where the fact is.
PLANE_FACTS = {
    "description": ("Layer 2.", "Layer 5."),
    "location": ("VISp", "LM"),
    "indicator": ("GCaMP6s", "jRGECO1a"),
    "excitation_lambda": (920.0, 1040.0),
    "imaging_rate": (30.0, 7.5),
    "reference_frame": ("bregma", "lambda"),
    "origin_coords": ([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
    "grid_spacing": ([1e-6, 1e-6], [2.5e-7, 2.5e-7]),
}
CHANNEL_FACTS = {
    "name": ("Green", "Red"),
    "emission_lambda": (510.0, 610.0),
    "description": ("PMT 1", "PMT 2"),
}
DEVICE_FACTS = {
    "description": ("Scope A", "Scope B"),
    "manufacturer": ("Maker", "Other maker"),
    "serial_number": ("1", "2"),
    "model_number": ("M-1", "M-2"),
    "model_name": ("One", "Two"),
    "model": ({"name": "One", "manufacturer": "Maker"}, {"name": "Two", "manufacturer": "Other"}),
}
FACTS = (
    [("plane", key) for key in PLANE_FACTS]
    + [("channel", key) for key in CHANNEL_FACTS]
    + [("device", key) for key in DEVICE_FACTS]
)
VALUES = {"plane": PLANE_FACTS, "channel": CHANNEL_FACTS, "device": DEVICE_FACTS}
#: Facts of the first and of the second recording: index of the value, or None where absent.
RELATIONS = {"same": (0, 0), "other": (0, 1), "absent": (0, None), "added": (None, 0)}

pytestmark = pytest.mark.filterwarnings("ignore:The 'm.*' field is deprecated:DeprecationWarning")


def movie(seed: int = 0) -> NumpyImagingInterface:
    return NumpyImagingInterface(MOVIE + np.uint16(seed), 10.0)


def rois() -> NumpySegmentationInterface:
    masks = np.zeros((6, 5, 2), np.float32)
    masks[1, 1, 0] = masks[2, 3, 1] = 1
    return NumpySegmentationInterface(
        image_masks=masks, raw=np.ones((4, 2)), sampling_frequency=10.0
    )


def described(
    interface: Any, series: str, where: str, key: str, value: Any, names: str = ""
) -> Any:
    """Return the metadata of an interface with one fact, and names of the user's own."""
    metadata = interface.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    ophys = metadata["Ophys"]
    (device,), (plane,) = ophys["Device"], ophys["ImagingPlane"]
    entry = {"plane": plane, "device": device, "channel": plane["optical_channel"][0]}[where]
    if value is not None:
        entry[key] = value
    if "TwoPhotonSeries" in ophys:
        linking = ophys["TwoPhotonSeries"]
        linking[0]["name"] = series
    else:
        linking = ophys["ImageSegmentation"]["plane_segmentations"]
    if names:
        device["name"] = plane["device"] = f"{names}Scope"
        plane["name"] = linking[0]["imaging_plane"] = f"{names}Plane"
    return metadata


def facts_of(plane: ImagingPlane) -> dict[tuple[str, str], Any]:
    """Return what a plane of a file states, without names and marks of unknown values."""
    (channel,) = plane.optical_channel
    device = plane.device
    unknown = ("unknown", "The plane or volume that was imaged.", "OpticalChannel", "Microscope")
    unknown += ("The channel of light that was recorded.",)
    found = {("plane", key): getattr(plane, key) for key in PLANE_FACTS}
    found |= {("channel", key): getattr(channel, key) for key in CHANNEL_FACTS}
    found |= {("device", key): getattr(device, key) for key in DEVICE_FACTS if key != "model"}
    if device.model is not None:
        found["device", "model"] = {
            "name": device.model.name,
            "manufacturer": device.model.manufacturer,
        }
    plain = {
        key: value
        if value is None or isinstance(value, (str, dict))
        else np.asarray(value).tolist()
        for key, value in found.items()
    }
    return {k: v for k, v in plain.items() if v is not None and v == v and v not in unknown}


def planes_in(nwbfile: Any) -> dict[str, tuple[str, dict[tuple[str, str], Any]]]:
    """Return the name and the facts of the plane of each series and segmentation."""
    linking = dict(nwbfile.acquisition)
    if "ophys" in nwbfile.processing:
        linking |= nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    return {
        name: (each.imaging_plane.name, facts_of(each.imaging_plane))
        for name, each in linking.items()
    }


def planes_of(path: Path, backend: str) -> dict[str, tuple[str, dict[tuple[str, str], Any]]]:
    with get_backend(backend).open(path, "r") as io:
        return planes_in(io.read())


def fingerprint(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def stated(where: str, key: str, relation: str, which: int) -> dict[tuple[str, str], Any]:
    index = RELATIONS[relation][which]
    return {} if index is None else {(where, key): VALUES[where][key][index]}


def value_of(where: str, key: str, relation: str, which: int) -> Any:
    return stated(where, key, relation, which).get((where, key))


# --- two movies, one after the other -------------------------------------------------------------


def two_movies(where: str, key: str, relation: str, names: str) -> list[Any]:
    """Return the metadata of two movies, which differ in at most one fact."""
    return [
        described(movie(), series, where, key, value_of(where, key, relation, which), names)
        for which, series in enumerate(("First", "Second"))
    ]


def assert_own_facts(found: Any, where: str, key: str, relation: str, names: str) -> None:
    """Check that the plane of each movie states what its own metadata states, and no more."""
    assert found["First"][1] == stated(where, key, relation, 0)
    if names and relation == "absent":  # the user named the plane that the file has
        assert found["Second"] == found["First"]
        return
    assert found["Second"][1] == stated(where, key, relation, 1)
    is_shared = found["First"][0] == found["Second"][0]
    assert is_shared == (relation == "same")
    assert found["Second"][0] == ("MyPlane" if names else "ImagingPlane" + "2" * (not is_shared))


with_names = pytest.mark.parametrize("names", ["", "My"], ids=["default names", "names given"])


@with_names
@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(("where", "key"), FACTS, ids=lambda value: value)
def test_each_of_two_movies_states_its_own_facts(where, key, relation, names):
    nwbfile = mock_NWBFile()
    one, two = two_movies(where, key, relation, names)
    movie().add_to_nwbfile(nwbfile, one)
    if names and relation in ("other", "added"):
        with pytest.raises(MetadataError) as caught:
            movie(1).add_to_nwbfile(nwbfile, two)
        assert_names_both(str(caught.value), where, key, relation)
        assert list(nwbfile.acquisition) == ["First"]
        return
    movie(1).add_to_nwbfile(nwbfile, two)
    assert_own_facts(planes_in(nwbfile), where, key, relation, names)


@with_names
@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize(
    ("where", "key"), [("plane", "grid_spacing"), ("channel", "name"), ("device", "model")]
)
def test_each_of_two_movies_in_a_file_states_its_own_facts(
    tmp_path, backend, where, key, relation, names
):
    path = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    one, two = two_movies(where, key, relation, names)
    movie().run_conversion(path, metadata=one, backend=backend, **QUIET)
    before = fingerprint(path)
    if names and relation in ("other", "added"):
        with pytest.raises(MetadataError) as caught:
            movie(1).run_conversion(path, metadata=two, append=True, **QUIET)
        assert_names_both(str(caught.value), where, key, relation)
        assert fingerprint(path) == before
        assert [each.name for each in tmp_path.iterdir()] == [path.name]
        return
    movie(1).run_conversion(path, metadata=two, append=True, **QUIET)
    assert_own_facts(planes_of(path, backend), where, key, relation, names)


def assert_names_both(message: str, where: str, key: str, relation: str) -> None:
    field = {
        "plane": f'metadata["Ophys"]["ImagingPlane"][0]["{key}"]',
        "channel": f'metadata["Ophys"]["ImagingPlane"][0]["optical_channel"][0]["{key}"]',
        "device": f'metadata["Ophys"]["Device"][0]["{key}"]',
    }[where]
    if (where, key) == ("channel", "name"):
        field = 'metadata["Ophys"]["ImagingPlane"][0]["optical_channel"]'
    if key == "model":
        field += '["name"]'
    assert key == "model" or message.startswith(field)
    (message,) = [line for line in message.split("\n- ") if line.startswith(field)]
    ours, theirs = (value_of(where, key, relation, which) for which in (1, 0))
    if key == "model":
        ours, theirs = ours["name"], None if theirs is None else theirs["name"]
    assert repr(ours) in message
    assert (repr(theirs) if theirs is not None else "does not state it") in message
    what = (
        "the device and the plane names of their own" if where == "device" else "the plane a name"
    )
    assert f"; give {what}" in message


@pytest.mark.parametrize("unit", ["millimeters", None])
@pytest.mark.parametrize("key", ["origin_coords", "grid_spacing"])
def test_a_unit_is_a_fact_of_its_numbers(key, unit):
    nwbfile = mock_NWBFile()
    one, two = two_movies("plane", key, "same", "")
    two["Ophys"]["ImagingPlane"][0][f"{key}_unit"] = unit
    movie().add_to_nwbfile(nwbfile, one)
    movie(1).add_to_nwbfile(nwbfile, two)
    planes = {series.imaging_plane for series in nwbfile.acquisition.values()}
    assert len(planes) == (2 if unit else 1)
    assert getattr(nwbfile.acquisition["Second"].imaging_plane, f"{key}_unit") == (unit or "meters")


def test_a_third_movie_uses_the_plane_that_was_renamed():
    nwbfile = mock_NWBFile()
    for number, location in enumerate(("V1", "LM", "LM", "V1", "AL")):
        metadata = described(movie(), f"Movie{number}", "plane", "location", location)
        movie(number).add_to_nwbfile(nwbfile, metadata)
    names = [series.imaging_plane.name for series in nwbfile.acquisition.values()]
    assert names == [
        *("ImagingPlane", "ImagingPlane2", "ImagingPlane2", "ImagingPlane", "ImagingPlane3")
    ]
    assert [plane.location for plane in nwbfile.imaging_planes.values()] == ["V1", "LM", "AL"]
    assert list(nwbfile.devices) == ["Microscope"]


def test_a_name_that_ends_with_a_digit_keeps_its_number(monkeypatch):
    nwbfile = mock_NWBFile()
    monkeypatch.setattr(NumpyImagingInterface, "part", lambda self: "Channel 1")
    for location in ("V1", "LM"):
        metadata = described(movie(), location, "plane", "location", location)
        movie().add_to_nwbfile(nwbfile, metadata)
    assert list(nwbfile.imaging_planes) == ["ImagingPlaneChannel1", "ImagingPlaneChannel1_2"]


def test_the_metadata_of_the_user_is_not_changed():
    nwbfile = mock_NWBFile()
    one, two = two_movies("device", "description", "other", "")
    movie().add_to_nwbfile(nwbfile, one)
    before = two.to_dict()
    movie().add_to_nwbfile(nwbfile, two)
    assert two.to_dict() == before
    assert list(nwbfile.devices) == ["Microscope", "Microscope2"]


def test_what_the_files_state_is_not_lost_where_only_the_series_is_named(tmp_path, monkeypatch):
    """The entry of a series needs a link, which says nothing of the plane."""
    path = tmp_path / "a.nwb"
    facts = [{"imaging_rate": 30.0, "grid_spacing": [1e-6, 1e-6]}, {"imaging_rate": 7.5}]
    for name, stated_facts in zip(("First", "Second"), facts, strict=True):
        stated_in_files = {"Ophys": {"ImagingPlane": [stated_facts]}}
        monkeypatch.setattr(NumpyImagingInterface, "describe", lambda self, s=stated_in_files: s)
        given = {"TwoPhotonSeries": [{"name": name, "imaging_plane": "ImagingPlane"}]}
        movie().run_conversion(path, metadata={**START, "Ophys": given}, append=True, **QUIET)
    found = planes_of(path, "hdf5")
    assert found["First"][1]["plane", "imaging_rate"] == 30.0
    assert found["Second"] == ("ImagingPlane2", {("plane", "imaging_rate"): 7.5})


# --- ROIs, and links to planes of the file -----------------------------------------------------


def roi_metadata(plane: str = "ImagingPlane", **facts: Any) -> Any:
    metadata = rois().get_metadata()
    metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"][0]["imaging_plane"] = plane
    metadata["Ophys"]["ImagingPlane"][0].update(facts)
    return metadata


def test_rois_that_state_nothing_of_their_plane_lie_on_that_of_the_movie(tmp_path, backend):
    path = tmp_path / "a.nwb"
    one = described(movie(), "First", "plane", "location", "VISp")
    one["Ophys"]["Device"][0].update(name="Scope", description="A scope.")
    one["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    movie().run_conversion(path, metadata=one, backend=backend, **QUIET)
    rois().run_conversion(path, append=True, **QUIET)
    found = planes_of(path, backend)
    assert found["PlaneSegmentation"] == found["First"]
    with get_backend(backend).open(path, "r") as io:
        assert list(io.read().devices) == ["Scope"]


@pytest.mark.parametrize("facts", [{"location": "LM"}, {"imaging_rate": 30.0}])
def test_rois_that_state_more_of_their_plane_have_their_own(facts):
    nwbfile = mock_NWBFile()
    movie().add_to_nwbfile(nwbfile, described(movie(), "First", "plane", "location", "VISp"))
    rois().add_to_nwbfile(nwbfile, roi_metadata(**facts))
    name, found = planes_in(nwbfile)["PlaneSegmentation"]
    assert name == "ImagingPlane2"
    assert found == {("plane", key): value for key, value in facts.items()}


def test_rois_follow_the_movie_that_is_appended_with_them(tmp_path, backend):
    path = tmp_path / "a.nwb"
    one = described(movie(), "First", "plane", "location", "VISp")
    movie().run_conversion(path, metadata=one, backend=backend, **QUIET)
    converter = OphysConverter({"movie": movie(1), "rois": rois()})
    metadata = converter.get_metadata()
    metadata["Ophys"]["ImagingPlane"][0]["location"] = "LM"
    metadata["Ophys"]["Device"][0]["description"] = "Another."
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Second"
    converter.run_conversion(path, metadata=metadata, append=True, **QUIET)
    found = planes_of(path, backend)
    assert found["PlaneSegmentation"] == found["Second"]
    assert found["Second"] == (
        "ImagingPlane2",
        {("plane", "location"): "LM", ("device", "description"): "Another."},
    )
    assert found["First"] == ("ImagingPlane", {("plane", "location"): "VISp"})


@pytest.mark.parametrize("has_entry", [True, False])
@pytest.mark.parametrize("make", [movie, rois])
def test_a_plane_of_the_file_is_linked_to_by_its_name(tmp_path, backend, make, has_entry):
    path = tmp_path / "a.nwb"
    one = described(movie(), "First", "plane", "location", "VISp", "My")
    movie().run_conversion(path, metadata=one, backend=backend, **QUIET)
    if has_entry:
        metadata = make().get_metadata()
    else:
        metadata = {"Ophys": {}}
        if make is movie:
            metadata["Ophys"]["TwoPhotonSeries"] = [{"name": "TwoPhotonSeries"}]
        else:
            entry = {"name": "PlaneSegmentation"}
            metadata["Ophys"]["ImageSegmentation"] = {"plane_segmentations": [entry]}
    ophys = metadata["Ophys"]
    entries = ophys.get("TwoPhotonSeries") or ophys["ImageSegmentation"]["plane_segmentations"]
    entries[0]["imaging_plane"] = "MyPlane"
    make().run_conversion(path, metadata=metadata, append=True, **QUIET)
    found = planes_of(path, backend)
    assert all(each == found["First"] for each in found.values())
    with get_backend(backend).open(path, "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.imaging_planes) == ["MyPlane"]
        assert list(nwbfile.devices) == ["MyScope"]


def test_a_series_alone_that_links_to_the_plane_of_the_file_gets_it():
    nwbfile = mock_NWBFile()
    movie().add_to_nwbfile(nwbfile, described(movie(), "First", "plane", "location", "VISp"))
    entry = {"name": "Second", "imaging_plane": "ImagingPlane"}
    movie().add_to_nwbfile(nwbfile, {"Ophys": {"TwoPhotonSeries": [entry]}})
    found = planes_in(nwbfile)
    assert found["Second"] == found["First"]


@pytest.mark.parametrize("make", [movie, rois])
@pytest.mark.parametrize("is_joined", [True, False])
def test_a_link_to_no_plane_is_refused_with_the_names_of_all(make, is_joined):
    nwbfile = mock_NWBFile()
    if is_joined:
        one = described(movie(), "First", "plane", "location", "V1", "My")
        movie().add_to_nwbfile(nwbfile, one)
    metadata = make().get_metadata()
    ophys = metadata["Ophys"]
    entries = ophys.get("TwoPhotonSeries") or ophys["ImageSegmentation"]["plane_segmentations"]
    entries[0]["imaging_plane"] = "Plane"
    known = "'ImagingPlane', 'MyPlane'" if is_joined else "'ImagingPlane'"
    with pytest.raises(MetadataError, match=f"is 'Plane', but no imaging plane .*: {known}"):
        make().run_conversion(nwbfile=nwbfile, metadata=metadata)


def test_a_plane_may_link_to_a_device_of_the_file():
    nwbfile = mock_NWBFile()
    nwbfile.add_device(Device(name="Scope", description="Of the file."))
    metadata = movie().get_metadata()
    metadata["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    movie().add_to_nwbfile(nwbfile, metadata)
    assert list(nwbfile.devices) == ["Scope"]
    metadata["Ophys"]["ImagingPlane"][0]["device"] = "Other"
    with pytest.raises(MetadataError, match="no device has that name; devices: 'Microscope', 'Sc"):
        movie().add_to_nwbfile(nwbfile, metadata)


def test_a_plane_of_the_same_facts_and_another_device_is_another_plane():
    nwbfile = mock_NWBFile()
    device = Device(name="Camera")
    nwbfile.add_device(device)
    channel = OpticalChannel(name="OpticalChannel", description="d", emission_lambda=np.nan)
    nwbfile.add_imaging_plane(
        ImagingPlane(
            name="ImagingPlane",
            description="The plane or volume that was imaged.",
            device=device,
            optical_channel=[channel],
            excitation_lambda=np.nan,
            indicator="unknown",
            location="unknown",
        )
    )
    movie().add_to_nwbfile(nwbfile, movie().get_metadata())
    assert nwbfile.acquisition["TwoPhotonSeries"].imaging_plane.name == "ImagingPlane2"
    assert nwbfile.imaging_planes["ImagingPlane2"].device.name == "Microscope"


def test_a_device_object_is_compared_too():
    nwbfile = mock_NWBFile()
    nwbfile.add_device(Device(name="Scope", description="Of the file."))
    metadata = movie().get_metadata()
    metadata["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    metadata["Ophys"]["Device"] = [Device(name="Scope", description="Of the user.")]
    with pytest.raises(MetadataError, match=r"is 'Of the user\.', but the device 'Scope' in the"):
        movie().add_to_nwbfile(nwbfile, metadata)
    metadata["Ophys"]["Device"] = [nwbfile.devices["Scope"]]
    movie().add_to_nwbfile(nwbfile, metadata)
    assert list(nwbfile.devices) == ["Scope"]


def test_a_device_model_of_the_file_keeps_its_facts():
    nwbfile = mock_NWBFile()
    one = described(movie(), "First", "device", "model", {"name": "B", "manufacturer": "Maker"})
    movie().add_to_nwbfile(nwbfile, one)
    two = described(movie(), "Second", "device", "model", {"name": "B", "manufacturer": "Other"})
    with pytest.raises(MetadataError, match=r'\["model"\]\["manufacturer"\] is \'Other\', but the'):
        movie().add_to_nwbfile(nwbfile, two)


# --- names that are twice in the metadata -------------------------------------------------------


def twice(category: str, key: str, first: Any, second: Any) -> Any:
    """Return the metadata of a movie in which two entries have one name."""
    metadata = movie().get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    entries = metadata["Ophys"][category]
    entries[:] = [{**entries[0], key: value} for value in (first, second)]
    return metadata


DUPLICATES = {
    "Device": ("description", "A", "B"),
    "ImagingPlane": ("imaging_rate", 30.0, 7.5),
    "TwoPhotonSeries": ("comments", "one", "two"),
}


@pytest.mark.parametrize("category", DUPLICATES)
@pytest.mark.parametrize("relation", ["same", "other", "added"])
def test_two_entries_of_one_name(tmp_path, category, relation):
    key, one, two = DUPLICATES[category]
    values = {"same": (one, one), "other": (one, two), "added": (None, two)}[relation]
    metadata = twice(category, key, *values)
    path = tmp_path / "a.nwb"
    if relation == "same":
        movie().run_conversion(path, metadata=metadata, **QUIET)
        assert list(planes_of(path, "hdf5")) == ["TwoPhotonSeries"]
        return
    for check in (
        movie().validate_metadata,
        lambda given: movie().run_conversion(path, metadata=given, **QUIET),
    ):
        with pytest.raises(MetadataError) as caught:
            check(metadata)
        message = str(caught.value)
        assert message.startswith(f'metadata["Ophys"]["{category}"][1]["{key}"] is {two!r}, but ')
        assert f'metadata["Ophys"]["{category}"][0], which has the same name' in message
        assert (repr(one) if relation == "other" else "does not state it") in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("emission", [510.0, 610.0])
def test_two_channels_of_one_name(emission):
    metadata = movie().get_metadata()
    (plane,) = metadata["Ophys"]["ImagingPlane"]
    plane["optical_channel"] = [
        {"name": "Green", "emission_lambda": value} for value in (510.0, emission)
    ]
    metadata["NWBFile"].update(START["NWBFile"])
    if emission == 510.0:
        nwbfile = movie().create_nwbfile(metadata)
        assert len(nwbfile.imaging_planes["ImagingPlane"].optical_channel) == 1
        return
    with pytest.raises(
        MetadataError, match=r'\["optical_channel"\]\[1\]\["emission_lambda"\] is 6'
    ):
        movie().create_nwbfile(metadata)


def test_two_tables_of_rois_of_one_name():
    metadata = rois().get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    entries = metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]
    entries.append({**entries[0], "description": "Others."})
    with pytest.raises(MetadataError, match=r'\["plane_segmentations"\]\[1\]\["description"\] is'):
        rois().create_nwbfile(metadata)


def test_two_streams_with_planes_of_one_name():
    converter = OphysConverter({"a": movie(), "b": movie(1)})
    metadata = converter.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    planes, series = metadata["Ophys"]["ImagingPlane"], metadata["Ophys"]["TwoPhotonSeries"]
    for plane, location in zip(planes, ("VISp", "LM"), strict=True):
        plane.update(name="P", location=location)
    for entry in series:
        entry["imaging_plane"] = "P"
    with pytest.raises(MetadataError, match=r'"ImagingPlane"\]\[1\]\["location"\] is \'LM\', but'):
        converter.create_nwbfile(metadata)
    planes[1]["location"] = "VISp"
    nwbfile = converter.create_nwbfile(metadata)
    assert list(nwbfile.imaging_planes) == ["P"]
    assert len(nwbfile.acquisition) == 2


def test_two_streams_with_series_of_one_name(tmp_path):
    converter = OphysConverter({"a": movie(), "b": movie(1)})
    metadata = converter.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    for entry in metadata["Ophys"]["TwoPhotonSeries"]:
        entry["name"] = "Movie"
    with pytest.raises(MetadataError, match="'acquisition' already has an object 'Movie'"):
        converter.run_conversion(tmp_path / "a.nwb", metadata=metadata, **QUIET)
    # In different containers the name is used once each.
    options = {"b": {"parent_container": "processing/ophys"}}
    nwbfile = converter.create_nwbfile(metadata, options)
    assert "Movie" in nwbfile.acquisition
    assert "Movie" in nwbfile.processing["ophys"].data_interfaces


# --- containers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "name", "other"),
    [
        ("Fluorescence", "ImageSegmentation", "ImageSegmentation"),
        ("DfOverF", "Fluorescence", "Fluorescence"),
        ("SegmentationImages", "Fluorescence", "Fluorescence"),
    ],
)
def test_a_container_does_not_take_the_name_of_one_of_another_type(category, name, other):
    masks = np.zeros((6, 5, 2), np.float32)
    masks[1, 1, 0] = masks[2, 3, 1] = 1
    whole = NumpySegmentationInterface(
        image_masks=masks,
        raw=np.ones((4, 2)),
        dff=np.ones((4, 2)),
        mean_image=np.ones((6, 5)),
        sampling_frequency=10.0,
    )
    metadata = whole.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    metadata["Ophys"][category]["name"] = name
    with pytest.raises(MetadataError, match=f"The name '{name}' of the .* belongs to a {other} in"):
        whole.add_to_nwbfile(mock_NWBFile(), metadata)


def test_two_traces_are_not_written_as_one_series():
    masks = np.zeros((6, 5, 2), np.float32)
    masks[1, 1, 0] = masks[2, 3, 1] = 1
    both = NumpySegmentationInterface(
        image_masks=masks,
        raw=np.ones((4, 2)),
        neuropil=np.zeros((4, 2)),
        sampling_frequency=10.0,
    )
    metadata = both.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    traces = metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]
    traces["neuropil"]["name"] = traces["raw"]["name"]
    with pytest.raises(MetadataError, match=r'\["neuropil"\]\["name"\] is \'RoiResponseSeries\''):
        both.create_nwbfile(metadata)


@pytest.mark.parametrize("is_named", [True, False])
def test_images_are_not_described_by_those_of_others(is_named):
    def of(description, names):
        masks = np.zeros((6, 5, 2), np.float32)
        masks[1, 1, 0] = masks[2, 3, 1] = 1
        interface = NumpySegmentationInterface(
            image_masks=masks, mean_image=np.ones((6, 5)), sampling_frequency=10.0
        )
        metadata = interface.get_metadata()
        ophys = metadata["Ophys"]
        ophys["SegmentationImages"]["description"] = description
        if is_named:
            ophys["SegmentationImages"]["name"] = "Pictures"
        if names:
            ophys["ImageSegmentation"]["plane_segmentations"][0]["name"] = names
        return interface, metadata

    nwbfile = mock_NWBFile()
    interface, metadata = of("Of the first.", "")
    interface.add_to_nwbfile(nwbfile, metadata)
    interface, metadata = of("Of the second.", "Second")
    if is_named:
        with pytest.raises(MetadataError, match=r'"SegmentationImages"\]\["description"\] is \'Of'):
            interface.add_to_nwbfile(nwbfile, metadata)
        return
    interface.add_to_nwbfile(nwbfile, metadata)
    containers = nwbfile.processing["ophys"].data_interfaces
    assert containers["SegmentationImages"].description == "Of the first."
    assert containers["SegmentationImages2"].description == "Of the second."
