"""Tests of the metadata of Prairie View in NWB's units, and of its recordings as streams."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import BrukerConverter, BrukerImagingInterface
from nwb_ophys.errors import OptionError, SourceError
from nwb_ophys.registry import detect
from nwb_ophys.testing import simulate_recording, write_bruker, write_suite2p, write_tiff

REAL = "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005"
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def _movie(*shape: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + np.prod(shape), dtype=np.uint16).reshape(shape)


def _described(path: Path, **source: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Return what is stated of the plane, of the series, and the rest."""
    found = BrukerImagingInterface(path, **source).describe()
    ophys = found["Ophys"]
    return ophys["ImagingPlane"][0], ophys["TwoPhotonSeries"][0], found


# --- metadata ---------------------------------------------------------------------------------


def test_what_the_real_recording_states(data_folder):
    plane, series, found = _described(data_folder / REAL)
    assert found["NWBFile"]["session_start_time"] == datetime(2022, 11, 3, 11, 20, 34)
    assert plane["imaging_rate"] == pytest.approx(10.3147575)
    # 1.1078125 um, and 260 um from -130 to 130 of the lens that is tuned.
    np.testing.assert_allclose(plane["grid_spacing"], [1.1078125e-6, 1.1078125e-6, 260e-6])
    assert plane["grid_spacing_unit"] == plane["origin_coords_unit"] == "meters"
    np.testing.assert_allclose(plane["origin_coords"], [14.927e-6, 56.215e-6, -130e-6])
    assert "Optotune ETL 10-30" in plane["reference_frame"]
    # Three lasers, and no wavelength but in their names: not stated.
    assert plane["excitation_lambda"] is None
    assert plane["optical_channel"] == [{"name": "Ch2", "description": "PMT 2 HV (Green)"}]
    assert series["pmt_gain"] == 700
    assert series["scan_line_rate"] == pytest.approx(1 / 6.3128e-05)
    for words in ("bit depth 13", "dwell time 0.4 us", "optical zoom 2", "920 Axon: 599.609375"):
        assert words in series["comments"]
    device = found["Ophys"]["Device"][0]["description"]
    assert "5.6.64.400" in device
    assert "objective 16X (16x, NA 0.8)" in device


@pytest.mark.parametrize(("index", "depth"), [(0, -130e-6), (1, 130e-6)])
def test_each_plane_states_its_own_depth(data_folder, index, depth):
    plane, _, _ = _described(data_folder / REAL, plane_index=index)
    assert plane["origin_coords"][2] == pytest.approx(depth)
    assert len(plane["grid_spacing"]) == 2
    assert f"Optotune ETL 10-30 {depth * 1e6:g}" in plane["description"]


@pytest.mark.parametrize("version", ["5.6.64.400", "4.1.1.4"])
def test_what_written_recordings_state(tmp_path, version):
    folder = write_bruker(
        tmp_path / "T-1",
        {1: _movie(3, 12, 9, 4), 2: _movie(3, 12, 9, 4)},
        version=version,
        z_step=7.5,
        sampling_frequency=5.0,
    )
    for name, gain in (("Ch1", 600), ("Ch2", 700)):
        plane, series, found = _described(folder, channel_name=name)
        np.testing.assert_allclose(plane["grid_spacing"], [1.25e-6, 1.5e-6, 7.5e-6])
        np.testing.assert_allclose(plane["origin_coords"], [14.9e-6, 56.2e-6, 166.5e-6])
        assert plane["excitation_lambda"] == 920
        assert plane["imaging_rate"] == pytest.approx(5.0)
        assert (series["pmt_gain"], series["scan_line_rate"]) == (gain, pytest.approx(16000))
        assert found["NWBFile"]["session_start_time"] == datetime(2024, 5, 17, 14, 3, 21)


