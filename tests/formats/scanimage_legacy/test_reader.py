"""Tests of the reader of ScanImage 3.8 against tifffile, with real and simulated files."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.formats.scanimage_legacy.reader import ScanImageLegacyExtractor, legacy_metadata
from nwb_ophys.testing import write_scanimage_legacy, write_tiff

REAL = "scanimage_legacy/sample_scanimage_version_3_8.tiff"
START = datetime(2017, 10, 9, 16, 57, 7, 967000)


@pytest.fixture
def movie() -> np.ndarray:
    return np.arange(6 * 5 * 7, dtype="uint16").reshape(6, 5, 7)


@pytest.fixture
def volumes() -> np.ndarray:
    return np.arange(4 * 5 * 7 * 3, dtype="uint16").reshape(4, 5, 7, 3)


def test_real_recording(data_folder):
    pages = tifffile.imread(data_folder / REAL)
    with pytest.warns(UserWarning, match="1220 frames were planned, but there are 10"):
        extractor = ScanImageLegacyExtractor(data_folder / REAL)
    with extractor:
        assert extractor.get_dtype() == pages.dtype == np.uint16
        for a, b in [(0, 10), (3, 7), (9, 10), (4, 4), (None, None)]:
            np.testing.assert_array_equal(extractor.get_series(a, b), pages[a:b])
        assert extractor.get_sampling_frequency() == 3.90625
        assert extractor.get_native_timestamps() is None
        metadata = extractor.metadata
    assert metadata.version == "3.8"
    assert metadata.channel_names == ("Channel 1",)
    assert (metadata.num_planes, metadata.z_step, metadata.num_averaged) == (1, None, 1)
    assert metadata.start == START
    assert metadata.line_rate == 1000.0
    assert metadata.motor_position == (659.6, -10386.6, -8068.4)


def test_channels_alternate_from_page_to_page(tmp_path, movie):
    """roiextractors gives the pages of both channels as one movie."""
    path = write_scanimage_legacy(tmp_path / "a.tif", {1: movie, 3: movie + 500})
    with pytest.raises(SourceArgumentError, match="Channel 1, Channel 3"):
        ScanImageLegacyExtractor(path)
    for channel, expected in (("Channel 1", movie), ("Channel 3", movie + 500)):
        with ScanImageLegacyExtractor(path, channel) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
            np.testing.assert_array_equal(extractor.get_series(2, 5), expected[2:5])
            assert extractor.get_series(3, 3).shape == (0, 5, 7)


def test_a_stack_is_of_all_frames_of_a_slice_before_the_next(tmp_path, volumes):
    """roiextractors gives slices as if they were samples in time."""
    path = write_scanimage_legacy(tmp_path / "a.tif", {1: volumes, 2: volumes + 500}, z_step=2.5)
    pages = tifffile.imread(path)
    with ScanImageLegacyExtractor(path, "Channel 2") as extractor:
        assert extractor.is_volumetric
        assert extractor.get_num_planes() == 3
        np.testing.assert_array_equal(extractor.get_series(), volumes + 500)
        np.testing.assert_array_equal(
            extractor.get_series()[1, :, :, 2], pages[(2 * 4 + 1) * 2 + 1]
        )
        assert extractor.get_sampling_frequency() == 10.0
        assert extractor.metadata.z_step == pytest.approx(2.5e-6)
    with ScanImageLegacyExtractor(path, "Channel 1", plane_index=1) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), volumes[..., 1])
        # The frames of a slice follow each other.
        assert extractor.get_sampling_frequency() == 30.0
    with pytest.raises(SourceArgumentError, match="plane_index is 3"):
        ScanImageLegacyExtractor(path, "Channel 1", plane_index=3)


def test_a_stack_that_was_not_completed(tmp_path, volumes):
    path = write_scanimage_legacy(tmp_path / "a.tif", volumes, num_planned=8)
    with pytest.raises(CorruptSourceError, match=r"12 pages.*3 slices x 8 frames"):
        ScanImageLegacyExtractor(path)


def test_averaged_frames_come_at_a_lower_rate(tmp_path, movie):
    """The scanner's rate is stated; of averaged frames fewer are saved."""
    path = write_scanimage_legacy(
        tmp_path / "a.tif", movie, num_averaged=4, sampling_frequency=32.0
    )
    with ScanImageLegacyExtractor(path) as extractor:
        assert extractor.get_sampling_frequency() == 8.0
    older = {"acq.numAvgFramesSave": "[]", "acq.numberOfFrames": "4"}
    path = write_scanimage_legacy(tmp_path / "b.tif", movie[:1], settings=older)
    with ScanImageLegacyExtractor(path) as extractor:
        assert extractor.get_sampling_frequency() == 7.5


