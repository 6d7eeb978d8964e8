"""Harness of the disk: a write stopped at any size is one plain error and leaves nothing."""

from __future__ import annotations

import datetime
import gc
import hashlib
import os
import shutil
import signal
import subprocess
import time
import weakref
from pathlib import Path

import attrs
import h5py
import numpy as np
import pytest
from hdmf.data_utils import DataChunkIterator
from pynwb import NWBFile, TimeSeries

from nwb_ophys.errors import DiskError
from nwb_ophys.opening import write_metadata
from nwb_ophys.storage import (
    WriteOptions,
    append_to_nwbfile,
    create_nwbfile,
    positioned_access,
    repack,
)
from nwb_ophys.storage.backends import hdf5_files

from .setting import rounds

resource = pytest.importorskip("resource")

MOVIE = np.random.default_rng(0).integers(0, 60_000, (40, 32, 32)).astype("u2")
SUFFIX = {"hdf5": ".nwb", "zarr": ".nwb.zarr"}
ACTS = ("new", "overwrite", "append", "append in place", "repack")
OF_A_FILE = ("overwrite", "append", "append in place")
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


def _do(act, target, backend, source, options=None):
    if act == "append in place":
        append_to_nwbfile(
            target, _add, options=attrs.evolve(options or WriteOptions(), in_place=True)
        )
    elif act == "append":
        append_to_nwbfile(target, _add, options=options)
    elif act == "repack":
        check = options is None or options.space_check
        repack(source, target, backend=backend, space_check=check)
    else:
        overwrite = act == "overwrite"
        nwbfile = new_file(**_data())
        create_nwbfile(nwbfile, target, backend=backend, overwrite=overwrite, options=options)


def _rounds(act):
    return rounds(10 if act != "append in place" else 4, 60)


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
    folder = Path("/proc/self/fd")
    links = [link for link in folder.iterdir() if link.is_symlink()] if folder.is_dir() else []
    return [link for link in links if "session.nwb" in str(link.readlink())]


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("act", ACTS)
def test_a_write_stopped_at_any_size_is_one_plain_error_and_leaves_nothing(tmp_path, backend, act):
    """Fault: HDF5 crashed the process at most of these sizes, and kept the file open at others."""
    source = tmp_path / f"source{SUFFIX[backend]}"
    create_nwbfile(new_file(**_data()), source, backend=backend)
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"session{SUFFIX[backend]}"
    if act in OF_A_FILE:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    before, num_open = _files(folder), _num_open()
    most = _largest(source) * 9 // 10  # a repacked file may be a little smaller
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in np.geomspace(200, most, _rounds(act)).astype(int):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), limits[1]))
        try:
            with pytest.raises(DiskError) as caught:
                _do(act, target, backend, source)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        _check_plain(str(caught.value), f"'{target}' cannot be written: File too large. ")
        del caught
        assert _files(folder) == before
        assert _num_open() == num_open
        assert _handles() == []
    _do(act, target, backend, source)
    assert target.exists()


