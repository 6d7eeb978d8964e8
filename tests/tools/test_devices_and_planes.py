"""Tests of devices, imaging planes and their optical channels."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
from pynwb import NWBFile
from pynwb.device import Device
from pynwb.ophys import ImagingPlane, OpticalChannel

from nwb_ophys import tools
from nwb_ophys.errors import MetadataError


def plane(**changes: Any) -> dict[str, Any]:
    channel = {"name": "Green", "emission_lambda": 513.0, "description": "green light"}
    whole = {
        "name": "Plane",
        "description": "d",
        "excitation_lambda": 920.0,
        "indicator": "GCaMP6s",
        "location": "V1",
        "device": "Microscope",
        "optical_channel": [channel],
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def test_default_device(nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, None)
    assert list(nwbfile.devices) == ["Microscope"]
    assert type(nwbfile.devices["Microscope"]) is Device


def test_an_empty_list_adds_nothing(nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, {"Ophys": {"Device": []}})
    assert len(nwbfile.devices) == 0


# pynwb warns of this field of Device on reading too.
@pytest.mark.filterwarnings("ignore:The 'manufacturer' field is deprecated:DeprecationWarning")
def test_dictionaries_and_objects_mixed(nwbfile: NWBFile, round_trip: Callable[..., Any]) -> None:
    own = Device(name="Own", description="made by the caller")
    devices = [own, {"name": "Other", "description": "o", "manufacturer": "m"}, {"name": "Third"}]
    tools.add_devices(nwbfile, {"Ophys": {"Device": devices}})
    assert list(nwbfile.devices) == ["Own", "Other", "Third"]
    assert nwbfile.devices["Own"] is own
    found = round_trip(
        nwbfile, lambda f: {name: (d.description, d.manufacturer) for name, d in f.devices.items()}
    )
    assert found == {
        "Own": ("made by the caller", None),
        "Other": ("o", "m"),
        "Third": (None, None),
    }


@pytest.mark.parametrize("second", [{"name": "Scope", "description": "new"}, None])
def test_a_name_in_the_file_is_reused(second: Any, nwbfile: NWBFile) -> None:
    first = Device(name="Scope", description="old")
    nwbfile.add_device(first)
    given = second or Device(name="Scope", description="new")
    tools.add_devices(nwbfile, {"Ophys": {"Device": [given]}})
    assert nwbfile.devices["Scope"] is first
    assert first.description == "old"
    assert len(nwbfile.devices) == 1


def test_a_name_twice_in_the_metadata_is_one_device(nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, {"Ophys": {"Device": [{"name": "A"}, {"name": "A"}]}})
    assert list(nwbfile.devices) == ["A"]


@pytest.mark.parametrize(
    ("devices", "word"),
    [
        ([{"description": "nameless"}], "'name'"),
        ([{"name": "A", "manufaturer": "typo"}], "manufaturer"),
        ([{"name": 3}], "name"),
        ({"name": "no list"}, "Device"),
        (["text"], "Device"),
    ],
)
def test_wrong_devices_are_named(devices: Any, word: str, nwbfile: NWBFile) -> None:
    with pytest.raises(MetadataError, match=word) as caught:
        tools.add_devices(nwbfile, {"Ophys": {"Device": devices}})
    assert isinstance(caught.value, ValueError)


def test_default_plane(nwbfile: NWBFile) -> None:
    tools.add_imaging_plane(nwbfile, None)
    found = nwbfile.imaging_planes["ImagingPlane"]
    assert found.device is nwbfile.devices["Microscope"]
    assert math.isnan(found.excitation_lambda)
    assert found.indicator == found.location == "unknown"
    (channel,) = found.optical_channel
    assert channel.name == "OpticalChannel"
    assert math.isnan(channel.emission_lambda)


def test_plane_by_name_with_its_device(metadata: Any, nwbfile: NWBFile) -> None:
    tools.add_imaging_plane(nwbfile, metadata, imaging_plane_name="Plane2")
    assert list(nwbfile.imaging_planes) == ["Plane2"]
    found = nwbfile.imaging_planes["Plane2"]
    assert found.device is nwbfile.devices["Scope2"]
    assert found.excitation_lambda == 920.0
    assert found.optical_channel[0].emission_lambda == 513.0


def test_two_planes(metadata: Any, nwbfile: NWBFile) -> None:
    for name in ("Plane1", "Plane2"):
        tools.add_imaging_plane(nwbfile, metadata, imaging_plane_name=name)
    assert list(nwbfile.imaging_planes) == ["Plane1", "Plane2"]
    assert nwbfile.imaging_planes["Plane1"].device.name == "Scope1"


def test_a_plane_name_there_is_a_no_op(nwbfile: NWBFile) -> None:
    given = {"Ophys": {"ImagingPlane": [plane(name="ImagingPlane", description="first")]}}
    tools.add_imaging_plane(nwbfile, given)
    first = nwbfile.imaging_planes["ImagingPlane"]
    given["Ophys"]["ImagingPlane"][0]["description"] = "second"
    tools.add_imaging_plane(nwbfile, given)
    assert nwbfile.imaging_planes["ImagingPlane"] is first
    assert first.description == "first"
    assert len(nwbfile.imaging_planes) == 1


def test_an_unknown_name_is_named_with_those_there_are(metadata: Any, nwbfile: NWBFile) -> None:
    with pytest.raises(ValueError, match="Missing") as caught:
        tools.add_imaging_plane(nwbfile, metadata, imaging_plane_name="Missing")
    assert "Plane1" in str(caught.value)
    assert "Plane2" in str(caught.value)
    assert len(nwbfile.imaging_planes) == 0


def test_index_works_with_a_deprecation_warning(metadata: Any, nwbfile: NWBFile) -> None:
    with pytest.warns(DeprecationWarning, match="imaging_plane_index") as caught:
        tools.add_imaging_plane(nwbfile, metadata, imaging_plane_index=1)
    assert list(nwbfile.imaging_planes) == ["Plane2"]
    assert caught[0].filename == __file__


def test_no_index_no_warning(metadata: Any, nwbfile: NWBFile) -> None:
    tools.add_imaging_plane(nwbfile, metadata)
    assert list(nwbfile.imaging_planes) == ["Plane1"]


def test_an_unknown_device_is_a_clear_error(nwbfile: NWBFile) -> None:
    given = {"Ophys": {"ImagingPlane": [plane(device="Nowhere")]}}
    with pytest.raises(ValueError, match="Nowhere") as caught:
        tools.add_imaging_plane(nwbfile, given)
    assert "Microscope" in str(caught.value)
    assert len(nwbfile.imaging_planes) == 0


def test_a_device_in_the_file_need_not_be_in_the_metadata(nwbfile: NWBFile) -> None:
    nwbfile.add_device(Device(name="There"))
    given = {"Ophys": {"Device": [], "ImagingPlane": [plane(device="There")]}}
    tools.add_imaging_plane(nwbfile, given)
    assert nwbfile.imaging_planes["Plane"].device is nwbfile.devices["There"]
    assert list(nwbfile.devices) == ["There"]


@pytest.mark.parametrize(
    "field",
    ["name", "excitation_lambda", "indicator", "location", "device", "optical_channel"],
)
def test_a_plane_that_lacks_a_field_is_a_clear_error(field: str, nwbfile: NWBFile) -> None:
    with pytest.raises(ValueError, match=f"'{field}'"):
        tools.add_imaging_plane(nwbfile, {"Ophys": {"ImagingPlane": [plane(**{field: ...})]}})
    assert len(nwbfile.imaging_planes) == 0


@pytest.mark.parametrize("field", ["name", "emission_lambda"])
def test_an_optical_channel_that_lacks_a_field(field: str, nwbfile: NWBFile) -> None:
    channel = {"name": "Green", "emission_lambda": 513.0, "description": "d"}
    del channel[field]
    with pytest.raises(ValueError, match=f"'{field}'") as caught:
        tools.add_imaging_plane(
            nwbfile, {"Ophys": {"ImagingPlane": [plane(optical_channel=[channel])]}}
        )
    assert "optical_channel" in str(caught.value)


def test_several_optical_channels_and_other_fields(
    nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    channels = [
        {"name": name, "emission_lambda": value, "description": name}
        for name, value in (("Green", 513.0), ("Red", 607.0))
    ]
    given = plane(
        optical_channel=channels,
        imaging_rate=12.5,
        origin_coords=[1.0, 2.0, 3.0],
        origin_coords_unit="micrometers",
        grid_spacing=[0.5, 0.25],
        grid_spacing_unit="micrometers",
        reference_frame="bregma",
    )
    tools.add_imaging_plane(nwbfile, {"Ophys": {"ImagingPlane": [given]}})

    def look(read: NWBFile) -> Any:
        found = read.imaging_planes["Plane"]
        light = {c.name: float(c.emission_lambda) for c in found.optical_channel}
        return light, found.imaging_rate, list(found.grid_spacing[:]), found.reference_frame

    light, rate, spacing, frame = round_trip(nwbfile, look)
    assert light == {"Green": 513.0, "Red": 607.0}
    assert (rate, spacing, frame) == (12.5, [0.5, 0.25], "bregma")


def test_create_makes_a_plane_without_adding_it(nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, None)
    given = plane()
    before = copy.deepcopy(given)
    made = tools._create_imaging_plane_from_metadata(nwbfile, given)
    assert type(made) is ImagingPlane
    assert made.name == "Plane"
    assert made.device is nwbfile.devices["Microscope"]
    assert type(made.optical_channel[0]) is OpticalChannel
    assert len(nwbfile.imaging_planes) == 0
    assert given == before


@pytest.mark.parametrize("field", ["name", "excitation_lambda", "location", "device"])
def test_create_refuses_a_plane_that_lacks_a_field(field: str, nwbfile: NWBFile) -> None:
    tools.add_devices(nwbfile, None)
    with pytest.raises(ValueError, match=f"'{field}'"):
        tools._create_imaging_plane_from_metadata(nwbfile, plane(**{field: ...}))


def test_create_refuses_an_unknown_device(nwbfile: NWBFile) -> None:
    with pytest.raises(ValueError, match="Microscope"):
        tools._create_imaging_plane_from_metadata(nwbfile, plane())


def test_a_device_with_a_model(nwbfile: NWBFile, round_trip: Callable[..., Any]) -> None:
    model = {"name": "Bergamo", "manufacturer": "Thorlabs", "model_number": "II"}
    devices = [{"name": "A", "model": model}, {"name": "B", "model": model}]
    tools.add_devices(nwbfile, {"Ophys": {"Device": devices}})

    def look(read: NWBFile) -> Any:
        first, second = read.devices["A"].model, read.devices["B"].model
        return first is second, first.name, first.manufacturer, first.model_number

    assert round_trip(nwbfile, look) == (True, "Bergamo", "Thorlabs", "II")


def test_a_ready_optical_channel(nwbfile: NWBFile) -> None:
    channel = OpticalChannel(name="Ready", description="d", emission_lambda=500.0)
    given = {"Ophys": {"ImagingPlane": [plane(optical_channel=[channel])]}}
    tools.add_imaging_plane(nwbfile, given)
    assert nwbfile.imaging_planes["Plane"].optical_channel[0] is channel


def test_the_model_that_a_device_states_is_a_device_model(
    nwbfile: NWBFile, round_trip: Callable[..., Any]
) -> None:
    """pynwb has deprecated these fields of Device, and warns when it reads a file with them."""
    known = {"manufacturer": "Thorlabs", "model_name": "Bergamo", "model_number": "II"}
    tools.add_devices(nwbfile, {"Ophys": {"Device": [{"name": "Scope", **known}]}})

    def look(read: NWBFile) -> Any:
        scope = read.devices["Scope"]
        stated = (scope.manufacturer, scope.model_name, scope.model_number)
        return stated, scope.model.name, scope.model.manufacturer, scope.model.model_number

    assert round_trip(nwbfile, look) == ((None, None, None), "Bergamo", "Thorlabs", "II")


def test_a_model_that_has_no_place_of_its_own_stays_with_the_device(nwbfile: NWBFile) -> None:
    """The name belongs to another model in the file, or is not allowed in a file."""
    devices = [
        {"name": "A", "model_name": "X", "manufacturer": "One"},
        {"name": "B", "model_name": "X", "manufacturer": "Other"},
        {"name": "C", "model_name": "X/2", "manufacturer": "One"},
        {"name": "D", "model_name": "X"},
    ]
    tools.add_devices(nwbfile, {"Ophys": {"Device": devices}})
    found = nwbfile.devices
    assert found["A"].model.manufacturer == "One"
    assert [found[name].model for name in "BCD"] == [None, None, None]
    assert [found[name].model_name for name in "BCD"] == ["X", "X/2", "X"]
    assert found["B"].manufacturer == "Other"
