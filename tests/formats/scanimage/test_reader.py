"""Tests of ScanImage recordings: pages equal to tifffile's, and reports of missing data."""

import math
import struct
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from roiextractors import ScanImageImagingExtractor

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.formats.scanimage.reader import ScanImageExtractor, sample_pages, scanimage_metadata

EPOCH = "[2024  2 29 23 59 59.500]"
PLANAR: dict[str, str] = {
    "SI.VERSION_MAJOR": "2021",
    "SI.VERSION_MINOR": "1",
    "SI.acqState": "'grab'",
    "SI.hChannels.channelName": "{'Green' 'Red'}",
    "SI.hChannels.channelSave": "1",
    "SI.hPmts.gains": "[0.5 0.75]",
    "SI.hRoiManager.imagingFovUm": "[-100 -50;100 -50;100 50;-100 50]",
    "SI.hRoiManager.linePeriod": "6.25e-05",
    "SI.hRoiManager.linesPerFrame": "2",
    "SI.hRoiManager.mroiEnable": "false",
    "SI.hRoiManager.pixelsPerLine": "4",
    "SI.hRoiManager.scanFrameRate": "30",
    "SI.hRoiManager.scanVolumeRate": "7.5",
    "SI.hRoiManager.scanZoomFactor": "2.5",
    "SI.hScan2D.bidirectional": "true",
    "SI.hScan2D.logAverageFactor": "1",
    "SI.hScan2D.logFramesPerFile": "Inf",
    "SI.hScan2D.scanMode": "'resonant'",
    "SI.hStackManager.enable": "false",
    "SI.hStackManager.framesPerSlice": "1000",
    "SI.hStackManager.numSlices": "1",
    "SI.hStackManager.stackMode": "'fast'",
    "SI.objectiveResolution": "15",
}


def volumetric(
    planes: int = 3, per_slice: int = 1, flyback: int = 0, channels: str = "1", **more: str
) -> dict[str, str]:
    per_volume = planes * per_slice
    return PLANAR | {
        "SI.hChannels.channelSave": channels,
        "SI.hStackManager.enable": "true",
        "SI.hStackManager.numSlices": str(planes),
        "SI.hStackManager.framesPerSlice": str(per_slice),
        "SI.hStackManager.numFramesPerVolume": str(per_volume),
        "SI.hStackManager.numFramesPerVolumeWithFlyback": str(per_volume + flyback),
        **{f"SI.{key.replace('__', '.')}": value for key, value in more.items()},
    }


def write_recording(
    path: Path,
    pages: np.ndarray,
    properties: dict[str, str],
    first_page: int = 0,
    channels: int = 1,
    epoch: str = EPOCH,
    with_times: bool = True,
) -> None:
    """Write a ScanImage BigTIFF: static header, then per page directory, description, pixels."""
    header = "\n".join(f"{key} = {value}" for key, value in properties.items()).encode() + b"\0"
    out = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
    out += struct.pack("<4I", 117637889, 4, len(header), 1) + header + b"\0"
    rows, columns = pages.shape[1:]
    bits = 8 * pages.itemsize
    for index, page in enumerate(pages):
        frame = (first_page + index) // channels
        text = f"frameNumbers = {frame + 1}\nframeNumberAcquisition = {frame + 1}\n"
        text += f"frameTimestamps_sec = {frame / 30:.9f}\n" if with_times else ""
        description = f"{text}epoch = {epoch}\n".encode() + b"\0"
        start = len(out)
        place = start + 16 + 20 * 11
        tags = [(256, 3, 1, columns), (257, 3, 1, rows), (258, 3, 1, bits), (259, 3, 1, 1)]
        tags += [(262, 3, 1, 1), (270, 2, len(description), place)]
        tags += [(273, 16, 1, place + len(description)), (277, 3, 1, 1)]
        tags += [
            (279, 16, 1, page.nbytes),
            (305, 2, len(header), 32),
            (339, 3, 1, 2 if page.dtype.kind == "i" else 1),
        ]
        out += struct.pack("<Q", len(tags))
        out += b"".join(struct.pack("<HHQQ", *tag) for tag in tags)
        end = place + len(description) + page.nbytes
        out += struct.pack("<Q", end if index + 1 < len(pages) else 0)
        out += description + page.tobytes()
        if index == 0:
            out[8:16] = struct.pack("<Q", start)
    path.write_bytes(out)


def numbered_pages(number: int, rows: int = 2, columns: int = 4) -> np.ndarray:
    """Make pages whose pixels all are the number of the page."""
    numbers = np.arange(number, dtype=np.int16)
    return np.repeat(numbers, rows * columns).reshape(number, rows, columns)


