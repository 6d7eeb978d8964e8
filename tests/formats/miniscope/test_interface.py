"""Tests of Miniscope recordings: layouts, several videos, recordings and devices, times, faults."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from pynwb import NWBHDF5IO
from roiextractors import MiniscopeImagingExtractor as PeerExtractor

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    CorruptSourceError,
    MissingPackageError,
    SourceArgumentError,
    SourceError,
)
from nwb_ophys.formats.miniscope.avi import read_avi_outline
from nwb_ophys.formats.miniscope.reader import MiniscopeExtractor
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_miniscope, write_old_miniscope

cv2 = pytest.importorskip("cv2")

START = datetime(2024, 5, 17, 14, 30, 2, 7000, tzinfo=timezone(timedelta(hours=2)))
RATE = 20.0


@pytest.fixture
def movie() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 24, 34), dtype=np.uint8)


@pytest.fixture
def recording(tmp_path: Path, movie: np.ndarray) -> Path:
    return write_miniscope(
        tmp_path / "day" / "rec", movie, sampling_frequency=RATE, start=START, frames_per_file=10
    )


def in_order(*paths: Path) -> np.ndarray:
    """Decode videos from their first frame to their last, without seeking."""
    frames = []
    for path in paths:
        capture = cv2.VideoCapture(str(path))
        while (read := capture.read())[0]:
            assert (read[1] == read[1][..., :1]).all()
            frames.append(read[1][..., 0])
        capture.release()
    return np.stack(frames)


# --- the real recording -----------------------------------------------------------------------


def test_real_recordings_as_one(data_folder, tmp_path):
    folder = data_folder / "miniscope" / "C6-J588_Disc5"
    target = tmp_path / "session.nwb"
    with pytest.raises(SystemExit) as exit_:
        main(["convert", str(folder), "-o", str(target)])
    assert exit_.value.code == 0
    videos = [
        folder / name / "Miniscope" / "0.avi" for name in ("15_03_28", "15_06_28", "15_07_58")
    ]
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        series = nwbfile.acquisition["OnePhotonSeries"]
        np.testing.assert_array_equal(series.data[:], in_order(*videos).swapaxes(1, 2))
        assert series.data.dtype == np.uint8
        # 179.972 s and 270.031 s are the distances of the starts that metaData.json state.
        expected = [-24, 52, 109, 174, 242]
        expected += [179972 + each for each in (-25, 52, 109, 176, 242)]
        expected += [270031 + each for each in (-31, 46, 102, 169, 236)]
        np.testing.assert_allclose(series.timestamps[:], np.array(expected) / 1000, atol=1e-9)
        assert nwbfile.session_start_time.isoformat() == "2021-10-07T15:03:28.635000-07:00"
        assert series.imaging_plane.imaging_rate == 15.0
        assert nwbfile.subject is None
        assert len(nwbfile.acquisition) == 1
        assert "Miniscope_V3" in series.imaging_plane.device.description
        assert "gain High, led0 47" in series.imaging_plane.device.description


def test_real_recording_equals_the_peer(data_folder):
    folder = data_folder / "miniscope" / "C6-J588_Disc5" / "15_06_28"
    ours, peer = MiniscopeExtractor(folder), PeerExtractor(folder_path=folder / "Miniscope")
    np.testing.assert_array_equal(ours.get_series(), peer.get_series())
    np.testing.assert_array_equal(ours.get_native_timestamps(), peer.get_native_timestamps())


def test_whole_recordings(data_folder):
    folder = data_folder / "miniscope" / "C6-J588_Disc5"
    with pytest.warns(UserWarning, match="cameras, which are left out: '15_03_28/BehavCam_2'"):
        converter = nwb_ophys.MiniscopeConverter(folder)
    (interface,) = converter.interfaces.values()
    assert interface.extractor.get_num_samples() == 15


# --- frames -----------------------------------------------------------------------------------


def test_frames_of_several_videos_in_any_range(recording, movie):
    extractor = MiniscopeExtractor(recording)
    assert extractor.get_num_samples() == 37
    np.testing.assert_array_equal(extractor.get_series(), movie)
    for start, end in [(0, 0), (36, 37), (9, 11), (5, 32), (37, 37), (20, 21), (3, 4), (12, 12)]:
        found = extractor.get_series(start, end)
        assert found.shape == (end - start, 24, 34)
        np.testing.assert_array_equal(found, movie[start:end])
    for start, end in [(-1, 3), (5, 4), (0, 38)]:
        with pytest.raises(SourceArgumentError, match="0 to 37"):
            extractor.get_series(start, end)


def test_fault_of_the_peer_an_empty_range_is_empty(recording):
    """roiextractors takes the end 0 for all frames."""
    assert PeerExtractor(folder_path=recording / "Miniscope").get_series(0, 0).shape[0] != 0
    assert MiniscopeExtractor(recording).get_series(0, 0).shape == (0, 24, 34)


@pytest.mark.parametrize("codec", ["FFV1", "GREY", "MJPG"])
def test_seeking_is_exact(tmp_path, codec):
    # Slow changes, so that the frames between two key frames depend on each other.
    ramp = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) // 4
    movie = ((ramp + np.arange(60)[:, None, None] * 3) % 256).astype(np.uint8)
    folder = write_miniscope(tmp_path / "rec", movie, codec=codec)
    expected = in_order(folder / "Miniscope" / "0.avi")
    assert len(expected) == 60
    if codec != "MJPG":
        np.testing.assert_array_equal(expected, movie)
    extractor = MiniscopeExtractor(folder)
    for start in np.random.default_rng(1).permutation(60):
        found = extractor.get_series(start, start + 1)[0]
        np.testing.assert_array_equal(found, expected[start], f"frame {start}")


def test_threads_read_each_with_files_of_their_own(recording, movie, tmp_path):
    interface = nwb_ophys.MiniscopeImagingInterface(recording)
    again = interface.extractor.open_again()
    errors: list[Exception] = []

    def read(extractor):
        try:
            for start in [*range(0, 36, 3), 2, 30, 7]:
                np.testing.assert_array_equal(
                    extractor.get_series(start, start + 1), movie[start : start + 1]
                )
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=read, args=(e,)) for e in (interface.extractor, again)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    path = interface.run_conversion(
        tmp_path / "out.nwb", workers=3, iterator_options={"buffer_shape": (4, 34, 24)}
    )
    with NWBHDF5IO(path, "r") as io:
        data = io.read().acquisition["OnePhotonSeries"].data[:]
    np.testing.assert_array_equal(data, movie.swapaxes(1, 2))


def test_nothing_is_decoded_before_it_is_asked_for(recording, monkeypatch):
    def fail(*_):
        raise AssertionError("a video was opened")

    monkeypatch.setattr(cv2, "VideoCapture", fail)
    interface = nwb_ophys.MiniscopeImagingInterface(recording)
    interface.create_nwbfile()
    assert interface.extractor.get_image_shape() == (24, 34)


def test_count_of_frames_without_an_index(recording):
    video = recording / "Miniscope" / "0.avi"
    data = bytearray(video.read_bytes())
    place = data.rindex(b"idx1")
    data[place : place + 4] = b"JUNK"
    video.write_bytes(data)
    assert read_avi_outline(video).num_frames == 10


def test_count_of_frames_of_a_large_file(recording):
    """Beyond 1 GB the frames are in further chunks of the file, whose index is elsewhere."""
    video = recording / "Miniscope" / "0.avi"
    frames = b"".join(b"00dc" + struct.pack("<I", 6) + b"abcdef" for _ in range(4))
    junk = b"ix00" + struct.pack("<I", 3) + b"abc\0"
    movi = b"LIST" + struct.pack("<I", 4 + len(frames + junk)) + b"movi" + frames + junk
    with video.open("ab") as file:
        file.write(b"RIFF" + struct.pack("<I", 4 + len(movi)) + b"AVIX" + movi)
    assert read_avi_outline(video).num_frames == 14


@pytest.mark.parametrize("num_lost", [1, 5])
def test_frames_that_the_program_dropped(tmp_path, movie, num_lost):
    """An index may have places without a frame, by which seeking counts and reading does not."""
    folder = write_miniscope(tmp_path / "rec", movie, codec="GREY")
    video = folder / "Miniscope" / "0.avi"
    data = video.read_bytes()
    movi, idx = data.index(b"movi"), data.rindex(b"idx1")
    empty = num_lost * (b"00dc" + bytes(4))
    place = movi + 4 + 3 * (8 + 24 * 34)
    assert data[place : place + 4] == b"00dc"
    entries = np.frombuffer(data[idx + 8 : idx + 8 + 37 * 16], "<u4").reshape(-1, 4).copy()
    gap = np.repeat(entries[3:4], num_lost, axis=0)
    gap[:, 3] = 0
    entries[3:, 2] += len(empty)
    index = np.concatenate([entries[:3], gap, entries[3:]]).tobytes()
    body = data[:place] + empty + data[place:idx] + b"idx1" + struct.pack("<I", len(index)) + index
    body = bytearray(body)
    struct.pack_into("<I", body, 4, len(body) - 8)
    struct.pack_into("<I", body, movi - 4, struct.unpack_from("<I", data, movi - 4)[0] + len(empty))
    video.write_bytes(body)
    assert read_avi_outline(video).num_frames == 37
    extractor = MiniscopeExtractor(folder)
    for start in (6, 2, 30, 4, 0, 36, 3):
        np.testing.assert_array_equal(extractor.get_series(start, start + 1)[0], movie[start])
    np.testing.assert_array_equal(extractor.get_series(), movie)


# --- times ------------------------------------------------------------------------------------


def times_file(recording: Path) -> Path:
    return recording / "Miniscope" / "timeStamps.csv"


def edit_times(recording: Path, change) -> None:
    lines = times_file(recording).read_text().splitlines()
    times_file(recording).write_text("\n".join(change(lines)) + "\n")


def test_times_and_a_negative_first_one(tmp_path, movie):
    times = np.r_[-0.031, np.arange(1, 37) * 0.05 + 0.003]
    folder = write_miniscope(tmp_path / "rec", movie, timestamps=times, sampling_frequency=RATE)
    extractor = MiniscopeExtractor(folder)
    np.testing.assert_allclose(extractor.get_native_timestamps(), times, atol=1e-12)
    np.testing.assert_allclose(extractor.get_native_timestamps(2, 5), times[2:5], atol=1e-12)
    assert extractor.get_sampling_frequency() == RATE


@pytest.mark.parametrize("num_lost", [0, 3])
def test_frames_that_only_the_daq_counted_are_named(recording, movie, num_lost):
    """Programs of 2026 write the counter of the DAQ as a further column."""
    edit_times(
        recording,
        lambda lines: [
            f"{lines[0]},DAQ Frame Number",
            *(f"{line},{row + 1 + num_lost * (row > 5)}" for row, line in enumerate(lines[1:])),
        ],
    )
    is_lost = pytest.warns(UserWarning, match=r"the DAQ counted 3 frames .* after row 5 ")
    with is_lost if num_lost else nullcontext():
        extractor = MiniscopeExtractor(recording)
    np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(37) / RATE)


def test_more_times_than_frames(recording, movie):
    edit_times(recording, lambda lines: [*lines, "37,1850,0", "38,1900,0"])
    with pytest.warns(
        UserWarning, match=r"39 timestamps for the 37 frames of the 4 videos.*last 2"
    ):
        extractor = MiniscopeExtractor(recording)
    np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(37) / RATE)
    np.testing.assert_array_equal(extractor.get_series(), movie)


def test_fewer_times_than_frames(recording, movie):
    edit_times(recording, lambda lines: lines[:-3])
    with pytest.warns(UserWarning, match=r"34 timestamps for the 37 frames.*last 3 frames"):
        extractor = MiniscopeExtractor(recording)
    assert extractor.get_num_samples() == len(extractor.get_native_timestamps()) == 34
    np.testing.assert_array_equal(extractor.get_series(30, 34), movie[30:34])


def test_fewer_times_than_frames_with_a_rate(recording, movie):
    edit_times(recording, lambda lines: lines[:-3])
    with pytest.warns(UserWarning, match="last 3 frames are spaced at the given 20 Hz"):
        extractor = MiniscopeExtractor(recording, sampling_frequency=20.0)
    np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(37) / RATE)
    np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_count_that_differs_converts_and_warns_once(recording, tmp_path, movie):
    edit_times(recording, lambda lines: lines[:-1])
    with pytest.warns(UserWarning, match="36 timestamps for the 37 frames"):
        interface = nwb_ophys.open(recording)
    # A further warning, of a thread that opens it again, would be an error.
    path = interface.run_conversion(
        tmp_path / "out.nwb", workers=3, iterator_options={"buffer_shape": (4, 34, 24)}
    )
    with NWBHDF5IO(path, "r") as io:
        data = io.read().acquisition["OnePhotonSeries"].data[:]
    np.testing.assert_array_equal(data, movie[:36].swapaxes(1, 2))


def test_frames_lost_in_the_midst_are_an_error(recording, movie):
    folder = write_miniscope(recording.parent / "other", movie[:9], frames_per_file=10)
    shutil.copy(folder / "Miniscope" / "0.avi", recording / "Miniscope" / "1.avi")
    with pytest.raises(CorruptSourceError, match=r"37 timestamps for the 36 frames.*'1.avi' has 9"):
        MiniscopeExtractor(recording)


def test_without_times_the_stated_rate_holds(recording):
    times_file(recording).unlink()
    extractor = MiniscopeExtractor(recording)
    assert extractor.get_native_timestamps() is None
    assert extractor.get_sampling_frequency() == RATE


@pytest.mark.parametrize(("text", "rate"), [("30FPS", 30.0), ("20.00", 20.0), (15, 15.0)])
def test_texts_of_the_rate(tmp_path, movie, text, rate):
    folder = write_miniscope(tmp_path / "rec", movie, settings={"frameRate": text})
    (folder / "Miniscope" / "timeStamps.csv").unlink()
    interface = nwb_ophys.MiniscopeImagingInterface(folder)
    assert interface.get_metadata()["Ophys"]["ImagingPlane"][0]["imaging_rate"] == rate
    assert interface.extractor.get_sampling_frequency() == rate


def test_neither_times_nor_a_rate(tmp_path, movie):
    folder = write_miniscope(tmp_path / "rec", movie, settings={"frameRate": ""})
    extractor = MiniscopeExtractor(folder)
    assert extractor.get_sampling_frequency() == pytest.approx(30.0, rel=0.02)  # as measured
    (folder / "Miniscope" / "timeStamps.csv").unlink()
    with pytest.raises(SourceArgumentError, match="give sampling_frequency in Hz"):
        MiniscopeExtractor(folder)
    assert MiniscopeExtractor(folder, sampling_frequency=7.5).get_sampling_frequency() == 7.5
    with pytest.raises(SourceArgumentError, match="positive number of Hz"):
        MiniscopeExtractor(folder, sampling_frequency=-1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: [*lines[:5], "noise", *lines[6:]], "line 6"),
        (lambda lines: [*lines[:5], *lines[6:]], "Frame Number 3 is followed by 5"),
        (lambda lines: ["a,b,c", *lines[1:]], "no column 'Frame Number'"),
        (lambda lines: lines[:1], "0 timestamps for the 37 frames"),
    ],
)
def test_damaged_times(recording, change, words):
    edit_times(recording, change)
    with pytest.raises(CorruptSourceError, match=words) as caught:
        MiniscopeExtractor(recording)
    assert "timeStamps.csv" in str(caught.value)


def test_a_last_line_that_was_cut_off(recording):
    text = times_file(recording).read_text()
    times_file(recording).write_text(text[: text.rindex("36,") + 2])
    with pytest.warns(UserWarning, match="36 timestamps for the 37 frames"):
        MiniscopeExtractor(recording)


# --- the earlier program ----------------------------------------------------------------------


def test_earlier_layout(tmp_path, movie):
    times = np.r_[-0.018, np.arange(1, 37) * 0.05]
    folder = write_old_miniscope(
        tmp_path / "old", movie, timestamps=times, animal="G10", frames_per_file=10,
        camera_number=1, other_camera_frames=50,
    )  # fmt: skip
    shutil.copy(folder / "msCam1.avi", folder / "behavCam1.avi")
    (candidate,) = detect(folder)
    assert candidate.evidence == "4 msCam .avi files and timestamp.dat"
    interface = nwb_ophys.open(folder)
    np.testing.assert_array_equal(interface.extractor.get_series(), movie)
    # The program writes -18 ms as 4294967278.
    np.testing.assert_allclose(interface.get_timestamps(), times, atol=1e-12)
    assert interface.extractor.get_sampling_frequency() == pytest.approx(RATE)
    metadata = interface.get_metadata()
    assert metadata["Subject"]["subject_id"] == "G10"
    assert "excitation 15" in metadata["Ophys"]["Device"][0]["description"]
    assert "imaging_rate" not in metadata["Ophys"]["ImagingPlane"][0]


def test_earlier_layout_with_cameras_of_one_count(tmp_path, movie):
    times = np.arange(37) * 0.04
    folder = write_old_miniscope(
        tmp_path / "old", movie, timestamps=times, camera_number=1, other_camera_frames=37
    )
    with pytest.raises(SourceArgumentError, match=r"0 \(37 times\), 1 \(37 times\)"):
        MiniscopeExtractor(folder)
    found = MiniscopeExtractor(folder, camera_number=1).get_native_timestamps()
    np.testing.assert_allclose(found, times)
    with pytest.raises(SourceArgumentError, match="camera_number, not 2"):
        MiniscopeExtractor(folder, camera_number=2)
    (folder / "timestamp.dat").unlink()
    with pytest.raises(SourceArgumentError, match=r"given, but '.*old' has no timestamp.dat"):
        MiniscopeExtractor(folder, camera_number=1)


# --- folders ----------------------------------------------------------------------------------


def test_metadata(recording, movie):
    file = recording / "metaData.json"
    stated = json.loads(file.read_text())
    stated |= {"animalName": "M7", "researcherName": "Doe, Jane", "experimentName": "Open field"}
    file.write_text(json.dumps(stated))
    found = nwb_ophys.open(recording).get_metadata()
    assert found["NWBFile"]["session_start_time"] == START
    assert found["NWBFile"]["session_start_time"].utcoffset() == timedelta(hours=2)
    assert found["NWBFile"]["experimenter"] == ["Doe, Jane"]
    assert found["NWBFile"]["experiment_description"] == "Open field"
    assert found["Subject"] == {"subject_id": "M7"}
    assert found["Ophys"]["OnePhotonSeries"][0]["dimension"] == [34, 24]
    # The folder of the device alone states as much.
    alone = nwb_ophys.open(recording / "Miniscope").get_metadata()
    assert alone["NWBFile"]["session_start_time"] == START


def test_start_without_universal_time_has_no_zone(tmp_path, movie):
    folder = write_miniscope(tmp_path / "rec", movie, start=START.replace(tzinfo=None))
    assert MiniscopeExtractor(folder).devices[0].start == START.replace(tzinfo=None)
    file = folder / "metaData.json"
    stated = json.loads(file.read_text())
    # As older versions have it: not in an entry of its own.
    file.write_text(json.dumps({**stated.pop("recordingStartTime"), **stated}))
    assert MiniscopeExtractor(folder).devices[0].start == START.replace(tzinfo=None)


def test_several_recordings_on_one_clock(recording, movie):
    later = START + timedelta(minutes=3, milliseconds=250)
    write_miniscope(recording.parent / "a", movie[:5], sampling_frequency=RATE, start=later)
    (candidate,) = detect(recording.parent)
    assert candidate.evidence.startswith("2 recordings: 5 .avi files of 'Miniscope'")
    extractor = nwb_ophys.open(recording.parent).extractor
    np.testing.assert_array_equal(extractor.get_series(30, 42), np.r_[movie[30:], movie[:5]])
    expected = np.r_[np.arange(37) / RATE, 180.25 + np.arange(5) / RATE]
    np.testing.assert_allclose(extractor.get_native_timestamps(), expected)


def test_recordings_of_which_one_lacks_times(recording, movie):
    folder = write_miniscope(
        recording.parent / "a", movie[:5], sampling_frequency=RATE, start=START + timedelta(hours=1)
    )
    times_file(folder).unlink()
    with pytest.warns(UserWarning, match=r"1 of 2 recordings have no timeStamps\.csv.*a/Miniscope"):
        found = MiniscopeExtractor(recording.parent).get_native_timestamps()
    np.testing.assert_allclose(found[37:], 3600 + np.arange(5) / RATE)


def test_rows_that_skip_frame_numbers(recording, movie):
    """Frames were cut from the videos and from the file of times alike."""

    def skip(lines):
        cells = [line.split(",") for line in lines]
        return [
            ",".join([str(int(row[0]) + 3 * (number > 20)), *row[1:]]) if number else lines[0]
            for number, row in enumerate(cells)
        ]

    expected = MiniscopeExtractor(recording).get_native_timestamps()
    edit_times(recording, skip)
    with pytest.warns(UserWarning, match="19 is followed by 23, but the file has one row for each"):
        extractor = MiniscopeExtractor(recording)
    np.testing.assert_array_equal(extractor.get_native_timestamps(), expected)
    np.testing.assert_array_equal(extractor.get_series(), movie)


def test_recordings_of_which_one_has_fewer_times(recording, movie):
    later = START + timedelta(hours=1)
    write_miniscope(recording.parent / "a", movie[:5], sampling_frequency=RATE, start=later)
    edit_times(recording, lambda lines: lines[:-2])
    with pytest.warns(UserWarning, match="35 timestamps for the 37 frames"):
        extractor = MiniscopeExtractor(recording.parent)
    # The frames without a time are left out, and the later recording stays what it is.
    np.testing.assert_array_equal(extractor.get_series(), np.r_[movie[:35], movie[:5]])
    np.testing.assert_array_equal(extractor.get_series(34, 36), np.r_[movie[34:35], movie[:1]])


def test_settings_that_recordings_do_not_share_are_left_out_with_a_note(tmp_path, movie):
    for hour, gain in ((0, "Low"), (1, "High")):
        write_miniscope(
            tmp_path / str(hour),
            movie,
            start=START + timedelta(hours=hour),
            sampling_frequency=RATE * (1 + hour),
            settings={"gain": gain, "led0": 10, "ewl": 10 * hour},
        )
    with pytest.warns(UserWarning, match="state different settings") as caught:
        interface = nwb_ophys.MiniscopeImagingInterface(tmp_path)
    (note,) = {str(each.message) for each in caught}
    assert "gain (Low in '0/Miniscope', High in '1/Miniscope')" in note
    assert "ewl (0 in " in note
    assert "frameRate (20FPS in " in note
    assert "led0" not in note
    ophys = interface.get_metadata()["Ophys"]
    (device,) = ophys["Device"]
    assert "led0 10" in device["description"]
    assert "gain" not in device["description"]
    assert "imaging_rate" not in ophys["ImagingPlane"][0]


def test_a_folder_with_one_recording(recording, movie):
    extractor = MiniscopeExtractor(recording.parent)
    np.testing.assert_array_equal(extractor.get_series(), movie)
    # What else is in the folder is looked for, too.
    (candidate,) = detect(recording.parent)
    assert candidate.source == {"folder_path": recording}


@pytest.mark.parametrize("case", ["animals", "starts"])
def test_recordings_of_no_common_clock_are_apart(recording, movie, case, tmp_path):
    start, animal = (START, "M8") if case == "animals" else (None, "")
    write_miniscope(recording.parent / "a", movie[:5], start=start, animal=animal)
    assert [each.source["folder_path"].name for each in detect(recording.parent)] == ["a", "rec"]


def test_recordings_that_differ_in_shape(recording, movie):
    write_miniscope(recording.parent / "a", movie[:5, :20], start=START + timedelta(hours=1))
    with pytest.raises(SourceError, match="20 x 34 pixels"):
        MiniscopeExtractor(recording.parent)


def test_several_miniscopes(recording, movie, tmp_path):
    write_miniscope(
        recording, movie[::-1], device_name="ACC_miniscope2", sampling_frequency=RATE,
        frames_per_file=10,
    )  # fmt: skip
    stated = json.loads((recording / "metaData.json").read_text())
    stated["recordingStartTime"] = {
        "year": 2024, "month": 5, "day": 17, "hour": 14, "minute": 30, "second": 2, "msec": 7,
        "msecSinceEpoch": 1715949002007,
    }  # fmt: skip
    (recording / "metaData.json").write_text(json.dumps(stated))
    with pytest.raises(SourceArgumentError, match="ACC_miniscope2, Miniscope; give device_name"):
        MiniscopeExtractor(recording)
    with pytest.raises(SourceArgumentError, match="no Miniscope 'x'"):
        MiniscopeExtractor(recording, device_name="x")
    converter = nwb_ophys.MiniscopeConverter(recording)
    path = converter.run_conversion(tmp_path / "two.nwb")
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        # They are set alike, but are not one.
        assert len(nwbfile.devices) == len(nwbfile.imaging_planes) == 2
        found = nwbfile.acquisition
        data = found["OnePhotonSeriesMiniscope"].data[:]
        np.testing.assert_array_equal(data, movie.swapaxes(1, 2))
        data = found["OnePhotonSeriesACCMiniscope2"].data[:]
        np.testing.assert_array_equal(data, movie[::-1].swapaxes(1, 2))


def test_behaviour_cameras_are_not_claimed(recording):
    file = recording / "metaData.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"cameras": ["Scope 2"]}))
    for stated in (
        {"deviceName": "BehavCam 2", "deviceType": "WebCam-1920x1080"},
        {"deviceName": "scope view", "deviceType": "WebCam"},
        # Known by the recording's list of cameras alone, also where the folder was renamed.
        {"deviceName": "Scope 2"},
        {"deviceName": "Scope 2", "folder": "Scope_above"},
    ):
        camera = recording / stated.pop("folder", stated["deviceName"].replace(" ", "_"))
        shutil.copytree(recording / "Miniscope", camera)
        (camera / "metaData.json").write_text(json.dumps(stated | {"frameRate": "30FPS"}))
        assert detect(camera) == []
    assert MiniscopeExtractor(recording).devices[0].name == "Miniscope"


def test_a_device_of_the_list_of_miniscopes_is_claimed(recording):
    file = recording / "metaData.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"miniscopes": ["CA1"]}))
    (recording / "Miniscope").rename(recording / "CA1")
    (recording / "CA1" / "metaData.json").write_text(json.dumps({"deviceType": "V4_BNO"}))
    assert [each.format for each in detect(recording)] == ["miniscope"]


def test_miniscopes_of_different_recordings_are_on_one_clock(tmp_path, movie):
    """The second, which the first recording lacks, counted from its own start."""
    for minutes, name in ((0, "A_scope"), (2, "A_scope"), (2, "B_scope")):
        write_miniscope(
            tmp_path / "day" / f"rec{minutes}", movie, sampling_frequency=RATE,
            start=START + timedelta(minutes=minutes), device_name=name,
        )  # fmt: skip
    converter = nwb_ophys.MiniscopeConverter(tmp_path / "day")
    with pytest.warns(UserWarning, match="different session starts"):
        path = converter.run_conversion(tmp_path / "a.nwb")
    with NWBHDF5IO(path, "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time == START
        first, second = (nwbfile.acquisition[f"OnePhotonSeries{n}Scope"] for n in "AB")
        np.testing.assert_allclose(first.timestamps[37:], 120 + np.arange(37) / RATE, atol=1e-3)
        assert second.starting_time == pytest.approx(120)


def test_recordings_of_several_animals_are_told_of(tmp_path, movie):
    """One file got the first animal alone, without a word."""
    for number, animal in enumerate(("M1", "M2")):
        start = START + timedelta(hours=number)
        write_miniscope(tmp_path / "day" / animal, movie, start=start, animal=animal)
    with (
        pytest.warns(UserWarning, match=r"different animals: 'M1' \('M1'\), 'M2' \('M2'\)"),
        pytest.warns(UserWarning, match="different session starts"),
    ):
        nwb_ophys.MiniscopeConverter(tmp_path / "day").get_metadata()


def test_other_videos_are_not_claimed(recording, tmp_path):
    other = tmp_path / "videos"
    other.mkdir()
    shutil.copy(recording / "Miniscope" / "0.avi", other / "0.avi")
    shutil.copy(recording / "Miniscope" / "0.avi", other / "mouse.avi")
    assert detect(other) == []
    (other / "0.avi").write_text("no video")
    shutil.copy(recording / "Miniscope" / "metaData.json", other)
    assert detect(other) == []


# --- damage -----------------------------------------------------------------------------------


def test_the_first_video_is_empty(recording):
    """The recording was not recognised, and what is wrong was not said."""
    (recording / "Miniscope" / "0.avi").write_bytes(b"")
    assert [each.format for each in detect(recording)] == ["miniscope"]
    with pytest.raises(CorruptSourceError, match=r"0\.avi' is truncated.*it has 0 bytes"):
        nwb_ophys.open(recording)


def test_a_video_is_missing(recording):
    (recording / "Miniscope" / "1.avi").unlink()
    with pytest.raises(SourceError, match=r"lacks 1\.avi of the videos up to '3\.avi'"):
        MiniscopeExtractor(recording)


@pytest.mark.parametrize("keep", [0, 8, 100, 0.5, 0.99])
def test_a_video_is_cut_off(recording, keep):
    video = recording / "Miniscope" / "1.avi"
    data = video.read_bytes()
    video.write_bytes(data[: int(keep * len(data)) if keep < 1 else keep])
    with pytest.raises(CorruptSourceError, match=r"1\.avi"):
        MiniscopeExtractor(recording)


def test_a_frame_is_damaged(recording):
    video = recording / "Miniscope" / "1.avi"
    data = bytearray(video.read_bytes())
    place = data.index(b"movi")
    data[place + 12 : data.rindex(b"idx1")] = bytes(data.rindex(b"idx1") - place - 12)
    video.write_bytes(data)
    extractor = MiniscopeExtractor(recording)
    with pytest.raises(CorruptSourceError, match=r"of '.*1\.avi' \(FFV1\)"):
        extractor.get_series()
    assert extractor.get_series(0, 5).shape == (5, 24, 34)


def test_settings_that_are_no_json(recording):
    (recording / "Miniscope" / "metaData.json").write_text("{")
    with pytest.raises(CorruptSourceError, match=r"metaData\.json' is not a JSON file"):
        MiniscopeExtractor(recording)


def test_no_recording(tmp_path):
    with pytest.raises(SourceError, match="is not a Miniscope recording"):
        MiniscopeExtractor(tmp_path)


def test_without_opencv(recording, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    assert detect(recording)[0].format == "miniscope"
    with pytest.raises(MissingPackageError, match=r"nwb-ophys\[miniscope\]"):
        MiniscopeExtractor(recording)


def test_start_of_the_earlier_program_in_the_names_of_its_folders(tmp_path, movie):
    """Fault: the recordings of a day all began at 0, as if they had been simultaneous."""
    day = tmp_path / "9_14_2018"
    for name in ("H10_M3_S5", "H11_M20_S7"):
        write_old_miniscope(day / name, movie[:4], animal="m1")
    opened = nwb_ophys.open(day)
    starts = [each.extractor.devices[0].start for each in opened.interfaces.values()]
    assert starts == [datetime(2018, 9, 14, 10, 3, 5), datetime(2018, 9, 14, 11, 20, 7)]
    with pytest.warns(UserWarning, match="The times of each count from it"):
        start = opened.get_metadata()["NWBFile"]["session_start_time"]
    assert str(start)[:19].replace(" ", "T") == "2018-09-14T10:03:05"


@pytest.mark.parametrize("name", ["14_9_2018/H10_M3_S5", "9_14_2018/day1", "x/H10_M3_S5"])
def test_other_names_of_folders_state_no_start(tmp_path, movie, name):
    folder = write_old_miniscope(tmp_path / name, movie[:4])
    assert MiniscopeExtractor(folder).devices[0].start is None


def test_a_copy_of_a_recording_is_not_joined_to_it(tmp_path, movie):
    """Fault: all frames came twice, and their times went backwards."""
    for hour in (10, 11):
        start = datetime(2021, 10, 7, hour)
        write_miniscope(tmp_path / "day" / f"{hour}_00_00", movie[:4], start=start, animal="m1")
    day = tmp_path / "day"
    shutil.copytree(day / "10_00_00", day / "10_00_00 - Copy")
    words = "'10_00_00 - Copy/Miniscope' of '10_00_00/Miniscope'"
    with pytest.warns(UserWarning, match=words):
        opened = nwb_ophys.open(day)
    folders = [device.folder.parent.name for device in opened.extractor.devices]
    assert folders == ["10_00_00", "11_00_00"]
    shutil.rmtree(day / "11_00_00")
    with pytest.warns(UserWarning, match=words):
        opened = nwb_ophys.open(day)
    assert opened.extractor.get_num_samples() == 4


def test_orientations_and_notes_are_named(tmp_path, movie):
    write_miniscope(tmp_path / "day", movie[:4])
    notes, orientations = tmp_path / "day/notes.csv", tmp_path / "day/Miniscope/headOrientation.csv"
    notes.write_text("Time Stamp (ms),Note\n")
    orientations.write_text("Time Stamp (ms),qw,qx,qy,qz\n")
    nwb_ophys.open(tmp_path / "day").close()  # headings only
    notes.write_text("Time Stamp (ms),Note\n41,The mouse woke up.\n")
    orientations.write_text("Time Stamp (ms),qw,qx,qy,qz\n5,1,0,0,0\n")
    with pytest.warns(UserWarning, match=r"'Miniscope/headOrientation\.csv', 'notes\.csv'\."):
        nwb_ophys.open(tmp_path / "day").close()


def test_notes_of_the_earlier_program_are_named(tmp_path, movie):
    folder = write_old_miniscope(tmp_path / "H10_M3_S5", movie[:4])
    nwb_ophys.open(folder).close()
    settings = folder / "settings_and_notes.dat"
    settings.write_text(settings.read_text() + "12040\tThe mouse woke up.\n")
    with pytest.warns(UserWarning, match=r"'settings_and_notes\.dat'\."):
        nwb_ophys.open(folder).close()


def test_times_of_another_rate_than_stated_or_given(tmp_path, movie):
    """Faults: the rate of the times was written, and a given one ignored, without a word."""
    times = np.arange(len(movie)) / 10
    folder = write_miniscope(tmp_path, movie, timestamps=times, sampling_frequency=30.0)
    with pytest.warns(UserWarning, match=r"give 10 Hz, .* metaData\.json states 30 Hz \(frameRa"):
        assert MiniscopeExtractor(folder).get_sampling_frequency() == 10
    with pytest.warns(UserWarning, match="give 10 Hz, which is written, but sampling_frequency is"):
        MiniscopeExtractor(folder, sampling_frequency=20.0)
