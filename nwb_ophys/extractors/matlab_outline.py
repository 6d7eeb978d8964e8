"""What a MATLAB file holds, by names and shapes, to tell who wrote it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import h5py

# Fields by name, with the shape where it is known without reading the values.
Fields = dict[str, tuple[int, ...] | None]

_HEADER_BYTES = 128
_HEAD_BYTES = 65536
_MOST_VARIABLES = 200
# Types of elements and the class of structs, as the MAT-file level 5 format numbers them.
_MATRIX, _COMPRESSED = 14, 15
_STRUCT_CLASS = 2
# The name under which the variables themselves are listed: they may be what a struct holds.
ROOT = ""


def read_matlab_outline(path: Path) -> dict[str, Fields] | None:
    """Return the structs of a MATLAB file with their fields, or None where it is no such file.

    Parameters
    ----------
    path : pathlib.Path
        A file named ``.mat``, of version 7.3 (HDF5) or 5 to 7. No values are read.

    Returns
    -------
    dict of str to dict of str to (tuple of int or None)
        The fields of each struct, in MATLAB's order of axes; under the empty name the variables.
    """
    if path.suffix.lower() != ".mat" or not path.is_file():
        return None
    try:
        if h5py.is_hdf5(path):
            return _hdf5_outline(path)
        return _level5_outline(path)
    except (OSError, RuntimeError, KeyError, ValueError, struct.error, zlib.error):
        return None


def _hdf5_outline(path: Path) -> dict[str, Fields]:
    with h5py.File(path, "r") as file:
        # Where variables are kept that others refer to; its entries may be very many.
        names = [name for name in file if not name.startswith("#")][:_MOST_VARIABLES]
        outline = {ROOT: _fields(file, names)}
        for name in names:
            item = file.get(name)
            if isinstance(item, h5py.Group) and "MATLAB_sparse" not in item.attrs:
                outline[name] = _fields(item, list(item)[:_MOST_VARIABLES])
    return outline


def _fields(group: h5py.Group, names: list[str]) -> Fields:
    fields: Fields = {}
    for name in names:
        item = group.get(name)
        is_dataset = isinstance(item, h5py.Dataset) and item.shape is not None
        fields[name] = tuple(int(size) for size in item.shape[::-1]) if is_dataset else None
    return fields


def _level5_outline(path: Path) -> dict[str, Fields] | None:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if order is None or not header.startswith(b"MATLAB"):
            return None
        outline: dict[str, Fields] = {ROOT: {}}
        for element in _elements(file, order):
            name, shape, fields = _matrix(element, order)
            outline[ROOT][name] = shape
            if fields is not None:
                outline[name] = dict.fromkeys(fields)
    return outline


def _elements(file: BinaryIO, order: str) -> Iterator[bytes]:
    """Yield the start of each matrix, decompressed."""
    for _ in range(_MOST_VARIABLES):
        tag = file.read(8)
        if len(tag) < 8:
            return
        kind, size = struct.unpack(f"{order}II", tag)
        start = file.tell()
        head = file.read(min(size, _HEAD_BYTES))
        if kind == _COMPRESSED:
            head = zlib.decompressobj().decompress(head, _HEAD_BYTES)
            kind, head = struct.unpack(f"{order}I", head[:4])[0], head[8:]
        if kind == _MATRIX:
            yield head
        file.seek(start + size)


def _matrix(head: bytes, order: str) -> tuple[str, tuple[int, ...], list[str] | None]:
    """Return the name and shape of a matrix and, of a struct, the names of its fields."""
    flags, place = _part(head, 0, order)
    sizes, place = _part(head, place, order)
    name, place = _part(head, place, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    fields = None
    if struct.unpack(f"{order}I", flags[:4])[0] & 0xFF == _STRUCT_CLASS:
        length, place = _part(head, place, order)
        texts, place = _part(head, place, order)
        (step,) = struct.unpack(f"{order}i", length)
        parts = [texts[start : start + step] for start in range(0, len(texts), step)]
        fields = [part.split(b"\0")[0].decode("ascii", "replace") for part in parts]
    return name.decode("ascii", "replace"), shape, fields


def _part(head: bytes, place: int, order: str) -> tuple[bytes, int]:
    """Return the bytes of an element and where the next one starts; both are aligned to 8."""
    (first,) = struct.unpack_from(f"{order}I", head, place)
    if first >> 16:  # a small one: its size and its type share four bytes
        return head[place + 4 : place + 4 + (first >> 16)], place + 8
    (size,) = struct.unpack_from(f"{order}I", head, place + 4)
    return head[place + 8 : place + 8 + size], place + 8 + (size + 7) // 8 * 8
