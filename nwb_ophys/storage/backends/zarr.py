"""The Zarr backend, through hdmf-zarr; each chunk is a file."""

from __future__ import annotations

import functools
import importlib
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.build import DatasetBuilder
from hdmf.data_utils import DataIO
from hdmf.spec import RefSpec
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import MissingPackageError, OutputError
from nwb_ophys.outside import Reach, current_reach, reach_of, within_reach
from nwb_ophys.storage.backends.base import (
    Backend,
    ChunkSink,
    SinkTools,
    StoredSource,
    WrapperSettings,
    package_versions,
    stated_chunk_shape,
)
from nwb_ophys.storage.backends.registry import DEFAULT_BACKEND
from nwb_ophys.storage.backends.zarr_claims import check_chunks_of
from nwb_ophys.storage.backends.zarr_guarded import guarded_store
from nwb_ophys.storage.backends.zarr_objects import zarr_objects
from nwb_ophys.storage.backends.zarr_parts import check_complete, check_reference, check_store
from nwb_ophys.storage.compression import (
    BLOSC_BLOCK,
    BLOSC_LEVEL,
    ISAL_LEVEL,
    KEEP_FILTERS,
    ZSTD_LEVEL,
    Compression,
    isal_level,
    parse_compression,
    required_package,
)
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.copying import copy_folder
from nwb_ophys.storage.deflate import gzip_stream
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hdmf.internals import set_object_codec, settings_of
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder, rewrapped
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.sources import unwrapped
from nwb_ophys.storage.stored_objects import StoredObject

# Metadata, and chunks of formats 2 and 3; a killed writer leaves partial ones.
_PART_OF_STORE = re.compile(
    r"(\.z(attrs|group|array|metadata)|zarr\.json|(c[./])?\d+(\.\d+)*)"
    r"(\.[0-9a-f]{32}\.partial)?|c"
)
_HEADERS = (".zarray", "zarr.json")
_FILTER_SETTINGS = ("compressor", "filters")
# zlib writes the header of a gzip file for windows above 16.
_GZIP_WINDOW = 31


def _hdmf_zarr() -> Any:
    """Return the package ``hdmf_zarr``.

    Raises
    ------
    MissingPackageError
        If it is not installed; names the ``pip install`` that brings it.
    """
    try:
        import hdmf_zarr
    except ImportError as error:
        raise MissingPackageError(
            'The backend "zarr" needs the package hdmf-zarr: pip install "nwb-ophys[zarr]".'
        ) from error
    return hdmf_zarr


class _CheckedReferences:
    """Mixin for the IO class of hdmf-zarr that checks where a reference leads before it follows."""

    reach: Reach | None = None

    def resolve_ref(self, zarr_ref: Any) -> Any:
        """Return the name and the object that a reference names."""
        with within_reach(self.reach):
            check_reference(Path(self.source), zarr_ref)  # type: ignore[attr-defined]
        return super().resolve_ref(zarr_ref)  # type: ignore[misc]


@functools.cache
def _io_class() -> type:
    bases = (_CheckedReferences, BuilderHook, _hdmf_zarr().NWBZarrIO)
    return type("HookedNWBZarrIO", bases, {})


def _is_own_wrapper(given: Any) -> bool:
    package = sys.modules.get("hdmf_zarr")  # without it nobody has made such a wrapper
    return package is not None and isinstance(given, package.ZarrDataIO)


