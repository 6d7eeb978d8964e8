"""Temporary copies of objects, for libraries that open files by their names only."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from pathlib import Path

import attrs
import numpy as np

from nwb_ophys.remote.arrays import check_temporary_space, fill_from
from nwb_ophys.remote.paths import RemotePath


@attrs.define
class _Copy:
    place: Path
    num_readers: int = 0


class LocalCopies:
    """Copies that several readers share; each is removed when no reader has it open any more.

    A copy is made while no other one is made. There is one for each reader at most, and usually one
    or two, since readers go on in order of time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Path, _Copy] = {}
        self._folder: Path | None = None

    def open(self, path: Path) -> Path:
        """Return the place of a file on the disk; call :meth:`close` when it is not needed.

        Parameters
        ----------
        path : pathlib.Path
            Returned unchanged if it lies on a disk.

        Raises
        ------
        SourceError
            When the store fails, or the disk has no space for the copy.
        """
        if not isinstance(path, RemotePath):
            return path
        with self._lock:
            if path not in self._held:
                self._held[path] = _Copy(self._made(path))
            copy = self._held[path]
            copy.num_readers += 1
            return copy.place

    def close(self, path: Path) -> None:
        """Remove the copy of a file if no other reader has it open."""
        with self._lock:
            copy = self._held.get(path)
            if copy is None:
                return
            copy.num_readers -= 1
            if not copy.num_readers:
                del self._held[path]
                copy.place.unlink(missing_ok=True)

    def _made(self, path: RemotePath) -> Path:
        size = path.stat().st_size
        check_temporary_space(path, size)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="nwb_ophys-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        place = self._folder / f"{len(self._held)}-{path.name}"
        try:
            with place.open("xb") as file:
                file.truncate(size)
            if size:
                fill_from(path, 0, np.memmap(place, np.uint8, "r+", shape=(size,)))
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return place
