"""Recordings that are folders in an object store."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import tempfile
import warnings
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractFileSystem

import nwb_ophys
from nwb_ophys.certification.verifying import verify
from nwb_ophys.cli import main
from nwb_ophys.errors import NwbOphysError, SourceError
from nwb_ophys.interfaces import provenance
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import formats
from nwb_ophys.remote import arrays, local_copies, reading, stores, trees
from nwb_ophys.remote.arrays import StoredRows, whole_array
from nwb_ophys.remote.paths import as_path
from nwb_ophys.sessions.batch import plan_sessions, sessions_of
from nwb_ophys.sessions.running import run_session
from nwb_ophys.sessions.session import Share
from nwb_ophys.testing import simulate_recording, write_miniscope
from nwb_ophys.testing.samples import write_sample

from .conftest import KEY, METADATA, SECRET
from .test_input import _converted, _is_same, _no_blocks_of_before

FOLDERS = ("miniscope", "bruker", "thor", "suite2p", "suite2p-movie", "minian", "minian-movie")
OTHERS = (
    *("tiff", "scanimage", "ome-tiff", "ndtiff", "micromanager", "metamorph", "femtonics"),
    *("scanbox", "inscopix", "inscopix-cells", "memmap", "sima"),
)
REAL = (
    "bruker/NCCR32_2022_11_03_IntoTheVoid_t_series-005",
    "bruker_linescan/LineScan-02052019-1234-2683",
    "thor/20231018-002",
    "suite2p/two_planes_two_channels",
    "minian/segmented_data_3units_100frames",
)
RECORDING = simulate_recording(num_samples=20, num_rows=24, num_columns=34, num_cells=3)
PLACE = "/remote-folders"

_caches = _no_blocks_of_before


@pytest.fixture(autouse=True)
def _no_listings_of_before():
    trees._TREES.clear()


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    yield files
    if files.exists(PLACE):
        files.rm(PLACE, recursive=True)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Return the folder of a sample, and the arguments with which it is opened."""
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name) / name
            folder.mkdir()
            hints = write_sample(formats()[name], folder, RECORDING)
            paths = [value for key, value in hints.items() if key.endswith("_path")]
            given = paths[0] if paths and paths[0].is_dir() else folder
            made[name] = given, {k: v for k, v in hints.items() if not k.endswith("_path")}
        return made[name]

    yield of
    for folder, _ in made.values():
        shutil.rmtree(folder)


def _put(memory, folder):
    memory.put(str(folder), f"{PLACE}/{folder.name}", recursive=True)
    return f"memory:/{PLACE}/{folder.name}"


def _put_in_bucket(bucket, folder, place="lab"):
    for each in folder.rglob("*"):
        if each.is_file():
            name = each.relative_to(folder).as_posix()
            bucket.put(f"{place}/{folder.name}/{name}", each.read_bytes())
    bucket.app.requests.clear()
    bucket.app.ranges.clear()
    return f"{bucket.url}/{place}/{folder.name}"


def _detected(path):
    root = as_path(path)
    return [(each.format, str(each.path.relative_to(root))) for each in nwb_ophys.detect(path)]


def _record(path):
    with h5py.File(path) as file:
        return json.loads(file["scratch/nwb_ophys_record"][()])


@pytest.mark.parametrize("name", [*FOLDERS, *OTHERS])
def test_contents_are_those_of_the_folder_on_the_disk(memory, sample, name, tmp_path):
    folder, hints = sample(name)
    url = _put(memory, folder)
    assert _detected(url) == _detected(folder) != []
    local = _converted(folder, tmp_path / "local.nwb", hints)
    remote = _converted(url, tmp_path / "remote.nwb", hints)
    assert _is_same(local, remote)
    hashes = [{each["hash"] for each in _record(path)["source_files"]} for path in (local, remote)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("name", ["numpy", "numpy-segmentation"])
def test_arrays_in_npy_files(memory, name, tmp_path):
    raw, written = tmp_path / "raw", []
    raw.mkdir()
    hints = write_sample(formats()[name], raw, RECORDING)
    url = _put(memory, raw)
    remote = {
        key: f"{url}/{value.name}" if isinstance(value, Path) else value
        for key, value in hints.items()
    }
    for number, arguments in enumerate((hints, remote)):
        opened = formats()[name].load()(**arguments)
        target = tmp_path / f"{number}.nwb"
        written.append(opened.run_conversion(target, metadata=METADATA, progress=False))
    assert _is_same(*written)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "mmap"])