def _check_plain(message, start):
    """Check that a message is one line in the words of this package."""
    assert message.startswith(start)
    assert not [word for word in INNARDS if word in message]
    assert "\n" not in message


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """Mount a file system of 4 MB, where this user may."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a file system")
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("act", ACTS)
def test_a_disk_that_gets_full_anywhere_is_one_plain_error(tmp_path, small_disk, backend, act):
    source = tmp_path / f"source{SUFFIX[backend]}"
    create_nwbfile(new_file(**_data()), source, backend=backend)
    folder = small_disk / "out"
    folder.mkdir()
    target, ballast = folder / f"session{SUFFIX[backend]}", small_disk / "ballast"
    if act in OF_A_FILE:
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    before, num_open = _files(folder), _num_open()
    unchecked = WriteOptions(space_check=False)
    space, most = shutil.disk_usage(folder).free, _total(source) * 8 // 10
    try:
        for left in np.geomspace(4_096, most, _rounds(act)).astype(int):
            ballast.write_bytes(bytes(space - int(left) // 4_096 * 4_096))
            with pytest.raises(DiskError) as caught:
                _do(act, target, backend, source, unchecked)
            _check_plain(
                str(caught.value), f"'{target}' cannot be written: No space left on device. "
            )
            del caught
            assert _files(folder) == before
            assert _num_open() == num_open
            assert _handles() == []
        ballast.write_bytes(bytes(space - 32_768))
        with pytest.raises(DiskError, match=r"' has \S+ bytes free\. "):
            _do(act, target, backend, source)
        assert _files(folder) == before
        ballast.unlink()
        _do(act, target, backend, source)
        assert target.exists()
    finally:
        shutil.rmtree(folder)
        ballast.unlink(missing_ok=True)


def _total(path):
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("size", [1, 100, 4_000])
def test_a_text_file_stopped_at_any_size_leaves_the_former_one(tmp_path, size):
    target = tmp_path / "metadata.yaml"
    target.write_text("NWBFile: {}")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(DiskError, match=r"metadata\.yaml' cannot be written: File too large"):
            write_metadata(target, "x" * 5_000, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.yaml"]
    assert target.read_text() == "NWBFile: {}"


def _write_and_wait(folder):
    """Write a file, and let an interrupt arrive that was held back meanwhile."""
    create_nwbfile(new_file(movie=MOVIE), folder / "a.nwb")
    for _ in range(100):
        time.sleep(0.01)


def test_an_interrupt_within_the_methods_that_hdf5_calls_arrives_later(tmp_path, monkeypatch):
    """An exception there would be an error of the disk for HDF5."""
    raised = []
    write_at = positioned_access.write_at

    def interrupted(*given):
        if not raised:
            raised.append(1)
            signal.raise_signal(signal.SIGINT)
        return write_at(*given)

    monkeypatch.setattr(positioned_access, "write_at", interrupted)

    with pytest.raises(KeyboardInterrupt):
        _write_and_wait(tmp_path)
    assert raised
    assert gc.isenabled()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("moment", ["while the file is let go", "while handlers are put back"])
def test_an_interrupt_at_the_end_of_a_file_leaves_nothing_behind(tmp_path, monkeypatch, moment):
    """Fault: the collector stayed off, the file open, or the handler of interrupts in its place."""
    end, put, raised = hdf5_files.WrittenFile._end, signal.signal, []

    def interrupted_end(file):
        if moment == "while the file is let go":
            signal.raise_signal(signal.SIGINT)
            raised.append(1)
        end(file)

    def interrupted_put(number, handler):
        former = put(number, handler)
        is_back = number == signal.SIGINT and handler is signal.default_int_handler
        if is_back and moment == "while handlers are put back" and not raised:
            raised.append(1)
            signal.raise_signal(signal.SIGINT)
        return former

    monkeypatch.setattr(hdf5_files.WrittenFile, "_end", interrupted_end)
    monkeypatch.setattr(signal, "signal", interrupted_put)

    with pytest.raises(KeyboardInterrupt):
        _write_and_wait(tmp_path)
    assert raised
    assert gc.isenabled()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, 0)):
        assert signal.getsignal(number) == handler


class _InterruptedWhenDeleted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


class _Key:
    """A key of a weak dictionary whose entry is removed, which is interrupted."""

    def __init__(self):
        self.is_armed = False

    def __hash__(self):
        if self.is_armed:
            signal.raise_signal(signal.SIGINT)
        return 1


@pytest.mark.parametrize("is_weak", [False, True])
def test_an_interrupt_while_an_object_is_deleted_arrives_later(is_weak):
    """Fault: Python discarded it, and the conversion went on."""
    key, objects = _Key(), weakref.WeakValueDictionary()
    objects[key] = held = {1} if is_weak else _InterruptedWhenDeleted()
    key.is_armed = is_weak
    kept = [held]
    del held

    def delete_and_wait():
        kept.clear()
        for _ in range(100):
            time.sleep(0.01)

    signals = hdf5_files._DeferredSignals()
    try:
        with pytest.raises(KeyboardInterrupt):
            delete_and_wait()
    finally:
        signals.restore()
    assert not objects
