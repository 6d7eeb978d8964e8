"""Zarr stores in object stores, for reading; each chunk is checked before Zarr decodes it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.remote.reading import read_range, read_together
from nwb_ophys.storage.backends.zarr_claims import ChunkCheck, opening_array
from nwb_ophys.storage.backends.zarr_places import ABSENT, Index, index_in, read_index

_HEADERS = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")


class RemoteChunks:
    """Objects of a Zarr store by their keys.

    Parameters
    ----------
    folder : RemotePath
        Folder of the store, which is listed once.
    """

    def __init__(self, folder: RemotePath) -> None:
        self.folder = folder
        self._checks: dict[str, ChunkCheck | None] = {}
        self._indices: dict[str, Index] = {}

    def size(self, key: str) -> int | None:
        """Return the number of bytes of an object, or None if it does not exist."""
        try:
            return int((self.folder / key).stat().st_size)
        except FileNotFoundError:
            return None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes of an object, after the chunks in them were checked.

        Raises
        ------
        CorruptSourceError
            If a chunk contradicts itself.
        SourceError
            If the store fails.
        """
        path, size = self.folder / key, self.size(key)
        assert size is not None
        stop = size if stop is None else min(stop, size)
        whole = (start, stop) == (0, size)
        data = path.read_bytes() if whole else read_range(path, start, stop)
        self._check(key, data, start)
        return data

    def read_all(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return several objects, fetched together; those that do not exist are left out."""
        found = read_together(self.folder, [key for key in keys if self.size(key) is not None])
        for key, data in found.items():
            self._check(key, data, 0)
        return found

    def _check(self, key: str, data: bytes, start: int) -> None:
        folder, _, name = key.rpartition("/")
        if name in _HEADERS:
            return
        with opening_array(self.folder / folder):
            check = self._check_of(folder)
        if check is None:
            return
        with opening_array(check.folder):
            if check.layout is None:
                check.check(data, name)
                return
            for position, (first, size) in enumerate(self._index(key, check, data, start).tolist()):
                if first != ABSENT and start <= first and first + size <= start + len(data):
                    check.check(data[first - start :][:size], f"{position} of {name}")

    def _index(self, key: str, check: ChunkCheck, data: bytes, start: int) -> Index:
        if key not in self._indices:
            layout = check.layout
            assert layout is not None
            if start == 0 and layout.is_index_first and len(data) >= layout.index_bytes:
                size = self.size(key) or 0
                self._indices[key] = index_in(data[: layout.index_bytes], size, self.folder / key)
            else:
                self._indices[key] = read_index(self.folder / key, layout)[0]
        return self._indices[key]

    def _check_of(self, folder: str) -> ChunkCheck | None:
        """Return the check of the array that has a folder of chunks."""
        if folder not in self._checks:
            found = ChunkCheck.of(self.folder / folder if folder else self.folder)
            if found is None and folder:
                found = self._check_of(folder.rpartition("/")[0])
            self._checks[folder] = found
        return self._checks[folder]

    def every_key(self) -> Iterator[str]:
        """Yield the keys of all objects."""
        start = len(str(self.folder)) + 1
        return (str(each)[start:] for each in self.folder.rglob("*") if each.is_file())

    def names(self, place: str) -> list[str]:
        """Return the names of the objects and folders in a folder."""
        folder = self.folder / place if place else self.folder
        return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def remote_store(folder: RemotePath) -> Any:
    """Return a store of the installed Zarr for reading a folder of an object store."""
    zarr = require_package("zarr", "zarr")
    is_later = not hasattr(zarr, "DirectoryStore")
    return (_later_class() if is_later else _directory_class())(folder)


class _Directory:
    """Mixin for ``zarr.DirectoryStore``, the only one that hdmf-zarr 0.13 takes."""

    def __init__(self, folder: RemotePath) -> None:
        super().__init__(str(folder))  # type: ignore[call-arg]
        self.root, self._own = folder, RemoteChunks(folder)

    def __getitem__(self, key: str) -> bytes:
        key = self._key(key)
        if self._own.size(key) is None:
            raise KeyError(key)
        return self._own.read(key)

    def getitems(self, keys: Iterable[str], *, contexts: Any = None) -> Mapping[str, bytes]:
        """Return several objects."""
        stated = {self._key(key): key for key in keys}
        return {stated[key]: data for key, data in self._own.read_all(stated).items()}

    def __contains__(self, key: object) -> bool:
        return self._own.size(self._key(str(key))) is not None

    def __setitem__(self, key: str, value: Any) -> None:
        raise _read_only()

    def __delitem__(self, key: str) -> None:
        raise _read_only()

    def rmdir(self, path: str | None = None) -> None:
        """Raise an error: the store is read only."""
        raise _read_only()

    def rename(self, src_path: str, dst_path: str) -> None:
        """Raise an error: the store is read only."""
        raise _read_only()

    def clear(self) -> None:
        """Raise an error: the store is read only."""
        raise _read_only()

    def keys(self) -> Iterator[str]:
        """Yield the keys of all objects."""
        return self._own.every_key()

    def listdir(self, path: str | None = None) -> list[str]:
        """Return the names in a folder."""
        return self._own.names(self._key(path or ""))

    def dir_path(self, path: str | None = None) -> str:
        """Return the URL of a folder."""
        return str(self.root / path) if path else str(self.root)

    def getsize(self, path: str | None = None) -> int:
        """Return the number of bytes of an object, or of the objects in a folder."""
        place = self._key(path or "")
        own = self._own.size(place) if place else None
        if own is not None:
            return own
        names = (f"{place}/{name}".lstrip("/") for name in self._own.names(place))
        return sum(self._own.size(each) or 0 for each in names)

    def _key(self, key: str) -> str:
        return str(self._normalize_key(key)).strip("/")  # type: ignore[attr-defined]


def _read_only() -> NotImplementedError:
    return NotImplementedError("Zarr stores in object stores are for reading.")


@functools.cache
def _directory_class() -> type:
    return type("RemoteStore", (_Directory, require_package("zarr", "zarr").DirectoryStore), {})


class _Later:
    """Mixin for the stores of Zarr 3."""

    supports_writes = supports_deletes = False
    supports_listing = True

    def __init__(self, folder: RemotePath, *, read_only: bool = True) -> None:
        super().__init__(read_only=True)  # type: ignore[call-arg]
        self.root, self._own = folder, RemoteChunks(folder)

    def __str__(self) -> str:
        return str(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other.root == self.root

    __hash__ = None  # type: ignore[assignment]

    def with_read_only(self, read_only: bool = False) -> Any:
        """Return the store, which is for reading only."""
        if not read_only:
            raise _read_only()
        return self

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return an object or a part of it, or None."""
        return await asyncio.to_thread(self._get, key, prototype, byte_range)

    def _get(self, key: str, prototype: Any, byte_range: Any) -> Any:
        size = self._own.size(key)
        if size is None:
            return None
        start, stop = _bounds(byte_range, size)
        if prototype is None:
            prototype = require_package("zarr.core.buffer", "zarr").default_buffer_prototype()
        return prototype.buffer.from_bytes(self._own.read(key, start, stop))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> list[Any]:
        """Return parts of objects."""
        return list(await asyncio.gather(*(self.get(k, prototype, part) for k, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether there is an object."""
        return self._own.size(key) is not None

    async def set(self, key: str, value: Any) -> None:
        """Raise an error: the store is read only."""
        raise _read_only()

    async def delete(self, key: str) -> None:
        """Raise an error: the store is read only."""
        raise _read_only()

    async def list(self) -> AsyncIterator[str]:
        """Yield the keys of all objects."""
        for key in self._own.every_key():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with a text."""
        for key in self._own.every_key():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        for name in self._own.names(prefix.rstrip("/")):
            yield name


def _bounds(byte_range: Any, size: int) -> tuple[int, int]:
    """Return the bytes that a request of Zarr 3 names."""
    if byte_range is None:
        return 0, size
    if hasattr(byte_range, "suffix"):
        return max(size - byte_range.suffix, 0), size
    start = getattr(byte_range, "start", getattr(byte_range, "offset", 0))
    return min(start, size), min(getattr(byte_range, "end", size), size)


@functools.cache
def _later_class() -> type:
    return type("RemoteStore", (_Later, require_package("zarr.abc.store", "zarr").Store), {})
