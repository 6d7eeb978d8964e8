"""Headers of chunks that Blosc compressed, whose decoder crashes on some damaged ones."""

from __future__ import annotations

import struct
from collections.abc import Callable

_HEADER = struct.Struct("<4B3I")
_UNCOMPRESSED = 2
_LEAST_BLOCK = 4
# Most headers are shorter.
_HEAD_BYTES = 4096


def size_of_header(head: bytes) -> int:
    """Return the size of the header that a chunk states, with the table of its blocks."""
    if len(head) < _HEADER.size:
        return _HEADER.size
    _, _, flags, _, num_bytes, block, _ = _HEADER.unpack_from(head)
    if flags & _UNCOMPRESSED or not 0 < block <= num_bytes:
        return _HEADER.size
    return _HEADER.size + 4 * -(-num_bytes // block)


def blosc_fault(head: bytes, stored: int) -> str:
    """Return how the header of a chunk contradicts itself or the size of the chunk, if it does.

    Parameters
    ----------
    head : bytes
        The begin of the chunk, or all of it.
    stored : int
        Number of bytes of the chunk.

    Returns
    -------
    str
        In words; empty for a sound header.
    """
    if len(head) < _HEADER.size:
        return f"has {stored} bytes, fewer than a header of Blosc"
    _, _, flags, _, num_bytes, block, compressed = _HEADER.unpack_from(head)
    if compressed != stored:
        return f"has {stored} bytes, but its header states {compressed}"
    if flags & _UNCOMPRESSED or not num_bytes:
        least = num_bytes + _HEADER.size if num_bytes else 0
        return f"claims {num_bytes} bytes without compression" if stored < least else ""
    if not 0 < block <= num_bytes:
        return f"claims blocks of {block} of its {num_bytes} bytes"
    count = -(-num_bytes // block)
    first = _HEADER.size + 4 * count
    shown = min(count, (len(head) - _HEADER.size) // 4)
    starts = struct.unpack_from(f"<{shown}I", head, _HEADER.size)
    if first > stored or not all(first <= each <= stored - _LEAST_BLOCK for each in starts):
        return "states blocks that lie outside it"
    return ""


def fault_of_stored(read: Callable[[int], bytes], stored: int) -> str:
    """Return how the header of a stored chunk contradicts itself, as `blosc_fault` does.

    Parameters
    ----------
    read : callable
        Return the first bytes of the chunk.
    stored : int
        Number of bytes of the chunk.
    """
    try:
        head = read(_HEAD_BYTES)
        if len(head) < min(size_of_header(head), stored):
            head = read(size_of_header(head))
        return blosc_fault(head, stored)
    except OSError:  # which Zarr raises as well
        return ""
