"""Tests of NDTiff data sets against tifffile's reader of the index, and of faults in them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import NDTiffImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.formats.ndtiff import index
from nwb_ophys.formats.ndtiff.index import read_ndtiff
from nwb_ophys.formats.ndtiff.sample import write_images
from nwb_ophys.opening import open_recording
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import detect
from nwb_ophys.testing import write_ndtiff

SUMMARY = {"StartTime": "2022-04-07 15:04:05.678 +0200", "MicroManagerVersion": "2.0.1"}


@pytest.fixture
def channels() -> dict[str, np.ndarray]:
    whole = np.arange(2 * 6 * 5 * 7 * 3, dtype="uint16").reshape(2, 6, 5, 7, 3)
    return {"DAPI": whole[0], "FITC": whole[1]}


def _by_index(folder: Path) -> dict[tuple, np.ndarray]:
    """Return the pixels of each image by its sorted axes, read with tifffile and NumPy."""
    found = {}
    for axes, name, offset, width, height, kind, *_ in tifffile.read_ndtiff_index(
        folder / "NDTiff.index"
    ):
        content = (folder / name).read_bytes()
        dtype = "u1" if kind == 0 else "<u2"
        pixels = np.frombuffer(content, dtype, width * height, offset)
        found[tuple(sorted(axes.items()))] = pixels.reshape(height, width)
    return found


def _write(folder, images, **given):
    """Write images with the axes and the value of all pixels."""
    pixels = [(axes, np.full((5, 7), value, "uint16"), {}) for axes, value in images]
    return write_images(folder, pixels, **given)


def _movie(folder, **given):
    interface = nwb_ophys.open(folder, **given)
    assert isinstance(interface, NDTiffImagingInterface)
    return interface.extractor.get_series()


@pytest.mark.parametrize("num_files", [1, 3])
def test_what_is_written_is_what_others_read(tmp_path, channels, num_files):
    folder = write_ndtiff(tmp_path / "a", channels, summary=SUMMARY, num_files=num_files)
    expected = _by_index(folder)
    assert len(expected) == 6 * 2 * 3
    with tifffile.TiffFile(next(folder.glob("*.tif"))) as tiff:
        assert tiff.is_ndtiff
        series = tiff.series[0]
        theirs = (
            np.moveaxis(series.asarray(), series.axes.index("C"), 0) if num_files == 1 else None
        )
    streams = NDTiffImagingInterface.streams(folder)
    assert list(streams) == ["DAPI", "FITC"]
    for number, (name, arguments) in enumerate(streams.items()):
        interface = NDTiffImagingInterface(**arguments)
        found = interface.extractor.get_series()
        for time in range(6):
            for plane in range(3):
                key = (("channel", name), ("time", time), ("z", plane))
                np.testing.assert_array_equal(found[time, :, :, plane], expected[key])
        if theirs is not None:
            np.testing.assert_array_equal(found.transpose(0, 3, 1, 2), theirs[number])
        np.testing.assert_allclose(interface.get_timestamps(), np.arange(6) / 30)


def test_the_order_in_which_images_were_saved_makes_no_difference(tmp_path, channels):
    images = []
    for name, movie in channels.items():
        for time in range(6):
            for plane in range(3):
                axes = {"z": plane, "time": time, "channel": name}
                images.append((axes, movie[time, :, :, plane], {"ElapsedTime-ms": time * 50}))
    random.Random(1).shuffle(images)
    folder = write_images(tmp_path, images, num_files=2)
    for name, arguments in NDTiffImagingInterface.streams(folder).items():
        interface = NDTiffImagingInterface(**arguments)
        np.testing.assert_array_equal(interface.extractor.get_series(), channels[name])
        np.testing.assert_allclose(interface.get_timestamps(), np.arange(6) / 20)


def test_folder_index_and_each_file_are_one_recording(tmp_path, channels):
    folder = write_ndtiff(tmp_path / "a", channels, num_files=3)
    for path in (folder, *sorted(folder.iterdir())):
        (found,) = detect(path)
        assert found.format == "ndtiff"
        arguments = NDTiffImagingInterface.streams(path)
        assert arguments == NDTiffImagingInterface.streams(folder)
        assert NDTiffImagingInterface.recording_of(PathProbe(path)) == folder
    stray = tmp_path / "a" / "stray.tif"
    tifffile.imwrite(stray, np.ones((5, 7), "uint16"))
    assert NDTiffImagingInterface.recording_of(PathProbe(stray)) is None
    assert "ndtiff" not in {found.format for found in detect(stray)}


def test_strangers_are_named_and_left_out(tmp_path, channels):
    folder = write_ndtiff(tmp_path, channels)
    (group,) = NDTiffImagingInterface.group(PathProbe(folder)).groups
    assert [path.name for path in group.files] == ["session_NDTiffStack.tif"]
    for name in ("AVG_a.tif", "zzz.tif"):
        tifffile.imwrite(folder / name, np.ones((9, 9), "uint16"))
    with pytest.warns(
        UserWarning, match="'AVG_a.tif', 'zzz.tif' in .*NDTiff.index does not name it"
    ):
        converter = nwb_ophys.open(folder)
    assert len(converter.interfaces) == 2
    assert [found.format for found in detect(folder)] == ["ndtiff"]


def test_positions_and_tiles_are_streams(tmp_path):
    _write(
        tmp_path / "a", [({"position": p, "time": t}, 10 * p + t) for t in (0, 1) for p in (0, 1)]
    )
    _write(
        tmp_path / "b",
        [
            ({"row": r, "column": c, "time": t}, r + 2 * c)
            for t in (0, 1)
            for r in (0, 1)
            for c in (0, 1)
        ],
    )
    _write(tmp_path / "c", [({"position": p, "time": 0}, 1) for p in ("left", "right")])
    streams = NDTiffImagingInterface.streams(tmp_path / "a", sampling_frequency=1.0)
    assert list(streams) == ["Pos0", "Pos1"]
    for number, arguments in enumerate(streams.values()):
        interface = NDTiffImagingInterface(**arguments)
        assert interface.position_name() == f"Pos{number}"
        series = interface.extractor.get_series()
        assert series[:, 0, 0].tolist() == [10 * number, 10 * number + 1]
    assert list(NDTiffImagingInterface.streams(tmp_path / "b")) == [
        "Row0 Column0",
        "Row0 Column1",
        "Row1 Column0",
        "Row1 Column1",
    ]
    assert list(NDTiffImagingInterface.streams(tmp_path / "c")) == ["left", "right"]
    with pytest.raises(SourceArgumentError, match="give position_index"):
        NDTiffImagingInterface(tmp_path / "a", sampling_frequency=1.0)


def test_times_without_all_planes_are_left_out_by_name(tmp_path):
    images = [({"z": z, "time": t}, 10 * t + z) for t in range(4) for z in range(3)]
    folder = _write(tmp_path / "a", [each for each in images if each[1] not in (11, 32)])
    with pytest.warns(UserWarning, match="2 of 4 times lack images .time 1 lacks plane 1; time 3"):
        interface = nwb_ophys.open(folder, sampling_frequency=2.0)
    assert interface.extractor.get_series()[:, 0, 0].tolist() == [[0, 1, 2], [20, 21, 22]]
    # Without stated times, a time that was left out remains a gap.
    np.testing.assert_allclose(interface.get_timestamps(), [0.0, 1.0])
    none = _write(tmp_path / "b", [({"z": 0, "time": 0}, 1), ({"z": 1, "time": 1}, 1)])
    with pytest.raises(CorruptSourceError, match="no volume is complete"):
        NDTiffImagingInterface(none, sampling_frequency=1.0)


def test_an_image_that_was_saved_twice(tmp_path):
    folder = _write(tmp_path, [({"time": 0}, 1), ({"time": 1}, 2), ({"time": 0}, 3)])
    with pytest.warns(UserWarning, match="lists 1 images twice"):
        movie = _movie(folder, sampling_frequency=1.0)
    assert movie[:, 0, 0].tolist() == [3, 2]


def test_an_axis_whose_name_is_damaged(tmp_path):
    """Fault: an image without a time took the place of the first one."""
    folder = _write(tmp_path, [({"time": 0}, 1), ({"thme": 1}, 2), ({"time": 2}, 3)])
    with pytest.raises(CorruptSourceError, match=r"\{'thme': 1\} are of one time and plane"):
        NDTiffImagingInterface(folder, sampling_frequency=1.0)


def test_an_unknown_axis_is_refused_unless_it_has_one_value(tmp_path):
    folder = _write(tmp_path / "a", [({"time": t, "angle": t % 2}, t) for t in range(4)])
    with pytest.raises(
        SourceError, match=r"the axis 'angle' with 2 values \(0, 1\), which is not known"
    ):
        nwb_ophys.open(folder)
    folder = _write(tmp_path / "b", [({"time": t, "angle": 7}, t) for t in range(4)])
    assert _movie(folder, sampling_frequency=1.0)[:, 0, 0].tolist() == [0, 1, 2, 3]
    folder = _write(tmp_path / "c", [({"time": t}, 0) for t in ("a", "b")])
    with pytest.raises(SourceError, match="numbers the axis 'time' with texts"):
        nwb_ophys.open(folder)


def test_a_rate_is_asked_for_if_none_is_stated(tmp_path, channels):
    folder = write_ndtiff(tmp_path / "a", channels["DAPI"], sampling_frequency=None)
    with pytest.raises(SourceArgumentError, match=r"ElapsedTime-ms.* give sampling_frequency"):
        nwb_ophys.open(folder)
    planned = write_ndtiff(
        tmp_path / "b", channels["DAPI"], sampling_frequency=None, summary={"Interval_ms": 250}
    )
    assert nwb_ophys.open(planned).extractor.get_sampling_frequency() == 4
    single = write_ndtiff(tmp_path / "c", channels["DAPI"][:1])
    movie = NDTiffImagingInterface(single)
    with pytest.raises(SourceArgumentError, match="an image or a z-stack rather than a movie"):
        movie.create_nwbfile({"NWBFile": {"session_start_time": "2024-05-17T14:00:00+02:00"}})


def test_what_is_stated_is_in_the_file(tmp_path, channels):
    images = [
        (
            {"time": time, "z": plane},
            channels["DAPI"][time, :, :, plane],
            {
                "ElapsedTime-ms": 12 + 50 * time + plane + (time == 2),
                "ZPosition_um_Intended": 10 + 0.4 * plane,
                "Exposure": 8.5,
                "Core-Camera": "Andor",
                "Binning": "2",
                "PixelSizeUm": 1.3,
            },
        )
        for time in range(6)
        for plane in range(3)
    ]
    folder = write_images(tmp_path / "raw", images, summary=SUMMARY)
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(folder), "-o", str(tmp_path / "a.nwb")])
    assert ended.value.code == 0
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        nwbfile = io.read()
        assert nwbfile.session_start_time.isoformat() == "2022-04-07T15:04:05.678000+02:00"
        series = nwbfile.acquisition["OnePhotonSeries"]
        np.testing.assert_array_equal(series.data[:], channels["DAPI"].transpose(0, 2, 1, 3))
        expected = np.array([12, 62, 113, 162, 212, 262]) / 1000
        np.testing.assert_allclose(series.timestamps[:], expected)
        assert series.exposure_time == pytest.approx(0.0085)
        assert series.binning == 2
        plane = series.imaging_plane
        np.testing.assert_allclose(plane.grid_spacing[:], [1.3e-6, 1.3e-6, 0.4e-6])
        words = "Microscope run by Micro-Manager 2.0.1, camera Andor."
        assert plane.device.description == words


def test_nothing_is_invented(tmp_path, channels):
    interface = nwb_ophys.open(write_ndtiff(tmp_path, channels["DAPI"]))
    stated = interface.describe()
    assert stated["NWBFile"]["session_start_time"] is None
    assert "grid_spacing" not in stated["Ophys"]["ImagingPlane"][0]
    assert stated["Ophys"]["OnePhotonSeries"] == [{"exposure_time": None, "binning": None}]
    assert stated["Ophys"]["Device"] == [{"description": "Microscope."}]


def test_a_start_without_a_zone(tmp_path, channels):
    folder = write_ndtiff(
        tmp_path, channels["DAPI"], summary={"DateAndTime": "2022/12/26 16:25:52"}
    )
    assert nwb_ophys.open(folder).extractor.start == datetime(2022, 12, 26, 16, 25, 52)


def test_a_pyramid_is_read_at_full_resolution(tmp_path, channels):
    write_ndtiff(tmp_path / "Full resolution", channels["DAPI"])
    write_ndtiff(tmp_path / "Downsampled_x2", channels["DAPI"][:, ::2, ::2])
    (found,) = detect(tmp_path)
    assert (found.format, found.path) == ("ndtiff", tmp_path)
    np.testing.assert_array_equal(_movie(tmp_path), channels["DAPI"])


def test_version_2_has_a_shorter_header(tmp_path, channels):
    folder = write_ndtiff(tmp_path, channels["DAPI"], summary=SUMMARY)
    (path,) = folder.glob("*.tif")
    content = path.read_bytes()
    # The minor version is left out; the byte behind the text of the summary becomes free.
    (length,) = struct.unpack_from("<I", content, 24)
    head = content[:8] + struct.pack("<2I", 483729, 2) + content[20 : 28 + length]
    path.write_bytes(head + content[len(head) :])
    interface = nwb_ophys.open(folder)
    assert interface.extractor.summary == SUMMARY
    np.testing.assert_array_equal(interface.extractor.get_series(), channels["DAPI"])


# --- damaged ------------------------------------------------------------------------------------


def test_missing_and_truncated_files_are_named(tmp_path, channels):
    folder = write_ndtiff(tmp_path, channels, num_files=3)
    last = folder / "session_NDTiffStack_2.tif"
    content = last.read_bytes()
    last.write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptSourceError, match=r"_2.tif' is truncated .* of 12 images"):
        nwb_ophys.open(folder)
    last.unlink()
    with pytest.raises(SourceNotFoundError, match="names 3 files, of which 1 are missing"):
        nwb_ophys.open(folder)


def test_a_file_without_its_index_is_recognised_and_refused(tmp_path, channels):
    folder = write_ndtiff(tmp_path, channels)
    (folder / "NDTiff.index").unlink()
    (found,) = detect(folder)
    assert found.format == "ndtiff"
    for path in (folder, next(folder.glob("*.tif"))):
        with pytest.raises(SourceNotFoundError, match=r"has no NDTiff.index"):
            nwb_ophys.open(path)


def test_a_truncated_index_is_refused(tmp_path, channels):
    index = write_ndtiff(tmp_path, channels) / "NDTiff.index"
    content = index.read_bytes()
    index.write_bytes(content[:-10])
    with pytest.raises(CorruptSourceError, match=r"within entry 35\): 35 of at least 36 images"):
        read_ndtiff(tmp_path)
    with pytest.warns(UserWarning, match="35 of at least 36 images"):
        assert len(read_ndtiff(tmp_path, allow_truncated=True).images) == 35
    index.write_bytes(content[:10])
    with pytest.raises(CorruptSourceError, match="0 images are complete"):
        read_ndtiff(tmp_path, allow_truncated=True)
    index.write_bytes(b"")
    with pytest.raises(CorruptSourceError, match="is empty"):
        read_ndtiff(tmp_path)


@pytest.mark.parametrize("num_reserved", [1, 4, 100_000])
def test_an_index_that_was_not_closed(tmp_path, channels, capsys, num_reserved):
    """Micro-Manager reserves space in both files; where it is killed the rest stays zero."""
    folder = write_ndtiff(tmp_path / "in", channels, summary=SUMMARY)
    with (folder / "NDTiff.index").open("ab") as index:
        index.write(bytes(num_reserved))
    with (folder / "session_NDTiffStack.tif").open("ab") as file:
        file.truncate(1 << 32)
    out = tmp_path / "out.nwb"
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["convert", str(folder), "-o", str(out), "--no-progress"])
    assert capsys.readouterr().err.count("was not closed") == 1
    with NWBHDF5IO(out, "r") as io:
        for name, expected in channels.items():
            found = io.read().acquisition[f"OnePhotonSeries{name}"].data[:]
            np.testing.assert_array_equal(found.swapaxes(1, 2), expected)


def test_images_that_were_not_stored(tmp_path, channels):
    """After a loss of power the index may list images whose space is still zero."""
    folder = write_ndtiff(tmp_path, {"A": channels["DAPI"][:, :, :, :1]})
    path = folder / "session_NDTiffStack.tif"
    content = path.read_bytes()
    kept = read_ndtiff(folder).images[-3].end
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    with (
        pytest.warns(UserWarning, match="lists 2 images whose metadata .* are zeros"),
        pytest.warns(UserWarning, match="only 4 of 6 planes state their ElapsedTime-ms"),
    ):
        assert len(_movie(folder, sampling_frequency=30.0)) == 6


def test_the_index_is_read_once_for_all_streams(tmp_path, monkeypatch):
    """Fault: it was read for each channel and position, half a second for 10,000 images."""
    axes = [{"time": t, "position": p, "channel": c} for t in (0, 1) for p in (0, 1) for c in "AB"]
    folder = _write(tmp_path / "in", [(own, 1) for own in axes])
    read, indices = index._read_index, []
    monkeypatch.setattr(index, "_read_index", lambda path: indices.append(path) or read(path))
    opened = open_recording([folder], options={"sampling_frequency": 1.0})
    assert len(opened.converter.interfaces) == 4
    assert len(indices) == 1


def test_an_index_of_zeros_only(tmp_path, channels):
    index = write_ndtiff(tmp_path, channels) / "NDTiff.index"
    index.write_bytes(bytes(1000))
    with pytest.raises(CorruptSourceError, match="entry 0"):
        read_ndtiff(tmp_path)


def test_an_index_of_strangers_reads_no_other_file(tmp_path):
    _write(tmp_path / "in", [({"time": 0}, 1)])
    _write(tmp_path / "other", [({"time": 0}, 2)])
    index = tmp_path / "in" / "NDTiff.index"
    name, other = b"session_NDTiffStack.tif", b"../other/x_NDTiffSt.tif"
    assert len(name) == len(other)
    index.write_bytes(index.read_bytes().replace(name, other))
    with pytest.raises(CorruptSourceError, match="cannot be read"):
        read_ndtiff(tmp_path / "in")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [(3, 2, "is a colour image"), (3, 9, "pixel type 9"), (4, 1, "the compression 1")],
)
def test_pixels_that_are_not_read_are_refused(tmp_path, place, value, message):
    index = _write(tmp_path, [({"time": 0}, 1)]) / "NDTiff.index"
    content = bytearray(index.read_bytes())
    struct.pack_into("<I", content, len(content) - 32 + 4 * place, value)
    index.write_bytes(bytes(content))
    with pytest.raises(SourceError, match=message):
        read_ndtiff(tmp_path)


def test_images_of_other_shapes_are_refused(tmp_path):
    images = [({"time": t}, np.ones((5, 7 + t), "uint16"), {}) for t in range(2)]
    with pytest.raises(SourceError, match=r"has columns 8, the one with the axes .* has 7"):
        nwb_ophys.open(write_images(tmp_path, images), sampling_frequency=1.0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_index_is_refused_or_read(tmp_path, channels, seed):
    folder = write_ndtiff(tmp_path, {"A": channels["DAPI"][:2]})
    index = folder / "NDTiff.index"
    content, chance = bytearray(index.read_bytes()), random.Random(seed)
    for _ in range(3):
        content[chance.randrange(len(content))] = chance.randrange(256)
    index.write_bytes(bytes(content))
    with contextlib.suppress(SourceError):
        for arguments in NDTiffImagingInterface.streams(folder, sampling_frequency=1.0).values():
            NDTiffImagingInterface(**arguments).extractor.get_series()


@pytest.mark.parametrize("value", ["x", "[1]", '{"time": 1.5}', '{"time": true}', '{"time": [1]}'])
def test_axes_that_are_no_axes(tmp_path, value):
    index = _write(tmp_path, [({"time": 0}, 1)]) / "NDTiff.index"
    old = json.dumps({"time": 0}).encode()
    text = value.encode()
    content = index.read_bytes().replace(
        struct.pack("<I", len(old)) + old, struct.pack("<I", len(text)) + text
    )
    index.write_bytes(content)
    with pytest.raises(CorruptSourceError, match="entry 0"):
        read_ndtiff(tmp_path)


# --- the real recording -------------------------------------------------------------------------

_DATA = Path(os.environ.get("NWB_OPHYS_TEST_DATA", "../shared/data"))
REAL = _DATA / "ndtiff" / "ndtiff3.2_multichannel"


@pytest.mark.skipif(not REAL.is_dir(), reason="the real recordings are not here")
def test_the_real_recording_equals_its_index():
    expected = _by_index(REAL)
    assert len(expected) == 8 * 2 * 16
    for name, arguments in NDTiffImagingInterface.streams(REAL).items():
        interface = NDTiffImagingInterface(**arguments)
        found = interface.extractor.get_series()
        assert found.shape == (8, 64, 64, 16)
        for time in range(8):
            for plane in range(16):
                key = (("channel", name), ("time", time), ("z", plane))
                np.testing.assert_array_equal(found[time, :, :, plane], expected[key])
        stated = interface.describe()["Ophys"]
        assert stated["ImagingPlane"][0]["grid_spacing"] == pytest.approx([1e-6, 1e-6, 0.4e-6])
        assert stated["OnePhotonSeries"][0]["exposure_time"] == pytest.approx(0.01)
        assert interface.get_timestamps()[0] == {"DAPI": 0.0, "FITC": 0.29}[name]
