"""One recording written by the workers of a Dask cluster, each in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import distributed
import numpy as np
import psutil
import pytest
import zarr
from dask_cluster import Cluster

import nwb_ophys
from nwb_ophys import cli, errors
from nwb_ophys.errors import ArgumentError, OutputError, SourceError
from nwb_ophys.interfaces.reopening import opener_of
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.storage import cluster as clusters
from nwb_ophys.storage import sharing
from nwb_ophys.storage.record import Record

START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}
DATA = "acquisition/TwoPhotonSeries/data"
SHAPE = (122, 64, 48)
# Differs between two runs of the same conversion.
_RANDOM = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_FAULTY = """
import os
from pathlib import Path
import attrs
import numpy as np
from nwb_ophys import NumpyImagingInterface
from nwb_ophys.interfaces.arguments import argument

class Faulty(NumpyImagingInterface):
    @attrs.frozen(kw_only=True)
    class Source(NumpyImagingInterface.Source):
        client: int = argument("Process that writes the file.")
        fault: str = argument("What a worker does.")

    @classmethod
    def open(cls, source):
        fields = attrs.fields(NumpyImagingInterface.Source)
        given = {each.name: getattr(source, each.name) for each in fields}
        extractor = super().open(NumpyImagingInterface.Source(**given))
        if os.getpid() != source.client:
            read = extractor.get_series
            def get_series(start_sample=None, end_sample=None):
                values = read(start_sample, end_sample)
                if end_sample - start_sample > 1 and start_sample <= 50 < end_sample:
                    if source.fault == "die":
                        os._exit(1)
                    raise OSError(5, "the disk is broken")
                return values + 1 if source.fault == "change" else values
            extractor.get_series = get_series
        return extractor
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "faulty.py").write_text(_FAULTY)
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(running, monkeypatch):
    running.complete()
    monkeypatch.syspath_prepend(str(running.folder))
    yield running
    for each in running.workers:  # a test that failed may have stopped one
        each.send_signal(signal.SIGCONT)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Let workers fill datasets of any size, in many blocks."""
    monkeypatch.setattr(sharing, "LEAST_BYTES", 1)
    monkeypatch.setattr(clusters, "_SMALLEST_BLOCK", 1)


@pytest.fixture
def movie(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, np.random.default_rng(0).poisson(40, SHAPE).astype(np.uint16))
    return path


def _convert(movie, target, cls=nwb_ophys.NumpyImagingInterface, source=None, **options):
    source = {"timeseries": movie, "sampling_frequency": 30.0, **(source or {})}
    given = {"metadata": START, "progress": False, "backend": "zarr", **options}
    given.setdefault("iterator_options", {"chunk_shape": (4, 48, 64)})
    with cls(**source) as interface:
        return interface.run_conversion(target, **given)


def _files(store):
    return {
        path.relative_to(store).as_posix(): _RANDOM.sub(b"random", path.read_bytes())
        for path in Path(store).rglob("*")
        if path.is_file()
    }


_OF_THE_RUN = ("scratch/", "file_create_date/", "identifier/", "general/source_script/")


def _assert_equal(store, expected):
    """Assert that two stores have the same files and bytes, and the same records."""
    found, wanted = _files(store), _files(expected)
    assert set(found) == set(wanted)
    for name, content in wanted.items():
        if not name.startswith(_OF_THE_RUN):
            assert found[name] == content, name
    records = [_record(each) for each in (store, expected)]
    assert records[0].datasets == records[1].datasets
    assert records[0].values.keys() == records[1].values.keys()
    kept = ("action", "versions", "streams", "source_files", "notes", "metadata")
    texts = [json.dumps({k: each.contents.get(k) for k in kept}).encode() for each in records]
    assert _RANDOM.sub(b"", texts[0]) == _RANDOM.sub(b"", texts[1])


def _record(store):
    root = zarr.open(str(store), mode="r")
    return Record.from_text(str(np.asarray(root["scratch/nwb_ophys_record"][...]).reshape(())[()]))


def _opened_by(cluster, folder):
    """Return the files of a folder that a worker has open."""
    files = [file for each in cluster.workers for file in psutil.Process(each.pid).open_files()]
    return [file.path for file in files if file.path.startswith(str(folder))]


def _assert_nothing_is_left(cluster, folder, *names):
    assert sorted(each.name for each in folder.iterdir()) == sorted(names)
    with distributed.Client(cluster.address, set_as_default=False) as client:
        plugins = client.run(lambda dask_worker: list(dask_worker.plugins))
    assert not [name for each in plugins.values() for name in each if "nwb" in name]
    until = time.monotonic() + 10  # Dask drops the frames of an error a moment later
    while (opened := _opened_by(cluster, folder)) and time.monotonic() < until:
        with distributed.Client(cluster.address, set_as_default=False) as client:
            client.run(gc.collect)
    assert not opened


# --- equal stores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [False, True])
def test_a_cluster_writes_the_store_that_one_process_writes(cluster, movie, tmp_path, verify):
    """In blocks that do not divide the movie, counted here; nothing is left on the workers."""
    local = _convert(movie, tmp_path / "local.nwb.zarr", verify=verify)
    frames = []
    options = {"verify": verify, "progress": lambda progress: frames.append(progress.frames)}
    far = _convert(movie, tmp_path / "far.nwb.zarr", cluster=cluster.address, **options)
    _assert_equal(far, local)
    assert np.array_equal(
        zarr.open(str(far), mode="r")[DATA][...], np.load(movie).transpose(0, 2, 1)
    )
    assert len(frames) > 10
    assert frames == sorted(frames)
    assert frames[-1] == SHAPE[0]
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy", local.name, far.name)


def test_a_converter_is_opened_again_with_all_its_streams(cluster, movie, tmp_path, monkeypatch):
    """From relative paths, with a stub, times that the user set, and a client of the user."""
    monkeypatch.chdir(tmp_path)
    second = tmp_path / "second.npy"
    np.save(second, np.arange(40 * 64 * 48, dtype=np.int16).reshape(40, 64, 48))

    def write(target, client=None):
        streams = {
            "first": nwb_ophys.NumpyImagingInterface("movie.npy", sampling_frequency=30.0),
            "second": nwb_ophys.NumpyImagingInterface("second.npy", sampling_frequency=10.0),
        }
        streams["first"].set_aligned_timestamps(np.sort(np.random.default_rng(1).random(SHAPE[0])))
        options = {"first": {"stub": 50}, "second": {"iterator_options": {"chunk_mb": 0.01}}}
        with nwb_ophys.OphysConverter(streams) as converter:
            return converter.run_conversion(
                tmp_path / target,
                metadata=START,
                conversion_options=options,
                progress=False,
                cluster=client,
            )

    local = write("local.nwb.zarr")
    with distributed.Client(cluster.address, set_as_default=False) as client:
        far = write("far.nwb.zarr", client)
        assert client.status == "running"
    _assert_equal(far, local)


def test_the_command_line_takes_the_address_of_a_scheduler(cluster, movie, tmp_path, capsys):
    arguments = [str(movie), "-o", str(tmp_path / "a.nwb.zarr"), "--no-progress"]
    arguments += ["--option", "sampling_frequency=30", "--cluster", cluster.address]
    arguments += ["--set", f"NWBFile.session_start_time={START['NWBFile']['session_start_time']}"]
    for name, code in (("a.nwb.zarr", 0), ("a.nwb", 2)):
        arguments[2] = str(tmp_path / name)
        with pytest.raises(SystemExit) as ended:
            cli.main(["convert", *arguments])
        assert ended.value.code == code
    assert capsys.readouterr().err == (
        "Error: A file of the backend 'hdf5' is written by one process, so that no cluster can "
        "fill it; use --backend zarr.\n"
    )
    assert not (tmp_path / "a.nwb").exists()


# --- workers that die, and interruptions ----------------------------------------------------------


def test_a_worker_that_is_killed_costs_its_blocks_only(cluster, movie, tmp_path):
    local = _convert(movie, tmp_path / "local.nwb.zarr")
    victim, reports = cluster.workers[0], []

    def follow(progress):
        reports.append(progress.frames)
        if len(reports) == 2:  # it holds blocks that it does not finish
            victim.send_signal(signal.SIGSTOP)
            threading.Timer(0.5, victim.kill).start()

    far = _convert(movie, tmp_path / "far.nwb.zarr", cluster=cluster.address, progress=follow)
    assert victim.wait(10) == -signal.SIGKILL
    assert len(reports) > 8
    _assert_equal(far, local)


def test_a_worker_that_dies_while_all_are_asked_is_left_out(cluster, movie, tmp_path, monkeypatch):
    """At the start, when the order is given, and at the end."""
    local = _convert(movie, tmp_path / "local.nwb.zarr")
    client, lost = distributed.Client, distributed.comm.CommClosedError("the stream is closed")
    run, register = client.run, client.register_plugin
    unregister, failed = client.unregister_worker_plugin, []

    def run_without_one(self, function, *given, **options):
        found = run(self, function, *given, **options)
        return {**found, "tcp://gone": lost} if function is clusters.worker_facts else found

    def fail_once(action):
        def act(*given, **options):
            action(*given, **options)
            if action not in failed:
                failed.append(action)
                raise lost

        return act

    monkeypatch.setattr(client, "run", run_without_one)
    monkeypatch.setattr(client, "register_plugin", fail_once(register))
    monkeypatch.setattr(client, "unregister_worker_plugin", fail_once(unregister))
    far = _convert(movie, tmp_path / "far.nwb.zarr", cluster=cluster.address)
    assert failed == [register, unregister]
    monkeypatch.undo()
    _assert_equal(far, local)


def test_a_block_that_kills_workers_is_named(cluster, movie, tmp_path):
    import faulty

    given = {"client": os.getpid(), "fault": "die"}
    target = tmp_path / "far.nwb.zarr"
    # A worker holds the block that kills it, frames 48 to 51, and some before and after it.
    with pytest.raises(
        OutputError, match=rf"'{DATA}', frames (3[26]|4[048]|5[26]|60) to \d\d: 2 workers died"
    ):
        _convert(movie, target, faulty.Faulty, given, cluster=cluster.address)
    cluster.complete()
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy")


def test_an_error_of_a_worker_is_that_of_a_local_write(cluster, movie, tmp_path):
    import faulty

    given = {"client": os.getpid(), "fault": "raise"}
    target = tmp_path / "far.nwb.zarr"
    with pytest.raises(SourceError, match=rf"'{DATA}', frames 48 to .*: reading .*broken"):
        _convert(movie, target, faulty.Faulty, given, cluster=cluster.address)
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy")


@pytest.mark.parametrize("kind", [each for each in vars(errors).values() if isinstance(each, type)])
def test_an_error_of_any_class_arrives_from_a_worker(kind):
    """Also as the cause of another one; Dask gave those of two builtin bases as bare texts."""
    error = SourceError("the worker cannot open it")
    error.__cause__ = kind("'a' is absent", *((5, "words") if kind is errors.DiskError else ()))
    sent = distributed.core.error_message(error)["exception"].data
    found = distributed.protocol.pickle.loads(sent)
    assert (type(found), str(found)) == (SourceError, "the worker cannot open it")
    assert str(found.__cause__) == str(error.__cause__) == "'a' is absent"


def test_values_that_a_worker_reads_otherwise_are_an_error(cluster, movie, tmp_path):
    import faulty

    given = {"client": os.getpid(), "fault": "change"}
    with pytest.raises(SourceError, match=r"worker at 'tcp://.*' reads other values"):
        _convert(movie, tmp_path / "a.zarr", faulty.Faulty, given, cluster=cluster.address)
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy")


def test_an_interrupted_write_leaves_nothing_and_can_be_resumed(cluster, movie, tmp_path):
    local = _convert(movie, tmp_path / "local.nwb.zarr")
    target, frames = tmp_path / "far.nwb.zarr", []

    def interrupt(progress):
        if progress.frames > 40:
            raise KeyboardInterrupt

    given = {"cluster": cluster.address, "progress": interrupt}
    with pytest.raises(KeyboardInterrupt):
        _convert(movie, target, **given)
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy", local.name)
    with pytest.raises(KeyboardInterrupt):
        _convert(movie, target, resume=True, **given)
    assert len(list(tmp_path.iterdir())) == 4  # the incomplete store and its journal
    given["progress"] = lambda progress: frames.append(progress.frames)
    far = _convert(movie, target, resume=True, **given)
    assert frames[0] > 40
    _assert_equal(far, local)
    _assert_nothing_is_left(cluster, tmp_path, "movie.npy", local.name, far.name)


def test_a_cluster_without_workers_is_an_error(cluster, movie, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_PATIENCE_FOR_WORKERS", 0.2)
    monkeypatch.setattr(clusters, "LONGEST_WITHOUT_WORKERS", 0.2)
    monkeypatch.setattr(clusters, "_CHECKS_EVERY", 0.1)
    target = tmp_path / "far.nwb.zarr"

    first, last = cluster.workers
    first.kill()
    first.wait()
    with pytest.raises(OutputError, match="has had no workers for"):
        _convert(movie, target, cluster=cluster.address, progress=lambda _: last.kill())
    with pytest.raises(OutputError, match="has no workers; start some"):
        _convert(movie, target, cluster=cluster.address)
    assert [each.name for each in tmp_path.iterdir()] == ["movie.npy"]


def test_workers_of_another_version_are_named(cluster, movie, tmp_path, monkeypatch):
    versions = sharing.comparable_versions
    monkeypatch.setattr(
        clusters, "comparable_versions", lambda storage: {**versions(storage), "nwb_ophys": "9"}
    )
    expected = r"worker at 'tcp://127.0.0.1:\d+' has nwb-ophys .* this program has nwb-ophys 9;"
    with pytest.raises(OutputError, match=expected):
        _convert(movie, tmp_path / "a.zarr", cluster=cluster.address)


_WITHOUT_PACKAGE = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "nwb_ophys":
            raise ModuleNotFoundError("No module named 'nwb_ophys'")
sys.meta_path.insert(0, Absent())
"""