def test_movies_in_either_order(memory, tmp_path, monkeypatch, order, kind):
    """An array whose slowest axis is not time is fetched as a whole."""
    monkeypatch.setattr(arrays, "MOST_IN_MEMORY", 1)
    values = np.arange(6 * 8 * 5, dtype="<f4").reshape(6, 8, 5)
    folder = tmp_path / "raw"
    folder.mkdir()
    if kind == "npy":
        path = folder / "movie.npy"
        np.save(path, np.asarray(values, order=order))
    else:
        path = folder / f"memmap_d1_8_d2_5_d3_1_order_{order}_frames_6_.mmap"
        pixels = values.transpose(0, 2, 1).reshape(6, 40)  # whose first axis is the fastest
        path.write_bytes((pixels if order == "F" else pixels.T).tobytes())
    url = _put(memory, folder)
    for place in (path, f"{url}/{path.name}"):
        with nwb_ophys.open(place, sampling_frequency=30.0) as opened:
            np.testing.assert_array_equal(opened.extractor.get_series(), values)
            np.testing.assert_array_equal(opened.extractor.get_series(2, 4), values[2:4])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REAL)
def test_real_recordings(memory, data_folder, name, tmp_path):
    folder = data_folder / name
    url = _put(memory, folder)
    assert _detected(url) == _detected(folder) != []
    local = _converted(folder, tmp_path / "local.nwb", {})
    assert _is_same(local, _converted(url, tmp_path / "remote.nwb", {}))


@pytest.mark.parametrize("name", ["bruker", "thor", "suite2p", "minian"])
def test_requests_of_a_conversion(bucket, sample, name, tmp_path, monkeypatch):
    """Each folder is listed once to read it, and once at the end to compare the versions."""
    for module in (reading, trees):  # however slow the computer is
        monkeypatch.setattr(module, "_SECONDS", 1e6)
    folder, hints = sample(name)
    url = _put_in_bucket(bucket, folder)
    opened = nwb_ophys.open(url, **hints)
    queries = [query for *_, query in bucket.app.requests if "list-type" in query]
    # The kind of the given place is asked for with one object, and the store is listed once.
    listings = [query for query in queries if "max-keys" not in query.lower()]
    assert len(listings) == len(set(listings)), sorted(listings)
    heads = [path for method, path, _ in bucket.app.requests if method == "HEAD"]
    assert len(heads) <= 3  # of the given folder, and of a table of times in the one around it
    with opened:
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    read = [path for method, path, query in bucket.app.requests if method == "GET" and not query]
    files = sum(each.is_file() for each in folder.rglob("*"))
    # A look at the header, the pixels, and the hash in the record.
    assert len(read) <= 3 * files + 10
    record = _record(tmp_path / "a.nwb")
    tags = {
        each["Key"].removeprefix("lab/"): each["ETag"].strip('"')
        for each in bucket.client.list_objects_v2(Bucket=bucket.name)["Contents"]
    }
    assert {each["path"]: each["version"] for each in record["source_files"]} == tags
    assert SECRET not in json.dumps(record)


@pytest.mark.parametrize("how", [{"status": 503, "code": "SlowDown"}, {"cuts": True}])
def test_a_listing_that_fails_once_is_repeated(bucket, sample, tmp_path, how):
    folder, _ = sample("bruker")
    url = _put_in_bucket(bucket, folder)
    fault = bucket.app.fail("GET", query="list-type", times=1, **how)
    written = _converted(url, tmp_path / "a.nwb", {})
    assert fault.reached.is_set()
    assert _is_same(_converted(folder, tmp_path / "b.nwb", {}), written)