def write_series(folder: Path, lengths: list[int], stem: str = "run_00001_") -> list[Path]:
    """Write a grab of 2 channels x 3 planes that was divided into files of ``lengths`` frames."""
    properties = volumetric(channels="[1 2]", hScan2D__logFramesPerFile=str(lengths[0]))
    pages = numbered_pages(2 * sum(lengths))
    paths, first = [], 0
    for index, length in enumerate(lengths, start=1):
        paths.append(folder / f"{stem}{index:05d}.tif")
        part = pages[first : first + 2 * length]
        write_recording(paths[-1], part, properties, first_page=first, channels=2)
        first += 2 * length
    return paths


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_channels=st.integers(1, 3),
    planes=st.integers(1, 4),
    per_slice=st.integers(1, 3),
    flyback=st.integers(0, 2),
    volumes=st.integers(1, 4),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(["<i2", "<u2"]),
    data=st.data(),
)
def test_pages_are_found_by_hand(
    tmp_path: Path,
    num_channels: int,
    planes: int,
    per_slice: int,
    flyback: int,
    volumes: int,
    shape: tuple[int, int],
    dtype: str,
    data: st.DataObject,
) -> None:
    if planes == 1:
        per_slice, flyback = 1, 0
    names = "{" + " ".join(f"'Channel {number + 1}'" for number in range(num_channels)) + "}"
    saved = "[" + ";".join(str(number + 1) for number in range(num_channels)) + "]"
    properties = volumetric(planes, per_slice, flyback, saved, hChannels__channelName=names)
    frames = planes * per_slice + flyback
    pages = numbered_pages(volumes * frames * num_channels, *shape).astype(dtype)
    path = tmp_path / "run.tif"
    write_recording(path, pages, properties, channels=num_channels)

    channel = data.draw(st.integers(0, num_channels - 1))
    mode = data.draw(st.sampled_from(["interleave", "one"] if per_slice > 1 else ["one"]))
    chosen = data.draw(st.integers(0, per_slice - 1))
    which = list(range(per_slice)) if mode == "interleave" else [chosen]
    arguments: dict[str, Any] = {"interleave_slice_samples": mode == "interleave"}
    if mode == "one" and per_slice > 1:
        arguments["slice_sample"] = chosen
    plane = data.draw(st.none() | st.integers(0, planes - 1))

    read = tifffile.imread(path, key=slice(None)).reshape(-1, *shape)
    by_hand = []
    for volume in range(volumes):
        for frame in which:
            shown = range(planes) if plane is None else [plane]
            numbers = [
                (volume * frames + number * per_slice + frame) * num_channels + channel
                for number in shown
            ]
            by_hand.append(numbers)
    start = data.draw(st.integers(0, len(by_hand)))
    end = data.draw(st.integers(start, len(by_hand)))
    with ScanImageExtractor(
        path, channel_name=f"Channel {channel + 1}", plane_index=plane, **arguments
    ) as extractor:
        assert extractor.get_num_samples() == len(by_hand)
        series = extractor.get_series(start, end)
        expected = np.array([[read[page] for page in numbers] for numbers in by_hand])
        expected = expected.transpose(0, 2, 3, 1)
        expected = expected if extractor.is_volumetric else expected[..., 0]
        np.testing.assert_array_equal(series, expected[start:end])
        assert extractor.get_dtype() == series.dtype == np.dtype(dtype)
        times = extractor.get_native_timestamps(start, end)
        last = [numbers[-1] // num_channels / 30 for numbers in by_hand]
        assert times is not None
        np.testing.assert_allclose(times, last[start:end], atol=1e-9)
        rate = 7.5 if planes > 1 else 30.0
        assert extractor.get_nominal_rate() == rate * len(which)


def real_cases() -> list[tuple[str, dict[str, Any]]]:
    single = "volumetric_single_channel_single_file_no_flyback/vol_no_flyback_00001_00001.tif"
    several = "volumetric_two_channels_multi_file/vol_two_ch_multi_files_00001_{:05d}.tif"
    cases: list[tuple[str, dict[str, Any]]] = [(single, {}), (single, {"plane_index": 3})]
    for channel in ("Channel 1", "Channel 2"):
        for number in (1, 6, 10):
            cases.append((several.format(number), {"channel_name": channel}))
        cases.append((several.format(1), {"channel_name": channel, "plane_index": 8}))
    for channel in ("Channel 1", "Channel 4"):
        for options in (
            {"slice_sample": 0},
            {"slice_sample": 1},
            {"interleave_slice_samples": True},
            {"interleave_slice_samples": True, "plane_index": 1},
        ):
            cases.append(("scanimage_20220923_noroi.tif", {"channel_name": channel, **options}))
    return cases


def read_with_roiextractors(path: Path, **arguments: Any) -> tuple[np.ndarray, np.ndarray, bool]:
    opened = []

    def open_and_remember(file: Path) -> tifffile.TiffFile:
        opened.append(tifffile.TiffFile(file))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        # It never closes the reader that it opens first.
        patch.setattr(tifffile, "TiffReader", open_and_remember)
        theirs = ScanImageImagingExtractor(file_path=path, **arguments)
    result = theirs.get_series(), theirs.get_native_timestamps(), theirs.is_volumetric
    for reader in [*opened, *theirs._tiff_readers]:
        reader.close()
    return result


@pytest.mark.parametrize(("name", "arguments"), real_cases())
def test_equals_roiextractors_on_real_recordings(
    data_folder: Path, name: str, arguments: dict[str, Any]
) -> None:
    path = data_folder / "scanimage" / name
    series, times, is_volumetric = read_with_roiextractors(path, **arguments)
    with ScanImageExtractor(path, **arguments) as ours:
        np.testing.assert_array_equal(ours.get_series(), series)
        np.testing.assert_array_equal(ours.get_native_timestamps(), times)
        np.testing.assert_array_equal(ours.get_series(1, 3), series[1:3])
        assert ours.get_dtype() == series.dtype
        assert ours.is_volumetric == is_volumetric
        assert ours.get_sample_shape() == series.shape[1:]


def test_interleaved_frames_of_the_real_recording_by_hand(data_folder: Path) -> None:
    # Pages by channel, frame of the slice, slice, volume: 2 x 2 x 2 x 3. Their descriptions say
    # so too: the acquisition number counts slices, the frame number within it frames.
    path = data_folder / "scanimage" / "scanimage_20220923_noroi.tif"
    with tifffile.TiffFile(path) as tiff:
        pages: Any = list(tiff.pages)
        frames = np.stack([page.asarray() for page in pages])
        texts = [page.description for page in pages]
    fields = [dict(line.split(" = ") for line in text.strip().splitlines()) for text in texts]
    extractor = ScanImageExtractor(path, "Channel 4", interleave_slice_samples=True)
    series, times = extractor.get_series(), extractor.get_native_timestamps()
    assert series.shape == (6, 256, 256, 2)
    assert times is not None
    for sample in range(6):
        volume, frame = divmod(sample, 2)
        for plane in range(2):
            page = 8 * volume + 4 * plane + 2 * frame + 1
            np.testing.assert_array_equal(series[sample, :, :, plane], frames[page])
            assert int(fields[page]["acquisitionNumbers"]) == 2 * volume + plane + 1
            assert int(fields[page]["frameNumberAcquisition"]) == frame + 1
        assert times[sample] == float(fields[page]["frameTimestamps_sec"])


def test_metadata_of_real_recordings(data_folder: Path) -> None:
    metadata = scanimage_metadata(data_folder / "scanimage" / "scanimage_20220923_noroi.tif")
    assert metadata.channel_names == ("Channel 1", "Channel 4")
    assert metadata.channel_numbers == (1, 4)
    assert (metadata.num_planes, metadata.frames_per_slice) == (2, 2)
    assert (metadata.version_major, metadata.version_minor) == (2023, 0)
    assert metadata.epoch == datetime(2023, 9, 22, 12, 46, 9, 383_000)
    assert metadata.pmt_gains is None  # one photomultiplier listed, channels 1 and 4 saved
    assert metadata.plane_positions == (-11179.5, -11178.5)
    with tifffile.TiffFile(metadata.path) as tiff:
        pixels, per = tiff.pages.first.tags["XResolution"].value
    # The TIFF tag, in pixels per centimetre, is an independent statement of the pixel size.
    assert metadata.pixel_size == pytest.approx((1e4 * per / pixels,) * 2, rel=1e-4)
    folder = data_folder / "scanimage" / "volumetric_two_channels_multi_file"
    metadata = scanimage_metadata(folder / "vol_two_ch_multi_files_00001_00003.tif")
    assert metadata.num_flyback_frames == 7
    assert metadata.frames_per_file == 160
    assert metadata.sampling_frequency == 32.7454


def test_metadata_of_a_written_recording(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(2), PLANAR | {"SI.hChannels.channelSave": "[1;2]"})
    metadata = scanimage_metadata(path)
    assert metadata.channel_names == ("Green", "Red")
    assert not metadata.is_volumetric
    assert metadata.sampling_frequency == metadata.frame_rate == 30
    assert metadata.line_rate == 16_000
    assert metadata.pmt_gains == (0.5, 0.75)
    assert metadata.objective_resolution == 15
    assert metadata.zoom_factor == 2.5
    assert metadata.field_of_view == (200, 100)
    assert metadata.pixel_size == (50, 50)
    assert metadata.scan_mode == "resonant"
    assert metadata.is_bidirectional is True
    assert metadata.epoch == datetime(2024, 2, 29, 23, 59, 59, 500_000)
    assert metadata.plane_positions is None
    assert math.isinf(metadata.frames_per_file)
    changes = {"SI.hRoiManager.mroiEnable": "true", "SI.hPmts.gains": "[]"}
    write_recording(path, numbered_pages(2), PLANAR | changes, epoch="[]")
    metadata = scanimage_metadata(path)
    assert (metadata.pixel_size, metadata.pmt_gains, metadata.epoch) == (None, None, None)
    few = {key: PLANAR[key] for key in PLANAR if "hChannels" in key}
    write_recording(path, numbered_pages(2), few, epoch="[2024 1 1 0 0 60.0]")
    metadata = scanimage_metadata(path)
    assert (metadata.field_of_view, metadata.line_rate, metadata.version_major) == (None,) * 3
    assert metadata.epoch == datetime(2024, 1, 1, 0, 1)
    with pytest.raises(CorruptSourceError, match="states no frame or volume rate"):
        ScanImageExtractor(path)


@pytest.mark.parametrize("degrees", [30, 90, 180, -45])
def test_the_pixel_size_of_a_rotated_scan(tmp_path: Path, degrees: float) -> None:
    """Fault: the extent along x and y of the rotated corners was that of the frame."""
    angle = math.radians(degrees)
    turned = [
        (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
        for x, y in [(-100, -50), (100, -50), (100, 50), (-100, 50)]
    ]
    corners = ";".join(f"{x:.5f} {y:.5f}" for x, y in turned)
    changes = {"SI.hRoiManager.imagingFovUm": f"[{corners}]"}
    path = tmp_path / "a.tif"
    write_recording(path, numbered_pages(2), PLANAR | changes)
    metadata = scanimage_metadata(path)
    assert metadata.field_of_view == pytest.approx((200, 100), abs=1e-3)
    assert metadata.pixel_size == pytest.approx((50, 50), abs=1e-3)


def test_single_channel_system(tmp_path: Path) -> None:
    # MATLAB's {'Green'} is parsed to a text, whose first letter is no channel name.
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(2), PLANAR | {"SI.hChannels.channelName": "{'Green'}"})
    assert scanimage_metadata(path).channel_names == ("Green",)
    assert ScanImageExtractor(path).channel_name == "Green"
    assert ScanImageExtractor(path, "Green", slice_sample=0, plane_index=0).get_num_samples() == 2


@pytest.mark.parametrize("tag", ["software", "description"])
def test_header_in_the_tags_of_the_first_page(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "run.tif"
    prefix = "scanimage." if tag == "description" else ""
    header = "\n".join(f"{prefix}{key} = {value}" for key, value in volumetric().items())
    texts = [f"frameNumbers = {page + 1}\nframeTimestamps_sec = {page}" for page in range(6)]
    with tifffile.TiffWriter(path) as writer:
        for page, text in zip(numbered_pages(6), texts, strict=True):
            options: Any = {"software": header} if tag == "software" else {}
            description = text if tag == "software" else f"{text}\n{header}"
            writer.write(page, description=description, metadata=None, contiguous=False, **options)
    extractor = ScanImageExtractor(path)
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(extractor.get_native_timestamps(), [2, 5])


def test_files_of_2016_state_their_stack_elsewhere(tmp_path: Path) -> None:
    properties = {key: value for key, value in volumetric().items() if "hStackManager" not in key}
    properties |= {
        "SI.hFastZ.enable": "true",
        "SI.hFastZ.discardFlybackFrames": "true",
        "SI.hFastZ.numDiscardFlybackFrames": "2",
        "SI.hStackManager.numSlices": "3",
        "SI.hStackManager.framesPerSlice": "1",
    }
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(10), properties)
    np.testing.assert_array_equal(
        ScanImageExtractor(path).get_series()[:, 0, 0], [[0, 1, 2], [5, 6, 7]]
    )


@pytest.mark.parametrize("set_slices", ["1", "9"])
@pytest.mark.parametrize(
    "more",
    [
        {"stackDefinition": "'arbitrary'", "actualNumSlices": "3"},
        {"stackDefinition": "'arbitrary'", "arbitraryZs": "[0;20;5]"},
        {"stackDefinition": "'bounded'", "actualNumSlices": "3"},
    ],
)
def test_slices_that_are_not_those_of_the_setting(
    tmp_path: Path, more: dict[str, str], set_slices: str
) -> None:
    """Fault: the planes of listed depths were frames of one plane, or the file was refused."""
    own = {f"hStackManager__{name}": value for name, value in more.items()}
    own |= {"hStackManager__zs": "[0 20 5]", "hStackManager__numSlices": set_slices}
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(8), volumetric(flyback=1, **own))
    extractor = ScanImageExtractor(path)
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], [[0, 1, 2], [4, 5, 6]])
    assert extractor.metadata.plane_positions == (0, 20, 5)


