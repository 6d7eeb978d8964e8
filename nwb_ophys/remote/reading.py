"""Reading of objects by ranges, of which blocks are kept."""

from __future__ import annotations

import functools
import io
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.answers import AT_ONCE, Answer, number_of, seconds_of, version_in
from nwb_ophys.remote.stores import open_store, retried, store_errors
from nwb_ophys.remote.trees import (
    CHECKED,
    HEADERS,
    Facts,
    Tree,
    begin_tree,
    is_current,
    is_listed,
    listing,
    listing_of,
    root_of,
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

LARGE_AT_ONCE = 8
"""Number of large ranges that are requested together."""

WITHOUT_FOLDERS = ("http", "https")
"""Protocols of stores in which no folder can be listed."""

# The first name of a URL is that of a bucket.
_WITH_BUCKETS = ("s3", "s3a", "gs", "gcs")

# Size, time in ns and tag of an object.
Identity = tuple[int, int, int]

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
    if path.protocol in WITHOUT_FOLDERS:
        return False
    listed = tree_of(path)
    if listed is not None and (listed[1] or not listed[0].headers or is_current(path, listed[0])):
        return is_listed(path, *listed)
    info = _info(path, int(time.monotonic() // _SECONDS))
    if info is None or info["type"] != "directory":
        return False
    own = _entries(path, int(time.monotonic() // _SECONDS))
    if listed is not None or not own.names("")[0].isdisjoint(HEADERS):
        begin_tree(path, own)
    return True


def begin_reading(path: RemotePath) -> None:
    """List a folder that the user gave, unless it was listed a moment ago.

    Until the next call, what lies in it is what the listing states.

    Raises
    ------
    SourceError
        If the store fails.
    """
    if path.protocol in WITHOUT_FOLDERS:
        return
    listed = tree_of(path)
    if listed is None:
        if is_folder(path) and tree_of(path) is None:
            begin_tree(path, _entries(path, int(time.monotonic() // _SECONDS)))
        return
    tree, place = listed
    if not is_current(root_of(path, place), tree):
        begin_tree(root_of(path, place))


def names_in(path: RemotePath) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the objects and of the folders in a folder of a store.

    Raises
    ------
    SourceError
        If the folder cannot be listed.
    """
    tree, place = _listed(path)
    return tree.names(place)


def sizes_in(path: RemotePath) -> dict[str, int]:
    """Return the sizes of the objects in a folder of a store by their names.

    Raises
    ------
    SourceError
        If the folder cannot be listed.
    """
    tree, place = _listed(path)
    return tree.sizes(place)


def _listed(path: RemotePath) -> tuple[Tree, str]:
    """Return a listing that has the objects in a folder, and the path of the folder in it."""
    listed = tree_of(path)
    if listed is None:
        return _entries(path, int(time.monotonic() // _SECONDS)), ""
    is_listed(path, *listed)
    return listed


@functools.lru_cache(maxsize=64)
def _entries(path: RemotePath, _: int) -> Tree:
    return listing_of(path)


@functools.lru_cache(maxsize=256)
def _info(path: RemotePath, _: int) -> dict[str, Any] | None:
    with store_errors(path, SourceError):
        return open_store(path).info()


def _status(path: RemotePath, now: int) -> os.stat_result | None:
    facts = _facts_of(path, now)
    return None if facts is None else _stat_result(*facts)


def _facts_of(path: RemotePath, now: int) -> Facts | None:
    """Return size, time and version of an object, or None."""
    if _is_bucket(path):
        return None
    listed = tree_of(path)
    if listed is not None:
        tree, place = listed
        return tree.file(place) if place and is_listed(path.parent, tree, _above(place)) else None
    info = _info(path, now)
    if info is None or info["type"] == "directory":
        return None
    if info.get("size") is None:
        raise SourceError(
            f"'{path}' is of a size that the store does not state, so that it cannot be read by "
            "ranges. Download it first, and give the path of the copy."
        )
    return _facts_in(info)


def _above(place: str) -> str:
    return place.rpartition("/")[0]


def _is_bucket(path: RemotePath) -> bool:
    """Return whether a path is that of a bucket, or above it, which is never an object."""
    return path.protocol in _WITH_BUCKETS and "/" not in str(path).partition("://")[2]


def _facts_in(info: Mapping[str, Any]) -> Facts:
    return int(info["size"] or 0), int(seconds_of(info) * 10**9), version_in(info)


def stated_version(path: RemotePath) -> str:
    """Return the version of an object as the store states it, such as its ``ETag``."""
    facts = _facts_of(path, int(time.monotonic() // _SECONDS))
    return "" if facts is None else facts[2]


def _stat_result(size: int, modified: int, version: str) -> os.stat_result:
    """Return the status of an object, with a number of its version in the place of the inode."""
    whole, tag = modified // 10**9, number_of(version)
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
    now = ((path, facts, _facts_now(path, listings)) for path, facts in before.items())
    return [path for path, (size, tag), found in now if found != (size, tag)]


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
    stated = (_stat_result(*_facts_in(each)) for each in found)
    return tuple(fact for each in stated for fact in _identity(each))


def versions_below(path: RemotePath) -> dict[str, Facts]:
    """Return size, time in ns and version of all objects below a folder, by their relative paths.

    Of an object itself the path is empty. The store is asked each time.

    Raises
    ------
    SourceError
        If the store cannot be read.
    """
    with store_errors(path, SourceError):
        info = open_store(path).info()
    if info is None or info["type"] != "directory":
        return {} if info is None else {"": _facts_in(info)}
    return {
        f"{folder}/{name}".lstrip("/"): facts
        for folder, files in listing(path).files.items()
        for name, facts in files.items()
    }


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
    """Return size and tag of an object, by listings that are made when they are needed."""
    listed = tree_of(path)
    if listed is None:
        with store_errors(path, SourceError):
            info = open_store(path).info()
        return None if info is None else (int(info["size"] or 0), number_of(version_in(info)))
    tree, place = listed
    whole = tree.whole_around(_above(place))
    inner = place.rpartition("/")[2] if whole is None else place[len(whole) :].lstrip("/")
    folder = path.parents[inner.count("/")]
    if folder not in listings:
        listings[folder] = listing_of(folder) if whole is None else listing(folder)
    found = listings[folder].file(inner)
    return None if found is None else (found[0], number_of(found[2]))


# Whole objects that are read in a block, with what they were when they were fetched.
_FETCHED: ContextVar[Mapping[RemotePath, tuple[Identity, bytes]] | None] = ContextVar(
    "fetched", default=None
)


@contextmanager
def fetched_together(paths: Sequence[RemotePath]) -> Iterator[None]:
    """Request several small objects together; within the block they are read from memory.

    Parameters
    ----------
    paths : sequence of RemotePath
        Objects of one store.

    Raises
    ------
    SourceError
        If the store fails, or an object is another one than it was.
    """
    token = _FETCHED.set(_fetched(paths) if len(paths) > 1 else {})
    try:
        yield
    finally:
        _FETCHED.reset(token)


def _fetched(paths: Sequence[RemotePath]) -> dict[RemotePath, tuple[Identity, bytes]]:
    """Return the contents of objects, each of which is requested again after a failure."""
    found: dict[RemotePath, tuple[Identity, bytes]] = {}

    def fetch(path: RemotePath) -> None:
        identity = _identity(status(path))
        found[path] = identity, _read_range(path, 0, identity[0], identity)

    run_all(fetch, paths, AT_ONCE)
    return found


def run_all(action: Callable[[Any], None], parts: Sequence[Any], at_once: int) -> None:
    """Call a function with each of some parts, several at a time.

    Raises
    ------
    Exception
        The first error, after the calls that had begun.
    """
    if len(parts) < 2:
        for part in parts:
            action(part)
        return
    with ThreadPoolExecutor(at_once) as pool:
        calls = [pool.submit(action, part) for part in parts]
        try:
            for call in calls:
                call.result()
        finally:
            pool.shutdown(cancel_futures=True)


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
        self._identity = _identity(found)
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


def _read_block(path: RemotePath, identity: Identity, size: int, index: int) -> bytes:
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
    listed = tree_of(folder)
    small = {} if listed is None else listed[0].small
    start = "" if listed is None or not listed[1] else f"{listed[1]}/"
    found = {place: small[start + place] for place in places if start + place in small}
    paths = {folder / place: place for place in places if place not in found}
    fetched = _fetched(list(paths))
    return found | {paths[path]: data for path, (_, data) in fetched.items()}


def _check(path: RemotePath, answer: Answer, expected: int, start: int, before: Identity) -> None:
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


def _removed(path: RemotePath) -> SourceError:
    _note_outdated(path)
    return SourceError(
        f"'{path}' was removed from the store while it was read. Put it back, or run this again to "
        "read what is there."
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
    size, modified, present = _identity(status(path))
    return _read_range(path, start, stop, (size, modified, tag or present))


def note_opened(path: RemotePath) -> None:
    """Raise the event of opening a file, as Python does for those of a disk."""
    sys.audit("open", str(path), "rb", os.O_RDONLY)


def _identity(found: os.stat_result) -> Identity:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _read_range(path: RemotePath, start: int, stop: int, before: Identity) -> bytes:
    fetched = _FETCHED.get()
    if fetched is not None and path in fetched:
        (size, _, tag), data = fetched[path]
        if (size, tag) == (before[0], before[2]):
            return data[start:stop]
    store = open_store(path)
    with store_errors(path, SourceError):
        try:
            answer = retried(lambda: store.read(start, stop))
        except FileNotFoundError:
            raise _removed(path) from None
    _check(path, answer, stop - start, start, before)
    return answer.data
