"""Tests of behaviour that depends on several rooms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from pynwb.testing.mock.file import mock_NWBFile

from nwb_ophys import NumpyImagingInterface, OphysConverter, tools, write_nwbfile
from nwb_ophys.cli import main
from nwb_ophys.errors import ArgumentError, MetadataError, OutputError
from nwb_ophys.interfaces import BaseOphysInterface, TraceWriter
from nwb_ophys.metadata import DeepDict, segmentation_schema
from nwb_ophys.testing import simulate_recording, write_caiman, write_suite2p, write_tiff

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def movie(num_samples: int = 4) -> NumpyImagingInterface:
    pixels = np.arange(num_samples * 6 * 5, dtype=np.uint16).reshape(num_samples, 6, 5)
    return NumpyImagingInterface(pixels, 10.0)


@pytest.mark.parametrize("name", ["", "a/b", "a:b"])
def test_a_name_that_hdf5_cannot_hold_is_refused_with_its_path(name, tmp_path):
    interface = movie()
    metadata = interface.get_metadata()
    metadata["NWBFile"].update(START["NWBFile"])
    metadata["Ophys"]["TwoPhotonSeries"][0]["name"] = name
    with pytest.raises(MetadataError, match=r'\["TwoPhotonSeries"\]\[0\]\["name"\].*must not be'):
        interface.run_conversion(tmp_path / "a.nwb", metadata=metadata)
    assert not list(tmp_path.iterdir())


def test_chunks_larger_than_the_movie_are_refused_in_plain_words():
    with pytest.raises(ArgumentError, match="exceed"):
        movie().create_nwbfile(START, iterator_options={"chunk_shape": (99, 5, 6)})


def test_links_are_checked_before_anything_is_written(tmp_path):
    interface = movie()
    metadata = interface.get_metadata()
    metadata["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    with pytest.raises(MetadataError, match=r"'Scope', but no device .* devices: 'Microscope'"):
        interface.validate_metadata(metadata)
    converter = OphysConverter({"movie": interface})
    with pytest.raises(MetadataError, match="'Scope', but no device"):
        converter.validate_metadata(metadata)
    metadata["Ophys"]["Device"] = []  # the file is said to have it
    interface.validate_metadata(metadata)


def test_a_plane_may_link_to_a_device_that_only_the_file_has():
    nwbfile = mock_NWBFile()
    nwbfile.create_device("Scope")
    interface = movie()
    metadata = interface.get_metadata()
    metadata["Ophys"]["ImagingPlane"][0]["device"] = "Scope"
    interface.run_conversion(nwbfile=nwbfile, metadata=metadata)
    assert nwbfile.imaging_planes["ImagingPlane"].device.name == "Scope"


def test_overwrite_does_not_replace_a_raw_recording(tmp_path):
    raw = write_tiff(tmp_path / "movie.tif", np.zeros((3, 4, 5), np.uint16))
    before = raw.read_bytes()
    with pytest.raises(OutputError, match="not an NWB file"):
        movie().run_conversion(raw, metadata=START, overwrite=True)
    assert raw.read_bytes() == before
    notes = tmp_path / "session.nwb"
    notes.write_bytes(b"half")
    with pytest.raises(OutputError, match="not an NWB file: it holds 4 bytes of another kind"):
        movie().run_conversion(notes, metadata=START, overwrite=True)
    assert notes.read_bytes() == b"half"
    notes.write_bytes(b"")
    movie().run_conversion(notes, metadata=START, overwrite=True)
    with NWBHDF5IO(notes, "r") as io:
        assert io.read().acquisition["TwoPhotonSeries"].data.shape == (4, 5, 6)


def test_a_recording_that_joins_another_session_warns(tmp_path):
    path = tmp_path / "session.nwb"
    movie().run_conversion(path, metadata=START)
    other = {
        "NWBFile": {"session_start_time": "2024-05-17T15:00:00+02:00"},
        "Ophys": {"TwoPhotonSeries": [{"name": "Later", "imaging_plane": "ImagingPlane"}]},
    }
    with pytest.warns(UserWarning, match="The recording states that it began at"):
        movie().run_conversion(path, metadata=other, append=True)
    same_moment = {
        "NWBFile": {"session_start_time": "2024-05-17T12:30:00Z"},
        "Ophys": {"TwoPhotonSeries": [{"name": "Same", "imaging_plane": "ImagingPlane"}]},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        movie().run_conversion(path, metadata=same_moment, append=True)


def test_background_survives_the_functional_api_with_a_renamed_segmentation(tmp_path):
    recording = simulate_recording(num_samples=20)
    from nwb_ophys import CaimanSegmentationInterface

    interface = CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording))
    entry = {"name": "Cells", "imaging_plane": "ImagingPlane"}
    metadata = {**START, "Ophys": {"ImageSegmentation": {"plane_segmentations": [entry]}}}
    nwbfile = tools.write_segmentation(interface.extractor, metadata=metadata)
    tables = nwbfile.processing["ophys"]["ImageSegmentation"].plane_segmentations
    assert set(tables) == {"Cells", "BackgroundCells"}
    series = nwbfile.processing["ophys"]["Fluorescence"].roi_response_series
    backgrounds = [s for s in series.values() if s.rois.table is tables["BackgroundCells"]]
    assert [s.data.shape for s in backgrounds] == [(20, 2)]
    interface.extractor._dataset_file.close()


def test_columns_added_after_a_look_at_the_file_are_written(tmp_path):
    """``nwbfile.objects`` keeps the objects that it found when it was first used."""
    nwbfile = movie().create_nwbfile(START)
    assert nwbfile.objects
    interface = NumpyImagingInterface(np.full((3, 6, 5), 7, np.uint8), 10.0)
    metadata = {"Ophys": {"TwoPhotonSeries": [{"name": "B", "imaging_plane": "ImagingPlane"}]}}
    interface.add_to_nwbfile(nwbfile, metadata)
    write_nwbfile(nwbfile, tmp_path / "a.nwb")
    write_nwbfile(nwbfile, tmp_path / "b.nwb")
    with NWBHDF5IO(tmp_path / "b.nwb", "r") as io:
        assert (io.read().acquisition["B"].data[:] == 7).all()


class TracesAlone(BaseOphysInterface, TraceWriter):
    """Traces of an extractor that has no masks."""

    @classmethod
    def open(cls, source):
        from roiextractors.testing import generate_dummy_segmentation_extractor

        extractor = generate_dummy_segmentation_extractor(num_rois=3, num_samples=8)
        extractor._roi_masks = None
        extractor._summary_images = {}
        return extractor

    def get_metadata(self):
        return DeepDict(tools.get_nwb_segmentation_metadata(self.extractor))

    def get_metadata_schema(self):
        return segmentation_schema()

    def add_to_nwbfile(self, nwbfile, metadata=None, **options):
        return self.add_fluorescence_traces(nwbfile, self.full_metadata(metadata))


def test_traces_of_a_source_without_masks_round_trip(tmp_path, backend):
    from nwb_ophys.storage import get_backend

    interface = TracesAlone()
    interface.run_conversion(tmp_path / "t.nwb", metadata=START, backend=backend)
    with get_backend(backend).open(tmp_path / "t.nwb", "r") as io:
        ophys = io.read().processing["ophys"]
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert list(table["roi_name"][:]) == ["roi_0", "roi_1", "roi_2"]
        assert all(len(pixels) == 0 for pixels in table["pixel_mask"][:])
        written = ophys["Fluorescence"]["RoiResponseSeries"].data[:]
    np.testing.assert_array_equal(written, interface.extractor.get_traces_dict()["raw"])


def test_tiffs_in_subfolders_are_mentioned(tmp_path, capsys):
    (tmp_path / "rec" / "deeper").mkdir(parents=True)
    write_tiff(tmp_path / "rec" / "a.tif", np.zeros((3, 4, 5), np.uint16))
    write_tiff(tmp_path / "rec" / "deeper" / "b.tif", np.zeros((3, 4, 5), np.uint16))
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "convert",
                str(tmp_path / "rec"),
                "-o",
                str(tmp_path / "a.nwb"),
                "--option",
                "sampling_frequency=1e1",
                "--set",
                "NWBFile.session_start_time=2024-05-17T14:30:00Z",
                "--set",
                "Ophys.ImagingPlane.0.grid_spacing=[1e-6, 1e-6]",
            ]
        )
    assert ended.value.code == 0
    assert "deeper" in capsys.readouterr().err
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.acquisition["TwoPhotonSeries"].rate == 10.0
        assert list(nwbfile.imaging_planes["ImagingPlane"].grid_spacing) == [1e-6, 1e-6]


def test_inspect_says_when_a_file_is_no_nwb(tmp_path, capsys):
    import h5py

    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file["x"] = 1
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(tmp_path / "a.nwb")])
    assert ended.value.code == 1
    assert "cannot be read as NWB" in capsys.readouterr().out


def test_suite2p_and_caiman_of_one_movie_share_no_names(tmp_path):
    from nwb_ophys import CaimanSegmentationInterface, Suite2pSegmentationInterface

    recording = simulate_recording(num_samples=20)
    folder = write_suite2p(tmp_path, [recording])
    converter = OphysConverter(
        {
            "movie": NumpyImagingInterface(recording.movie, 30.0),
            "suite2p": Suite2pSegmentationInterface(folder),
            "caiman": CaimanSegmentationInterface(write_caiman(tmp_path / "c.hdf5", recording)),
        }
    )
    converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    converter.interfaces["caiman"].extractor._dataset_file.close()
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert list(nwbfile.imaging_planes) == ["ImagingPlane"]
        ophys = nwbfile.processing["ophys"]
        assert set(ophys["ImageSegmentation"].plane_segmentations) == {
            "PlaneSegmentationSuite2p",
            "PlaneSegmentationCaiman",
            "BackgroundPlaneSegmentation",
        }
        series = ophys["Fluorescence"].roi_response_series
        np.testing.assert_array_equal(
            series["RoiResponseSeriesSuite2p"].data[:], recording.fluorescence
        )
