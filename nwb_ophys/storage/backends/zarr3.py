"""The backend of Zarr format 3, through hdmf-zarr 0.14; chunks of large arrays lie in shards."""

from __future__ import annotations

import asyncio
import functools
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.data_utils import DataIO
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import ArgumentError
from nwb_ophys.optional import require_package
from nwb_ophys.outside import current_reach, reach_of
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.base import (
    ChunkSink,
    SinkTools,
    WrapperSettings,
    stated_chunk_shape,
)
from nwb_ophys.storage.backends.zarr_codecs import ChunkEncoder, codecs_in_words, codecs_of
from nwb_ophys.storage.backends.zarr_folder import (
    CheckedReferences,
    IteratedByBlocks,
    ZarrFolder,
    hdmf_zarr,
    is_own_wrapper,
)
from nwb_ophys.storage.backends.zarr_guarded import guarded_local_store, local_store, reading_store
from nwb_ophys.storage.backends.zarr_parts import check_store
from nwb_ophys.storage.backends.zarr_places import ShardLayout, array_folder
from nwb_ophys.storage.backends.zarr_shards import ShardFiles, shard_shape
from nwb_ophys.storage.compression import KEEP_FILTERS, Compression, parse_compression
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hdmf.internals import RootByItsHeaders, settings_of
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder
from nwb_ophys.storage.in_place import check_whole

# Of Zarr, about what hdmf-zarr stores in each file, and what other programs may not know; and of
# hdmf-zarr, which copies small arrays of format 2 without their codecs.
_KNOWN_WARNINGS = ("Consolidated metadata is currently not", "The data type", "Could not map codec")
# Seconds to wait for Zarr after an interrupt.
_PATIENCE = 5.0


