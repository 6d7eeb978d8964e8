"""Line scans, single images and z-stacks of Prairie View, which are no movies."""

from __future__ import annotations

import re
import shutil
import warnings

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

import nwb_ophys
from nwb_ophys import BrukerConverter, BrukerImagingInterface
from nwb_ophys.errors import OptionError, SourceArgumentError, SourceError
from nwb_ophys.formats.bruker.interface import BrukerImagesInterface, BrukerLineScanInterface
from nwb_ophys.opening import open_recording
from nwb_ophys.registry import detect
from nwb_ophys.storage import get_backend
from nwb_ophys.testing import write_bruker

METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:03:21+00:00"}}
LINE = (
    '<PVLinescanDefinition mode="freeHand"><Freehand x="3" y="4.5" /><Freehand x="5" y="6" />'
    '<PVFreehand x="0.1" y="0.2" /></PVLinescanDefinition>'
)


def _movie(*shape, seed=2):
    return np.random.default_rng(seed).integers(0, 999, shape).astype("uint16")


def _edit(folder, edit):
    xml = folder / f"{folder.name}.xml"
    text = xml.read_text(encoding="utf-8-sig")
    changed = edit(text)
    assert changed != text
    xml.write_text(changed, encoding="utf-8-sig")
    return folder


def _page(path):
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0].asarray()


def _line_scans(folder, images, period=0.001, gap=0.0, **options):
    """Write images whose rows are lines, a cycle each."""
    times = np.arange(len(images)) * (images.shape[1] * period + gap)
    return write_bruker(
        folder,
        images,
        sequence_type="Linescan",
        frames_per_cycle=1,
        timestamps=times,
        settings={"scanLinePeriod": str(period)},
        **options,
    )


def _quiet(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*args, **options)


def _written(path):
    backend = get_backend("zarr" if path.name.endswith(".zarr") else "hdf5")
    return backend.open(path, "r")


@pytest.fixture
def real(data_folder):
    (folder,) = (data_folder / "bruker_linescan").iterdir()
    return folder


@pytest.mark.parametrize("name", ["a.nwb", "a.nwb.zarr"])
def test_the_real_line_scan_is_lines_over_time(real, tmp_path, name):
    session = _quiet(nwb_ophys.open, real)
    assert list(session.interfaces) == ["bruker Ch1", "bruker Ch2"]
    path = _quiet(session.run_conversion, tmp_path / name, metadata=METADATA, progress=False)
    with _written(path) as io:
        nwbfile = io.read()
        assert not nwbfile.acquisition
        found = nwbfile.processing["ophys"].data_interfaces
        for channel in ("Ch1", "Ch2"):
            series = found[f"LineScan{channel}"]
            expected = _page(real / f"{real.name}_Cycle00001_{channel}_000001.ome.tif")
            assert type(series).__name__ == "TimeSeries"
            np.testing.assert_array_equal(series.data[:], expected)
            # 1,000 lines in 4.565 s.
            assert series.rate == pytest.approx(1000 / 4.56471878243914)
            assert series.starting_time == 0.0
            assert series.unit == "n.a."
            assert "startPixelX 108, stopPixelX 177" in series.comments
            assert f"Imaging plane: ImagingPlane{channel}." in series.comments
            (image,) = found[f"LineScanSource{channel}"].images.values()
            source = _page(real / f"{real.name}-Cycle00001_{channel}Source.tif")
            np.testing.assert_array_equal(image.data[:].T, source)
        plane = nwbfile.imaging_planes["ImagingPlaneCh1"]
        assert plane.grid_spacing[:] == pytest.approx([0.294698390910515e-6] * 2)


def test_a_line_scan_in_place_of_its_image_is_refused(real, tmp_path):
    copied = shutil.copytree(real, tmp_path / real.name)
    data = copied / f"{real.name}_Cycle00001_Ch1_000001.ome.tif"
    image = copied / f"{real.name}-Cycle00001_Ch2Source.tif"
    shutil.copyfile(data, image)
    session = _quiet(nwb_ophys.open, copied)
    with pytest.raises(SourceError, match=f"{image.name}' .*{data.name}"):
        _quiet(session.run_conversion, tmp_path / "a.nwb", metadata=METADATA, progress=False)


