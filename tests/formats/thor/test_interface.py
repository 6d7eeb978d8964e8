"""Tests of the metadata of ThorImage in NWB's units, and of its recordings as streams."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import ThorConverter, ThorImagingInterface
from nwb_ophys.errors import SourceError
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_thor


def _movie(*shape: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + np.prod(shape), dtype=np.uint16).reshape(shape)


def _described(path: Path, **source: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
    found = ThorImagingInterface(path, **source).describe()
    ophys = found["Ophys"]
    return ophys["ImagingPlane"][0], ophys["TwoPhotonSeries"][0], found


def test_what_the_real_recording_states(data_folder):
    plane, series, found = _described(data_folder / "thor/20231018-002")
    assert found["NWBFile"]["session_start_time"].isoformat() == "2023-10-18T13:39:19-04:00"
    assert found["NWBFile"]["notes"] is None
    assert plane["imaging_rate"] == 13.967
    np.testing.assert_allclose(plane["grid_spacing"], [0.884e-6, 0.884e-6])
    # The laser is not steered (pos="0"), the photomultiplier is off (gainA="0").
    assert plane["excitation_lambda"] is None
    assert series["pmt_gain"] is None
    device = found["Ophys"]["Device"][0]["description"]
    for words in ("ThorImage 5.0.2023.10041", "ThorDAQ RGG", "objective 16X (16x)"):
        assert words in device


def test_what_written_recordings_state(tmp_path):
    movies = {"ChanA": _movie(3, 9, 7, 4), "ChanB": _movie(3, 9, 7, 4)}
    folder = write_thor(tmp_path / "a", movies, raw=True, num_flyback_frames=2)
    for name, gain in (("ChanA", 70), ("ChanB", 80)):
        plane, series, found = _described(folder, channel_name=name)
        np.testing.assert_allclose(plane["grid_spacing"], [1.25e-6, 1.25e-6, 5e-6])
        assert plane["excitation_lambda"] == 920
        assert plane["imaging_rate"] == pytest.approx(30.0)
        assert plane["optical_channel"] == [{"name": name}]
        assert series["pmt_gain"] == gain
        assert "flyback frames 2" in series["comments"]
        assert found["NWBFile"]["notes"] == "A mouse looks at gratings."
    assert len(_described(folder, channel_name="ChanA", plane_index=1)[0]["grid_spacing"]) == 2


def test_the_width_and_height_of_a_pixel(tmp_path):
    """Newer versions of ThorImage state both in place of one size."""
    sizes = {"pixelSizeUM": None, "pixelWidthUM": 0.5, "pixelHeightUM": 0.75}
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7), changes={"LSM": sizes})
    plane, _, _ = _described(folder)
    np.testing.assert_allclose(plane["grid_spacing"], [0.5e-6, 0.75e-6])


@pytest.mark.parametrize(
    ("um", "height"),
    [((8.75, 11.25), 1.25), ((8.75, 22.5), 2.5), ((17.5, 22.5), 1.25), ((0, 22.5), 1.25)],
)
def test_rows_of_a_stretched_field(tmp_path, um, height):
    """Only ``heightUM`` states that the field is stretched along y."""
    extents = {"widthUM": um[0], "heightUM": um[1]}
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7), changes={"LSM": extents})
    plane, _, _ = _described(folder)
    np.testing.assert_allclose(plane["grid_spacing"], [1.25e-6, height * 1e-6])


@pytest.mark.parametrize(
    ("binning", "size"),
    [((2, 2), (1.0, 1.0)), ((4, 1), (2.0, 0.5)), ((0, 0), (0.5, 0.5)), ((1000, 2), None)],
)
def test_binned_pixels_of_a_camera(tmp_path, binning, size):
    """The header states the size of a pixel of the sensor."""
    light = {"LightPath": {"Camera": 1, "GalvoResonance": 0}}
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7), changes=light)
    xml = folder / "Experiment.xml"
    camera = (
        '<Camera frameRateControlEnabled="1" frameRateControlValue="20" pixelSizeUM="0.5" '
        f'binningX="{binning[0]}" binningY="{binning[1]}" />'
    )
    xml.write_text(xml.read_text().replace("<Date", f"{camera}<Date"))
    expected = None if size is None else [each * 1e-6 for each in size]
    found = ThorImagingInterface(folder).describe()["Ophys"]["ImagingPlane"][0]
    assert found.get("grid_spacing") == (None if size is None else pytest.approx(expected))


def test_measured_times_are_named(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7))
    (folder / "timing.txt").write_text("0\n0.04\n0.08\n")
    with pytest.warns(UserWarning, match=r"timing\.txt'.* is not read.*--times"):
        ThorImagingInterface(folder).close()


@pytest.mark.parametrize("as_volume", [True, False])
@pytest.mark.parametrize("raw", [True, False])
def test_every_channel_and_plane_is_written(tmp_path, as_volume, raw):
    movies = {"ChanA": _movie(3, 9, 7, 2), "ChanB": _movie(3, 9, 7, 2, first=900)}
    folder = write_thor(tmp_path / "a", movies, raw=raw)
    path = ThorConverter(folder, as_volume=as_volume).run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time.isoformat() == "2024-05-17T14:03:21+02:00"
        assert len(nwbfile.devices) == 1
        for name, movie in movies.items():
            if as_volume:
                found = nwbfile.acquisition[f"TwoPhotonSeries{name}"].data[:]
            else:
                series = [nwbfile.acquisition[f"TwoPhotonSeries{name}Plane{p}"] for p in (0, 1)]
                found = np.stack([each.data[:] for each in series], axis=-1)
            np.testing.assert_array_equal(found.swapaxes(1, 2), movie)


def test_every_region_is_a_stream(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(4, 9, 7))
    write_thor(folder, _movie(4, 9, 7, first=500), region="001_002")
    converter = nwb_ophys.open(folder)
    assert list(converter.interfaces) == ["thor 001_001", "thor 001_002"]
    nwbfile = converter.create_nwbfile()
    assert set(nwbfile.acquisition) == {
        "TwoPhotonSeriesRegion001001",
        "TwoPhotonSeriesRegion001002",
    }


def test_evidence(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7))
    raw = write_thor(tmp_path / "b", _movie(3, 9, 7), raw=True)
    assert (
        ThorImagingInterface.matches(folder) == "3 TIFF files and Experiment.xml of ThorImage 5.0"
    )
    assert ThorImagingInterface.matches(raw) == (
        "Image_001_001.raw and Experiment.xml of ThorImage 5.0"
    )
    for path in (raw / "Image_001_001.raw", folder / "ChanA_001_001_001_002.tif"):
        assert [candidate.format for candidate in detect(path)] == ["thor"]
        assert ThorImagingInterface(path).extractor.get_num_samples() == 3
    (folder / "Experiment.xml").write_text("<Experiment/>")
    assert ThorImagingInterface.matches(folder) is None


def test_a_converter_of_what_is_none(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceError, match=r"Experiment\.xml"):
        ThorConverter(tmp_path)


def test_files_of_other_names_are_read_as_ome_tiff(tmp_path):
    """Fault: claimed as ThorImage's, and then refused."""
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7))
    for path in folder.glob("*.tif"):
        path.unlink()
    tifffile.imwrite(folder / "Image_scan_1_region_0_0.tif", _movie(3, 9, 7), ome=True)
    assert [candidate.format for candidate in detect(folder)] == ["ome-tiff"]
    with pytest.raises(SourceError, match="format ome-tiff"):
        ThorImagingInterface(folder)


