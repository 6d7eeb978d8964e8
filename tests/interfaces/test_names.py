"""Tests of two recordings in one file: each states its own facts, whatever the names are.

The files are read with pynwb, h5py and zarr; the rules of the package are not used to check them.
"""

from __future__ import annotations

import hashlib
import warnings
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
    assert message.startswith(field)
    ours, theirs = (value_of(where, key, relation, which) for which in (1, 0))
    if key == "model":
        ours, theirs = ours["name"], None if theirs is None else theirs["name"]
    assert repr(ours) in message
    assert (repr(theirs) if theirs is not None else "does not state it") in message
    what = (
        "the device and the plane names of their own" if where == "device" else "the plane a name"
    )
    assert f"; give {what}" in message
