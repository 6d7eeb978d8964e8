"""Tests of all versions of ScanImage: each saved frame in one stream, in order, with its time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import SourceError
from nwb_ophys.formats.scanimage.interface import ScanImageImagingInterface
from nwb_ophys.formats.scanimage.reader import ScanImageExtractor, scanimage_metadata
from nwb_ophys.testing import write_scanimage, write_scanimage_legacy, write_scanimage_old

VERSIONS = ("3.8", "4.2", "5.0", "5.1", "2015", "2022")
LAYOUTS: dict[str, dict[str, Any]] = {
    # samples, planes and the options of the writers
    "movie": {"samples": 7, "planes": 1},
    "averaged": {"samples": 7, "planes": 1, "average_factor": 4},
    "fast volumes": {"samples": 5, "planes": 3},
    "fast volumes with flyback": {"samples": 5, "planes": 3, "num_flyback_frames": 2},
    "slow stack": {"samples": 4, "planes": 3, "frames_per_slice": 4, "stack_mode": "slow"},
    "averaged slow stack": {
        "samples": 4,
        "planes": 3,
        "frames_per_slice": 4,
        "stack_mode": "slow",
        "average_factor": 2,
    },
}
# ScanImage 3.8 has no fast volumes.
CASES = [
    (version, layout)
    for version in VERSIONS
    for layout in LAYOUTS
    if version != "3.8" or not layout.startswith("fast")
]
RATE = 6.0
EPOCH = datetime(2015, 6, 3, 17, 2, 52, 583000)


def _movies(samples: int, planes: int, channels: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Return movies of which each pixel of each page differs from all others."""
    shape = (samples, 4, 5, planes)
    size = int(np.prod(shape))
    return {
        number: (np.arange(size, dtype="uint16") + size * index).reshape(shape)
        for index, number in enumerate(channels)
    }


def _write(path: Path, version: str, movies: dict[int, np.ndarray], **options: Any) -> Path:
    if version == "2022":
        (written,) = write_scanimage(path, movies, session_start_time=EPOCH, **options)
        return written
    if version != "3.8":
        return write_scanimage_old(path, movies, version=version, **options)
    averaged = options.get("average_factor", 1)
    scanned = RATE * averaged
    planes = next(iter(movies.values())).shape[3]
    if planes > 1:
        scanned *= planes * options["frames_per_slice"]
    return write_scanimage_legacy(
        path, movies, num_averaged=averaged, sampling_frequency=scanned, session_start_time=EPOCH
    )


@pytest.mark.parametrize("as_volume", [True, False])
@pytest.mark.parametrize("channels", [(1,), (1, 3)])
@pytest.mark.parametrize(("version", "layout"), CASES)
def test_every_frame_in_one_stream(tmp_path, version, layout, channels, as_volume):
    options = dict(LAYOUTS[layout])
    samples, planes = options.pop("samples"), options.pop("planes")
    movies = _movies(samples, planes, channels)
    path = _write(tmp_path / "a.tif", version, movies, sampling_frequency=RATE, **options)
    evidence = nwb_ophys.detect(path)[0]
    assert evidence.format == ("scanimage-legacy" if version == "3.8" else "scanimage")
    converter = nwb_ophys.ScanImageConverter(path, as_volume=as_volume)
    per_channel = 1 if as_volume else planes
    assert len(converter.interfaces) == len(channels) * per_channel
    per_slice = options.get("frames_per_slice", 1)
    cycle = planes * per_slice + options.get("num_flyback_frames", 0)
    rate = RATE * cycle  # of saved frames
    delay = (options.get("average_factor", 1) - 1) / (rate * options.get("average_factor", 1))
    for index, interface in enumerate(converter.interfaces.values()):
        movie = movies[channels[index // per_channel]]
        plane = planes - 1 if as_volume else index % planes
        extractor = interface.extractor
        expected = movie if as_volume and planes > 1 else movie[..., plane]
        np.testing.assert_array_equal(extractor.get_series(), expected)
        times = extractor.get_native_timestamps()
        if version in ("3.8", "4.2"):  # no times of frames
            assert times is None
        else:
            volume, in_slice = np.divmod(np.arange(samples), per_slice)
            frames = volume * cycle + plane * per_slice + in_slice
            np.testing.assert_allclose(times, frames / rate + delay, atol=1e-8)
        if planes == 1:
            assert extractor.get_sampling_frequency() == pytest.approx(RATE)
            stated = interface.describe()["Ophys"]["ImagingPlane"][0]["imaging_rate"]
            assert stated == pytest.approx(RATE)
        elif version != "3.8" and layout.startswith("fast"):
            assert extractor.get_sampling_frequency() == pytest.approx(RATE)
        interface.extractor.close()


@pytest.mark.parametrize("version", ["4.2", "5.0", "2015"])
def test_metadata_of_old_headers(tmp_path, version):
    movies = _movies(4, 3, (2,))
    path = write_scanimage_old(tmp_path / "a.tif", movies, version=version, num_flyback_frames=1)
    metadata = scanimage_metadata(path)
    assert metadata.channel_names == ("Channel 2",)
    assert metadata.epoch == EPOCH
    assert (metadata.pixels_per_line, metadata.lines_per_frame) == (5, 4)
    assert metadata.zoom_factor == 3.0
    assert (metadata.num_planes, metadata.num_flyback_frames) == (3, 1)
    interface = ScanImageImagingInterface(path)
    described = interface.describe()["Ophys"]
    named = {"2015": "2015.0"}.get(version, version)
    expected = f"Laser-scanning microscope run by ScanImage {named}."
    assert described["Device"][0]["description"] == expected
    interface.extractor.close()


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.1", "2015"])
def test_old_headers_by_the_command_line(tmp_path, version):
    """Fault: channels alternate in one movie, since the header is not known."""
    movies = _movies(6, 1, (1, 2))
    write_scanimage_old(tmp_path / "a_001.tif", movies, version=version, sampling_frequency=30.02)
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a_001.tif"), "-o", str(target), "--set", _start()])
    assert ended.value.code == 0
    with NWBHDF5IO(target, "r") as io:
        found = io.read().acquisition
        assert set(found) == {"TwoPhotonSeriesChannel1", "TwoPhotonSeriesChannel2"}
        for number, movie in movies.items():
            series = found[f"TwoPhotonSeriesChannel{number}"]
            np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), movie[..., 0])
            assert series.rate == pytest.approx(30.02, rel=1e-6)


