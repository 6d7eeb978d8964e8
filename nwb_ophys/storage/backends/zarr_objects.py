"""Objects of a Zarr store for their hashes: attributes, links, texts and references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nwb_ophys.storage.backends.zarr_claims import check_chunks_of
from nwb_ophys.storage.stored_objects import StoredObject, plain

# hdmf-zarr's own notes on dimensions and types.
_NOTES = ("_ARRAY_DIMENSIONS", "zarr_dtype", "_DTYPE", "_REFERENCE_FIELDS", ".specloc")
# Where hdmf-zarr keeps links, in formats 2 and 3.
_LINKS = ("zarr_link", "_LINKS")
_REFERENCES = "object_reference"
# Objects of NumPy, and its texts of any length.
_OBJECTS = "OT"


def zarr_objects(root: Any) -> Iterator[StoredObject]:
    """Yield each group and array of a store; links are not followed."""
    waiting: list[Any] = [root]
    while waiting:
        group = waiting.pop()
        try:
            inner = [item for _, item in group.groups()]
            arrays = [array for _, array in group.arrays()]
            waiting.extend(reversed(inner))
            yield _group(group)
        except Exception as error:  # of zarr, about damaged metadata
            yield StoredObject.unreadable(_path(group), error)
            continue
        for array in arrays:
            try:
                yield _array(array)
            except Exception as error:
                yield StoredObject.unreadable(_path(array), error)


def _group(group: Any) -> StoredObject:
    given = dict(group.attrs)
    links = {
        str(link.get("name")): f"{link.get('source')}:{link.get('path')}"
        for name in _LINKS
        for link in given.pop(name, [])
    }
    return StoredObject(path=_path(group), attributes=_attributes(given), links=links)


def _path(item: Any) -> str:
    return str(item.path).strip("/")


def _attributes(given: dict[str, Any]) -> dict[str, Any]:
    return {name: plain(value, _reference) for name, value in given.items() if name not in _NOTES}


def _reference(value: Any) -> Any:
    """Return what hdmf-zarr stores for a reference as the path of its object."""
    if not isinstance(value, dict):
        return value
    if value.get("dtype") == "object" and isinstance(value.get("value"), dict):
        value = value["value"]
    if isinstance(value.get("_REFERENCE"), dict):  # of format 3
        value = value["_REFERENCE"]
    if {"source", "path"} <= value.keys():
        return {"reference": value["path"]}
    return value


def _array(array: Any) -> StoredObject:
    given = dict(array.attrs)
    is_scalar = given.get("zarr_dtype") == "scalar"
    is_path = given.get("_DTYPE") == _REFERENCES
    dtype = np.dtype(array.dtype)

    def read(part: slice | None) -> Any:
        rest = (slice(None),) * (len(array.shape) - 1)
        check_chunks_of(array, None if part is None else (part, *rest))
        values = array[...] if part is None else array[part]
        if is_scalar:
            values = np.asarray(values).reshape(())
        if dtype.kind not in _OBJECTS:
            return values
        found = np.empty(np.shape(values), object)
        for index in np.ndindex(found.shape):
            value = np.asarray(values)[index]
            found[index] = {"reference": value} if is_path else plain(value, _reference)
        return found

    return StoredObject(
        path=_path(array),
        attributes=_attributes(given),
        shape=() if is_scalar else tuple(array.shape),
        dtype=dtype,
        read=read,
    )
