"""Sizes that compressed images state themselves, beside the size of their page in a TIFF file.

A decoder asks for the memory of the size in the compressed data, whatever the page states. Images
whose size is not found are refused, because the decoder may find one. Structures of the headers:
ISO/IEC 10918-1 (JPEG), 15444-1 (JPEG 2000), 18181-1 and -2 (JPEG XL), 29199-2 (JPEG XR), 15948
(PNG), RFC 9649 (WebP), and Esri's description of LERC.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from nwb_ophys.filetypes.tiff.pages import Integers

_LARGE = 1 << 20  # values
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
            if not count:  # an absent strip or tile
                continue
            file.seek(start)
            size = read_size(file.read(count))
            if size is None:
                raise ValueError("its compressed data do not state the size of an image.")
            if math.prod(size) > 4 * expected:
                shape = " x ".join(map(str, size))
                raise ValueError(
                    f"its compressed data claim the shape {shape}, but page {number} has "
                    f"{page.imagelength} rows and {page.imagewidth} columns."
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


def _jpeg_2000_size(data: bytes) -> tuple[int, ...] | None:
    """Return the largest size of all headers, since the boxes before the image may hold one."""
    sizes = []
    start = data.find(_SIZ)
    while 0 <= start <= len(data) - 42:
        columns, rows = struct.unpack_from(">II", data, start + 8)
        (components,) = struct.unpack_from(">H", data, start + 40)
        sizes.append((rows, columns, components) if components > 1 else (rows, columns))
        start = data.find(_SIZ, start + 1)
    return max(sizes, key=math.prod, default=None)


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


class _Bits:
    """Bits of JPEG XL, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._place, self._end = int.from_bytes(data, "little"), 0, 8 * len(data)

    def read(self, number: int) -> int:
        """Return the next bits as a number."""
        if self._place + number > self._end:
            raise EOFError
        found = self._value >> self._place & (1 << number) - 1
        self._place += number
        return found

    def choose(self, *choices: tuple[int, int]) -> int:
        """Return a number of one of four widths, each with an offset."""
        offset, width = choices[self.read(2)]
        return offset + self.read(width)


_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_XL_SIZES = ((1, 9), (1, 13), (1, 18), (1, 30))
_XL_HEAD_BYTES = 64


def _jpeg_xl_size(data: bytes) -> tuple[int, ...] | None:
    start = 0 if data[:2] == b"\xff\x0a" else _jpeg_xl_start(data)
    bits = _Bits(data[start + 2 : start + 2 + _XL_HEAD_BYTES])
    try:
        rows, columns = _jpeg_xl_shape(bits)
        if bits.read(1):  # no more than one image of 8 bits
            return rows, columns
        if bits.read(1):
            bits.read(3)  # the orientation
            if bits.read(1) or bits.read(1) or bits.read(1):
                raise ValueError("its compressed data hold an animation or a preview.")
        if bits.read(1):  # floating point
            bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
            bits.read(4)
        else:
            bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
        bits.read(1)
        extra = bits.choose((0, 0), (1, 0), (2, 4), (1, 12))
    except EOFError:
        return None
    return (rows, columns, 1 + extra) if extra else (rows, columns)


def _jpeg_xl_shape(bits: _Bits) -> tuple[int, int]:
    is_small = bits.read(1)
    rows = 8 * (bits.read(5) + 1) if is_small else bits.choose(*_XL_SIZES)
    ratio = bits.read(3)
    if ratio:
        wide, high = _RATIOS[ratio - 1]
        return rows, rows * wide // high
    return rows, 8 * (bits.read(5) + 1) if is_small else bits.choose(*_XL_SIZES)


def _jpeg_xl_start(data: bytes) -> int:
    """Return the position of the codestream in a container, which consists of boxes."""
    position = 0
    while position + 16 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        begin = position + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        if kind in (b"jxlc", b"jxlp"):  # a part has a number before it
            return begin + 4 * (kind == b"jxlp")
        if size < 8:
            break
        position += size
    return len(data)


_XR_MARK = b"WMPHOTO\0"


def _jpeg_xr_size(data: bytes) -> tuple[int, int] | None:
    """Return the largest size of all headers: of an image, and of the plane of its alpha."""
    sizes = []
    start = data.find(_XR_MARK)
    while 0 <= start <= len(data) - 20:
        is_short = data[start + 10] >> 7
        columns, rows = struct.unpack_from(">HH" if is_short else ">II", data, start + 12)
        sizes.append((rows + 1, columns + 1))
        start = data.find(_XR_MARK, start + 1)
    return max(sizes, key=math.prod, default=None)


def _lerc_size(data: bytes) -> tuple[int, ...] | None:
    """Return rows, columns, and the number of values of a pixel in all bands."""
    position, rows, columns, values = 0, 0, 0, 0
    while data[position : position + 6] == b"Lerc2 " and position + 60 <= len(data):
        (version,) = struct.unpack_from("<i", data, position + 6)
        start = position + (14 if version >= 3 else 10)
        rows, columns, depth = struct.unpack_from("<iii", data, start)
        after = start + (16 if version >= 4 else 12)  # those before version 4 have no depth
        _, blob_bytes = struct.unpack_from("<ii", data, after)
        values += depth if version >= 4 else 1
        if blob_bytes <= 0:
            break
        position += blob_bytes
    return (rows, columns, values) if values > 1 else (rows, columns) if values else None


_READERS: dict[int, Callable[[bytes], tuple[int, ...] | None]] = {
    **dict.fromkeys((6, 7, 34892), _jpeg_size),
    **dict.fromkeys((33003, 33004, 33005, 34712), _jpeg_2000_size),
    **dict.fromkeys((22610, 34934), _jpeg_xr_size),
    34887: _lerc_size,
    34933: _png_size,
    **dict.fromkeys((34927, 50001), _webp_size),
    **dict.fromkeys((50002, 52546), _jpeg_xl_size),
}
"""The reader of the stated size, by the value of the Compression tag."""