@pytest.mark.parametrize("time", ["99999999999999999", "inf", "noon"])
def test_a_time_that_is_none(tmp_path, time):
    """Fault: ends with a traceback."""
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7), changes={"Date": {"uTime": time}})
    start = _described(folder)[2]["NWBFile"]["session_start_time"]
    assert start.isoformat() == "2024-05-17T14:03:21"


@pytest.mark.filterwarnings("ignore:.*DeltaT; these times:UserWarning")
def test_images_without_experiment_xml(tmp_path, data_folder):
    """Fault: no format at all recognises the images, if Experiment.xml was not copied."""
    files = sorted((data_folder / "thor/20231018-002").glob("*.tif"))
    for file in files:
        shutil.copy(file, tmp_path)
    for path in (tmp_path, tmp_path / files[0].name):
        assert [candidate.format for candidate in detect(path)] == ["ome-tiff"]
    movie = nwb_ophys.open(tmp_path, sampling_frequency=5.0)
    assert movie.extractor.get_series().shape == (3, 512, 512)


def test_a_camera_has_no_photomultiplier_and_no_laser(tmp_path):
    """Fault: images of a camera are of two photons, with a gain of the photomultiplier."""
    light = {"LightPath": {"Camera": 1, "GalvoResonance": 0}}
    folder = write_thor(tmp_path / "a", _movie(3, 9, 7), changes=light)
    xml = folder / "Experiment.xml"
    camera = (
        '<Camera name="Kiralux" frameRateControlEnabled="1" frameRateControlValue="20" '
        'exposureTimeMS="12.5" binningX="2" binningY="2" pixelSizeUM="0.5" />'
    )
    end = "</ThorImageExperiment>"
    xml.write_text(xml.read_text().replace(end, camera + end))
    nwbfile = nwb_ophys.open(folder).create_nwbfile()
    series = nwbfile.acquisition["OnePhotonSeries"]
    assert series.rate == 20.0
    assert (series.exposure_time, series.binning, series.pmt_gain) == (0.0125, 2, None)
    assert "camera Kiralux" in series.imaging_plane.device.description
    described = ThorImagingInterface(folder).describe()["Ophys"]["ImagingPlane"][0]
    assert described["excitation_lambda"] is None


def test_a_byte_of_another_encoding_is_read(tmp_path):
    """Fault: a text that a user of Windows typed makes the whole recording unreadable."""
    folder = write_thor(tmp_path / "t", _movie(3, 12, 9))
    xml = folder / "Experiment.xml"
    content = xml.read_bytes()
    comment = b"<!-- 25 \xb5m --><ThorImageExperiment"
    xml.write_bytes(content.replace(b"<ThorImageExperiment", comment))
    assert xml.read_bytes() != content
    movie = ThorImagingInterface(folder)
    np.testing.assert_array_equal(movie.extractor.get_series(), _movie(3, 12, 9))


@pytest.mark.parametrize("place", ["day/images/SyncData001", "day/SyncData001"])
def test_recordings_of_thorsync_are_named(tmp_path, place):
    folder = write_thor(tmp_path / "day" / "images", _movie(3, 9, 7))
    nwb_ophys.open(folder).close()
    sync = tmp_path / place
    sync.mkdir()
    (sync / "ThorRealTimeDataSettings.xml").write_text("<RealTimeDataSettings/>")
    (sync / "Episode001.h5").write_bytes(b"\x89HDF")
    with pytest.warns(UserWarning, match=r"001/Episode001\.h5' is a recording of ThorSync"):
        nwb_ophys.open(folder).close()
