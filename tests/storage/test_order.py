"""Chunks of HDF5 datasets lie in their order in the file, whichever thread finishes them first."""

from __future__ import annotations

import threading

import h5py
import numpy as np
import pytest

from nwb_ophys import Suite2pSegmentationInterface
from nwb_ophys.storage import BackendConfiguration, create_nwbfile, engine
from nwb_ophys.storage.backends import hdf5_order
from nwb_ophys.storage.backends.hdf5 import Hdf5Sink
from nwb_ophys.storage.backends.hdf5_order import OrderedCommits
from nwb_ophys.storage.hashes import BlockDigests, BlockGrid
from nwb_ophys.storage.journal import EMPTY, ChunkProgress
from nwb_ophys.storage.write import WriteOptions
from nwb_ophys.testing import simulate_recording, write_suite2p

from .conftest import new_file

RNG = np.random.default_rng(0)
START = {"NWBFile": {"session_start_time": "2024-05-17T14:30:00+02:00"}}


def _added(order, *, most=1 << 30, monkeypatch):
    monkeypatch.setattr(hdf5_order, "WAITING_BYTES", most)
    committed = []
    ordered = OrderedCommits(lambda corner, _: committed.append(corner), (40, 6), (4, 3))
    for each in order:
        ordered.add((each // 2 * 4, each % 2 * 3), bytes(100))
    return ordered, committed


def _positions(corners):
    return [row // 4 * 2 + column // 3 for row, column in corners]


def test_chunks_are_committed_in_c_order(monkeypatch):
    ordered, committed = _added(RNG.permutation(20).tolist(), monkeypatch=monkeypatch)
    assert _positions(committed) == list(range(20))
    ordered.finish()
    assert len(committed) == 20


def test_a_chunk_that_never_comes_holds_back_a_limited_number_of_bytes(monkeypatch):
    ordered, committed = _added([*range(1, 8), *range(9, 20)], most=500, monkeypatch=monkeypatch)
    assert _positions(committed) == [*range(1, 8), *range(9, 20)][: len(committed)]
    assert len(committed) >= 18 - 5
    ordered.finish()
    assert _positions(committed) == [*range(1, 8), *range(9, 20)]


def test_chunks_with_gaps_wait_until_many_follow_each_other(monkeypatch):
    monkeypatch.setattr(hdf5_order, "GATHERED_BYTES", 500)
    committed = []
    ordered = OrderedCommits(lambda corner, _: committed.append(corner[0]), (100,), (1,))
    ordered.has_gaps = ordered.gathers = True
    for position in (9, 3, 5, 8, 40):
        ordered.add((position,), bytes(100))
    assert committed == []
    ordered.add((21,), bytes(100))
    assert committed == [3, 5, 8, 9, 21, 40]
    ordered.add((7,), bytes(100))
    ordered.finish()
    assert committed[6:] == [7]
    ordered.gathers = False
    ordered.add((2,), bytes(100))
    assert committed[7:] == [2]


def test_a_slow_commit_does_not_stop_other_threads_until_much_waits(monkeypatch):
    monkeypatch.setattr(hdf5_order, "WAITING_BYTES", 500)
    begun, goes_on, committed = threading.Event(), threading.Event(), []

    def commit(corner, _):
        begun.set()
        assert goes_on.wait(20)
        committed.append(corner)

    ordered = OrderedCommits(commit, (400,), (1,))
    first = threading.Thread(target=ordered.add, args=((0,), bytes(100)))
    first.start()
    assert begun.wait(20)
    for each in range(1, 9):  # of this thread, which does not wait
        ordered.add((each,), bytes(100))
    assert not committed
    last = threading.Thread(target=lambda: [ordered.add((k,), bytes(100)) for k in range(9, 15)])
    last.start()
    last.join(0.2)
    assert last.is_alive()
    goes_on.set()
    first.join()
    last.join()
    ordered.finish()
    assert committed == [(each,) for each in range(15)]


@pytest.mark.parametrize("compression", ["gzip", "none", "blosc"])
def test_small_chunks_lie_in_their_order_in_the_file(tmp_path, monkeypatch, compression):
    values = RNG.integers(0, 1 << 16, (4000, 100), dtype=np.uint16)
    before = Hdf5Sink.put_byte_planes

    def in_disorder(self, corner, planes):
        if sum(corner) % 3 == 0:
            threading.Event().wait(0.01)
        before(self, corner, planes)

    monkeypatch.setattr(Hdf5Sink, "put_byte_planes", in_disorder)
    monkeypatch.setattr(engine, "_BATCH_BYTES", 10_000)  # several jobs
    settings = BackendConfiguration(backend="hdf5", chunk_mb=0.02, compression=compression)
    options = WriteOptions(configuration=settings, workers=4, verify=True)
    path = create_nwbfile(new_file(a=values), tmp_path / "a.nwb", options=options)
    with h5py.File(path) as file:
        data = file["acquisition/a/data"]
        places = []
        data.id.chunk_iter(lambda each: places.append((each.chunk_offset, each.byte_offset)))
        np.testing.assert_array_equal(data[:], values)
    offsets = [offset for _, offset in sorted(places)]
    assert len(offsets) > 30
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("workers", [0, 2])
def test_chunks_of_masks_follow_each_other_between_those_of_traces(tmp_path, workers):
    """Else a reader over a network requests each of them."""
    recording = simulate_recording(num_samples=4000, num_rows=96, num_columns=80, num_cells=60)
    folder = write_suite2p(tmp_path, recording)
    interface = Suite2pSegmentationInterface(folder)
    path = interface.run_conversion(
        tmp_path / "a.nwb", metadata=START, mask_type="image", workers=workers, progress=False
    )
    with h5py.File(path) as file:
        masks = file["processing/ophys/ImageSegmentation/PlaneSegmentation/image_mask"]
        places = []
        masks.id.chunk_iter(lambda each: places.append((each.chunk_offset, each.byte_offset)))
        offsets = [offset for _, offset in sorted(places)]
        assert len(offsets) > 30
        assert offsets == sorted(offsets)
        sizes = sum(masks.id.get_chunk_info(index).size for index in range(len(offsets)))
        assert offsets[-1] - offsets[0] < 2 * sizes + 50_000


def test_a_chunk_that_waits_is_not_in_the_journal():
    """A later run would take it for one that is left out, and readers would get zeros."""
    grid = BlockGrid.of((40,), (10,), np.dtype("u2"), is_shuffled=False)
    progress = ChunkProgress("a", (40,), (10,), BlockDigests(grid))
    progress.hold((10,))
    progress.note((0,), b"first")
    progress.finish((slice(0, 30),))
    taken = progress.take()
    assert taken.index.tolist() == [0, 2]
    assert taken.size.tolist() == [5, EMPTY]
    assert progress.take().index.tolist() == []
    progress.note((10,), b"second")
    taken = progress.take()
    assert taken.index.tolist() == [1]
    assert taken.size.tolist() == [6]
