"""Tests of the interface of OME-TIFF: metadata, streams, and a complete conversion."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import OmeTiffImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_ome_tiff, write_tiff

START = datetime(2024, 5, 17, 14, 3, 21, tzinfo=timezone(timedelta(hours=2)))
INSTRUMENT = (
    '<Microscope Manufacturer="Nikon" Model="A1R" SerialNumber="17"/>'
    '<Detector ID="Detector:0" Type="PMT"/>'
    '<Objective ID="Objective:0" Manufacturer="Nikon" Model="LWD" NominalMagnification="16" '
    'LensNA="0.8"/>'
)
PIXELS = {
    "PhysicalSizeX": "0.5",
    "PhysicalSizeY": "750",
    "PhysicalSizeYUnit": "nm",
    "PhysicalSizeZ": "5",
}
CHANNELS = {
    "Green": {
        "EmissionWavelength": "510",
        "ExcitationWavelength": "0.92",
        "ExcitationWavelengthUnit": "µm",
        "Fluor": "GCaMP6s",
        "Gain": "650",
    },
    "Red": {},
}


@pytest.fixture
def channels() -> dict[str, np.ndarray]:
    whole = np.arange(2 * 6 * 5 * 7 * 3, dtype="uint16").reshape(2, 6, 5, 7, 3)
    return {"Green": whole[0], "Red": whole[1]}


def _write(folder, channels, **named):
    return write_ome_tiff(
        folder,
        channels,
        pixels=PIXELS,
        channel_settings=CHANNELS,
        instrument=INSTRUMENT,
        session_start_time=START,
        **named,
    )


def test_what_is_stated_is_in_the_file(tmp_path, channels):
    _write(tmp_path / "raw", channels, num_files=2, sampling_frequency=20.0)
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "raw"), "-o", str(target)])
    assert ended.value.code == 0
    raw = tifffile.imread(tmp_path / "raw" / "recording_0.ome.tif")  # T, Z, C, Y, X
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time == START
        assert set(nwbfile.acquisition) == {"TwoPhotonSeriesGreen", "TwoPhotonSeriesRed"}
        for number, name in enumerate(("Green", "Red")):
            series = nwbfile.acquisition[f"TwoPhotonSeries{name}"]
            found = series.data[:].transpose(0, 3, 2, 1)
            np.testing.assert_array_equal(found, raw[:, :, number])
            assert series.rate == 20.0
            plane = series.imaging_plane
            np.testing.assert_allclose(plane.grid_spacing[:], [5e-7, 7.5e-7, 5e-6])
            assert plane.grid_spacing_unit == "meters"
            assert plane.imaging_rate == 20.0
            assert plane.optical_channel[0].name == name
            assert (plane.device.model.name, plane.device.model.manufacturer) == ("A1R", "Nikon")
            assert plane.device.serial_number == "17"
            assert "Nikon LWD 16x NA 0.8" in plane.device.description
        green = nwbfile.acquisition["TwoPhotonSeriesGreen"]
        assert green.pmt_gain == 650
        assert green.imaging_plane.excitation_lambda == 920
        assert green.imaging_plane.indicator == "GCaMP6s"
        assert green.imaging_plane.optical_channel[0].emission_lambda == 510
        red = nwbfile.acquisition["TwoPhotonSeriesRed"]
        assert red.pmt_gain is None
        assert np.isnan(red.imaging_plane.excitation_lambda)
        assert red.imaging_plane.indicator == "unknown"


def test_nothing_is_invented(tmp_path, channels):
    (path,) = write_ome_tiff(tmp_path, channels["Green"][..., 0])
    interface = OmeTiffImagingInterface(path)
    stated = interface.describe()
    assert stated["NWBFile"]["session_start_time"] is None
    assert set(stated["Ophys"]["Device"][0].values()) == {None}
    (plane,) = stated["Ophys"]["ImagingPlane"]
    assert "grid_spacing" not in plane
    assert plane["excitation_lambda"] is plane["indicator"] is plane["description"] is None
    interface.extractor.close()


def test_planes_apart_and_positions(tmp_path, channels):
    images = [channels, {name: movie + 700 for name, movie in channels.items()}]
    (path,) = _write(tmp_path, images)
    streams = OmeTiffImagingInterface.streams(path)
    assert list(streams) == [
        f"Position {index} {name}" for index in (0, 1) for name in ("Green", "Red")
    ]
    last = OmeTiffImagingInterface(**streams["Position 1 Red"])
    assert last.part() == "Position 1 Red"
    np.testing.assert_array_equal(last.extractor.get_series(), channels["Red"] + 700)
    assert len(OmeTiffImagingInterface.streams(path, as_volume=False)) == 12
    chosen = OmeTiffImagingInterface.streams(path, image_index=1, channel_name="Red")
    assert list(chosen) == ["Position 1 Red"]
    last.extractor.close()


def test_detection(tmp_path, channels):
    movie = channels["Green"]
    write_ome_tiff(tmp_path, movie, num_files=3)
    (found,) = detect(tmp_path)
    assert found.format == "ome-tiff"
    assert found.evidence == (
        "of 3 TIFF files, 'recording_0.ome.tif' has OME-XML in its first page"
    )
    interface = nwb_ophys.open(tmp_path)
    np.testing.assert_array_equal(interface.extractor.get_series(), movie)
    interface.extractor.close()


def test_a_folder_of_several_recordings(tmp_path, channels):
    movie = channels["Green"]
    write_ome_tiff(tmp_path, movie, num_files=2, stem="a")
    write_ome_tiff(tmp_path, movie + 1, num_files=1, stem="b")
    with pytest.raises(SourceArgumentError, match="2 recordings"):
        OmeTiffImagingInterface(tmp_path)
    streams = OmeTiffImagingInterface.streams(tmp_path)
    assert list(streams) == ["a_0", "b"]
    second = OmeTiffImagingInterface(**streams["b"])
    np.testing.assert_array_equal(second.extractor.get_series(), movie + 1)
    second.extractor.close()


def test_files_of_others_in_the_folder_are_told(tmp_path, channels):
    write_ome_tiff(tmp_path, channels["Green"], stem="a")
    write_tiff(tmp_path / "preview.tif", channels["Green"][..., 0])
    with pytest.warns(UserWarning, match=r"Of 2 TIFF files .* 1 have no OME-XML.*preview\.tif"):
        streams = OmeTiffImagingInterface.streams(tmp_path)
    assert list(streams) == [""]
