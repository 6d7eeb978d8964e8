"""Tests of files of Femtonics' MESc: units, channels, intensity, clock, damage."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO
from roiextractors import FemtonicsImagingExtractor as PeerExtractor

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    UnknownFormatError,
)
from nwb_ophys.formats.femtonics import header
from nwb_ophys.formats.femtonics.reader import FemtonicsExtractor
from nwb_ophys.opening import open_recording
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_femtonics

START = datetime(2024, 5, 17, 12, 30, 2, 7000, tzinfo=timezone.utc)


@pytest.fixture
def movie() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 65536, (12, 24, 34), dtype=np.uint16)


@pytest.fixture
def path(tmp_path: Path, movie: np.ndarray) -> Path:
    """Two units of two channels."""
    path = tmp_path / "a.mesc"
    write_femtonics(path, {"UG": movie, "UR": movie[::-1]}, start=START, comment="µ of a mouse")
    later = START + timedelta(minutes=5)
    return write_femtonics(path, {"UG": movie[:5], "UR": movie[5:10]}, start=later)


def open_unit(path: Path, munit_name: str = "MUnit_0", channel_name: str = "UG"):
    return FemtonicsExtractor(path, munit_name=munit_name, channel_name=channel_name)


# --- the real recording -----------------------------------------------------------------------


@pytest.fixture
def real(data_folder: Path) -> Path:
    return data_folder / "femtonics" / "p29.mesc"


def test_real_recording(real, tmp_path):
    target = tmp_path / "session.nwb"
    with pytest.raises(SystemExit) as exit_:
        main(["convert", str(real), "-o", str(target)])
    assert exit_.value.code == 0
    with NWBHDF5IO(target, "r") as io, h5py.File(real) as file:
        nwbfile = io.read()
        assert len(nwbfile.acquisition) == len(nwbfile.imaging_planes) == 4
        for unit in (0, 1):
            for number, channel in enumerate(("UG", "UR")):
                series = nwbfile.acquisition[f"TwoPhotonSeriesMUnit{unit}{channel}"]
                raw = file[f"MSession_0/MUnit_{unit}/Channel_{number}"][:]
                np.testing.assert_array_equal(series.data[:], raw.swapaxes(1, 2))
                assert series.data.dtype == np.uint16
                assert series.rate == pytest.approx(1000 / 32.29672617170252)
                # The second unit began 35 minutes and 20 seconds later, to the second.
                assert series.starting_time == pytest.approx(unit * 2120.0, abs=1.0)
                assert (series.conversion, series.offset) == (-1.0, 65535.0)
                (optical,) = series.imaging_plane.optical_channel
                assert optical.name == channel
        assert nwbfile.session_start_time.isoformat() == "2017-09-29T07:53:00.903594+00:00"
        (device,) = nwbfile.devices.values()
        assert device.description.startswith("Two-photon microscope of Femtonics Ltd: setup SN")
        assert "SN20150066006" in device.description
        assert "MESc 3.3 (revision 4356)" in device.description
        plane = nwbfile.imaging_planes["ImagingPlaneMUnit1UR"]
        np.testing.assert_allclose(plane.grid_spacing[:], [1.7821140546875e-6] * 2)
        np.testing.assert_allclose(plane.origin_coords[:2], [-456.221198e-6] * 2)
        assert "space1" in plane.reference_frame
        assert plane.optical_channel[0].description == "Reference voltage of the PMT: 70."
        assert list(nwbfile.experimenter) == ["flaviod"]


@pytest.mark.parametrize("unit", ["MUnit_0", "MUnit_1"])
@pytest.mark.parametrize("channel", ["UG", "UR"])
def test_real_recording_equals_the_peer(real, unit, channel):
    ours = open_unit(real, unit, channel)
    peer = PeerExtractor(real, munit_name=unit, channel_name=channel)
    np.testing.assert_array_equal(ours.get_series(1, 4), peer.get_series(1, 4))
    assert ours.get_sampling_frequency() == pytest.approx(peer.get_sampling_frequency())
    start = peer._get_session_start_time()
    assert abs(ours.unit.start - start) < timedelta(microseconds=2)


def test_real_recording_of_one_channel(real):
    movie = nwb_ophys.open(real, munit_name="MUnit_1", channel_name="UR")
    metadata = movie.get_metadata()
    # Alone, its own start counts.
    assert metadata["NWBFile"]["session_start_time"].isoformat()[:19] == "2017-09-29T08:28:20"
    assert movie.get_timestamps()[0] == 0.0


# --- frames and channels ----------------------------------------------------------------------


def test_frames_in_any_range(path, movie):
    extractor = open_unit(path)
    np.testing.assert_array_equal(extractor.get_series(), movie)
    for start, end in [(0, 0), (3, 3), (12, 12), (11, 12), (2, 9)]:
        found = extractor.get_series(start, end)
        assert found.shape == (end - start, 24, 34)
        np.testing.assert_array_equal(found, movie[start:end])
    for start, end in [(-1, 3), (5, 4), (0, 13)]:
        with pytest.raises(SourceArgumentError, match="0 to 12"):
            extractor.get_series(start, end)


def test_threads_may_share_it(path, movie):
    extractor = open_unit(path)
    found: dict[int, np.ndarray] = {}

    def read(number: int) -> None:
        found[number] = np.concatenate([extractor.get_series(i, i + 1) for i in range(12)])

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for frames in found.values():
        np.testing.assert_array_equal(frames, movie)


def test_every_channel_of_every_unit(path, movie, tmp_path):
    converter = nwb_ophys.open(path)
    target = converter.run_conversion(tmp_path / "out.nwb")
    with NWBHDF5IO(target, "r") as io:
        found = io.read()
        for name, frames, start in (
            ("MUnit0UG", movie, 0.0),
            ("MUnit0UR", movie[::-1], 0.0),
            ("MUnit1UG", movie[:5], 300.0),
            ("MUnit1UR", movie[5:10], 300.0),
        ):
            series = found.acquisition[f"TwoPhotonSeries{name}"]
            np.testing.assert_array_equal(series.data[:], frames.swapaxes(1, 2))
            assert series.starting_time == pytest.approx(start)
            assert series.rate == pytest.approx(30.0)
        assert found.session_start_time == START
        assert found.acquisition["TwoPhotonSeriesMUnit0UG"].comments == "µ of a mouse"


def test_several_sessions(path, movie):
    write_femtonics(path, movie, session=1, start=START - timedelta(hours=1))
    names = [name.removeprefix("femtonics ") for name in nwb_ophys.open(path).interfaces]
    assert names[0] == "MSession_0 MUnit_0 UG"
    assert names[-1] == "MSession_1 MUnit_0"
    with pytest.raises(SourceArgumentError, match="give session_name"):
        open_unit(path, "MUnit_0")
    found = FemtonicsExtractor(path, session_name="MSession_1")
    np.testing.assert_array_equal(found.get_series(), movie)


def test_fault_of_the_peer_a_channel_goes_with_its_own_dataset(path, movie):
    """roiextractors counts the names, and so takes Channel_0 for a file with only Channel_1."""
    with h5py.File(path, "a") as file:
        unit = file["MSession_0/MUnit_0"]
        del unit["Channel_0"], unit.attrs["Channel_0_Name"]
        unit.attrs["VecChannelsSize"] = np.uint64(1)
    with pytest.raises(Exception, match="Cannot find data"):
        PeerExtractor(path, munit_name="MUnit_0")
    extractor = FemtonicsExtractor(path, munit_name="MUnit_0")
    assert extractor.channel.name == "UR"
    np.testing.assert_array_equal(extractor.get_series(), movie[::-1])


def test_intensity_that_is_as_stored(tmp_path, movie):
    path = write_femtonics(tmp_path / "a.mesc", movie, inverted=False)
    series = nwb_ophys.open(path).get_metadata()["Ophys"]["TwoPhotonSeries"][0]
    assert not {"conversion", "offset"} & set(series)


def test_the_conversion_leads_to_the_intensity(tmp_path, movie):
    path = write_femtonics(tmp_path / "a.mesc", movie, start=START)
    target = nwb_ophys.open(path).run_conversion(tmp_path / "out.nwb")
    with NWBHDF5IO(target, "r") as io:
        series = io.read().acquisition["TwoPhotonSeries"]
        intensity = series.data[:] * series.conversion + series.offset
    np.testing.assert_array_equal(intensity.swapaxes(1, 2), 65535.0 - movie)


def test_metadata_of_what_is_not_stated(path):
    with h5py.File(path, "a") as file:
        unit = file["MSession_0/MUnit_0"]
        for name in list(unit.attrs.keys()):
            if not name.startswith("ZAxis"):
                del unit.attrs[name]
    movie = nwb_ophys.FemtonicsImagingInterface(
        path, munit_name="MUnit_0", channel_name="Channel_0"
    )
    metadata = movie.get_metadata()
    plane = metadata["Ophys"]["ImagingPlane"][0]
    assert not {"grid_spacing", "origin_coords", "reference_frame"} & set(plane)
    assert "session_start_time" not in metadata["NWBFile"]
    with pytest.raises(SourceError, match="the start of each unit"):
        FemtonicsExtractor(path, None, "MUnit_1", "UG", from_first_unit=True)


def test_a_turned_image_has_no_position(path):
    with h5py.File(path, "a") as file:
        file["MSession_0/MUnit_0"].attrs["GeomTransRot"] = np.array([0, 0, 0.7071, 0.7071])
    plane = nwb_ophys.FemtonicsImagingInterface(
        path, munit_name="MUnit_0", channel_name="UG"
    ).get_metadata()["Ophys"]["ImagingPlane"][0]
    assert "origin_coords" not in plane
    assert plane["grid_spacing"] == pytest.approx([1.5e-6, 1.5e-6])


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "MSession_0/MUnit_0, MSession_0/MUnit_1; give munit_name"),
        (
            {"munit_name": "MUnit_0"},
            "channel_name is needed; '{path}' has the MSession_0/MUnit_0 channels UG, UR; give one",
        ),
        ({"munit_name": "MUnit_7"}, "no unit with munit_name 'MUnit_7'"),
        (
            {"munit_name": "MUnit_0", "channel_name": "X"},
            "channel_name is 'X'; '{path}' has the MSession_0/MUnit_0 channels UG, UR; give one",
        ),
    ],
)
def test_a_choice_that_is_missing_or_wrong(path, arguments, words):
    with pytest.raises(SourceArgumentError, match=re.escape(words.format(path=path))):
        FemtonicsExtractor(path, **arguments)


def test_a_wrong_choice_through_open_is_named(path):
    with pytest.raises(SourceArgumentError, match="no unit with munit_name 'MUnit_7'"):
        nwb_ophys.open(path, munit_name="MUnit_7")


def test_a_stack_of_depths_is_no_movie(path, movie):
    write_femtonics(path, movie, start=START, axis_unit="µm")
    with pytest.warns(UserWarning, match="MSession_0/MUnit_2 .* are not movies"):
        assert len(nwb_ophys.open(path).interfaces) == 4
    with pytest.raises(SourceError, match="frames along 'µm' instead of frames along time"):
        FemtonicsExtractor(path, munit_name="MUnit_2")


@pytest.mark.parametrize(
    ("shape", "words"), [((0, 24, 34), "has no frames"), ((3, 2, 24, 34), "must have the axes")]
)
def test_a_unit_without_frames_does_not_hide_the_others(path, shape, words):
    """An aborted measurement has no frames, a scan of several layers has more axes."""
    with h5py.File(path, "a") as file:
        for name in ("Channel_0", "Channel_1"):
            del file[f"MSession_0/MUnit_1/{name}"]
            file.create_dataset(f"MSession_0/MUnit_1/{name}", shape, "u2")
    with pytest.warns(UserWarning, match="MSession_0/MUnit_1 .* are not movies .* are left out"):
        streams = nwb_ophys.FemtonicsImagingInterface.streams(path)
    assert [arguments["munit_name"] for arguments in streams.values()] == ["MUnit_0", "MUnit_0"]
    with h5py.File(path, "a") as file:
        del file["MSession_0/MUnit_0"]
        file.attrs["VecMSessionsSize"], file["MSession_0"].attrs["VecMUnitsSize"] = 1, 1
    for arguments in ({}, {"munit_name": "MUnit_1"}):
        with pytest.raises(SourceError, match=words):
            nwb_ophys.open(path, **arguments)


def test_a_channel_without_frames_is_named(path):
    with h5py.File(path, "a") as file:
        file["MSession_0/MUnit_1/Channel_1"].resize(0, 0)
    with pytest.warns(UserWarning, match="MSession_0/MUnit_1/Channel_1 .* are left out"):
        assert len(nwb_ophys.FemtonicsImagingInterface.streams(path)) == 3


def test_a_file_of_depths_only(tmp_path, movie):
    """Fault: the error was an IndexError, and the file was called damaged."""
    path = write_femtonics(tmp_path / "a.mesc", movie, axis_unit="µm")
    with pytest.raises(SourceError, match="is not a movie: it has frames along 'µm'"):
        nwb_ophys.open(path)


def test_the_metadata_are_read_once_for_all_streams(path, monkeypatch):
    """Fault: all units were read for each of their channels, 20 s for 40 units."""
    read, paths = header._read_header, []
    monkeypatch.setattr(header, "_read_header", lambda path: paths.append(path) or read(path))
    assert len(open_recording([path]).converter.interfaces) == 4
    assert len(paths) == 1


def test_curves_are_named(path):
    with h5py.File(path, "a") as file:
        curve = file.create_group("MSession_0/MUnit_0/Curve_0")
        curve.attrs["Name"] = np.frombuffer("trigger\0".encode("utf-16-le"), "<i2")
        curve["CurveDataYRawData"] = np.zeros(9)
        file.create_group("MSession_0/MUnit_0/Curve_1")
    with pytest.warns(UserWarning, match=r"MUnit_0 \(trigger, Curve_1\); they are left out"):
        nwb_ophys.FemtonicsImagingInterface.parts(path)


@pytest.mark.parametrize("name", ["a.mescroi", "a.MES"])
def test_other_files_are_refused_by_their_kind(tmp_path, name):
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(UnknownFormatError, match=r"not read. Give a .mesc file"):
        nwb_ophys.open(tmp_path / name)


def test_counts_that_differ_are_told(path):
    with h5py.File(path, "a") as file:
        file["MSession_0/MUnit_0"].attrs["ZDim"] = np.uint64(20)
    with pytest.warns(UserWarning, match="12 frames, but ZDim states 20"):
        assert open_unit(path).get_num_samples() == 12
    with h5py.File(path, "a") as file:
        file["MSession_0/MUnit_0"].attrs["XDim"] = np.uint64(20)
    with pytest.raises(CorruptSourceError, match="XDim is 20"):
        open_unit(path)


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_file_that_is_cut_off(path, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(CorruptSourceError, match=r"a\.mesc"):
        open_unit(path)


def test_a_frame_that_is_damaged(path):
    with h5py.File(path) as file:
        place = file["MSession_0/MUnit_0/Channel_0"].id.get_chunk_info(3)
    data = bytearray(path.read_bytes())
    data[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(data)
    extractor = open_unit(path)
    assert extractor.get_series(0, 3).shape == (3, 24, 34)
    with pytest.raises(CorruptSourceError, match=r"a.mesc.*the chunk at \(3, 0, 0\)"):
        extractor.get_series(2, 5)


def test_no_units(tmp_path):
    with h5py.File(tmp_path / "a.mesc", "w") as file:
        file["movie"] = np.zeros((3, 4, 5))
    assert detect(tmp_path / "a.mesc") == []
    with pytest.raises(SourceError, match="no measurement unit"):
        FemtonicsExtractor(tmp_path / "a.mesc")
    with h5py.File(tmp_path / "b.mesc", "w") as file:
        file.create_group("MSession_0/MUnit_0").create_dataset("Channel_0", (0, 4, 5), "u2")
        file["MSession_0/MUnit_0"].attrs["ZAxisConversionConversionLinearScale"] = 33.0
        file["MSession_0/MUnit_0"].attrs["ZAxisConversionUnitName"] = "ms"
    with pytest.raises(SourceError, match="has no frames"):
        FemtonicsExtractor(tmp_path / "b.mesc")


def test_another_conversion_than_a_linear_one_is_reported(path):
    with h5py.File(path, "a") as file:
        file["MSession_0/MUnit_0"].attrs["Channel_0_Conversion_Type"] = 2
    with pytest.warns(UserWarning, match="conversion of its values of the type 2"):
        interface = _interface(path)
    entry = interface.get_metadata()["Ophys"]["TwoPhotonSeries"][0]
    assert not {"conversion", "offset"} & set(entry)


def test_a_conversion_without_a_type_is_linear(path):
    with h5py.File(path, "a") as file:
        attributes = file["MSession_0/MUnit_0"].attrs
        del attributes["Channel_0_Conversion_Type"]
        attributes["Channel_0_Conversion_ConversionLinearScale"] = 1.0
        attributes["Channel_0_Conversion_ConversionLinearOffset"] = -1454.0
    entry = _interface(path).get_metadata()["Ophys"]["TwoPhotonSeries"][0]
    assert (entry["conversion"], entry["offset"]) == (1.0, -1454.0)


def _interface(path: Path) -> nwb_ophys.FemtonicsImagingInterface:
    arguments = {"munit_name": "MUnit_0", "channel_name": "UG"}
    return nwb_ophys.FemtonicsImagingInterface(file_path=path, **arguments)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("MSession_0/MUnit_0", "MSession_0 states 2 MUnit and has 1"),
        ("MSession_0/MUnit_1/Channel_1", "MSession_0/MUnit_1 states 2 Channel and has 1"),
    ],
)
def test_parts_that_the_file_counts_are_missed(tmp_path, place, said):
    path = tmp_path / "a.mesc"
    for _ in range(2):
        movie = {name: np.ones((3, 8, 8), np.uint16) for name in ("UG", "UR")}
        write_femtonics(path, movie)
    nwb_ophys.FemtonicsImagingInterface.parts(path)
    with h5py.File(path, "r+") as file:
        del file[place]
    with pytest.warns(UserWarning, match=f"lacks parts that it counts: {said}"):
        nwb_ophys.FemtonicsImagingInterface.parts(path)


def test_a_channel_that_damage_made_something_else(tmp_path):
    """Fault: a dataset without its layout is a type of HDF5, and was passed over."""
    path = tmp_path / "a.mesc"
    write_femtonics(path, {name: np.ones((3, 8, 8), np.uint16) for name in ("UG", "UR")})
    with h5py.File(path, "r+") as file:
        del file["MSession_0/MUnit_0/Channel_1"]
        file["MSession_0/MUnit_0/Channel_1"] = np.dtype("u2")
    with pytest.warns(UserWarning, match="MSession_0/MUnit_0 states 2 Channel and has 1"):
        nwb_ophys.FemtonicsImagingInterface.parts(path)


def test_an_unknown_unit_of_the_pixel_size_is_named(tmp_path):
    path = write_femtonics(tmp_path / "a.mesc", np.zeros((3, 4, 5), int))
    with h5py.File(path, "r+") as file:
        codes = np.array([ord(letter) for letter in "furlong"] + [0], "<i2")
        file["MSession_0/MUnit_0"].attrs["XAxisConversionUnitName"] = codes
    with pytest.warns(
        UserWarning, match=r"axis X of /MSession_0/MUnit_0 in .* is 'furlong', which"
    ):
        interface = nwb_ophys.FemtonicsImagingInterface(path)
    assert interface.describe()["Ophys"]["ImagingPlane"][0]["grid_spacing"] is None
