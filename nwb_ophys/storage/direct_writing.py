"""Large parts of a file, written to the disk past the system's cache while other threads encode.

A write through the cache costs a copy, and a page of memory for each 4 KiB; on virtual machines,
which get their memory page by page, this takes longer than to compress what is written. A recording
is not read again at once, and would push what is read out of the cache. The disk takes only whole
pages this way, from addresses that are multiples of a page. Parts that follow each other are thus
collected in buffers, and the few bytes before the first and behind the last whole page of a run
take the usual way.
"""

from __future__ import annotations

import _thread
import errno
import functools
import mmap
import os
import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.storage.positioned_access import write_all, write_at
from nwb_ophys.storage.threads import Flag, to_the_end

# Smaller parts are written the usual way.
_LEAST_BYTES = 256 << 10
_PAGE = 4096
_BUFFER_BYTES = 2 << 20
_NUM_BUFFERS = 4
# Ranges that are known as not yet written; more than these are waited for.
_MOST_RANGES = 256
# Kinds of file systems of disks of this computer; on a network each such write waits for a server.
_FILE_SYSTEMS = frozenset({"ext4", "xfs"})
_MOUNTS = Path("/proc/self/mountinfo")
# Longest wait of the caller's thread for the end of the other.
_PATIENCE = 0.2


def is_large(data: memoryview) -> bool:
    """Return whether bytes are worth a write past the cache."""
    return len(data) >= _LEAST_BYTES


def open_past_cache(path: Path, descriptor: int) -> int | None:
    """Open a file again for writes past the cache.

    Parameters
    ----------
    path : pathlib.Path
    descriptor : int
        The open file, which the path must still lead to.

    Returns
    -------
    int or None
        None if the system or the file system has no such writes.
    """
    flag = getattr(os, "O_DIRECT", None)
    state = os.fstat(descriptor)
    if flag is None or not _is_on_disk(state.st_dev):
        return None
    try:
        found = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0) | flag)
    except OSError:
        return None
    if os.path.samestat(state, os.fstat(found)):
        return found
    os.close(found)
    return None


@functools.cache
def _is_on_disk(device: int) -> bool:
    """Return whether a device number is that of a file system that is known to write so."""
    with suppress(OSError, ValueError):
        for line in _MOUNTS.read_text("utf-8", "surrogateescape").splitlines():
            mount, _, kind = line.partition(" - ")
            if mount.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                return kind.split()[0] in _FILE_SYSTEMS
    return False


