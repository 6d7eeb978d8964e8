"""Zarr stores that are read in an object store."""

from __future__ import annotations

import json
import os
import pickle
import zlib

import fsspec
import h5py
import numcodecs.pickles
import pytest

import nwb_ophys
from nwb_ophys.cli import main
from nwb_ophys.errors import NwbOphysError, SourceError
from nwb_ophys.registry import formats
from nwb_ophys.remote import trees
from nwb_ophys.remote.paths import as_path
from nwb_ophys.remote.reading import changed_since
from nwb_ophys.storage import BackendConfiguration, repack
from nwb_ophys.testing import simulate_recording
from nwb_ophys.testing.samples import write_sample

from .conftest import KEY, METADATA
from .test_input import _converted, _is_same, _no_blocks_of_before
from .test_output import DATA

RECORDING = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
SMALL = BackendConfiguration(backend="zarr", chunk_mb=0.1, compression="gzip")

_caches = _no_blocks_of_before


@pytest.fixture(autouse=True)
def _no_listings_of_before():
    trees._TREES.clear()


@pytest.fixture(scope="session")
def stores(tmp_path_factory, movie):
    """A movie in chunks of 0.1 MB, and ROIs."""
    folder = tmp_path_factory.mktemp("stores")
    opened = nwb_ophys.open(movie, sampling_frequency=30.0)
    found = {"nwb": folder / "movie.nwb.zarr", "nwb-segmentation": folder / "rois.nwb.zarr"}
    opened.run_conversion(
        found["nwb"], metadata=METADATA, progress=False, configuration=SMALL, stub_test=True
    )
    opened.close()
    hints = write_sample(formats()["nwb-segmentation"], folder, RECORDING)
    repack(hints["file_path"], found["nwb-segmentation"], progress=False)
    return found


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    yield files
    if files.exists("/remote-input"):
        files.rm("/remote-input", recursive=True)


def _put(memory, store):
    memory.put(str(store), f"/remote-input/{store.name}", recursive=True)
    return f"memory://remote-input/{store.name}"


@pytest.fixture
def in_bucket(bucket, stores):
    store = stores["nwb"]
    for each in store.rglob("*"):
        if each.is_file():
            bucket.put(f"{store.name}/{each.relative_to(store).as_posix()}", each.read_bytes())
    bucket.app.requests.clear()
    return f"{bucket.url}/{store.name}"


@pytest.mark.parametrize("name", ["nwb", "nwb-segmentation"])
def test_contents_are_those_of_the_store_on_the_disk(memory, stores, name, tmp_path):
    url = _put(memory, stores[name])
    assert [each.format for each in nwb_ophys.detect(url)] == [name]
    local = _converted(stores[name], tmp_path / "local.nwb", {})
    remote = _converted(url, tmp_path / "remote.nwb", {})
    assert _is_same(local, remote)
    with h5py.File(remote) as file:
        record = json.loads(file["scratch/nwb_ophys_record"][()])
    paths = {each["path"]: each["hash"] for each in record["source_files"]}
    assert f"{stores[name].name}/.zgroup" in paths
    assert all(paths.values())
    with h5py.File(local) as file:
        own = json.loads(file["scratch/nwb_ophys_record"][()])
    assert {each["hash"] for each in own["source_files"]} == set(paths.values())


def test_requests_of_a_conversion(bucket, in_bucket, stores, tmp_path):
    """One detects the store, and each chunk is read about once, again after a fault."""
    number = sum(1 for each in stores["nwb"].rglob("*") if each.is_file())
    (found, *_) = nwb_ophys.detect(in_bucket)
    assert found.format == "nwb"
    assert len(bucket.app.requests) <= number
    assert not any(f"{DATA}/1.0.0" in path for _, path, _ in bucket.app.requests)
    faults = [
        bucket.app.fail("GET", path=f"{DATA}/2.0.0", times=1),
        bucket.app.fail("GET", path=f"{DATA}/3.0.0", times=1, cuts=True),
    ]
    written = _converted(in_bucket, tmp_path / "a.nwb", {})
    assert all(each.reached.is_set() for each in faults)
    assert _is_same(_converted(stores["nwb"], tmp_path / "b.nwb", {}), written)
    chunks = [path for method, path, _ in bucket.app.requests if method == "GET" and DATA in path]
    number = sum(each.name[0].isdigit() for each in (stores["nwb"] / DATA).iterdir())
    # The pixels, the hash of the source in the record, and the summary of the first frames.
    assert number <= len(chunks) <= 2 * number + 10


def _fails(opened, tmp_path):
    with pytest.raises(NwbOphysError) as caught:
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    opened.close()
    assert "movie.nwb.zarr" in str(caught.value)
    assert KEY not in str(caught.value)
    assert not list(tmp_path.iterdir())
    return True


def test_a_chunk_that_is_refused_is_an_error(bucket, in_bucket, tmp_path):
    opened = nwb_ophys.open(in_bucket)
    bucket.app.fail("GET", path=f"{DATA}/2.0.0")
    assert _fails(opened, tmp_path)


