"""Zarr stores whose files are secured before they change."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from nwb_ophys.optional import require_package
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.zarr_installed import written_format
from nwb_ophys.storage.backends.zarr_remote import remote_store
from nwb_ophys.storage.guards import FolderGuard


def guarded_store(path: Path, guard: FolderGuard) -> Any:
    """Return a Zarr store in a folder that calls a guard before each change.

    Parameters
    ----------
    path : pathlib.Path
    guard : FolderGuard
    """
    store = _store_class()(str(path))
    store.guard = guard
    return store


class _Guarded:
    """Mixin for ``zarr.DirectoryStore``, with all methods that change files."""

    guard: FolderGuard

    def __setitem__(self, key: str, value: Any) -> None:
        self._before_change(key)
        super().__setitem__(key, value)  # type: ignore[misc]

    def __delitem__(self, key: str) -> None:
        self._before_change(key)
        super().__delitem__(key)  # type: ignore[misc]

    def rename(self, src_path: str, dst_path: str) -> None:
        """Rename a file or folder."""
        self._before_change(src_path)
        self._before_change(dst_path)
        super().rename(src_path, dst_path)  # type: ignore[misc]

    def rmdir(self, path: str | None = None) -> None:
        """Remove a folder."""
        self._before_change(path or "")
        super().rmdir(path)  # type: ignore[misc]

    def clear(self) -> None:
        """Remove everything."""
        self._before_change("")
        super().clear()  # type: ignore[misc]

    def _before_change(self, key: str) -> None:
        self.guard.before_change(self._normalize_key(key))  # type: ignore[attr-defined]


@functools.cache
def _store_class() -> type:
    return type("GuardedStore", (_Guarded, require_package("zarr", "zarr").DirectoryStore), {})


def reading_store(path: Path) -> Any:
    """Return a store of the installed Zarr for a folder; one in an object store is read only.

    Parameters
    ----------
    path : pathlib.Path
        On a disk, or in an object store.
    """
    if isinstance(path, RemotePath):
        return remote_store(path)
    return str(path) if written_format() == 2 else local_store(path)


def local_store(path: Path) -> Any:
    """Return a store of Zarr 3 in a folder.

    Zarr 3 takes a text for a URL, and would cut a name with ``#`` or ``?``.

    Parameters
    ----------
    path : pathlib.Path
    """
    return require_package("zarr.storage", "zarr").LocalStore(path.absolute())


def guarded_local_store(path: Path, guard: FolderGuard) -> Any:
    """Return a store of Zarr 3 in a folder that calls a guard before each change.

    Parameters
    ----------
    path : pathlib.Path
    guard : FolderGuard
    """
    store = _local_store_class()(path.absolute())
    store.guard = guard
    return store


class _GuardedLocal:
    """Mixin for ``zarr.storage.LocalStore``, with all methods that change files."""

    guard: FolderGuard

    def with_read_only(self, read_only: bool = False) -> Any:
        """Return the same store for reading only, or for writing."""
        store = super().with_read_only(read_only)  # type: ignore[misc]
        store.guard = self.guard
        return store

    async def set(self, key: str, value: Any) -> None:
        """Write a file."""
        self.guard.before_change(key)
        await super().set(key, value)  # type: ignore[misc]

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        """Write a file, unless it is there."""
        self.guard.before_change(key)
        await super().set_if_not_exists(key, value)  # type: ignore[misc]

    def set_sync(self, key: str, value: Any) -> None:
        """Write a file."""
        self.guard.before_change(key)
        super().set_sync(key, value)  # type: ignore[misc]

    async def delete(self, key: str) -> None:
        """Remove a file or folder."""
        self.guard.before_change(key)
        await super().delete(key)  # type: ignore[misc]

    def delete_sync(self, key: str) -> None:
        """Remove a file or folder."""
        self.guard.before_change(key)
        super().delete_sync(key)  # type: ignore[misc]

    async def delete_dir(self, prefix: str) -> None:
        """Remove a folder."""
        self.guard.before_change(prefix)
        await super().delete_dir(prefix)  # type: ignore[misc]

    async def clear(self) -> None:
        """Remove everything."""
        self.guard.before_change("")
        await super().clear()  # type: ignore[misc]

    async def move(self, dest_root: Any) -> None:
        """Refuse to move the folder, of which nobody asked."""
        raise NotImplementedError


@functools.cache
def _local_store_class() -> type:
    local = require_package("zarr.storage", "zarr").LocalStore
    return type("GuardedLocalStore", (_GuardedLocal, local), {})