def test_what_is_said_of_the_real_line_scan(real):
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        nwb_ophys.open(real)
    said = "\n".join(str(note.message) for note in notes)
    assert "1 line scan found" in said
    assert "line_scans=false" in said
    assert "'References' are left out" in said
    (candidate,) = detect(real)
    assert "line scan" in candidate.evidence


@pytest.mark.parametrize("given", ["abc", "0", 0, [1]])
def test_whether_line_scans_are_converted_is_true_or_false(tmp_path, given):
    folder = _line_scans(tmp_path / "L-1", _movie(2, 20, 9))
    with pytest.raises(OptionError, match=r"line_scans is .*; it must be true or false"):
        _quiet(open_recording, folder, options={"line_scans": given})


def test_the_two_stated_periods_of_the_real_line_scan_differ(real):
    with pytest.warns(UserWarning, match=r"0.00456472 s per line.*0.0136942 s"):
        BrukerLineScanInterface(real, channel_name="Ch1")


def test_images_that_follow_each_other_are_one_regular_series(tmp_path):
    images = _movie(5, 20, 9)
    folder = _line_scans(tmp_path / "L-1", images)
    scan = BrukerLineScanInterface(folder)
    path = scan.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    with _written(path) as io:
        series = io.read().processing["ophys"]["LineScan"]
        np.testing.assert_array_equal(series.data[:], images.reshape(100, 9))
        assert (series.rate, series.starting_time) == (pytest.approx(1000.0), 0.0)


def test_images_with_gaps_have_their_own_times(tmp_path):
    images = _movie(3, 20, 9)
    folder = _line_scans(tmp_path / "L-1", images, gap=0.5)
    scan = BrukerLineScanInterface(folder)
    expected = (np.arange(3)[:, None] * 0.52 + np.arange(20) * 0.001).reshape(-1)
    np.testing.assert_allclose(scan.get_original_timestamps(), expected, atol=1e-9)
    series = scan.create_nwbfile(METADATA).processing["ophys"]["LineScan"]
    assert series.rate is None
    np.testing.assert_allclose(np.asarray(series.timestamps), expected, atol=1e-9)
    scan.set_aligned_starting_time(7.0)
    np.testing.assert_allclose(scan.get_timestamps(), expected + 7, atol=1e-9)


def test_images_without_times(tmp_path):
    folder = _line_scans(tmp_path / "L-1", _movie(3, 20, 9))
    _edit(folder, lambda text: re.sub(r' (absolute|relative)Time="[^"]*"', "", text))
    scan = BrukerLineScanInterface(folder)
    with pytest.warns(UserWarning, match="does not state when its 3 line scans began"):
        assert scan.get_original_timestamps()[-1] == pytest.approx(0.059)


def test_a_stub_has_the_first_lines(tmp_path):
    images = _movie(3, 20, 9)
    scan = BrukerLineScanInterface(_line_scans(tmp_path / "L-1", images))
    series = scan.create_nwbfile(METADATA, stub=25).processing["ophys"]["LineScan"]
    np.testing.assert_array_equal(np.asarray(series.data.data), images.reshape(60, 9)[:25])
    with pytest.raises(OptionError, match="at least 1 line"):
        scan.create_nwbfile(METADATA, stub=0)


def test_blocks_of_lines_read_each_image_once(tmp_path, monkeypatch):
    from nwb_ophys.filetypes.tiff.reader import TiffPageReader

    images = _movie(4, 20, 9)
    scan = BrukerLineScanInterface(_line_scans(tmp_path / "L-1", images))
    read, pages = TiffPageReader.read, []
    monkeypatch.setattr(
        TiffPageReader, "read", lambda self, own: pages.extend(own.tolist()) or read(self, own)
    )
    scan.run_conversion(
        tmp_path / "a.nwb",
        metadata=METADATA,
        progress=False,
        iterator_options={"chunk_shape": (7, 9), "buffer_shape": (14, 9)},
    )
    assert pages == [0, 1, 2, 3]
    with _written(tmp_path / "a.nwb") as io:
        series = io.read().processing["ophys"]["LineScan"]
        np.testing.assert_array_equal(series.data[:], images.reshape(80, 9))


