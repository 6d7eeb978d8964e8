"""Harness of the disk: a write stopped at any size is one plain error and leaves nothing."""

from __future__ import annotations

import datetime
import gc
import hashlib
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys.errors import DiskError
from nwb_ophys.storage import append_to_nwbfile, create_nwbfile, repack

from .setting import rounds

resource = pytest.importorskip("resource")

MOVIE = np.random.default_rng(0).integers(0, 60_000, (40, 32, 32)).astype("u2")
SUFFIX = {"hdf5": ".nwb", "zarr": ".nwb.zarr"}
ACTS = ("new", "overwrite", "append", "repack")
INNARDS = ("H5FD", "errno", "0x", "buf =", "refcount", "ref count")


def _data():
    return {
        "movie": MOVIE,
        "by_frames": DataChunkIterator(data=MOVIE, buffer_size=3),
        "trace": np.arange(2_000.0),
    }


def _add(nwbfile):
    for name, values in _data().items():
        nwbfile.add_acquisition(TimeSeries(name=f"{name}_2", data=values, unit="a", rate=1.0))


def new_file(**data):
    """Return an ``NWBFile`` with a series of each name."""
    start = datetime.datetime(2024, 5, 17, 12, tzinfo=datetime.timezone.utc)
    nwbfile = NWBFile(session_description="d", identifier="i", session_start_time=start)
    for name, values in data.items():
        nwbfile.add_acquisition(TimeSeries(name=name, data=values, unit="a", rate=1.0))
    return nwbfile


def _do(act, target, backend, source):
    if act == "append":
        append_to_nwbfile(target, _add)
    elif act == "repack":
        repack(source, target, backend=backend)
    else:
        create_nwbfile(new_file(**_data()), target, backend=backend, overwrite=act == "overwrite")


def _files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _largest(path):
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return max(file.stat().st_size for file in files)


def _num_open():
    gc.collect()
    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)


def _handles():
    found = []
    for number in os.listdir("/proc/self/fd") if Path("/proc/self/fd").is_dir() else ():
        link = Path("/proc/self/fd") / number
        found += [os.readlink(link)] if link.is_symlink() else []
    return [name for name in found if "session.nwb" in name]


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("act", ACTS)
def test_a_write_stopped_at_any_size_is_one_plain_error_and_leaves_nothing(tmp_path, backend, act):
    """Fault: HDF5 crashed the process at most of these sizes, and kept the file open at others."""
    source = tmp_path / f"source{SUFFIX[backend]}"
    create_nwbfile(new_file(**_data()), source, backend=backend)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"session{SUFFIX[backend]}"
    if act in ("overwrite", "append"):
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    before, num_open = _files(folder), _num_open()
    most = _largest(source) - 1
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in np.geomspace(200, most, rounds(10, 60)).astype(int):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), limits[1]))
        try:
            with pytest.raises(DiskError) as caught:
                _do(act, target, backend, source)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        message = str(caught.value)
        assert message.startswith(f"'{target}' cannot be written: File too large. ")
        assert not [word for word in INNARDS if word in message]
        assert "\n" not in message
        del caught
        assert _files(folder) == before
        assert _num_open() == num_open
        assert _handles() == []
    _do(act, target, backend, source)
    assert target.exists()