@pytest.mark.parametrize("fault", ["removed", "shortened"])
def test_a_chunk_that_is_lost_meanwhile_is_an_error(memory, stores, tmp_path, fault):
    opened = nwb_ophys.open(_put(memory, stores["nwb"]))
    chunk = f"/remote-input/{stores['nwb'].name}/{DATA}/2.0.0"
    data = memory.cat_file(chunk)
    memory.rm_file(chunk)
    if fault == "shortened":
        memory.pipe_file(chunk, data[:-1])
    assert _fails(opened, tmp_path)


def test_a_chunk_that_is_replaced_meanwhile_is_an_error(memory, stores, tmp_path):
    """Chunks of two versions of a store were written to one file."""
    opened = nwb_ophys.open(_put(memory, stores["nwb"]))
    chunk = f"/remote-input/{stores['nwb'].name}/{DATA}/2.0.0"
    memory.pipe_file(chunk, memory.cat_file(chunk))
    with opened, pytest.raises(SourceError, match=r"2\.0\.0' was replaced by another object"):
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    assert not list(tmp_path.iterdir())


def test_objects_are_compared_with_a_new_listing(memory, stores):
    store = as_path(_put(memory, stores["nwb"]))
    assert store.is_dir()
    files = [each for each in store.rglob("*") if each.is_file()]
    before = {each: (each.stat().st_size, each.stat().st_ino) for each in files}
    assert changed_since(before) == []
    chunk = store / DATA / "2.0.0"
    place = str(chunk).removeprefix("memory:/")
    memory.pipe_file(place, memory.cat_file(place))
    assert changed_since(before) == [chunk]


def test_a_chunk_that_was_never_there_is_an_error(memory, stores, tmp_path):
    url = _put(memory, stores["nwb"])
    memory.rm_file(f"/remote-input/{stores['nwb'].name}/{DATA}/2.0.0")
    with pytest.raises(SourceError, match="lacks 1 of"):
        _converted(url, tmp_path / "a.nwb", {})


def test_a_store_that_is_written_again_is_read_as_it_is_then(memory, stores, monkeypatch):
    monkeypatch.setattr(trees, "_SECONDS", 0.0)
    url = _put(memory, stores["nwb"])
    assert [each.format for each in nwb_ophys.detect(url)] == ["nwb"]
    memory.rm(f"/remote-input/{stores['nwb'].name}", recursive=True)
    memory.put(str(stores["nwb-segmentation"]), f"/remote-input/{stores['nwb'].name}", True)
    nwb_ophys.remote.reading._info.cache_clear()
    assert [each.format for each in nwb_ophys.detect(url)] == ["nwb-segmentation"]


class _Call:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def _change(memory, store, array, chunk, **header):
    place = f"/remote-input/{store.name}/{array}"
    stated = {**json.loads(memory.cat_file(f"{place}/.zarray")), **header}
    memory.pipe_file(f"{place}/.zarray", json.dumps(stated).encode())
    copies = json.loads(memory.cat_file(f"/remote-input/{store.name}/.zmetadata"))
    copies["metadata"][f"{array}/.zarray"] = stated
    memory.pipe_file(f"/remote-input/{store.name}/.zmetadata", json.dumps(copies).encode())
    for each in memory.ls(place, detail=False):
        if each.rpartition("/")[2][0].isdigit():
            memory.pipe_file(each, chunk)


@pytest.mark.parametrize("name", [DATA, "session_description"])
def test_pickles_are_not_decoded(memory, stores, tmp_path, monkeypatch, name, capsys):
    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    monkeypatch.chdir(tmp_path)
    url = _put(memory, stores["nwb"])
    filters = [{"id": "pickle", "protocol": 4}]
    _change(
        memory, stores["nwb"], name, pickle.dumps(_Call()), dtype="|O", filters=filters,
        compressor=None,
    )  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main(["convert", url, "-o", str(tmp_path / "b.nwb")])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert "holds pickles (codec 'pickle')" in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")  # of the difference from the record
@pytest.mark.parametrize("name", [DATA, "acquisition/TwoPhotonSeries/starting_time"])
def test_chunks_that_inflate_beyond_their_shape_are_not_decoded(memory, stores, tmp_path, name):
    url = _put(memory, stores["nwb"])
    bomb = zlib.compress(bytes(80_000_000))
    _change(
        memory, stores["nwb"], name, bomb, compressor={"id": "zlib", "level": 1}, filters=None
    )  # fmt: skip
    with pytest.raises(NwbOphysError, match="inflates to more"):
        _converted(url, tmp_path / "a.nwb", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["/etc", "../other.nwb.zarr", "file:///etc", "s3://b/other"])
@pytest.mark.parametrize("kind", ["link", "reference"])
def test_references_to_other_stores_are_refused(memory, stores, tmp_path, source, kind):
    url = _put(memory, stores["nwb"])
    place = f"/remote-input/{stores['nwb'].name}/acquisition/TwoPhotonSeries/.zattrs"
    stated = json.loads(memory.cat_file(place))
    target = {"source": source, "path": "/acquisition/a"}
    if kind == "link":
        stated["zarr_link"] = [{"name": "other", **target}]
    else:
        stated["other"] = {"dtype": "object", "value": target}
    memory.pipe_file(place, json.dumps(stated).encode())
    with pytest.raises(SourceError) as caught:
        nwb_ophys.open(url)
    assert "names the other store" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
