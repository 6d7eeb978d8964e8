"""Tests of recordings of ThorImage against tifffile and NumPy."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats.thor.reader import ThorExtractor
from nwb_ophys.formats.thor.xml import read_experiment
from nwb_ophys.testing import write_thor

REAL = "thor/20231018-002"


def _movie(*shape: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + np.prod(shape), dtype=np.uint16).reshape(shape)


def test_the_real_recording(data_folder):
    files = sorted((data_folder / REAL).glob("*.tif"))
    movie = np.stack([tifffile.imread(file, is_ome=False) for file in files])
    with ThorExtractor(data_folder / REAL) as extractor:
        assert extractor.channel_name == "ChanA"
        assert extractor.get_sampling_frequency() == 13.967
        assert not extractor.is_volumetric
        assert extractor.get_dtype() == np.uint16
        np.testing.assert_array_equal(extractor.get_series(), movie)
        np.testing.assert_array_equal(extractor.get_series(1, 2), movie[1:2])
        assert extractor.get_series(3, 3).shape == (0, 512, 512)


def test_the_start_of_the_real_recording_has_its_zone(data_folder):
    start = read_experiment(data_folder / REAL / "Experiment.xml").start()
    zone = timezone(timedelta(hours=-4))
    assert start == datetime(2023, 10, 18, 13, 39, 19, tzinfo=zone)
    assert start.utcoffset() == timedelta(hours=-4)


# --- layouts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("names", [["ChanA"], ["ChanB", "ChanC"]])
def test_frames(tmp_path, raw, names):
    movies = {n: _movie(12, 10, 7, first=1 + 3000 * i) for i, n in enumerate(names)}
    folder = write_thor(tmp_path / "a", movies, raw=raw, sampling_frequency=8.0)
    for name, movie in movies.items():
        with ThorExtractor(folder, name) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), movie)
            assert extractor.get_sampling_frequency() == 8.0


@pytest.mark.parametrize(("raw", "flyback"), [(False, 0), (False, 2), (True, 0), (True, 2)])
@pytest.mark.parametrize("all_channels", [False, True])
def test_volumes(tmp_path, raw, flyback, all_channels):
    """Frames of the flyback, all of the largest value, are in no sample."""
    movies = {"ChanB": _movie(4, 10, 7, 3), "ChanD": _movie(4, 10, 7, 3, first=5000)}
    folder = write_thor(
        tmp_path / "a",
        movies,
        raw=raw,
        num_flyback_frames=flyback,
        all_channels=all_channels,
        sampling_frequency=5.0,
    )
    for name, movie in movies.items():
        with ThorExtractor(folder, name) as extractor:
            assert extractor.get_num_planes() == 3
            np.testing.assert_array_equal(extractor.get_series(), movie)
            assert extractor.get_sampling_frequency() == pytest.approx(5.0)
        for plane in range(3):
            with ThorExtractor(folder, name, plane_index=plane) as extractor:
                np.testing.assert_array_equal(extractor.get_series(), movie[..., plane])
                assert extractor.get_sampling_frequency() == pytest.approx(5.0)


def test_more_than_999_frames_are_in_order(tmp_path):
    """Fault to guard against: 1000 after 100 where names are sorted as text."""
    movie = _movie(1003, 2, 3)
    with ThorExtractor(write_thor(tmp_path / "a", movie)) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_averaged_frames_have_a_lower_rate(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), num_averaged=5, sampling_frequency=6.0)
    with ThorExtractor(folder) as extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(6.0)
    # The number is written also where nothing is averaged.
    changes = {"LSM": {"averageMode": 0, "averageNum": 5, "frameRate": 30}}
    with ThorExtractor(write_thor(tmp_path / "b", _movie(4, 10, 7), changes=changes)) as extractor:
        assert extractor.get_sampling_frequency() == 30


@pytest.mark.parametrize(("interval", "rate"), [(10, 0.1), (0, 7.5), (0.05, 7.5)])
def test_stacks_without_streaming(tmp_path, interval, rate):
    """Fault: stacks that come faster than their frames, by an interval that cannot be kept."""
    movie = _movie(3, 10, 7, 4)
    changes = {"Timelapse": {"timepoints": 3, "intervalSec": interval}}
    folder = write_thor(
        tmp_path / "a", movie, is_streaming=False, sampling_frequency=7.5, changes=changes
    )
    said = pytest.warns(UserWarning, match=r"4 frames takes 0\.1333 s\. The rate .* as 7\.5 Hz")
    with nullcontext() if interval == 10 else said:
        extractor = ThorExtractor(folder)
    with extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
        assert extractor.get_sampling_frequency() == pytest.approx(rate)


def test_a_file_of_many_pages(tmp_path):
    movie = _movie(6, 10, 7)
    folder = write_thor(tmp_path / "a", movie)
    for path in folder.glob("*.tif"):
        path.unlink()
    tifffile.imwrite(folder / "ChanA_001_001_001_001.tif", movie, photometric="minisblack")
    with ThorExtractor(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def _named_by_time(folder: Path, movie: np.ndarray) -> None:
    """Write volumes of which each plane has the number of a time."""
    for path in folder.glob("*.tif"):
        path.unlink()
    for number, page in enumerate(np.moveaxis(movie, 3, 1).reshape(-1, *movie.shape[1:3])):
        tifffile.imwrite(folder / f"ChanA_001_001_001_{number + 1:03d}.tif", page)


def test_planes_of_a_fast_sweep_that_are_counted_in_time(tmp_path):
    """Fault: each plane is a sample of its own, at the rate of volumes."""
    movie = _movie(4, 10, 7, 3)
    folder = write_thor(tmp_path / "a", movie, sampling_frequency=5.0)
    _named_by_time(folder, movie)
    with ThorExtractor(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
        assert extractor.get_sampling_frequency() == pytest.approx(5.0)


def test_several_files_of_many_pages(tmp_path):
    """Fault: only the first page of each file is read."""
    movie = _movie(12, 10, 7)
    folder = write_thor(tmp_path / "a", movie)
    _named_by_time(folder, movie[:0, ..., None])
    for number, start in enumerate((0, 5, 10)):
        path = folder / f"ChanA_001_001_001_{number + 1:03d}.tif"
        tifffile.imwrite(path, movie[start : start + 5], photometric="minisblack")
    with ThorExtractor(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_files_of_many_pages_for_each_plane(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7, 3))
    tifffile.imwrite(folder / "ChanA_001_001_001_001.tif", _movie(5, 10, 7))
    with pytest.raises(SourceError, match="has 5 pages, although each plane"):
        ThorExtractor(folder)


@pytest.mark.parametrize(
    ("changes", "stated"),
    [({"ZStage": {"steps": 4}}, "4 planes"), ({"Streaming": {"zFastEnable": 0}}, "1 plane,")],
)
def test_other_planes_than_stated(tmp_path, changes, stated):
    """Fault: the rate is worked out for as many planes as are stated, and not as there are."""
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7, 3), changes=changes, status="Stopped")
    with pytest.raises(SourceError, match=f"volumes of {stated}.* have 3, so the rate"):
        ThorExtractor(folder)


def test_a_first_stack_that_was_stopped(tmp_path):
    movie = _movie(1, 10, 7, 5)
    folder = write_thor(tmp_path / "a", movie, num_frames=3, status="Stopped", is_streaming=False)
    with pytest.warns(UserWarning, match="it was stopped"):
        extractor = ThorExtractor(folder)
    np.testing.assert_array_equal(extractor.get_series(), movie[..., :3])


@pytest.mark.parametrize("raw", [False, True])
def test_raw_file_beside_images(tmp_path, raw):
    """Fault: a snapshot beside a raw file is read in its place."""
    movie = _movie(6, 10, 7)
    changes = {"Streaming": {"rawData": int(raw)}}
    folder = write_thor(tmp_path / "a", movie if raw else movie[:1], raw=True, changes=changes)
    write_thor(folder, movie[:1] if raw else movie, changes={"Streaming": {"rawData": int(raw)}})
    if raw:
        write_thor(folder, movie, raw=True, changes=changes)
    left = "1 TIFF file" if raw else "'Image_001_001.raw'"
    with pytest.warns(UserWarning, match=f"Not read: {left}, since"):
        extractor = ThorExtractor(folder)
    np.testing.assert_array_equal(extractor.get_series(), movie)


@pytest.mark.filterwarnings("ignore:.*it was stopped:UserWarning")
def test_channels_of_a_stopped_raw_file_before_version_4(tmp_path):
    """Fault: channels that are not switched on are read as frames of those that are."""
    movies = {"ChanA": _movie(9, 10, 7), "ChanC": _movie(9, 10, 7, first=800)}
    for number in (6, 4):
        folder = write_thor(
            tmp_path / str(number),
            movies,
            raw=True,
            all_channels=True,
            num_frames=number,
            status="Stopped",
            changes={"RawData": {"onlyEnabledChannels": None}},
        )
        if number == 6:
            with ThorExtractor(folder, "ChanC") as extractor:
                np.testing.assert_array_equal(extractor.get_series(), movies["ChanC"][:6])
        else:
            # As many pages as two channels have in eight frames.
            with pytest.warns(UserWarning, match="does not state whether.* has all four"):
                ThorExtractor(folder, "ChanC").close()


@pytest.mark.filterwarnings("ignore:.*it was stopped:UserWarning")
def test_a_single_channel_is_alone_in_its_raw_file(tmp_path):
    """Fault: every fourth frame is read, as though disabled channels were there too."""
    movie = _movie(12, 10, 7)
    changes = {"RawData": {"onlyEnabledChannels": 0}}
    for number, status in ((8, "Stopped"), (12, "Complete")):
        folder = tmp_path / status
        write_thor(
            folder, {"ChanB": movie}, raw=True, num_frames=number, status=status, changes=changes
        )
        with ThorExtractor(folder) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), movie[:number])
    # All four channels, where the size of the file says so.
    folder = write_thor(tmp_path / "all", {"ChanB": movie}, raw=True, all_channels=True)
    with ThorExtractor(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)


def test_a_board_of_two_channels_saves_three(tmp_path):
    """Fault: refused, since the file is not one of four channels."""
    movies = {"ChanA": _movie(6, 10, 7), "ChanB": _movie(6, 10, 7, first=800)}
    changes = {"RawData": {"onlyEnabledChannels": 0}}
    folder = write_thor(
        tmp_path / "a", {**movies, "ChanC": _movie(6, 10, 7)}, raw=True, changes=changes
    )
    xml = folder / "Experiment.xml"
    xml.write_text(xml.read_text().replace('<Wavelength name="ChanC" exposureTimeMS="0" />', ""))
    for name, movie in movies.items():
        with ThorExtractor(folder, name) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), movie)


def test_previews_are_no_frames(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7))
    tifffile.imwrite(folder / "ChanA_Preview.tif", _movie(10, 7))
    with ThorExtractor(folder) as extractor:
        assert extractor.get_num_samples() == 4


def test_regions(tmp_path):
    first, second = _movie(4, 10, 7), _movie(4, 10, 7, first=800)
    folder = write_thor(tmp_path / "a", first)
    write_thor(folder, second, region="001_002")
    with pytest.raises(SourceArgumentError, match=r"region_name is needed; .* 001_001, 001_002"):
        ThorExtractor(folder)
    with ThorExtractor(folder, region_name="001_002") as extractor:
        np.testing.assert_array_equal(extractor.get_series(), second)


# --- cameras and rates ------------------------------------------------------------------------


def test_the_rate_of_a_camera(tmp_path):
    """That of the scanner, which stands in the file too, is not its own."""
    camera: dict[str, Any] = {"LightPath": {"Camera": 1}, "Software": {}}
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), changes=camera)
    with pytest.raises(SourceError, match="no frame rate of the camera"):
        ThorExtractor(folder)
    xml = folder / "Experiment.xml"
    element = '<Camera frameRateControlEnabled="1" frameRateControlValue="20" />'
    xml.write_text(xml.read_text().replace("<Date", f"{element}<Date"))
    with ThorExtractor(folder) as extractor:
        assert extractor.get_sampling_frequency() == 20


def test_raw_frames_of_a_camera_have_its_shape(tmp_path):
    """Fault: rows of the shape that the scanner had last."""
    movie = _movie(4, 10, 7)
    changes = {"LightPath": {"Camera": 1}, "LSM": {"pixelX": 10, "pixelY": 7}}
    folder = write_thor(tmp_path / "a", movie, raw=True, changes=changes)
    xml = folder / "Experiment.xml"
    element = '<Camera {} frameRateControlEnabled="1" frameRateControlValue="20" />'
    text = xml.read_text()
    xml.write_text(text.replace("<Date", element.format('width="7" height="10"') + "<Date"))
    with ThorExtractor(folder) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movie)
    xml.write_text(text.replace("<Date", element.format("") + "<Date"))
    with pytest.raises(SourceError, match="no width and height of the Camera"):
        ThorExtractor(folder)


def test_averaged_frames_of_a_camera_have_a_lower_rate(tmp_path):
    camera: dict[str, Any] = {"LightPath": {"Camera": 1}, "LSM": {"averageMode": 1}}
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), changes=camera)
    xml = folder / "Experiment.xml"
    rate = 'frameRateControlEnabled="1" frameRateControlValue="20"'
    element = f'<Camera {rate} averageMode="1" averageNum="4" />'
    xml.write_text(xml.read_text().replace("<Date", f"{element}<Date"))
    with ThorExtractor(folder) as extractor:
        assert extractor.get_sampling_frequency() == 5


def test_frames_of_a_fast_sweep_are_not_averaged(tmp_path):
    """Fault: a rate that is too low by the number that is set for other recordings."""
    movie = _movie(4, 10, 7, 3)
    changes = {"LSM": {"averageMode": 1, "averageNum": 5}}
    folder = write_thor(
        tmp_path / "a", movie, raw=True, num_flyback_frames=1, sampling_frequency=6, changes=changes
    )
    with pytest.warns(UserWarning, match=r"during a fast sweep .* divide it by 5"):
        extractor = ThorExtractor(folder)
    with extractor:
        assert extractor.get_sampling_frequency() == pytest.approx(6)


@pytest.mark.parametrize(("mode", "what"), [(2, "a kymograph"), (3, "a line scan"), (4, "a scan")])
def test_a_line_scan_causes_a_warning(tmp_path, mode, what):
    changes = {"LSM": {"areaMode": mode}}
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), changes=changes)
    with pytest.warns(UserWarning, match=f"states {what}.* rows of its frames are then times"):
        ThorExtractor(folder).close()


def test_no_rate(tmp_path):
    changes = {"LSM": {"frameRate": None}}
    with pytest.raises(SourceError, match="no frameRate"):
        ThorExtractor(write_thor(tmp_path / "a", _movie(4, 10, 7), changes=changes))


@pytest.mark.parametrize(
    ("date", "universal", "expected"),
    [
        ("05/17/2024 14:03:21", 1715947401, "2024-05-17T14:03:21+02:00"),
        ("17/05/2024 14:03:21", 1715947401, "2024-05-17T14:03:21+02:00"),
        ("05/17/2024 17:33:21", 1715947401, "2024-05-17T17:33:21+05:30"),
        ("somewhen", 1715947401, "2024-05-17T12:03:21+00:00"),
        ("05/17/2024 14:03:21", None, "2024-05-17T14:03:21"),
    ],
)
def test_starts(tmp_path, date, universal, expected):
    changes = {"Date": {"date": date, "uTime": universal}}
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), changes=changes)
    start = read_experiment(folder / "Experiment.xml").start()
    assert start is not None
    assert start.isoformat() == expected


# --- incomplete recordings --------------------------------------------------------------------


@pytest.mark.parametrize("raw", [False, True])
def test_a_stopped_recording_is_read_with_a_warning(tmp_path, raw):
    movie = _movie(6, 10, 7)
    folder = write_thor(tmp_path / "a", movie, raw=raw, num_frames=4, status="Stopped")
    with pytest.warns(UserWarning, match=r"states 6 frames, .* has 4 of a channel: it was stopped"):
        extractor = ThorExtractor(folder)
    np.testing.assert_array_equal(extractor.get_series(), movie[:4])


@pytest.mark.parametrize("raw", [False, True])
def test_a_complete_recording_that_lacks_frames(tmp_path, raw):
    folder = write_thor(tmp_path / "a", _movie(6, 10, 7), raw=raw, num_frames=4)
    with pytest.raises(SourceError, match=r"states 6 frames, .* 4 of 6 frames are"):
        ThorExtractor(folder)


@pytest.mark.filterwarnings("ignore:.*it was stopped:UserWarning")
@pytest.mark.parametrize("raw", [False, True])
def test_a_last_volume_that_is_not_whole(tmp_path, raw):
    movie = _movie(4, 10, 7, 3)
    folder = write_thor(tmp_path / "a", movie, raw=raw, num_frames=11, status="Stopped")
    words = "last 2 of 11 frames" if raw else "last of 4 volumes .* 1 of its 3 planes"
    with pytest.warns(UserWarning, match=words):
        extractor = ThorExtractor(folder)
    np.testing.assert_array_equal(extractor.get_series(), movie[:3])


@pytest.mark.parametrize("status", ["Complete", "Stopped"])
def test_images_missing_at_the_start(tmp_path, status):
    """Fault: later frames got earlier times, and the recording was said to be stopped."""
    movies = {name: np.ones((4, 6, 7), "u2") for name in ("ChanA", "ChanB")}
    folder = write_thor(tmp_path / "T", movies, status=status)
    (folder / "ChanA_001_001_001_001.tif").unlink()
    for allowed in (False, True):
        with pytest.raises(SourceError, match=r"'ChanA_001_001_001_002\.tif', of time 2"):
            ThorExtractor(folder, "ChanA", allow_truncated=allowed)


@pytest.mark.parametrize("missing", ["001_002", "002_003", "001_001"])
def test_images_missing_in_between(tmp_path, missing):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7, 3))
    (folder / f"ChanA_001_001_{missing}.tif").unlink()
    with pytest.raises(SourceError, match="files are missing between"):
        ThorExtractor(folder)


def test_a_truncated_raw_file(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), raw=True)
    path = folder / "Image_001_001.raw"
    whole = path.read_bytes()
    for size in (0, 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises((CorruptSourceError, SourceError), match=r"Image_001_001\.raw"):
            ThorExtractor(folder)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_truncated_image(tmp_path, number):
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7))
    path = folder / f"ChanA_001_001_001_{number:03d}.tif"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CorruptSourceError, match=path.name):
        ThorExtractor(folder).get_series()


def test_images_of_another_shape_than_stated(tmp_path):
    changes = {"LSM": {"pixelX": 9}}
    folder = write_thor(tmp_path / "a", _movie(4, 10, 7), changes=changes)
    with pytest.raises(SourceError, match=r"10 rows and 9 columns, .* has 10 and 7"):
        ThorExtractor(folder)


def test_what_is_none(tmp_path):
    with pytest.raises(SourceNotFoundError, match=r"Experiment\.xml"):
        ThorExtractor(tmp_path)
    xml = tmp_path / "Experiment.xml"
    xml.write_text("<ThorImageExperiment>")
    with pytest.raises(CorruptSourceError, match="truncated"):
        ThorExtractor(tmp_path)
    xml.write_text("<Experiment/>")
    with pytest.raises(SourceError, match="<Experiment>"):
        ThorExtractor(tmp_path)
    xml.write_text("<ThorImageExperiment/>")
    with pytest.raises(SourceError, match="neither images"):
        ThorExtractor(tmp_path)
    (tmp_path / "Image_001_001.raw").touch()
    with pytest.raises(SourceError, match=r"needed; .* no channels"):
        ThorExtractor(tmp_path)
    (tmp_path / "Image_001_002.raw").touch()
    with pytest.raises(SourceError, match="2 raw files"):
        ThorExtractor(tmp_path)


def test_wrong_arguments(tmp_path):
    folder = write_thor(tmp_path / "a", {"ChanA": _movie(2, 9, 7, 2), "ChanB": _movie(2, 9, 7, 2)})
    with pytest.raises(SourceArgumentError, match=r"needed; .* ChanA, ChanB"):
        ThorExtractor(folder)
    with pytest.raises(SourceArgumentError, match="is 'ChanC'"):
        ThorExtractor(folder, "ChanC")
    with pytest.raises(SourceArgumentError, match="plane_index is 2"):
        ThorExtractor(folder, "ChanA", plane_index=2)


def test_opening_reads_no_pixels(tmp_path):
    folder = write_thor(tmp_path / "a", _movie(3000, 2, 3))
    opened: list[Path] = []
    original = Path.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Path, "open", lambda self, *a, **k: opened.append(self) or original(self, *a, **k)
        )
        extractor = ThorExtractor(folder)
    assert len({path for path in opened if path.suffix == ".tif"}) <= 2
    extractor.close()


@pytest.mark.parametrize(("planes", "streaming"), [((), True), ((4,), True), ((4,), False)])
def test_more_images_than_stated_cause_a_warning(tmp_path, planes, streaming):
    """Fault: images that a longer recording left in the folder were joined without a word."""
    movie = _movie(3, 10, 7, *planes)
    folder = write_thor(tmp_path / "a", movie, is_streaming=streaming, sampling_frequency=2)
    write_thor(folder, movie[:2], is_streaming=streaming, sampling_frequency=2)
    xml = folder / "Experiment.xml"
    xml.write_text(xml.read_text().replace('intervalSec="0"', 'intervalSec="9"'))
    size = 4 if planes else 1
    with pytest.warns(UserWarning, match=rf"states {2 * size} frames, but .* has {3 * size} of a"):
        ThorExtractor(folder).close()


def test_more_frames_than_stated_cause_a_warning(tmp_path):
    """Planes that were scanned at once lie one below the other in each frame of a raw file."""
    folder = write_thor(
        tmp_path / "a",
        _movie(4, 10, 7),
        raw=True,
        changes={"LSM": {"pixelY": 5, "NumberOfPlanes": 2}},
    )
    with pytest.warns(UserWarning, match=r"4 frames, but .*raw' has 8, .* 2 planes in each frame"):
        ThorExtractor(folder).close()
