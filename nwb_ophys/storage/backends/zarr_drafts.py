"""Drafts of changed Zarr stores: a copy without the chunks of large arrays, which is changed.

The files of the copy that differ are then written to the store.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import OutputError
from nwb_ophys.storage.copying import keep_mode
from nwb_ophys.storage.guards import FolderGuard
from nwb_ophys.storage.hidden_names import HiddenNames

if TYPE_CHECKING:
    from nwb_ophys.storage.backends.zarr_folder import ZarrFolder

_HEADERS = (".zarray", "zarr.json")
_METADATA = (*_HEADERS, ".zattrs", ".zgroup", ".zmetadata")
# Numbers that are metadata, such as a wavelength, take a few bytes.
_LARGEST_COPY = 1 << 20
# First letters of the dtypes of numbers, in formats 2 and 3.
_NUMBERS = ("b", "i", "u", "f", "c")


class ZarrDraft:
    """Draft of a changed store, in a hidden folder beside it.

    Parameters
    ----------
    path : pathlib.Path
        The lock of this store is held.
    storage : ZarrFolder
    """

    def __init__(self, path: Path, storage: ZarrFolder) -> None:
        self._path, self._storage = path, storage
        self._folder = HiddenNames.beside(path).partial(storage.suffix)
        self._is_changed = False
        self._partly_copied: set[str] = set()
        try:
            self._before = dict(self._copied())
        except BaseException:
            self.close()
            raise

    def _copied(self) -> Iterator[tuple[str, bytes]]:
        """Copy the metadata and the small arrays; yield name and contents of each file."""
        for where, folders, names in os.walk(self._path):
            folder = Path(where)
            header = next((name for name in _HEADERS if _is_array(folder / name)), None)
            if header is not None:
                inner = list(_small_files(folder, folder / header))
                if not inner:
                    self._partly_copied.add(folder.relative_to(self._path).as_posix())
                names, folders[:] = [*inner, *(n for n in names if n in _METADATA)], []
            for name in dict.fromkeys(names):
                relative = (folder / name).relative_to(self._path)
                place = self._folder / relative
                place.parent.mkdir(parents=True, exist_ok=True)
                contents = (folder / name).read_bytes()
                place.write_bytes(contents)
                yield relative.as_posix(), contents

    def open(self, mode: str, manager: Any = None) -> Any:
        """Return a pynwb IO object of the draft; ``mode`` is ``r`` or ``r+``."""
        if mode == "r" and self._is_changed:
            self._storage.consolidate(self._folder)
        self._is_changed = self._is_changed or mode != "r"
        return self._storage.open(self._folder, mode, manager)

    def commit(self, guard: FolderGuard) -> None:
        """Write the changes to the store.

        Parameters
        ----------
        guard : FolderGuard
            Secures each file before it changes.

        Raises
        ------
        OSError
            If the disk refuses a part.
        """
        now = dict(self._files())
        removed = [name for name in self._before if name not in now]
        changed = [name for name, contents in now.items() if self._before.get(name) != contents]
        self._check_arrays([*removed, *changed])
        for name in removed:
            guard.before_change(name)
            (self._path / name).unlink()
            _remove_empty(self._path / name, self._path)
        for name in changed:
            guard.before_change(name)
            _write(self._path / name, now[name])

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for where, _, names in os.walk(self._folder):
            for name in names:
                place = Path(where, name)
                yield place.relative_to(self._folder).as_posix(), place.read_bytes()

    def _check_arrays(self, names: list[str]) -> None:
        """Check that no array of which the draft has only the metadata gets other chunks."""
        for name in names:
            folder, _, file = name.rpartition("/")
            if folder in self._partly_copied and (file not in _METADATA or self._is_other(name)):
                raise OutputError(f"'{folder}' of '{self._path}' is data, which are not edited.")

    def _is_other(self, name: str) -> bool:
        """Return whether the metadata of an array differ in more than attributes."""
        if not (self._folder / name).is_file() or name not in self._before:
            return True
        texts = (self._before[name], (self._folder / name).read_bytes())
        headers = [{**parse_source_json(text), "attributes": None} for text in texts]
        return not name.endswith(".zattrs") and headers[0] != headers[1]

    def close(self) -> None:
        """Remove the draft."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _is_array(header: Path) -> bool:
    if not header.is_file():
        return False
    if header.name == ".zarray":
        return True
    return bool(parse_source_json(read_limited(header)).get("node_type") == "array")


def _small_files(folder: Path, header: Path) -> Iterator[str]:
    """Yield the names of the files of an array, but nothing for a large array of numbers."""
    files: list[tuple[Path, int]] = []
    stated = parse_source_json(read_limited(header))
    dtype = stated.get("dtype", stated.get("data_type"))
    is_numeric = isinstance(dtype, str) and dtype.lstrip("<>|=").startswith(_NUMBERS)
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            files.append((Path(where, name), Path(where, name).stat().st_size))
            total += files[-1][1]
            if is_numeric and total > _LARGEST_COPY:
                return
    yield from (path.relative_to(folder).as_posix() for path, _ in files)


def _write(place: Path, contents: bytes) -> None:
    """Write a file in one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f"{place.name}.{uuid.uuid4().hex}.partial")
    new.write_bytes(contents)
    if place.exists():
        keep_mode(place, new)
    new.replace(place)


def _remove_empty(place: Path, top: Path) -> None:
    """Remove the folders that a removed file leaves empty."""
    folder = place.parent
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