@pytest.mark.parametrize("wave", ["'step'", "'sawtooth'"])
def test_listed_depths_of_2016(tmp_path: Path, wave: str) -> None:
    """Fault: depths that the user listed were frames of one plane, since ``numSlices`` was 1."""
    properties = {key: value for key, value in volumetric().items() if "hStackManager" not in key}
    properties |= {
        "SI.hFastZ.enable": "1",
        "SI.hFastZ.numFramesPerVolume": "4",
        "SI.hFastZ.numDiscardFlybackFrames": "1",
        "SI.hFastZ.useArbitraryZs": "true",
        "SI.hFastZ.userZs": "[0 40 20]",
        "SI.hFastZ.waveformType": wave,
        "SI.hStackManager.numSlices": "1" if wave == "'step'" else "3",
        "SI.hStackManager.framesPerSlice": "1",
    }
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(8), properties)
    np.testing.assert_array_equal(
        ScanImageExtractor(path).get_series()[:, 0, 0], [[0, 1, 2], [4, 5, 6]]
    )


def test_a_slow_stack_that_never_leaves_its_first_slice(tmp_path: Path) -> None:
    """Fault: the frames of one plane were planes of volumes."""
    path = tmp_path / "run.tif"
    properties = volumetric(hStackManager__stackMode="'slow'", hStackManager__framesPerSlice="Inf")
    write_recording(path, numbered_pages(6), properties)
    extractor = ScanImageExtractor(path)
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], range(6))
    assert extractor.get_sampling_frequency() == 30


