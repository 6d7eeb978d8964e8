"""Deflate streams in which noise is not searched for repeats.

The low bytes of a noisy movie take most of the time of a codec, which finds nothing in them. A
deflate stream is a sequence of blocks of several kinds (RFC 1951), so that every reader of gzip and
of HDF5 reads a mixture: pieces with repeats are compressed by ISA-L, noise is encoded byte by byte,
and noise that hardly gets smaller is stored as it is, which is also read faster.
"""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.storage import literals
from nwb_ophys.storage.noise import Piece, examined

# Smaller chunks are compressed in less time than they are examined.
_LEAST_CHUNK = 1 << 16
_PIECE_BYTES = 1 << 19
# Chunks of masks, of which so few bytes are not zero, have nothing to store, and short streams.
_SPARSE_STEP, _SPARSE_SHARE = 1021, 0.05
# Largest part of its size by which a chunk grows, with a margin for what the samples do not show.
_MOST_GROWTH = 0.02
_LONGEST_STORED = 65535
_STORED_HEADER = struct.Struct("<BHH")
_LAST_BLOCK = _STORED_HEADER.pack(1, 0, 0xFFFF)
_ZLIB_HEADER = b"\x78\x01"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_WINDOW, _GZIP_WINDOW = 15, 31

Bytes = NDArray[np.uint8]


class _Output(threading.local):
    """Memory of a thread for the stream of its present chunk.

    A stream in new memory costs an eighth more: the system clears each page before it is used, and
    gives it back with the stream. NumPy asks for large pages.
    """

    def __init__(self) -> None:
        self._memory, self._stop = np.empty(0, np.uint8), 0

    def clear(self) -> None:
        """Begin a stream; the one before it is no longer valid."""
        self._stop = 0

    def add(self, part: Any) -> None:
        """Add bytes."""
        size = len(part)
        self._room(size)[:size] = part
        self._stop += size

    def add_literals(self, data: Bytes) -> None:
        """Add blocks of literals."""
        self._stop += literals.encode_into(data, self._room(literals.most_bytes(data.size)))

    def stream(self) -> memoryview:
        """Return what was added, valid until the thread begins another stream."""
        return self._memory.data[: self._stop]

    def _room(self, size: int) -> memoryview:
        if self._stop + size > self._memory.size:
            larger = np.empty(max(self._stop + size, 2 * self._memory.size), np.uint8)
            larger[: self._stop] = self._memory[: self._stop]
            self._memory = larger
        return self._memory.data[self._stop :]


_OUTPUT = _Output()


def zlib_stream(planes: Any, level: int) -> bytes | memoryview:
    """Return a zlib stream of the bytes of a chunk.

    Parameters
    ----------
    planes : array of uint8 or bytes-like
        One row per plane of shuffled bytes, or all bytes in order.
    level : int
        Level of ISA-L, 0 to 3.

    Returns
    -------
    bytes or memoryview
        Equal for equal chunks; at most 3 % larger than that of ISA-L alone where the bytes of a
        chunk are distributed as its samples are. A view is valid until the next stream that the
        same thread makes.
    """
    return _stream(planes, level, _WINDOW, _zlib_ends)


def gzip_stream(planes: Any, level: int) -> bytes | memoryview:
    """Return a gzip stream of the bytes of a chunk; see :func:`zlib_stream`."""
    return _stream(planes, level, _GZIP_WINDOW, _gzip_ends)


def _zlib_ends(data: Bytes) -> tuple[bytes, bytes]:
    """Return what is before and after the blocks of a zlib stream."""
    return _ZLIB_HEADER, isal_zlib.adler32(data).to_bytes(4, "big")


def _gzip_ends(data: Bytes) -> tuple[bytes, bytes]:
    """Return what is before and after the blocks of a gzip stream."""
    return _GZIP_HEADER, struct.pack("<II", isal_zlib.crc32(data), data.nbytes & 0xFFFFFFFF)