def test_several_acquisitions_have_the_times_of_their_triggers(tmp_path, movie):
    later = START + timedelta(seconds=10)
    paths = [
        write_scanimage_legacy(tmp_path / "a.tif", movie[:2], num_planned=4),
        write_scanimage_legacy(tmp_path / "b.tif", movie[2:4], num_planned=4),
        write_scanimage_legacy(tmp_path / "c.tif", movie[4:], session_start_time=later),
    ]
    with ScanImageLegacyExtractor(paths) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
        np.testing.assert_array_equal(extractor.get_series(1, 5), movie[1:5])
        expected = [0, 1 / 30, 2 / 30, 3 / 30, 10, 10 + 1 / 30]
        np.testing.assert_allclose(extractor.get_native_timestamps(), expected)
        np.testing.assert_allclose(extractor.get_native_timestamps(3, 5), expected[3:5])
    with pytest.raises(SourceError, match="not in the order of their trigger times"):
        ScanImageLegacyExtractor([paths[2], *paths[:2]])
    with ScanImageLegacyExtractor(paths[:2]) as extractor:
        assert extractor.get_native_timestamps() is None


def test_an_acquisition_without_a_time_cannot_follow_another(tmp_path, movie):
    paths = [
        write_scanimage_legacy(tmp_path / "a.tif", movie),
        write_scanimage_legacy(tmp_path / "b.tif", movie, session_start_time=None),
    ]
    with pytest.raises(SourceError, match=r"b\.tif' states no time"):
        ScanImageLegacyExtractor(paths)


@pytest.mark.parametrize("text", ["''", "'25/12/2017 10:00:00.000'", "'yesterday'", "[]"])
def test_a_start_that_cannot_be_told_is_left_out(tmp_path, movie, text):
    settings = {"internal.triggerTimeString": text}
    path = write_scanimage_legacy(tmp_path / "a.tif", movie, settings=settings)
    assert legacy_metadata(path).start is None


def test_files_of_one_recording_must_agree(tmp_path, movie):
    paths = [
        write_scanimage_legacy(tmp_path / "a.tif", movie),
        write_scanimage_legacy(tmp_path / "b.tif", movie, sampling_frequency=15.0),
    ]
    with pytest.raises(SourceError, match=r"b\.tif' has frame_rate 15\.0"):
        ScanImageLegacyExtractor(paths)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"acq.frameRate": "[]"}, "frameRate"),
        ({"acq.frameRate": "0"}, "frameRate"),
        ({"acq.frameRate": "NaN"}, "frameRate"),
        ({"acq.numberOfChannelsSave": "2"}, "numberOfChannelsSave 2"),
        ({"acq.savingChannel1": "0"}, r"saved channels \[\]"),
    ],
)
def test_headers_that_contradict_themselves(tmp_path, movie, settings, words):
    path = write_scanimage_legacy(tmp_path / "a.tif", movie, settings=settings)
    with pytest.raises(CorruptSourceError, match=words) as caught:
        ScanImageLegacyExtractor(path)
    assert str(path) in str(caught.value)