def test_two_lines_are_two_series(tmp_path):
    images = _movie(4, 20, 9)
    folder = _line_scans(tmp_path / "L-1", images, gap=0.1)
    _edit(folder, lambda text: text.replace('cycle="3">', f'cycle="3">{LINE}'))
    session = _quiet(nwb_ophys.open, folder)
    assert list(session.interfaces) == ["bruker line scan Line0", "bruker line scan Line1"]
    first, second = session.interfaces.values()
    np.testing.assert_array_equal(first.extractor.get_series(), images[[0, 1, 3]].reshape(60, 9))
    np.testing.assert_array_equal(second.extractor.get_series(), images[2])
    assert second.get_original_timestamps()[0] == pytest.approx(2 * 0.12)
    comments = second.get_metadata()["Ophys"]["LineScan"][0]["comments"]
    assert "mode freeHand; Freehand x 3, y 4.5; Freehand x 5, y 6." in comments
    found = _quiet(session.create_nwbfile, METADATA).processing["ophys"].data_interfaces
    assert list(found) == ["LineScanLine0", "LineScanLine1"]
    with pytest.raises(SourceArgumentError, match="2 lines; choose one with line_scan_index"):
        BrukerLineScanInterface(folder)


@pytest.fixture
def mixed(tmp_path):
    """Six frames in two cycles, of which the first is a movie and the second a line scan."""
    folder = write_bruker(tmp_path / "T-1", _movie(6, 12, 9), frames_per_cycle=3)
    return _edit(
        folder,
        lambda text: re.sub(r'type="[^"]*" cycle="2"', 'type="TSeries Linescan" cycle="2"', text),
    )


def test_a_recording_with_both_gives_both(mixed, tmp_path):
    movie = _movie(6, 12, 9)
    session = _quiet(BrukerConverter, mixed)
    nwbfile = _quiet(session.create_nwbfile, METADATA)
    (series,) = nwbfile.acquisition.values()
    np.testing.assert_array_equal(np.asarray(series.data.data).swapaxes(1, 2), movie[:3])
    (lines,) = nwbfile.processing["ophys"].data_interfaces.values()
    np.testing.assert_array_equal(np.asarray(lines.data.data), movie[3:].reshape(36, 9))
    assert np.asarray(lines.timestamps)[0] == pytest.approx(0.1)  # the movie began at 0


def test_line_scans_can_be_left_out(mixed):
    with pytest.warns(UserWarning, match="3 line scans left out"):
        recording = open_recording([mixed], options={"line_scans": "false"})
    ((name, interface),) = recording.converter.interfaces.items()
    assert name == "bruker"
    assert isinstance(interface, BrukerImagingInterface)
    nwbfile = _quiet(recording.converter.create_nwbfile, METADATA)
    assert not nwbfile.processing
    assert len(nwbfile.acquisition) == 1


def test_a_folder_of_line_scans_alone_without_line_scans(tmp_path):
    folder = _line_scans(tmp_path / "L-1", _movie(3, 20, 9))
    with pytest.raises(SourceError, match="only line scans, which line_scans=false leaves out"):
        nwb_ophys.open(folder, line_scans=False)
    with pytest.raises(SourceError, match="no images, only line scans"):
        BrukerImagingInterface(folder)


def test_lines_are_appended_once(tmp_path):
    scan = BrukerLineScanInterface(_line_scans(tmp_path / "L-1", _movie(3, 20, 9)))
    path = tmp_path / "a.nwb"
    scan.run_conversion(path, metadata=METADATA, progress=False)
    second = {"Ophys": {"LineScan": [{"name": "Second", "imaging_plane": "ImagingPlane"}]}}
    scan.run_conversion(path, metadata={**METADATA, **second}, append=True, progress=False)
    with NWBHDF5IO(path, "r") as io:
        assert set(io.read().processing["ophys"].data_interfaces) == {"LineScan", "Second"}
    with pytest.raises(ValueError, match="already has an object 'LineScan'"):
        scan.run_conversion(path, metadata=METADATA, append=True, progress=False)


