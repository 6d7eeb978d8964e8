"""Comparison of the size that a Zarr array claims with the bytes of its chunks.

A decoder asks for the memory that the header of a compressed chunk states, or inflates a chunk
to its end, whatever the shape of a chunk is.
"""

from __future__ import annotations

import bz2
import itertools
import lzma
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.storage.backends.blosc_chunks import blosc_fault

_LARGE = 1 << 26
_LARGE_CHUNK, _DENSEST_CHUNK = 1 << 27, 200
_DEFLATE_DENSEST = 1100
_BLOCK = 1 << 20
_MANY_CHUNKS, _MOST_ABSENT = 100_000, 10_000
_MOST_ITEM = 1 << 16


def check_header(folder: Path) -> None:
    """Check the shape, the chunks and the type in the header of an array of Zarr's format 2.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array.

    Raises
    ------
    ValueError
        With the claim, and the size of the largest chunk in the folder.
    """
    if not (folder / ".zarray").is_file():
        return
    header = parse_source_json(read_limited(folder / ".zarray"))
    chunks = [int(size) for size in header["chunks"]]
    shape = [int(size) for size in header["shape"]]
    digits = "".join(each for each in str(header["dtype"]) if each.isdigit())
    itemsize = int(digits or 1)
    if min(shape, default=0) < 0 or min(chunks, default=1) < 1 or itemsize > _MOST_ITEM:
        raise ValueError(f"it claims the shape {shape} in chunks of {chunks}, {header['dtype']}.")
    claimed = math.prod(chunks) * itemsize
    if claimed > _LARGE_CHUNK:
        stored = max(
            (each.stat().st_size for each in itertools.islice(_files(folder), 100)), default=0
        )
        if claimed > stored * _DENSEST_CHUNK:
            raise ValueError(
                f"it claims chunks of the shape {chunks} ({claimed} bytes), but the largest has "
                f"{stored} bytes."
            )
    number = math.prod(-(-size // step) for size, step in zip(shape, chunks, strict=True))
    if number <= _MANY_CHUNKS:
        return
    present = sum(1 for _ in _files(folder))
    # Zarr lists all chunks; a writer may leave out some of them, but not nearly all.
    if number > _MOST_ABSENT * (present + 10):
        raise ValueError(f"it claims {number} chunks, but the folder has {present} of them.")


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.name[:1].isdigit() and each.is_file())


def check_chunks(folder: Path, array: Any, selection: tuple[Any, ...]) -> None:
    """Check that the chunks of a selection do not inflate to more than their shape.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the array; only arrays of Zarr's format 2 are checked.
    array : zarr.Array
    selection : tuple of int or slice

    Raises
    ------
    ValueError
        With the name of the chunk.
    """
    codec = getattr(array, "compressor", None) if (folder / ".zarray").is_file() else None
    codec_id = getattr(codec, "codec_id", "")
    measure = _MEASURES.get(codec_id)
    if measure is None:
        return
    expected = math.prod(array.chunks) * array.dtype.itemsize
    for place in itertools.product(*_chunk_numbers(array, selection)):
        for separator in "./":
            chunk = folder / separator.join(map(str, place))
            if chunk.is_file():
                data = chunk.read_bytes()
                fault = blosc_fault(data, len(data)) if codec_id == "blosc" else ""
                if fault:
                    raise ValueError(f"the chunk '{chunk.name}' {fault}.")
                size = measure(data, max(expected, _LARGE))
                if size is not None and size > max(expected, _LARGE):
                    raise ValueError(
                        f"the chunk '{chunk.name}' inflates to more than the {expected} bytes of "
                        "its shape."
                    )
                break


def _chunk_numbers(array: Any, selection: tuple[Any, ...]) -> Iterator[range]:
    for size, step, part in zip(array.shape, array.chunks, selection, strict=True):
        if isinstance(part, slice):
            start, stop, _ = part.indices(size)
        else:
            start = int(part) % max(size, 1)
            stop = start + 1
        yield range(start // step, -(-stop // step))


def _inflated_size(decoder: Any, data: bytes, most: int) -> int:
    """Return the size of inflated data, or more than ``most`` as soon as it is exceeded."""
    total = 0
    while data or not getattr(decoder, "needs_input", True):
        part = decoder.decompress(data, _BLOCK)
        total += len(part)
        data = getattr(decoder, "unconsumed_tail", b"")
        if total > most or decoder.eof or not (part or data):
            break
    return total


def _deflated(window: int) -> Callable[[bytes, int], int | None]:
    def measure(data: bytes, most: int) -> int | None:
        if len(data) * _DEFLATE_DENSEST <= most:
            return None
        return _inflated_size(zlib.decompressobj(window), data, most)

    return measure


def _zstd_size(data: bytes, _: int) -> int | None:
    """Return the size in the header of a frame; None if it states none."""
    if data[:4] != b"\x28\xb5\x2f\xfd" or len(data) < 18:
        return None
    flag, is_single, dictionary = data[4] >> 6, data[4] >> 5 & 1, data[4] & 3
    start = 5 + (not is_single) + (0, 1, 2, 4)[dictionary]
    width = (is_single, 2, 4, 8)[flag]
    return int.from_bytes(data[start : start + width], "little") if width else None


def _stated_size(place: int) -> Callable[[bytes, int], int | None]:
    def measure(data: bytes, _: int) -> int | None:
        return struct.unpack_from("<I", data, place)[0] if len(data) >= place + 4 else None

    return measure


_MEASURES: dict[str, Callable[[bytes, int], int | None]] = {
    "blosc": _stated_size(4),
    "lz4": _stated_size(0),
    "zstd": _zstd_size,
    "zlib": _deflated(15),
    "gzip": _deflated(31),
    "lzma": lambda data, most: _inflated_size(lzma.LZMADecompressor(), data, most),
    "bz2": lambda data, most: _inflated_size(bz2.BZ2Decompressor(), data, most),
}
"""The size to which a chunk inflates, by the name of the codec; None if it is not known."""