def test_a_worker_without_the_package_is_named(cluster, movie, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(_WITHOUT_PACKAGE)
    for each in cluster.workers:
        each.kill()
        each.wait()
    monkeypatch.setitem(cluster._environment, "PYTHONPATH", str(tmp_path))
    cluster.complete()
    with pytest.raises(OutputError, match=r"at 'tcp://.*' lacks nwb-ophys .*; install the same"):
        _convert(movie, tmp_path / "a.zarr", cluster=cluster.address)
    for each in cluster.workers:
        each.kill()
        each.wait()


def test_a_scheduler_that_ends_is_named(movie, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_PATIENCE_FOR_SCHEDULER", 2.0)
    (tmp_path / "own").mkdir()
    cluster = Cluster(tmp_path / "own", num_workers=1)
    given = {"cluster": cluster.address, "progress": lambda _: cluster.scheduler.kill()}
    try:
        with pytest.raises(OutputError, match="connection to the scheduler of the cluster was los"):
            _convert(movie, tmp_path / "a.zarr", **given)
    finally:
        cluster.close()
    assert not [each for each in tmp_path.iterdir() if "zarr" in each.name]


# --- what a cluster cannot do ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "hdf5"}, "backend 'hdf5' is written by one process.*use backend='zarr'"),
        ({"append": True}, "cluster= fills a new file; leave out append=True"),
        ({"cluster": 5}, "cluster is 5; it must be the address of a scheduler"),
        ({"cluster": "dask"}, "Dask's configuration names no scheduler; set DASK_SCHEDULER"),
        ({"cluster": "absent.json"}, "'absent.json' does not exist; give the file"),
    ],
)
def test_other_choices_are_refused(movie, tmp_path, given, message):
    with pytest.raises(ArgumentError, match=message):
        _convert(movie, tmp_path / "a.nwb", **{"cluster": "tcp://127.0.0.1:1", **given})
    assert [each.name for each in tmp_path.iterdir()] == ["movie.npy"]


