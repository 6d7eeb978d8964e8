"""Tests of both forms of metadata, of interfaces of ours and of neuroconv side by side."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import neuroconv
import numpy as np
import pytest
from neuroconv import datainterfaces
from neuroconv.tools.testing.mock_interfaces import MockImagingInterface, MockSegmentationInterface
from neuroconv.utils import dict_deep_update, load_dict_from_file
from pynwb import NWBHDF5IO

from nwb_ophys import (
    NumpyImagingInterface,
    NumpySegmentationInterface,
    OphysConverter,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
)
from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import to_dictionaries
from nwb_ophys.opening import describe_recording
from nwb_ophys.registry import formats
from nwb_ophys.testing import SimulatedRecording, simulate_recording, write_suite2p, write_tiff
from nwb_ophys.testing.samples import write_sample

START = datetime(2024, 5, 17, 12, 30, tzinfo=timezone.utc)
MOVIE = np.arange(12 * 6 * 8, dtype=np.uint16).reshape(12, 6, 8)
TRACES = np.arange(36, dtype=np.float32).reshape(12, 3)

# NeuroConv 0.10 warns of the list form of metadata, and its own dependencies of other things.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=8, num_rows=24, num_columns=34, num_cells=3)


def _movie() -> NumpyImagingInterface:
    return NumpyImagingInterface(MOVIE, 10.0)


def _rois() -> NumpySegmentationInterface:
    return NumpySegmentationInterface(
        image_masks=np.ones((6, 8, 3)), raw=TRACES, sampling_frequency=10.0
    )


DEVICES = {"d": {"name": "Rig", "description": "Rig 2."}}
PLANES = {"p": {"name": "Plane", "device_metadata_key": "d", "location": "VISp"}}
LINK = {"imaging_plane_metadata_key": "p"}


def _given(**ophys: Any) -> dict[str, Any]:
    start = {"session_start_time": START}
    return {"NWBFile": start, "Devices": DEVICES, "Ophys": {"ImagingPlanes": PLANES, **ophys}}


def _check_plane(nwbfile: Any, planes: list[Any]) -> None:
    """Check that all share the one plane that the metadata describes."""
    assert list(nwbfile.devices) == ["Rig"]
    assert list(nwbfile.imaging_planes) == ["Plane"]
    (plane,) = nwbfile.imaging_planes.values()
    assert (plane.location, plane.device.description) == ("VISp", "Rig 2.")
    assert all(each is plane for each in planes)


# --- ours in NeuroConv's converters --------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(formats()))
@pytest.mark.parametrize("form", ["lists", "dictionaries"])
def test_every_interface_in_a_converter_pipe(
    name: str, form: str, tmp_path: Path, recording: SimulatedRecording
) -> None:
    row = formats()[name]
    interface = row.load()(**write_sample(row, tmp_path, recording))
    pipe = neuroconv.ConverterPipe(data_interfaces={"Ours": interface})
    metadata, stated = pipe.get_metadata(), interface.get_metadata()
    if form == "dictionaries":
        metadata = to_dictionaries(stated, stated).to_dict()
        metadata["Devices"]["Microscope"] = metadata["Devices"].pop(next(iter(metadata["Devices"])))
        (key, *_) = metadata["Ophys"]["ImagingPlanes"]
        for plane in metadata["Ophys"]["ImagingPlanes"].values():
            plane["device_metadata_key"] = "Microscope"
        metadata["Ophys"]["ImagingPlanes"][key]["location"] = "VISp"
    else:
        metadata["Ophys"]["ImagingPlane"][0]["location"] = "VISp"
    metadata["NWBFile"]["session_start_time"] = START.isoformat()
    pipe.validate_metadata(metadata)
    nwbfile = pipe.create_nwbfile(metadata)
    stated["Ophys"]["ImagingPlane"][0]["location"] = "VISp"
    stated["NWBFile"]["session_start_time"] = START
    alone = interface.create_nwbfile(stated)
    assert sorted(nwbfile.acquisition) == sorted(alone.acquisition)
    for plane, expected in alone.imaging_planes.items():
        found = nwbfile.imaging_planes[plane]
        assert found.location == expected.location
        np.testing.assert_equal(found.excitation_lambda, expected.excitation_lambda)
        assert found.device.fields == expected.device.fields
    assert any(plane.location == "VISp" for plane in nwbfile.imaging_planes.values())
    close = getattr(interface.extractor, "close", None)
    if close:
        close()


def test_ours_beside_theirs_in_a_converter_pipe() -> None:
    pipe = neuroconv.ConverterPipe(
        data_interfaces={"Ours": _movie(), "Theirs": MockSegmentationInterface()}
    )
    metadata = _given(
        MicroscopySeries={"TwoPhotonSeries": {"name": "Movie", **LINK}},
        PlaneSegmentations={"mock_segmentation": {"name": "Cells", **LINK}},
    )
    nwbfile = pipe.create_nwbfile(metadata)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["Cells"]
    _check_plane(nwbfile, [nwbfile.acquisition["Movie"].imaging_plane, table.imaging_plane])


def test_two_movies_in_a_converter_pipe() -> None:
    pipe = neuroconv.ConverterPipe(
        data_interfaces={"Ours": _movie(), "Theirs": MockImagingInterface()}
    )
    metadata = _given(
        MicroscopySeries={
            "mock_imaging": {"name": "Theirs", **LINK},
            "TwoPhotonSeries": {"name": "Ours", **LINK},
        }
    )
    nwbfile = pipe.create_nwbfile(metadata)
    assert nwbfile.acquisition["Ours"].data.data.shape == (12, 8, 6)
    _check_plane(nwbfile, [each.imaging_plane for each in nwbfile.acquisition.values()])


def test_entries_that_may_be_of_another_interface() -> None:
    """A key that is not the name of our entry may belong to another interface: it is refused."""
    pipe = neuroconv.ConverterPipe(data_interfaces={"Ours": _movie()})
    with pytest.raises(MetadataError, match=r"keys 'x'; they may .* the key 'TwoPhoton"):
        pipe.create_nwbfile(_given(MicroscopySeries={"x": {"name": "Movie", **LINK}}))


def test_both_forms_of_our_entry_are_refused() -> None:
    pipe = neuroconv.ConverterPipe(data_interfaces={"Ours": _movie()})
    given = _given(MicroscopySeries={"TwoPhotonSeries": {"name": "Movie"}})
    del given["Ophys"]["ImagingPlanes"]
    both = dict_deep_update(pipe.get_metadata(), given)
    with pytest.raises(MetadataError, match="describe the same, one in the dictionary form"):
        pipe.create_nwbfile(both)


def test_lists_of_ours_beside_dictionaries_of_theirs(tmp_path: Path) -> None:
    """Their entries may have the names of ours."""
    theirs = MockSegmentationInterface(num_rows=6, num_columns=8)
    pipe = neuroconv.ConverterPipe(data_interfaces={"Ours": _movie(), "Theirs": theirs})
    metadata = pipe.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Ours"
    metadata["Ophys"]["PlaneSegmentations"]["mock_segmentation"]["name"] = "Theirs"
    metadata["Ophys"]["MicroscopySeries"] = {"theirs": {"name": "TwoPhotonSeries"}}
    nwbfile = pipe.create_nwbfile(metadata)
    assert list(nwbfile.acquisition) == ["Ours"]
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert list(tables) == ["Theirs"]


# --- theirs as streams of ours -------------------------------------------------------------------


def test_theirs_as_a_stream() -> None:
    converter = OphysConverter(
        {"ours": _movie(), "theirs": MockSegmentationInterface(num_rows=6, num_columns=8)}
    )
    metadata = _given(
        MicroscopySeries={"x": {"name": "Movie", **LINK}},
        PlaneSegmentations={"mock_segmentation": {"name": "Cells", **LINK}},
    )
    nwbfile = converter.create_nwbfile(metadata)
    table = nwbfile.processing["ophys"]["ImageSegmentation"]["Cells"]
    _check_plane(nwbfile, [nwbfile.acquisition["Movie"].imaging_plane, table.imaging_plane])


def test_their_movie_as_a_stream() -> None:
    converter = OphysConverter({"ours": _rois(), "theirs": MockImagingInterface()})
    metadata = _given(
        MicroscopySeries={"mock_imaging": {"name": "Movie", **LINK}},
        PlaneSegmentations={"y": {"name": "Cells", **LINK}},
        RoiResponses={"y": {"raw": {"name": "F"}}},
    )
    nwbfile = converter.create_nwbfile(metadata)
    ophys = nwbfile.processing["ophys"]
    table = ophys["ImageSegmentation"]["Cells"]
    assert ophys["Fluorescence"]["F"].data.data.shape == (12, 3)
    _check_plane(nwbfile, [nwbfile.acquisition["Movie"].imaging_plane, table.imaging_plane])


# --- the document that the command line writes ---------------------------------------------------


def test_their_interfaces_read_our_document(tmp_path: Path, recording: SimulatedRecording) -> None:
    tiff = write_tiff(tmp_path / "movie.tif", recording.movie)
    suite2p = write_suite2p(tmp_path, recording)
    ours = OphysConverter(
        {"movie": TiffImagingInterface(tiff, 30.0), "rois": Suite2pSegmentationInterface(suite2p)}
    )
    with ours:
        metadata = ours.get_metadata()
        metadata["NWBFile"]["session_start_time"] = START.isoformat()
        metadata["Ophys"]["ImagingPlane"][0]["location"] = "VISp"
        metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = "Movie"
        path = tmp_path / "meta.yaml"
        path.write_text(describe_recording(ours, metadata, style="neuroconv"))

    class Rig(neuroconv.NWBConverter):
        data_interface_classes = {  # noqa: RUF012
            "Movie": datainterfaces.TiffImagingInterface,
            "Rois": datainterfaces.Suite2pSegmentationInterface,
        }

    movie = {"file_path": str(tiff), "sampling_frequency": 30.0}
    rois = {"folder_path": str(suite2p), "plane_name": "plane0"}
    theirs = Rig(
        {
            "Movie": movie | {"metadata_key": "TwoPhotonSeries"},
            "Rois": rois | {"metadata_key": "PlaneSegmentation"},
        }
    )
    loaded = load_dict_from_file(path)
    theirs.validate_metadata(loaded)
    theirs.run_conversion(nwbfile_path=tmp_path / "a.nwb", metadata=loaded)
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["Movie"].imaging_plane.location == "VISp"
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert table.imaging_plane is nwbfile.acquisition["Movie"].imaging_plane
        expected = metadata["Ophys"]["Fluorescence"]["PlaneSegmentation"]["raw"]["description"]
        assert ophys["Fluorescence"]["RoiResponseSeries"].description == expected
