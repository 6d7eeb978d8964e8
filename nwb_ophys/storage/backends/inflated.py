"""Sizes to which compressed chunks inflate, found without keeping what they inflate to."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

Measure = Callable[[bytes, int], "int | None"]

DEFLATE_DENSEST = 1100
"""Bytes that a byte of a deflate stream can hold at most, rounded up."""

HEADER_BYTES = 64
"""Length of the beginning of a chunk in which its size is stated."""

_BLOCK = 1 << 20
_ZSTD_BLOCK = 1 << 17
_MOST_WINDOW = 1 << 27


def _inflated_size(new: Callable[[], Any], data: bytes, most: int) -> int:
    """Return the size of inflated data, or more than ``most`` as soon as it is exceeded.

    Further streams may follow the first one, which the codecs inflate as well.
    """
    total = 0
    while data:
        decoder = new()
        while data or not getattr(decoder, "needs_input", True):
            part = decoder.decompress(data, _BLOCK)
            total += len(part)
            data = getattr(decoder, "unconsumed_tail", b"")
            if total > most or decoder.eof or not (part or data):
                break
        data = decoder.unused_data if decoder.eof and total <= most else b""
    return total


def _deflated(window: int) -> Measure:
    return lambda data, most: _inflated_size(lambda: zlib.decompressobj(window), data, most)


def _lzma_size(data: bytes, most: int) -> int:
    return _inflated_size(lambda: lzma.LZMADecompressor(memlimit=_MOST_WINDOW), data, most)


def _bz2_size(data: bytes, most: int) -> int:
    return _inflated_size(bz2.BZ2Decompressor, data, most)


def zstd_stated_size(head: bytes) -> int | None:
    """Return the size in the header of a frame; None where it states none, or is no header."""
    start, width = _zstd_header(head)
    if not width or len(head) < start + width:
        return None
    return int.from_bytes(head[start : start + width], "little") + 256 * (width == 2)


def _zstd_header(head: bytes) -> tuple[int, int]:
    """Return place and width of the size in the header of a frame; the width is 0 without one."""
    if head[:4] != b"\x28\xb5\x2f\xfd" or len(head) < 5:
        return 0, 0
    flag, is_single, dictionary = head[4] >> 6, head[4] >> 5 & 1, head[4] & 3
    return 5 + (not is_single) + (0, 1, 2, 4)[dictionary], (is_single, 2, 4, 8)[flag]


def zstd_size(data: bytes, _: int) -> int | None:
    """Return the size in the header of a frame, or else the most that its blocks hold."""
    start, width = _zstd_header(data)
    if not start or len(data) < 18:
        return None
    if width:
        return zstd_stated_size(data)
    total = 0
    while start + 3 <= len(data):
        block = int.from_bytes(data[start : start + 3], "little")
        is_last, kind, size = block & 1, block >> 1 & 3, block >> 3
        total += size if kind < 2 else _ZSTD_BLOCK
        start += 3 + (1 if kind == 1 else size)
        if is_last:
            break
    return total * 4 // 5  # the last block of a frame, and some others, are not full


def _stated_size(place: int) -> Measure:
    def measure(data: bytes, _: int) -> int | None:
        return struct.unpack_from("<I", data, place)[0] if len(data) >= place + 4 else None

    return measure


DEFLATED = (_deflated(15), _deflated(31))
"""Measures of deflate streams, with the header of zlib and of gzip."""

IN_HEADER = (_stated_size(4), _stated_size(0))
"""Measures that need the header of a chunk alone."""

MEASURES: dict[str, Measure] = {
    "blosc": IN_HEADER[0],
    "lz4": IN_HEADER[1],
    "zstd": zstd_size,
    "zlib": DEFLATED[0],
    "gzip": DEFLATED[1],
    "lzma": _lzma_size,
    "bz2": _bz2_size,
}
"""The size to which a chunk inflates, by the name of the codec; None if it is not known."""