class ZarrBackend(Backend):
    """NWB in a Zarr folder, written with hdmf-zarr."""

    default_compression = "blosc"
    # Of arrays of texts, although hdmf-zarr copies their codec.
    ignored_warnings = ("missing object_codec",)
    headings = (".zattrs", ".zgroup", ".zmetadata", "zarr.json")

    def require(self) -> None:
        """Check that hdmf-zarr is installed."""
        _hdmf_zarr()

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

        References and other objects are stored as JSON, which every version of hdmf-zarr reads.
        By default it stores pickles, which numcodecs does not decode since version 0.15.2.
        """
        if mode == "r":
            check_whole(path)
        if mode != "w":
            check_store(path)
        store = str(path) if guard is None else guarded_store(path, guard)
        io = _io_class()(store, mode=mode, manager=manager)
        io.reach = current_reach() or reach_of([path])
        set_object_codec(io, importlib.import_module("numcodecs").JSON)
        return io

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Return False for records: hdmf-zarr takes their fields from the values."""
        return dtype.names is None

    def recognises(self, path: Path) -> bool:
        """Return whether the path is a folder that holds a Zarr group."""
        return (path / ".zgroup").is_file() or (path / "zarr.json").is_file()

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        if (path / "zarr.json").is_file():  # format 3
            attributes = parse_source_json(read_limited(path / "zarr.json")).get("attributes", {})
        elif (path / ".zattrs").is_file():
            attributes = parse_source_json(read_limited(path / ".zattrs"))
        else:
            attributes = {}
        return attributes.get("neurodata_type")

    def may_be_incomplete(self, path: Path) -> bool:
        """Return whether the path is a folder that holds nothing but parts of a store.

        A store that was being copied may have chunks without the header of their array.
        """
        is_folder = path.is_dir() and not path.is_symlink()
        return is_folder and not any(
            _PART_OF_STORE.fullmatch(each.name) is None for each in self.strangers(path)
        )

    def strangers(self, path: Path) -> Iterator[Path]:
        """Yield the files that are neither metadata nor chunks, wherever they lie in the store."""
        arrays: set[str] = set()  # and the folders of their chunks
        for folder, folders, names in os.walk(path):
            has_header = any(each.startswith(_HEADERS) for each in names)  # or a partial one
            is_array = has_header or folder.rpartition(os.sep)[0] in arrays
            arrays.update([folder] if is_array else [])
            for name in [*names, *(each for each in folders if (Path(folder) / each).is_symlink())]:
                found = _PART_OF_STORE.fullmatch(name)
                is_chunk = name[0] in "c0123456789"
                if found is None or (is_chunk and not is_array):
                    yield Path(folder) / name

    def single_file(self, root: Any) -> Path | None:
        """Return None: each chunk is a file."""
        return None

    def contents(self, group: Any) -> dict[str, Any]:
        """Return the items of an open group by name: the group's own groups, None for others."""
        links = [link["name"] for link in group.attrs.get("zarr_link", [])]
        return dict.fromkeys([*links, *group.array_keys()]) | dict(group.groups())

    def own_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a ``ZarrDataIO``."""
        if not _is_own_wrapper(given):
            return None
        settings = settings_of(given)
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=KEEP_FILTERS if settings.keys() & set(_FILTER_SETTINGS) else None,
        )

    def portable_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a ``ZarrDataIO`` that other backends have, too."""
        if not _is_own_wrapper(given):
            return None
        settings = settings_of(given)
        codec = settings.get("compressor")
        level = getattr(codec, "level", 0)
        filters = [repr(each) for each in settings.get("filters") or ()]
        compression = "none" if "compressor" in settings and codec is None else None
        if getattr(codec, "codec_id", None) == "gzip" and 1 <= level <= 9:
            compression = f"gzip:{level}"
        if codec is not None and compression is None:
            filters.append(repr(codec))
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=None if filters else compression,
            foreign=" and ".join(filters) or None,
        )

    def check(self, location: str, builder: DatasetBuilder) -> None:
        """Refuse records that hold references: no reader decodes what hdmf-zarr stores for them."""
        fields = builder.dtype if isinstance(builder.dtype, list) else []
        kinds = [getattr(field, "dtype", None) or field["dtype"] for field in fields]
        if any(isinstance(kind, (dict, RefSpec)) or kind == "object" for kind in kinds):
            raise OutputError(
                f"'{location}' is a table of references with other fields, which hdmf-zarr stores "
                "as pickles that no reader decodes; write this file with the backend "
                f"'{DEFAULT_BACKEND}'."
            )

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a placeholder in a ``ZarrDataIO``."""
        chunks = configuration.chunk_shape
        declared = Placeholder(configuration.shape, configuration.dtype, chunks)  # type: ignore[arg-type]
        wrapper = _hdmf_zarr().ZarrDataIO(data=declared, chunks=chunks, fillvalue=0)
        settings = settings_of(wrapper)
        fill = getattr(given, "fillvalue", getattr(given, "fill_value", None))
        if isinstance(given, DataIO) and not _is_own_wrapper(given):
            fill = self.wrapper_settings(given).fill_value
        if fill is not None:
            settings["fill_value"] = fill
        if _is_own_wrapper(given):
            settings.update({k: v for k, v in settings_of(given).items() if k != "chunks"})
        if configuration.compression != KEEP_FILTERS:
            compression = parse_compression(configuration.compression or "none")
            itemsize = configuration.dtype.itemsize  # type: ignore[union-attr]
            settings.update(_codecs(compression, itemsize, bool(configuration.shuffle)))
        return wrapper

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in a ``ZarrDataIO`` with the given settings, or with the given chunks."""
        wrapper = self._wrapped(given, data)
        kind = getattr(data, "dtype", None)
        if compression is None or kind is None or np.dtype(kind).kind not in "iuf":
            return wrapper
        wrapper = wrapper if _is_own_wrapper(wrapper) else _hdmf_zarr().ZarrDataIO(data=data)
        codecs = _codecs(parse_compression(compression), np.dtype(kind).itemsize, True)
        settings_of(wrapper).update(codecs)
        return wrapper

    def _wrapped(self, given: Any, data: Any) -> Any:
        if _is_own_wrapper(given):
            return given if data is unwrapped(given) else rewrapped(given, data)
        chunks = self.wrapper_settings(given).chunk_shape
        return data if chunks is None else _hdmf_zarr().ZarrDataIO(data=data, chunks=chunks)

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> ZarrSink:
        """Open a declared dataset of an open file."""
        return ZarrSink(root[configuration.location], configuration, tools)

    @contextmanager
    def reopen(self, path: Path, undo: Path) -> Iterator[Any]:
        """Open an incomplete store, without the chunks that were being written."""
        for torn in path.rglob("*.partial"):
            torn.unlink()
        yield importlib.import_module("zarr").open_group(str(path), mode="r+")

    def holds(self, data: Any) -> bool:
        """Return whether data are an array of Zarr."""
        return type(data).__module__.startswith("zarr.")

    def encoded_size(self, configuration: DatasetConfiguration, values: NDArray[Any]) -> int:
        """Return the number of bytes of values that are encoded as one chunk."""
        compression = parse_compression(configuration.compression or "none")
        itemsize = values.dtype.itemsize
        codecs = _codecs(compression, itemsize, bool(configuration.shuffle))
        encoded: Any = np.ascontiguousarray(values)
        for codec in codecs["filters"] or ():
            encoded = codec.encode(encoded)
        if compression.name == "gzip":
            return len(_gzip_encoder(compression.level)(encoded))
        compressor = codecs["compressor"]
        return memoryview(encoded if compressor is None else compressor.encode(encoded)).nbytes

    def stored_size(self, dataset: Any) -> int:
        """Return the number of bytes of all stored chunks and of the metadata."""
        return int(dataset.nbytes_stored)

    def check_complete(self, data: Any, *, is_sparse: bool = False) -> None:
        """Check that all chunks have a file."""
        if not is_sparse:
            check_complete(data)

    def stored_source(self, dataset: Any) -> ZarrSource:
        """Return an open array as a source."""
        return ZarrSource(dataset)

    def checked_source(self, dataset: Any) -> ZarrSource:
        """Return an open array as a source that checks chunks before Zarr decodes them."""
        return CheckedZarrSource(dataset)

    def versions(self) -> dict[str, str]:
        """Return the versions of hdmf-zarr, Zarr and its codecs."""
        return package_versions(["hdmf-zarr", "zarr", "numcodecs"])

    def open_root(self, path: Path) -> AbstractContextManager[Any]:
        """Open a store for reading, without its schemas.

        One damaged chunk does not keep the other arrays from being read: `objects`, `read_text`
        and `checked_source` check the chunks of an array when they read it.
        """
        _hdmf_zarr()
        check_whole(path)
        check_store(path, chunks=False)
        return nullcontext(importlib.import_module("zarr").open_group(str(path), mode="r"))

    def objects(self, root: Any) -> Iterator[StoredObject]:
        """Yield each group and array of an open store once; links are not followed."""
        return zarr_objects(root)

    def read_text(self, root: Any, location: str) -> str:
        """Return the text in an array of an open store."""
        check_chunks_of(root[location])
        return str(np.asarray(root[location][...]).reshape(())[()])

    def write_text(self, root: Any, location: str, text: str) -> None:
        """Replace the text in an array of an open store."""
        root[location][...] = text

    def copy(self, source: Path, target: Path) -> None:
        """Copy the folder."""
        copy_folder(source, target)


