"""Reading of objects by ranges, of which blocks are kept."""

from __future__ import annotations

import datetime
import functools
import io
import os
import stat
import time
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.stores import open_store, retried, store_errors

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

BLOCK_BYTES = 4 << 20
"""Size of a block that is requested for smaller reads; ``MOST_BLOCKS`` of all files are kept."""

MOST_BLOCKS = 16

# Facts about an object are asked for again after this time.
_SECONDS = 30


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


@functools.lru_cache(maxsize=256)
def _status(path: RemotePath, _: int) -> os.stat_result | None:
    with store_errors(path, SourceError):
        info = open_store(path).info()
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
    """
    with store_errors(path, SourceError):
        info = open_store(path).info()
    if info is not None and info["type"] == "directory":
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
    """

    def __init__(self, path: RemotePath) -> None:
        super().__init__()
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
        if stop - start >= BLOCK_BYTES:  # a chunk, which is read once
            buffer[: stop - start] = _read(self._path, start, stop)
            return stop - start
        for index in range(start // BLOCK_BYTES, (stop - 1) // BLOCK_BYTES + 1):
            first = index * BLOCK_BYTES
            block = _block(self._path, self._identity, index)
            part = block[max(start - first, 0) : stop - first]
            begin = max(first - start, 0)
            buffer[begin : begin + len(part)] = part
        return stop - start


@functools.lru_cache(maxsize=MOST_BLOCKS)
def _block(path: RemotePath, identity: tuple[int, int], index: int) -> bytes:
    """Return a block of an object; some of the last ones are kept, for all files of the process."""
    start = index * BLOCK_BYTES
    return _read(path, start, min(start + BLOCK_BYTES, identity[0]))


def _read(path: RemotePath, start: int, stop: int) -> bytes:
    """Return bytes of an object.

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
