"""Flushing of files to the disk, during a write and before a file is renamed."""

from __future__ import annotations

import errno
import os
import queue
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from nwb_ophys.storage.threads import Flag, Workers

# Seconds between flushes. Otherwise the disk is idle during encoding and busy at the end.
_INTERVAL = 0.1
_PATIENCE = 0.3
# A disk takes milliseconds per file, but accepts many files at once.
_THREADS = 16
# Of file systems that cannot flush on request, such as some of networks and clouds.
_NO_FLUSHING = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


def sync(handle: int, *, only_data: bool = False) -> bool:
    """Put an open file on the disk; return False if its file system cannot.

    Parameters
    ----------
    handle : int
    only_data : bool
        Whether the facts about the file, such as its time, may follow later.

    Raises
    ------
    OSError
        If the disk refused a part of the file.
    """
    put = getattr(os, "fdatasync", os.fsync) if only_data else os.fsync
    try:
        put(handle)
    except OSError as error:
        if error.errno not in _NO_FLUSHING:
            raise
        return False
    return True


def flush(path: Path) -> None:
    """Flush a file, or the files of a folder, to the disk.

    Raises
    ------
    OSError
        If the system cannot write them.
    """
    files = [str(path)] if path.is_file() else list(_files_in(path))
    if not (_flush_file(files[0]) if len(files) == 1 else _flush_files(files)):
        warnings.warn(
            f"The file system of '{path.parent}' cannot put files on the disk on request: until "
            "the system has done so by itself, a power failure may damage what was written.",
            UserWarning,
            stacklevel=2,
        )


def _flush_files(files: Sequence[str]) -> bool:
    """Flush files; return whether the file system can do so."""
    refused: list[str] = []

    def flush_one(file: str) -> None:
        if not _flush_file(file):
            refused.append(file)

    workers = Workers(_THREADS, flush_one, Flag(), "nwb-ophys-flusher")
    with workers:
        for file in files:
            workers.submit(file)
        for _ in files:
            workers.next_done()
        workers.close()
    return not refused


def flush_names(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _files_in(folder: Path) -> Iterator[str]:
    """Yield the files of a folder; a store has thousands, so that no objects are made of them."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = f"{place}{os.sep}{name}"
            if os.path.isfile(file):  # noqa: PTH113
                yield file


def _flush_file(file: str) -> bool:
    binary = getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(file, os.O_RDWR | binary)  # Windows flushes no file opened for reading
    except PermissionError:
        handle = os.open(file, os.O_RDONLY | binary)
    try:
        return sync(handle)
    finally:
        os.close(handle)


class Flusher:
    """Thread that flushes files to the disk while other threads write.

    Use it as a context manager; :func:`flush` afterwards flushes the rest.

    Parameters
    ----------
    path : pathlib.Path, optional
        A file that grows during the write.
    is_needed : bool
        Whether to start the thread at all.

    Raises
    ------
    OSError
        At the end, if the disk refused a part of a file; the system reports it only once.
    """

    def __init__(self, path: Path | None = None, *, is_needed: bool = True) -> None:
        self._growing = path
        self._whole: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._error: OSError | None = None
        self._thread: threading.Thread | None = None
        if is_needed:
            name = "nwb-ophys-flusher"
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def add(self, path: str) -> None:
        """Add a complete file, such as one chunk of an array."""
        if self._thread is not None:
            self._whole.put(path)

    def finish(self) -> None:
        """Flush the complete files that are left, and end the thread.

        Raises
        ------
        OSError
            If the disk refused one of the files.
        """
        self.__exit__(None)
        with suppress(queue.Empty):
            while True:
                _flush_data(Path(self._whole.get_nowait()))

    def __enter__(self) -> Flusher:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            # After an error nothing waits for the disk, which may be slow.
            self._thread.join(None if kind is None else _PATIENCE)
        if self._error is not None and kind is None:
            raise self._error

    def _work(self) -> None:
        while self._error is None and not self._stop.wait(_INTERVAL):
            try:
                self._flush_some()
            except OSError as error:
                self._error = error

    def _flush_some(self) -> None:
        if self._growing is not None:
            _flush_data(self._growing)
        for _ in range(self._whole.qsize()):
            if self._stop.is_set():
                return
            _flush_data(Path(self._whole.get()))


def _flush_data(path: Path) -> None:
    # Only Linux has the call, and always lets a file be opened twice.
    if not hasattr(os, "fdatasync"):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        sync(handle, only_data=True)
    finally:
        os.close(handle)
