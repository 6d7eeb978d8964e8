"""Objects of an HDF5 file for their hashes: attributes, links, texts and references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from nwb_ophys.storage.backends.hdf5_parts import HDF5_FAULTS
from nwb_ophys.storage.backends.hdf5_reading import checked
from nwb_ophys.storage.stored_objects import StoredObject, plain

# The place of the cached schemas; other backends state it in another way.
_NOTES = (".specloc",)


def hdf5_objects(root: h5py.Group) -> Iterator[StoredObject]:
    """Yield each group and dataset of a file once; links are not followed."""
    file = root.file  # making it takes h5py longer than reading an attribute
    seen: dict[int, str] = {}
    further_names: dict[str, dict[str, str]] = {}
    waiting: list[Any] = [root["/"]]
    while waiting:
        item = waiting.pop()
        if isinstance(item, StoredObject):
            yield item
            continue
        try:
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                group, _, name = _path(item).rpartition("/")
                further_names.setdefault(group, {})[name] = seen[address]
                continue
            seen[address] = _path(item)
            if isinstance(item, h5py.Group):
                links, inner = _contents(item)
                waiting.extend(reversed(inner))
                yield StoredObject(
                    path=_path(item),
                    attributes=_attributes(item, file),
                    links=links,
                    further_names=further_names.setdefault(_path(item), {}),
                )
            elif isinstance(item, h5py.Dataset):
                yield _dataset(item, file)
        except HDF5_FAULTS as error:
            yield StoredObject.unreadable(_path(item), error)


def _path(item: Any) -> str:
    return str(item.name).strip("/")


def _contents(group: h5py.Group) -> tuple[dict[str, str], list[Any]]:
    """Return the links of a group, and its own groups and datasets."""
    links, inner = {}, []
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            links[name] = f"{link.filename}:{link.path}"
        elif isinstance(link, h5py.SoftLink):
            links[name] = str(link.path)
        else:
            try:
                inner.append(group[name])
            except HDF5_FAULTS as error:
                path = f"{group.name}/{name}"
                inner.append(StoredObject.unreadable(path, error))
    return links, inner


def _attributes(item: Any, file: h5py.File) -> dict[str, Any]:
    given = item.attrs
    return {name: _attribute(given, name, file) for name in given if name not in _NOTES}


def _attribute(given: Any, name: str, file: h5py.File) -> Any:
    try:
        value = given[name]
    except Exception as error:  # of a type that h5py cannot convert, or damaged
        return {"unreadable": type(error).__name__}
    return plain(value, lambda each: _reference(each, file))


def _reference(value: Any, file: h5py.File) -> Any:
    if isinstance(value, h5py.Empty):
        return {"empty": True}
    if isinstance(value, h5py.RegionReference):
        if not value:
            return {"region": None}
        space = h5py.h5r.get_region(value, file.id)
        return {"region": file[value].name, "bounds": [list(map(int, b)) for b in _bounds(space)]}
    if isinstance(value, h5py.Reference):
        return {"reference": file[value].name if value else None}
    return value


def _bounds(space: Any) -> Any:
    return space.get_select_bounds() if space.get_select_npoints() else ()


def _dataset(item: h5py.Dataset, file: h5py.File) -> StoredObject:
    attributes = _attributes(item, file)
    if item.shape is None:
        return StoredObject(path=_path(item), attributes=attributes)
    dtype, item = item.dtype, checked(item)

    def read(part: slice | None) -> Any:
        values = item[()] if part is None else item[part]
        if dtype.kind not in "OV" or (dtype.kind == "V" and not _has_objects(dtype)):
            return values
        found = np.empty(np.shape(values), object)
        given = np.asarray(values, dtype=dtype)
        for index in np.ndindex(found.shape):
            found[index] = plain(given[index], lambda each: _reference(each, file))
        return found

    return StoredObject(
        path=_path(item), attributes=attributes, shape=tuple(item.shape), dtype=dtype, read=read
    )


def _has_objects(dtype: np.dtype[Any]) -> bool:
    return dtype.names is not None and any(dtype[name].kind == "O" for name in dtype.names)
