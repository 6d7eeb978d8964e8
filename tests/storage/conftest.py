"""Fixtures and functions for files to write and for their contents on the disk."""

from __future__ import annotations

import datetime
import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from hdmf.data_utils import GenericDataChunkIterator
from pynwb import NWBFile, TimeSeries

START = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
VALUES = np.arange(2_000, dtype=np.int16).reshape(100, 5, 4)


class Lazy(GenericDataChunkIterator):
    """Iterator over the blocks of an array, one of which can fail."""

    def __init__(self, values, fails_at=None, error=None, **options):
        self.values, self.fails_at, self.error, self.reads = values, fails_at, error, 0
        super().__init__(**{"buffer_shape": (20, 5, 4), "chunk_shape": (10, 5, 4), **options})

    def _get_maxshape(self):
        return self.values.shape

    def _get_dtype(self):
        return self.values.dtype

    def _get_data(self, selection):
        self.reads += 1
        if self.fails_at is not None and selection[0].start >= self.fails_at:
            raise self.error
        return self.values[selection]


def new_file(**data):
    """Return an ``NWBFile`` with a series of each name."""
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=START)
    for name, values in data.items():
        nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))
    return nwbfile


def read(path, name):
    """Return a dataset of a file of either backend, with its properties."""
    if Path(path).is_dir():
        array = zarr.open(Path(path), mode="r")[name]
        return array[:], array.chunks
    with h5py.File(path, "r") as file:
        return file[name][()], file[name].chunks


def snapshot(folder):
    """Return the names and contents of all files in a folder."""
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(Path(folder).rglob("*"))
    }


@pytest.fixture(autouse=True)
def synced(monkeypatch) -> set[int]:
    """Record the inodes of the files that are flushed to the disk, without waiting for the disk."""
    inodes: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda handle: inodes.add(os.fstat(handle).st_ino))
    return inodes


@pytest.fixture
def target(tmp_path, backend) -> Path:
    """Path for a file of the backend."""
    return tmp_path / {"hdf5": "session.nwb", "zarr": "session.nwb.zarr"}[backend]