def _write_channels(folder: Path, properties: dict[str, str]) -> None:
    """Write two channels in files of their own, each of two files, as ScanImage names them."""
    for channel in (1, 2):
        pages = numbered_pages(5) + 100 * channel
        for number, part in enumerate((pages[:3], pages[3:]), start=1):
            path = folder / f"run_00001_{number:05d}_chn{channel}.tif"
            write_recording(path, part, properties, first_page=3 * (number - 1))


def test_channels_in_files_of_their_own(tmp_path: Path) -> None:
    """Fault: the frames of each file were read as frames of two channels in turn."""
    properties = {"SI.hChannels.channelSave": "[1;2]", "SI.hScan2D.logFramesPerFile": "3"}
    _write_channels(tmp_path, PLANAR | properties)
    for channel, name in ((1, "Green"), (2, "Red")):
        for number in (1, 2):
            path = tmp_path / f"run_00001_{number:05d}_chn{channel}.tif"
            extractor = ScanImageExtractor(path)
            pixels = extractor.get_series()[:, 0, 0]
            np.testing.assert_array_equal(pixels, 100 * channel + np.arange(5))
            assert extractor.channel_name == name
            assert extractor.get_sampling_frequency() == 30
    files = sorted(tmp_path.iterdir())
    with pytest.raises(SourceError, match=r"has channel_numbers \(2,\)"):
        ScanImageExtractor(file_paths=files[:2])
    files[2].rename(tmp_path / "run_00001_00003_chn1.tif")
    with pytest.raises(SourceError, match=r"run_00001_00002_chn1\.tif' is missing"):
        ScanImageExtractor(files[0])


