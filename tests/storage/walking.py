"""Contents of a file, read without pynwb, so that two files can be compared."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import zarr

_RECORD = "/scratch/nwb_ophys_record"
_SPEC = ("specifications", ".specloc")


def facts_of(path) -> dict[str, object]:
    """Return the object at every location of a file of either backend."""
    if Path(path).is_dir():
        return _zarr_facts(zarr.open(str(path), mode="r"))
    with h5py.File(path, "r") as file:
        found: dict[str, object] = {}
        _hdf5_group(file, file, found, {})
        return found


def _hdf5_group(file, group, found, seen):
    found[group.name] = ("group", _attributes(file, group))
    seen[h5py.h5o.get_info(group.id).addr] = group.name
    for name in group:
        link = group.get(name, getlink=True)
        path = f"{group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.SoftLink):
            found[path] = ("soft link", link.path)
        elif isinstance(link, h5py.ExternalLink):
            found[path] = ("external link", Path(link.filename).name, link.path)
        else:
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                found[path] = ("hard link", seen[address])
            elif isinstance(item, h5py.Group):
                _hdf5_group(file, item, found, seen)
            else:
                seen[address] = path
                found[path] = _hdf5_dataset(file, item)


def _hdf5_dataset(file, item):
    fill = None
    if item.dtype.kind in "biufc":
        fill = np.asarray(item.fillvalue, item.dtype).tobytes()
    if item.shape is None:
        return ("dataset", None, _type(item), None, fill, b"", _attributes(file, item))
    values = _plain(file, item[()], item.dtype)
    kind = _type(item)
    return ("dataset", item.shape, kind, item.maxshape, fill, values, _attributes(file, item))


def _type(item):
    identifier = item.id.get_type() if isinstance(item, h5py.Dataset) else item.get_type()
    return identifier.encode()


def _attributes(file, item):
    found = {}
    for name in item.attrs:
        identifier = item.attrs.get_id(name)
        value = item.attrs[name]
        found[name] = (_type(identifier), identifier.shape, _plain(file, value, identifier.dtype))
    return found


def _plain(file, values, dtype):
    """Return values as bytes or texts, and references as the names of their targets."""
    if isinstance(values, h5py.Empty):
        return "empty"
    array = np.asarray(values)
    if dtype.names is not None:
        return {name: _plain(file, array[name], dtype[name]) for name in dtype.names}
    if h5py.check_ref_dtype(dtype) is not None:
        flat = array.reshape(-1) if array.dtype.kind == "O" else [values]
        return [file[one].name if one else None for one in flat]
    if array.dtype.kind == "O":
        return [_plain_item(one) for one in array.reshape(-1)]
    return np.ascontiguousarray(array).tobytes()


def _plain_item(one):
    return one.tobytes() if isinstance(one, np.ndarray) else one


def _zarr_facts(root):
    found: dict[str, object] = {"/": ("group", dict(root.attrs))}

    def visit(path, item):
        if path.split("/")[0] in _SPEC:
            return
        attributes = dict(item.attrs)
        if isinstance(item, zarr.Group):
            found[f"/{path}"] = ("group", attributes)
            return
        values = item[...]
        plain = values.tolist() if values.dtype.kind == "O" else values.tobytes()
        fill = item.fill_value
        fill = None if fill is None else np.asarray(fill, item.dtype).tobytes()
        found[f"/{path}"] = ("dataset", item.shape, item.dtype, fill, plain, attributes)

    root.visititems(visit)
    return found


def differences(one, other) -> list[str]:
    """Return the locations at which two files differ, with both objects.

    The other file may have a record of its own writing, in ``scratch``.
    """
    own = {place for place in {*other} - {*one} if place.startswith(_RECORD)}
    if own and "/scratch" not in one and set(_below_scratch(other)) == own:
        own.add("/scratch")
    return [
        f"{place}: {_short(one.get(place), other.get(place))}"
        for place in sorted({*one, *other} - own)
        if one.get(place) != other.get(place)
    ]


def _below_scratch(facts):
    return [place for place in facts if place.startswith("/scratch/")]


def _short(one, other):
    if not isinstance(one, tuple) or not isinstance(other, tuple) or len(one) != len(other):
        return f"{str(one)[:200]} is now {str(other)[:200]}"
    parts = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    return "; ".join(f"{str(a)[:200]} is now {str(b)[:200]}" for a, b in parts)
