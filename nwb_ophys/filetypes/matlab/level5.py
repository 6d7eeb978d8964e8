"""Elements of MATLAB files of version 5 to 7, without their values."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES = 128
# Order of bytes by the mark at the end of the header.
ORDERS = {b"IM": "<", b"MI": ">"}
_HEAD_BYTES = 65536
MOST_VARIABLES = 200
# Types of elements and classes, as the MAT-file level 5 format numbers them.
_MATRIX, _COMPRESSED = 14, 15
STRUCT_CLASS, OBJECT_CLASS, OPAQUE_CLASS = 2, 3, 17


def elements(file: BinaryIO, order: str) -> Iterator[bytes]:
    """Yield the start of each matrix of an open file, decompressed.

    Parameters
    ----------
    file : binary file
        Behind its header.
    order : {"<", ">"}
        Order of bytes.
    """
    for _ in range(MOST_VARIABLES):
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


def level5_objects(path: Path) -> dict[str, str]:
    """Return the class of each object among the variables of a file, by its name."""
    found = {}
    with path.open("rb") as file:
        order = ORDERS.get(file.read(HEADER_BYTES)[126:128], "")
        for element in elements(file, order) if order else ():
            flags, place = part(element, 0, order)
            kind = struct.unpack(f"{order}I", flags[:4])[0] & 0xFF
            if kind not in (OBJECT_CLASS, OPAQUE_CLASS):
                continue
            # An object has its shape before its name, an opaque one its system after it.
            parts = []
            for _ in range(3):
                text, place = part(element, place, order)
                parts.append(text.decode("ascii", "replace"))
            name = parts[1 if kind == OBJECT_CLASS else 0]
            if name:
                found[name] = parts[2]
    return found


def part(head: bytes, place: int, order: str) -> tuple[bytes, int]:
    """Return the bytes of an element and the start of the next one; both are aligned to 8."""
    (first,) = struct.unpack_from(f"{order}I", head, place)
    if first >> 16:  # a small element: its size and its type share four bytes
        return head[place + 4 : place + 4 + (first >> 16)], place + 8
    (size,) = struct.unpack_from(f"{order}I", head, place + 4)
    return head[place + 8 : place + 8 + size], place + 8 + (size + 7) // 8 * 8