@pytest.mark.parametrize(
    ("powers", "waves", "expected"),
    [
        ({"0": "10"}, {"0": "920"}, 920),
        ({"0": "10", "1": "0"}, {"0": "920", "1": "1064"}, 920),
        ({"0": "10", "1": "5"}, {"0": "920", "1": "1064"}, None),
        ({"0": "10"}, {"0": "0"}, None),
        ({"0": "10"}, None, None),
    ],
)
def test_the_wavelength_of_the_one_laser_that_shines(tmp_path, powers, waves, expected):
    settings = {"laserPower": powers, "laserWavelength": waves}
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9), settings=settings)
    assert _described(folder)[0]["excitation_lambda"] == expected


@pytest.mark.parametrize(
    "date",
    [
        "11/3/2022 11:20:34 AM",
        "03/11/2022 11:20:34",
        "03.11.2022 11:20:34",
        "2022-11-03 11:20:34",
        "11/03/2022 11:20:34",
        "2022/11/03 11:20:34",
        "03-11-2022 11:20:34",
    ],
)
def test_dates_of_any_country(tmp_path, date):
    """Day and month are told apart by the date in the images, where they need to be."""
    moment = datetime(2022, 11, 3, 11, 20, 34)
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9), session_start_time=moment, date=date)
    assert _described(folder)[2]["NWBFile"]["session_start_time"] == moment


def test_a_date_that_is_none_is_not_stated(tmp_path):
    """Fault: no note said that a start in an unknown form was left out."""
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9), date="yesterday")
    with pytest.warns(UserWarning, match=r"xml' states the start 'yesterday', a form of dates"):
        found = _described(folder)[2]
    assert found["NWBFile"]["session_start_time"] is None


def test_settings_that_are_absent_are_not_stated(tmp_path):
    absent = ("micronsPerPixel", "pmtGain", "scanLinePeriod", "laserWavelength", "objectiveLens")
    settings = dict.fromkeys((*absent, "objectiveLensMag", "objectiveLensNA"))
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9), settings=settings)
    plane, series, found = _described(folder)
    assert "grid_spacing" not in plane
    assert (series["pmt_gain"], series["scan_line_rate"]) == (None, None)
    assert "objective" not in found["Ophys"]["Device"][0]["description"]
    BrukerImagingInterface(folder).create_nwbfile(START)


# --- streams and converter --------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    movies = {1: _movie(4, 12, 9, 2), 2: _movie(4, 12, 9, 2, first=900)}
    names = {1: "Red", 2: "Green"}
    return write_bruker(tmp_path / "TSeries-1", movies, channel_names=names)


@pytest.mark.parametrize("as_volume", [True, False])
def test_every_channel_and_plane_is_written(tmp_path, folder, as_volume):
    converter = BrukerConverter(folder, as_volume=as_volume)
    path = converter.run_conversion(tmp_path / "a.nwb", metadata=START)
    movies = {"Red": _movie(4, 12, 9, 2), "Green": _movie(4, 12, 9, 2, first=900)}
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert len(nwbfile.devices) == 1
        assert len(nwbfile.acquisition) == len(nwbfile.imaging_planes) == (2 if as_volume else 4)
        for name, movie in movies.items():
            if as_volume:
                found = nwbfile.acquisition[f"TwoPhotonSeries{name}"].data[:]
            else:
                series = [nwbfile.acquisition[f"TwoPhotonSeries{name}Plane{p}"] for p in (0, 1)]
                found = np.stack([each.data[:] for each in series], axis=-1)
                depths = [each.imaging_plane.origin_coords[2] for each in series]
                np.testing.assert_allclose(depths, [166.5e-6, 171.5e-6])
            np.testing.assert_array_equal(found.swapaxes(1, 2), movie)