def test_a_channel_that_was_split_off(tmp_path: Path) -> None:
    """Fault: its frames were read as frames of all channels that the header lists, in turn."""
    path = tmp_path / "green.tif"
    write_recording(path, numbered_pages(6), PLANAR | {"SI.hChannels.channelSave": "[1;2]"})
    with pytest.raises(SourceError, match="first 2 pages are of the frames 1, 2, not of one"):
        ScanImageExtractor(path)


def test_averaged_frames_are_fewer(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    properties = volumetric(planes=3, per_slice=4, hScan2D__logAverageFactor="4")
    write_recording(path, numbered_pages(6), properties)
    np.testing.assert_array_equal(
        ScanImageExtractor(path).get_series()[:, 0, 0], [[0, 1, 2], [3, 4, 5]]
    )
    write_recording(path, numbered_pages(6), volumetric(hScan2D__logAverageFactor="2"))
    with pytest.raises(SourceError, match="2 frames were averaged, but 1 frames per slice"):
        ScanImageExtractor(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SI.hChannels.channelSave": "3"}, "lists the saved channels"),
        ({"SI.hChannels.channelSave": "[]"}, r"does not state SI\.hChannels\.channelSave"),
        ({"SI.hChannels.channelName": "[]"}, r"does not state SI\.hChannels\.channelName"),
        ({"SI.hStackManager.numFramesPerVolume": "4"}, "the order of the planes is unclear"),
        (
            {"SI.hStackManager.numFramesPerVolumeWithFlyback": "2"},
            "the order of the planes is unclear",
        ),
    ],
)
def test_headers_that_make_no_sense(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(6), volumetric() | changes)
    with pytest.raises(SourceError, match=message):
        ScanImageExtractor(path)


