"""Tests of pages that are not stored, are no frames, or are to be shown turned."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.tiff.checks import inspect_tiff
from nwb_ophys.filetypes.tiff.reader import ManyTiffsReader, TiffPageReader
from nwb_ophys.formats.ome_tiff.reader import OmeTiffExtractor
from nwb_ophys.formats.tiff.reader import TiffStackExtractor

FRAMES = np.random.default_rng(1).integers(1, 4000, (6, 32, 32)).astype("uint16")
SEGMENT_TAGS = (273, 279, 324, 325)  # positions and numbers of bytes of strips and tiles
ENCODINGS = {
    "strip": {},
    "zlib": {"compression": "zlib"},
    "lzw strips": {"compression": "lzw", "rowsperstrip": 8},
    "zlib tiles": {"compression": "zlib", "tile": (16, 16)},
}


def write(path: Path, pages: Iterable[np.ndarray] = FRAMES, kinds: Any = (), **options: Any) -> Any:
    """Write each page with a directory and lists of its own."""
    kinds = kinds or [0] * len(FRAMES)
    with tifffile.TiffWriter(path) as writer:
        for page, kind in zip(pages, kinds, strict=True):
            writer.write(
                page,
                metadata=None,
                photometric="minisblack",
                contiguous=False,
                subfiletype=kind,
                **options,
            )
    return path


def remove(path: Path, page: int, pieces: slice = slice(None), codes: Any = SEGMENT_TAGS) -> None:
    """Set positions and numbers of bytes of some strips or tiles to 0."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tags = tiff.pages[page].tags  # type: ignore[union-attr]
        for code in codes:
            if code in tags:
                values = np.atleast_1d(tags[code].value)
                values[pieces] = 0
                numbers = values.tolist()
                tags[code].overwrite(tuple(numbers) if len(numbers) > 1 else numbers[0])


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=list(ENCODINGS))
def test_frames_without_pixels_are_named(tmp_path: Path, options: dict[str, Any]) -> None:
    """Fault: the beginning of the file was read as the pixels of such a frame."""
    path = write(tmp_path / "movie.tif", **options)
    remove(path, 2)
    with pytest.warns(UserWarning, match=r"lacks the pixels of page 2 \(1 of 6 pages"):
        extractor = TiffStackExtractor(path, 1.0)
    expected = FRAMES.copy()
    expected[2] = 0
    np.testing.assert_array_equal(extractor.get_series(), expected)
    np.testing.assert_array_equal(extractor.get_series(2, 3), expected[2:3])


@pytest.mark.parametrize("name", ["lzw strips", "zlib tiles"])
def test_frames_that_lack_some_pixels_are_named(tmp_path: Path, name: str) -> None:
    """Fault: they were zeros without a word, or said to be damaged."""
    path = write(tmp_path / "movie.tif", **ENCODINGS[name])
    for page in (1, 4):
        remove(path, page, slice(0, 1))
    with pytest.warns(UserWarning, match="lacks some pixels of pages 1, 4 "):
        series = TiffStackExtractor(path, 1.0).get_series()
    expected = tifffile.imread(path, key=slice(None))
    assert expected[1, 0, 0] == 0 < expected[1, -1, -1]
    np.testing.assert_array_equal(series, expected)


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=list(ENCODINGS))
def test_last_frames_without_pixels_are_zeros(tmp_path: Path, options: dict[str, Any]) -> None:
    """Fault: the file was said to be truncated; libtiff, GDAL and tifffile read zeros."""
    path = write(tmp_path / "movie.tif", **options)
    for page in (4, 5):
        remove(path, page)
    with pytest.warns(UserWarning, match=r"lacks the pixels of pages 4, 5 .*are written as 0"):
        series = TiffStackExtractor(path, 1.0).get_series()
    expected = FRAMES.copy()
    expected[4:] = 0
    np.testing.assert_array_equal(series, expected)
    if options:  # of an uncompressed page, tifffile reads the beginning of the file
        np.testing.assert_array_equal(series, tifffile.imread(path, key=slice(None)))


@pytest.mark.parametrize("name", ["lzw strips", "zlib tiles"])
def test_a_part_of_a_frame_and_then_none_is_truncation(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "movie.tif", **ENCODINGS[name])
    for page in (4, 5):
        remove(path, page)
    remove(path, 3, slice(2, None))
    with pytest.raises(CorruptSourceError, match="3 of 6 pages are complete"):
        TiffStackExtractor(path, 1.0)
    with pytest.warns(UserWarning, match="is truncated"):
        series = TiffStackExtractor(path, 1.0, allow_truncated=True).get_series()
    np.testing.assert_array_equal(series, FRAMES[:3])


def test_frames_without_pixels_at_the_end_of_a_truncated_file_are_lost(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.tif", compression="zlib")
    remove(path, 4)
    with tifffile.TiffFile(path) as tiff:
        size = tiff.pages[5].dataoffsets[0] + 10  # type: ignore[union-attr]
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptSourceError, match=r"\b4 of .* pages are complete"):
        TiffStackExtractor(path, 1.0)


