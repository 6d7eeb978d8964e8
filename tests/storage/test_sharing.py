"""Blocks that other processes fill, without the processes: an executor that fills them here."""

from __future__ import annotations

import contextlib
import shutil
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest

from nwb_ophys.errors import MemoryLimitError, OutputError, SourceError
from nwb_ophys.storage import block_filler, create_nwbfile, sharing
from nwb_ophys.storage.backends.zarr_codecs import ChunkEncoder
from nwb_ophys.storage.block_filler import BlockFiller, Helper
from nwb_ophys.storage.grid import grid, whole
from nwb_ophys.storage.hdmf.iterators import IteratorSource
from nwb_ophys.storage.sharing import Ledger, order_of
from nwb_ophys.storage.write import WriteOptions

from .conftest import VALUES, Lazy, new_file, read, snapshot

LOCATION = "acquisition/movie/data"
HELPER = Helper(name="The worker at 'a'", threads=2)


@attrs.define
class Opener:
    """Opens the same values again, or others."""

    values: np.ndarray = VALUES
    error: Exception | None = None
    opened: list = attrs.field(factory=list)
    closed: int = 0

    def open(self):
        if self.error is not None:
            raise self.error
        self.opened.append(threading.get_ident())
        return self

    @property
    def sources(self):
        return {LOCATION: IteratorSource(Lazy(self.values))}

    def watched(self):
        return contextlib.nullcontext(types.SimpleNamespace(opened={"a"}, notes=["n"]))

    def close(self):
        self.closed += 1


@attrs.define
class Here:
    """Executor in this process."""

    opener: Opener = attrs.field(factory=Opener)
    helper: Helper = HELPER
    change_order: object = staticmethod(lambda order: order)
    before_end: object = staticmethod(lambda file: None)
    step: int = 20

    def fill(self, tasks, file, counter):
        (task,) = tasks
        filler = BlockFiller(self.change_order(order_of(tasks, file, self.opener)), self.helper)
        ledger = Ledger(task, file.storage.shared_unit(file.root, task.planned.configuration))
        blocks = list(ledger.blocks((self.step, 5, 4)))
        assert ledger.unit == (10, 5, 4)
        try:
            with ThreadPoolExecutor(2) as pool:
                filled = pool.map(lambda bounds: filler.fill(LOCATION, bounds), blocks)
                for bounds, each in zip(blocks, filled, strict=True):
                    ledger.receive(each.entries)
                    counter.add(task.planned, bounds)
        finally:
            filler.close()
        self.before_end(file)
        ledger.check()


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(sharing, "LEAST_BYTES", 1)
    monkeypatch.setattr(sharing, "PATIENCE", 0.3)
    monkeypatch.setattr(block_filler, "_PATIENCE_AT_FIRST", 0.1)


def _write(path, executor, **options):
    nwbfile = new_file(movie=Lazy(VALUES), small=np.arange(9))
    how = WriteOptions(executor=executor, **options)
    return create_nwbfile(nwbfile, path, backend="zarr", options=how)


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("step", [10, 30, 100])
def test_blocks_of_any_size_make_the_same_dataset(tmp_path, step, verify):
    executor, reports = Here(step=step), []
    _write(tmp_path / "a.zarr", executor, verify=verify, progress=reports.append)
    values, chunks = read(tmp_path / "a.zarr", LOCATION)
    assert np.array_equal(values, VALUES)
    assert chunks == (10, 5, 4)
    assert reports[-1].num_bytes == reports[-1].total_bytes
    assert (len(executor.opener.opened), executor.opener.closed) == (1, 1)


def test_a_small_dataset_and_an_array_in_memory_are_filled_here(tmp_path, monkeypatch):
    class Never:
        def fill(self, *given):
            raise AssertionError

    monkeypatch.setattr(sharing, "LEAST_BYTES", VALUES.nbytes + 1)
    _write(tmp_path / "a.zarr", Never())
    monkeypatch.setattr(sharing, "LEAST_BYTES", 1)
    nwbfile = new_file(movie=np.zeros((300, 300)))
    create_nwbfile(
        nwbfile, tmp_path / "b.zarr", backend="zarr", options=WriteOptions(executor=Never())
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("path", "elsewhere", r"does not see '.*elsewhere': .* workers need the same folders"),
        ("identity", "other", r"sees another file as '.*partial.*'; all workers"),
        ("versions", {"zarr": "9"}, r"has hdmf .*, but this program has hdmf absent; install"),
    ],
)
def test_a_worker_that_sees_another_file_is_an_error(tmp_path, name, value, message):
    def change(order):
        changed = order.path.with_name(value) if name == "path" else value
        return attrs.evolve(order, **{name: changed})

    executor = Here(change_order=change)
    with pytest.raises(OutputError, match=f"^The worker at 'a' {message}"):
        _write(tmp_path / "a.zarr", executor)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    ("opener", "message"),
    [
        (Opener(values=VALUES[:50]), r"finds other data for '.*': \(50, 5, 4\) of int16 instead"),
        (Opener(values=VALUES.astype("i4")), r"finds other data for .* of int32 instead of"),
        (Opener(values=VALUES[::-1]), r"reads other values for '.*' from Lazy"),
        (Opener(error=SourceError("'b' is absent.")), r"cannot open the sources: 'b' is absent\."),
        (Opener(error=KeyError("b")), r"cannot open the sources: KeyError: 'b'\."),
    ],
)
def test_a_worker_that_sees_other_sources_is_an_error(tmp_path, opener, message):
    with pytest.raises(SourceError, match=f"^The worker at 'a' {message}"):
        _write(tmp_path / "a.zarr", Here(opener=opener))
    assert snapshot(tmp_path) == {}
    assert opener.closed == len(opener.opened)


