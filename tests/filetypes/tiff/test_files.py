"""Opening TIFF files: whole files pass, everything that would lose frames is an error."""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import (
    CorruptSourceError,
    MissingPackageError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.filetypes.tiff.checks import inspect_tiff
from nwb_ophys.formats.tiff.reader import TiffStackExtractor

FRAMES = np.random.default_rng(0).integers(1, 60_000, (2, 2, 2, 5, 6)).astype(np.uint16)

VARIANTS: dict[str, dict[str, Any]] = {
    "classic": {},
    "bigtiff": {"bigtiff": True},
    "imagej": {"imagej": True},
    "ome": {"ome": True, "metadata": {"axes": "TZCYX"}},
    "axes": {"metadata": {"axes": "TZCYX"}},
    "lzw": {"compression": "lzw"},
    "bigtiff_zlib": {"bigtiff": True, "compression": "zlib"},
    "strips": {"rowsperstrip": 2},
    "bigtiff_strips": {"bigtiff": True, "rowsperstrip": 1},
    "tiles": {"tile": (16, 16), "compression": "zlib"},
    "big_endian": {"byteorder": ">"},
    "big_endian_strips": {"byteorder": ">", "bigtiff": True, "compression": "lzw"},
}


def write_variant(path: Path, name: str) -> None:
    options = dict(VARIANTS[name])
    if name != "imagej":
        options["photometric"] = "minisblack"
    tifffile.imwrite(path, FRAMES, **options)


def write_directories_first(path: Path, num_pages: int = 4) -> np.ndarray:
    """Write a classic TIFF whose directories all come before the pixels."""
    frames = np.arange(num_pages * 12, dtype="<u2").reshape(num_pages, 3, 4)
    size, start = 2 + 8 * 12 + 4, 8 + num_pages * (2 + 8 * 12 + 4)
    data = struct.pack("<2sHI", b"II", 42, 8)
    for page in range(num_pages):
        values = [(256, 4), (257, 3), (258, 16), (259, 1), (262, 1)]
        values += [(273, start + 24 * page), (278, 3), (279, 24)]
        data += struct.pack("<H", len(values))
        data += b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in values)
        data += struct.pack("<I", 8 + size * (page + 1) if page + 1 < num_pages else 0)
    path.write_bytes(data + frames.tobytes())
    return frames


@pytest.mark.parametrize("name", VARIANTS)
def test_whole_file_is_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / "movie.tif"
    write_variant(path, name)
    source = inspect_tiff(path)
    assert source.table.num_pages == 8
    assert source.dtype == np.uint16


@pytest.mark.parametrize("name", VARIANTS)
def test_cut_at_any_byte_never_gives_fewer_frames(tmp_path: Path, name: str) -> None:
    path, cut_path = tmp_path / "movie.tif", tmp_path / "cut.tif"
    write_variant(path, name)
    data = path.read_bytes()
    is_named = name in ("ome", "axes", "imagej")
    order = {} if is_named else {"num_channels": 1, "num_planes": 1}
    whole = TiffStackExtractor(path, 1.0, **order).get_series()
    num_refused = 0
    for size in range(0, len(data), 3):
        cut_path.write_bytes(data[:size])
        try:
            with TiffStackExtractor(cut_path, 1.0, **order) as extractor:
                # Only padding may be missing: tifffile aligns the end of a file.
                np.testing.assert_array_equal(extractor.get_series(), whole)
        except CorruptSourceError:
            num_refused += 1
    assert num_refused > 0.98 * len(data) / 3