def test_an_object_store_is_refused(movie):
    with pytest.raises(ArgumentError, match=r"'memory://a\.zarr' is in an object store"):
        _convert(movie, "memory://a.zarr", cluster="tcp://127.0.0.1:1")


def test_the_scheduler_may_be_that_of_dask_s_configuration_or_of_a_file(cluster, movie, tmp_path):
    import json

    import dask

    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": cluster.address}))
    written = []
    for name, given in (("a", str(file)), ("b", "dask")):
        with dask.config.set({"scheduler-address": cluster.address}):
            _convert(movie, tmp_path / f"{name}.zarr", cluster=given)
        with nwb_ophys.NwbImagingInterface(tmp_path / f"{name}.zarr") as copy:
            written.append(copy.extractor.get_series())
    np.testing.assert_array_equal(written[0], np.load(movie))
    np.testing.assert_array_equal(written[1], np.load(movie))


def test_a_scheduler_that_does_not_answer_is_named(movie, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_PATIENCE_FOR_SCHEDULER", 0.3)
    for address in ("tcp://127.0.0.1:1", "nonsense://a"):
        with pytest.raises(OutputError, match=f"No scheduler of Dask answers at '{address}'"):
            _convert(movie, tmp_path / "a.zarr", cluster=address)


def test_an_interface_that_was_changed_is_refused(cluster, movie, tmp_path):
    """Workers would write what the files hold, without the change."""
    with nwb_ophys.NumpyImagingInterface(movie, sampling_frequency=30.0) as interface:
        interface.extractor = interface.extractor.slice_samples(0, 100)
        with pytest.raises(ArgumentError, match="another extractor than the one that it opened"):
            interface.run_conversion(
                tmp_path / "a.zarr", metadata=START, cluster=cluster.address, progress=False
            )


def test_files_and_notes_of_workers_are_those_of_the_conversion(movie, tmp_path):
    with nwb_ophys.NumpyImagingInterface(movie, sampling_frequency=30.0) as interface:
        opener = opener_of(interface, START, {}, tmp_path / "a.zarr")
        with pytest.warns(UserWarning, match="frame 3 is dark"), witnessed() as witness:
            opener.report(frozenset(["/far/frame.tif"]), ["frame 3 is dark"])
    assert "/far/frame.tif" in witness.opened
    assert witness.notes == ["frame 3 is dark"]