def test_other_files(tmp_path: Path, data_folder: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        ScanImageExtractor(tmp_path / "absent.tif")
    path = tmp_path / "other.tif"
    path.write_bytes(b"no TIFF")
    with pytest.raises(CorruptSourceError, match=r"other\.tif' cannot be read as a TIFF file"):
        ScanImageExtractor(path)
    tifffile.imwrite(path, numbered_pages(2), photometric="minisblack")
    with pytest.raises(SourceError, match="no header of ScanImage 4 or later; read it"):
        ScanImageExtractor(path)
    tifffile.imwrite(path, numbered_pages(2), photometric="minisblack", bigtiff=True)
    with pytest.raises(SourceError, match="no header of ScanImage"):
        scanimage_metadata(path)
    legacy = data_folder / "scanimage_legacy" / "sample_scanimage_version_3_8.tiff"
    with pytest.raises(SourceError, match=r"of ScanImage 3\.8 or older"):
        scanimage_metadata(legacy)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "channel_name is needed;.*Green, Red"),
        ({"channel_name": "Blue"}, "channel_name is 'Blue';.*Green, Red"),
        ({"channel_name": "Red"}, "2 frames per slice; give slice_sample, 0 to 1"),
        ({"channel_name": "Red", "slice_sample": 2}, "slice_sample is 2; it must be from 0 to 1"),
        ({"channel_name": "Red", "slice_sample": 0, "plane_index": 3}, "plane_index is 3"),
        (
            {"channel_name": "Red", "slice_sample": 0, "interleave_slice_samples": True},
            "give only one of the two",
        ),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = tmp_path / "run.tif"
    properties = volumetric(per_slice=2, channels="[1 2]")
    write_recording(path, numbered_pages(12), properties, channels=2)
    with pytest.raises(SourceArgumentError, match=message):
        ScanImageExtractor(path, **arguments)


def test_file_arguments(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(3), PLANAR)
    for arguments in ({}, {"file_path": path, "file_paths": [path]}):
        with pytest.raises(SourceArgumentError, match="either file_path or file_paths"):
            ScanImageExtractor(**arguments)  # type: ignore[arg-type]
    with pytest.raises(SourceArgumentError, match="must be a list"):
        ScanImageExtractor(file_paths=path)  # type: ignore[arg-type]
    with pytest.raises(SourceArgumentError, match="is empty"):
        ScanImageExtractor(file_paths=[])


def test_incomplete_last_volume_is_left_out_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    properties = volumetric(planes=3, flyback=2, channels="[1 2]")
    write_recording(path, numbered_pages(2 * (5 + 2)), properties, channels=2)
    with pytest.warns(UserWarning, match=r"within volume 1 .* its 4 pages \(2 frames of 2"):
        extractor = ScanImageExtractor(path, "Red")
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], [[1, 3, 5]])
    # A last volume that lacks only its flyback frames is complete.
    write_recording(path, numbered_pages(2 * (5 + 3)), properties, channels=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ScanImageExtractor(path, "Red").get_num_samples() == 2
    write_recording(path, numbered_pages(4), properties, channels=2)
    with pytest.raises(SourceError, match="4 pages, less than one volume"):
        ScanImageExtractor(path, "Red")


def test_truncated_file_of_a_series_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, [6, 6, 6])
    paths[1].write_bytes(paths[1].read_bytes()[:-5])
    with pytest.raises(CorruptSourceError, match=r"run_00001_00002\.tif' is truncated"):
        ScanImageExtractor(paths[0], "Green")


@pytest.mark.parametrize("given", [0, 1, 2])
@pytest.mark.parametrize("stem", ["run_00001_", "a[1] b_00001_"])
def test_series_is_found_from_any_file_among_others(tmp_path: Path, given: int, stem: str) -> None:
    paths = write_series(tmp_path, [6, 6, 3], stem)
    other = PLANAR | {"SI.hScan2D.logFramesPerFile": "6"}
    for name in ("notes", "average", "00004_copy", "1", "0000005", ""):
        write_recording(tmp_path / f"{stem}{name}.tif", numbered_pages(1), other)
    write_recording(tmp_path / "run_00002_00001.tif", numbered_pages(1), other)
    (tmp_path / f"{stem}00004.txt").write_text("notes")
    extractor = ScanImageExtractor(paths[given], "Red")
    assert extractor.file_paths == paths
    expected = np.arange(30).reshape(5, 3, 2)[:, :, 1]
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], expected)