async def _others() -> None:
    """Wait for all other tasks of the event loop."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)


def _hdmf_zarr() -> Any:
    return hdmf_zarr(3)


@contextmanager
def _every_chunk() -> Iterator[None]:
    """Let hdmf-zarr store every chunk within the block; Zarr 3 leaves out those of fill values."""
    zarr = require_package("zarr", "zarr")
    with warnings.catch_warnings(), zarr.config.set({"array.write_empty_chunks": True}):
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message)
        yield


class _WithEveryChunk:
    """Mixin for the IO class of hdmf-zarr."""

    def write(self, *given: Any, **options: Any) -> None:
        """Write a container, every chunk of it."""
        with _every_chunk():
            super().write(*given, **options)  # type: ignore[misc]

    def write_dataset(self, *given: Any, **options: Any) -> Any:
        """Write a dataset, every chunk of it."""
        with _every_chunk():
            return super().write_dataset(*given, **options)  # type: ignore[misc]

    def export(self, *given: Any, **options: Any) -> None:
        """Write the contents of another file, every chunk of them."""
        with _every_chunk():
            super().export(*given, **options)  # type: ignore[misc]


@functools.cache
def _io_class() -> type:
    mixins = (CheckedReferences, IteratedByBlocks, RootByItsHeaders, _WithEveryChunk, BuilderHook)
    return type("HookedNWBZarrIO", (*mixins, _hdmf_zarr().NWBZarrIO), {})


class Zarr3Backend(ZarrFolder):
    """NWB in a Zarr folder of format 3, written with hdmf-zarr."""

    filter_settings = ("compressors", "filters", "serializer")
    links_attribute = "_LINKS"

    def open(
        self,
        path: Path,
        mode: str,
        manager: Any = None,
        *,
        follows_links: bool = True,
        guard: Any = None,
    ) -> Any:
        """Return an ``hdmf_zarr.NWBZarrIO`` with a builder hook.

        A store is read by the headers of its arrays, not by the copies of them in its root.
        """
        self.require_reading(path)
        if mode == "r":
            check_whole(path)
        if mode != "w":
            check_store(path)
        store = reading_store(path) if guard is None else guarded_local_store(path, guard)
        # "r-" is hdmf-zarr's mode "r" without the copies.
        io = _io_class()(store, mode="r-" if mode == "r" else mode, manager=manager)
        io.reach = current_reach() or reach_of([path])
        io.remote = path if isinstance(path, RemotePath) else None
        return io

    def recognises(self, path: Path) -> bool:
        """Return whether the path is a folder that holds a Zarr group of format 3."""
        return (path / "zarr.json").is_file() and not (path / ".zgroup").is_file()

    def links(self, data: Any) -> bool:
        """Return False: hdmf-zarr 0.14 states a wrong path of the other store."""
        return False

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        header = parse_source_json(read_limited(path / "zarr.json"))
        return header.get("attributes", {}).get("neurodata_type")

    def portable_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a ``ZarrDataIO`` that other backends have, too."""
        if not is_own_wrapper(given):
            return None
        settings = settings_of(given)
        codecs = settings.get("compressors") or ()
        codecs = list(codecs) if isinstance(codecs, (list, tuple)) else [codecs]
        compression = "none" if "compressors" in settings and not codecs else None
        level = getattr(codecs[0], "level", 0) if len(codecs) == 1 else 0
        others = [*(settings.get("filters") or ()), settings.get("serializer")]
        foreign = [repr(each) for each in [*others, *codecs] if each is not None]
        if codecs and type(codecs[0]).__name__ == "GzipCodec" and 1 <= level <= 9:
            compression, foreign = f"gzip:{level}", foreign[:-1]
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=None if foreign else compression,
            foreign=" and ".join(foreign) or None,
        )

    def settle(self) -> None:
        """Wait for the thread in which Zarr 3 writes; an interrupt ends the caller's wait only."""
        sync = require_package("zarr.core.sync", "zarr").sync
        with suppress(Exception):
            sync(_others(), timeout=_PATIENCE)

    def stored_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype in little-endian order, in which the codec for bytes stores values."""
        return dtype.newbyteorder("<")

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a placeholder in a ``ZarrDataIO``, of an array in shards."""
        chunks, dtype = configuration.chunk_shape, configuration.dtype
        shape = configuration.shape
        assert chunks is not None
        assert dtype is not None
        assert shape is not None
        declared = Placeholder(shape, self.stored_dtype(dtype), chunks)
        wrapper = _hdmf_zarr().ZarrDataIO(data=declared, chunks=chunks)
        settings, own = settings_of(wrapper), {}
        fill = None
        if is_own_wrapper(given):
            own = {k: v for k, v in settings_of(given).items() if k != "chunks"}
            fill = own.pop("fill_value", None)
        elif isinstance(given, DataIO):
            fill = self.wrapper_settings(given).fill_value
        else:
            fill = getattr(given, "fillvalue", getattr(given, "fill_value", None))
        shards = _stated_shards(own.pop("shards", None), chunks, configuration.location)
        shards = shards or shard_shape(shape, chunks, dtype.itemsize)
        settings.update(own, shards={"shape": shards, "index_location": "start"})
        settings["fill_value"] = dtype.type(0 if fill is None else fill)
        if configuration.compression != KEEP_FILTERS:
            compression = parse_compression(configuration.compression or "none")
            shuffle = bool(configuration.shuffle)
            settings.update(self.codec_settings(compression, dtype.itemsize, shuffle))
        return wrapper

    def codec_settings(
        self, compression: Compression, itemsize: int, shuffle: bool
    ) -> dict[str, Any]:
        """Return the settings of a ``ZarrDataIO`` for a preset."""
        return _codecs(compression, itemsize, shuffle)

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Zarr3Sink:
        """Open a declared dataset of an open file."""
        return Zarr3Sink(root[configuration.location], configuration, tools)

    def shared_sink(
        self, root: Any, configuration: DatasetConfiguration, tools: SinkTools
    ) -> Zarr3Sink:
        """Open a declared dataset, to which other processes add other shards."""
        return Zarr3Sink(root[configuration.location], configuration, tools, is_shared=True)

    def shared_unit(self, root: Any, configuration: DatasetConfiguration) -> Shape:
        """Return the shape of the shards of a declared dataset."""
        return tuple(root[configuration.location].shards)

    def stored_size(self, dataset: Any) -> int:
        """Return the number of bytes of all shards and of the metadata."""
        folder = array_folder(dataset)
        files = [] if folder is None else folder.rglob("*")
        return sum(each.stat().st_size for each in files if each.is_file())

    def filters_in_words(self, dataset: Any) -> str:
        """Return the names of the filters and the compressors of an open array, and its shards."""
        words = codecs_in_words([*dataset.filters, *dataset.compressors])
        if not dataset.shards:
            return words
        return f"{words}; shards of {' x '.join(map(str, dataset.shards))}".removeprefix("; ")

    def consolidate(self, folder: Path) -> None:
        """Renew the copies of all headers in the root of a store that has them."""
        if parse_source_json(read_limited(folder / "zarr.json")).get("consolidated_metadata"):
            zarr = require_package("zarr", "zarr")
            with warnings.catch_warnings():
                for message in _KNOWN_WARNINGS:
                    warnings.filterwarnings("ignore", message)
                zarr.consolidate_metadata(local_store(folder), zarr_format=3)

    def opened_root(self, path: Path) -> Any:
        """Open a store by the headers of its arrays, not by the copies of them in its root."""
        zarr = require_package("zarr", "zarr")
        return zarr.open_group(reading_store(path), mode="r", use_consolidated=False)

    def reopened_root(self, path: Path) -> Any:
        """Return the root group of a store, open for changes."""
        zarr = require_package("zarr", "zarr")
        return zarr.open_group(local_store(path), mode="r+", use_consolidated=False)


def _stated_shards(shards: Any, chunks: Shape, location: str) -> Shape | None:
    """Return the shards that a wrapper states, or None where it leaves the choice.

    Raises
    ------
    ArgumentError
        If the chunks do not fit into them.
    """
    if shards is None or isinstance(shards, str):
        return None
    found = tuple(shards["shape"]) if isinstance(shards, dict) else tuple(shards)
    pairs = zip(found, chunks, strict=False)
    if len(found) != len(chunks) or any(shard % chunk for shard, chunk in pairs):
        raise ArgumentError(
            f"shards of '{location}' are {found}; each must be a multiple of the chunk, {chunks}."
        )
    return found


