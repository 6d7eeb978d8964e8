"""Folders of many files: few headers are read, and no time grows with the square of the number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from nwb_ophys.filetypes.tiff import folders
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.filetypes.tiff.names import NamedSeries, named_series
from nwb_ophys.filetypes.tiff.reader import FilesIn
from nwb_ophys.filetypes.tiff.table import read_page_table
from nwb_ophys.outside import SpecialFileError, reach_of, resolved
from nwb_ophys.paths import PathProbe, in_natural_order, natural_order


def write_frames(folder: Path, count: int, **options: Any) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"frame_{number:03d}.tif" for number in range(count)]
    for path in paths:
        tifffile.imwrite(path, np.zeros((8, 8), "uint16"), metadata=None, **options)
    return paths


def headings_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the files whose headers are read when every file is looked at."""
    read = []

    def reading(path: Path) -> Any:
        read.append(path.name)
        return read_tiff_heading(path)

    monkeypatch.setattr(folders, "read_tiff_heading", reading)
    folders.some_headings(PathProbe(folder, reads_every_file=True))
    return read


def test_files_of_one_series_and_size_are_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_MANY_ALIKE", 2)
    paths = write_frames(tmp_path, 40)
    assert headings_read(tmp_path, monkeypatch) == ["frame_000.tif", "frame_039.tif"]
    tifffile.imwrite(paths[20], np.zeros((8, 8), "uint16"), description="another", metadata=None)
    (tmp_path / "other_001.tif").write_bytes(paths[0].read_bytes())
    assert headings_read(tmp_path, monkeypatch) == [
        "frame_000.tif",
        "frame_020.tif",
        "frame_039.tif",
        "other_001.tif",
    ]


def test_every_header_of_few_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_frames(tmp_path, 40)
    assert len(headings_read(tmp_path, monkeypatch)) == 40


@pytest.mark.parametrize(
    "names",
    [
        [f"frame_{n:04d}.tif" for n in (3, 1, 20, 10)],
        [f"frame_{n}.tif" for n in (3, 1, 20, 10)],
        ["a1b2", "a2b1", "a0b9"],
        ["a1b2", "ab12", "a12b"],
        ["b", "a"],
        ["one"],
        [],
        ["frame_٣.tif", "frame_2.tif", "frame_1.tif"],
    ],
)
def test_natural_order(names: list[str]) -> None:
    assert in_natural_order(names) == sorted(names, key=natural_order)


def test_a_gap_of_a_long_series() -> None:
    paths = [Path(f"frame_{number:06d}.tif") for number in range(0, 60_000, 2)]
    series = named_series(paths)[0]
    assert series.gap is None
    (with_gap,) = named_series(p for p in paths if p != paths[7])
    assert with_gap.gap == (12, 16)
    assert NamedSeries(paths=(), family=(), tokens=()).gap is None


def test_links_are_resolved(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "a", 3)
    (tmp_path / "b").mkdir()
    link = tmp_path / "b" / "link.tif"
    link.symlink_to(paths[0])
    (tmp_path / "c").symlink_to(tmp_path / "a")
    through = tmp_path / "c" / paths[1].name
    given = [*paths, link, through, tmp_path / "absent.tif", tmp_path / "a"]
    assert resolved(given) == {path.resolve() for path in given}


def test_the_reach_holds_the_folders_of_all_paths(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "a", 3)
    (tmp_path / "b").mkdir()
    link = tmp_path / "b" / "link.tif"
    link.symlink_to(paths[0])
    beside = tmp_path / "beside.tif"
    beside.write_bytes(paths[0].read_bytes())
    root = tmp_path.resolve()
    reach = reach_of([tmp_path / "b", beside, link, *paths])
    assert set(reach.folders) == {str(root / "b"), str(root), str(root / "a")}
    assert reach_of([tmp_path / "b"]).folders == (str(root / "b"),)


def test_a_pipe_among_many_files_is_left_out(tmp_path: Path) -> None:
    write_frames(tmp_path, 20)
    os.mkfifo(tmp_path / "frame_020.tif")
    assert "frame_020.tif" not in PathProbe(tmp_path).names(".tif")
    with pytest.raises(SpecialFileError):
        read_page_table(tmp_path / "frame_020.tif")


def test_paths_of_files_are_made_when_asked_for(tmp_path: Path) -> None:
    files = FilesIn(tmp_path, ["a.tif", "b.tif", "c/d.tif"])
    assert len(files) == 3
    assert list(files) == [tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c" / "d.tif"]
    assert list(files[1:]) == [tmp_path / "b.tif", tmp_path / "c" / "d.tif"]
    assert files[-1] == tmp_path / "c" / "d.tif"
