"""Chunks of Zarr stores that are uploaded, and leave the disk, while others are written."""

from __future__ import annotations

import tempfile

import fsspec
import numpy as np
import pytest
import zarr

from nwb_ophys.errors import OutputError
from nwb_ophys.storage import BackendConfiguration, repack, uploads
from nwb_ophys.storage.remote_targets import _MARK

from .conftest import METADATA
from .test_output import DATA, _is_plain, _nothing_is_left, _values

NAME = "session.nwb.zarr"
CHUNK_BYTES = 1_000_000
SMALL = BackendConfiguration(backend="zarr", chunk_mb=CHUNK_BYTES / 1e6, compression="none")
WORKERS = 2


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A folder of its own for what is written beside."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.fixture
def stream(recording):
    def call(target, progress=False, **options):
        settings = {"configuration": SMALL, "workers": WORKERS, **options}
        return recording.run_conversion(target, metadata=METADATA, progress=progress, **settings)

    return call


def _size_of(folder):
    sizes = []
    for each in folder.rglob("*"):
        try:
            sizes.append(each.stat().st_size if each.is_file() else 0)
        except FileNotFoundError:
            continue
    return sum(sizes)


class _Failing:
    """Report of progress that fails when half of the data are written."""

    def __call__(self, progress):
        if progress.num_bytes > progress.total_bytes / 2:
            raise KeyError("half")


def test_the_disk_holds_few_chunks_at_any_time(bucket, stream, temporary, tmp_path, monkeypatch):
    most = 2 * CHUNK_BYTES
    monkeypatch.setattr(uploads, "WAITING_BYTES", most)
    found = []
    stream(f"{bucket.url}/{NAME}", lambda _: found.append(_size_of(temporary)), verify=True)
    local = stream(tmp_path / NAME)
    own = {each.relative_to(tmp_path).as_posix(): each for each in local.rglob("*")}
    own = {key: each for key, each in own.items() if each.is_file()}
    assert set(bucket.keys) == set(own)
    chunks = [key for key in own if f"{DATA}/" in key and not key.endswith((".zarray", ".zattrs"))]
    assert all(bucket.get(key) == own[key].read_bytes() for key in chunks)
    total = sum(own[key].stat().st_size for key in chunks)
    assert max(found) <= most + WORKERS * CHUNK_BYTES + 1_000_000 < total / 2


def test_a_failed_conversion_removes_what_it_uploaded(bucket, stream):
    bucket.put(f"{NAME}-of-others", b"notes")
    with pytest.raises(KeyError, match="half"):
        stream(f"{bucket.url}/{NAME}", _Failing())
    put = {path for method, path, _ in bucket.app.requests if method == "PUT"}
    assert any(path.endswith(f"{DATA}/0.0.0") for path in put)
    assert set(bucket.keys) == {f"{NAME}-of-others"}


@pytest.mark.parametrize("how", [{"status": 500}, {"cuts": True}])
def test_a_chunk_that_is_refused_ends_the_conversion(bucket, stream, how):
    bucket.app.fail("PUT", path=f"{DATA}/2.0.0", **how)
    with pytest.raises(OutputError) as caught:
        stream(f"{bucket.url}/{NAME}")
    assert _is_plain(caught.value, f"'{bucket.url}/{NAME}' cannot be uploaded", "4 attempts")
    assert "frames" not in str(caught.value)
    assert _nothing_is_left(bucket)


def test_a_chunk_that_is_refused_once_is_sent_again(bucket, stream, movie, tmp_path):
    faults = [
        bucket.app.fail("PUT", path=f"{DATA}/2.0.0", times=1),
        bucket.app.fail("PUT", path=f"{DATA}/5.0.0", times=1, cuts=True),
    ]
    stream(f"{bucket.url}/{NAME}")
    assert all(each.reached.is_set() for each in faults)
    assert np.array_equal(_values(bucket, NAME, tmp_path), np.load(movie).transpose(0, 2, 1))


def test_a_chunk_that_the_store_changed_is_noticed_by_a_verification(bucket, stream, monkeypatch):
    put = uploads.put_file

    def altered(store, local, path, **how):
        if path.endswith(f"{DATA}/3.0.0"):
            values = np.fromfile(local, "u1")
            values[1000] ^= 1
            values.tofile(local)
        put(store, local, path, **how)

    monkeypatch.setattr(uploads, "put_file", altered)
    with pytest.raises(OutputError, match="what is in the file is not what was stored"):
        stream(f"{bucket.url}/{NAME}", verify=True)
    assert _nothing_is_left(bucket)


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/streamed", recursive=True)


def _contents(memory):
    return {path: memory.cat_file(path) for path in memory.find("/streamed")}


URL = f"memory://streamed/{NAME}"


def _values_of(movie):
    values = zarr.open_consolidated(fsspec.get_mapper(URL))[DATA][:]
    return np.array_equal(values, np.load(movie).transpose(0, 2, 1))


def test_a_store_that_is_replaced_is_there_until_the_new_one_is_written(memory, stream):
    stream(URL)
    before = _contents(memory)
    with pytest.raises(KeyError, match="half"):
        stream(URL, _Failing(), overwrite=True)
    assert _contents(memory) == before


def test_an_incomplete_upload_is_replaced(memory, stream, movie):
    stream(URL)
    complete = set(_contents(memory))
    for name in (".zgroup", ".zattrs", ".zmetadata"):
        memory.rm_file(f"/streamed/{NAME}/{name}")
    memory.pipe_file(f"/streamed/{NAME}/{_MARK}", b"")
    memory.pipe_file(f"/streamed/{NAME}/{DATA}/99.0.0", b"old")
    stream(URL, overwrite=True)
    assert set(_contents(memory)) == complete
    assert _values_of(movie)


def test_another_process_that_writes_the_same_name_is_noticed(memory, stream):
    def other(progress):
        memory.pipe_file(f"/streamed/{NAME}/{_MARK}", b"of another process")

    with pytest.raises(OutputError) as caught:
        stream(URL, other)
    assert _is_plain(caught.value, "another process")
    names = {path.rpartition(f"{NAME}/")[2] for path in _contents(memory)}
    assert not {".zgroup", ".zmetadata"} & names


def test_a_copy_is_uploaded_chunk_by_chunk(memory, stream, movie, tmp_path, temporary, monkeypatch):
    monkeypatch.setattr(uploads, "WAITING_BYTES", CHUNK_BYTES)
    source = stream(tmp_path / "a.nwb", configuration=None, backend="hdf5")
    found = []
    repack(
        source,
        URL,
        configuration=SMALL,
        workers=WORKERS,
        progress=lambda _: found.append(_size_of(temporary)),
    )
    assert max(found) < np.load(movie).nbytes / 2
    assert _values_of(movie)
