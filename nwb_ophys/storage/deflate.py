"""Deflate streams in which bytes that do not compress are stored as they are.

The low bytes of a noisy movie take most of the time of a codec and hardly get smaller. A deflate
stream is a sequence of blocks, compressed or stored (RFC 1951), so that every reader of gzip and of
HDF5 reads a mixture, and faster than a compressed stream.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

# Smaller chunks are compressed in less time than they are examined.
_LEAST_CHUNK = 1 << 16
# Pieces that are compressed or stored as a whole.
_PIECE_BYTES = 1 << 19
# The first bytes of each step are counted. A prime number does not fall into the same columns.
_SAMPLE_STEP, _SAMPLE_BYTES = 4703, 64
_FEWEST_STEPS = 16
_LEAST_ENTROPY = 7.6
# Chunks of masks, of which so few bytes are not zero, have nothing to store, and short streams.
_SPARSE_STEP, _SPARSE_SHARE = 1021, 0.05
# Bytes of a piece in whose middle repeats are searched; deflate finds them over 32 kB.
_TRIAL_BYTES = 1 << 16
# Largest part of its size by which a chunk grows, with a margin for what the samples do not show.
_MOST_GROWTH = 0.02
_LONGEST_STORED = 65535
_STORED_HEADER = struct.Struct("<BHH")
_LAST_BLOCK = _STORED_HEADER.pack(1, 0, 0xFFFF)
_ZLIB_HEADER = b"\x78\x01"
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
_WINDOW, _GZIP_WINDOW = 15, 31

Bytes = NDArray[np.uint8]


@attrs.frozen
class _Piece:
    """Consecutive bytes of a plane, and the part of their size to which they would shrink."""

    data: Bytes
    shrinks_to: float


class _Output(threading.local):
    """Memory of a thread for the stream of its present chunk.

    A stream in new memory costs an eighth more: the system clears each page before it is used, and
    gives it back with the stream.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def joined(self, parts: Iterable[Any]) -> memoryview:
        """Return parts one after the other; valid until the next call in this thread."""
        stop = 0
        for part in parts:
            start, stop = stop, stop + len(part)
            if stop > len(self._memory):
                larger = bytearray(max(stop, 2 * len(self._memory)))
                larger[:start] = memoryview(self._memory)[:start]
                self._memory = larger
            self._memory[start:stop] = part
        return memoryview(self._memory)[:stop]


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
        Equal for equal chunks; at most 3 % larger than without stored bytes where the bytes of a
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
    blocks = _blocks(rows, level)
    if blocks is None:
        return _OUTPUT.joined(_compressed_pieces(stream, data))
    start, end = ends_of(data)
    return _OUTPUT.joined((start, *blocks, _LAST_BLOCK, end))


def _is_sparse(data: Bytes) -> bool:
    few = data[::_SPARSE_STEP]
    return bool(np.count_nonzero(few) < _SPARSE_SHARE * few.size)


def _compressed_pieces(stream: Any, data: Bytes) -> Iterator[bytes]:
    for piece in _cut(data):
        yield stream.compress(piece)
    yield stream.flush()


def _blocks(rows: Bytes, level: int) -> list[Any] | None:
    """Return the blocks of a stream without a last one, or None if nothing is stored."""
    pieces = [_Piece(data, _shrunk(data)) for row in rows for data in _cut(row)]
    candidates = [piece for piece in pieces if piece.shrinks_to >= _LEAST_ENTROPY / 8]
    if not candidates:
        return None
    runs = _runs(pieces, set(map(id, candidates)))
    encoded = [part if is_stored else _compressed(part, level) for part, is_stored in runs]
    smallest = sum(
        sum(piece.shrinks_to * piece.data.size for piece in part) if is_stored else len(block)
        for (part, is_stored), block in zip(runs, encoded, strict=True)
    )
    growth = sum((1 - piece.shrinks_to) * piece.data.size for piece in candidates)
    if growth > _MOST_GROWTH * smallest:
        return None
    found: list[Any] = []
    for (part, is_stored), block in zip(runs, encoded, strict=True):
        if is_stored:
            found += (each for piece in part for each in _stored(piece.data))
        else:
            found.append(block)
    return found


def _cut(row: Bytes) -> Iterator[Bytes]:
    for start in range(0, row.size, _PIECE_BYTES):
        yield row[start : start + _PIECE_BYTES]


def _shrunk(data: Bytes) -> float:
    """Return the part of their size to which bytes would shrink, from samples of them."""
    step = min(_SAMPLE_STEP, data.size // _FEWEST_STEPS | 1)
    steps = data.size // step
    sample = data[: steps * step].reshape(steps, step)[:, :_SAMPLE_BYTES].reshape(-1)
    counts = np.bincount(sample)
    counts = counts[counts > 0]
    if counts.size < 2**_LEAST_ENTROPY:
        return math.log2(counts.size) / 8
    shares = counts / sample.size
    # A sample shows fewer different bytes than there are (Miller and Madow, 1955).
    entropy = -float(shares @ np.log2(shares)) + (counts.size - 1) / (2 * sample.size * math.log(2))
    if entropy < _LEAST_ENTROPY:
        return entropy / 8
    middle = max(data.size - _TRIAL_BYTES, 0) // 2
    trial = data[middle : middle + _TRIAL_BYTES]
    return min(entropy / 8, len(isal_zlib.compress(trial, 1)) / trial.size, 1.0)


def _runs(pieces: list[_Piece], stored: set[int]) -> list[tuple[list[_Piece], bool]]:
    """Return consecutive pieces together that are all stored, or all compressed."""
    runs: list[tuple[list[_Piece], bool]] = []
    for piece in pieces:
        is_stored = id(piece) in stored
        if runs and runs[-1][1] == is_stored:
            runs[-1][0].append(piece)
        else:
            runs.append(([piece], is_stored))
    return runs


def _compressed(part: list[_Piece], level: int) -> bytes:
    """Return blocks that end at a byte, and to which others may be added."""
    stream = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -_WINDOW)
    blocks = [stream.compress(piece.data) for piece in part]
    return b"".join((*blocks, stream.flush(isal_zlib.Z_FULL_FLUSH)))


def _stored(data: Bytes) -> Iterator[Any]:
    view = data.data
    for start in range(0, len(view), _LONGEST_STORED):
        piece = view[start : start + _LONGEST_STORED]
        yield _STORED_HEADER.pack(0, len(piece), len(piece) ^ 0xFFFF)
        yield piece
