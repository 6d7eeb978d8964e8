"""Tests of the lock of a target: one writer at a time, and it dies with its process."""

from __future__ import annotations

import contextlib
import contextvars
import errno
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import h5py
import pytest

from nwb_ophys import write_nwbfile
from nwb_ophys.errors import OutputBusyError, OutputError
from nwb_ophys.storage import append_to_nwbfile, locking, repack, reserved
from nwb_ophys.storage.backends.hdf5_opening import read_hdf5
from nwb_ophys.storage.hidden_names import HiddenName, HiddenNames
from nwb_ophys.storage.locking import Holder, Lock, current_holder, locked

from .conftest import VALUES, new_file, snapshot

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


@contextlib.contextmanager
def another_process(action):
    """Run an action in a forked process, which then waits to be killed."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action(lambda: os.write(writes, b"x"))
        finally:
            os._exit(1)
    os.close(writes)
    try:
        assert os.read(reads, 1) == b"x"
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reads)


def _holding(target):
    def hold(ready):
        with locked(target):
            ready()
            time.sleep(60)

    return hold


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["system", "file"])
def kind(request, monkeypatch):
    """Locks of the system, and those of file systems that have none."""
    if request.param == "file":

        def refuse(*_):
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(locking.fcntl, "flock", refuse)
    return request.param


def test_the_lock_lies_beside_the_target_until_the_end(tmp_path, kind):
    target = tmp_path / "a.nwb"
    with locked(target) as lock:
        assert _names(tmp_path) == [lock.path.name]
        stated = json.loads(lock.path.read_bytes())
        assert (stated["pid"], stated["host"]) == (os.getpid(), socket.gethostname())
        assert stated["target"] == "a.nwb"
        with locked(target) as inner:
            assert inner is lock
        assert lock.is_held
    assert _names(tmp_path) == []


def test_another_process_is_named_at_once(tmp_path, kind, monkeypatch):
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)) as child:
        pauses: list[float] = []
        monkeypatch.setattr(locking, "time", SimpleNamespace(sleep=pauses.append))
        with pytest.raises(OutputBusyError, match=rf"a\.nwb' is being written by process {child} "):
            write_nwbfile(new_file(a=VALUES), target)
        assert not pauses
        with pytest.raises(OutputBusyError, match=f"process {child} on '{socket.gethostname()}'"):
            append_to_nwbfile(target, lambda nwbfile: None)
        assert len(_names(tmp_path)) == 1
        with locked(tmp_path / "b.nwb"):
            pass


def test_a_lock_dies_with_its_process(tmp_path, kind):
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)) as child:
        pass
    assert len(_names(tmp_path)) == 1
    with pytest.warns(UserWarning, match=rf"killed \(process {child} on .*'; it left no incompl"):
        write_nwbfile(new_file(a=VALUES), target)
    assert _names(tmp_path) == ["a.nwb"]


def _no_locks(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_lock_is_in_force_although_the_clock_was_set(tmp_path, monkeypatch, seconds):
    """Fault: without locks of the system, a second process wrote the same file."""
    import psutil

    monkeypatch.setattr(locking.fcntl, "flock", _no_locks)
    shown = psutil.Process.create_time
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)):
        # psutil adds up the time of the start of the system, which follows from the time of day.
        monkeypatch.setattr(psutil.Process, "create_time", lambda each: shown(each) + seconds)
        with pytest.raises(OutputBusyError):
            write_nwbfile(new_file(a=VALUES), target)


def test_a_lock_of_a_process_that_the_system_hides_is_in_force(tmp_path, monkeypatch):
    """Those of other users, on machines of which /proc is mounted with hidepid."""
    monkeypatch.setattr(locking.fcntl, "flock", _no_locks)
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)) as child:

        def kill(pid, number):
            assert (pid, number) == (child, 0)
            raise PermissionError(errno.EPERM, "Operation not permitted")

        with monkeypatch.context() as patch:
            started = locking._started
            patch.setattr(locking, "_started", lambda pid: None if pid == child else started(pid))
            patch.setattr(os, "kill", kill)
            with pytest.raises(OutputBusyError):
                write_nwbfile(new_file(a=VALUES), target)


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A target with the lock of another user's process that was killed, on NFS."""
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)):
        pass
    opened, lock = os.open, locking.fcntl.flock

    def open_to_read(path, flags, *more, **others):
        if str(path).endswith(".lock") and flags & os.O_RDWR and not flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *more, **others)

    def lock_writable(handle, kind):
        is_read_only = not locking.fcntl.fcntl(handle, locking.fcntl.F_GETFL) & os.O_RDWR
        if is_read_only and kind & locking.fcntl.LOCK_EX:
            raise OSError(errno.EBADF, "Bad file descriptor")
        lock(handle, kind)

    monkeypatch.setattr(os, "open", open_to_read)
    monkeypatch.setattr(locking.fcntl, "flock", lock_writable)
    return target


