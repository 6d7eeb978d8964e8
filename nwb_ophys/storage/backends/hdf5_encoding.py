"""Encoders of chunks in the formats of the filters of HDF5, outside of the HDF5 library."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.compression import (
    BLOSC_BLOCK,
    BLOSC_LEVEL,
    ZSTD_LEVEL,
    Compression,
    isal_level,
    required_package,
)
from nwb_ophys.storage.deflate import zlib_stream

LZ4_BLOCK = 1 << 30


def encoder(compression: Compression, itemsize: int, shuffle: bool) -> Callable[[Any], Any]:
    """Return the function that encodes the bytes of a chunk like the filters of HDF5.

    Parameters
    ----------
    compression : Compression
    itemsize : int
        Bytes per value, for the shuffle of Blosc.
    shuffle : bool
        Whether Blosc shuffles; other codecs get bytes that are shuffled already.
    """
    if compression.name == "gzip":
        return _deflate(compression.level)
    if compression.name == "none":
        return memoryview
    codecs = required_package("numcodecs", compression.name)
    if compression.name == "zstd":
        zstd = codecs.Zstd(level=ZSTD_LEVEL)
        return zstd.encode  # type: ignore[no-any-return]
    if compression.name == "lz4":
        return _lz4_block
    mode = codecs.Blosc.SHUFFLE if shuffle else codecs.Blosc.NOSHUFFLE
    blosc = codecs.Blosc(cname="zstd", clevel=BLOSC_LEVEL, shuffle=mode, blocksize=BLOSC_BLOCK)
    return lambda values: blosc.encode(_as_items(values, itemsize))


def _deflate(level: int | None) -> Callable[[Any], bytes | memoryview]:
    fast = isal_level(level)
    if fast is not None:
        return lambda values: zlib_stream(values, fast)
    assert level is not None
    return lambda values: zlib.compress(values, level)


def _lz4_block(values: Any) -> bytes:
    """Return one block of LZ4 after the header of the HDF5 filter: sizes, big-endian."""
    raw = memoryview(values).cast("B")
    # numcodecs puts the size, little-endian, before the block.
    block = required_package("numcodecs", "lz4").LZ4().encode(raw)[4:]
    if len(block) >= len(raw):
        block = raw  # the filter reads a block as long as its values as uncompressed values
    header = len(raw).to_bytes(8, "big") + len(raw).to_bytes(4, "big")
    return b"".join((header, len(block).to_bytes(4, "big"), block))


def _as_items(values: Any, itemsize: int) -> NDArray[Any]:
    """Return bytes as items, whose size Blosc needs for its shuffle."""
    raw = np.frombuffer(values, dtype=np.uint8)
    return raw.view(np.dtype((np.void, itemsize)))
