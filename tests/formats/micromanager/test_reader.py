"""Tests of the reader of Micro-Manager against tifffile, and of faults in other readers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
import tifffile
from roiextractors import MicroManagerTiffImagingExtractor

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.filetypes.frames.settings import camera_binning
from nwb_ophys.filetypes.frames.values import acquisition_start, first_value
from nwb_ophys.formats.micromanager.reader import MicroManagerExtractor
from nwb_ophys.formats.micromanager.tags import read_summary
from nwb_ophys.testing import write_micromanager, write_ome_tiff


@pytest.fixture
def movie() -> np.ndarray:
    return np.arange(6 * 5 * 7, dtype="uint16").reshape(6, 5, 7)


@pytest.fixture
def channels() -> dict[str, np.ndarray]:
    whole = np.arange(2 * 6 * 5 * 7 * 3, dtype="uint16").reshape(2, 6, 5, 7, 3)
    return {"GFP": whole[0], "TxRed": whole[1]}


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The reader of roiextractors, which leaves its files open."""
    opened = []

    class Tracked(tifffile.TiffFile):
        def __init__(self, *arguments, **named):
            super().__init__(*arguments, **named)
            opened.append(self)

    with monkeypatch.context() as patch:
        patch.setattr(tifffile, "TiffFile", Tracked)
        yield MicroManagerTiffImagingExtractor
    for each in opened:
        each.close()


def _open(path, *arguments, **named):
    return MicroManagerExtractor(path, *arguments, **named)


def test_what_is_written_is_what_others_know_as_micromanager(tmp_path, movie):
    paths = write_micromanager(tmp_path, movie, num_files=2)
    with tifffile.TiffFile(paths[0]) as tiff:
        assert tiff.is_micromanager
        metadata = tiff.micromanager_metadata
        assert metadata["Summary"] == read_summary(paths[0])
        assert metadata["IndexMap"].shape == (3, 5)
        assert metadata["IndexMap"][1, 4] == tiff.pages[1].offset
        assert tiff.pages[1].tags["MicroManagerMetadata"].value["FrameIndex"] == 1
        np.testing.assert_array_equal(tiff.series[0].asarray(), movie)


@pytest.mark.parametrize("num_files", [1, 2, 5])
def test_every_channel_and_plane(tmp_path, theirs, channels, num_files):
    """roiextractors refuses several channels."""
    paths = write_micromanager(tmp_path, channels, num_files=num_files)
    with pytest.raises(NotImplementedError, match="multiple color channels"):
        theirs(tmp_path)
    with pytest.raises(SourceArgumentError, match="GFP, TxRed"):
        _open(paths[0])
    pages = np.concatenate([tifffile.imread(p, key=slice(None)) for p in paths])
    independent = pages.reshape(6, 3, 2, 5, 7)
    for number, (name, expected) in enumerate(channels.items()):
        with _open(paths[-1], name) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
            found = extractor.get_series(1, 4).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(found, independent[1:4, :, number])
            assert extractor.get_series(2, 2).shape == (0, 5, 7, 3)
        with _open(paths[0], name, plane_index=2) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected[..., 2])


def test_every_position(tmp_path, movie):
    paths = write_micromanager(tmp_path, [{"A": movie}, {"A": movie + 500}], num_files=2)
    with pytest.raises(SourceArgumentError, match=r"position_index, one of: 0 \(Pos0\)"):
        _open(paths[0])
    for index, expected in enumerate((movie, movie + 500)):
        with _open(paths[0], position_index=index) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
            assert extractor.position_name == f"Pos{index}"


# --- time -------------------------------------------------------------------------------------


def test_the_rate_is_not_that_of_the_display(tmp_path, theirs, movie):
    """roiextractors takes the rate at which the program plays the recording on the screen."""
    (path,) = write_micromanager(tmp_path, movie, sampling_frequency=20.0, playback_fps=7.0)
    assert theirs(tmp_path).get_sampling_frequency() == 7.0
    with _open(path) as extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(20.0)
    # It is not needed at all.
    (tmp_path / "DisplaySettings.json").unlink()
    with _open(path) as extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(20.0)


def test_the_times_of_frames_are_those_stated(tmp_path, movie):
    elapsed = [120.0, 171.5, 220.0, 272.25, 320.0, 370.0]
    (path,) = write_micromanager(tmp_path, movie, elapsed_ms=elapsed, interval_ms=0)
    with _open(path) as extractor:
        np.testing.assert_allclose(extractor.get_native_timestamps(), np.array(elapsed) / 1000)
        np.testing.assert_allclose(extractor.get_native_timestamps(1, 3), [0.1715, 0.22])
        assert extractor.get_sampling_frequency() == pytest.approx(20.0)