def _codecs(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the codecs of a Zarr array for a preset."""
    stated = codecs_of(compression, itemsize, shuffle)
    numcodecs = require_package("zarr.codecs.numcodecs", "zarr")
    found: list[Any] = [
        numcodecs.Shuffle(elementsize=codec.elementsize) for codec in stated["filters"] or ()
    ]
    compressor = stated["compressor"]
    if compressor is not None:
        found.append(_compressor(compression.name, compressor, itemsize))
    return {"compressors": found or None, "filters": None, "serializer": "auto"}


def _compressor(name: str, codec: Any, itemsize: int) -> Any:
    codecs = require_package("zarr.codecs", "zarr")
    if name == "gzip":
        return codecs.GzipCodec(level=codec.level)
    if name == "zstd":
        return codecs.ZstdCodec(level=codec.level)
    if name == "lz4":
        return require_package("zarr.codecs.numcodecs", "zarr").LZ4(acceleration=codec.acceleration)
    return codecs.BloscCodec(
        cname=codec.cname,
        clevel=codec.clevel,
        shuffle="shuffle" if codec.shuffle else "noshuffle",
        blocksize=codec.blocksize,
        typesize=itemsize,
    )


class Zarr3Sink(ChunkSink):
    """An open array of a Zarr store in shards that takes chunks."""

    def __init__(
        self,
        array: Any,
        configuration: DatasetConfiguration,
        tools: SinkTools,
        *,
        is_shared: bool = False,
    ) -> None:
        super().__init__(array, array.fill_value, tools)
        self._array = array
        self.dtype = np.dtype(array.dtype).newbyteorder("<")
        self._encoded = _encoder(array, configuration, self.dtype)
        self.shuffles = self._encoded.shuffles
        layout = ShardLayout(
            shape=tuple(array.shape),
            chunks=tuple(array.chunks),
            shards=tuple(array.shards),
            is_index_first=True,
        )
        folder = array_folder(array)
        assert folder is not None
        self._shards = ShardFiles(folder, layout, self._before_change, is_shared=is_shared)

    def _before_change(self, name: str) -> None:
        guard = getattr(self._array.store, "guard", None)
        if guard is not None:
            guard.before_change(f"{self._array.path}/{name}")

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in C order, and shuffled if ``shuffles``."""
        encoded = self._encoded(planes)
        complete = self._shards.put(corner, encoded)
        if complete is not None:
            self._tools.finished.add(str(complete))
        self._note_stored(corner, encoded)

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the encoded bytes of a chunk."""
        return self._shards.read(corner)

    def stored_length(self, corner: Shape) -> int | None:
        """Return the size of a chunk in the file of its shard."""
        return self._shards.length(corner)

    def finish(self) -> None:
        """Complete the shards of which some chunks are not stored, as those of zeros."""
        self._shards.finish()

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return stored values."""
        return self._array[selection]


def _encoder(array: Any, configuration: DatasetConfiguration, dtype: np.dtype[Any]) -> Any:
    """Return the encoder of chunks for a preset, or for the codecs of a user."""
    if configuration.compression == KEEP_FILTERS:
        return _CodecsOfArray(array)
    assert configuration.dtype is not None
    compression = parse_compression(configuration.compression or "none")
    itemsize = configuration.dtype.itemsize
    codecs = codecs_of(compression, itemsize, bool(configuration.shuffle))
    filters = codecs["filters"] or ()
    return ChunkEncoder(filters, codecs["compressor"], configuration.compression, dtype)


class _CodecsOfArray:
    """Encoder that has Zarr encode each chunk, in an array of one chunk in memory."""

    shuffles = False

    def __init__(self, array: Any) -> None:
        self._array, self._own = array, threading.local()

    def __call__(self, stored: NDArray[np.uint8]) -> bytes:
        """Return the bytes of a chunk, encoded."""
        array, content = self._memory()
        array[...] = stored.view(np.dtype(array.dtype)).reshape(array.shape)
        (encoded,) = (value for key, value in content.items() if key.startswith("c"))
        return bytes(encoded.to_bytes())

    def _memory(self) -> tuple[Any, dict[str, Any]]:
        """Return the array of this thread and the contents of its store."""
        if not hasattr(self._own, "array"):
            zarr = require_package("zarr", "zarr")
            self._own.content = {}
            of, chunks = self._array, self._array.chunks
            self._own.array = zarr.create_array(
                require_package("zarr.storage", "zarr").MemoryStore(self._own.content),
                shape=chunks,
                chunks=chunks,
                dtype=of.dtype,
                filters=of.filters or None,
                serializer=of.serializer,
                compressors=of.compressors or None,
                fill_value=of.fill_value,
                config={"write_empty_chunks": True},
            )
        return self._own.array, self._own.content
