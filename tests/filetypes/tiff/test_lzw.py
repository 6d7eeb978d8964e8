"""Tests of pages compressed with LZW, which libtiff decodes, against their arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.tiff import reader
from nwb_ophys.filetypes.tiff.checks import inspect_tiff
from nwb_ophys.filetypes.tiff.reader import TiffPageReader

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]


def _read(path: Path) -> Any:
    page_reader = TiffPageReader([inspect_tiff(path)])
    try:
        return page_reader.read(np.arange(page_reader.num_pages))
    finally:
        page_reader.close()


@pytest.fixture
def by_tifffile(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Pages that libtiff left to tifffile."""
    left: list[Any] = []
    plain = reader._put

    def put(found: Any, out: Any) -> bool:
        is_whole = plain(found, out)
        left.extend([] if is_whole else [out])
        return is_whole

    monkeypatch.setattr(reader, "_put", put)
    return left


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 4), st.integers(2, 40), st.integers(2, 40)),
    is_differenced=st.booleans(),
    order=st.sampled_from("<>"),
    big=st.booleans(),
    rows=st.integers(1, 45),
    seed=st.integers(0, 9),
)
def test_pixels_equal_the_array(
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
    shape: tuple[int, ...],
    is_differenced: bool,
    order: str,
    big: bool,
    rows: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    movie = (
        random.normal(0, 60, shape) if dtype[0] == "f" else random.integers(0, 99, shape)
    ).astype(dtype)
    path = tmp_path_factory.mktemp("lzw") / "a.tif"
    tifffile.imwrite(
        path,
        movie,
        compression="lzw",
        predictor=is_differenced,
        byteorder=order,
        bigtiff=big,
        rowsperstrip=rows,
        photometric="minisblack",
    )
    found = _read(path)
    assert found.dtype == movie.dtype
    np.testing.assert_array_equal(found, movie)


@pytest.mark.parametrize("dtype", DTYPES)
def test_libtiff_decodes_strips(tmp_path: Path, by_tifffile: list[Any], dtype: str) -> None:
    movie = np.arange(3 * 20 * 30).reshape(3, 20, 30).astype(dtype)
    for photometric in ("minisblack", "miniswhite"):
        path = tmp_path / f"{photometric}.tif"
        tifffile.imwrite(path, movie, compression="lzw", photometric=photometric, rowsperstrip=7)
        np.testing.assert_array_equal(_read(path), movie)
    assert not by_tifffile


def test_tiles_are_decoded_by_tifffile(tmp_path: Path) -> None:
    movie = np.arange(3 * 40 * 50).reshape(3, 40, 50).astype("u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie, compression="lzw", tile=(16, 16), photometric="minisblack")
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), movie)


@pytest.mark.parametrize("kind", ["zeros", "ones", "cut"])
def test_a_damaged_strip_is_refused_or_read_as_tifffile_reads_it(
    tmp_path: Path, by_tifffile: list[Any], kind: str
) -> None:
    movie = np.random.default_rng(0).integers(0, 4000, (4, 64, 64)).astype("u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie, compression="lzw", photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        start, size = tiff.pages[2].dataoffsets[0], tiff.pages[2].databytecounts[0]
    data = bytearray(path.read_bytes())
    begin = start + (size // 2 if kind == "cut" else 0)
    data[begin : start + size] = (b"\xff" if kind == "ones" else b"\0") * (start + size - begin)
    path.write_bytes(data)
    with pytest.raises(CorruptSourceError, match="cannot be decoded"):
        _read(path)
    assert len(by_tifffile) == 1
