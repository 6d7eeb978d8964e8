"""Objects of an HDF5 file for their hashes: attributes, links, texts and references."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.storage.backends.hdf5_opening import encoded
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
            path = _path(item)
            address = int(h5py.h5o.get_info(item.id).addr)
            if address in seen:
                group, _, name = path.rpartition("/")
                further_names.setdefault(group, {})[name] = seen[address]
                continue
            seen[address] = path
            if isinstance(item, h5py.Group):
                links, inner = _contents(item)
                waiting.extend(reversed(inner))
                yield StoredObject(
                    path=path,
                    attributes=_attributes(item, file),
                    links=links,
                    further_names=further_names.setdefault(path, {}),
                )
            elif isinstance(item, h5py.Dataset):
                yield _dataset(item, path, file)
        except HDF5_FAULTS as error:
            yield StoredObject.unreadable(_path(item), error)


def _path(item: Any) -> str:
    return str(item.name).strip("/")


def _contents(group: h5py.Group) -> tuple[dict[str, str], list[Any]]:
    """Return the links of a group, and its own groups and datasets."""
    links, inner = {}, []
    kinds = group.id.links
    for name in group:
        if isinstance(name, bytes):  # which h5py and NWB refuse
            error = SourceError("its name is not UTF-8")
            inner.append(StoredObject.unreadable(f"{group.name}/{os.fsdecode(name)}", error))
            continue
        if kinds.get_info(encoded(name)).type == h5py.h5l.TYPE_HARD:
            try:
                inner.append(group[name])
            except HDF5_FAULTS as error:
                path = f"{group.name}/{name}"
                inner.append(StoredObject.unreadable(path, error))
            continue
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            links[name] = f"{link.filename}:{link.path}"
        else:
            links[name] = str(link.path)
    return links, inner


def _attributes(item: Any, file: h5py.File) -> dict[str, Any]:
    # h5py gives the names that are not UTF-8 as bytes.
    texts = {os.fsdecode(name): name for name in item.attrs}
    return {text: _attribute(item, texts[text], file) for text in texts if text not in _NOTES}


def _attribute(item: Any, name: str, file: h5py.File) -> Any:
    try:
        text = _text(item, name)
        if text is not None:
            return text
        value = item.attrs[name]
    except Exception as error:  # of a type that h5py cannot convert, or damaged
        return {"unreadable": type(error).__name__}
    return plain(value, lambda each: _reference(each, file))


def _text(item: Any, name: str) -> str | None:
    """Return an attribute that is one text of any length; None for others.

    Most attributes are such texts, and the same steps take h5py three times as long.
    """
    attribute = h5py.h5a.open(item.id, encoded(name))
    stored = attribute.get_type()
    if not isinstance(stored, h5py.h5t.TypeStringID) or not stored.is_variable_str():
        return None
    if attribute.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
        return None
    found: Any = np.empty((), object)
    attribute.read(found, mtype=h5py.h5t.PYTHON_OBJECT)
    text: str = found[()].decode("utf-8", "surrogateescape")
    return text


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


def _dataset(item: h5py.Dataset, path: str, file: h5py.File) -> StoredObject:
    attributes, shape = _attributes(item, file), item.shape
    if shape is None:
        return StoredObject(path=path, attributes=attributes)
    dtype = item.dtype
    readable = functools.cache(lambda: checked(item))  # not for those that are not read

    def read(part: slice | None) -> Any:
        values = readable()[()] if part is None else readable()[part]
        if dtype.kind not in "OV" or (dtype.kind == "V" and not _has_objects(dtype)):
            return values
        found = np.empty(np.shape(values), object)
        given = np.asarray(values, dtype=dtype)
        for index in np.ndindex(found.shape):
            found[index] = plain(given[index], lambda each: _reference(each, file))
        return found

    return StoredObject(
        path=path, attributes=attributes, shape=tuple(shape), dtype=dtype, read=read
    )


def _has_objects(dtype: np.dtype[Any]) -> bool:
    return dtype.names is not None and any(dtype[name].kind == "O" for name in dtype.names)