def test_cut_pixels_behind_directories_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    frames = write_directories_first(path)
    np.testing.assert_array_equal(TiffStackExtractor(path, 1.0).get_series(), frames)
    data = path.read_bytes()
    for missing in range(1, 96):
        path.write_bytes(data[:-missing])
        complete = 4 - -(-missing // 24)
        with pytest.raises(CorruptSourceError, match=f": {complete} (of 4 )?pages"):
            inspect_tiff(path)


def test_truncation_states_path_and_number_of_complete_pages(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in FRAMES.reshape(-1, 5, 6):
            writer.write(frame, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as tiff:
        fifth = tiff.pages[5].offset
    path.write_bytes(path.read_bytes()[:fifth])
    with pytest.raises(CorruptSourceError, match=r"movie\.tif' is trunc.*5 of at least 6 pages"):
        inspect_tiff(path)


def test_imagej_stack_with_one_directory_cut(tmp_path: Path) -> None:
    path = tmp_path / "hyperstack.tif"
    write_single_directory_imagej(path, FRAMES)
    assert inspect_tiff(path).table.num_pages == 8
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptSourceError, match=r"states 8 images.*7 of 8 pages are complete"):
        inspect_tiff(path)


def write_single_directory_imagej(path: Path, frames: np.ndarray) -> None:
    """Write what ImageJ writes above 4 GB: one directory, the pixels of all images behind it."""
    tifffile.imwrite(path, frames, imagej=True)
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        next_offset = page.offset + 2 + 12 * len(page.tags)
        end = page.dataoffsets[0] + frames.nbytes
    data = bytearray(path.read_bytes()[:end])
    data[next_offset : next_offset + 4] = bytes(4)
    path.write_bytes(data)


def test_missing_folder_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        inspect_tiff(tmp_path / "absent.tif")
    with pytest.raises(SourceNotFoundError, match="is a folder"):
        inspect_tiff(tmp_path)
    path = tmp_path / "foreign.tif"
    for content in (b"", b"II", b"not a TIFF file at all"):
        path.write_bytes(content)
        with pytest.raises(CorruptSourceError, match=r"foreign\.tif' is not a TIFF"):
            inspect_tiff(path)
    for content in (b"II\x2a\x00", b"II\x2b\x00\x08\x00"):
        path.write_bytes(content)
        with pytest.raises(
            CorruptSourceError, match=r"foreign\.tif' .* within the header of a TIFF"
        ):
            inspect_tiff(path)
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 0))
    with pytest.raises(CorruptSourceError, match="it holds no page"):
        inspect_tiff(path)


def test_circle_and_nonsense_directories(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    write_directories_first(path, num_pages=2)
    data = bytearray(path.read_bytes())
    circle = data.copy()
    circle[208:212] = struct.pack("<I", 8)  # the end mark behind the second directory
    path.write_bytes(circle)
    with pytest.raises(CorruptSourceError, match="is circular"):
        inspect_tiff(path)
    data[8:10] = struct.pack("<H", 5000)
    path.write_bytes(data)
    with pytest.raises(CorruptSourceError, match="claims to hold 5000 tags; 0 pages"):
        inspect_tiff(path)


@pytest.mark.parametrize(
    "change", [(273, 0xFFFFFFF0), (279, 10**6)], ids=["strip offset", "byte count of compressed"]
)
def test_pixels_said_to_lie_outside(tmp_path: Path, change: tuple[int, int]) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES[0, 0], compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[change[0]].overwrite(change[1])
    with pytest.raises(CorruptSourceError, match="pixels or tags of page 0"):
        inspect_tiff(path)


def test_missing_strip_byte_counts_of_uncompressed_pages(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    frames = write_directories_first(path)
    data = path.read_bytes().replace(struct.pack("<HHII", 279, 4, 1, 24), bytes(12))
    path.write_bytes(data)
    np.testing.assert_array_equal(TiffStackExtractor(path, 1.0).get_series(), frames)


def test_strips_and_byte_counts_of_different_number(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES[0, 0, 0], rowsperstrip=1, metadata=None)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages.first.tags[279].offset + 4
    path.write_bytes(data[:offset] + struct.pack("<I", 4) + data[offset + 4 :])
    with pytest.raises(CorruptSourceError, match="0 pages are complete"):
        inspect_tiff(path)


def test_colour_and_depth_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "colour.tif"
    tifffile.imwrite(path, np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(SourceError, match=r"colour\.tif' has 3 samples per pixel"):
        inspect_tiff(path)
    tifffile.imwrite(
        path,
        np.zeros((4, 16, 16), np.uint8),
        volumetric=True,
        tile=(4, 16, 16),
        photometric="minisblack",
    )
    with pytest.raises(SourceError, match="4 planes per page"):
        inspect_tiff(path)


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (np.zeros((6, 6), np.uint16), "number of rows"),
        (np.zeros((5, 7), np.uint16), "number of columns"),
        (np.zeros((5, 6), np.uint8), "number of bits"),
        (np.zeros((5, 6), np.int16), "SampleFormat"),
    ],
)
def test_page_that_differs_is_named(tmp_path: Path, other: np.ndarray, name: str) -> None:
    path = tmp_path / "movie.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in [FRAMES[0, 0, 0], FRAMES[0, 0, 1], other, FRAMES[0, 0, 0]]:
            writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")
    with pytest.raises(SourceError, match=f"{name}.* on page 2 and"):
        inspect_tiff(path)


def test_missing_packages_name_the_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES[0, 0], compression="lzw", photometric="minisblack")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tifffile", None)
        with pytest.raises(MissingPackageError, match=r'pip install "nwb-ophys\[tiff\]"'):
            inspect_tiff(path)
    monkeypatch.setattr(tifffile.TIFF, "DECOMPRESSORS", {1: None})
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(MissingPackageError, match=r"imagecodecs.*nwb-ophys\[tiff\]"):
        inspect_tiff(path)


