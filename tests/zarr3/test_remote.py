"""Stores of Zarr format 3 in object stores: shards that are uploaded when they are complete."""

from __future__ import annotations

import tempfile

import fsspec
import h5py
import numpy as np
import pytest
import zarr

import nwb_ophys
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.registry import formats
from nwb_ophys.remote import trees
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage import create_nwbfile, repack, uploads
from nwb_ophys.storage.backends.registry import all_backends, get_backend
from nwb_ophys.storage.backends.zarr_claims import layout_of
from nwb_ophys.storage.backends.zarr_places import checksum
from nwb_ophys.storage.write import WriteOptions
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

from .conftest import DATA, VALUES, in_chunks, new_file

FOLDER = "/of-zarr-3"
METADATA = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
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


def _put(memory, store):
    memory.put(str(store), f"{FOLDER}/{store.name}", recursive=True)
    return f"memory:/{FOLDER}/{store.name}"


def _converted(source, target):
    opened = nwb_ophys.open(source)
    try:
        path = opened.run_conversion(target, metadata=METADATA, progress=False)
    finally:
        opened.close()
    with h5py.File(path) as file:
        return file["acquisition/TwoPhotonSeries/data"][:]


@pytest.fixture
def movie(tmp_path):
    recording = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
    (path,) = write_sample(formats()["nwb"], tmp_path, recording).values()
    trees._TREES.clear()
    return repack(path, tmp_path / "movie.nwb.zarr", progress=False)


def test_a_movie_is_read(memory, movie, tmp_path):
    url = _put(memory, movie)
    assert [each.format for each in nwb_ophys.detect(url)] == ["nwb"]
    remote = _converted(url, tmp_path / "a.nwb")
    np.testing.assert_array_equal(remote, _converted(movie, tmp_path / "b.nwb"))


def _array(url):
    trees._TREES.clear()
    return get_backend("zarr").dataset_in(as_path(url), DATA)


def test_shards_are_read_whole_and_in_parts(memory, store):
    array = _array(_put(memory, store))
    np.testing.assert_array_equal(array[:], VALUES)
    np.testing.assert_array_equal(array[33:35, 2:4, 7:9], VALUES[33:35, 2:4, 7:9])


@pytest.mark.parametrize("selection", [slice(None), (slice(0, 2), slice(0, 1), slice(0, 1))])
@pytest.mark.parametrize("part", ["chunk", "index"])
def test_a_shard_that_contradicts_itself_is_not_decoded(memory, store, part, selection):
    url = _put(memory, store)
    layout = layout_of(store / DATA)
    shard = f"{FOLDER}/{store.name}/{DATA}/c/0/0/0"
    content = bytearray(memory.cat_file(shard))
    start, _ = np.frombuffer(content[:16], "<u8").tolist()
    if part == "chunk":  # Blosc states the number of bytes in its header
        content[start + 4 : start + 8] = (1 << 30).to_bytes(4, "little")
    else:
        content[8:16] = (1 << 40).to_bytes(8, "little")
        end = layout.index_bytes - 4
        content[end : end + 4] = checksum(bytes(content[:end]))
    memory.pipe_file(shard, bytes(content))
    with pytest.raises(Exception, match=r".") as caught:  # Zarr groups errors of parts
        _array(url)[selection]
    error = caught.value
    while hasattr(error, "exceptions"):
        error = error.exceptions[0]
    assert isinstance(error, CorruptSourceError)
    assert f"'{url}/{DATA}'" in str(error)
    said = "states blocks that lie outside it" if part == "chunk" else "names bytes beyond its end"
    assert said in str(error)


def test_a_store_of_format_2_is_read(memory, format_2):
    url = _put(memory, format_2)
    trees._TREES.clear()
    (found,) = [each for each in all_backends() if each.zarr_format == 2]
    with found.open(as_path(url), "r") as io:
        remote = {name: each.data[:] for name, each in io.read().acquisition.items()}
    with found.open(format_2, "r") as io:
        local = {name: each.data[:] for name, each in io.read().acquisition.items()}
    assert remote.keys() == local.keys()
    for name, values in local.items():
        np.testing.assert_array_equal(remote[name], values)