def test_two_recordings_in_a_folder(tmp_path, folder):
    other = write_bruker(tmp_path / "TSeries-2", _movie(3, 12, 9))
    for path in other.iterdir():
        path.rename(folder / path.name)
    with pytest.raises(SourceError, match="holds 2 recordings"):
        BrukerImagingInterface(folder)
    assert list(BrukerImagingInterface.streams(folder)) == [
        "TSeries-1 Red",
        "TSeries-1 Green",
        "TSeries-2",
    ]
    (candidate,) = detect(folder)
    assert "TSeries-1.xml with PVScan 5.6 and 1 more" in candidate.evidence
    movie = BrukerImagingInterface(folder / "TSeries-2.xml")
    np.testing.assert_array_equal(movie.extractor.get_series(), _movie(3, 12, 9))


@pytest.mark.parametrize("copy", ["TSeries-1_old.xml", "A.xml", "TSeries-1 fixed.xml"])
def test_a_copy_of_the_xml_file_is_no_recording_of_its_own(tmp_path, copy):
    """Fault: the same images were written once for each XML file."""
    folder = write_bruker(tmp_path / "TSeries-1", _movie(3, 12, 9))
    text = (folder / "TSeries-1.xml").read_text()
    (folder / copy).write_text(text.replace('version="5.6', 'version="5.5'))
    with pytest.warns(UserWarning, match=f"of another one, and are left out: '{copy}'\\."):
        streams = BrukerImagingInterface.streams(folder)
    assert list(streams) == [""]
    for given, version in ((folder, "5.6"), (folder / copy, "5.5")):
        with BrukerImagingInterface(given) as interface:
            assert interface.extractor.recording.version.startswith(version)
    (candidate,) = detect(folder)
    assert "TSeries-1.xml with PVScan 5.6" in candidate.evidence
    opened = nwb_ophys.open(folder / copy)
    assert opened.extractor.recording.version.startswith("5.5")


def test_a_converter_of_what_is_none(tmp_path):
    with pytest.raises(SourceError, match="PVScan"):
        BrukerConverter(write_tiff(tmp_path / "a.tif", _movie(3, 12, 9)))


# --- detection --------------------------------------------------------------------------------


def test_evidence(folder):
    assert BrukerImagingInterface.matches(folder) == (
        "16 .ome.tif files and TSeries-1.xml with PVScan 5.6"
    )
    xml = folder / "TSeries-1.xml"
    assert BrukerImagingInterface.matches(xml) == "TSeries-1.xml with PVScan 5.6"


def test_one_image_means_its_recording(folder):
    path = folder / "TSeries-1_Cycle00002_Ch1_000001.ome.tif"
    assert "beside TSeries-1.xml" in str(BrukerImagingInterface.matches(path))
    assert [candidate.format for candidate in detect(path)] == ["bruker"]
    assert set(nwb_ophys.open(path).interfaces) == {"bruker Red", "bruker Green"}
    (folder / "TSeries-1.xml").unlink()
    assert BrukerImagingInterface.matches(path) is None


def test_files_of_voltages_are_no_recordings(folder):
    text = '<PVScan version="5.6"/>'
    (folder / "TSeries-1_Cycle00001_VoltageRecording_001.xml").write_text(text)
    (folder / "notes.xml").write_text("<notes/>")
    with pytest.warns(UserWarning, match="voltage recordings .*_001.xml'.* left out"):
        assert list(BrukerImagingInterface.streams(folder)) == ["Red", "Green"]


def test_other_formats_do_not_claim_version_4(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9), version="4.1.1.4")
    assert [candidate.format for candidate in detect(folder)] == ["bruker"]


def test_rois_of_the_folder_are_found_with_it(tmp_path):
    cells = simulate_recording(
        num_samples=9, num_rows=24, num_columns=34, num_cells=3, dtype="uint16"
    )
    folder = write_bruker(tmp_path / "T-1", cells.movie)
    write_suite2p(folder, cells)
    assert [candidate.format for candidate in detect(folder)] == ["bruker", "suite2p"]


