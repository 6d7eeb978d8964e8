"""HDF5 files that are written, on a disk that may be full.

The HDF5 library does not survive every error of the disk: a dataset that is closed while the disk
refuses its data crashes the process later, and a file that is closed so stays open. For this reason
HDF5 writes through a Python object, which keeps the first error and accepts everything after it in
memory, so that HDF5 can close the file. The functions that fill and close the file raise the error.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import h5py

from nwb_ophys.errors import OutputBusyError, OutputError
from nwb_ophys.storage.backends.hdf5_calm import CALM
from nwb_ophys.storage.backends.hdf5_opening import encoded, read_hdf5
from nwb_ophys.storage.direct_writing import DirectWriter, is_large, open_past_cache
from nwb_ophys.storage.guards import FileGuard
from nwb_ophys.storage.positioned_access import read_at, write_all
from nwb_ophys.storage.threads import to_the_end

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Parts of a doomed file that HDF5 may read again; chunks of movies are dropped.
_MOST_KEPT = 64 << 20
_CHANGES = os.O_RDWR | getattr(os, "O_BINARY", 0)
_FLAGS = {"w": _CHANGES | os.O_CREAT | os.O_TRUNC, "r+": _CHANGES}
_RETRY_SECONDS = 0.01
_APPEND_TO_COPY = "close it there, or leave out in_place=True, so that a copy is appended to"


def lock_readers_out(descriptor: int, path: Path, remedy: str) -> None:
    """Lock an open file as HDF5 does, so that no reader of HDF5 sees it change.

    Parameters
    ----------
    descriptor : int
    path : pathlib.Path
    remedy : str
        Next step for the user if a reader has the file open, for the message.

    Raises
    ------
    OutputBusyError
        If a reader has it open.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OutputBusyError(
            f"'{path}' is open, here or in another program, which would see it change in its "
            f"place; {remedy}."
        ) from error
    except OSError:  # a file system without locks
        return


@contextmanager
def writers_locked_out(path: Path) -> Iterator[None]:
    """Keep other programs from writing a file with HDF5 within the block, as HDF5's readers do.

    Raises
    ------
    OutputBusyError
        If one has it open for writing.
    """
    if fcntl is None:
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputBusyError(
                f"'{path}' is open for writing, here or in another program, whose changes would be "
                "lost; close it there first."
            ) from error
        except OSError:  # a file system without locks
            pass
        yield


def is_being_written(path: Path) -> bool:
    """Return whether a program has a file open for writing with HDF5."""
    try:
        with writers_locked_out(path):
            return False
    except OutputBusyError:
        return True


