"""Codecs of the presets, and encoders of chunks for both Zarr formats."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.compression import (
    BLOSC_BLOCK,
    BLOSC_LEVEL,
    ISAL_LEVEL,
    ZSTD_LEVEL,
    Compression,
    isal_level,
    parse_compression,
    required_package,
)
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.deflate import gzip_stream

# zlib writes the header of a gzip file for windows above 16.
_GZIP_WINDOW = 31


def codecs_of(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the ``compressor`` and ``filters`` of numcodecs for a preset."""
    codecs = required_package("numcodecs", compression.name)
    compressor: Any = None
    if compression.name == "gzip":
        compressor = codecs.GZip(level=compression.level or ISAL_LEVEL)
    elif compression.name == "zstd":
        compressor = codecs.Zstd(level=ZSTD_LEVEL)
    elif compression.name == "lz4":
        compressor = codecs.LZ4()
    elif compression.name == "blosc":
        mode = int(shuffle and itemsize > 1)
        compressor = codecs.Blosc(
            cname="zstd", clevel=BLOSC_LEVEL, shuffle=mode, blocksize=BLOSC_BLOCK
        )
    shuffled = shuffle and itemsize > 1 and compression.name not in ("blosc", "none")
    filters = [codecs.Shuffle(elementsize=itemsize)] if shuffled else None
    return {"compressor": compressor, "filters": filters}


class ChunkEncoder:
    """Encoder of the chunks of an array by codecs of numcodecs; threads may share it.

    Parameters
    ----------
    filters : sequence of numcodecs.abc.Codec
    compressor : numcodecs.abc.Codec or None
    compression : str or None
        The preset; for gzip ISA-L takes the place of the codec, which uses zlib.
    dtype : numpy.dtype
        Dtype of the stored values.

    Attributes
    ----------
    shuffles : bool
        Whether chunks come with their bytes shuffled.
    """

    def __init__(
        self,
        filters: Sequence[Any],
        compressor: Any,
        compression: str | None,
        dtype: np.dtype[Any],
    ) -> None:
        self._filters, self._compressor, self._dtype = list(filters), compressor, dtype
        self._gzip = None
        if (compression or "").startswith("gzip"):
            self._gzip = _gzip_encoder(parse_compression(compression or "").level)
        # Where the schema widens the dtype, the shuffle filter is that for the narrower dtype.
        sizes = [getattr(codec, "elementsize", None) for codec in self._filters]
        self.shuffles = compressor is not None and sizes == [dtype.itemsize]

    def __call__(self, stored: NDArray[np.uint8]) -> Any:
        """Return the bytes of a chunk, encoded."""
        encoded: Any = stored
        if not self.shuffles:
            encoded = stored.view(self._dtype)
            for codec in self._filters:
                encoded = codec.encode(encoded)
        if self._gzip is not None:
            return self._gzip(encoded)
        return encoded if self._compressor is None else self._compressor.encode(encoded.reshape(-1))


def encoded_size(configuration: DatasetConfiguration, values: NDArray[Any]) -> int:
    """Return the number of bytes of values that are encoded as one chunk."""
    compression = parse_compression(configuration.compression or "none")
    itemsize = values.dtype.itemsize
    codecs = codecs_of(compression, itemsize, bool(configuration.shuffle))
    encoded: Any = np.ascontiguousarray(values)
    for codec in codecs["filters"] or ():
        encoded = codec.encode(encoded)
    if compression.name == "gzip":
        return len(_gzip_encoder(compression.level)(encoded))
    compressor = codecs["compressor"]
    return memoryview(encoded if compressor is None else compressor.encode(encoded)).nbytes


def _gzip_encoder(level: int | None) -> Callable[[Any], bytes | memoryview]:
    """Return the function that encodes bytes as a gzip file, which Zarr stores."""
    fast = isal_level(level)
    if fast is not None:
        return lambda values: gzip_stream(values, fast)
    assert level is not None
    return lambda values: _zlib_gzip(values, level)


def _zlib_gzip(values: Any, level: int) -> bytes:
    stream = zlib.compressobj(level, wbits=_GZIP_WINDOW)
    return stream.compress(values) + stream.flush()


def codecs_in_words(codecs: Iterable[Any]) -> str:
    """Return the names of codecs in the order of writing, with the level of those that have one.

    Parameters
    ----------
    codecs : iterable of object
        Codecs of numcodecs or of Zarr 3; None is left out.
    """
    found = []
    for codec in codecs:
        if codec is None:
            continue
        name = str(getattr(codec, "codec_id", type(codec).__name__.removesuffix("Codec").lower()))
        inner = getattr(codec, "cname", None)
        level = getattr(codec, "level", getattr(codec, "clevel", None))
        parts = [name, getattr(inner, "value", inner), level]
        found.append(" ".join(str(part) for part in parts if part is not None))
    return ", ".join(found)
