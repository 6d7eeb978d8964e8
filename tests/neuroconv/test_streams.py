"""Tests of interfaces of neuroconv 0.10 as streams, and of interfaces in neuroconv's converters."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import h5py
import neuroconv
import numpy as np
import pynwb
import pytest
from pynwb import NWBHDF5IO

from nwb_ophys import (
    CaimanSegmentationInterface,
    OphysConverter,
    ScanImageImagingInterface,
    Suite2pSegmentationInterface,
    TiffImagingInterface,
    repack,
)
from nwb_ophys.errors import MetadataError, OptionError
from nwb_ophys.testing import (
    SimulatedRecording,
    simulate_recording,
    write_caiman,
    write_scanimage,
    write_suite2p,
    write_tiff,
)

START = datetime(2024, 5, 17, 12, 30, tzinfo=timezone.utc)

# NeuroConv 0.10 warns of the list form of metadata, and its own dependencies of other things.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def recording() -> SimulatedRecording:
    return simulate_recording(num_samples=60, num_rows=32, num_columns=40, num_cells=3)


@pytest.fixture
def sources(tmp_path: Path, recording: SimulatedRecording) -> dict[str, Path]:
    (scanimage,) = write_scanimage(tmp_path / "si.tif", recording.movie)
    return {
        "tiff": write_tiff(tmp_path / "movie.tif", recording.movie),
        "scanimage": scanimage,
        "suite2p": write_suite2p(tmp_path, recording),
        "caiman": write_caiman(tmp_path / "caiman.hdf5", recording),
    }


def _theirs(name: str, sources: dict[str, Path]) -> Any:
    from neuroconv import datainterfaces

    if name == "tiff":
        cls = datainterfaces.TiffImagingInterface
        return cls(file_path=str(sources["tiff"]), sampling_frequency=30.0)
    return datainterfaces.Suite2pSegmentationInterface(
        folder_path=str(sources["suite2p"]), plane_name="plane0"
    )


def _stated(converter: Any) -> Any:
    metadata = converter.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    metadata["NWBFile"]["session_description"] = "A mouse looks at gratings."
    return metadata


def _check(path: Path, recording: SimulatedRecording, tables: int = 1) -> None:
    """Check that a movie and its segmentations are in the file, which is complete and valid."""
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert pynwb.validate(io=io) == []
        assert nwbfile.session_start_time == START
        (series,) = nwbfile.acquisition.values()
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), recording.movie)
        ophys = nwbfile.processing["ophys"]
        found = ophys["ImageSegmentation"].plane_segmentations
        assert len(found) == tables
        traces = ophys["Fluorescence"].roi_response_series.values()
        raw = [s for s in traces if s.name.startswith("RoiResponseSeries")]
        for one in raw:
            np.testing.assert_allclose(one.data[:], recording.fluorescence, rtol=1e-6)
        assert raw


# --- ours in NeuroConv's converters -----------------------------------------------------------


def test_ours_in_an_nwb_converter(sources, recording, tmp_path):
    class Rig(neuroconv.NWBConverter):
        data_interface_classes: ClassVar = {
            "Movie": TiffImagingInterface,
            "Rois": Suite2pSegmentationInterface,
        }

    assert set(Rig.get_source_schema()["properties"]) == {"Movie", "Rois"}
    converter = Rig(
        source_data={
            "Movie": {"file_path": str(sources["tiff"]), "sampling_frequency": 30.0},
            "Rois": {"folder_path": str(sources["suite2p"])},
        }
    )
    assert set(converter.get_conversion_options_schema()["properties"]) == {"Movie", "Rois"}
    path = tmp_path / "session.nwb"
    metadata = _stated(converter)
    metadata["Ophys"]["Device"][0]["description"] = "A microscope."
    metadata["Ophys"]["ImagingPlane"][0]["location"] = "V1"
    converter.run_conversion(nwbfile_path=path, metadata=metadata)
    _check(path, recording)
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.devices["Microscope"].description == "A microscope."
        assert nwbfile.imaging_planes["ImagingPlane"].location == "V1"


def test_ours_in_a_converter_pipe_with_options(sources, recording, tmp_path):
    pipe = neuroconv.ConverterPipe(
        data_interfaces={
            "Movie": ScanImageImagingInterface(sources["scanimage"]),
            "Rois": CaimanSegmentationInterface(sources["caiman"]),
        }
    )
    path = tmp_path / "session.nwb"
    options = {"Movie": {"stub": 9}, "Rois": {"mask_type": "pixel", "stub": 7}}
    pipe.run_conversion(nwbfile_path=path, metadata=_stated(pipe), conversion_options=options)
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        (series,) = nwbfile.acquisition.values()
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), recording.movie[:9])
        ophys = nwbfile.processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert "pixel_mask" in table.colnames
        assert "BackgroundPlaneSegmentation" in ophys["ImageSegmentation"].plane_segmentations
        assert ophys["Fluorescence"]["RoiResponseSeries"].data.shape[0] == 7


def test_options_that_ours_do_not_know(sources, tmp_path):
    pipe = neuroconv.ConverterPipe(
        data_interfaces={"Movie": TiffImagingInterface(sources["tiff"], 30.0)}
    )
    path = tmp_path / "session.nwb"
    with pytest.raises(Exception, match="bogus"):
        pipe.run_conversion(
            nwbfile_path=path,
            metadata=_stated(pipe),
            conversion_options={"Movie": {"bogus": 1}},
        )
    assert not path.exists()


def test_device_models_pass_their_check(sources, recording, tmp_path):
    pipe = neuroconv.ConverterPipe(
        data_interfaces={
            "Movie": TiffImagingInterface(sources["tiff"], 30.0),
            "Rois": Suite2pSegmentationInterface(sources["suite2p"]),
        }
    )
    metadata = _stated(pipe)
    model = {"name": "Bergamo", "manufacturer": "Thorlabs"}
    metadata["Ophys"]["Device"] = [{"name": "Microscope", "model": model}]
    path = tmp_path / "session.nwb"
    pipe.run_conversion(nwbfile_path=path, metadata=metadata)
    _check(path, recording)
    with NWBHDF5IO(path, "r") as io:
        assert io.read().devices["Microscope"].model.manufacturer == "Thorlabs"


def test_a_misspelt_key_of_their_form_is_an_error(sources):
    interface = TiffImagingInterface(sources["tiff"], 30.0)
    with pytest.raises(MetadataError, match="Did you mean 'ImagingPlanes'"):
        interface.validate_metadata({"Ophys": {"ImagingPlaness": {}}})
    with pytest.raises(MetadataError, match=r"unknown key 'Devicess'\. Did you mean 'Devices'"):
        OphysConverter({"movie": interface}).validate_metadata({"Devicess": {}})


@pytest.mark.parametrize("ours", ["tiff", "suite2p"])
def test_beside_theirs_in_a_converter_pipe(sources, recording, tmp_path, ours):
    mine = (
        TiffImagingInterface(sources["tiff"], 30.0)
        if ours == "tiff"
        else Suite2pSegmentationInterface(sources["suite2p"])
    )
    theirs = _theirs("suite2p" if ours == "tiff" else "tiff", sources)
    pipe = neuroconv.ConverterPipe(data_interfaces={"Ours": mine, "Theirs": theirs})
    path = tmp_path / "session.nwb"
    pipe.run_conversion(nwbfile_path=path, metadata=_stated(pipe))
    _check(path, recording)


def test_a_converter_of_ours_as_an_interface_of_theirs(sources, recording, tmp_path):
    converter = OphysConverter(
        {
            "movie": TiffImagingInterface(sources["tiff"], 30.0),
            "rois": Suite2pSegmentationInterface(sources["suite2p"]),
        }
    )
    pipe = neuroconv.ConverterPipe(data_interfaces={"All": converter})
    path = tmp_path / "session.nwb"
    pipe.run_conversion(nwbfile_path=path, metadata=_stated(pipe))
    _check(path, recording)
    # Options have the form of the schema that the pipe checks them with.
    options = {"All": {"movie": {"stub": 5}, "rois": {"mask_type": "pixel", "stub": 5}}}
    nwbfile = pipe.create_nwbfile(metadata=_stated(pipe), conversion_options=options)
    assert len(nwbfile.acquisition["TwoPhotonSeries"].data) == 5
    tables = nwbfile.processing["ophys"]["ImageSegmentation"]
    assert "pixel_mask" in tables["PlaneSegmentation"].colnames
    with pytest.raises(OptionError, match="has 'mvie', but there is no such stream"):
        converter.add_to_nwbfile(nwbfile, mvie={})


def test_two_movies_in_a_converter_pipe(sources, recording, tmp_path):
    """NeuroConv reads its movie's metadata from the list, as documented."""
    pipe = neuroconv.ConverterPipe(
        data_interfaces={
            "Ours": ScanImageImagingInterface(sources["scanimage"]),
            "Theirs": _theirs("tiff", sources),
        }
    )
    metadata = _stated(pipe)
    series = {"name": "Theirs", "imaging_plane": "ImagingPlane", "unit": "n.a."}
    metadata["Ophys"]["TwoPhotonSeries"].append(series)
    path = tmp_path / "session.nwb"
    options = {"Theirs": {"photon_series_index": 1}}
    pipe.run_conversion(nwbfile_path=path, metadata=metadata, conversion_options=options)
    with NWBHDF5IO(path, "r") as io:
        movies = io.read().acquisition
        assert sorted(movies) == ["Theirs", "TwoPhotonSeries"]
        for series in movies.values():
            np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), recording.movie)


