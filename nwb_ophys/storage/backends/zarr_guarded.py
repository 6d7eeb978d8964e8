"""Zarr stores whose files are secured before they change."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

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
    return type("GuardedStore", (_Guarded, importlib.import_module("zarr").DirectoryStore), {})