def test_an_interval_that_the_camera_did_not_keep_is_told(tmp_path, movie):
    elapsed = np.arange(6) * 100.0
    (path,) = write_micromanager(tmp_path, movie, elapsed_ms=elapsed, interval_ms=50)
    with pytest.warns(UserWarning, match="gives 10 Hz, which is used, but the file states 20 Hz"):
        _open(path).close()


def test_the_interval_is_taken_where_no_times_are_stated(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie, with_elapsed=False, interval_ms=40)
    with _open(path) as extractor:
        assert extractor.get_sampling_frequency() == 25.0
        assert extractor.get_native_timestamps() is None
    (path,) = write_micromanager(tmp_path, movie, with_elapsed=False, interval_ms=0)
    with pytest.raises(SourceArgumentError, match="give sampling_frequency"):
        _open(path)
    with _open(path, sampling_frequency=11.0) as extractor:
        assert extractor.get_sampling_frequency() == 11.0


def test_times_that_do_not_increase_are_not_used(tmp_path, movie):
    elapsed = [0, 50, 40, 150, 200, 250]
    (path,) = write_micromanager(tmp_path, movie, elapsed_ms=elapsed, interval_ms=50)
    with pytest.warns(UserWarning, match="ElapsedTime-ms of sample 2 is not later than"):
        extractor = _open(path)
    with extractor:
        assert extractor.get_native_timestamps() is None
        assert extractor.get_sampling_frequency() == 20.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "2022-04-07 15:04:05.678 +0200",
            datetime(2022, 4, 7, 15, 4, 5, 678000, timezone(timedelta(hours=2))),
        ),
        (
            "2013-05-07 18:12:26 -0730",
            datetime(2013, 5, 7, 18, 12, 26, 0, timezone(-timedelta(hours=7, minutes=30))),
        ),
        ("2013-05-07 18:12:26", datetime(2013, 5, 7, 18, 12, 26)),
        ("2013-15-07 18:12:26", None),
        (None, None),
    ],
)
def test_start(text, expected):
    assert acquisition_start({"StartTime": text}) == expected


def test_a_start_in_an_unknown_form_is_named():
    """Fault: no note said that it was left out."""
    with pytest.warns(UserWarning, match="states the start 'Tue May 07', a form of dates that is"):
        assert acquisition_start({"StartTime": "Tue May 07"}) is None


def test_intervals_of_each_frame_are_no_rate(tmp_path, movie):
    own = {"CustomIntervals_ms": [10, 20, 30]}
    (path,) = write_micromanager(tmp_path, movie, with_elapsed=False, summary=own)
    with pytest.raises(SourceArgumentError, match="give sampling_frequency"):
        _open(path)


def test_the_date_of_the_ome_xml_where_the_summary_states_none(tmp_path, movie):
    moment = datetime(2013, 5, 7, 18, 12, 26)
    (path,) = write_micromanager(tmp_path, movie, start="", acquired=moment)
    with _open(path) as extractor:
        assert extractor.start == moment
    (path,) = write_micromanager(tmp_path, movie, acquired=moment)
    with _open(path) as extractor:
        assert extractor.start.utcoffset() == timedelta(hours=2)


# --- frames that are not there ----------------------------------------------------------------


def _without_pages(path, *places: str) -> None:
    """Take planes out of the OME-XML."""
    content = path.read_bytes()
    for place in places:
        start = content.index(f"<TiffData {place}".encode())
        end = content.index(b"</TiffData>", start) + len(b"</TiffData>")
        content = content[:start] + b" " * (end - start) + content[end:]
    path.write_bytes(content)


def test_a_channel_that_is_skipped_at_some_times(tmp_path, movie):
    """Fault: no channel of the recording could be read."""
    (path,) = write_micromanager(tmp_path, {"A": movie, "B": movie + 500}, interval_ms=0)
    _without_pages(path, *(f'FirstC="1" FirstT="{time}"' for time in (1, 2, 4, 5)))
    with _open(path, "A") as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
    with pytest.warns(UserWarning, match="2 of 6 times in its OME-XML are complete"):
        extractor = _open(path, "B")
    with extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie[::3] + 500)
        np.testing.assert_allclose(extractor.get_native_timestamps(), [0, 0.1])
        assert extractor.get_sampling_frequency() == pytest.approx(10)


def test_frames_missing_in_between_without_times(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie, with_elapsed=False)
    _without_pages(path, 'FirstC="0" FirstT="2"')
    with (
        pytest.warns(UserWarning, match="5 of 6 times.*are complete"),
        pytest.raises(CorruptSourceError, match="no page for planes of time 2"),
    ):
        _open(path)