def test_a_listing_whose_second_part_fails_is_an_error(bucket, sample, monkeypatch):
    """Half of the images would be a shorter recording."""
    folder, _ = sample("bruker")
    url = _put_in_bucket(bucket, folder)
    as_listed = bucket.app.__class__.__call__

    def by_fives(self, environ, start_response):
        query = environ["QUERY_STRING"]
        if "list-type" in query and "max-keys" not in query:
            environ["QUERY_STRING"] = f"{query}&max-keys=5"
        return as_listed(self, environ, start_response)

    monkeypatch.setattr(bucket.app.__class__, "__call__", by_fives)
    assert _detected(url) == [("bruker", ".")]
    _forget()
    bucket.app.fail("GET", query="continuation-token", status=403, code="AccessDenied")
    with pytest.raises(SourceError, match="cannot be listed: the store denies access") as caught:
        nwb_ophys.open(url)
    assert KEY not in str(caught.value)


def _forget():
    trees._TREES.clear()
    reading._entries.cache_clear()
    reading._info.cache_clear()


def _fails(opened, tmp_path, match):
    with opened, pytest.raises(NwbOphysError, match=match) as caught:
        opened.run_conversion(tmp_path / "a.nwb", metadata=METADATA, progress=False)
    assert KEY not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bruker", "thor", "suite2p-movie", "minian-movie"])
@pytest.mark.parametrize("fault", ["removed", "replaced", "refused"])
def test_an_object_that_is_lost_after_the_listing(
    bucket, sample, tmp_path, monkeypatch, name, fault
):
    monkeypatch.setattr(trees, "SMALL_BYTES", 300)  # which are fetched with the listing
    folder, hints = sample(name)
    url = _put_in_bucket(bucket, folder)
    opened = nwb_ophys.open(url, **hints)
    reading._block.cache_clear()
    reading._small_block.cache_clear()
    endings = (".tif", ".bin", "1.0.0", "0.0.0")
    key = [each for each in sorted(bucket.keys) if each.endswith(endings)][-1]
    if fault == "removed":
        bucket.client.delete_object(Bucket=bucket.name, Key=key)
    elif fault == "replaced":
        bucket.put(key, bytes(len(bucket.get(key))))
    else:
        bucket.app.fail("GET", path=key, status=403, code="AccessDenied")
    reason = {"removed": "removed", "replaced": "was replaced", "refused": "denies access"}[fault]
    _fails(opened, tmp_path, rf"{key.rpartition('/')[2]}.*{reason}")


class _WithoutFind(MemoryFileSystem):
    """A store whose package lists folders one by one, and leaves out those that fail."""

    protocol = "walked"
    store, pseudo_dirs = {}, [""]
    find, walk = AbstractFileSystem.find, AbstractFileSystem.walk
    refused = ""

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("walked://", "memory://"))

    def ls(self, path, detail=True, **how):
        if self.refused and path.rstrip("/").endswith(self.refused):
            raise OSError("The folder cannot be listed.")
        return super().ls(path, detail, **how)


def test_a_folder_that_a_package_leaves_out_is_an_error(sample, tmp_path, monkeypatch):
    folder, hints = sample("minian-movie")
    fsspec.register_implementation("walked", _WithoutFind, clobber=True)
    monkeypatch.setattr(stores, "_FIRST_PAUSE", 0.0)
    fsspec.filesystem("walked").put(str(folder), "/lab", recursive=True)
    written = _converted("walked://lab", tmp_path / "a.nwb", hints)
    assert _is_same(_converted(folder, tmp_path / "b.nwb", hints), written)
    _forget()
    monkeypatch.setattr(_WithoutFind, "refused", "Y_fm_chk.zarr/Y_fm_chk")
    with pytest.raises(SourceError, match="cannot be listed"):
        nwb_ophys.open("walked://lab", **hints)


def test_a_session_of_several_recordings(memory, sample, tmp_path):
    session = tmp_path / "session"
    for name in ("bruker", "suite2p"):
        shutil.copytree(sample(name)[0], session / name)
    url = _put(memory, session)
    assert _detected(url) == _detected(session) != []
    local = _converted(session, tmp_path / "local.nwb", {})
    assert _is_same(local, _converted(url, tmp_path / "remote.nwb", {}))


def test_any_file_of_a_recording_is_the_recording(memory, sample, tmp_path):
    folder, _ = sample("bruker")
    url = _put(memory, folder)
    image = sorted(folder.glob("*.tif"))[3]
    remote = _converted(f"{url}/{image.name}", tmp_path / "a.nwb", {})
    assert _is_same(_converted(folder, tmp_path / "b.nwb", {}), remote)