def test_unknown_compression(tmp_path: Path) -> None:
    path = tmp_path / "movie.tif"
    for number in (60_000, 9):
        tifffile.imwrite(path, FRAMES[0, 0], compression="zlib", photometric="minisblack")
        with tifffile.TiffFile(path, mode="r+") as tiff:
            pages: Any = tiff.pages
            for page in pages:
                page.tags[259].overwrite(number)
        with pytest.raises(SourceError, match=f"neither tifffile nor .* supports.*number {number}"):
            inspect_tiff(path)


def write_strips(path: Path, order: str, places: list[int]) -> np.ndarray:
    """Write a BigTIFF of one page of 4 strips, whose offsets the tag itself holds."""
    frame = np.arange(8, dtype=f"{order}u2").reshape(4, 2)
    tags = [(256, 3, [2]), (257, 3, [4]), (258, 3, [16]), (259, 3, [1]), (262, 3, [1])]
    tags += [(273, 3, places), (278, 3, [1]), (279, 3, [4, 4, 4, 4])]
    data = struct.pack(order + "2sHHHQ", b"II" if order == "<" else b"MM", 43, 8, 0, 16)
    data += struct.pack(order + "Q", len(tags))
    for code, kind, values in tags:
        packed = struct.pack(f"{order}{len(values)}H", *values).ljust(8, b"\0")
        data += struct.pack(order + "HHQ", code, kind, len(values)) + packed
    out = bytearray((data + bytes(8)).ljust(max(places) + 4, b"\0"))
    for place, row in zip(places, frame, strict=True):
        out[place : place + 4] = row.tobytes()
    path.write_bytes(out)
    return frame


@pytest.mark.parametrize("order", ["<", ">"])
def test_strips_of_shorts_within_the_tag(tmp_path: Path, order: str) -> None:
    # BigTIFF keeps up to four 16-bit numbers in the tag itself, left-justified.
    path = tmp_path / "small.tif"
    frame = write_strips(path, order, [300, 304, 308, 312])
    assert inspect_tiff(path).table.is_direct
    np.testing.assert_array_equal(TiffStackExtractor(path, 1.0).get_series()[0], frame)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CorruptSourceError, match="0 pages are complete"):
        inspect_tiff(path)


@pytest.mark.parametrize(
    "places", [[300, 304, 308, 312], [304, 300, 312, 308], [300, 308, 304, 400]]
)
def test_strips_in_any_place(tmp_path: Path, places: list[int]) -> None:
    path = tmp_path / "strips.tif"
    write_strips(path, "<", places)
    assert inspect_tiff(path).table.is_direct == (places == sorted(places) and places[-1] < 400)
    np.testing.assert_array_equal(
        TiffStackExtractor(path, 1.0).get_series()[0], tifffile.imread(path)
    )
    np.testing.assert_array_equal(tifffile.imread(path), np.arange(8).reshape(4, 2))
