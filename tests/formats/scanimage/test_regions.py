"""Tests of several regions of interest in one page: a stream each, without the fly-to rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pynwb import NWBHDF5IO

from nwb_ophys import ScanImageConverter, ScanImageImagingInterface
from nwb_ophys.cli import main
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.formats.scanimage.header import parse_header
from nwb_ophys.formats.scanimage.reader import ScanImageExtractor
from nwb_ophys.formats.scanimage.text import read_header_texts
from nwb_ophys.testing import write_scanimage

START = "NWBFile.session_start_time=2024-05-17T14:03:21+02:00"
#: rows, centre and size in degrees; 31 micrometres per degree
REGIONS = {
    "V1": (6, (-5.0, -2.0), (4.0, 3.0)),
    "LM": (9, (5.0, 2.5), (4.0, 4.5)),
    "AL": (4, (0.0, 7.0), (8.0, 2.0)),
}
GAP = 2
FLYTO = -7


def _regions(planes: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 4000, (5, region[0], 8, planes)).astype("int16")
        for name, region in REGIONS.items()
    }


def _pages(regions: dict[str, np.ndarray], gap: int = GAP) -> np.ndarray:
    """Return the regions one below the other, with fly-to rows between them."""
    first = next(iter(regions.values()))
    flyto = np.full((len(first), gap, *first.shape[2:]), FLYTO, "int16")
    parts = [part for region in regions.values() for part in (region, flyto)]
    return np.concatenate(parts[:-1], axis=1)


def _edit(path: Path, change: Any) -> Path:
    """Change the regions in the header, in place; the text keeps its length."""
    content = path.read_bytes()
    begin = content.index(b'{\n  "RoiGroups"')
    end = content.index(b"\0", begin)
    groups = json.loads(content[begin:end])
    change(groups["RoiGroups"]["imagingRoiGroup"])
    text = json.dumps(groups).encode()
    assert len(text) <= end - begin
    path.write_bytes(content[:begin] + text.ljust(end - begin) + content[end:])
    return path


def _set(path: Path, before: str, after: str) -> Path:
    content = path.read_bytes()
    assert content.count(before.encode()) == 1
    path.write_bytes(content.replace(before.encode(), after.encode().ljust(len(before))))
    return path


@pytest.mark.parametrize("as_volume", [True, False])
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("channels", [(1,), (1, 2)])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_every_region_in_one_stream(tmp_path, channels, planes, as_volume, is_compressed):
    movies = {number: _regions(planes=planes, seed=number) for number in channels}
    pages = {number: _pages(movie) for number, movie in movies.items()}
    options = {"num_flyback_frames": 1} if planes > 1 else {}
    (path,) = write_scanimage(tmp_path / "a.tif", pages, regions=REGIONS, **options)
    if is_compressed:
        path = _compressed(path)
    converter = ScanImageConverter(path, as_volume=as_volume)
    streams = iter(converter.interfaces.items())
    for name in REGIONS:
        for number in channels:
            for plane in [None] if as_volume or planes == 1 else range(planes):
                key, interface = next(streams)
                assert name in key
                expected = movies[number][name]
                if planes == 1 or plane is not None:
                    expected = expected[..., plane or 0]
                series = interface.extractor.get_series()
                np.testing.assert_array_equal(series, expected)
                np.testing.assert_array_equal(interface.extractor.get_series(1, 3), expected[1:3])
                assert interface.extractor.get_image_shape() == expected.shape[1:3]
                assert interface.extractor.get_native_timestamps() is not None
                interface.extractor.close()
    assert next(streams, None) is None


def _compressed(path: Path) -> Path:
    """Save a file again with compression, its header in the tags."""
    with tifffile.TiffFile(path) as file:
        pages = file.asarray()
        texts = [page.description for page in file.pages]
        software, artist = (file.pages.first.tags[name].value for name in ("Software", "Artist"))
    target = path.with_name("compressed.tif")
    with tifffile.TiffWriter(target, bigtiff=True) as writer:
        for page, text in zip(pages.reshape(-1, *pages.shape[-2:]), texts, strict=True):
            writer.write(
                page,
                description=text,
                software=software,
                extratags=[(315, 2, 0, artist, True)],
                compression="zlib",
                metadata=None,
            )
    path.unlink()
    return target


def test_a_complete_conversion(tmp_path):
    """Fault: fly-to rows are written, and all regions are one picture of one plane."""
    regions = _regions()
    write_scanimage(tmp_path / "a.tif", _pages(regions), regions=REGIONS)
    target = tmp_path / "a.nwb"
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(tmp_path / "a.tif"), "-o", str(target), "--set", START])
    assert ended.value.code == 0
    with NWBHDF5IO(target, "r") as io:
        nwbfile = io.read()
        found = nwbfile.acquisition
        assert set(found) == {f"TwoPhotonSeries{name}" for name in REGIONS}
        assert len(nwbfile.imaging_planes) == 3
        for name, (rows, center, size) in REGIONS.items():
            series = found[f"TwoPhotonSeries{name}"]
            np.testing.assert_array_equal(series.data[:].swapaxes(1, 2), regions[name][..., 0])
            assert FLYTO not in series.data[:]
            plane = series.imaging_plane
            corner = [31e-6 * (center[axis] - size[axis] / 2) for axis in (0, 1)]
            np.testing.assert_allclose(plane.origin_coords[:], corner)
            spacing = [31e-6 * size[0] / 8, 31e-6 * size[1] / rows]
            np.testing.assert_allclose(plane.grid_spacing[:], spacing)
            assert plane.origin_coords_unit == plane.grid_spacing_unit == "meters"
            assert series.rate == pytest.approx(30)


def test_position_of_a_volume(tmp_path):
    pages = _pages(_regions(planes=3))
    (path,) = write_scanimage(tmp_path / "a.tif", pages, regions=REGIONS, z_step=15.0)
    interface = ScanImageImagingInterface(path, roi_name="LM")
    (plane,) = interface.describe()["Ophys"]["ImagingPlane"]
    np.testing.assert_allclose(plane["origin_coords"], [31e-6 * 3, 31e-6 * 0.25, 0])
    np.testing.assert_allclose(plane["grid_spacing"][2], 15e-6)
    assert interface.part() == "LM"
    interface.extractor.close()


def test_without_the_scale_there_is_no_position(tmp_path):
    """Fault: degrees are stated as metres."""
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(_regions()), regions=REGIONS)
    _set(path, "SI.objectiveResolution = 31", "SI.objectiveResolution = []")
    interface = ScanImageImagingInterface(path, roi_name="LM")
    (plane,) = interface.describe()["Ophys"]["ImagingPlane"]
    assert not {"origin_coords", "grid_spacing"} & set(plane)
    interface.extractor.close()


def test_a_rotated_region(tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(_regions()), regions=REGIONS)

    def rotate(group: dict[str, Any]) -> None:
        group["rois"][0]["scanfields"]["rotationDegrees"] = 90

    with ScanImageExtractor(_edit(path, rotate), roi_name="V1") as extractor:
        np.testing.assert_allclose(extractor.region.origin, (31 * (-5 + 1.5), 31 * (-2 - 2)))


@pytest.mark.parametrize("value", ["true ", "1    "])
def test_one_region_is_an_ordinary_frame(tmp_path, value):
    movie = np.arange(4 * 6 * 8, dtype="int16").reshape(4, 6, 8)
    (path,) = write_scanimage(tmp_path / "a.tif", movie)
    _set(path, "SI.hRoiManager.mroiEnable = false", f"SI.hRoiManager.mroiEnable = {value}")
    assert len(ScanImageImagingInterface.streams(path)) == 1
    interface = ScanImageImagingInterface(path)
    np.testing.assert_array_equal(interface.extractor.get_series(), movie)
    (plane,) = interface.describe()["Ophys"]["ImagingPlane"]
    np.testing.assert_allclose(plane["grid_spacing"], [18 * 31e-6 / 8] * 2)
    assert interface.part() == ""
    interface.extractor.close()


def test_regions_that_are_switched_off(tmp_path):
    regions = {name: each for name, each in _regions().items() if name != "LM"}
    stated = {name: each for name, each in REGIONS.items() if name != "LM"}
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(regions), regions=stated)

    def add(group: dict[str, Any]) -> None:
        for region in group["rois"]:
            region.pop("classname"), region.pop("UserData")
            region["scanfields"].pop("classname"), region["scanfields"].pop("affine")
        group["rois"].insert(1, {"name": "off", "enable": 0, "scanfields": {}})

    streams = ScanImageImagingInterface.streams(_edit(path, add))
    assert [source["roi_name"] for source in streams.values()] == ["V1", "AL"]
    with ScanImageExtractor(path, roi_name="AL") as extractor:
        np.testing.assert_array_equal(extractor.get_series(), regions["AL"][..., 0])


def test_names_are_made_unique(tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(_regions()), regions=REGIONS)

    def rename(group: dict[str, Any]) -> None:
        for region, name in zip(group["rois"], ("A", "", "A"), strict=True):
            region["name"] = name

    streams = ScanImageImagingInterface.streams(_edit(path, rename))
    assert [source["roi_name"] for source in streams.values()] == ["A 1", "ROI 2", "A 3"]


def test_an_unknown_region(tmp_path):
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(_regions()), regions=REGIONS)
    with pytest.raises(SourceArgumentError, match="the regions V1, LM, AL; give one of them"):
        ScanImageExtractor(path)
    with pytest.raises(SourceArgumentError, match="roi_name is 'RL'"):
        ScanImageExtractor(path, roi_name="RL")
    (plain,) = write_scanimage(tmp_path / "b.tif", np.zeros((3, 4, 5), "int16"))
    with pytest.raises(SourceArgumentError, match="has no regions of interest"):
        ScanImageExtractor(plain, roi_name="V1")


def _narrow(group: dict[str, Any]) -> None:
    group["rois"][1]["scanfields"]["pixelResolutionXY"] = [7, 9]


def _lower(group: dict[str, Any]) -> None:
    group["rois"][1]["scanfields"]["pixelResolutionXY"] = [8, 8]


def _higher(group: dict[str, Any]) -> None:
    group["rois"][1]["scanfields"]["pixelResolutionXY"] = [8, 90]


def _other_gap(group: dict[str, Any]) -> None:
    group["rois"][1]["scanfields"]["pixelResolutionXY"] = [8, 7]


def _at_depths(group: dict[str, Any]) -> None:
    for depth, region in zip((0, 10, 20), group["rois"], strict=True):
        region["zs"], region["discretePlaneMode"] = depth, 1


def _of_two_sizes(group: dict[str, Any]) -> None:
    for region in group["rois"]:
        region.pop("classname"), region.pop("UserData")
        region["scanfields"].pop("classname"), region["scanfields"].pop("affine")
    region = group["rois"][0]
    region["zs"] = [0, 20]
    region["scanfields"] = [{"pixelResolutionXY": [8, rows]} for rows in (6, 5)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_narrow, "6 [+] 9 [+] 4 rows and 7 or 8 columns, but its pages have 23 rows and 8 col"),
        (_lower, "leaves 5 fly-to rows for 2 gaps"),
        (_higher, "leaves -77 fly-to rows for 2 gaps"),
        (_other_gap, "and 2 fly-to rows .* leave 3 fly-to rows for each gap"),
        (_at_depths, "not in each plane .*z = 0 µm: V1; z = 10 µm: LM; z = 20 µm: AL"),
        (_of_two_sizes, "region .mROI. 'V1' has scan fields of no or of different sizes"),
        (lambda group: group.update(rois=None), "does not describe them"),
    ],
)
def test_what_contradicts_is_refused(tmp_path, change, message):
    """Fault: rows of one region are read as those of another."""
    pages = _pages(_regions(planes=3))
    (path,) = write_scanimage(tmp_path / "a.tif", pages, regions=REGIONS)
    _edit(path, change)
    with pytest.raises((SourceError, CorruptSourceError), match=message) as raised:
        ScanImageExtractor(path, roi_name="V1")
    assert 'format="tiff"' in str(raised.value)


def test_without_the_fly_to_time_rows_are_derived(tmp_path):
    regions = _regions()
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(regions), regions=REGIONS)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"flytoTimePerScanfield", b"somethingElseAltogeth"))
    with ScanImageExtractor(path, roi_name="AL") as extractor:
        assert extractor.metadata.flyto_rows == ()
        np.testing.assert_array_equal(extractor.get_series(), regions["AL"][..., 0])


def test_rows_of_galvanometers_follow_each_other(tmp_path):
    """Fault: regions without fly-to rows were refused, since the header states some."""
    regions = _regions()
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(regions, gap=0), regions=REGIONS)
    content = path.read_bytes()
    stated = re.search(rb"flytoTimePerScanfield = \S+", content)
    content = content.replace(stated[0], b"flytoTimePerScanfield = 1".ljust(len(stated[0])))
    path.write_bytes(content)
    with pytest.raises(SourceError, match="leave 0 fly-to rows"):
        ScanImageExtractor(path, roi_name="AL")
    path.write_bytes(content.replace(b"scanMode = 'resonant'", b"scanMode = 'linear'  "))
    for name, expected in regions.items():
        with ScanImageExtractor(path, roi_name=name) as extractor:
            np.testing.assert_array_equal(extractor.get_series(), expected[..., 0])


@pytest.mark.parametrize(
    ("line", "duration", "frequency", "rows"),
    [
        ("6.3107e-05", "0.001", "7923.05", (16,)),  # as in a real header: 8 periods of 2 lines
        ("4.1617e-05", "0.001", "12014", (24, 26)),  # a little more than 12 periods
        ("0.001", "0.005", "", (5,)),
        ("0.001", "", "", ()),
    ],
)
def test_rows_of_the_fly_to_time(tmp_path, line, duration, frequency, rows):
    (path,) = write_scanimage(tmp_path / "a.tif", _pages(_regions()), regions=REGIONS)
    header, description = read_header_texts(path)
    changes = {
        "hRoiManager.linePeriod": line,
        "hScan2D.flytoTimePerScanfield": duration,
        "hScan2D.scannerFrequency": frequency,
    }
    for name, value in changes.items():
        header = re.sub(rf"SI\.{name} = .*", f"SI.{name} = {value or '[]'}", header)
    assert parse_header(path, header, description).flyto_rows == rows


def test_files_with_other_regions(tmp_path):
    paths = write_scanimage(tmp_path, _pages(_regions()), regions=REGIONS, frames_per_file=3)

    def move(group: dict[str, Any]) -> None:
        group["rois"][2]["scanfields"]["centerXY"] = [1, 1]

    _edit(paths[1], move)
    with pytest.raises(SourceError, match="states other regions"):
        ScanImageExtractor(file_paths=paths, roi_name="V1")


def test_a_divided_recording(tmp_path):
    regions = _regions()
    paths = write_scanimage(tmp_path, _pages(regions), regions=REGIONS, frames_per_file=2)
    assert len(paths) == 3
    for path in (tmp_path, *paths, paths):
        streams = ScanImageImagingInterface.streams(path)
        assert [source["roi_name"] for source in streams.values()] == list(REGIONS)
        for source in streams.values():
            interface = ScanImageImagingInterface(**source)
            expected = regions[source["roi_name"]][..., 0]
            np.testing.assert_array_equal(interface.extractor.get_series(), expected)
            interface.extractor.close()
