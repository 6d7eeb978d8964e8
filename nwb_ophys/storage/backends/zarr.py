"""The backend of Zarr format 2, through hdmf-zarr 0.13; each chunk is a file.

hdmf-zarr 0.14 reads the format and does not write it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.data_utils import DataIO
from hdmf.spec import RefSpec
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import OutputError
from nwb_ophys.optional import require_package
from nwb_ophys.outside import current_reach, reach_of
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.base import (
    ChunkSink,
    SinkTools,
    WrapperSettings,
    stated_chunk_shape,
)
from nwb_ophys.storage.backends.registry import DEFAULT_BACKEND
from nwb_ophys.storage.backends.schemas import store_in_zarr, versions_in_zarr
from nwb_ophys.storage.backends.zarr_codecs import ChunkEncoder, codecs_in_words, codecs_of
from nwb_ophys.storage.backends.zarr_folder import (
    CheckedReferences,
    IteratedByBlocks,
    ZarrFolder,
    hdmf_zarr,
    is_own_wrapper,
)
from nwb_ophys.storage.backends.zarr_guarded import guarded_store, reading_store
from nwb_ophys.storage.backends.zarr_later import EntireStore, Group2, is_later
from nwb_ophys.storage.backends.zarr_objects import zarr_objects
from nwb_ophys.storage.backends.zarr_parts import check_store
from nwb_ophys.storage.backends.zarr_places import check_not_gone
from nwb_ophys.storage.compression import KEEP_FILTERS, Compression, parse_compression
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.direct_writing import write_file
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hdmf.internals import (
    root_of,
    set_object_codec,
    settings_of,
    write_files_with,
)
from nwb_ophys.storage.hdmf.managers import manager_for
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.stored_objects import StoredObject

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder


@functools.cache
def _io_class() -> type:
    bases = (CheckedReferences, BuilderHook, _hdmf_zarr().NWBZarrIO)
    return type("HookedNWBZarrIO", bases, {})


@functools.cache
def _reading_class() -> type:
    """Return the class with which hdmf-zarr 0.14 reads the format."""
    package = require_package("hdmf_zarr.nwb_zarrv2", "zarr")
    mixins = (CheckedReferences, IteratedByBlocks, EntireStore)
    return type("CheckedNWBZarrV2IO", (*mixins, package.NWBZarrV2IO), {})


def _hdmf_zarr() -> Any:
    return hdmf_zarr(2)


class ZarrBackend(ZarrFolder):
    """NWB in a Zarr folder of format 2, written with hdmf-zarr."""

    # Of arrays of texts, although hdmf-zarr copies their codec.
    ignored_warnings = ("missing object_codec",)
    filter_settings = ("compressor", "filters")
    links_attribute = "zarr_link"

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
        if not is_later():
            _hdmf_zarr()  # which says so when it is absent
        if mode == "r":
            check_whole(path)
        if mode != "w":
            check_store(path)
        if mode == "r" and is_later():
            return self._opened_later(path, manager)
        store = reading_store(path) if guard is None else guarded_store(path, guard)
        if mode != "w" and not isinstance(path, RemotePath):
            manager = manager or manager_for(versions_in_zarr(path))
        io = _io_class()(store, mode=mode, manager=manager)
        io.reach = current_reach() or reach_of([path])
        io.remote = path if isinstance(path, RemotePath) else None
        set_object_codec(io, require_package("numcodecs", "zarr").JSON)
        return io

    def _opened_later(self, path: Path, manager: Any) -> Any:
        """Return the object with which hdmf-zarr 0.14 reads a store."""
        io = _reading_class()(reading_store(path), mode="r-", manager=manager)
        io.reach = current_reach() or reach_of([path])
        io.remote = path if isinstance(path, RemotePath) else None
        return io

    def write_nwbfile(self, io: Any, nwbfile: Any) -> None:
        """Write an ``NWBFile``, the schemas that the store lacks, and one copy of all metadata."""
        io.write(nwbfile, cache_spec=False, consolidate_metadata=False)
        store_in_zarr(root_of(io), io.manager.namespace_catalog)
        require_package("zarr", "zarr").consolidate_metadata(io.path)

    def require_reading(self, path: Path) -> None:
        """Check that hdmf-zarr is installed; every version reads the format."""
        if not is_later():
            super().require_reading(path)

    def recognises(self, path: Path) -> bool:
        """Return whether the path is a folder that holds a Zarr group of format 2."""
        return (path / ".zgroup").is_file()

    def links(self, data: Any) -> bool:
        """Return whether an array lies on a disk."""
        return hasattr(data.store, "path")

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        attributes = path / ".zattrs"
        if not attributes.is_file():
            return None
        return parse_source_json(read_limited(attributes)).get("neurodata_type")

    def portable_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a ``ZarrDataIO`` that other backends have, too."""
        if not is_own_wrapper(given):
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
        if isinstance(given, DataIO) and not is_own_wrapper(given):
            fill = self.wrapper_settings(given).fill_value
        if fill is not None:
            settings["fill_value"] = fill
        if is_own_wrapper(given):
            settings.update({k: v for k, v in settings_of(given).items() if k != "chunks"})
        if configuration.compression != KEEP_FILTERS:
            compression = parse_compression(configuration.compression or "none")
            itemsize = configuration.dtype.itemsize  # type: ignore[union-attr]
            shuffle = bool(configuration.shuffle)
            settings.update(self.codec_settings(compression, itemsize, shuffle))
        return wrapper

    def codec_settings(
        self, compression: Compression, itemsize: int, shuffle: bool
    ) -> dict[str, Any]:
        """Return the settings of a ``ZarrDataIO`` for a preset."""
        return codecs_of(compression, itemsize, shuffle)

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> ZarrSink:
        """Open a declared dataset of an open file."""
        return ZarrSink(root[configuration.location], configuration, tools)

    def shared_sink(
        self, root: Any, configuration: DatasetConfiguration, tools: SinkTools
    ) -> ZarrSink:
        """Open a declared dataset, to which other processes add chunks, too."""
        return ZarrSink(root[configuration.location], configuration, tools, is_shared=True)

    def stored_size(self, dataset: Any) -> int:
        """Return the number of bytes of all stored chunks and of the metadata."""
        stored = dataset.nbytes_stored  # a method in Zarr 3
        return int(stored() if callable(stored) else stored)

    def filters_in_words(self, dataset: Any) -> str:
        """Return the names of the filters and the compressor of an open array."""
        if hasattr(dataset, "compressors"):  # Zarr 3
            return codecs_in_words([*dataset.filters, *dataset.compressors])
        return codecs_in_words([*(dataset.filters or ()), dataset.compressor])

    def objects(self, root: Any) -> Iterator[StoredObject]:
        """Yield each group and array of an open store once; links are not followed."""
        return zarr_objects(Group2.of(root) if is_later() else root)

    def contents(self, group: Any) -> dict[str, Any]:
        """Return the items of an open group by name: the group's own groups, None for others."""
        return super().contents(Group2.of(group) if is_later() else group)

    def consolidate(self, folder: Path) -> None:
        """Renew the copies of all metadata in the root of a store that has them."""
        if (folder / ".zmetadata").is_file():
            require_package("zarr", "zarr").consolidate_metadata(str(folder))

    def opened_root(self, path: Path) -> Any:
        """Open a store; of the arrays of objects, Zarr 3 opens none."""
        return Group2.at(path) if is_later() else super().opened_root(path)


