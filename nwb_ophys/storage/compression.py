"""Compression presets, and how each turns the bytes of a chunk into stored ones.

A preset means the same on both backends. What HDF5 stores is a plain filter pipeline that its
readers open without a plug-in for ``gzip`` and ``none``; the others need ``hdf5plugin``.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

import attrs
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from nwb_ophys.errors import ArgumentError, MissingPackageError

PRESETS = ("gzip", *(f"gzip:{level}" for level in range(1, 10)), "zstd", "blosc", "lz4", "none")

# ISA-L's levels are its own (0 to 3). Level 1 of shuffled movies is 15 times as fast as zlib's
# level 4 and no larger; its levels 2 and 3 gain nothing on photon noise.
_ISAL_LEVEL = 1
_HIGHEST_ISAL_LEVEL = 3
# What HDF5 notes of a deflate filter whose level was not chosen, and would use to add to it.
_NOTED_LEVEL = 4

_LZ4_BLOCK = 1 << 30
_ZSTD_LEVEL = 1
_BLOSC_LEVEL = 1
# Blosc's own choice for Zstandard, 32 kB, takes half as long again for movies, and most get larger.
_BLOSC_BLOCK = 1 << 19


@attrs.frozen
class Compression:
    """A preset, taken apart.

    Attributes
    ----------
    name : {"gzip", "zstd", "blosc", "lz4", "none"}
    level : int or None
        Of gzip, 1 to 9, where one was chosen.
    """

    name: str
    level: int | None = None

    @property
    def shuffles_itself(self) -> bool:
        """Whether the codec shuffles bytes, so that no filter need do it before."""
        return self.name == "blosc"


def parse_compression(preset: str) -> Compression:
    """Return what a preset means.

    Raises
    ------
    ArgumentError
        For a name that is not known, listing those that are.
    """
    if preset not in PRESETS:
        raise ArgumentError(
            f"compression is {preset!r}; it must be one of gzip, gzip:1 to gzip:9, zstd, blosc, "
            "lz4, none."
        )
    name, _, level = preset.partition(":")
    return Compression(name, int(level) if level else None)


def encoder(compression: Compression, itemsize: int, shuffle: bool) -> Callable[[Any], Any]:
    """Return the function that encodes the bytes of a chunk as HDF5's filters store them.

    Parameters
    ----------
    compression : Compression
    itemsize : int
        Bytes per value, by which Blosc shuffles.
    shuffle : bool
        Whether Blosc shuffles; for the other codecs the bytes come shuffled.
    """
    if compression.name == "gzip":
        return _deflate(compression.level)
    if compression.name == "none":
        return memoryview
    codecs = _codecs(compression.name)
    if compression.name == "zstd":
        zstd = codecs.Zstd(level=_ZSTD_LEVEL)
        return zstd.encode  # type: ignore[no-any-return]
    if compression.name == "lz4":
        return _lz4_as_hdf5
    mode = codecs.Blosc.SHUFFLE if shuffle else codecs.Blosc.NOSHUFFLE
    blosc = codecs.Blosc(cname="zstd", clevel=_BLOSC_LEVEL, shuffle=mode, blocksize=_BLOSC_BLOCK)
    return lambda values: blosc.encode(_of_items(values, itemsize))


def gzip_encoder(level: int | None) -> Callable[[Any], bytes]:
    """Return the function that encodes bytes as a gzip file, which Zarr stores."""
    if level is None or level <= _HIGHEST_ISAL_LEVEL:
        chosen = _ISAL_LEVEL if level is None else level
        # A time in the header would make equal chunks differ.
        return lambda values: igzip.compress(values, chosen, mtime=0)
    return lambda values: _zlib(values, level, wbits=31)


def _deflate(level: int | None) -> Callable[[Any], bytes]:
    if level is None or level <= _HIGHEST_ISAL_LEVEL:
        chosen = _ISAL_LEVEL if level is None else level
        return lambda values: isal_zlib.compress(values, chosen)
    return lambda values: zlib.compress(values, level)


def _zlib(values: Any, level: int, wbits: int) -> bytes:
    stream = zlib.compressobj(level, wbits=wbits)
    return stream.compress(values) + stream.flush()


def _lz4_as_hdf5(values: Any) -> bytes:
    """Return one block of LZ4 behind the header of the HDF5 filter: sizes, big-endian."""
    raw = memoryview(values).cast("B")
    # numcodecs puts the size, little-endian, before the block.
    block = _codecs("lz4").LZ4().encode(raw)[4:]
    if len(block) >= len(raw):
        block = raw  # the filter takes a block of the size of its values for the values themselves
    header = len(raw).to_bytes(8, "big") + len(raw).to_bytes(4, "big")
    return b"".join((header, len(block).to_bytes(4, "big"), block))


def _of_items(values: Any, itemsize: int) -> NDArray[Any]:
    """Return bytes as items of their size, which Blosc asks of what it is given."""
    import numpy as np

    raw = np.frombuffer(values, dtype=np.uint8)
    return raw.view(np.dtype((np.void, itemsize)))


def hdf5_filters(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the arguments of ``h5py.Group.create_dataset`` that state the filters.

    Raises
    ------
    MissingPackageError
        When a preset needs ``hdf5plugin``.
    """
    if compression.name == "gzip":
        level = compression.level or _NOTED_LEVEL
        return {"compression": "gzip", "compression_opts": level, "shuffle": shuffle}
    if compression.name == "none":
        return {"shuffle": False}
    plugin = _required("hdf5plugin", compression.name)
    _codecs(compression.name)
    if compression.name == "zstd":
        settings = plugin.Zstd(clevel=_ZSTD_LEVEL)
    elif compression.name == "lz4":
        settings = plugin.LZ4(nbytes=_LZ4_BLOCK)
    else:
        settings = plugin.Blosc(cname="zstd", clevel=_BLOSC_LEVEL, shuffle=int(shuffle))
    return {**settings, "shuffle": shuffle and not compression.shuffles_itself}


def zarr_codecs(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the ``compressor`` and ``filters`` of a Zarr array."""
    codecs = _codecs(compression.name)
    compressor: Any = None
    if compression.name == "gzip":
        compressor = codecs.GZip(level=compression.level or _ISAL_LEVEL)
    elif compression.name == "zstd":
        compressor = codecs.Zstd(level=_ZSTD_LEVEL)
    elif compression.name == "lz4":
        compressor = codecs.LZ4()
    elif compression.name == "blosc":
        mode = int(shuffle and itemsize > 1)
        compressor = codecs.Blosc(
            cname="zstd", clevel=_BLOSC_LEVEL, shuffle=mode, blocksize=_BLOSC_BLOCK
        )
    shuffled = shuffle and itemsize > 1 and compression.name not in ("blosc", "none")
    filters = [codecs.Shuffle(elementsize=itemsize)] if shuffled else None
    return {"compressor": compressor, "filters": filters}


def _codecs(preset: str) -> Any:
    return _required("numcodecs", preset)


def _required(package: str, preset: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f'compression "{preset}" needs the package {package}: '
            'pip install "nwb-ophys[compression]". Only "gzip" and "none" do without.'
        ) from error
