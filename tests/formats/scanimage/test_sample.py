import gc
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile
from roiextractors import ScanImageImagingExtractor

from nwb_ophys.testing import simulate_recording, write_scanimage

# roiextractors never closes the reader with which it looks at the first page.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


@pytest.fixture(autouse=True)
def _collect_unclosed_readers():
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def movie():
    return simulate_recording(num_samples=12).movie


@pytest.fixture(scope="module")
def volume():
    return simulate_recording(num_samples=12, num_planes=3).movie


@pytest.fixture(scope="module")
def red_volume():
    return simulate_recording(num_samples=12, num_planes=3, seed=1).movie


def read_settings(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_scanimage
        return file.scanimage_metadata["FrameData"]


def read_descriptions(path):
    with tifffile.TiffFile(path) as file:
        return [
            dict(line.split(" = ") for line in page.description.strip().split("\n"))
            for page in file.pages
        ]


@pytest.mark.parametrize("dtype", ["int16", "uint16", ">i2"])
def test_planar_recording(tmp_path, movie, dtype):
    (path,) = write_scanimage(tmp_path / "plain.TIF", movie.astype(dtype))
    assert path == tmp_path / "plain.TIF"
    extractor = ScanImageImagingExtractor(path)
    assert np.array_equal(extractor.get_series(), movie)
    assert extractor.get_dtype() == np.dtype(dtype).newbyteorder("=")
    assert extractor.get_sampling_frequency() == 30
    assert extractor.channel_name == "Channel 1"
    assert not extractor.is_volumetric
    assert np.allclose(extractor.get_times(), np.arange(12) / 30, atol=1e-9)
    assert np.array_equal(tifffile.imread(path), movie)


def test_names_in_a_folder(tmp_path, movie):
    (path,) = write_scanimage(tmp_path / "new" / "folder", movie, stem="mouse")
    assert path == tmp_path / "new" / "folder" / "mouse_00001.tif"
    assert read_settings(path)["SI.hScan2D.logFramesPerFile"] == np.inf


def test_settings_of_a_planar_recording(tmp_path, movie):
    (path,) = write_scanimage(
        tmp_path, movie, sampling_frequency=29.97, objective_resolution=20.0, zoom=2.0
    )
    settings = read_settings(path)
    assert settings["SI.hRoiManager.scanFrameRate"] == 29.97
    assert settings["SI.hRoiManager.scanFramePeriod"] == 0.0333667
    assert settings["SI.hRoiManager.linePeriod"] == pytest.approx(0.94 / 29.97 / 48, rel=1e-5)
    assert settings["SI.hRoiManager.scanZoomFactor"] == 2
    assert settings["SI.objectiveResolution"] == 20
    assert settings["SI.hStackManager.enable"] is False
    assert settings["SI.hStackManager.numSlices"] == 1
    assert settings["SI.hStackManager.framesPerSlice"] == 12
    assert settings["SI.hChannels.channelSave"] == 1
    assert settings["SI.hChannels.channelName"] == [f"Channel {number}" for number in (1, 2, 3, 4)]
    assert np.size(settings["SI.hPmts.gains"]) == 0
    # 9 degrees at zoom 2, times 20 µm per degree, over 64 columns; square pixels.
    corners = np.array(settings["SI.hRoiManager.imagingFovUm"])
    assert np.array_equal(np.ptp(corners, axis=0), [180, 135])
    with tifffile.TiffFile(path) as file:
        for name in ("XResolution", "YResolution"):
            numerator, denominator = file.pages[0].tags[name].value
            assert 10_000 * denominator / numerator == pytest.approx(180 / 64, rel=1e-6)
        region = file.scanimage_metadata["RoiGroups"]["imagingRoiGroup"]["rois"]
    assert region["scanfields"]["pixelResolutionXY"] == [64, 48]
    assert region["scanfields"]["sizeXY"] == [9, 6.75]


def test_descriptions(tmp_path, movie):
    start = datetime(2023, 1, 2, 3, 4, 59, 999_900)
    (path,) = write_scanimage(tmp_path, movie, session_start_time=start)
    first, second, *_, last = read_descriptions(path)
    assert first["frameNumbers"] == "1"
    assert first["epoch"] == "[2023  1  2  3  4 59.999]"
    assert first["frameTimestamps_sec"] == "0.000000000"
    assert first["acqTriggerTimestamps_sec"] == "-0.000080000"
    assert second["frameTimestamps_sec"] == "0.033333333"
    assert second["acqTriggerTimestamps_sec"] == "-1.000000000"
    assert first["endOfAcquisition"] == second["endOfAcquisition"] == "0"
    assert last["frameNumbers"] == last["frameNumberAcquisition"] == "12"
    assert last["endOfAcquisition"] == last["endOfAcquisitionMode"] == "1"
    assert last["acquisitionNumbers"] == "1"


@pytest.mark.parametrize("num_flyback_frames", [0, 2])
@pytest.mark.parametrize("frames_per_file", [None, 7, 15])
@pytest.mark.parametrize("frames_per_slice", [1, 2])
def test_volumes_of_two_channels(
    tmp_path, volume, red_volume, num_flyback_frames, frames_per_file, frames_per_slice
):
    paths = write_scanimage(
        tmp_path,
        {4: red_volume, 1: volume},
        sampling_frequency=7.5,
        channel_names={1: "green", 4: "red"},
        num_flyback_frames=num_flyback_frames,
        frames_per_file=frames_per_file,
        frames_per_slice=frames_per_slice,
    )
    assert ScanImageImagingExtractor.get_available_channel_names(paths[0]) == ["green", "red"]
    per_volume = 3 * frames_per_slice + num_flyback_frames
    for channel, movie in (("green", volume), ("red", red_volume)):
        for sample in range(frames_per_slice):
            extractor = ScanImageImagingExtractor(
                paths[0],
                channel_name=channel,
                slice_sample=sample if frames_per_slice > 1 else None,
            )
            assert list(map(Path, extractor.file_paths)) == paths
            assert np.array_equal(extractor.get_series(), movie[sample::frames_per_slice])
            assert extractor.get_sampling_frequency() == 7.5
            # The time of a volume is that of its last plane.
            frames = np.arange(12 // frames_per_slice) * per_volume + 2 * frames_per_slice + sample
            assert np.allclose(extractor.get_times(), frames / (7.5 * per_volume), atol=1e-9)


def test_slices_interleaved(tmp_path, volume):
    (path,) = write_scanimage(tmp_path, volume, frames_per_slice=4)
    extractor = ScanImageImagingExtractor(path, interleave_slice_samples=True)
    assert np.array_equal(extractor.get_series(), volume)


def test_files_of_one_acquisition(tmp_path, volume):
    paths = write_scanimage(tmp_path, volume, frames_per_file=10, num_flyback_frames=1)
    assert [path.name for path in paths] == [
        f"recording_00001_{index:05d}.tif" for index in range(1, 6)
    ]
    numbers = [[int(page["frameNumbers"]) for page in read_descriptions(path)] for path in paths]
    assert [len(of_file) for of_file in numbers] == [10, 10, 10, 10, 8]
    assert [number for of_file in numbers for number in of_file] == list(range(1, 49))
    settings = read_settings(paths[3])
    assert settings == read_settings(paths[0])
    assert settings["SI.hScan2D.logFramesPerFile"] == 10
    assert settings["SI.hStackManager.numFramesPerVolume"] == 3
    assert settings["SI.hStackManager.numFramesPerVolumeWithFlyback"] == 4
    assert settings["SI.hFastZ.numDiscardFlybackFrames"] == 1
    assert settings["SI.hFastZ.discardFlybackFrames"] is True


def test_flyback_frames_are_saturated(tmp_path, volume):
    (path,) = write_scanimage(tmp_path, volume, num_flyback_frames=2)
    pages = tifffile.imread(path, key=range(60)).reshape(12, 5, 48, 64)
    assert np.array_equal(np.moveaxis(pages[:, :3], 1, 3), volume)
    assert (pages[:, 3:] == np.iinfo("int16").max).all()


def test_slow_stack(tmp_path, volume):
    (path,) = write_scanimage(
        tmp_path, volume, stack_mode="slow", frames_per_slice=2, sampling_frequency=2.0, z_step=2.5
    )
    assert np.array_equal(
        ScanImageImagingExtractor(path, slice_sample=1).get_series(), volume[1::2]
    )
    settings = read_settings(path)
    assert settings["SI.hFastZ.enable"] is False
    assert settings["SI.hStackManager.stackMode"] == "slow"
    assert settings["SI.hStackManager.zs"] == [0, 0, 2.5, 2.5, 5, 5]
    assert settings["SI.hRoiManager.scanFrameRate"] == 12
    descriptions = read_descriptions(path)
    assert [int(page["acquisitionNumbers"]) for page in descriptions[:5]] == [1, 1, 2, 2, 3]
    assert [int(page["frameNumberAcquisition"]) for page in descriptions[:4]] == [1, 2, 1, 2]
    assert [int(page["endOfAcquisition"]) for page in descriptions[:4]] == [0, 1, 0, 1]
    triggers = [float(page["acqTriggerTimestamps_sec"]) for page in descriptions[:4]]
    assert np.allclose(triggers, np.array([0, 0, 2, 2]) / 12 - 0.00008, atol=1e-9)
    assert [page["endOfAcquisitionMode"] for page in descriptions[-2:]] == ["0", "1"]


def test_stopped_in_the_middle_of_a_volume(tmp_path, volume):
    (path,) = write_scanimage(tmp_path, volume, num_frames=20)
    assert np.array_equal(ScanImageImagingExtractor(path).get_series(), volume[:6])
    descriptions = read_descriptions(path)
    assert len(descriptions) == 20
    assert descriptions[-1]["endOfAcquisition"] == "0"
    assert read_settings(path)["SI.hStackManager.numVolumes"] == 12


def test_irregular_timestamps(tmp_path, movie):
    timestamps = np.cumsum(np.linspace(0.01, 0.09, 12))
    (path,) = write_scanimage(tmp_path, movie, frame_timestamps=timestamps)
    assert np.allclose(ScanImageImagingExtractor(path).get_times(), timestamps, atol=1e-9)


def test_other_settings(tmp_path, movie):
    (path,) = write_scanimage(
        tmp_path, {6: movie}, num_channels_available=6, pmt_gains=[0.625, 2], line_period=6.5e-5
    )
    settings = read_settings(path)
    assert settings["SI.hPmts.gains"] == [0.625, 2]
    assert settings["SI.hPmts.names"] == ["PMT 1", "PMT 2"]
    assert settings["SI.hRoiManager.linePeriod"] == 6.5e-05
    assert settings["SI.hChannels.channelSave"] == 6
    assert settings["SI.hChannels.channelsAvailable"] == 6
    assert ScanImageImagingExtractor(path).channel_name == "Channel 6"


def test_one_plane_with_a_plane_axis(tmp_path, movie):
    (path,) = write_scanimage(tmp_path, movie[..., np.newaxis])
    assert np.array_equal(ScanImageImagingExtractor(path).get_series(), movie)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stack_mode": "middling"}, "may be 'fast' or 'slow'"),
        ({"stack_mode": "slow", "num_flyback_frames": 1}, "slow stack has no flyback"),
        ({"frames_per_slice": 5}, "12 samples are no multiple"),
        ({"num_frames": 37}, "num_frames must be 1 to 36"),
        ({"num_frames": 0}, "num_frames must be 1 to 36"),
        ({"frames_per_file": 0}, "frames_per_file must be 1 or more"),
        ({"frame_timestamps": [0.0]}, "frame_timestamps must have 36 values"),
        ({"num_channels_available": 0}, "channel numbers must be 1 to 0"),
    ],
)
def test_what_cannot_be(tmp_path, volume, options, message):
    with pytest.raises(ValueError, match=message):
        write_scanimage(tmp_path, volume, **options)
    assert not list(tmp_path.iterdir())


