"""Tests of conversion options that change the metadata, in interfaces and converters."""

from __future__ import annotations

import numpy as np
import pytest

from nwb_ophys import NumpyImagingInterface, NumpySegmentationInterface, OphysConverter
from nwb_ophys.errors import MetadataError
from nwb_ophys.testing import simulate_recording, write_caiman

ONE = {"photon_series_type": "OnePhotonSeries"}
START = {"session_start_time": "2024-05-17T14:30:00+02:00"}


def _movie(value=0):
    return NumpyImagingInterface(np.full((3, 4, 5), value, "uint16"), 10.0)


def test_the_metadata_describe_the_type_that_is_requested():
    (series,) = _movie().get_metadata(**ONE)["Ophys"]["OnePhotonSeries"]
    assert (series["name"], series["description"]) == (
        "OnePhotonSeries",
        "One-photon imaging movie.",
    )
    assert "TwoPhotonSeries" not in _movie().get_metadata(**ONE)["Ophys"]
    assert "TwoPhotonSeries" in _movie().get_metadata()["Ophys"]


def test_metadata_of_either_type_can_be_written_as_the_type_requested():
    for options in ({}, ONE):
        metadata = _movie().get_metadata(**options)
        metadata["NWBFile"].update(START)
        (series,) = _movie().create_nwbfile(metadata, **ONE).acquisition.values()
        assert (series.name, series.description) == ("OnePhotonSeries", "One-photon imaging movie.")


def test_a_description_of_ones_own_is_kept():
    metadata = {"NWBFile": START, "Ophys": {"TwoPhotonSeries": [{"name": "Mine"}]}}
    metadata["Ophys"]["TwoPhotonSeries"][0].update(imaging_plane="ImagingPlane", description="d")
    (series,) = _movie().create_nwbfile(metadata, **ONE).acquisition.values()
    assert (type(series).__name__, series.name, series.description) == (
        "OnePhotonSeries",
        "Mine",
        "d",
    )


def test_a_series_of_the_type_that_is_not_written_is_refused():
    entry = {"name": "Widefield", "imaging_plane": "ImagingPlane"}
    metadata = {"NWBFile": START, "Ophys": {"OnePhotonSeries": [entry]}}
    for source in (_movie(), OphysConverter({"movie": _movie()})):
        with pytest.raises(MetadataError, match='give photon_series_type="OnePhotonSeries"'):
            source.create_nwbfile(metadata)
    (series,) = _movie().create_nwbfile(metadata, **ONE).acquisition.values()
    assert series.name == "Widefield"


def test_a_field_that_the_type_lacks_is_left_out_and_said():
    entry = {"name": "A", "imaging_plane": "ImagingPlane", "field_of_view": [1e-3, 1e-3]}
    metadata = {"NWBFile": START, "Ophys": {"TwoPhotonSeries": [entry]}}
    with pytest.warns(UserWarning, match="field_of_view of the series 'A' is left out"):
        _movie().create_nwbfile(metadata, **ONE)


@pytest.mark.parametrize("given", [{}, {"b": ONE}])
def test_the_streams_of_a_converter_each_have_their_own_type(given):
    converter = OphysConverter({"a": _movie(1), "b": _movie(2), "c": _movie(3)})
    metadata = converter.get_metadata(given)
    metadata["NWBFile"].update(START)
    nwbfile = converter.create_nwbfile(metadata, conversion_options={"b": ONE})
    kinds = {name: type(each).__name__ for name, each in nwbfile.acquisition.items()}
    assert sorted(kinds.values()) == ["OnePhotonSeries", "TwoPhotonSeries", "TwoPhotonSeries"]
    (one,) = (each for each in nwbfile.acquisition.values() if "One" in type(each).__name__)
    assert one.description == "One-photon imaging movie."
    # The entry of the second stream stays its own.
    assert one.data.data.imaging_extractor is converter.interfaces["b"].extractor


def test_complete_metadata_of_a_converter_follow_the_options():
    converter = OphysConverter({"a": _movie(1), "b": _movie(2)})
    given = converter.get_metadata()
    given["Ophys"]["TwoPhotonSeries"][1]["comments"] = "of b"
    full = converter.complete_metadata(given, {"b": ONE})
    (one,) = full["Ophys"]["OnePhotonSeries"]
    assert one["comments"] == "of b"
    assert len(full["Ophys"]["TwoPhotonSeries"]) == 1


def test_background_that_is_left_out_is_not_described(tmp_path):
    from nwb_ophys import CaimanSegmentationInterface

    recording = simulate_recording(num_samples=12, num_rows=24, num_columns=34, num_cells=3)
    interface = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording))
    names = [
        [entry["name"] for entry in metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]]
        for metadata in (
            interface.get_metadata(),
            interface.get_metadata(include_background=False),
        )
    ]
    assert names == [["PlaneSegmentation", "BackgroundPlaneSegmentation"], ["PlaneSegmentation"]]
    converter = OphysConverter({"rois": interface})
    metadata = converter.get_metadata()
    metadata["NWBFile"].update(START)
    options = {"rois": {"include_background": False}}
    nwbfile = converter.create_nwbfile(metadata, conversion_options=options)
    segmentation = nwbfile.processing["ophys"]["ImageSegmentation"]
    assert list(segmentation.plane_segmentations) == ["PlaneSegmentation"]


def test_traces_and_images_that_are_not_there_have_no_entries():
    masks = np.zeros((4, 5, 2), "float32")
    masks[0, 0, 0] = masks[1, 1, 1] = 1
    bare = NumpySegmentationInterface(masks, 10.0).get_metadata()["Ophys"]
    assert not bare.keys() & {"Fluorescence", "DfOverF", "SegmentationImages"}
    raw = NumpySegmentationInterface(masks, 10.0, raw=np.ones((6, 2))).get_metadata()["Ophys"]
    assert list(raw["Fluorescence"]["PlaneSegmentation"]) == ["raw"]
    assert "DfOverF" not in raw
