"""A folder is listed once while its recording is opened, and again when it is opened again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nwb_ophys
from nwb_ophys import listings
from nwb_ophys.formats.bruker import reader
from nwb_ophys.formats.bruker.sample import write_bruker
from nwb_ophys.paths import PathProbe

MOVIE = np.arange(12 * 8 * 8, dtype="uint16").reshape(12, 8, 8)


def test_a_folder_of_bruker_is_listed_and_arranged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_bruker(tmp_path / "TSeries-1", {1: MOVIE, 2: MOVIE + 1})
    listed: list[str] = []
    arranged = []
    list_folder, contents_of = listings._listed, reader.contents_of
    monkeypatch.setattr(listings, "_listed", lambda path: listed.append(path) or list_folder(path))
    monkeypatch.setattr(
        reader, "contents_of", lambda *given: arranged.append(given) or contents_of(*given)
    )
    nwb_ophys.open(folder)
    assert listed.count(str(folder)) == 1
    assert len(arranged) == 1
    (folder / "TSeries-1_Cycle00001_Ch1_000013.ome.tif").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 more in its folder"):
        nwb_ophys.open(folder)
    assert listed.count(str(folder)) == 2


def test_a_recording_without_its_last_sample_is_named_each_time(tmp_path: Path) -> None:
    """Fault: what was found at the first look is kept, and its warning is not repeated."""
    folder = write_bruker(tmp_path / "TSeries-1", {1: MOVIE, 2: MOVIE + 1})
    (folder / "TSeries-1_Cycle00001_Ch1_000012.ome.tif").unlink()
    xml = folder / "TSeries-1.xml"
    with listings.listed_once():
        for _ in range(2):
            with pytest.warns(UserWarning, match="the last of 12 samples is left out"):
                reader.open_prairie_recording(xml)


def test_nothing_is_kept_outside_of_a_block(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    assert PathProbe(tmp_path).names(".tif") == ["a.tif"]
    (tmp_path / "b.tif").write_bytes(b"")
    assert PathProbe(tmp_path).names(".tif") == ["a.tif", "b.tif"]
    with listings.listed_once():
        assert len(PathProbe(tmp_path).names(".tif")) == 2
        (tmp_path / "c.tif").write_bytes(b"")
        with listings.listed_once():
            assert len(PathProbe(tmp_path).names(".tif")) == 2
    assert len(PathProbe(tmp_path).names(".tif")) == 3
