"""Tests of the cost of repacking: memory, and the number of times that chunks are decoded."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest

from nwb_ophys import BackendConfiguration, DatasetConfiguration, repack
from nwb_ophys.errors import MemoryLimitError
from nwb_ophys.storage.backends.hdf5 import Hdf5Source
from nwb_ophys.storage.backends.hdf5_reading import ChunkReader

from .conftest import read
from .specimens import DATA, series


@pytest.mark.parametrize("workers", [0, 2])
def test_a_chunk_is_decoded_about_once_where_memory_allows(tmp_path, monkeypatch, workers):
    values = np.arange(900 * 64 * 64, dtype="i2").reshape(900, 64, 64)
    source = series(tmp_path / "a.nwb", values, chunks=(300, 16, 16), compression="gzip")
    decoded = []
    whole_chunk = ChunkReader.chunk

    def counted(self, corner):
        decoded.append(corner)
        return whole_chunk(self, corner)

    monkeypatch.setattr(ChunkReader, "chunk", counted)
    entry = DatasetConfiguration(location=DATA, chunk_shape=(19, 64, 64))
    for buffer_gb, most in ((0.5, 1.0), (0.01, 3.0)):
        decoded.clear()
        configuration = BackendConfiguration(buffer_gb=buffer_gb, datasets={DATA: entry})
        copy = repack(
            source, tmp_path / "b.nwb", configuration=configuration, workers=workers, overwrite=True
        )
        np.testing.assert_array_equal(read(copy, DATA)[0], values)
        assert len(decoded) / 48 <= most


def test_a_source_chunk_beyond_the_budget_is_refused(tmp_path):
    source = series(tmp_path / "a.nwb", chunks=(200, 16, 32))
    entry = DatasetConfiguration(location=DATA, chunk_shape=(1, 16, 32))
    small = BackendConfiguration(buffer_gb=0.0005, datasets={DATA: entry})
    with pytest.raises(MemoryLimitError, match=r"\(200, 16, 32\).*buffer_gb"):
        repack(source, tmp_path / "b.nwb", configuration=small)


def _peak(source, target, backend, is_contiguous):
    chunk_mb = 0.5 if is_contiguous else None
    small = BackendConfiguration(backend=backend, buffer_gb=0.01, chunk_mb=chunk_mb)
    tracemalloc.start()
    repack(source, target, configuration=small, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("chunks", [None, (50, 64, 64)])
def test_memory_does_not_grow_with_the_recording(tmp_path, backend, chunks):
    values = np.ones((3_000, 64, 64), "i2")
    peaks = {}
    # How many blocks are in flight depends on the threads, too, so that each is repacked often.
    for number in (600, 3_000):
        source = series(tmp_path / f"{number}.nwb", values[:number], chunks=chunks)
        targets = [tmp_path / f"{number}-{turn}" for turn in range(3)]
        peaks[number] = [_peak(source, target, backend, chunks is None) for target in targets]
    # The first also imports.
    assert min(peaks[3_000]) < max(peaks[600][1:]) * 1.3


def test_hdf5_is_asked_once_for_the_places_of_all_chunks(tmp_path):
    """Fault: HDF5 goes through all chunks to find one, 5 ms each with 100,000 chunks."""
    values = np.arange(4_000, dtype=np.uint16).reshape(1_000, 4)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        settings = {"chunks": (2, 3), "maxshape": (None, 4), "compression": "gzip"}
        dataset = file.create_dataset("a", (1_200, 4), "u2", **settings)
        dataset[:500] = values[:500]
        dataset[1_190:] = 7
        dataset.resize((1_000, 4))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        source = Hdf5Source(file["a"])
        reader = source._values._chunk_reader
        reader._dataset = _Counting(reader._dataset)
        found = source.read((slice(0, 1_000), slice(0, 4)))
        assert reader._dataset.id.calls.count("chunk_iter") == 1
        assert "get_chunk_info_by_coord" not in reader._dataset.id.calls
    assert (found[:500] == values[:500]).all()
    assert not found[500:].any()


class _Counting:
    """Dataset of which the calls of its identifier are counted."""

    def __init__(self, wrapped):
        self._wrapped, self.calls = wrapped, []
        self.id = self if isinstance(wrapped, h5py.h5d.DatasetID) else _Counting(wrapped.id)

    def __getattr__(self, name):
        self.calls.append(name)
        return getattr(self._wrapped, name)
