"""Drafts of changed HDF5 files: HDF5 writes to memory, and then the ranges that differ are written.

HDF5 moves objects and changes its tables when a text grows, so that the ranges that will change are
known only after it has made the change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.backends.hdf5_files import (
    DiskFile,
    WrittenFile,
    closed_on_error,
    is_in_parts,
    lock_readers_out,
)
from nwb_ophys.storage.guards import FileGuard
from nwb_ophys.storage.positioned_access import read_at, write_all

_REMEDY = "close it there and run this again"


class DraftedFile(DiskFile):
    """File of the system whose changes stay in memory until they are written at once.

    Parameters
    ----------
    path : pathlib.Path
        Locked until the draft is closed, so that no reader sees the file change.

    Raises
    ------
    OutputBusyError
        If a reader has it open.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r+")
        self._size_before = self._size
        try:
            lock_readers_out(self._descriptor, path, _REMEDY)
        except BaseException:
            self.close()
            raise

    def _write(self, start: int, view: memoryview) -> None:
        self._kept.append((start, bytes(view)))

    def _truncate(self, size: int) -> None:
        """Do nothing: the size is set with the other changes."""

    def commit(self, guard: FileGuard) -> None:
        """Write the changes to the disk.

        Parameters
        ----------
        guard : FileGuard
            Secures the bytes before they change.

        Raises
        ------
        OSError
            If the disk refuses a part.
        """
        changes = list(self._changes())
        ranges = [(start, start + len(new)) for start, new in changes]
        guard.before_changes([*ranges, (self._size, self._size_before)])
        for start, new in changes:
            write_all(self._descriptor, new, start)
        if os.fstat(self._descriptor).st_size != self._size:
            os.ftruncate(self._descriptor, self._size)

    def _changes(self) -> Iterator[tuple[int, bytes]]:
        """Yield start and new contents of each range that differs from the disk."""
        for start, stop in self._written():
            self.seek(start)
            new = bytearray(stop - start)
            self.readinto(new)
            if read_at(self._descriptor, len(new), start) != new:
                yield start, bytes(new)

    def _written(self) -> list[tuple[int, int]]:
        """Return the ranges that were written, in order and without overlap."""
        merged: list[tuple[int, int]] = []
        for start, stop in sorted((start, start + len(new)) for start, new in self._kept):
            stop = min(stop, self._size)
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
            elif start < stop:
                merged.append((start, stop))
        return merged


class Hdf5Draft:
    """Draft of a changed file.

    Parameters
    ----------
    path : pathlib.Path
    io_class : type
        Class of pynwb IO objects.

    Raises
    ------
    OutputBusyError
        If a reader has the file open.
    OutputError
        If it has virtual datasets.
    """

    def __init__(self, path: Path, io_class: type) -> None:
        if is_in_parts(path):
            # HDF5 would look for the sources of virtual datasets through the same Python object.
            raise OutputError(
                f"'{path}' has virtual datasets, with which a file cannot be changed in its place; "
                "repack it to a file without them, and edit that."
            )
        self._path, self._io_class = path, io_class
        self._disk = DraftedFile(path)

    def open(self, mode: str, manager: Any = None) -> Any:
        """Return a pynwb IO object of the draft; ``mode`` is ``r`` or ``r+``."""
        with closed_on_error(WrittenFile(self._path, mode, disk=self._disk)) as file:
            return self._io_class(str(self._path), file=file, mode=mode, manager=manager)

    def commit(self, guard: FileGuard) -> None:
        """Write the changes to the disk; see :meth:`DraftedFile.commit`."""
        self._disk.commit(guard)

    def close(self) -> None:
        """Forget what is not written, and unlock the file."""
        self._disk.close()


def check_only_name(root: h5py.Group, location: str) -> None:
    """Check that a dataset has one name in its file, so that its replacement leaves no other one.

    Parameters
    ----------
    root : h5py.Group
    location : str

    Raises
    ------
    OutputError
        If it is a link, or has several names.
    """
    link = root.get(location, getlink=True)
    if not isinstance(link, h5py.HardLink) or h5py.h5o.get_info(root[location].id).rc != 1:
        raise OutputError(
            f"'{location}' of '{root.file.filename}' has several names in the file, each of which "
            "would have to change; it is left as it is."
        )
