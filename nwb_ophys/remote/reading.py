"""Reading of objects by ranges, of which blocks are kept."""

from __future__ import annotations

import datetime
import functools
import io
import os
import stat
import time
import warnings
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.stores import open_store, retried, store_errors

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

BLOCK_BYTES = 4 << 20
"""Size of a block that is requested for smaller reads; ``MOST_BLOCKS`` of all files are kept."""

MOST_BLOCKS = 16

SMALL_BYTES = 1 << 16
"""Size of a block of a file of which few bytes are read at distant places."""

MOST_SMALL_BLOCKS = 256

# Their pages are no lists of files.
_WITHOUT_FOLDERS = ("http", "https")

# Facts about an object are asked for again after this time.
_SECONDS = 5


def status(path: RemotePath) -> os.stat_result:
    """Return size and time of an object.

    Raises
    ------
    FileNotFoundError
        If there is no object of this name.
    SourceError
        If the store cannot be read.
    """
    found = _status(path, int(time.monotonic() // _SECONDS))
    if found is None:
        raise FileNotFoundError(f"'{path}' does not exist.")
    return found


def is_folder(path: RemotePath) -> bool:
    """Return whether objects lie below a path, in a store whose folders can be listed."""
    if path.protocol in _WITHOUT_FOLDERS:
        return False
    info = _info(path, int(time.monotonic() // _SECONDS))
    return info is not None and info["type"] == "directory"


def names_in(path: RemotePath) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the objects and of the folders in a folder of a store.

    Raises
    ------
    SourceError
        If the folder cannot be listed.
    """
    return _names_in(path, int(time.monotonic() // _SECONDS))


@functools.lru_cache(maxsize=64)
def _names_in(path: RemotePath, _: int) -> tuple[frozenset[str], frozenset[str]]:
    store = open_store(path)
    with store_errors(path, SourceError, doing="cannot be listed"):
        found = retried(lambda: store.fs.ls(store.path, detail=True))
    names: dict[bool, set[str]] = {True: set(), False: set()}
    for each in found:
        name = str(each["name"]).rstrip("/").rpartition("/")[2]
        names[each["type"] == "directory"].add(name)
    return frozenset(names[False]), frozenset(names[True])


@functools.lru_cache(maxsize=256)
def _info(path: RemotePath, _: int) -> dict[str, Any] | None:
    with store_errors(path, SourceError):
        return open_store(path).info()


def _status(path: RemotePath, now: int) -> os.stat_result | None:
    info = _info(path, now)
    if info is None or info["type"] == "directory":
        return None
    if info.get("size") is None:
        raise SourceError(
            f"'{path}' is of a size that the store does not state, so that it cannot be read by "
            "ranges. Download it first, and give the path of the copy."
        )
    modified = int(_seconds(info) * 10**9)
    whole = modified // 10**9
    values = (stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, int(info["size"]), whole, whole, whole)
    times = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), modified)
    return os.stat_result(values, times)


def check_no_folder(path: RemotePath) -> None:
    """Check that a given path is not a folder of a store.

    Raises
    ------
    SourceError

    Warns
    -----
    UserWarning
        If the files beside it cannot be listed.
    """
    if path.protocol in _WITHOUT_FOLDERS:
        warnings.warn(
            f"The files beside '{path}' cannot be listed. If it is a recording of several files, "
            "give all of them.",
            UserWarning,
            stacklevel=3,
        )
    if is_folder(path):
        raise SourceError(
            f"'{path}' is a folder in an object store, and folders are read from a disk only. Give "
            "the URL of a file, or download the folder first, with the tool of the store."
        )


def _seconds(info: dict[str, Any]) -> float:
    """Return the time at which an object was written, which stores state under several names."""
    for name in ("LastModified", "updated", "mtime", "last_modified", "created"):
        found = info.get(name)
        if isinstance(found, str):
            found = datetime.datetime.fromisoformat(found.replace("Z", "+00:00"))
        if isinstance(found, datetime.datetime):
            return found.timestamp()
        if isinstance(found, (int, float)):
            return float(found)
    return 0.0


class RangeFile(io.RawIOBase):
    """Object of a store as a file for reading.

    Parameters
    ----------
    path : RemotePath
    is_scattered : bool
        Whether what is read are few bytes at distant places, as in the directories of a TIFF
        file, of which smaller blocks are requested.
    """

    def __init__(self, path: RemotePath, *, is_scattered: bool = False) -> None:
        super().__init__()
        self._block_bytes = SMALL_BYTES if is_scattered else BLOCK_BYTES
        self._block = _small_block if is_scattered else _block
        self._path, self._position = path, 0
        found = status(path)
        self._size, self._identity = found.st_size, (found.st_size, found.st_mtime_ns)

    def __repr__(self) -> str:
        return str(self._path)

    @property
    def name(self) -> str:
        """URL without credentials."""
        return str(self._path)

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(start + offset, 0)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read bytes into a buffer, and return their number."""
        start, stop = self._position, min(self._position + len(buffer), self._size)
        if stop <= start:
            return 0
        self._position = stop
        if stop - start >= self._block_bytes:  # a chunk, which is read once
            buffer[: stop - start] = read_range(self._path, start, stop)
            return stop - start
        size = self._block_bytes
        for index in range(start // size, (stop - 1) // size + 1):
            first = index * size
            block = self._block(self._path, self._identity, size, index)
            part = block[max(start - first, 0) : stop - first]
            begin = max(first - start, 0)
            buffer[begin : begin + len(part)] = part
        return stop - start


def _read_block(path: RemotePath, identity: tuple[int, int], size: int, index: int) -> bytes:
    start = index * size
    return read_range(path, start, min(start + size, identity[0]))


# Some of the last blocks are kept, for all files of the process.
_block = functools.lru_cache(maxsize=MOST_BLOCKS)(_read_block)
_small_block = functools.lru_cache(maxsize=MOST_SMALL_BLOCKS)(_read_block)


def read_range(path: RemotePath, start: int, stop: int) -> bytes:
    """Return bytes of an object.

    Parameters
    ----------
    path : RemotePath
    start, stop : int
        Positions of the first byte, and after the last.

    Raises
    ------
    SourceError
        If the store fails, or the object is shorter than it was.
    """
    store = open_store(path)
    with store_errors(path, SourceError):
        data = bytes(retried(lambda: store.fs.cat_file(store.path, start=start, end=stop)))
    if len(data) != stop - start:
        raise SourceError(
            f"'{path}' gave {len(data):,} bytes in place of {stop - start:,} from byte {start:,}; "
            "it was changed meanwhile. Run this again."
        )
    return data