def test_sizes_and_copies_are_those_of_the_disk(memory, sample, tmp_path):
    folder = tmp_path / "thor"
    shutil.copytree(sample("thor")[0], folder)
    image = sorted(folder.glob("*.tif"))[0]
    shutil.copy(image, folder / f"{image.stem} (1).tif")
    (folder / f"{image.stem} (2).tif").write_bytes(image.read_bytes()[::-1])
    own, other = PathProbe(folder), PathProbe(as_path(_put(memory, folder)))
    assert dict(other.sizes) == dict(own.sizes)
    assert len(other.sizes) == len(own.file_names)
    assert dict(other.copies) == dict(own.copies) == {f"{image.stem} (1).tif": image.name}
    assert other.file_names == own.file_names


class _Call:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("name", ["ops.npy", "stat.npy"])
def test_pickles_run_no_code(memory, sample, tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    url = _put(memory, sample("suite2p")[0])
    held = np.array([_Call()], dtype=object)
    place = next(p for p in memory.find(PLACE) if p.endswith(f"plane0/{name}"))
    with memory.open(place, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": (1,)}
        )
        pickle.dump(held, file)
    with pytest.raises(SystemExit) as ended:
        main(["convert", url, "-o", str(tmp_path / "a.nwb")])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"{name}' holds more than plain data" in said or "trust_pickles" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_commands(bucket, sample, tmp_path, capsys):
    folder, _ = sample("bruker")
    url = _put_in_bucket(bucket, folder)
    target = str(tmp_path / "a.nwb")
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    for arguments, said in (
        (["detect", url], "bruker (imaging)"),
        (["convert", url, "-o", target, "--no-progress", "--set", start], ""),
        (["verify", target, url], "be deleted? Yes"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        assert said in printed.out
        assert SECRET not in printed.out + printed.err
    key = sorted(each for each in bucket.keys if each.endswith(".tif"))[0]
    bucket.put(key, bucket.get(key)[:-1] + b"\x01")
    _forget()
    with pytest.raises(SystemExit) as ended:
        main(["verify", target, url])
    assert ended.value.code != 0 or "be deleted? Yes" not in capsys.readouterr().out


@pytest.mark.parametrize("is_downloaded", [False, True])
def test_objects_without_a_hash_in_the_record(memory, sample, tmp_path, monkeypatch, is_downloaded):
    """Of the objects of a folder only some are hashed; others have a version."""
    monkeypatch.setattr(provenance, "_MOST_HASHED", 2)
    folder, _ = sample("bruker")
    url = _put(memory, folder)
    written = _converted(url, tmp_path / "a.nwb", {})
    files = _record(written)["source_files"]
    assert sum(each["hash"] is not None for each in files) == 2
    assert all(each["version"] for each in files)
    report = verify(written, folder if is_downloaded else url)
    assert report.answer.is_yes, report.answer
    assert report.answer.is_sampled


def _decision(lab):
    (planned,) = plan_sessions(sessions_of(lab))
    return planned.decision.act, planned.decision.why


def test_a_batch_converts_a_folder_again_when_an_object_changed(
    memory, sample, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder, _ = sample("bruker")
    url = _put(memory, folder)
    session = {"paths": [url], "subject_id": "M1"}
    lab = {"output": f"{url}/{{subject_id}}.nwb", "metadata": METADATA, "sessions": [session]}
    (session,) = sessions_of(lab)
    state = run_session(session, Share(workers=0, buffer_gb=0.1))
    assert state.state == "done", state.reason
    assert _decision(lab) == ("skip", "done")
    image = sorted(folder.glob("*.tif"))[0]
    memory.pipe_file(f"{PLACE}/{folder.name}/{image.name}", image.read_bytes())
    assert _decision(lab) == ("convert", "source files changed")


def test_a_batch_asks_a_store_once_about_each_place(memory, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = _put(memory, sample("bruker")[0])
    lab = {
        "output": f"memory:/{PLACE}/{{subject_id}}.nwb",
        "metadata": METADATA,
        "sessions": [{"paths": [url], "subject_id": "M1"}],
    }
    asked, as_before = [], stores.Store.info

    def info(store, *where):
        asked.append(store.path)
        return as_before(store, *where)

    monkeypatch.setattr(stores.Store, "info", info)
    assert _decision(lab) == ("convert", "new")
    assert len(asked) == len(set(asked)) == 1
    (session,) = sessions_of(lab)
    assert run_session(session, Share(workers=0, buffer_gb=0.1)).state == "done"
    asked.clear()
    assert _decision(lab) == ("skip", "done")
    assert len(asked) == len(set(asked)) == 2


@pytest.fixture
def times(memory, tmp_path):
    """A movie, and files of the times of its frames."""
    folder, stated = tmp_path / "raw", np.arange(20) / 10 + 5
    folder.mkdir()
    np.save(folder / "movie.npy", np.zeros((20, 24, 34), "u2"))
    np.savez(folder / "a.npz", times=stated, other=stated * 2)
    (folder / "b.csv").write_text("time,x\n" + "".join(f"{each},1\n" for each in stated))
    with h5py.File(folder / "c.h5", "w") as file:
        file["times"] = stated
    return _put(memory, folder)


@pytest.mark.parametrize("name", ["a.npz::times", "b.csv::time", "c.h5::times"])
def test_times_in_a_store(times, tmp_path, name):
    arguments = ["convert", f"{times}/movie.npy", "-o", str(tmp_path / "a.nwb"), "--no-progress"]
    start = "NWBFile.session_start_time=2024-05-17T14:30:00+02:00"
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--times", f"{times}/{name}", "--set", start])
    assert ended.value.code == 0
    with h5py.File(tmp_path / "a.nwb") as file:
        found = file["acquisition/TwoPhotonSeries/starting_time"]
        assert (found[()], found.attrs["rate"]) == (5.0, 10.0)


def test_times_of_a_batch_in_a_store(memory, times, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = {
        "output": f"{tmp_path}/{{subject_id}}.nwb",
        "metadata": METADATA,
        "times": f"{times}/b.csv::time",
        "sessions": [{"paths": [f"{times}/movie.npy"], "subject_id": "M1"}],
    }
    (session,) = sessions_of(lab)
    state = run_session(session, Share(workers=0, buffer_gb=0.1))
    assert state.state == "done", state.reason
    assert _decision(lab) == ("skip", "done")
    memory.pipe_file(f"{PLACE}/raw/b.csv", b"time\n1\n")
    assert _decision(lab) == ("convert", "source files changed")


def test_a_name_with_two_colons(bucket):
    """fsspec takes them for a chain of file systems."""
    bucket.put("a::b.txt", b"text")
    assert as_path(f"{bucket.url}/a::b.txt").read_bytes() == b"text"


def _numbers(memory, shape=(40, 6, 5)):
    values = np.arange(np.prod(shape), dtype="<i2").reshape(shape)
    memory.pipe_file(f"{PLACE}/numbers", b"head" + values.tobytes())
    return as_path(f"memory:/{PLACE}/numbers"), values


SELECTIONS = [
    3, -1, slice(None), slice(5, 31), slice(30, 4, -3), slice(7, 7), [1, 9, 3, 3],
    (slice(2, 20, 4), slice(None), 2), (4, slice(1, 3)), (..., 0), np.arange(40) % 3 == 0,
]  # fmt: skip


@pytest.mark.parametrize("selection", SELECTIONS)
def test_rows_are_those_of_numpy(memory, monkeypatch, selection):
    monkeypatch.setattr(arrays, "PART_BYTES", 200)
    path, values = _numbers(memory)
    rows = StoredRows(path, values.dtype, values.shape, 4)
    np.testing.assert_array_equal(rows[selection], values[selection])
    np.testing.assert_array_equal(rows.head(7), values[:7])


def test_rows_of_an_object_that_was_replaced(memory):
    path, values = _numbers(memory)
    rows = StoredRows(path, values.dtype, values.shape, 4)
    memory.pipe_file(f"{PLACE}/numbers", b"head" + bytes(values.nbytes))
    reading._info.cache_clear()
    with pytest.raises(SourceError, match="was replaced"):
        rows[:]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("most", [1, 1 << 20])
def test_whole_arrays_in_memory_and_in_a_file(memory, monkeypatch, order, most):
    monkeypatch.setattr(arrays, "PART_BYTES", 200)
    monkeypatch.setattr(arrays, "MOST_IN_MEMORY", most)
    path, values = _numbers(memory)
    found = whole_array(path, values.dtype, values.shape, 4, order)
    flat = values.reshape(-1)
    np.testing.assert_array_equal(found, flat.reshape(values.shape, order=order))
    assert whole_array(path, values.dtype, values.shape, 4, order) is found


def test_a_disk_that_is_too_small_for_an_array(memory, monkeypatch):
    monkeypatch.setattr(arrays, "MOST_IN_MEMORY", 1)
    monkeypatch.setattr(arrays.shutil, "disk_usage", lambda _: os.terminal_size((0, 0)) and _Full())
    path, values = _numbers(memory)
    with pytest.raises(SourceError, match="Set TMPDIR to a folder with more space"):
        whole_array(path, values.dtype, values.shape, 4)


class _Full:
    free = 100


def test_a_text_in_a_store(memory):
    memory.pipe_file(f"{PLACE}/a.csv", "\ufeffä\r\nb".encode())
    path = as_path(f"memory:/{PLACE}/a.csv")
    assert path.read_text(encoding="utf-8-sig") == "ä\nb"
    with warnings.catch_warnings(), path.open(encoding="utf-8", newline="") as file:
        assert list(file) == ["\ufeffä\r\n", "b"]


@pytest.mark.parametrize("name", ["bruker", "minian"])
def test_a_bucket_is_a_folder(bucket, sample, tmp_path, name):
    """The place around it is no object, and not asked for."""
    folder, _ = sample(name)
    for each in (each for each in folder.rglob("*") if each.is_file()):
        bucket.put(each.relative_to(folder).as_posix(), each.read_bytes())
    bucket.put("marker/", b"")  # as consoles mark folders
    hints = {"sampling_frequency": 20.0} if name == "minian" else {}
    local = _converted(folder, tmp_path / "a.nwb", hints)
    assert _is_same(local, _converted(bucket.url, tmp_path / "b.nwb", hints))


@pytest.fixture
def videos(memory, tmp_path, monkeypatch):
    """A Miniscope recording of five videos in a store, its movie, and the folder of copies."""
    movie = np.random.default_rng(0).integers(0, 255, (20, 24, 34), np.uint8)
    folder = write_miniscope(tmp_path / "14_30_00", movie, frames_per_file=4)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    return _put(memory, folder), movie, temporary


def _copied(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_videos_of_a_store_are_copied_one_at_a_time(videos):
    url, movie, temporary = videos
    extractor = nwb_ophys.MiniscopeImagingInterface(url).extractor
    assert not _copied(temporary)
    for start, stop in ((0, 3), (6, 7), (17, 20), (1, 2), (0, 20)):
        np.testing.assert_array_equal(extractor.get_series(start, stop), movie[start:stop])
        assert len(_copied(temporary)) == 1
    other = extractor.open_again()
    np.testing.assert_array_equal(other.get_series(18, 20), movie[18:])
    assert len(_copied(temporary)) == 1  # the same one
    extractor.close()
    np.testing.assert_array_equal(other.get_series(19, 20), movie[19:])
    other.close()
    assert not _copied(temporary)
    del extractor, other
    gc.collect()
    assert not list(temporary.iterdir())


def test_a_copy_of_a_video_needs_space(videos, monkeypatch):
    url, _, temporary = videos
    extractor = nwb_ophys.MiniscopeImagingInterface(url).extractor
    usage = shutil.disk_usage(temporary)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SourceError, match=r"0\.avi' needs .* Set TMPDIR to a folder with more"):
        extractor.get_series(0, 1)
    assert not _copied(temporary)


def test_a_store_that_fails_leaves_no_copy_of_a_video(videos, memory, monkeypatch):
    url, _, temporary = videos
    extractor = nwb_ophys.MiniscopeImagingInterface(url).extractor
    monkeypatch.setattr(local_copies, "fill_from", _failing)
    with pytest.raises(OSError, match="gone"):
        extractor.get_series(0, 1)
    assert not _copied(temporary)


def _failing(*_):
    raise OSError("gone")