def test_a_last_frame_without_all_channels_is_left_out(tmp_path, movie):
    """Fault: nothing of a recording that was stopped between two channels could be read."""
    settings = {"acq.savingChannel2": "1", "acq.numberOfChannelsSave": "2"}
    path = write_scanimage_legacy(tmp_path / "a.tif", movie[:5], settings=settings, num_planned=2)
    for name, expected in (("Channel 1", movie[:4:2]), ("Channel 2", movie[1:4:2])):
        with pytest.warns(UserWarning, match="5 pages of 2 channels.* its 1 pages are left out"):
            extractor = ScanImageLegacyExtractor(path, name)
        with extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected)
    # Not so where another file follows.
    with pytest.raises(CorruptSourceError, match="5 pages"):
        ScanImageLegacyExtractor([path, path], "Channel 1")
    path = write_scanimage_legacy(tmp_path / "b.tif", movie[:1], settings=settings)
    with pytest.raises(CorruptSourceError, match="1 pages"):
        ScanImageLegacyExtractor(path, "Channel 1")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_that_end_otherwise(tmp_path, movie, line_end):
    """Copied by a program that changes the ends of lines."""
    path = write_scanimage_legacy(tmp_path / "a.tif", movie)
    with tifffile.TiffFile(path) as tiff:
        text = tiff.pages[0].description.replace("\r", line_end)
    with tifffile.TiffWriter(path) as writer:
        for page in movie:
            writer.write(page, photometric="minisblack", description=text, metadata=None)
    metadata = legacy_metadata(path)
    assert (metadata.start, metadata.frame_rate) == (START, 30.0)
    assert metadata.channel_names == ("Channel 1",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10/9/2017 16:57:7.967", START),
        ("10/9/2017 16:57:07", START.replace(microsecond=0)),
        ("10/9/2017 16:57:60.000", START.replace(minute=58, second=0, microsecond=0)),
        ("09-Oct-2017 16:57:07", START.replace(microsecond=0)),
        ("2017-10-09 16:57:07.967", START),
        ("2017/10/9 16:57:07.967", START),
        ("09-Okt-2017 16:57:07", None),
        ("10/9/2017 16:57:61.000", None),
    ],
)
def test_starts_as_they_are_written(tmp_path, movie, text, expected):
    settings = {"internal.triggerTimeString": f"'{text}'"}
    path = write_scanimage_legacy(tmp_path / "a.tif", movie, settings=settings)
    assert legacy_metadata(path).start == expected


def test_a_file_cut_off(tmp_path, movie):
    path = write_scanimage_legacy(tmp_path / "a.tif", movie)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorruptSourceError, match="truncated"):
        ScanImageLegacyExtractor(path)
    path.write_bytes(b"")
    with pytest.raises(CorruptSourceError, match="not a TIFF"):
        ScanImageLegacyExtractor(path)


def test_a_file_of_another_program(tmp_path, movie):
    with pytest.raises(SourceError, match="no header of ScanImage 3"):
        ScanImageLegacyExtractor(write_tiff(tmp_path / "a.tif", movie))
    with pytest.raises(SourceArgumentError, match="empty"):
        ScanImageLegacyExtractor([])


def test_acquisitions_joined_in_one_file(tmp_path):
    """Fault: pages of two triggers are read as one regular movie."""
    movie = np.arange(6 * 4 * 5, dtype="uint16").reshape(6, 4, 5)
    texts = []
    for number in (0, 1):
        start = datetime(2017, 10, 9, 16, number)
        path = write_scanimage_legacy(tmp_path / f"{number}.tif", movie, session_start_time=start)
        with tifffile.TiffFile(path) as file:
            texts += [file.pages.first.description] * len(movie)
    joined = tmp_path / "joined.tif"
    with tifffile.TiffWriter(joined) as writer:
        for page, text in zip(np.concatenate([movie, movie]), texts, strict=True):
            writer.write(page, description=text, metadata=None)
    with pytest.raises(SourceError, match="joins several acquisitions"):
        ScanImageLegacyExtractor(joined)


@pytest.mark.parametrize(
    ("settings", "is_line_scan"),
    [
        ({}, False),
        ({"acq.linescan": "0"}, False),
        ({"acq.linescan": "1"}, True),
        ({"acq.lineScan": "1"}, True),
        ({"acq.scanAngleMultiplierSlow": "0"}, True),
    ],
)
def test_a_line_scan_causes_a_warning(tmp_path, recwarn, settings, is_line_scan):
    movie = np.zeros((3, 4, 6), np.uint16)
    path = write_scanimage_legacy(tmp_path / "a.tif", movie, settings=settings)
    ScanImageLegacyExtractor(path).close()
    assert ["line scan" in str(each.message) for each in recwarn] == [True] * is_line_scan