def test_averaged_rate_by_the_command_line(tmp_path):
    """Fault: the plane states the rate of the scanner, not of the saved frames."""
    movie = _movies(6, 1, (1,))[1]
    write_scanimage(tmp_path / "a.tif", movie, sampling_frequency=7.5, average_factor=4)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.scanimage_metadata["FrameData"]["SI.hRoiManager.scanFrameRate"] == 30
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a.tif"), "-o", str(target), "--set", _start()])
    assert ended.value.code == 0
    with NWBHDF5IO(target, "r") as io:
        (series,) = io.read().acquisition.values()
        assert (series.rate, series.imaging_plane.imaging_rate) == (7.5, 7.5)
        assert series.comments == "Each frame is the average of 4 frames."


def _start() -> str:
    return "NWBFile.session_start_time=2024-05-17T14:03:21+02:00"


def _with_description(path: Path, *texts: str) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for text in texts:
            page = np.zeros((4, 5), "int16")
            writer.write(page, description=text, metadata=None, contiguous=False, software=None)
    return path


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("frameNumbers = 1\nscanimage.SI9.VERSION_MAJOR = '2031'\n", "ScanImage 2031"),
        ("scanimage.SI6.channelsSave = [1;2]\n", "ScanImage, but"),
        ("frameNumbers = 1\nframeTimestamps_sec = 0.0\n", "ScanImage, but"),
        ("Frame Number =    1\nFrame Timestamp(s) =  0.0\n", "ScanImage, but"),
    ],
)
def test_an_unknown_version_is_not_a_plain_stack(tmp_path, text, version, capsys):
    """Fault: what ScanImage wrote is read as one movie, whatever its channels."""
    path = _with_description(tmp_path / "a.tif", text, text.replace("= 1", "= 2"))
    found = [match.format for match in nwb_ophys.detect(path)]
    assert found == ["scanimage"]
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(path), "-o", str(tmp_path / "a.nwb"), "--set", _start()])
    assert ended.value.code == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert f"was written by {version}" in printed
    assert "--format tiff with the options num_channels" in printed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scanimage.SI5.channelsSave": None}, "does not state SI5.channelsSave"),
        ({"scanimage.SI5.fastZNumDiscardFrames": None}, "ends with flyback frames"),
        ({"scanimage.SI5.fastZImageType": "'XZ-Y'"}, "of the type XZ-Y"),
        ({"scanimage.SI5.acqNumAveragedFrames": "3"}, "3 frames were averaged"),
    ],
)
def test_headers_that_leave_the_order_open(tmp_path, settings, message):
    movies = _movies(4, 3, (1,))
    path = write_scanimage_old(tmp_path / "a.tif", movies, num_flyback_frames=1, settings=settings)
    with pytest.raises(SourceError, match=message):
        ScanImageExtractor(path)