def test_volumes_may_lie_across_files(tmp_path: Path) -> None:
    paths = write_series(tmp_path, [4, 4, 4])
    extractor = ScanImageExtractor(paths[0], "Green")
    expected = np.arange(24).reshape(4, 3, 2)[:, :, 0]
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], expected)
    times: Any = extractor.get_native_timestamps()
    np.testing.assert_allclose(times, (expected[:, 2] // 2) / 30, atol=1e-9)
    with pytest.raises(
        SourceError, match=r"00003\.tif' .*does not continue.*planes would be mixed"
    ):
        ScanImageExtractor(file_paths=[paths[0], paths[2]], channel_name="Green")
    with pytest.raises(SourceError, match="frame 5, which is frame 2 of 3 of a volume"):
        ScanImageExtractor(file_paths=paths[1:], channel_name="Green")


def test_missing_files_are_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, [6, 6, 6, 6])
    paths[2].rename(tmp_path / "away")
    for path in (paths[0], paths[3]):
        with pytest.raises(SourceError, match=r"run_00001_00003\.tif' is missing"):
            ScanImageExtractor(path, "Green")
    (tmp_path / "away").rename(paths[2])
    paths[0].unlink()
    with pytest.raises(
        SourceError, match=r"00002\.tif' begins with frame 7: earlier files.*missing"
    ):
        ScanImageExtractor(paths[3], "Green")
    extractor = ScanImageExtractor(file_paths=[paths[1], paths[3]], channel_name="Green")
    assert extractor.get_num_samples() == 4
    with pytest.raises(SourceError, match="Give file_paths in order of time"):
        ScanImageExtractor(file_paths=[paths[3], paths[1]], channel_name="Green")


@pytest.mark.parametrize("epoch", [EPOCH, "[2023  1  1 12  0 0.000]"])
def test_left_over_file_of_another_recording(tmp_path: Path, epoch: str) -> None:
    paths = write_series(tmp_path, [6, 6])
    properties = volumetric(channels="[1 2]", hScan2D__logFramesPerFile="6")
    first = 24 if epoch != EPOCH else 36
    path = tmp_path / "run_00001_00003.tif"
    write_recording(path, numbered_pages(12), properties, first, channels=2, epoch=epoch)
    with pytest.raises(SourceError, match=r"00003\.tif' .*does not continue 'run_00001_00002"):
        ScanImageExtractor(paths[0], "Green")
    chosen = ScanImageExtractor(file_paths=paths, channel_name="Green")
    assert chosen.get_num_samples() == 4


def test_files_that_differ(tmp_path: Path) -> None:
    paths = write_series(tmp_path, [6, 6])
    pages = numbered_pages(12)
    for changes, message in (
        ({"SI.hChannels.channelSave": "1"}, "channel_numbers"),
        ({"SI.hStackManager.numFramesPerVolumeWithFlyback": "5"}, "num_flyback_frames 2"),
    ):
        properties = volumetric(channels="[1 2]", hScan2D__logFramesPerFile="6") | changes
        write_recording(paths[1], pages, properties, 12, channels=2)
        with pytest.raises(SourceError, match=rf"00002\.tif' has {message}"):
            ScanImageExtractor(paths[0], "Green")
    properties = volumetric(channels="[1 2]", hScan2D__logFramesPerFile="7")
    write_recording(paths[1], pages, properties, 12, channels=2)
    assert ScanImageExtractor(paths[0], "Green").get_num_samples() == 4
    write_recording(paths[1], numbered_pages(12, 3, 4), properties, 12, channels=2)
    with pytest.raises(SourceError, match=r"00002\.tif has pages of shape \(3, 4\)"):
        ScanImageExtractor(paths[0], "Green")


@pytest.mark.parametrize("kind", ["loop", "slow"])
def test_loops_and_slow_stacks_join_files_of_one_time_zero(tmp_path: Path, kind: str) -> None:
    more = {"acqState": "'loop'"} if kind == "loop" else {"hStackManager__stackMode": "'slow'"}
    properties = volumetric(**more)  # type: ignore[arg-type]
    paths = [tmp_path / f"run_{number:05d}.tif" for number in range(1, 7)]
    for index, path in enumerate(paths):
        # The first and the last three files are two recordings.
        epoch = EPOCH if index < 3 else "[2024  3  1 10  0 0.000]"
        first = 3 * (index % 3)
        pages = numbered_pages(18)[3 * index : 3 * index + 3]
        write_recording(path, pages, properties, first, epoch=epoch)
    assert ScanImageExtractor(paths[1]).file_paths == paths[:3]
    extractor = ScanImageExtractor(paths[4])
    assert extractor.file_paths == paths[3:]
    expected = np.arange(9, 18).reshape(3, 3)
    np.testing.assert_array_equal(extractor.get_series()[:, 0, 0], expected)
    paths[4].unlink()
    with pytest.raises(SourceError, match=r"run_00005\.tif' is missing"):
        ScanImageExtractor(paths[3])


@pytest.mark.parametrize("name", ["renamed", "run_00001", "run_x", "run_00001_00001"])
def test_files_that_are_recordings_of_their_own(tmp_path: Path, name: str) -> None:
    # An undivided grab, or a divided one under a name that does not say which part it is.
    divided = name in ("renamed", "run_00001")
    properties = PLANAR | {"SI.hScan2D.logFramesPerFile": "6" if divided else "Inf"}
    path = tmp_path / f"{name}.tif"
    for other in (path, tmp_path / "run_00002.tif", tmp_path / "run_00001_00002.tif"):
        write_recording(other, numbered_pages(4), properties)
    assert ScanImageExtractor(path).file_paths == [path]


def test_recordings_without_frame_numbers_and_times(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(4), PLANAR, with_times=False)
    extractor = ScanImageExtractor(path)
    assert extractor.get_native_timestamps() is None
    np.testing.assert_allclose(extractor.get_timestamps(), np.arange(4) / 30)
    write_recording(path, numbered_pages(4), PLANAR)
    data = path.read_bytes()
    place = data.rindex(b"frameTimestamps_sec")
    path.write_bytes(data[:place] + b"x" + data[place + 1 :])
    assert ScanImageExtractor(path).get_native_timestamps(0, 3) is not None
    with pytest.raises(CorruptSourceError, match="page 3 states no frameTimestamps_sec"):
        ScanImageExtractor(path).get_native_timestamps()

    pages = numbered_pages(2)
    header = "\n".join(f"{key} = {value}" for key, value in PLANAR.items())
    paths = [tmp_path / f"plain_{number}.tif" for number in (1, 2)]
    for plain in paths:
        tifffile.imwrite(plain, pages, software=header, metadata=None, photometric="minisblack")
    assert ScanImageExtractor(file_paths=paths).get_num_samples() == 4


def test_timestamps_are_not_read_before_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the timestamps of all pages are read one by one on opening."""
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(50), PLANAR)
    read: list[int] = []
    original = PageTable.read_descriptions

    def count(self: Any, pages: Any) -> Any:
        read.extend(pages.tolist())
        return original(self, pages)

    monkeypatch.setattr(PageTable, "read_descriptions", count)
    extractor = ScanImageExtractor(path)
    extractor.get_series()
    # Those of the first page and the last tell which frames the file has.
    assert set(read) <= {0, 49}
    read.clear()
    extractor.get_native_timestamps(10, 13)
    assert read == [0, 10, 11, 12]
    assert not extractor.has_time_vector()


def test_page_numbers_do_not_overflow(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    write_recording(path, numbered_pages(24), volumetric(4, 3, 2, channels="[1 2]"))
    metadata = evolve(scanimage_metadata(path), num_planes=300, frames_per_slice=300)
    samples = np.array([0, 299, 300, 70_000, 5_000_000_000], np.int64)
    planes = np.array([0, 299], np.int64)
    pages = sample_pages(
        samples, metadata=metadata, channel_index=1, planes=planes, slice_samples=range(300)
    )
    assert pages.dtype == np.int64
    for sample, row in zip(samples.tolist(), pages.tolist(), strict=True):
        volume, frame = divmod(sample, 300)
        first = volume * (300 * 300 + 2)
        assert row == [2 * (first + frame) + 1, 2 * (first + 299 * 300 + frame) + 1]


def test_more_pages_in_one_file_than_sixteen_bits_count(tmp_path: Path) -> None:
    path = tmp_path / "run.tif"
    pages = np.arange(70_000, dtype=np.uint32).reshape(-1, 1, 1)
    write_recording(path, pages, PLANAR)
    extractor = ScanImageExtractor(path)
    assert extractor.get_num_samples() == 70_000
    np.testing.assert_array_equal(
        extractor.get_series(65_530, 65_545)[:, 0, 0], np.arange(65_530, 65_545)
    )
    times = extractor.get_native_timestamps(69_990, 70_000)
    np.testing.assert_allclose(times, np.arange(69_990, 70_000) / 30, atol=1e-9)  # type: ignore[arg-type]
