"""Tests of the interface of ScanImage 3.8: metadata, streams, and a complete conversion."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import ScanImageConverter, ScanImageLegacyImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.testing import write_scanimage_legacy

REAL = "scanimage_legacy/sample_scanimage_version_3_8.tiff"
ENDED_EARLY = "ignore:.*1220 frames were planned, but there are 10:UserWarning"
START = datetime(2017, 10, 9, 16, 57, 7, 967000)


@pytest.mark.filterwarnings(ENDED_EARLY)
def test_the_real_recording_by_the_command_line(data_folder, tmp_path):
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(data_folder / "scanimage_legacy"), "-o", str(target)])
    assert ended.value.code == 0
    pages = tifffile.imread(data_folder / REAL)
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        (series,) = nwbfile.acquisition.values()
        np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), pages)
        assert series.data.dtype == pages.dtype
        assert (series.rate, series.scan_line_rate) == (3.90625, 1000.0)
        assert nwbfile.session_start_time.replace(tzinfo=None) == START
        plane = series.imaging_plane
        assert plane.imaging_rate == 3.90625
        assert plane.optical_channel[0].name == "Channel1"
        assert "x 659.6, y -10386.6, z -8068.4" in plane.description
        assert plane.grid_spacing is None
        assert "ScanImage 3.8" in plane.device.description


def test_evidence(data_folder):
    evidence = ScanImageLegacyImagingInterface.matches(data_folder / REAL)
    assert evidence == "'sample_scanimage_version_3_8.tiff' has the header of ScanImage 3.8"


@pytest.fixture
def stack() -> np.ndarray:
    return np.arange(4 * 5 * 7 * 3, dtype="uint16").reshape(4, 5, 7, 3)


def test_every_channel_and_plane(tmp_path, stack):
    path = write_scanimage_legacy(tmp_path / "a.tif", {1: stack, 2: stack + 500})
    zone = {"NWBFile": {"session_start_time": "2017-10-09T16:57:07+02:00"}}
    whole = ScanImageConverter(path)
    found = whole.create_nwbfile(zone).acquisition
    assert set(found) == {"TwoPhotonSeriesChannel1", "TwoPhotonSeriesChannel2"}
    apart = ScanImageConverter(path, as_volume=False)
    assert len(apart.create_nwbfile(zone).acquisition) == 6
    interface = ScanImageLegacyImagingInterface(path, channel_name="Channel 1")
    assert "10 µm apart" in interface.get_metadata()["Ophys"]["ImagingPlane"][0]["description"]
    for each in (interface, *whole.interfaces.values(), *apart.interfaces.values()):
        each.extractor.close()


def test_a_folder_of_acquisitions(tmp_path, stack):
    movie = stack[..., 0]
    write_scanimage_legacy(tmp_path / "a001.tif", movie[:2], num_planned=4)
    write_scanimage_legacy(tmp_path / "a002.tif", movie[2:], num_planned=4)
    later = START + timedelta(minutes=1)
    write_scanimage_legacy(tmp_path / "a003.tif", movie, session_start_time=later)
    streams = ScanImageLegacyImagingInterface.streams(tmp_path)
    assert list(streams) == ["a001", "a003"]
    first = ScanImageLegacyImagingInterface(**streams["a001"])
    np.testing.assert_array_equal(first.extractor.get_series(), movie)
    first.extractor.close()


def test_averaging_is_told(tmp_path, stack):
    path = write_scanimage_legacy(tmp_path / "a.tif", stack[..., 0], num_averaged=3)
    movie = nwb_ophys.open(path)
    (entry,) = movie.get_metadata()["Ophys"]["TwoPhotonSeries"]
    assert entry["comments"] == "Each frame is the average of 3 frames."
    assert movie.get_metadata()["Ophys"]["ImagingPlane"][0]["imaging_rate"] == 10.0
    movie.extractor.close()