def test_numbers_of_frames_per_volume_must_agree(tmp_path):
    movies = _movies(4, 3, (1,))
    settings = {"scanimage.SI.hFastZ.numFramesPerVolume": "5"}
    path = write_scanimage_old(
        tmp_path / "a.tif", movies, version="2015", num_flyback_frames=1, settings=settings
    )
    with pytest.raises(SourceError, match="3 slices and 1 flyback frames, but 5 frames per volume"):
        ScanImageExtractor(path)


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.1", "2015"])
@pytest.mark.parametrize(
    "numbers", [[1, 1, 2, 2, 3, 3], [1, 2, 3, 1, 2, 3], [1, 2, 3, 1, 2, 9]], ids=str
)
def test_repeated_frame_numbers_are_refused(tmp_path, version, numbers):
    """Fault: a movie with the times 0, 0, 0.033, 0.033, or of two acquisitions in one."""
    path = write_scanimage_old(
        tmp_path / "a.tif",
        _movies(6, 1, (1,)),
        version=version,
        frame_numbers=numbers,
        frame_timestamps=[number / 30 for number in numbers],
    )
    with pytest.raises(SourceError, match=r'Several acquisitions were joined.*format="tiff"'):
        ScanImageExtractor(path).get_native_timestamps()


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.1", "2015"])
def test_stacks_beside_each_other_are_recordings_of_their_own(tmp_path, version):
    """Fault: a second stack without a start time is refused as one that does not continue."""
    options = {"version": version, "stack_mode": "slow", "frames_per_slice": 4}
    for number in (1, 2):
        start = datetime(2015, 6, 3, 17, number)
        movies = _movies(4, 3, (1,))
        path = tmp_path / f"a_{number:03d}.tif"
        write_scanimage_old(path, movies, session_start_time=start, **options)
    assert list(ScanImageImagingInterface.streams(tmp_path)) == ["a_001", "a_002"]


def test_frame_tags_from_0(tmp_path):
    movies = _movies(4, 3, (1,))
    path = tmp_path / "a.tif"
    write_scanimage_old(path, movies, version="4.2", frame_numbers=range(12))
    with ScanImageExtractor(path) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), movies[1])


@pytest.mark.parametrize("version", ["4.2", "5.0", "5.1", "2015"])
def test_frames_missing_within_a_volume(tmp_path, version):
    """Fault: after a lost frame, the planes of all volumes are mixed up."""
    numbers = [number for number in range(1, 17) if number != 8]
    path = write_scanimage_old(
        tmp_path / "a.tif", _movies(5, 3, (1,)), version=version, frame_numbers=numbers
    )
    with pytest.raises(SourceError, match="frames are missing within a volume"):
        ScanImageExtractor(path).get_native_timestamps()
    # A whole volume that was not saved leaves a gap in time, and planes as they are.
    numbers = [number for number in range(1, 19) if number not in (7, 8, 9)]
    write_scanimage_old(path, _movies(5, 3, (1,)), version=version, frame_numbers=numbers)
    ScanImageExtractor(path).get_native_timestamps()


def test_repeated_times_are_refused_by_the_command_line(tmp_path, capsys):
    times = [0, 0.1, 0.2, 0.2, 0.3]
    write_scanimage(tmp_path / "a.tif", _movies(5, 1, (1,))[1], frame_timestamps=times)
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a.tif"), "-o", str(tmp_path / "a.nwb"), "--set", _start()])
    assert ended.value.code == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "the time in seconds repeats from 0.2 on page 2 to 0.2 on page 3" in printed


def test_times_of_recordings_with_other_epochs(tmp_path):
    """Fault: the times of the second recording begin at 0 again."""
    movie = _movies(3, 1, (1,))[1]
    paths = []
    for name, second in (("a", 10), ("b", 25)):
        start = datetime(2024, 5, 17, 14, 0, second)
        paths += write_scanimage(tmp_path / f"{name}.tif", movie, session_start_time=start)
    times = ScanImageExtractor(file_paths=paths).get_native_timestamps()
    np.testing.assert_allclose(times, [0, 1 / 30, 2 / 30, 15, 15 + 1 / 30, 15 + 2 / 30], atol=1e-8)
    with pytest.raises(SourceError, match="falls"):
        ScanImageExtractor(file_paths=paths[::-1]).get_native_timestamps()


def test_real_recording_of_2016(data_folder):
    path = data_folder / "scanimage_nansen/TS_UnitTestImage_BigTIFF.tif"
    with tifffile.TiffFile(path) as file:
        pages = file.asarray()
        lines = [page.description for page in file.pages]
    times = [float(text.split("frameTimestamps_sec = ")[1].split()[0]) for text in lines]
    with ScanImageExtractor(path) as extractor:
        np.testing.assert_array_equal(extractor.get_series(), pages)
        np.testing.assert_array_equal(extractor.get_native_timestamps(), times)
        assert extractor.channel_name == "Channel 2"
        assert extractor.metadata.version == "2016.0"
        assert extractor.metadata.epoch == datetime(2016, 9, 30, 16, 38, 52, 40000)
        assert extractor.get_nominal_rate() == 30.012
        measured = 1 / np.median(np.diff(times))
        assert extractor.get_sampling_frequency() == pytest.approx(measured)
        assert abs(measured - 30.012) > 1e-4


def test_times_at_another_rate_than_the_header_are_said(tmp_path):
    times = np.arange(6) / 15
    (path,) = write_scanimage(tmp_path / "a.tif", _movies(6, 1, (1,))[1], frame_timestamps=times)
    with pytest.warns(UserWarning, match="give 15 Hz.*header states 30 Hz"):
        found = ScanImageExtractor(path).get_native_timestamps()
    np.testing.assert_allclose(found, times, atol=1e-9)