def test_a_key_that_no_stream_knows_is_an_error(sources):
    """The keys of other packages are theirs; a misspelt one is ours to report."""
    from neuroconv.tools.testing.mock_interfaces import MockExternalVideoInterface

    interfaces = {"movie": TiffImagingInterface(sources["tiff"], 30.0)}
    interfaces["video"] = MockExternalVideoInterface()
    converter = OphysConverter(interfaces)
    metadata = _stated(converter)
    converter.validate_metadata(metadata)
    metadata["Sujbect"] = {"subject_id": "M7"}
    with pytest.raises(MetadataError, match=r"unknown key 'Sujbect'\. Did you mean 'Subject'"):
        converter.validate_metadata(metadata)


# --- theirs as streams of ours ----------------------------------------------------------------


@pytest.mark.parametrize("theirs", ["tiff", "suite2p"])
def test_theirs_as_a_stream(sources, recording, tmp_path, theirs):
    mine = (
        Suite2pSegmentationInterface(sources["suite2p"])
        if theirs == "tiff"
        else TiffImagingInterface(sources["tiff"], 30.0)
    )
    converter = OphysConverter({"ours": mine, "theirs": _theirs(theirs, sources)})
    path = tmp_path / "session.nwb"
    assert converter.run_conversion(path, metadata=_stated(converter)) == path
    _check(path, recording)


