"""Structure of chunks that bitshuffle compressed, whose decoder crashes on damaged ones.

A chunk holds its size (8 bytes) and that of its blocks (4 bytes), both in bytes and big-endian;
then, for each block, its compressed size (4 bytes) and content; then the last elements that make no
8, as they are.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import h5py

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import COPY_AGAIN

_FILTER = 32008
_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_COMPRESSIONS = (2, 3)
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


def check_bitshuffled(dataset: Any, selection: Any = None) -> None:
    """Check the chunks of a dataset before they are decoded, if bitshuffle compressed them.

    Parameters
    ----------
    dataset : h5py.Dataset or object
        Other objects and other filters pass.
    selection : tuple of slice or int, optional
        The part to check; by default all.

    Raises
    ------
    CorruptSourceError
        Names the file, the dataset and the chunk.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.chunks is None or not dataset.size:
        return
    plist, itemsize = dataset.id.get_create_plist(), dataset.dtype.itemsize
    number = plist.get_nfilters()
    last: tuple[Any, ...] = plist.get_filter(number - 1) if number else (0, 0, (), b"")
    if last[0] != _FILTER:
        return
    settings = last[2]
    fault = ""
    if len(settings) > 2 and settings[2] != itemsize:
        fault = f"the settings of bitshuffle state elements of {settings[2]} bytes for {itemsize}"
    if not fault and len(settings) > 4 and settings[4] in _COMPRESSIONS:
        fault = _fault_of_chunks(dataset, _places(dataset, selection), itemsize)
    if fault:
        raise CorruptSourceError(
            f"'{dataset.file.filename}' is damaged: in its dataset '{dataset.name}', {fault}. To "
            f"repair it, {COPY_AGAIN}."
        )


def _fault_of_chunks(dataset: Any, places: Any, itemsize: int) -> str:
    num_elements = math.prod(dataset.chunks)
    for place in places:
        try:
            mask, chunk = dataset.id.read_direct_chunk(place)
        except (OSError, RuntimeError, ValueError):  # absent, or reading it raises with words
            continue
        fault = "" if mask else bitshuffle_fault(chunk, num_elements, itemsize)
        if fault:
            return f"the chunk at {place} {fault}"
    return ""


def _places(dataset: Any, selection: Any) -> Any:
    """Yield the first elements of the chunks of a selection."""
    if selection is not None:
        parts = selection if isinstance(selection, tuple) else (selection,)
        parts += (slice(None),) * (dataset.ndim - len(parts))
        selection = tuple(_as_slice(p, n) for p, n in zip(parts, dataset.shape, strict=True))
        if any(part.start >= part.stop for part in selection):
            return
    for place in dataset.iter_chunks(selection):
        yield tuple(p.start // c * c for p, c in zip(place, dataset.chunks, strict=True))


def _as_slice(part: Any, size: int) -> slice:
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        wanted = range(start, stop, step)
        return slice(min(wanted), max(wanted) + 1) if wanted else slice(0, 0)
    return slice(int(part) % size, int(part) % size + 1)
