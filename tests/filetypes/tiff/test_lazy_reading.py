"""TIFF files that cannot be memory-mapped are not read as a whole."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from roiextractors import TiffImagingExtractor

from nwb_ophys.formats.tiff.reader import TiffStackExtractor

# 26 MB, of which a frame is 131 kB.
MOVIE = np.arange(200, dtype=np.uint16)[:, None, None] + np.zeros((1, 256, 256), np.uint16)
FRAME = MOVIE[0].nbytes

LAYOUTS: dict[str, dict[str, Any]] = {
    "zlib": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "zlib with a predictor": {"compression": "zlib", "predictor": True},
    "tiles": {"compression": "zlib", "tile": (64, 64)},
    "tiles that are not compressed": {"tile": (64, 64)},
    "strips apart": {"rowsperstrip": 16},
    "big-endian zlib": {"compression": "zlib", "byteorder": ">"},
}


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """The largest number of bytes taken at once since it was asked last."""
    tracemalloc.start()
    before = [0]

    def peak() -> int:
        now, most = tracemalloc.get_traced_memory()
        taken, before[0] = most - before[0], now
        tracemalloc.reset_peak()
        return taken

    yield peak
    tracemalloc.stop()


def write(path: Path, layout: str) -> Path:
    options = dict(LAYOUTS[layout])
    byteorder = options.pop("byteorder", None)
    with tifffile.TiffWriter(path, byteorder=byteorder) as writer:
        for frame in MOVIE:
            writer.write(frame, metadata=None, contiguous=False, **options)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fault_read_whole_when_it_cannot_be_mapped(tmp_path, traced, layout):
    path = write(tmp_path / "movie.tif", layout)
    TiffStackExtractor(path, 30.0).close()  # imports what it needs
    traced()
    extractor = TiffStackExtractor(path, 30.0)
    assert traced() < 10 * FRAME
    found = extractor.get_series(100, 102)
    assert traced() < 10 * FRAME
    np.testing.assert_array_equal(found, MOVIE[100:102])
    np.testing.assert_array_equal(extractor.get_series(), MOVIE)
    extractor.close()


def test_roiextractors_reads_it_whole(tmp_path, traced):
    path = write(tmp_path / "movie.tif", "zlib")
    traced()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = TiffImagingExtractor(path, 30.0)
    assert traced() > MOVIE.nbytes
    del theirs