def test_their_segmentation_beside_ours(sources, recording, tmp_path):
    """Both segmentations find the same cells; neither replaces the other."""
    converter = OphysConverter(
        {
            "movie": TiffImagingInterface(sources["tiff"], 30.0),
            "ours": CaimanSegmentationInterface(sources["caiman"]),
            "theirs": _theirs("suite2p", sources),
        }
    )
    path = tmp_path / "session.nwb"
    metadata = _stated(converter)
    ((key, entry),) = metadata["Ophys"]["PlaneSegmentations"].items()
    entry["name"] = "PlaneSegmentationTheirs"
    for trace in metadata["Ophys"]["RoiResponses"][key].values():
        trace["name"] += "Theirs"
    converter.run_conversion(path, metadata=metadata)
    _check(path, recording, tables=3)
    with NWBHDF5IO(path, "r") as io:
        traces = io.read().processing["ophys"]["Fluorescence"].roi_response_series
        tables = {name: series.rois.table.name for name, series in traces.items()}
        assert tables["RoiResponseSeries"] == "PlaneSegmentation"
        assert tables["RoiResponseSeriesTheirs"] == "PlaneSegmentationTheirs"
        assert tables["Background"] == "BackgroundPlaneSegmentation"


def test_their_options_are_passed_on(sources, tmp_path):
    converter = OphysConverter({"theirs": _theirs("tiff", sources)})
    schema = converter.get_conversion_options_schema()
    assert "theirs" in schema["properties"]
    path = converter.run_conversion(
        tmp_path / "session.nwb",
        metadata=_stated(converter),
        conversion_options={"theirs": {"stub_test": True, "stub_samples": 5}},
    )
    with NWBHDF5IO(path, "r") as io:
        (series,) = io.read().acquisition.values()
        assert series.data.shape[0] == 5


def test_options_of_a_stream_that_is_not_there(sources):
    converter = OphysConverter({"theirs": _theirs("tiff", sources)})
    with pytest.raises(OptionError, match="streams: theirs"):
        converter.create_nwbfile(_stated(converter), conversion_options={"ours": {}})


@pytest.mark.parametrize("name", ["tiff", "suite2p"])
@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
def test_their_files_are_repacked(
    name: str, backend: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    theirs = _theirs(name, sources)
    metadata = theirs.get_metadata()
    metadata["NWBFile"]["session_start_time"] = START
    theirs.run_conversion(nwbfile_path=str(tmp_path / "theirs.nwb"), metadata=metadata)
    copy = repack(tmp_path / "theirs.nwb", tmp_path / f"copy.{backend}.nwb", backend=backend)
    back = repack(copy, tmp_path / "back.nwb", backend="hdf5")
    with h5py.File(tmp_path / "theirs.nwb") as before, h5py.File(back) as after:
        values = _large_datasets(before)
        assert values
        assert all(np.array_equal(after[path][()], v) for path, v in values.items())
    assert not pynwb.validate(path=str(back))


def _large_datasets(file: h5py.File) -> dict[str, Any]:
    found: dict[str, Any] = {}
    file.visititems(
        lambda path, item: (
            found.update({path: item[()]}) if isinstance(item, h5py.Dataset) and item.ndim else None
        )
    )
    return {path: values for path, values in found.items() if not path.startswith("spec")}