@pytest.mark.parametrize("name", ["MarkPoints-001", "VoltageRecording", "day1_Cycle01_a-001"])
def test_recordings_named_like_other_files(tmp_path, name):
    """Fault: a recording with such a word in its name is not recognised."""
    folder = write_bruker(tmp_path / name, _movie(3, 12, 9))
    for path in (folder, folder / f"{name}_Cycle00001_Ch2_000002.ome.tif"):
        assert [candidate.format for candidate in detect(path)] == ["bruker"]
        np.testing.assert_array_equal(nwb_ophys.open(path).extractor.get_series(), _movie(3, 12, 9))


def test_a_power_that_is_no_number(tmp_path):
    """Fault: ends with a traceback."""
    settings = {
        "laserPower": {"0": "Not set", "1": "0"},
        "laserWavelength": {"0": "920", "1": "1040"},
    }
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9), settings=settings)
    assert _described(folder)[0]["excitation_lambda"] == 920


def test_notes(tmp_path):
    folder = write_bruker(tmp_path / "T-1", _movie(2, 12, 9))
    assert _described(folder)[2]["NWBFile"]["notes"] is None
    xml = folder / "T-1.xml"
    xml.write_text(xml.read_text("utf-8-sig").replace('notes=""', 'notes="mouse 3 &amp; 4"'))
    assert _described(folder)[2]["NWBFile"]["notes"] == "mouse 3 & 4"


def test_times_of_bursts_are_in_the_file(tmp_path):
    times = np.concatenate([10.0 * burst + np.arange(4) / 20 for burst in range(3)])
    folder = write_bruker(
        tmp_path / "T-1",
        _movie(12, 12, 9),
        sampling_frequency=20.0,
        timestamps=times,
        frames_per_cycle=4,
    )
    series = BrukerImagingInterface(folder).create_nwbfile(START).acquisition["TwoPhotonSeries"]
    assert series.rate is None
    np.testing.assert_allclose(series.timestamps[:], times, atol=1e-9)


@pytest.mark.parametrize(("version", "expected"), [("5.6.64.400", "ome-tiff"), ("4.1.1.4", "tiff")])
def test_images_without_their_xml(tmp_path, version, expected):
    """Fault: no format at all recognises the images, if the XML file was not copied."""
    folder = write_bruker(tmp_path / "T-1", _movie(3, 12, 9), version=version)
    (folder / "T-1.xml").unlink()
    if expected == "ome-tiff":
        for path in folder.glob("*.tif"):
            image = tifffile.imread(path)
            tifffile.imwrite(path, image, ome=True, software=f"Prairie View {version}")
    for path in (folder, next(folder.glob("*.tif"))):
        assert [candidate.format for candidate in detect(path)] == [expected]


def test_a_folder_without_xml_that_is_said_to_be_of_bruker(tmp_path):
    """Fault: told of a converter that needs streams."""
    write_tiff(tmp_path / "a.tif", _movie(3, 12, 9))
    with pytest.raises(SourceError, match="holds no XML file of Prairie View"):
        nwb_ophys.open(tmp_path, format="bruker")


@pytest.mark.parametrize("text", ["maybe", "2", "~"])
def test_as_volume_that_is_neither(folder, text):
    """Fault: whatever was not understood was taken for yes."""
    with pytest.raises(OptionError, match=r"as_volume is .*; it must be true or false"):
        nwb_ophys.open(folder, as_volume=text)
    assert len(nwb_ophys.open(folder, as_volume="false").interfaces) == 4


@pytest.mark.parametrize("name", ["été", "A & B"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_names_that_copying_or_xml_spell_otherwise(tmp_path, name, is_alone):
    """Fault: macOS takes accents apart, and the images were said to be missing."""
    folder = write_bruker(tmp_path / name, _movie(3, 12, 9))
    for path in list(folder.glob("*.tif")):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    if name == "A & B":
        xml = folder / "A & B.xml"
        xml.write_text(xml.read_text(encoding="utf-8-sig").replace('"A & B', '"A &amp; B'))
    if not is_alone:
        (folder / "papers").mkdir()
    opened = nwb_ophys.open(folder)
    np.testing.assert_array_equal(opened.extractor.get_series(), _movie(3, 12, 9))
