"""Tests of the interface of Micro-Manager: metadata, streams, and a complete conversion."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import MicroManagerImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_micromanager


@pytest.fixture
def channels() -> dict[str, np.ndarray]:
    whole = np.arange(2 * 6 * 5 * 7 * 3, dtype="uint16").reshape(2, 6, 5, 7, 3)
    return {"GFP": whole[0], "TxRed": whole[1]}


def test_what_is_stated_is_in_the_file(tmp_path, channels):
    elapsed = [12.0, 62.0, 113.0, 161.0, 212.0, 262.0]
    write_micromanager(
        tmp_path / "raw",
        channels,
        num_files=2,
        elapsed_ms=elapsed,
        interval_ms=0,
        exposure_ms=8.5,
        binning="4",
        pixel_size_um=1.3,
        z_step_um=2.5,
    )
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "raw"), "-o", str(target)])
    assert ended.value.code == 0
    raw = tifffile.imread(tmp_path / "raw" / "session_MMStack_Pos0.ome.tif")  # T, Z, C, Y, X
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time.isoformat() == "2022-04-07T15:04:05.678000+02:00"
        assert set(nwbfile.acquisition) == {"OnePhotonSeriesGFP", "OnePhotonSeriesTxRed"}
        for number, name in enumerate(channels):
            series = nwbfile.acquisition[f"OnePhotonSeries{name}"]
            found = series.data[:].transpose(0, 3, 2, 1)
            np.testing.assert_array_equal(found, raw[:, :, number])
            np.testing.assert_allclose(series.timestamps[:], np.array(elapsed) / 1000)
            assert series.exposure_time == pytest.approx(0.0085)
            assert series.binning == 4
            plane = series.imaging_plane
            np.testing.assert_allclose(plane.grid_spacing[:], [1.3e-6, 1.3e-6, 2.5e-6])
            assert plane.imaging_rate == pytest.approx(20.0)
            assert plane.optical_channel[0].name == name
            words = "Microscope run by Micro-Manager 2.0.0, camera Andor."
            assert plane.device.description == words


def test_nothing_is_invented(tmp_path, channels):
    (path,) = write_micromanager(
        tmp_path, channels["GFP"], pixel_size_um=0, camera="", binning="", start="", exposure_ms=0
    )
    interface = MicroManagerImagingInterface(path)
    stated = interface.describe()
    assert stated["NWBFile"]["session_start_time"] is None
    assert "grid_spacing" not in stated["Ophys"]["ImagingPlane"][0]
    assert stated["Ophys"]["OnePhotonSeries"] == [{"exposure_time": None, "binning": None}]
    assert stated["Ophys"]["Device"] == [{"description": "Microscope run by Micro-Manager 2.0.0."}]
    interface.extractor.close()


def test_detection(tmp_path, channels):
    paths = write_micromanager(tmp_path, channels["GFP"], num_files=3)
    (found,) = detect(tmp_path)
    assert found.format == "micromanager"
    assert found.evidence == "the first of 3 TIFF files has the tags of Micro-Manager 2.0.0"
    (found,) = detect(paths[0])
    assert found.format == "micromanager"
    interface = nwb_ophys.open(tmp_path)
    np.testing.assert_array_equal(interface.extractor.get_series(), channels["GFP"])
    interface.extractor.close()


def test_positions_channels_and_planes(tmp_path, channels):
    images = [channels, {name: movie + 700 for name, movie in channels.items()}]
    write_micromanager(tmp_path, images, num_files=2)
    streams = MicroManagerImagingInterface.streams(tmp_path)
    assert list(streams) == ["Pos0 GFP", "Pos0 TxRed", "Pos1 GFP", "Pos1 TxRed"]
    last = MicroManagerImagingInterface(**streams["Pos1 TxRed"])
    np.testing.assert_array_equal(last.extractor.get_series(), channels["TxRed"] + 700)
    assert last.part() == "Pos1 TxRed"
    last.extractor.close()
    assert len(MicroManagerImagingInterface.streams(tmp_path, as_volume=False)) == 12
    chosen = MicroManagerImagingInterface.streams(tmp_path, position_index=1, channel_name="GFP")
    assert list(chosen) == ["Pos1 GFP"]
