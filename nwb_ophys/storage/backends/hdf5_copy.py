"""Copies from one HDF5 file to another, of everything except the datasets that the engine fills.

hdmf knows less than HDF5 allows: it fails on links to missing files and objects, and changes the
types of attributes and the limits to which tables of references may grow. This copy keeps the
types, links and references of HDF5, and knows nothing of NWB. It is a part of the HDF5 backend,
in a file of its own because the backend would exceed 600 lines with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from hdmf.build import DatasetBuilder

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.storage.backends.hdf5_opening import encoded
from nwb_ophys.storage.hdmf.internals import settings_of
from nwb_ophys.storage.named_files import NAMED_FILES, moved_names


def hdf5_datasets(
    group: h5py.Group, seen: set[int] | None = None
) -> Iterator[tuple[str, DatasetBuilder]]:
    """Yield each dataset of a file once, with its path; links are not followed.

    Parameters
    ----------
    group : h5py.Group
    seen : set of int, optional
        Addresses of the objects that were yielded before.
    """
    seen = {_address(group)} if seen is None else seen
    for name, item in _own_items(group):
        address = _address(item)
        if address in seen:
            continue
        seen.add(address)
        if isinstance(item, h5py.Group):
            yield from hdf5_datasets(item, seen)
        elif isinstance(item, h5py.Dataset) and item.shape:
            yield item.name.strip("/"), DatasetBuilder(name, data=item)


def _own_items(group: h5py.Group) -> Iterator[tuple[str, Any]]:
    for name in group:
        if isinstance(name, bytes):
            raise SourceError(
                f"'{group.file.filename}' has a member whose name, {name!r}, is not UTF-8; NWB has "
                "no such names. Rename it, or remove it, and copy the file again."
            )
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            yield name, group[name]


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


class Hdf5Copy:
    """One copy of a file.

    Parameters
    ----------
    source, target : h5py.File
        The target is empty.
    declared : mapping of str to hdmf.backends.hdf5.H5DataIO
        Datasets, by location, that are created without values instead of being copied.
    """

    def __init__(self, source: h5py.File, target: h5py.File, declared: Mapping[str, Any]) -> None:
        self._source, self._target, self._declared = source, target, declared
        self._copied: dict[int, str] = {}
        self._pairs: list[tuple[Any, Any]] = []
        self._of_references: list[tuple[Any, Any]] = []

    def run(self) -> None:
        """Copy the file.

        Raises
        ------
        SourceError
            If an object cannot be copied; names the object.
        """
        self._copied[_address(self._source)] = "/"
        self._pairs.append((self._source["/"], self._target["/"]))
        self._links(self._source["/"], self._target["/"])
        # References follow the copy of all objects, since they may lead to any of them.
        for old, new in self._of_references:
            with_values = np.zeros(old.shape, old.dtype)
            old.id.read(h5py.h5s.ALL, h5py.h5s.ALL, with_values)
            with self._naming(f"'{old.name}'"):
                found = self._referring(with_values)
            new.id.write(h5py.h5s.ALL, h5py.h5s.ALL, found)
        for old, new in self._pairs:
            self._attributes(old, new)

    @contextmanager
    def _naming(self, place: str) -> Iterator[None]:
        """Name the place of a reference whose object is not in the file, as after its deletion."""
        try:
            yield
        except (KeyError, ValueError, RuntimeError) as error:
            raise CorruptSourceError(
                f"{place} of '{self._source.filename}' refers to an object that is not in the "
                "file: it may have been deleted. Delete what refers to it as well, or copy the "
                "file again from where it was written."
            ) from error

    def _links(self, old: h5py.Group, new: h5py.Group) -> None:
        for name in old:
            where = f"{old.name.rstrip('/')}/{name}"
            try:
                link = old.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    new[name] = h5py.ExternalLink(self._external(link.filename), link.path)
                elif isinstance(link, h5py.SoftLink):
                    new[name] = h5py.SoftLink(link.path)
                else:
                    self._item(name, old[name], new)
            except SourceError:
                raise
            except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
                raise SourceError(
                    f"'{where}' of '{self._source.filename}' cannot be copied: {error}"
                ) from error

    def _external(self, file_name: str) -> str:
        """Return the name of another file relative to the folder of the copy."""
        if Path(file_name).is_absolute():
            return file_name
        here, there = (
            os.path.realpath(Path(file.filename).parent) for file in (self._source, self._target)
        )
        return os.path.relpath(Path(here) / file_name, there)

    def _item(self, name: str, item: Any, parent: h5py.Group) -> None:
        address = _address(item)
        if address in self._copied:
            parent[name] = self._target[self._copied[address]]
            return
        self._copied[address] = f"{parent.name.rstrip('/')}/{name}"
        if isinstance(item, h5py.Group):
            made = h5py.h5g.create(parent.id, name.encode(), gcpl=item.id.get_create_plist())
            new = h5py.Group(made)
            self._pairs.append((item, new))
            self._links(item, new)
            return
        if isinstance(item, h5py.Dataset):
            self._dataset(name, item, parent)
        else:  # a named type
            h5py.h5o.copy(item.parent.id, item.name.encode(), parent.id, name.encode())
            return
        self._pairs.append((item, parent[name]))

    def _dataset(self, name: str, item: h5py.Dataset, parent: h5py.Group) -> None:
        location = item.name.strip("/")
        if location in self._declared:
            settings = settings_of(self._declared[location])
            parent.create_dataset(name, item.shape, **{**settings, "dtype": item.dtype})
        elif name == NAMED_FILES and item.ndim == 1 and h5py.check_string_dtype(item.dtype):
            self._names(name, item, parent)
        elif item.is_virtual or item.external:
            # The copy may lie in another folder, where it would not find these files.
            parent.create_dataset(name, data=item[()], dtype=item.dtype, maxshape=item.maxshape)
        elif item.id.get_type().detect_class(h5py.h5t.REFERENCE):
            made = h5py.h5d.create(
                parent.id,
                name.encode(),
                item.id.get_type(),
                item.id.get_space(),
                item.id.get_create_plist(),
            )
            if item.shape is not None:
                self._of_references.append((item, h5py.Dataset(made)))
        else:
            self._whole(name, item, parent)

    def _names(self, name: str, item: h5py.Dataset, parent: h5py.Group) -> None:
        files = (Path(file.filename) for file in (self._source, self._target))
        before = [each.decode(errors="surrogateescape") for each in item[()]]
        names = moved_names(before, *files)
        if names == before:
            self._whole(name, item, parent)
        else:  # they may be longer than a type of fixed length allows
            parent.create_dataset(name, data=names, dtype=h5py.string_dtype())

    def _whole(self, name: str, item: h5py.Dataset, parent: h5py.Group) -> None:
        without = h5py.h5p.create(h5py.h5p.OBJECT_COPY)
        without.set_copy_object(h5py.h5o.COPY_WITHOUT_ATTR_FLAG)
        h5py.h5o.copy(item.id, b".", parent.id, name.encode(), without)

    def _attributes(self, old: Any, new: Any) -> None:
        for name in old.attrs:
            raw = encoded(name)
            stored = h5py.h5a.open(old.id, raw)
            kind, space = stored.get_type(), stored.get_space()
            made = h5py.h5a.create(new.id, raw, kind, space)
            if stored.shape is None:
                continue
            values = np.zeros(stored.shape, stored.dtype)
            memory_type = h5py.h5t.py_create(stored.dtype)
            stored.read(values, mtype=memory_type)
            if kind.detect_class(h5py.h5t.REFERENCE):
                with self._naming(f"The attribute '{name}' of '{old.name}'"):
                    values = self._referring(values)
            made.write(values, mtype=memory_type)

    def _referring(self, values: Any) -> Any:
        """Return values whose references lead to the objects of the copy."""
        if values.dtype.names is not None:
            for field in values.dtype.names:
                values[field] = self._referring(values[field])
            return values
        if values.dtype.kind != "O":
            return values
        found = np.empty(values.shape, values.dtype)
        for index in np.ndindex(values.shape):
            found[index] = self._reference(values[index])
        return found

    def _reference(self, one: Any) -> Any:
        if isinstance(one, h5py.RegionReference) and one:
            space = h5py.h5r.get_region(one, self._source.id)
            path = self._copied[_address(self._source[one])]
            return h5py.h5r.create(self._target.id, path.encode(), h5py.h5r.DATASET_REGION, space)
        if isinstance(one, h5py.Reference) and one:
            return self._target[self._copied[_address(self._source[one])]].ref
        if isinstance(one, np.ndarray) and one.dtype.kind == "O":
            return self._referring(one)
        return one