class ZarrSink(ChunkSink):
    """An open array of a Zarr store that takes chunks; threads need not wait for each other."""

    def __init__(
        self,
        array: Any,
        configuration: DatasetConfiguration,
        tools: SinkTools,
        *,
        is_shared: bool = False,
    ) -> None:
        super().__init__(array, array.fill_value, tools)
        self._array, self._is_shared = array, is_shared
        write_files_with(array.chunk_store, write_file)
        self._encoded = ChunkEncoder(
            array.filters or (), array.compressor, configuration.compression, self.dtype
        )
        self.shuffles = self._encoded.shuffles

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in C order, and shuffled if ``shuffles``."""
        store, key = self._array.chunk_store, self._key(corner)
        encoded = self._encoded(planes)
        if self._is_shared:  # the store makes folders
            check_not_gone(Path(store.path) / self._array.path, ".zarray")
        store[key] = encoded
        self._tools.finished.add(str(Path(store.path) / key))
        self._note_stored(corner, encoded)

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the contents of the file of a chunk."""
        return self._array.chunk_store.get(self._key(corner))  # type: ignore[no-any-return]

    def stored_length(self, corner: Shape) -> int | None:
        """Return the size of the file of a chunk."""
        try:
            return (Path(self._array.chunk_store.path) / self._key(corner)).stat().st_size
        except FileNotFoundError:
            return None

    def _key(self, corner: Shape) -> str:
        index = tuple(start // size for start, size in zip(corner, self._chunks, strict=True))
        return self._array._chunk_key(index)  # type: ignore[no-any-return]

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return stored values."""
        return self._array[selection]