@pytest.mark.parametrize("codes", [(273, 324), (279, 325)], ids=["position", "size"])
def test_contradictory_pieces_are_damage(tmp_path: Path, codes: tuple[int, int]) -> None:
    """Fault: pixels with a size and no position were zeros without a word."""
    path = write(tmp_path / "movie.tif", compression="zlib", rowsperstrip=8)
    remove(path, 2, slice(1, 2), codes)
    with pytest.raises(CorruptSourceError, match="page 2 are missing"):
        TiffStackExtractor(path, 1.0)
    # ImageJ writes no number of bytes of uncompressed pages.
    path = write(tmp_path / "plain.tif")
    remove(path, 2, codes=codes)
    if 279 in codes:
        np.testing.assert_array_equal(TiffStackExtractor(path, 1.0).get_series(), FRAMES)
    else:
        with pytest.raises(CorruptSourceError, match="page 2 are missing"):
            TiffStackExtractor(path, 1.0)


def test_a_file_without_any_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.tif")
    for page in range(6):
        remove(path, page)
    with pytest.raises(CorruptSourceError, match="0 pages are complete"):
        inspect_tiff(path)


def test_every_frame_may_leave_out_zeros(tmp_path: Path) -> None:
    path = write(tmp_path / "movie.tif", compression="zlib", tile=(16, 16))
    for page in range(6):
        remove(path, page, slice(3, 4))
    with pytest.warns(UserWarning, match=r"pages 0, 1, 2, 3, 4, 5 \(6 of 6"):
        assert TiffStackExtractor(path, 1.0).get_num_samples() == 6


def test_an_ome_tiff_and_files_of_one_page_that_lack_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, FRAMES, metadata={"axes": "TYX"}, compression="zlib")
    remove(path, 1)
    with pytest.warns(UserWarning, match="lacks the pixels of page 1"):
        OmeTiffExtractor(path, sampling_frequency=1.0)
    files = [write(tmp_path / f"{index}.tif", FRAMES[:1], [0]) for index in range(3)]
    remove(files[1], 0)
    with pytest.raises(CorruptSourceError, match=r"1\.tif"):
        ManyTiffsReader(files, [1] * 3).read(np.arange(3))


@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}], ids=["plain", "lzw"])
@pytest.mark.parametrize("is_first", [False, True])
def test_thumbnails_and_masks_are_left_out(
    tmp_path: Path, options: dict[str, Any], is_first: bool
) -> None:
    """Fault: files with thumbnails, as pyramids have them, were refused."""
    small = FRAMES[0, ::2, ::2].copy()
    pairs = [(small, 1), (FRAMES[0] > 9, 4)] if is_first else []
    for frame in FRAMES:
        pairs += [(frame, 0), (small, 1)]
    path = write(tmp_path / "movie.tif", *zip(*pairs, strict=True), **options)
    with pytest.warns(UserWarning, match=rf"has {8 if is_first else 6} pages of another shape"):
        extractor = TiffStackExtractor(path, 1.0)
    np.testing.assert_array_equal(extractor.get_series(), FRAMES)
    np.testing.assert_array_equal(extractor.get_series(3, 5), FRAMES[3:5])
    with pytest.raises(SourceError, match="the number of rows"):  # pages known by their number
        inspect_tiff(path, reads_axes=False)


def test_pages_marked_as_thumbnails_of_the_same_size(tmp_path: Path) -> None:
    """tifffile reads them as frames, too."""
    path = write(tmp_path / "movie.tif", kinds=[0, 0, 1, 0, 0, 0])
    with pytest.warns(UserWarning, match=r"page 2 .*is marked as thumbnail.*read with them"):
        assert TiffStackExtractor(path, 1.0).get_num_samples() == 6
    for kind in (1, 2):  # all alike, which distinguishes none
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            TiffStackExtractor(write(tmp_path / "alike.tif", kinds=[kind] * 6), 1.0)


def test_an_orientation_is_named(tmp_path: Path) -> None:
    """Fault: it was ignored without a word."""
    paths = [tmp_path / f"{value}.tif" for value in (1, 6)]
    for path, value in zip(paths, (1, 6), strict=True):
        write(path, extratags=[(274, "H", 1, value, True)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TiffPageReader([inspect_tiff(paths[0])])
    for files in (paths[1:], paths, paths[::-1]):
        with pytest.warns(UserWarning, match=r"6\.tif.* rotated by 90 degrees clockwise"):
            series = TiffStackExtractor(files, 1.0).get_series()
        np.testing.assert_array_equal(series[:6], FRAMES)
    with pytest.warns(UserWarning, match=r"6\.tif"):
        ManyTiffsReader([paths[0], paths[1], paths[0]], [6] * 3).read(np.array([7]))