def test_more_that_cannot_be(tmp_path, movie, volume):
    with pytest.raises(ValueError, match="differ in shape or dtype"):
        write_scanimage(tmp_path, {1: movie, 2: movie[1:]})
    with pytest.raises(ValueError, match="need a movie with planes"):
        write_scanimage(tmp_path, movie, frames_per_slice=2)
    with pytest.raises(ValueError, match="need a movie with planes"):
        write_scanimage(tmp_path, movie, num_flyback_frames=2)
    with pytest.raises(ValueError, match="channel 1 has 3 axes of float64"):
        write_scanimage(tmp_path, movie / 2)
    with pytest.raises(ValueError, match="channel 2 has 2 axes of int16"):
        write_scanimage(tmp_path, {2: movie[0]})
    with pytest.raises(ValueError, match="is one file; give a folder"):
        write_scanimage(tmp_path / "one.tif", movie, frames_per_file=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "real",
    [
        "volumetric_two_channels_multi_file/vol_two_ch_multi_files_00001_00001.tif",
        "volumetric_single_channel_single_file_no_flyback/vol_no_flyback_00001_00001.tif",
        "scanimage_20220923_noroi.tif",
    ],
)
def test_fields_are_those_of_real_files(tmp_path, data_folder, volume, real):
    (path,) = write_scanimage(tmp_path, {1: volume, 2: volume}, num_flyback_frames=1)
    with (
        tifffile.TiffFile(data_folder / "scanimage" / real) as theirs,
        tifffile.TiffFile(path) as ours,
    ):
        their_tags, our_tags = theirs.pages[0].tags, ours.pages[0].tags
        assert [(tag.code, tag.dtype) for tag in our_tags] == [
            (tag.code, tag.dtype) for tag in their_tags
        ]
        assert our_tags["ImageDescription"].count == their_tags["ImageDescription"].count
        # Directory, description and pixels follow each other at the same distances.
        for page, other in zip(ours.pages[:3], theirs.pages[:3], strict=True):
            assert page.dataoffsets[0] - page.offset == other.dataoffsets[0] - other.offset
        ours_first, theirs_first = ours.pages[0].description, theirs.pages[0].description
        assert [line.split(" = ")[0] for line in ours_first.strip().split("\n")] == [
            line.split(" = ")[0] for line in theirs_first.strip().split("\n")
        ]
        their_settings = theirs.scanimage_metadata["FrameData"]
        for name, value in ours.scanimage_metadata["FrameData"].items():
            assert name in their_settings
            scalar = isinstance(value, str | bool)
            assert isinstance(their_settings[name], type(value)) or not scalar
