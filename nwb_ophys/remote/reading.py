"""Reading of objects by ranges, of which blocks are kept."""

from __future__ import annotations

import functools
import io
import os
import stat
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.answers import Answer, seconds_of, tag_of
from nwb_ophys.remote.stores import open_store, retried, store_errors
from nwb_ophys.remote.trees import (
    CHECKED,
    HEADERS,
    Facts,
    Tree,
    is_current,
    list_tree,
    listing,
    tree_of,
)

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
    """Return whether objects lie below a path, in a store whose folders can be listed.

    A folder with the header of a store of arrays is listed with all that lies below it.
    """
    if path.protocol in _WITHOUT_FOLDERS:
        return False
    listed = tree_of(path)
    if listed is not None and (listed[1] or is_current(path, listed[0])):
        return listed[0].has_folder(listed[1])
    info = _info(path, int(time.monotonic() // _SECONDS))
    if info is None or info["type"] != "directory":
        return False
    if listed is not None or not names_in(path)[0].isdisjoint(HEADERS):
        list_tree(path)
    return True


def is_listed(path: RemotePath) -> bool:
    """Return whether a path is a folder that is listed with all that lies below it."""
    listed = tree_of(path)
    return listed is not None and listed[0].has_folder(listed[1])


def names_in(path: RemotePath) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the objects and of the folders in a folder of a store.

    Raises
    ------
    SourceError
        If the folder cannot be listed.
    """
    listed = tree_of(path)
    if listed is not None:
        return listed[0].names(listed[1])
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
    listed = tree_of(path)
    if listed is not None:
        found = listed[0].file(listed[1])
        return None if found is None else _stat_result(*found)
    info = _info(path, now)
    if info is None or info["type"] == "directory":
        return None
    if info.get("size") is None:
        raise SourceError(
            f"'{path}' is of a size that the store does not state, so that it cannot be read by "
            "ranges. Download it first, and give the path of the copy."
        )
    return _stat_result_of(info)


def _stat_result_of(info: Mapping[str, Any]) -> os.stat_result:
    return _stat_result(int(info["size"] or 0), int(seconds_of(info) * 10**9), tag_of(info))


def _stat_result(size: int, modified: int, tag: int) -> os.stat_result:
    """Return the status of an object, with the tag of its version in the place of the inode."""
    whole = modified // 10**9
    values = (stat.S_IFREG | 0o444, tag, 0, 1, 0, 0, size, whole, whole, whole)
    times = dict.fromkeys(("st_atime_ns", "st_mtime_ns", "st_ctime_ns"), modified)
    return os.stat_result(values, times)


def changed_since(before: Mapping[RemotePath, tuple[int, int]]) -> list[RemotePath]:
    """Return the objects that are not those any more that they were.

    Parameters
    ----------
    before : Mapping of RemotePath to tuple of int
        Size and tag of each object (``st_size`` and ``st_ino``) before.

    Raises
    ------
    SourceError
        If the store cannot be read.
    """
    listings: dict[RemotePath, Tree] = {}
    return [path for path, facts in before.items() if _facts_now(path, listings) != facts]


def version_of(path: RemotePath) -> tuple[int, ...] | None:
    """Return what changes when an object, or the headers of a folder, are written again.

    The store is asked each time. A folder without headers has no facts.

    Parameters
    ----------
    path : RemotePath

    Returns
    -------
    tuple of int or None
        Size, time in ns and tag of the object, or of each header; None where there is nothing.

    Raises
    ------
    SourceError
        If the store cannot be read.
    """
    store = open_store(path)
    with store_errors(path, SourceError):
        info = store.info()
        if info is None:
            return None
        found = [info]
        if info["type"] == "directory":
            headers = (store.info(f"{store.path}/{name}") for name in CHECKED)
            found = [each for each in headers if each is not None]
    stated = (_stat_result_of(each) for each in found)
    return tuple(fact for each in stated for fact in _facts(each))


def size_below(path: RemotePath) -> int:
    """Return the number of bytes of an object, or of all objects below a folder.

    Raises
    ------
    SourceError
        If the store cannot be read.
    """
    with store_errors(path, SourceError):
        info = open_store(path).info()
    if info is None or info["type"] != "directory":
        return 0 if info is None else int(info["size"] or 0)
    folders = listing(path).files.values()
    return sum(size for files in folders for size, *_ in files.values())


def _facts_now(path: RemotePath, listings: dict[RemotePath, Tree]) -> tuple[int, int] | None:
    listed = tree_of(path)
    if listed is None:
        with store_errors(path, SourceError):
            info = open_store(path).info()
        return None if info is None else (int(info["size"] or 0), tag_of(info))
    place = listed[1]
    root = path.parents[place.count("/")] if place else path
    if root not in listings:
        listings[root] = listing(root)
    found = listings[root].file(place)
    return None if found is None else (found[0], found[2])


def check_no_folder(path: RemotePath) -> None:
    """Check that a given path is not a folder of files.

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
    if is_folder(path) and not is_listed(path):
        raise SourceError(
            f"'{path}' is a folder in an object store, and folders other than Zarr stores are read "
            "from a disk only. Give the URL of a file, or download the folder first, with the tool "
            "of the store."
        )


class RangeFile(io.RawIOBase):
    """Object of a store as a file for reading.

    Parameters
    ----------
    path : RemotePath
    is_scattered : bool
        Whether what is read are few bytes at distant places, as in the directories of a TIFF
        file, of which smaller blocks are requested.
    tag : int
        Version of the object (``st_ino``) that must be there; 0 for the present one.
    """

    def __init__(self, path: RemotePath, *, is_scattered: bool = False, tag: int = 0) -> None:
        super().__init__()
        note_opened(path)
        self._block_bytes = SMALL_BYTES if is_scattered else BLOCK_BYTES
        self._block = _small_block if is_scattered else _block
        self._path, self._position = path, 0
        found, listed = status(path), tree_of(path)
        if tag not in (0, found.st_ino):
            raise _replaced(path)
        self._size = found.st_size
        self._identity = _facts(found)
        self._content = None if listed is None else listed[0].small.get(listed[1])

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
        if self._content is not None:
            buffer[: stop - start] = self._content[start:stop]
            return stop - start
        if stop - start >= self._block_bytes:  # a chunk, which is read once
            buffer[: stop - start] = _read_range(self._path, start, stop, self._identity)
            return stop - start
        size = self._block_bytes
        for index in range(start // size, (stop - 1) // size + 1):
            first = index * size
            block = self._block(self._path, self._identity, size, index)
            part = block[max(start - first, 0) : stop - first]
            begin = max(first - start, 0)
            buffer[begin : begin + len(part)] = part
        return stop - start


def _read_block(path: RemotePath, identity: Facts, size: int, index: int) -> bytes:
    start = index * size
    return _read_range(path, start, min(start + size, identity[0]), identity)


# Some of the last blocks are kept, for all files of the process.
_block = functools.lru_cache(maxsize=MOST_BLOCKS)(_read_block)
_small_block = functools.lru_cache(maxsize=MOST_SMALL_BLOCKS)(_read_block)


def read_together(folder: RemotePath, places: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of objects in a folder by their relative paths, requested together.

    Raises
    ------
    SourceError
        If the store fails, or an object has another size than it was listed with.
    """
    for place in places:
        note_opened(folder / place)
    store, listed = open_store(folder), tree_of(folder)
    small = {} if listed is None or listed[1] else listed[0].small
    found = {place: small[place] for place in places if place in small}
    paths = {f"{store.path}/{place}": place for place in places if place not in found}
    facts = {path: (folder / place).stat() for path, place in paths.items()}
    sizes = {path: each.st_size for path, each in facts.items()}
    with store_errors(folder, SourceError):
        fetched = retried(lambda: store.read_all(sizes))
    for path, answer in fetched.items():
        _check(folder / paths[path], answer, sizes[path], 0, _facts(facts[path]))
        found[paths[path]] = answer.data
    return found


def _check(path: RemotePath, answer: Answer, expected: int, start: int, before: Facts) -> None:
    """Raise if an answer is not of the version of an object that was there before."""
    if not answer.is_of(before[0], before[2]):
        raise _replaced(path)
    if len(answer.data) != expected:
        raise _changed(path, len(answer.data), expected, start)


def _replaced(path: RemotePath) -> SourceError:
    _note_outdated(path)
    return SourceError(
        f"'{path}' was replaced by another object while it was read. Run this again when no "
        "program writes to it."
    )


def _note_outdated(path: RemotePath) -> None:
    listed = tree_of(path)
    if listed is not None:
        listed[0].is_outdated = True


def _changed(path: RemotePath, found: int, expected: int, start: int) -> SourceError:
    _note_outdated(path)
    return SourceError(
        f"'{path}' gave {found:,} bytes in place of {expected:,} from byte {start:,}; "
        "it was changed meanwhile. Run this again."
    )


def read_range(path: RemotePath, start: int, stop: int, tag: int = 0) -> bytes:
    """Return bytes of an object.

    Parameters
    ----------
    path : RemotePath
    start, stop : int
        Positions of the first byte, and after the last.
    tag : int
        Version of the object (``st_ino``) that must be there; 0 for the present one.

    Raises
    ------
    SourceError
        If the store fails, or the object is another one than it was.
    """
    note_opened(path)
    size, modified, present = _facts(status(path))
    return _read_range(path, start, stop, (size, modified, tag or present))


def note_opened(path: RemotePath) -> None:
    """Raise the event of opening a file, as Python does for those of a disk."""
    sys.audit("open", str(path), "rb", os.O_RDONLY)


def _facts(found: os.stat_result) -> Facts:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read_range(path: RemotePath, start: int, stop: int, before: Facts) -> bytes:
    store = open_store(path)
    with store_errors(path, SourceError):
        answer = retried(lambda: store.read(start, stop))
    _check(path, answer, stop - start, start, before)
    return answer.data