def test_a_missing_source_image_is_named(tmp_path):
    folder = _line_scans(tmp_path / "L-1", _movie(2, 20, 9))
    _edit(folder, lambda text: text.replace("<File ", '<File source="L-1_Source.tif" '))
    scan = BrukerLineScanInterface(folder)
    with pytest.warns(UserWarning, match="'L-1_Source.tif'.*not in the folder"):
        assert "Images" not in scan.get_metadata()["Ophys"]


@pytest.mark.parametrize("kind", ["PointScan", "Point Scan", "TSeries Point Scan Element"])
def test_spot_scans_are_refused_or_left_out_by_name(tmp_path, kind):
    folder = write_bruker(tmp_path / "T-1", _movie(6, 12, 9), frames_per_cycle=3)
    _edit(folder, lambda text: re.sub(r'type="[^"]*" cycle="2"', f'type="{kind}" cycle="2"', text))
    with pytest.warns(UserWarning, match=f"'{kind}' are spot"):
        movie = nwb_ophys.open(folder)
    np.testing.assert_array_equal(movie.extractor.get_series(), _movie(6, 12, 9)[:3])
    _edit(folder, lambda text: re.sub(r'type="[^"]*" cycle="1"', f'type="{kind}" cycle="1"', text))
    with pytest.raises(SourceError, match=f"only sequences of the type '{kind}'"):
        _quiet(nwb_ophys.open, folder)


# --- images without a time axis -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nwb", "a.nwb.zarr"])
@pytest.mark.parametrize(
    ("shape", "kind", "words", "container", "names"),
    [
        ((1, 12, 9), "Single", "a single image", "Image", ["Image"]),
        ((1, 12, 9, 3), "ZSeries", "a z-stack in space", "ZStack", ["Plane0", "Plane1", "Plane2"]),
    ],
)
def test_an_image_is_no_movie(tmp_path, shape, kind, words, container, names, name):
    pixels = _movie(*shape)
    folder = write_bruker(tmp_path / "Z-1", pixels, sequence_type=kind)
    with pytest.warns(UserWarning, match=f"{words}, without a time axis, is written as images"):
        stack = nwb_ophys.open(folder)
    assert isinstance(stack, BrukerImagesInterface)
    path = stack.run_conversion(tmp_path / name, metadata=METADATA, progress=False)
    with _written(path) as io:
        nwbfile = io.read()
        ((found, images),) = nwbfile.acquisition.items()
        assert found == container
        assert type(images).__name__ == "Images"
        assert sorted(images.images) == names
        for index, each in enumerate(names):
            expected = pixels[0] if len(shape) == 3 else pixels[0, :, :, index]
            np.testing.assert_array_equal(images[each].data[:].T, expected)
        assert f"'{kind}'" in images.description
        assert "ImagingPlane" in nwbfile.imaging_planes


def test_a_stub_of_a_stack_has_the_first_planes(tmp_path):
    folder = write_bruker(tmp_path / "Z-1", _movie(1, 12, 9, 3), sequence_type="ZSeries")
    nwbfile = BrukerImagesInterface(folder).create_nwbfile(METADATA, stub=2)
    assert sorted(nwbfile.acquisition["ZStack"].images) == ["Plane0", "Plane1"]
    with pytest.raises(OptionError, match="at least 1 plane"):
        BrukerImagesInterface(folder).create_nwbfile(METADATA, stub=0)


def test_arguments_of_movies_where_there_is_none(tmp_path):
    folder = write_bruker(tmp_path / "Z-1", _movie(1, 12, 9, 3), sequence_type="ZSeries")
    with pytest.raises(SourceArgumentError, match="has no movie, of which plane_index would"):
        _quiet(nwb_ophys.open, folder, plane_index=1)
    folder = _line_scans(tmp_path / "L-1", _movie(2, 20, 9))
    with pytest.raises(SourceArgumentError, match=r"channel_name is 'Ch7'.*the channels Ch2"):
        _quiet(nwb_ophys.open, folder, channel_name="Ch7")