def test_blank_frames_of_an_acquisition_that_was_stopped_within_a_volume(tmp_path, channels):
    """Fault: a black plane was read as data, and the times of all frames were given up."""
    (path,) = write_micromanager(tmp_path, channels["GFP"], sampling_frequency=20.0, interval_ms=0)
    content = path.read_bytes()
    start = content.rindex(b'{"PositionIndex"')
    end = content.index(b"}", start) + 1
    blank = b"NULL ".ljust(end - start)
    path.write_bytes(content[:start] + blank + content[end:])
    with pytest.warns(
        UserWarning,
        match="the last 1 of 6 samples have frames without metadata, with which Micro-Man",
    ):
        extractor = _open(path)
    with extractor:
        np.testing.assert_array_equal(extractor.get_series(), channels["GFP"][:5])
        np.testing.assert_allclose(extractor.get_native_timestamps(), np.arange(5) / 20)
    # The planes that were taken are there.
    with _open(path, plane_index=0) as extractor:
        assert extractor.get_num_samples() == 6


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (b'"FrameIndex": 3', b'"FrameIndex": 1', "FrameIndex"),
        (b'"ChannelIndex": 0, "SliceIndex": 1', b'"ChannelIndex": 1, "SliceIndex": 1', "Channel"),
        (b'"SliceIndex": 2', b'"SliceIndex": 1', "SliceIndex"),
    ],
)
def test_tags_that_contradict_the_ome_xml(tmp_path, channels, old, new, name):
    """Fault: frames of several channels or times read as one movie, without a word."""
    (path,) = write_micromanager(tmp_path, channels["GFP"])
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(CorruptSourceError, match=f"contradict each other.*{name}"):
        _open(path)


def test_numbers_that_begin_later(tmp_path, movie):
    """Part of a recording that was saved again keeps its numbers."""
    (path,) = write_micromanager(tmp_path, movie)
    path.write_bytes(path.read_bytes().replace(b'"FrameIndex": ', b'"FrameIndex":2'))
    with _open(path) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_file_that_was_not_closed(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie)
    content = path.read_bytes()
    start, end = content.index(b"<?xml"), content.index(b"</OME>") + 6
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    with pytest.raises(
        CorruptSourceError, match="has no OME-XML, which Micro-Manager writes when it closes"
    ):
        _open(path)


# --- what is wrong ----------------------------------------------------------------------------


def test_a_missing_file(tmp_path, movie):
    paths = write_micromanager(tmp_path, movie, num_files=3)
    paths[1].unlink()
    with pytest.raises(SourceNotFoundError, match=r"names 3 files.*Pos0_1\.ome\.tif"):
        _open(paths[0])


def test_counts_of_channels_that_differ(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie, summary={"Channels": 2})
    with pytest.raises(CorruptSourceError, match="summary states 2 channels, the OME-XML 1"):
        _open(path)
    # No number is stated as 0.
    (path,) = write_micromanager(tmp_path, movie, summary={"Channels": 0})
    _open(path).close()
    (path,) = write_micromanager(tmp_path, movie, summary={"ChNames": ["a", "b"]})
    with _open(path) as extractor:
        assert extractor.channel_name == "Default"


def test_a_file_cut_off(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptSourceError, match="truncated"):
        _open(path)
    path.write_bytes(b"")
    with pytest.raises(CorruptSourceError, match="not a TIFF"):
        _open(path)


def test_a_file_without_a_summary(tmp_path, movie):
    (path,) = write_ome_tiff(tmp_path, movie)
    with pytest.raises(SourceError, match="no summary of Micro-Manager"):
        _open(path)
    (own,) = write_micromanager(tmp_path / "mm", movie)
    content = bytearray(own.read_bytes())
    content[40:41] = b"x"  # of the JSON
    own.write_bytes(content)
    assert read_summary(own) is None
    assert read_summary(tmp_path / "absent.tif") is None


def test_a_frame_whose_text_is_damaged(tmp_path, movie):
    (path,) = write_micromanager(tmp_path, movie)
    path.write_bytes(path.read_bytes().replace(b'{"PositionIndex"', b'["PositionIndex"'))
    with pytest.raises(CorruptSourceError, match="page 0 are damaged"):
        _open(path)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ({"Binning": "2"}, 2),
        ({"Binning": 4}, 4),
        ({"Binning": "2x2"}, 2),
        ({"Binning": "2x4"}, None),
        ({"Camera": "Cam", "Cam-Binning": {"PropVal": "1x1"}}, 1),
        ({}, None),
    ],
)
def test_binning(frame, expected):
    assert camera_binning(frame) == expected


def test_values_that_newer_versions_wrap():
    values = json.loads('{"a": {"PropVal": "3"}, "b": {"scalar": 2}, "c": ""}')
    assert first_value(values, "c", "a") == "3"
    assert first_value(values, "b") == 2
    assert first_value(values, "c", "d") is None