class _Pages:
    """An open file whose whole pages are written past the cache, and other bytes as usual."""

    def __init__(self, descriptor: int, direct: int) -> None:
        self._descriptor, self._direct = descriptor, direct
        self._is_direct = True

    def write(self, buffer: mmap.mmap, base: int, first: int, stop: int) -> None:
        """Write a range of the file, from a buffer that begins at a page of the file.

        Raises
        ------
        OSError
            If the disk refuses a part.
        """
        with memoryview(buffer) as view:
            middle = -(-first // _PAGE) * _PAGE
            behind = max(stop // _PAGE * _PAGE, middle)
            reached = self._write_pages(view, base, middle, behind)
            for start, end in ((first, min(middle, stop)), (reached, stop)):
                if start < end:
                    write_all(self._descriptor, view[start - base : end - base], start)

    def _write_pages(self, view: memoryview, base: int, start: int, stop: int) -> int:
        """Write whole pages past the cache; return the position that they reach."""
        while self._is_direct and start < stop:
            try:
                start += write_at(self._direct, view[start - base : stop - base], start)
            except OSError:
                # The usual way has the same error if the disk is the reason.
                self._is_direct = False
            else:
                self._is_direct = start % _PAGE == 0
        return start


_OWN = threading.local()


def _own_buffer() -> mmap.mmap | None:
    """Return the buffer of this thread, or None where there is no memory for one."""
    if not hasattr(_OWN, "buffer"):
        try:
            _OWN.buffer = mmap.mmap(-1, _BUFFER_BYTES)
        except OSError:
            return None
    return _OWN.buffer  # type: ignore[no-any-return]


def write_past_cache(path: Path, descriptor: int, data: memoryview, start: int) -> None:
    """Write bytes to an open file from a position; large parts past the cache, where that works.

    Parameters
    ----------
    path : pathlib.Path
        Path of the open file.
    descriptor : int
    data : memoryview
        Of single bytes.
    start : int

    Raises
    ------
    OSError
        If the disk refuses a part.
    """
    buffer = _own_buffer() if is_large(data) else None
    direct = None if buffer is None else open_past_cache(path, descriptor)
    if buffer is None or direct is None:
        write_all(descriptor, data, start)
        return
    try:
        pages, at, done = _Pages(descriptor, direct), start, 0
        while done < len(data):
            base = at // _PAGE * _PAGE
            size = min(len(data) - done, _BUFFER_BYTES - (at - base))
            buffer[at - base : at - base + size] = data[done : done + size]
            pages.write(buffer, base, at, at + size)
            at, done = at + size, done + size
    finally:
        os.close(direct)


def write_file(data: Any, path: str) -> None:
    """Make a file with given contents, written as :func:`write_past_cache` does.

    Parameters
    ----------
    data : bytes-like
    path : str
        Replaced if it exists.

    Raises
    ------
    OSError
        If the disk refuses a part.
    """
    with Path(path).open("wb", buffering=0) as file:
        write_past_cache(Path(path), file.fileno(), memoryview(data).cast("B"), 0)


@attrs.define
class _Run:
    """Bytes that follow each other in a file, in a buffer that begins at a page of the file."""

    buffer: mmap.mmap
    base: int
    first: int
    stop: int


class DirectWriter:
    """Thread that writes large parts of an open file past the system's cache.

    Its methods are called by one thread at a time. Nothing that was put can be read from the file,
    nor may be written over, before :meth:`settle`.

    Parameters
    ----------
    descriptor : int
        The open file, for bytes outside of whole pages; stays open.
    direct : int
        The same file, opened with :func:`open_past_cache`; :meth:`close` closes it.

    Raises
    ------
    OSError, RuntimeError
        If the system has no memory for buffers, or no thread; the file stays open.
    """

    def __init__(self, descriptor: int, direct: int) -> None:
        self.error: OSError | None = None
        self._pages, self._direct = _Pages(descriptor, direct), direct
        self._run: _Run | None = None
        self._ranges: list[tuple[int, int]] = []
        self._given: queue.SimpleQueue[_Run | queue.SimpleQueue[None] | None] = queue.SimpleQueue()
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._has_ended = Flag()
        for _ in range(_NUM_BUFFERS):
            self._free.put(mmap.mmap(-1, _BUFFER_BYTES))
        _thread.start_new_thread(self._work, ())

    def put(self, start: int, data: memoryview) -> None:
        """Write bytes from a position on, now or later; a copy is made at once.

        Parameters
        ----------
        start : int
        data : memoryview
            Of single bytes.
        """
        if self.touches(start, start + len(data)) or len(self._ranges) >= _MOST_RANGES:
            self.settle()
        self._note(start, start + len(data))
        run = self._run
        if run is None or run.stop != start:
            self._hand_over()
            run = self._run = self._new_run(start)
        done = 0
        while done < len(data):
            place = run.stop - run.base
            size = min(len(data) - done, _BUFFER_BYTES - place)
            run.buffer[place : place + size] = data[done : done + size]
            run.stop, done = run.stop + size, done + size
            if place + size == _BUFFER_BYTES:
                self._hand_over()
                run = self._run = self._new_run(run.stop)

    def touches(self, start: int, stop: int) -> bool:
        """Return whether bytes of a range may not be written yet."""
        return any(start < last and first < stop for first, last in self._ranges)

    def settle(self) -> None:
        """Wait until all bytes that were put are written, or the disk has refused a part."""
        self._hand_over()
        reached: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._given.put(reached)
        reached.get()
        self._ranges.clear()

    def close(self) -> None:
        """Wait until all bytes are written, and end the thread, even if interrupted."""
        self._hand_over()
        self._given.put(None)
        to_the_end(self._wait)

    def _wait(self) -> None:
        while not self._has_ended.is_set():
            with suppress(queue.Empty):
                self._ended.get(timeout=_PATIENCE)

    def _note(self, start: int, stop: int) -> None:
        if self._ranges and self._ranges[-1][1] == start:
            self._ranges[-1] = (self._ranges[-1][0], stop)
        else:
            self._ranges.append((start, stop))

    def _new_run(self, start: int) -> _Run:
        return _Run(self._free.get(), start // _PAGE * _PAGE, start, start)

    def _hand_over(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            self._given.put(run)

    def _work(self) -> None:
        while (given := self._given.get()) is not None:
            if not isinstance(given, _Run):
                given.put(None)
                continue
            try:
                if self.error is None:
                    self._pages.write(given.buffer, given.base, given.first, given.stop)
            except OSError as error:
                self.error = error
            except BaseException as error:  # without this thread, others would wait for ever
                self.error = OSError(errno.EIO, str(error))
            self._free.put(given.buffer)
        os.close(self._direct)
        self._has_ended.set()
        self._ended.put(None)