def _stream(
    planes: Any, level: int, window: int, ends_of: Callable[[Bytes], tuple[bytes, bytes]]
) -> bytes | memoryview:
    data = np.frombuffer(planes, np.uint8)
    stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, window)
    if data.size < _LEAST_CHUNK or _is_sparse(data):
        return stream.compress(data) + stream.flush()  # type: ignore[no-any-return]
    rows = data.reshape(np.shape(planes) if np.ndim(planes) == 2 else (1, -1))
    pieces = list(examined(part for row in rows for part in _cut(row)))
    blocks = _blocks(data, pieces, level) if any(piece.is_noise for piece in pieces) else None
    _OUTPUT.clear()
    if blocks is None:
        for part in _compressed_pieces(stream, data):
            _OUTPUT.add(part)
        return _OUTPUT.stream()
    start, end = ends_of(data)
    _OUTPUT.add(start)
    for block in blocks:
        block.add_to(_OUTPUT)
    _OUTPUT.add(_LAST_BLOCK + end)
    return _OUTPUT.stream()


def _is_sparse(data: Bytes) -> bool:
    few = data[::_SPARSE_STEP]
    return bool(np.count_nonzero(few) < _SPARSE_SHARE * few.size)


def _cut(row: Bytes) -> Iterator[Bytes]:
    for start in range(0, row.size, _PIECE_BYTES):
        yield row[start : start + _PIECE_BYTES]


def _compressed_pieces(stream: Any, data: Bytes) -> Iterator[bytes]:
    for piece in _cut(data):
        yield stream.compress(piece)
    yield stream.flush()


@attrs.frozen
class _Compressed:
    """Blocks that end at a byte, and to which others may be added."""

    encoded: bytes

    @classmethod
    def of(cls, data: Bytes, level: int) -> _Compressed:
        """Compress bytes."""
        stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -_WINDOW)
        blocks = [stream.compress(piece) for piece in _cut(data)]
        return cls(b"".join((*blocks, stream.flush(isal_zlib.Z_FULL_FLUSH))))

    def add_to(self, output: _Output) -> None:
        """Add the blocks to a stream."""
        output.add(self.encoded)


@attrs.frozen
class _Literals:
    """Noise that gets smaller."""

    data: Bytes

    def add_to(self, output: _Output) -> None:
        """Add blocks of literals to a stream."""
        output.add_literals(self.data)


@attrs.frozen
class _Stored:
    """Noise that hardly gets smaller."""

    data: Bytes

    def add_to(self, output: _Output) -> None:
        """Add stored blocks to a stream."""
        view = self.data.data
        for start in range(0, len(view), _LONGEST_STORED):
            part = view[start : start + _LONGEST_STORED]
            output.add(_STORED_HEADER.pack(0, len(part), len(part) ^ 0xFFFF))
            output.add(part)


def _blocks(
    data: Bytes, pieces: list[Piece], level: int
) -> list[_Compressed | _Literals | _Stored] | None:
    """Return the blocks of a stream without a last one, or None if a codec does all of them."""
    runs = list(_runs(data, pieces))
    compressed = [None if first.is_noise else _Compressed.of(run, level) for first, run in runs]
    smallest: float = sum(len(each.encoded) for each in compressed if each is not None)
    smallest += sum(piece.shrinks_to * piece.data.size for piece in pieces if piece.is_noise)
    candidates = [piece for piece in pieces if piece.is_incompressible]
    growth = sum((1 - piece.shrinks_to) * piece.data.size for piece in candidates)
    is_small = growth <= _MOST_GROWTH * smallest
    if not is_small and not literals.are_compiled():
        return None
    return [
        each or (_Stored(run) if first.is_incompressible and is_small else _Literals(run))
        for each, (first, run) in zip(compressed, runs, strict=True)
    ]


def _runs(data: Bytes, pieces: list[Piece]) -> Iterator[tuple[Piece, Bytes]]:
    """Yield the first of consecutive pieces that are alike, and the bytes of all of them."""
    for _, group in itertools.groupby(pieces, lambda each: (each.is_noise, each.is_incompressible)):
        run = list(group)
        yield run[0], data[run[0].start : run[-1].start + run[-1].data.size]
