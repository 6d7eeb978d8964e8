"""Writes past the system's cache: contents, alignment, order, errors, file systems without them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynwb import TimeSeries

from nwb_ophys.errors import DiskError
from nwb_ophys.storage import (
    WriteOptions,
    append_to_nwbfile,
    create_nwbfile,
    direct_writing,
    repack,
)
from nwb_ophys.storage.backends.hdf5_files import DiskFile
from nwb_ophys.storage.disk_errors import disk_error

from .conftest import new_file, read

PAGE = 4096
MOVIE = np.random.default_rng(0).integers(0, 60_000, (40, 64, 64)).astype("u2")
MOST = 20 * PAGE

pytestmark = pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="no writes past the cache")


class Disk:
    """Stands for a disk that takes whole pages only, on any file system."""

    def __init__(self):
        self.opened: list[int] = []
        self.num_pages = 0
        self.refuse_after: int | None = None
        self.refusal = errno.EINVAL

    def open(self, path, descriptor):
        assert os.path.samestat(Path(path).stat(), os.fstat(descriptor))
        self.opened.append(os.open(path, os.O_WRONLY))
        return self.opened[-1]

    def write(self, descriptor, data, start):
        assert start % PAGE == 0
        assert len(data) % PAGE == 0
        if self.refuse_after is not None and self.num_pages >= self.refuse_after:
            raise OSError(self.refusal, os.strerror(self.refusal))
        # The system may take less than it is given.
        taken = min(len(data), 3 * PAGE)
        self.num_pages += taken // PAGE
        return os.pwrite(descriptor, data[:taken], start)


def _written_to(disk, patch):
    """Have even small parts written past the cache, in buffers of two pages."""
    patch.setattr(direct_writing, "_LEAST_BYTES", 100)
    patch.setattr(direct_writing, "_BUFFER_BYTES", 2 * PAGE)
    patch.setattr(direct_writing, "_OWN", type("Own", (), {})())
    patch.setattr(direct_writing, "write_at", disk.write)
    patch.setattr(direct_writing, "open_past_cache", disk.open)
    patch.setattr("nwb_ophys.storage.backends.hdf5_files.open_past_cache", disk.open)
    return disk


@pytest.fixture
def disk(monkeypatch):
    return _written_to(Disk(), monkeypatch)


def _is_open(descriptor):
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, MOST), st.integers(1, 5 * PAGE)),
        st.tuples(st.just("follow"), st.just(0), st.integers(1, 3 * PAGE)),
        st.tuples(st.just("write"), st.integers(0, MOST), st.integers(1, 99)),
        st.tuples(st.just("read"), st.integers(0, MOST), st.integers(1, 3 * PAGE)),
        st.tuples(st.just("truncate"), st.integers(0, MOST), st.just(0)),
        st.tuples(st.just("flush"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def _take(file, model, step, number):
    """Do a step with a file and with bytes in memory."""
    act, start, size = step
    if act == "follow":
        start = file.tell()
    if act in ("write", "follow"):
        content = np.random.default_rng(number).bytes(size)
        model.extend(bytes(max(0, start + size - len(model))))
        model[start : start + size] = content
        file.seek(start)
        file.write(content)
    elif act == "read":
        found = bytearray(size)
        file.seek(start)
        file.readinto(found)
        known = bytes(model[start : start + size])
        assert found == known + bytes(size - len(known))
    elif act == "truncate":
        model.extend(bytes(max(0, start - len(model))))
        del model[start:]
        file.truncate(start)
    else:
        file.flush()
        # Another handle sees everything then.
        assert Path(file._path).read_bytes() == bytes(model)


@given(steps=STEPS, refuse_after=st.one_of(st.none(), st.integers(0, 8)))
def test_any_sequence_of_calls_leaves_the_bytes_of_a_plain_file(
    tmp_path_factory, steps, refuse_after
):
    with pytest.MonkeyPatch.context() as patch:
        disk = _written_to(Disk(), patch)
        disk.refuse_after = refuse_after
        patch.setattr(direct_writing, "_MOST_RANGES", 4)
        path = tmp_path_factory.mktemp("steps") / "a"
        file, model = DiskFile(path, "w"), bytearray()
        for number, step in enumerate(steps):
            _take(file, model, step, number)
        file.close()
        assert file.error is None
        assert path.read_bytes() == bytes(model)
        assert not any(map(_is_open, disk.opened))


@given(
    start=st.integers(0, 3 * PAGE),
    size=st.integers(0, 9 * PAGE),
    refuse_after=st.one_of(st.none(), st.integers(0, 8)),
)
def test_one_part_of_an_open_file(tmp_path_factory, start, size, refuse_after):
    content = np.random.default_rng(size).bytes(size)
    with pytest.MonkeyPatch.context() as patch:
        disk = _written_to(Disk(), patch)
        disk.refuse_after = refuse_after
        patch.setattr(direct_writing, "_LEAST_BYTES", 1)
        path = tmp_path_factory.mktemp("part") / "a"
        with path.open("wb") as file:
            file.write(b"\1" * 2 * PAGE)
            file.flush()
            direct_writing.write_past_cache(path, file.fileno(), memoryview(content), start)
        model = bytearray(b"\1" * 2 * PAGE)
        if size:
            model.extend(bytes(max(0, start + size - len(model))))
            model[start : start + size] = content
        assert path.read_bytes() == bytes(model)
        assert not any(map(_is_open, disk.opened))


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_movie(tmp_path, disk, backend, workers):
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    options = WriteOptions(workers=workers, verify=True)
    create_nwbfile(new_file(movie=MOVIE), target, backend=backend, options=options)
    append_to_nwbfile(target, _more)
    copy = repack(target, tmp_path / "b.nwb", backend="hdf5", verify=True)
    for each in (target, copy):
        for name in ("movie", "more"):
            np.testing.assert_array_equal(read(each, f"acquisition/{name}/data")[0], MOVIE)
    assert disk.num_pages > 10
    assert not any(map(_is_open, disk.opened))


def _more(nwbfile):
    nwbfile.add_acquisition(TimeSeries(name="more", data=MOVIE, unit="a", rate=1.0))


@pytest.mark.parametrize("backend", ["hdf5", "zarr"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_of_the_disk_is_one_line_and_leaves_nothing(
    tmp_path, disk, monkeypatch, backend, number
):
    """The error comes in another thread, of a chunk that HDF5 has handed over long ago."""
    disk.refuse_after, disk.refusal = 20, number
    usual = direct_writing.write_all

    def full(descriptor, data, start):
        if disk.num_pages >= disk.refuse_after:
            raise OSError(number, os.strerror(number))
        usual(descriptor, data, start)

    monkeypatch.setattr(direct_writing, "write_all", full)
    target = tmp_path / ("a.nwb" if backend == "hdf5" else "a.nwb.zarr")
    with pytest.raises(DiskError) as caught:
        create_nwbfile(new_file(movie=MOVIE), target, backend=backend)
    assert str(caught.value).startswith(f"'{target}' cannot be written: {os.strerror(number)}")
    assert list(tmp_path.iterdir()) == []
    assert disk.opened
    assert not any(map(_is_open, disk.opened))


def test_a_file_system_that_refuses_all_such_writes(tmp_path, disk):
    disk.refuse_after = 0
    target = create_nwbfile(new_file(movie=MOVIE), tmp_path / "a.nwb")
    np.testing.assert_array_equal(read(target, "acquisition/movie/data")[0], MOVIE)
    assert disk.num_pages == 0


@pytest.mark.parametrize("error", [OSError(errno.ENOMEM, "no memory"), RuntimeError("no thread")])
def test_a_system_without_another_thread(tmp_path, disk, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(direct_writing._thread, "start_new_thread", refuse)
    target = tmp_path / "a.nwb"
    create_nwbfile(new_file(movie=MOVIE), target, options=WriteOptions(workers=0))
    np.testing.assert_array_equal(read(target, "acquisition/movie/data")[0], MOVIE)
    assert disk.opened
    assert not any(map(_is_open, disk.opened))


def test_any_error_in_the_other_thread_is_told(tmp_path, disk, monkeypatch):
    def fail(*_):
        raise MemoryError("no memory")

    monkeypatch.setattr(direct_writing._Pages, "write", fail)
    with pytest.raises(DiskError, match="cannot be written: Input/output error"):
        create_nwbfile(new_file(movie=MOVIE), tmp_path / "a.nwb")
    assert list(tmp_path.iterdir()) == []


class TestOpenPastCache:
    """Which files are opened for writes past the cache."""

    @pytest.fixture
    def opened(self, tmp_path):
        path = tmp_path / "a"
        with path.open("wb") as file:
            yield path, file.fileno()

    def _mounts(self, tmp_path, monkeypatch, kind, options=""):
        device = tmp_path.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        mounts = tmp_path / "mountinfo"
        mounts.write_text(
            "21 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
            f"28 1 {number} / /data\\040disk rw{options} - {kind} /dev/sda1 rw\n"
        )
        monkeypatch.setattr(direct_writing, "_MOUNTS", mounts)
        direct_writing._is_on_disk.cache_clear()

    @pytest.fixture(autouse=True)
    def _forgotten(self):
        yield
        direct_writing._is_on_disk.cache_clear()

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "tmpfs", "btrfs", "overlay"])
    def test_other_file_systems(self, tmp_path, opened, monkeypatch, kind):
        self._mounts(tmp_path, monkeypatch, kind)
        assert direct_writing.open_past_cache(*opened) is None

    @pytest.mark.parametrize("kind", ["ext4", "xfs"])
    @pytest.mark.parametrize("options", ["", " shared:1 master:2"])
    def test_disks(self, tmp_path, opened, monkeypatch, kind, options):
        self._mounts(tmp_path, monkeypatch, kind, options)
        flags = []

        def opening(path, given, *_):
            flags.append(given)
            return os.dup(opened[1])

        monkeypatch.setattr(direct_writing.os, "open", opening)
        found = direct_writing.open_past_cache(*opened)
        os.close(found)
        assert flags == [os.O_WRONLY | os.O_DIRECT]

    def test_a_system_without_a_list_of_mounts(self, tmp_path, opened, monkeypatch):
        monkeypatch.setattr(direct_writing, "_MOUNTS", tmp_path / "absent")
        direct_writing._is_on_disk.cache_clear()
        assert direct_writing.open_past_cache(*opened) is None

    def test_a_refusal_of_the_system(self, tmp_path, opened, monkeypatch):
        self._mounts(tmp_path, monkeypatch, "ext4")
        path, descriptor = opened
        path.unlink()
        assert direct_writing.open_past_cache(path, descriptor) is None

    def test_a_path_that_leads_to_another_file(self, tmp_path, opened, monkeypatch):
        self._mounts(tmp_path, monkeypatch, "ext4")
        path, descriptor = opened
        path.unlink()
        path.write_bytes(b"another")
        assert direct_writing.open_past_cache(path, descriptor) is None
        assert path.read_bytes() == b"another"


def test_the_disk_of_the_tests_takes_them(tmp_path):
    """Without stand-ins, where the folder of the tests is on a disk."""
    movie = np.random.default_rng(1).integers(0, 60_000, (64, 128, 128)).astype("u2")
    folder = Path.cwd() if os.access(Path.cwd(), os.W_OK) else tmp_path
    target = folder / f".direct-{os.getpid()}.nwb"
    try:
        create_nwbfile(new_file(movie=movie), target)
        with h5py.File(target) as file:
            np.testing.assert_array_equal(file["acquisition/movie/data"][...], movie)
    finally:
        target.unlink(missing_ok=True)


def test_no_memory_for_a_buffer_is_no_error_of_the_disk(tmp_path, monkeypatch):
    """Fault: "cannot be written: Cannot allocate memory" read as if the disk had refused."""

    def full(*_):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(direct_writing, "_LEAST_BYTES", 1)
    monkeypatch.setattr(direct_writing, "_OWN", SimpleNamespace())
    monkeypatch.setattr(direct_writing.mmap, "mmap", full)
    direct_writing.write_file(b"abc" * PAGE, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"abc" * PAGE
    assert "The memory is full, not the disk" in str(disk_error(errno.ENOMEM, tmp_path / "a"))