class DiskFile:
    """File of the system as HDF5 needs it; its methods never fail because of what is written.

    Parameters
    ----------
    path : pathlib.Path
    mode : {"w", "r+"}
    guard : FileGuard, optional
        Secures bytes before they change.
    """

    def __init__(self, path: Path, mode: str, guard: FileGuard | None = None) -> None:
        self.error: OSError | None = None
        self._path, self._guard = path, guard
        self._writer: DirectWriter | None = None
        # A guard secures bytes before they change, and so cannot wait with the change.
        self._may_be_direct = guard is None
        self._position = 0
        self._kept: list[tuple[int, bytes]] = []
        self._num_kept = 0
        self._descriptor = os.open(path, _FLAGS[mode], 0o666)
        if guard is not None:
            try:
                lock_readers_out(self._descriptor, path, _APPEND_TO_COPY)
            except BaseException:
                self.close()
                raise
        self._size = os.fstat(self._descriptor).st_size

    def check(self) -> None:
        """Raise the first error of the disk, if there was one.

        Raises
        ------
        OSError
            A new object with the number of the error.
        """
        self._take_error()
        if self.error is not None:
            raise OSError(self.error.errno, self.error.strerror) from self.error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._take_error()
            self._writer = None
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # --- called by HDF5 -------------------------------------------------------------------------

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, from the start or from the end."""
        self._position = offset + (self._size if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read bytes; those behind the end are zeros."""
        start, view = self._position, memoryview(buffer)
        self._settle(start, start + len(view))
        found = 0
        while found < len(view):
            part = read_at(self._descriptor, len(view) - found, start + found)
            stop = found + len(part) if part else len(view)
            view[found:stop] = part or bytes(stop - found)
            found = stop
        for offset, kept in self._kept:
            first, last = max(start, offset), min(start + len(view), offset + len(kept))
            if first < last:
                view[first - start : last - start] = kept[first - offset : last - offset]
        self._position = start + len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write bytes, or keep them in memory after an error."""
        start, view = self._position, memoryview(data)
        stop = start + len(view)
        self._take_error()
        if self.error is None:
            try:
                self._write(start, view)
            except OSError as error:
                self.error = error
        if self.error is not None and self._num_kept + len(view) <= _MOST_KEPT:
            self._kept.append((start, bytes(view)))
            self._num_kept += len(view)
        self._position, self._size = stop, max(self._size, stop)
        return len(view)

    def _write(self, start: int, view: memoryview) -> None:
        if self._guard is not None:
            self._guard.before_change(start, start + len(view))
        if self._may_be_direct and is_large(view):
            self._start_writer()
        if self._writer is not None and is_large(view):
            self._writer.put(start, view)
        else:
            self._settle(start, start + len(view))
            write_all(self._descriptor, view, start)

    def _start_writer(self) -> None:
        self._may_be_direct = False
        direct = open_past_cache(self._path, self._descriptor)
        if direct is None:
            return
        try:
            self._writer = DirectWriter(self._descriptor, direct)
        except (OSError, RuntimeError):  # no memory or no thread is left
            os.close(direct)

    def _settle(self, start: int, stop: int) -> None:
        """Wait until the bytes of a range are written."""
        if self._writer is not None and self._writer.touches(start, stop):
            self._writer.settle()
            self._take_error()

    def _take_error(self) -> None:
        if self._writer is not None and self.error is None:
            self.error = self._writer.error

    def truncate(self, size: int) -> int:
        """Set the size of the file."""
        self.flush()
        if self.error is None and size != self._size:
            try:
                self._truncate(size)
            except OSError as error:
                self.error = error
        self._size = size
        return size

    def _truncate(self, size: int) -> None:
        if self._guard is not None:
            self._guard.before_change(size, self._size)
        os.ftruncate(self._descriptor, size)

    def flush(self) -> None:
        """Wait until the system has all bytes."""
        if self._writer is not None:
            self._writer.settle()
            self._take_error()


_CALLED_BY_HDF5 = frozenset(
    method.__code__
    for method in (
        *(DiskFile.seek, DiskFile.tell, DiskFile.readinto),
        *(DiskFile.write, DiskFile.truncate, DiskFile.flush),
    )
)


@functools.cache
def _link_access() -> Any:
    """Return the settings with which links to other files are followed."""
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_fapl_sec2()
    links = h5py.h5p.create(h5py.h5p.LINK_ACCESS)
    links.set_elink_fapl(access)
    return links


class _OtherFiles:
    """Mixin for groups of a file behind a Python object, whose links lead to files of the system.

    HDF5 would open the file of a link through the same object, and find this file again.
    """

    def __getitem__(self, name: Any) -> Any:
        if not isinstance(name, (str, bytes)):  # a reference
            return super().__getitem__(name)  # type: ignore[misc]
        opened = h5py.h5o.open(self.id, encoded(name), lapl=_link_access())  # type: ignore[attr-defined]
        kind = h5py.h5i.get_type(opened)
        if kind == h5py.h5i.GROUP:
            return _LinkedGroup(opened)
        return h5py.Dataset(opened) if kind == h5py.h5i.DATASET else h5py.Datatype(opened)

    def get(self, name: Any, default: Any = None, **options: Any) -> Any:
        """Return an object, or what the options ask for of it; the default if there is none."""
        if any(options.values()):
            return super().get(name, default, **options)  # type: ignore[misc]
        try:
            return self[name]
        except KeyError:
            return default


class _LinkedGroup(_OtherFiles, h5py.Group):  # type: ignore[misc]
    """Group of a file behind a Python object, or of one to which a link leads from it."""


class WrittenFile(_OtherFiles, h5py.File):  # type: ignore[misc]
    """Open HDF5 file that is written through a :class:`DiskFile`.

    Parameters
    ----------
    path : pathlib.Path
    mode : {"w", "r+", "r"}
    guard : FileGuard, optional
        Secures bytes before they change.
    disk : DiskFile, optional
        An open file to go through, which stays open.
    """

    def __init__(
        self,
        path: Path,
        mode: str,
        guard: FileGuard | None = None,
        disk: DiskFile | None = None,
    ) -> None:
        self._owns_disk = disk is None
        self.disk = DiskFile(path, mode, guard) if disk is None else disk
        self._is_reported = False
        CALM.begin()
        self._is_calm = True
        try:
            super().__init__(_opened(self.disk, path, mode))
        except BaseException:
            self._end()
            raise
        self._signals = _DeferredSignals()

    def flush(self) -> None:
        """Pass everything on to the system.

        Raises
        ------
        OSError
            If the disk has refused a part.
        """
        super().flush()
        self.disk.check()

    def close(self) -> None:
        """Close the file.

        Raises
        ------
        OSError
            If the disk has refused a part; only the first time.
        """
        try:
            super().close()
        finally:
            # An interrupt arrives when all of this is done, see _NOT_INTERRUPTED.
            if not self.id.valid:
                try:
                    self._end()
                finally:
                    to_the_end(self._signals.restore)
        if not self._is_reported:
            self._is_reported = True
            self.disk.check()

    def _end(self) -> None:
        if self._owns_disk:
            self.disk.close()
        if self._is_calm:
            self._is_calm = False
            CALM.end()


_NOT_INTERRUPTED = _CALLED_BY_HDF5 | {WrittenFile.close.__code__}


def open_for_writing(path: Path, mode: str, guard: FileGuard | None = None) -> h5py.File:
    """Open a file to write it.

    Parameters
    ----------
    path : pathlib.Path
    mode : {"w", "r+"}
    guard : FileGuard, optional
        Secures bytes before they change.
    """
    if mode == "r+" and is_in_parts(path):
        # HDF5 would look for the sources of virtual datasets through the same Python object.
        if guard is not None:
            raise OutputError(
                f"'{path}' has virtual datasets, with which a file cannot be changed in its place; "
                "leave out in_place=True, so that it is appended to in a copy."
            )
        return h5py.File(path, mode)
    return WrittenFile(path, mode, guard)


@contextmanager
def closed_on_error(file: h5py.File) -> Iterator[h5py.File]:
    """Close an open file if the block raises an error."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()
        raise


