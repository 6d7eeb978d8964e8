"""Codecs of the filters of HDF5, which decode a chunk to a known number of bytes or refuse it.

HDF5 reads beyond the memory of a chunk that decodes to fewer bytes than its shape, and most of its
filters inflate a chunk to whatever size it has.
"""

from __future__ import annotations

import bz2
import importlib
import struct
from collections.abc import Callable
from typing import Any

from isal import isal_zlib

from nwb_ophys.storage.backends.bitshuffle_chunks import bitshuffle_fault
from nwb_ophys.storage.backends.blosc_chunks import blosc_fault
from nwb_ophys.storage.backends.inflated import MEASURES, zstd_stated_size
from nwb_ophys.storage.checksums import CHECKSUM_BYTES, fletcher32

DEFLATE, SHUFFLE, FLETCHER32 = 1, 2, 3
BZIP2, LZF, BLOSC, LZ4, BITSHUFFLE, ZSTD = 307, 32000, 32001, 32004, 32008, 32015
_ZLIB_WINDOW = 15
_LZ4_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
# A byte below begins so many bytes that LZF copies as they are, others a reference.
_LZF_LITERALS = 32
_BITSHUFFLE_COMPRESSIONS = (2, 3)
_SMALL = 1 << 20


class DamagedChunkError(ValueError):
    """A chunk that contradicts itself or its shape; the message is about "it"."""


def _sized(data: Any, size: int) -> Any:
    """Return data that have the size of their chunk."""
    if len(data) != size:
        raise DamagedChunkError(f"It decodes to {len(data)} bytes instead of {size}.")
    return data


def _refuse(fault: str) -> None:
    if fault:
        raise DamagedChunkError(f"It {fault}.")


def _inflate(data: Any, size: int) -> bytes:
    return _bounded(isal_zlib.decompressobj(_ZLIB_WINDOW), data, size, isal_zlib.error)


def _bunzip(data: Any, size: int) -> bytes:
    return _bounded(bz2.BZ2Decompressor(), data, size, OSError)


def _bounded(decoder: Any, data: Any, size: int, fault: Any) -> bytes:
    """Return the bytes of a stream that must end after a size; no more are inflated."""
    try:
        found: bytes = decoder.decompress(data, size)
        rest = b""
        if not decoder.eof:
            rest = decoder.decompress(getattr(decoder, "unconsumed_tail", b""), 1)
    except fault as error:
        raise DamagedChunkError(f"It cannot be decoded ({error}).") from error
    if rest:
        raise DamagedChunkError(f"It decodes to more than {size} bytes.")
    if not decoder.eof and len(found) == size:
        raise DamagedChunkError("It ends before its checksum.")
    return _sized(found, size)  # type: ignore[no-any-return]


def checksum_removed(data: Any) -> memoryview:
    """Return the bytes of a chunk without their checksum, after comparing it.

    Files of HDF5 1.6.2 have the bytes of its halves in the other order, which HDF5 accepts as well.
    """
    view = memoryview(data)
    if len(view) < CHECKSUM_BYTES:
        raise DamagedChunkError(f"It has {len(view)} bytes, fewer than a checksum.")
    found, stated = fletcher32(view[:-CHECKSUM_BYTES]), bytes(view[-CHECKSUM_BYTES:])
    if stated not in (found, bytes((found[1], found[0], found[3], found[2]))):
        raise DamagedChunkError("It has another checksum (Fletcher-32) than its bytes.")
    return view[:-CHECKSUM_BYTES]


def _check_zstd(data: Any, size: int) -> None:
    stated = zstd_stated_size(bytes(data[:32]))
    if stated is not None and stated != size:
        raise DamagedChunkError(f"It states {stated} bytes instead of {size}.")
    if stated is None and (MEASURES["zstd"](data, size) or 0) > max(2 * size, _SMALL):
        raise DamagedChunkError(f"It decodes to more than {size} bytes.")


def _check_blosc(data: Any, size: int) -> None:
    _refuse(blosc_fault(data, len(data)))
    stated = MEASURES["blosc"](data, size)
    if stated != size:
        raise DamagedChunkError(f"It states {stated} bytes instead of {size}.")


def _lz4_blocks(data: Any, size: int) -> list[tuple[memoryview, int]]:
    """Return the blocks of a chunk of the filter LZ4, each with its decoded size."""
    if len(data) < _LZ4_HEADER.size:
        raise DamagedChunkError(f"It has {len(data)} bytes, fewer than a header.")
    total, block = _LZ4_HEADER.unpack_from(data)
    if total != size:
        raise DamagedChunkError(f"It states {total} bytes instead of {size}.")
    if not block:
        raise DamagedChunkError("It states blocks of 0 bytes.")
    found, view, place = [], memoryview(data), _LZ4_HEADER.size
    for start in range(0, size, block):
        if place + _LENGTH.size > len(view):
            raise DamagedChunkError("It ends before its last block.")
        length = _LENGTH.unpack_from(view, place)[0]
        place += _LENGTH.size
        found.append((view[place : place + length], min(block, size - start)))
        place += length
    if place > len(view):
        raise DamagedChunkError("It ends within its last block.")
    return found


