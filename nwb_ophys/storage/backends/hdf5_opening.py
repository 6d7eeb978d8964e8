"""Opening of HDF5 files for reading, which lie on a disk or in an object store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import is_without_locks
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.remote.reading import RangeFile
from nwb_ophys.storage.backends.hdf5_calm import calm

if TYPE_CHECKING:
    import h5py

# Formats import this module to recognise files, so that h5py is imported where one is opened.

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LAST_START = 1 << 13


def encoded(name: str | bytes) -> bytes:
    """Return the bytes of a name, of which h5py gives those that are not UTF-8 as bytes."""
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")


def own_members(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    """Yield the groups and datasets of a group by name, without those behind soft and other links.

    Parameters
    ----------
    group : h5py.Group

    Yields
    ------
    (str, object)
        Bytes of a name that are not UTF-8 are surrogates, see :func:`encoded`.
    """
    import h5py

    links = group.id.links
    for name in group:
        if links.get_info(encoded(name)).type == h5py.h5l.TYPE_HARD:
            yield encoded(name).decode("utf-8", "surrogateescape"), group[name]


class _CalmFile(RangeFile):
    """Object that HDF5 reads, and which nothing must call meanwhile, such as the collector."""

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number."""
        with calm():
            return super().readinto(buffer)


class CalmReader(io.RawIOBase):
    """Open object of a store that HDF5 reads; the collector rests while another thread fetches.

    That thread would wait for HDF5, if it collected an object of h5py, and HDF5 waits for it.

    Parameters
    ----------
    opened : file object
    """

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position, and return it."""
        return int(self._opened.seek(offset, whence))

    def tell(self) -> int:
        """Return the position."""
        return int(self._opened.tell())

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number."""
        with calm():
            found = self._opened.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def read_hdf5(path: str | Path) -> h5py.File:
    """Open an HDF5 file for reading.

    HDF5 goes on without a lock where the system has no locks at all, and refuses the file where the
    system states another reason, as network file systems do. Such a file is opened without a lock.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If it is not a whole HDF5 file.
    """
    import h5py

    place = as_path(path)
    if isinstance(place, RemotePath):
        return h5py.File(_CalmFile(place), "r")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if not is_without_locks(error):
            raise
    return h5py.File(path, "r", locking=False)


def is_hdf5(path: Path) -> bool:
    """Return whether a file has the signature of HDF5 where HDF5 looks for it."""
    if not isinstance(path, RemotePath):
        import h5py

        try:
            return bool(h5py.is_hdf5(path))
        except OSError:
            path.open("rb").close()  # its error names the file and the reason in words
            raise
    with path.open("rb") as file:
        for start in _starts():
            file.seek(start)
            if file.read(len(_SIGNATURE)) == _SIGNATURE:
                return True
    return False


def _starts() -> Iterator[int]:
    yield 0
    start = 512
    while start <= _LAST_START:
        yield start
        start *= 2