def check_disk(root: Any) -> None:
    """Raise the error of the disk, if it has refused a part of an open file.

    Raises
    ------
    OSError
        With the number of the system's error.
    """
    if isinstance(root, WrittenFile):
        root.disk.check()
        CALM.collect()


def _opened(disk: DiskFile, path: Path, mode: str) -> Any:
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, disk)
    name = os.fsencode(path)
    if mode == "w":
        return h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, fapl=access)
    flags = h5py.h5f.ACC_RDONLY if mode == "r" else h5py.h5f.ACC_RDWR
    return h5py.h5f.open(name, flags, fapl=access)


def is_in_parts(path: Path) -> bool:
    """Return whether a file has virtual datasets."""

    def is_virtual(_: str, item: Any) -> bool | None:
        return (isinstance(item, h5py.Dataset) and item.is_virtual) or None

    with read_hdf5(path) as file:
        return bool(file.visititems(is_virtual))


class _DeferredSignals:
    """Handlers that postpone an interrupt until HDF5 has left the methods of a :class:`DiskFile`.

    An exception in one of them would be an error of the disk for HDF5. Python itself discards one
    that is raised while an object is deleted; h5py and hdmf keep their objects in weak references,
    whose callbacks run then.
    """

    def __init__(self) -> None:
        self._previous: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                self._previous[number] = handler
                signal.signal(number, _deferring(handler))

    def restore(self) -> None:
        """Put the former handlers back."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in list(self._previous.items()):
            signal.signal(number, handler)
            self._previous.pop(number, None)


def _deferring(handler: Callable[[int, FrameType | None], Any]) -> Callable[..., None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if _would_be_lost(frame):
            _thread.start_new_thread(_raise_again, (number,))
        else:
            handler(number, frame)

    return handle


def _would_be_lost(frame: FrameType | None) -> bool:
    """Return whether an exception that is raised in a frame would be discarded, or do harm."""
    while frame is not None:
        is_callback = frame.f_code.co_name == "__del__" or _module_of(frame) == "weakref"
        if is_callback or frame.f_code in _NOT_INTERRUPTED:
            return True
        frame = frame.f_back
    return False


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _raise_again(number: int) -> None:
    time.sleep(_RETRY_SECONDS)
    signal.raise_signal(number)
