"""Stores of Zarr format 3 in object stores: shards that are uploaded when they are complete."""

from __future__ import annotations

import tempfile

import fsspec
import numpy as np
import pytest
import zarr

from nwb_ophys.storage import create_nwbfile, uploads
from nwb_ophys.storage.write import WriteOptions

from .conftest import DATA, VALUES, in_chunks, new_file

FOLDER = "/of-zarr-3"
URL = f"memory:/{FOLDER}/a.nwb.zarr"


@pytest.fixture(autouse=True)
def memory():
    files = fsspec.filesystem("memory")
    yield files
    files.rm(FOLDER, recursive=True)


def _contents(memory):
    start = len(FOLDER) + 1
    return {path[start:]: memory.cat_file(path) for path in memory.find(FOLDER)}


def test_shards_leave_the_disk_when_they_are_complete(memory, small_shards, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(uploads, "WAITING_BYTES", 1)
    found = []

    def look(_):
        shards = [each for each in (tmp_path / "temporary").rglob("c/*/*/*") if each.is_file()]
        found.append(len(shards))

    nwbfile = new_file(a=in_chunks(VALUES, (10, 12, 5)))
    options = WriteOptions(workers=2, verify=True, progress=look)
    create_nwbfile(nwbfile, URL, backend="zarr", options=options)
    assert max(found) <= 3  # two that are written, and one that waits
    assert not list((tmp_path / "temporary").iterdir())
    local = create_nwbfile(nwbfile, tmp_path / "a.nwb.zarr", backend="zarr", options=options)
    files = {each.relative_to(tmp_path).as_posix() for each in local.rglob("*") if each.is_file()}
    contents = _contents(memory)
    assert set(contents) == files
    assert sum(f"{DATA}/c/" in each for each in files) == 5
    store = fsspec.get_mapper(URL)
    for name, data in store.items():
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "copy", mode="r")[DATA][:], VALUES)