def _gzip_encoder(level: int | None) -> Callable[[Any], bytes]:
    """Return the function that encodes bytes as a gzip file, which Zarr stores."""
    fast = isal_level(level)
    if fast is not None:
        return lambda values: gzip_stream(values, fast)
    assert level is not None
    return lambda values: _zlib_gzip(values, level)


def _zlib_gzip(values: Any, level: int) -> bytes:
    stream = zlib.compressobj(level, wbits=_GZIP_WINDOW)
    return stream.compress(values) + stream.flush()


def _codecs(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the ``compressor`` and ``filters`` of a Zarr array for a preset."""
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


class ZarrSource(StoredSource):
    """An array of a Zarr store as a source."""

    def __init__(self, array: Any) -> None:
        path = getattr(array.store, "path", "a Zarr store")
        super().__init__(array, str(path), in_parallel=True)
        self.skips_zeros = bool(array.nchunks_initialized < array.nchunks)


class CheckedZarrSource(ZarrSource):
    """An array of a Zarr store whose chunks are checked before they are decoded."""

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return values; a chunk that contradicts itself raises a ValueError with its name."""
        check_chunks_of(self._values, selection)
        return super().read(selection)


class ZarrSink(ChunkSink):
    """An open array of a Zarr store that takes chunks; threads need not wait for each other."""

    def __init__(self, array: Any, configuration: DatasetConfiguration, tools: SinkTools) -> None:
        super().__init__(array, array.fill_value, tools)
        self._array = array
        self._filters = list(array.filters or ())
        self._compressor = array.compressor
        self._gzip = None
        if (configuration.compression or "").startswith("gzip"):
            # Zarr's codec uses zlib, which is slower than ISA-L.
            level = parse_compression(configuration.compression or "").level
            self._gzip = _gzip_encoder(level)
        # Where the schema widens the dtype, the shuffle filter is that for the narrower dtype.
        sizes = [getattr(codec, "elementsize", None) for codec in self._filters]
        self.shuffles = self._gzip is not None and sizes == [self.dtype.itemsize]

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in C order, and shuffled if ``shuffles``."""
        store, key = self._array.chunk_store, self._key(corner)
        encoded = self._encoded(planes)
        store[key] = encoded
        self._tools.flusher.add(str(Path(store.path) / key))
        self._note_stored(corner, encoded)

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the contents of the file of a chunk."""
        return self._array.chunk_store.get(self._key(corner))  # type: ignore[no-any-return]

    def _key(self, corner: Shape) -> str:
        index = tuple(start // size for start, size in zip(corner, self._chunks, strict=True))
        return self._array._chunk_key(index)  # type: ignore[no-any-return]

    def _encoded(self, stored: NDArray[np.uint8]) -> Any:
        encoded: Any = stored
        if not self.shuffles:
            encoded = stored.view(self.dtype)
            for codec in self._filters:
                encoded = codec.encode(encoded)
        if self._gzip is not None:
            return self._gzip(encoded)
        return encoded if self._compressor is None else self._compressor.encode(encoded)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return stored values."""
        return self._array[selection]
