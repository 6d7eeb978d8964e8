"""Tables of pages are kept between detection, metadata and conversion of one process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import tifffile

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.tiff import kept_tables, table
from nwb_ophys.filetypes.tiff.kept_tables import KeptTables, Patterns
from nwb_ophys.filetypes.tiff.page_table import PageTable
from nwb_ophys.filetypes.tiff.table import read_page_table


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list of files whose directories are parsed from now on; nothing is kept yet."""
    parsed = []
    read: Callable[..., Any] = table._read_table

    def reading(file: Any, path: Path, *arguments: Any) -> Any:
        parsed.append(path)
        return read(file, path, *arguments)

    monkeypatch.setattr(table, "_read_table", reading)
    monkeypatch.setattr(table, "_KEPT", KeptTables())
    monkeypatch.setattr(table, "_PATTERNS", Patterns())
    monkeypatch.setattr(kept_tables, "_SETTLED_NS", 0)
    return parsed


def write(path: Path, num_pages: int = 1, **options: Any) -> Path:
    pixels = np.arange(num_pages * 64, dtype="uint16").reshape(num_pages, 8, 8)
    with tifffile.TiffWriter(path) as writer:
        for page in pixels:
            writer.write(page, metadata=None, **options)
    return path


def values(found: PageTable) -> dict[str, Any]:
    """Return the values of a table but its path, arrays as lists."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in attrs.asdict(found).items()
        if name != "path"
    }


def test_a_file_of_several_pages_is_read_once(tmp_path: Path, count: list[Path]) -> None:
    path = write(tmp_path / "a.tif", 5)
    first = read_page_table(path)
    assert read_page_table(path) is first
    assert read_page_table(Path(os.path.relpath(path))).path == Path(os.path.relpath(path))
    assert count.count(path) == 1


def test_a_changed_file_is_read_again(tmp_path: Path, count: list[Path]) -> None:
    path = write(tmp_path / "a.tif", 5)
    assert read_page_table(path).num_pages == 5
    write(path, 4)
    assert read_page_table(path).num_pages == 4
    size = path.stat().st_size
    other = write(tmp_path / "b.tif", 2)
    os.truncate(other, size) if other.stat().st_size > size else None
    other.write_bytes(other.read_bytes().ljust(size, b"\0"))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)  # of the same size and time
    assert read_page_table(path).num_pages == 2


def test_a_file_that_just_changed_is_not_kept(
    tmp_path: Path, count: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "_SETTLED_NS", 3600 * 10**9)
    path = write(tmp_path / "a.tif", 5)
    read_page_table(path)
    read_page_table(path)
    assert count == [path, path]


def test_few_tables_and_pages_are_kept(
    tmp_path: Path, count: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_tables, "MOST_FILES", 2)
    monkeypatch.setattr(kept_tables, "MOST_PAGES", 10)
    paths = [write(tmp_path / f"{number}.tif", 3) for number in range(3)]
    for path in (*paths, paths[2], paths[1], paths[0]):
        read_page_table(path)
    assert count == [*paths, paths[0]]
    long = write(tmp_path / "long.tif", 11)
    read_page_table(long)
    read_page_table(long)
    assert count[-2:] == [long, long]


def test_kept_arrays_cannot_be_changed(tmp_path: Path, count: list[Path]) -> None:
    found = read_page_table(write(tmp_path / "a.tif", 5))
    with pytest.raises(ValueError, match="read-only"):
        found.data_offsets[0] = 1


@pytest.mark.parametrize("rows", [8, 1], ids=["one strip", "eight strips"])
@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_files_with_equal_directories_are_parsed_once(
    tmp_path: Path, count: list[Path], rows: int, options: dict[str, Any]
) -> None:
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.tif"
        pixels = np.full((8, 8), number, "uint16")
        with tifffile.TiffWriter(path, **options) as writer:
            text = f"image {number} of a series"
            writer.write(pixels, description=text, metadata=None, rowsperstrip=rows)
        paths.append(path)
    found = [read_page_table(path) for path in paths]
    assert len(count) == 1
    assert [each.path for each in found] == paths
    assert [each.heading[6:7] for each in found] == [b"0", b"1", b"2", b"3"]
    for path, mine in zip(paths, found, strict=True):
        table._PATTERNS = Patterns()
        assert values(mine) == values(read_page_table(path))


def test_files_of_one_size_that_differ_are_parsed(tmp_path: Path, count: list[Path]) -> None:
    first = write(tmp_path / "a.tif", rowsperstrip=1)
    second = write(tmp_path / "b.tif", rowsperstrip=1)
    third = write(tmp_path / "c.tif", rowsperstrip=1)
    with tifffile.TiffFile(first) as tiff:
        page = tiff.pages[0]
        columns = page.tags[256].valueoffset
        strips = page.tags[273].valueoffset
    data = bytearray(second.read_bytes())
    data[columns] = 7
    second.write_bytes(data)
    data = bytearray(third.read_bytes())
    data[strips + 3] = 0x7F  # a strip beyond the end of the file
    third.write_bytes(data)
    assert read_page_table(first).columns == 8
    assert read_page_table(second).columns == 7
    with pytest.raises(CorruptSourceError, match="lie beyond the end of the file"):
        read_page_table(third)
    assert len(count) == 3


def test_a_truncated_file_is_no_pattern(tmp_path: Path, count: list[Path]) -> None:
    paths = [write(tmp_path / f"{number}.tif", 2) for number in range(2)]
    for path in paths:
        os.truncate(path, path.stat().st_size - 100)
        assert read_page_table(path).loss
    assert count == paths