@pytest.mark.parametrize("damage", ["absent", "short"])
def test_a_chunk_that_is_not_in_the_store_at_the_end_is_an_error(tmp_path, damage):
    def change(file):
        chunk = file.path / LOCATION / "3.0.0"
        if damage == "absent":
            chunk.unlink()
        else:
            chunk.write_bytes(chunk.read_bytes()[:-1])

    with pytest.raises(OutputError, match=f"'{LOCATION}', frames 30 to 39: a worker stored") as it:
        _write(tmp_path / "a.zarr", Here(before_end=change))
    assert ("is absent here" in str(it.value)) == (damage == "absent")
    assert snapshot(tmp_path) == {}


def test_a_worker_does_not_make_a_store_again_that_is_gone(tmp_path):
    """Such as one that was out of reach while the write was given up."""
    orders = []
    executor = Here(change_order=lambda order: orders.append(order) or order)
    _write(tmp_path / "a.zarr", executor)
    shutil.copytree(tmp_path / "a.zarr", orders[0].path)  # as before the end
    filler = BlockFiller(orders[0], HELPER)
    first, second = list(grid(whole(VALUES.shape), (50, 5, 4)))
    filler.fill(LOCATION, first)
    shutil.rmtree(orders[0].path)
    with pytest.raises(OutputError, match=r"does not see .*: the write has ended"):
        filler.fill(LOCATION, second)
    filler.close()
    assert not orders[0].path.exists()


def test_a_chunk_in_hand_does_not_make_a_store_again_that_is_gone(tmp_path, monkeypatch):
    """Such as that of a worker that slept while others filled its blocks and the write ended."""
    orders = []
    executor = Here(change_order=lambda order: orders.append(order) or order)
    _write(tmp_path / "a.zarr", executor)
    path, encode = orders[0].path, ChunkEncoder.__call__
    shutil.copytree(tmp_path / "a.zarr", path)
    filler = BlockFiller(orders[0], HELPER)

    def encode_late(self, planes):
        shutil.rmtree(path, ignore_errors=True)
        return encode(self, planes)

    monkeypatch.setattr(ChunkEncoder, "__call__", encode_late)
    with pytest.raises(OutputError, match=r"(gone, since|does not see .*:) the write has ended"):
        filler.fill(LOCATION, whole(VALUES.shape))
    filler.close()
    assert not path.exists()
    assert not [each for each in threading.enumerate() if "flusher" in each.name]


def test_nothing_is_filled_after_the_end(tmp_path):
    orders = []
    executor = Here(change_order=lambda order: orders.append(order) or order)
    _write(tmp_path / "a.zarr", executor)
    shutil.copytree(tmp_path / "a.zarr", orders[0].path)
    filler = BlockFiller(orders[0], HELPER)
    filler.stop()
    filler.close()
    with pytest.raises(OutputError, match="the write has ended"):
        filler.fill(LOCATION, whole(VALUES.shape))
    assert len(executor.opener.opened) == 1


def test_memory_is_bounded_per_process(monkeypatch):
    helper = Helper(name="The worker at 'a'", threads=4, memory_limit=48_000_000)
    monkeypatch.setattr("nwb_ophys.storage.budget.available_memory", lambda: 10**12)
    monkeypatch.setattr(block_filler, "available_memory", lambda: 10**12)
    assert helper.block_bytes(0.5) == 2_000_000
    assert helper.block_bytes(0.012) == 1_000_000
    assert attrs.evolve(helper, memory_limit=None).block_bytes(0.12) == 10_000_000
    helper.check_block(4_000_000)
    with pytest.raises(MemoryLimitError, match=r"'a' needs 60.0 MB for 4 blocks at once, but has"):
        helper.check_block(5_000_000)


def test_one_thread_at_a_time_reads_a_source_that_allows_one(tmp_path):
    """The iterator of this test does; two threads fill blocks."""
    at_once, most = [], []

    class Watched(Lazy):
        def _get_data(self, selection):
            at_once.append(1)
            most.append(len(at_once))
            threading.Event().wait(0.01)
            at_once.pop()
            return super()._get_data(selection)

    @attrs.define
    class Own(Opener):
        @property
        def sources(self):
            return {LOCATION: IteratorSource(Watched(self.values))}

    _write(tmp_path / "a.zarr", Here(opener=Own(), step=10))
    assert len(most) > 8
    assert max(most) == 1
