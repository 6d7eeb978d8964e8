"""Structure of chunks that bitshuffle compressed, whose decoder crashes on damaged ones.

A chunk holds its size (8 bytes) and that of its blocks (4 bytes), both in bytes and big-endian;
then, for each block, its compressed size (4 bytes) and content; then the last elements that make no
8, as they are.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
# Elements are shuffled by 8.
_TOGETHER = 8


def bitshuffle_fault(chunk: bytes, num_elements: int, itemsize: int) -> str:
    """Return how a chunk contradicts itself, in words; empty for a sound one.

    Parameters
    ----------
    chunk : bytes
    num_elements : int
    itemsize : int
    """
    if len(chunk) < _HEADER.size:
        return f"has {len(chunk)} bytes, fewer than a header"
    total, block = _HEADER.unpack_from(chunk)
    if total != num_elements * itemsize:
        return f"claims {total} bytes for {num_elements * itemsize}"
    if block == 0 or block % (_TOGETHER * itemsize):
        return f"claims blocks of {block} bytes"
    whole, rest = divmod(num_elements, block // itemsize)
    place = _HEADER.size
    for _ in range(whole + (rest >= _TOGETHER)):
        if place + _LENGTH.size > len(chunk):
            return "ends before its last block"
        place += _LENGTH.size + _LENGTH.unpack_from(chunk, place)[0]
    place += num_elements % _TOGETHER * itemsize
    return "" if place == len(chunk) else f"has {len(chunk)} bytes, but states {place}"
