"""Guards of a file or folder that changes: they secure each part of it before it changes.

The log of a guard is on the disk before a change is allowed. A guard may be called by several
threads.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from nwb_ophys.storage.flushing import flush, flush_names
from nwb_ophys.storage.undo import Head, Range, UndoLog

FORMAT = "nwb_ophys undo 1"

# Metadata of HDF5 lie close together, and a larger block takes fewer waits for the disk.
BLOCK = 1 << 16
_NUM_SAMPLES, SAMPLE_BYTES = 64, 4096
# Files of a folder that are larger are no samples.
_LARGEST_SAMPLE = 1 << 20


def digest(contents: bytes | bytearray) -> str:
    """Return the hash of a sample."""
    return xxhash.xxh3_64_hexdigest(contents)


class _Guard:
    """Base class of guards, with the log.

    Parameters
    ----------
    path : pathlib.Path
        What is guarded.
    journal : pathlib.Path
        Place of the log.
    head : dict
        First record.
    """

    def __init__(self, path: Path, journal: Path, head: Head) -> None:
        self._lock = threading.Lock()
        self._is_over = False
        self._log = UndoLog(journal)
        try:
            self._log.add({"format": FORMAT, "target": path.name, **head})
            self._log.place()
            flush_names(journal.parent)
        except BaseException:
            self.end()
            raise

    def _check(self) -> None:
        """Raise if no change is allowed any more.

        Raises
        ------
        OSError
            After :meth:`end`, or when the log could not be written.
        """
        if self._is_over:
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    @contextmanager
    def _adding(self) -> Iterator[UndoLog]:
        """Give the log to add to; what was added is on the disk when the block ends."""
        try:
            yield self._log
            self._log.sync()
        except BaseException:
            self._is_over = True
            raise

    def end(self) -> None:
        """Refuse all further changes."""
        self._is_over = True
        with suppress(OSError):  # a full disk
            self._log.close()


class FileGuard(_Guard):
    """Guard of a file.

    Parameters
    ----------
    path, journal : pathlib.Path
    """

    def __init__(self, path: Path, journal: Path) -> None:
        self._path = path
        self._secured: set[int] = set()
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size
        try:
            super().__init__(path, journal, _head_of_file(self._file))
        except BaseException:
            self._file.close()
            raise

    def before_change(self, start: int, stop: int) -> None:
        """Secure the bytes of a range; see :meth:`before_changes`."""
        self.before_changes([(start, stop)])

    def before_changes(self, ranges: Iterable[Range]) -> None:
        """Secure the bytes of some ranges at once.

        Raises
        ------
        OSError
            If they cannot be secured; they must not change then.
        """
        self._check()
        within = [(start, min(stop, self._size)) for start, stop in ranges if start < self._size]
        wanted = {n for start, stop in within for n in range(start // BLOCK, -(-stop // BLOCK))}
        if not wanted:
            return
        with self._lock:
            new = sorted(wanted - self._secured)
            if not new:
                return
            with self._adding() as log:
                starts = (block * BLOCK for block in new)
                log.add_ranges(self._file, ((i, min(i + BLOCK, self._size)) for i in starts))
            self._secured.update(new)

    def end(self) -> None:
        """Refuse all further changes."""
        super().end()
        self._file.close()

    def flush(self) -> None:
        """Put all changes on the disk."""
        flush(self._path)


def _head_of_file(file: BinaryIO) -> Head:
    status = os.fstat(file.fileno())
    size = status.st_size
    last = max(size - SAMPLE_BYTES, 0)
    starts = {last * number // (_NUM_SAMPLES - 1) for number in range(_NUM_SAMPLES)}
    samples = []
    for start in sorted(starts):
        file.seek(start)
        contents = file.read(SAMPLE_BYTES)
        samples.append((start, len(contents), digest(contents)))
    return {"is_folder": False, "size": size, "time": status.st_mtime_ns, "samples": samples}


class FolderGuard(_Guard):
    """Guard of a folder of files, such as a Zarr store.

    Files that are replaced are secured whole. What is in a new folder needs no record.

    Parameters
    ----------
    folder, journal : pathlib.Path
    """

    def __init__(self, folder: Path, journal: Path) -> None:
        self._folder = folder
        self._secured: set[str] = set()
        self._new: set[str] = set()
        samples = _samples_of_folder(folder)
        super().__init__(folder, journal, {"is_folder": True, "samples": samples})

    def before_change(self, name: str) -> None:
        """Secure a file or folder by its name within this one, before it is written or removed.

        Raises
        ------
        OSError
            If it cannot be secured; it must not change then.
        """
        self._check()
        parts = name.strip("/").split("/")
        paths = ["/".join(parts[: number + 1]) for number in range(len(parts))]
        if name in self._secured or not self._new.isdisjoint(paths):
            return
        with self._lock:
            if name in self._secured or not self._new.isdisjoint(paths):
                return
            absent = (path for path in paths if not os.path.lexists(self._folder / path))
            first = next((path for path in absent if path not in self._secured), None)
            with self._adding() as log:
                if first is not None:
                    log.add({"new": first})
                else:
                    self._secure(paths[-1], log)
            if first is not None:
                self._new.add(first)
            self._secured.add(name if first is None else first)

    def _secure(self, name: str, log: UndoLog) -> None:
        """Add a file, or a folder with everything in it, to the log."""
        place = self._folder / name
        status = place.lstat()
        facts = {"mode": stat.S_IMODE(status.st_mode), "time": status.st_mtime_ns}
        if place.is_symlink():
            log.add({"link": name, "to": os.fspath(place.readlink())})
        elif place.is_dir():
            log.add({"folder": name, **facts})
            for each in sorted(place.iterdir()):
                self._secure(f"{name}/{each.name}".lstrip("/"), log)
        else:
            log.add({"file": name, **facts}, place.read_bytes())

    def flush(self) -> None:
        """Put all changes on the disk."""
        folders = {self._folder}
        for name in self._secured | self._new:
            place = self._folder / name
            folders.add(place.parent)
            if os.path.lexists(place):
                flush(place)
                folders.update(Path(where) for where, _, _ in os.walk(place))
        for folder in folders:
            flush_names(folder)


def _samples_of_folder(folder: Path) -> list[tuple[str, str]]:
    """Return names and hashes of the first small files of a folder."""
    small = (path for path in _files(folder) if path.stat().st_size <= _LARGEST_SAMPLE)
    return [
        (path.relative_to(folder).as_posix(), digest(path.read_bytes()))
        for path in itertools.islice(small, _NUM_SAMPLES)
    ]


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(where, name) for name in sorted(names))


def guard_of(target: Path, journal: Path) -> Any:
    """Return a new guard of a file or folder, with its log."""
    return FolderGuard(target, journal) if target.is_dir() else FileGuard(target, journal)