def test_a_lock_of_another_user_is_taken_over_on_nfs(foreign):
    """Fault: "Bad file descriptor", as NFS locks only files that are open for writing."""
    write_nwbfile(new_file(a=VALUES), foreign)
    assert _names(foreign.parent) == ["a.nwb"]


def test_a_lock_of_another_user_that_cannot_be_removed_is_named(foreign, monkeypatch):
    """In a folder whose files only their owners remove, such as /tmp."""

    def refuse(path, *_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(OutputError, match=r"\.lock' is the lock of a process of another user"):
        write_nwbfile(new_file(a=VALUES), foreign)


def test_another_thread_of_the_process_is_refused(tmp_path, kind):
    target, caught = tmp_path / "a.nwb", []

    def write():
        try:
            write_nwbfile(new_file(a=VALUES), target)
        except OutputBusyError as error:
            caught.append(str(error))

    with locked(target):
        # asyncio.to_thread copies the context to the other thread.
        for run in (write, partial(contextvars.copy_context().run, write)):
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
    assert len(caught) == 2
    assert all("another thread of this process" in text for text in caught)
    write()
    assert _names(tmp_path) == ["a.nwb"]


def test_a_child_after_a_fork_does_not_keep_the_lock(tmp_path, kind):
    """A pool of forked workers may live longer than the process that wrote the file."""
    target = tmp_path / "a.nwb"

    def wait(ready):
        ready()
        time.sleep(60)

    with contextlib.ExitStack() as stack:
        with locked(target) as lock:
            child = stack.enter_context(another_process(wait))
            assert f"({os.getpid()})" in (current_holder(lock.path) or "")
        assert current_holder(lock.path) is None
        with locked(target):
            assert _names(tmp_path) == [lock.path.name]
        os.kill(child, 0)


def test_a_child_that_leaves_the_block_removes_nothing(tmp_path):
    target = tmp_path / "a.nwb"

    def leave(progress):
        child = os.fork()
        if child == 0:
            raise SystemExit
        assert os.waitpid(child, 0)[1] == 0
        seen.append(_names(tmp_path))

    seen: list[list[str]] = []
    parent = os.getpid()
    try:
        write_nwbfile(new_file(a=VALUES), target, progress=leave, workers=0)
    except SystemExit:
        if os.getpid() != parent:
            os._exit(0)
    assert [len(names) for names in seen] == [2] * len(seen)
    assert _names(tmp_path) == ["a.nwb"]


def test_a_link_has_the_lock_of_its_target(tmp_path, kind):
    (tmp_path / "link.nwb").symlink_to(tmp_path / "a.nwb")
    with (
        another_process(_holding(tmp_path / "a.nwb")),
        pytest.raises(OutputBusyError, match=r"a\.nwb' is being written"),
    ):
        write_nwbfile(new_file(a=VALUES), tmp_path / "link.nwb")


def test_a_lock_of_another_host_is_in_force_without_locks_of_the_system(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    target = tmp_path / "a.nwb"
    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    lock = Lock(HiddenNames.beside(target), target.name)
    lock.acquire()
    monkeypatch.undo()
    lock.forget()
    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    with pytest.raises(OutputBusyError) as caught:
        write_nwbfile(new_file(a=VALUES), target)
    assert "on 'elsewhere'" in str(caught.value)
    assert f"If no such process runs, remove '{lock.path}'." in str(caught.value)


REFUSALS = ("EPERM", "EACCES", "EBADF", "EINVAL", "ENOLCK", "EOPNOTSUPP")


@pytest.mark.parametrize("name", REFUSALS)
def test_file_systems_refuse_locks_for_many_reasons(tmp_path, monkeypatch, name):
    """Fault: with some of them no file was written, and the error named none."""

    def refuse(*_):
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    target = tmp_path / "a.nwb"
    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    with locked(target) as lock:
        assert Holder.parse(lock.path.read_bytes()).is_here
        with (
            ThreadPoolExecutor() as pool,
            pytest.raises(OutputBusyError, match=r"a\.nwb' is being written by another thread"),
        ):
            pool.submit(write_nwbfile, new_file(a=VALUES), target).result()
    write_nwbfile(new_file(a=VALUES), target)
    assert _names(tmp_path) == ["a.nwb"]


def test_a_lock_that_cannot_be_read_is_in_force(tmp_path, monkeypatch):
    """SMB refuses with EACCES to lock and to read what another process has locked."""

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    target = tmp_path / "a.nwb"
    lock = HiddenNames.beside(target).lock
    lock.touch()
    monkeypatch.setattr(locking.fcntl, "flock", refuse)
    assert current_holder(lock) == "Another process"
    with pytest.raises(OutputBusyError, match="is being written by another process"):
        write_nwbfile(new_file(a=VALUES), target)


def test_a_faulty_disk_is_named_and_keeps_no_lock(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(locking.fcntl, "flock", fail)
    with pytest.raises(OutputError, match=r"a\.nwb' cannot be written: Input/output error"):
        write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb")
    assert not _names(tmp_path)


def test_hdf5_files_on_file_systems_without_locks_are_read(tmp_path, monkeypatch):
    """HDF5 refuses them, unless the error of the system is ENOSYS."""
    path, init = write_nwbfile(new_file(a=VALUES), tmp_path / "a.nwb"), h5py.File.__init__
    number = errno.ENOLCK

    def refuse(self, name, mode="r", *args, locking=None, **options):
        if isinstance(name, (str, os.PathLike)) and locking is None:
            words = os.strerror(number)
            text = f"unable to lock file, errno = {number}, error message = '{words}'"
            raise OSError(number, f"Unable to synchronously open file ({text})")
        init(self, name, mode, *args, locking=locking, **options)

    monkeypatch.setattr(h5py.File, "__init__", refuse)
    target = repack(path, tmp_path / "b.nwb")
    for each in (path, target):
        with read_hdf5(each) as file:
            assert file["acquisition/a/data"][()].tolist() == VALUES.tolist()
    number = errno.EAGAIN
    with pytest.raises(OSError, match="unable to lock file"):
        read_hdf5(path)


def test_the_target_is_locked_before_the_source_is_opened(tmp_path):
    target = tmp_path / "a.nwb"
    (tmp_path / "source.nwb").write_bytes(b"\x89HDF\r\n\x1a\n")
    with another_process(_holding(target)), pytest.raises(OutputBusyError):
        repack(tmp_path / "source.nwb", target)


@pytest.mark.parametrize("text", [b"mine", b'{"program": "other"}', b'{"program": "nwb_ophys"}'])
def test_a_file_that_merely_has_the_name_of_a_lock_stays(tmp_path, text):
    target = tmp_path / "a.nwb"
    HiddenNames.beside(target).lock.write_bytes(text)
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match="is no lock of nwb_ophys; move it elsewhere"):
        write_nwbfile(new_file(a=VALUES), target)
    assert snapshot(tmp_path) == before


def test_a_link_or_a_pipe_in_place_of_the_lock_is_refused(tmp_path):
    target = tmp_path / "a.nwb"
    lock = HiddenNames.beside(target).lock
    for make in (lambda: lock.symlink_to(tmp_path / "victim"), lambda: os.mkfifo(lock)):
        make()
        with pytest.raises(OutputError, match=r"a\.nwb' cannot be written|is no regular file"):
            write_nwbfile(new_file(a=VALUES), target)
        lock.unlink()
    assert _names(tmp_path) == []


def test_an_empty_lock_is_taken_in_silence(tmp_path):
    """A process may have been killed, or be slow, between making the file and locking it."""
    target = tmp_path / "a.nwb"
    HiddenNames.beside(target).lock.touch()
    write_nwbfile(new_file(a=VALUES), target)
    assert _names(tmp_path) == ["a.nwb"]


@pytest.mark.parametrize("name", ["a.nwb", "名" * 83 + ".nwb", "ä b.nwb.zarr", "x" * 251 + ".nwb"])
def test_hidden_names_are_recognised_and_short(tmp_path, name):
    names = HiddenNames.beside(tmp_path / name)
    for path, kind in (
        (names.lock, "lock"),
        (names.partial(".nwb.zarr"), "partial"),
        (names.replaced(), "replaced"),
    ):
        assert len(os.fsencode(path.name)) <= 255
        parsed = HiddenName.parse(path)
        assert parsed is not None
        assert (parsed.names, parsed.kind) == (names, kind)
        assert parsed.target == (name if len(name) <= 40 else None)
    assert names.is_of(name)
    assert not names.is_of(f"{name}x")


@pytest.mark.parametrize(
    "name",
    [
        *(".a.nwb.lock", ".a.nwb.12345678.lock", "a.nwb.lock", ".a.nwb.12345678.partial.nwb"),
        ".a.nwb.12345678.12345678.partial.nwb",
    ],
)
def test_other_names_are_not_recognised(tmp_path, name):
    assert HiddenName.parse(tmp_path / name) is None


def test_a_refused_conversion_opens_no_source(tmp_path, monkeypatch):
    import numpy as np

    from nwb_ophys import NumpyImagingInterface

    interface = NumpyImagingInterface(
        timeseries=np.zeros((4, 6, 5), np.int16), sampling_frequency=10.0
    )
    monkeypatch.setattr(type(interface), "prepare", lambda *_, **__: pytest.fail("it began"))
    target = tmp_path / "a.nwb"
    with another_process(_holding(target)), pytest.raises(OutputBusyError):
        interface.run_conversion(target)


def test_reserving_checks_the_target(tmp_path):
    (tmp_path / "a.nwb").touch()
    with pytest.raises(FileExistsError, match="already exists"), reserved(tmp_path / "a.nwb"):
        pass
    assert _names(tmp_path) == ["a.nwb"]
