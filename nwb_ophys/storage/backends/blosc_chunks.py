"""Headers of chunks that Blosc compressed, whose decoder crashes on some damaged ones."""

from __future__ import annotations

import json
import os
import struct
from itertools import islice
from pathlib import Path

from nwb_ophys.errors import CorruptSourceError

_HEADER = struct.Struct("<4B3I")
_UNCOMPRESSED = 2
_LEAST_BLOCK = 4
# Headers of as many chunks are read before a store is opened; a larger store is a long movie.
_MOST_CHUNKS = 100_000
_HEAD_BYTES = 1 << 16


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


def check_blosc_chunks(store: Path) -> None:
    """Check the headers of the chunks of a Zarr store that Blosc compressed.

    Parameters
    ----------
    store : pathlib.Path
        Folder with arrays of Zarr's format 2.

    Raises
    ------
    CorruptSourceError
        Names the chunk.
    """
    remaining = _MOST_CHUNKS
    for folder, _, names in os.walk(store):
        if ".zarray" not in names or not _is_blosc(Path(folder, ".zarray")):
            continue
        for where, _, chunks in os.walk(folder):
            for name in islice((each for each in chunks if each[:1].isdigit()), remaining):
                remaining -= 1
                _check_chunk(Path(where, name))


def fault_of_file(chunk: Path) -> str:
    """Return how the header of a chunk in a file contradicts itself, as `blosc_fault` does."""
    try:
        with chunk.open("rb") as file:
            return blosc_fault(file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size)
    except OSError:  # which Zarr raises as well
        return ""


def _check_chunk(chunk: Path) -> None:
    fault = fault_of_file(chunk)
    if fault:
        raise CorruptSourceError(
            f"'{chunk}' is damaged: it {fault}. Copy the store again from where it was recorded."
        )


def _is_blosc(header: Path) -> bool:
    try:
        stated = json.loads(header.read_text(encoding="utf-8"))
        return dict(stated["compressor"] or {}).get("id") == "blosc"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # the reader says why
        return False