def lzf_size(data: Any) -> int:
    """Return the number of bytes to which a chunk of LZF decodes, by its references alone."""
    view, place, total = memoryview(data), 0, 0
    while place < len(view):
        control = view[place]
        if control < _LZF_LITERALS:
            place, total = place + control + 2, total + control + 1
            continue
        is_long = control >> 5 == 7
        if place + 1 + is_long >= len(view):
            raise DamagedChunkError("It ends within a reference.")
        total += (control >> 5) + 2 + (view[place + 1] if is_long else 0)
        place += 2 + is_long
    if place > len(view):
        raise DamagedChunkError("It ends within its last bytes.")
    return total


def _check_lzf(data: Any, size: int) -> None:
    found = lzf_size(data)
    if found != size:
        raise DamagedChunkError(f"It decodes to {found} bytes instead of {size}.")


def check_chunk(number: int, settings: tuple[int, ...], data: Any, size: int, item: int) -> None:
    """Check what the bytes of a chunk state of themselves, for a filter that HDF5 has to reverse.

    Parameters
    ----------
    number : int
        Of the filter. Those of which nothing is known pass.
    settings : tuple of int
        Of the filter.
    data : bytes-like
    size : int
        Number of bytes to which the filter must decode them.
    item : int
        Bytes per value.

    Raises
    ------
    DamagedChunkError
    """
    if number == BITSHUFFLE:
        if len(settings) > 2 and settings[2] != item:
            raise DamagedChunkError(
                f"It has elements of {settings[2]} bytes for bitshuffle, its dataset of {item}."
            )
        if len(settings) > 4 and settings[4] in _BITSHUFFLE_COMPRESSIONS:
            _refuse(bitshuffle_fault(data, size // item, item))
        else:
            _sized(data, size)
    elif number in _CHECKS:
        _CHECKS[number](data, size)


_CHECKS: dict[int, Callable[[Any, int], Any]] = {
    BLOSC: _check_blosc,
    LZ4: _lz4_blocks,
    LZF: _check_lzf,
    ZSTD: _check_zstd,
}

CHECKED = frozenset({*_CHECKS, BITSHUFFLE})
"""Filters that :func:`check_chunk` knows."""


def decoder_of(number: int) -> Callable[[Any, int], Any] | None:
    """Return the function that reverses a filter that compresses, or None if only HDF5 can.

    Parameters
    ----------
    number : int
        Of the filter.

    Returns
    -------
    callable or None
        Takes the bytes and the size to which they must decode; raises `DamagedChunkError`.
    """
    plain = {DEFLATE: _inflate, BZIP2: _bunzip}
    if number in plain:
        return plain[number]
    if number == LZF:
        images = _package("imagecodecs")
        return None if images is None else _lzf_decoder(images)
    codecs = _package("numcodecs") if number in (BLOSC, LZ4, ZSTD) else None
    if codecs is None:
        return None
    if number == LZ4:
        return _lz4_decoder(codecs.LZ4())
    codec = codecs.Blosc() if number == BLOSC else codecs.Zstd()
    return _checked_decoder(_CHECKS[number], codec.decode)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _decoded(decode: Callable[[Any], Any], data: Any, size: int) -> Any:
    try:
        found = decode(data)
    except (RuntimeError, ValueError) as error:
        raise DamagedChunkError(f"It cannot be decoded ({error}).") from error
    return _sized(found, size)


def _checked_decoder(
    check: Callable[[Any, int], Any], decode: Callable[[Any], Any]
) -> Callable[[Any, int], Any]:
    def decoded(data: Any, size: int) -> Any:
        check(data, size)
        return _decoded(decode, data, size)

    return decoded


def _lzf_decoder(images: Any) -> Callable[[Any, int], Any]:
    def decoded(data: Any, size: int) -> Any:
        # One byte more than a whole chunk has shows a chunk that is too long.
        return _decoded(lambda packed: images.lzf_decode(packed, out=size + 1), data, size)

    return decoded


def _lz4_decoder(codec: Any) -> Callable[[Any, int], Any]:
    def decoded(data: Any, size: int) -> Any:
        parts = []
        for block, length in _lz4_blocks(data, size):
            if len(block) == length:  # the filter stores what it cannot compress
                parts.append(bytes(block))
                continue
            # numcodecs expects the size, little-endian, before the block.
            packed = length.to_bytes(4, "little") + bytes(block)
            parts.append(_decoded(codec.decode, packed, length))
        return b"".join(parts)

    return decoded
