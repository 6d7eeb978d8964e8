"""Sizes that compressed images state themselves, beside the size of their page in a TIFF file.

A decoder asks for the memory of the size in the compressed data, whatever the page states.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from nwb_ophys.filetypes.tiff.pages import Integers

_HEAD_BYTES = 1 << 16
_LARGE = 1 << 24  # pixels
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SIZ = b"\xff\x4f\xff\x51"


def check_embedded_sizes(tiff: Any, pages: Integers, compression: int) -> None:
    """Raise ValueError if a strip or tile of some pages states to be far larger than its page.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    pages : numpy.ndarray of int64
        Numbers of the pages.
    compression : int
        Value of the Compression tag.
    """
    read_size = _READERS.get(compression)
    if read_size is None:
        return
    file: BinaryIO = tiff.filehandle
    for number in pages.tolist():
        page = tiff.pages.get(number, aspage=True)
        expected = max(page.imagewidth * page.imagelength, page.tilewidth * page.tilelength, _LARGE)
        for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            file.seek(start)
            size = read_size(file.read(min(count, _HEAD_BYTES)))
            if size is not None and size[0] * size[1] > 4 * expected:
                raise ValueError(
                    f"its compressed data claim {size[0]} rows and {size[1]} columns, but page "
                    f"{number} has {page.imagelength} and {page.imagewidth}"
                )


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        mark = data[position + 1]
        if mark in _JPEG_FRAMES:
            rows, columns = struct.unpack_from(">HH", data, position + 5)
            return rows, columns
        if mark == 0xFF:  # a fill byte
            position += 1
            continue
        is_alone = mark == 0x01 or 0xD0 <= mark <= 0xD9
        position += 2 if is_alone else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def _jpeg_2000_size(data: bytes) -> tuple[int, int] | None:
    start = data.find(_SIZ)
    if start < 0 or start + 16 > len(data):
        return None
    columns, rows = struct.unpack_from(">II", data, start + 8)
    return rows, columns


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24:
        return None
    columns, rows = struct.unpack_from(">II", data, 16)
    return rows, columns


def _webp_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        columns, rows = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return rows, columns
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    columns, rows = struct.unpack_from("<HH", data, 26)
    return rows & 0x3FFF, columns & 0x3FFF


_READERS: dict[int, Callable[[bytes], tuple[int, int] | None]] = {
    **dict.fromkeys((6, 7, 34892), _jpeg_size),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg_2000_size),
    34933: _png_size,
    50001: _webp_size,
}
"""The reader of the stated size, by the value of the Compression tag."""
