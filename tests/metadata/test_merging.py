"""Tests of None in metadata: it is the default everywhere, also in the entries of lists."""

from __future__ import annotations

import numpy as np
import pytest
from pynwb.testing.mock.file import mock_NWBFile

from nwb_ophys import NumpyImagingInterface
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import merge_metadata
from nwb_ophys.tools import add_devices, add_imaging_plane, add_photon_series

MOVIE = np.zeros((3, 4, 5), "uint16")
START = {"session_start_time": "2024-05-17T14:30:00+02:00"}
PLANE = {
    "name": "ImagingPlane",
    "device": "Microscope",
    "indicator": "GCaMP6s",
    "location": "V1",
    "excitation_lambda": 920.0,
    "optical_channel": [{"name": "Green", "emission_lambda": 510.0, "description": "d"}],
}
DEFAULTS = {"Ophys": {"ImagingPlane": [PLANE, {**PLANE, "name": "Other", "location": "LM"}]}}


def _planes(*given):
    return merge_metadata(DEFAULTS, {"Ophys": {"ImagingPlane": list(given)}})["Ophys"][
        "ImagingPlane"
    ]


def test_none_in_an_entry_is_the_value_of_the_entry_with_the_name():
    (plane,) = _planes({"name": "Other", "location": None, "device": "Scope"})
    assert plane.to_dict() == {"name": "Other", "location": "LM", "device": "Scope"}


def test_none_in_a_renamed_entry_is_the_value_of_the_entry_in_its_place():
    first, second = _planes({"name": "A", "location": None}, {"name": "B", "location": None})
    assert (first["location"], second["location"]) == ("V1", "LM")
    first, second = _planes({"name": "Other", "location": None}, {"name": None, "location": None})
    assert (first["location"], second["location"]) == ("LM", "unknown")


def test_none_in_an_entry_beyond_those_of_the_source_is_the_mark_of_the_unknown():
    *_, third = _planes(PLANE, PLANE, {**dict.fromkeys(PLANE), "name": "Third"})
    assert (third["name"], third["location"], third["indicator"]) == ("Third", "unknown", "unknown")
    assert np.isnan(third["excitation_lambda"])


def test_none_in_a_nested_list_is_the_default_too():
    (plane,) = _planes(
        {**PLANE, "optical_channel": [{"name": "Green", "emission_lambda": None}, {"name": None}]}
    )
    first, second = plane["optical_channel"]
    assert first["emission_lambda"] == 510.0
    assert second == {}


def test_none_for_an_entry_or_a_list_is_the_default():
    assert _planes(None, {"name": "B"})[0] == PLANE
    assert merge_metadata(DEFAULTS, {"Ophys": {"ImagingPlane": None}}) == DEFAULTS
    assert merge_metadata(DEFAULTS, {"Ophys": None}) == DEFAULTS


def test_a_list_replaces_a_list_and_keys_that_are_absent_stay_so():
    assert _planes({"name": "ImagingPlane"}) == [{"name": "ImagingPlane"}]


@pytest.mark.parametrize("nothing", [None, {}, {"Ophys": {}}, {"Ophys": None}])
def test_the_functions_take_nothing_as_all_defaults(nothing):
    nwbfile = mock_NWBFile()
    add_devices(nwbfile, nothing)
    add_imaging_plane(nwbfile, nothing)
    extractor = NumpyImagingInterface(MOVIE, 10.0).extractor
    add_photon_series(extractor, nwbfile, nothing)
    assert nwbfile.imaging_planes["ImagingPlane"].location == "unknown"


def test_the_functions_take_none_in_an_entry_as_the_default():
    entry = {**PLANE, "location": None, "excitation_lambda": None, "description": None}
    entry["optical_channel"] = [{"name": "Green", "emission_lambda": None, "description": None}]
    nwbfile = mock_NWBFile()
    add_imaging_plane(nwbfile, {"Ophys": {"ImagingPlane": [entry]}})
    plane = nwbfile.imaging_planes["ImagingPlane"]
    assert plane.location == "unknown"
    assert np.isnan(plane.excitation_lambda)
    assert np.isnan(plane.optical_channel[0].emission_lambda)
    del entry["location"]
    with pytest.raises(MetadataError, match="lacks 'location'"):
        add_imaging_plane(mock_NWBFile(), {"Ophys": {"ImagingPlane": [entry]}})


def test_none_in_a_series_and_in_the_session_is_the_default():
    series = {"name": "Movie", "description": None, "unit": None, "imaging_plane": None}
    metadata = {
        "NWBFile": {**START, "lab": None, "session_description": None},
        "Subject": None,
        "Ophys": {"TwoPhotonSeries": [series]},
    }
    nwbfile = NumpyImagingInterface(MOVIE, 10.0).create_nwbfile(metadata)
    movie = nwbfile.acquisition["Movie"]
    assert movie.description == "Two-photon imaging movie."
    assert movie.imaging_plane.name == "ImagingPlane"
    assert (nwbfile.lab, nwbfile.subject) == (None, None)
