"""The HDF5 backend, through pynwb and h5py.

Chunks are encoded outside of the HDF5 library and stored directly, in the format of its standard
filters. Every reader decodes ``gzip`` and ``none``; the other presets need ``hdf5plugin``.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from hdmf.backends.hdf5.h5_utils import H5DataIO
from numpy.typing import NDArray

from nwb_ophys.errors import MissingPackageError, is_without_locks
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.storage.backends.base import (
    Backend,
    ChunkSink,
    SinkTools,
    StoredSource,
    WrapperSettings,
    package_versions,
    stated_chunk_shape,
)
from nwb_ophys.storage.backends.hdf5_checked_reading import CheckedReading
from nwb_ophys.storage.backends.hdf5_claims import check_chunk_claims, check_shape_claim
from nwb_ophys.storage.backends.hdf5_commits import Hdf5Commits, StoredChunks
from nwb_ophys.storage.backends.hdf5_copy import Hdf5Copy, hdf5_datasets
from nwb_ophys.storage.backends.hdf5_direct import write_chunk
from nwb_ophys.storage.backends.hdf5_drafts import Hdf5Draft, check_only_name
from nwb_ophys.storage.backends.hdf5_encoding import LZ4_BLOCK, encoder
from nwb_ophys.storage.backends.hdf5_files import (
    check_disk,
    closed_on_error,
    open_for_writing,
    writers_locked_out,
)
from nwb_ophys.storage.backends.hdf5_filters import filters_in_words
from nwb_ophys.storage.backends.hdf5_objects import hdf5_objects
from nwb_ophys.storage.backends.hdf5_opening import (
    CalmReader,
    encoded,
    is_hdf5,
    own_members,
    read_hdf5,
)
from nwb_ophys.storage.backends.hdf5_order import LARGEST_CHUNK, OrderedCommits
from nwb_ophys.storage.backends.hdf5_parts import (
    check_complete,
    check_named_files,
    lacks_chunks,
)
from nwb_ophys.storage.backends.hdf5_reading import check_chunks, checked
from nwb_ophys.storage.backends.schemas import store_in_hdf5, versions_in_hdf5
from nwb_ophys.storage.checksums import fletcher32
from nwb_ophys.storage.compression import (
    BLOSC_LEVEL,
    KEEP_FILTERS,
    ZSTD_LEVEL,
    Compression,
    parse_compression,
    required_package,
)
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.copying import copy_file
from nwb_ophys.storage.encoding import chunk_bytes, num_bytes
from nwb_ophys.storage.grid import Selection, Shape, cell_at, grid, inside
from nwb_ophys.storage.hdmf import data_types  # noqa: F401 - registers
from nwb_ophys.storage.hdmf.internals import root_of, settings_of
from nwb_ophys.storage.hdmf.managers import manager_for
from nwb_ophys.storage.hdmf.placeholders import BuilderHook, Placeholder, rewrapped
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.sources import SMALL_BYTES, unwrapped
from nwb_ophys.storage.stored_objects import StoredObject
from nwb_ophys.storage.undo import restore
from nwb_ophys.trial import try_hdf5

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder
    from hdmf.data_utils import DataIO

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# More than the metadata of an empty NWB file has.
_HEAD_BYTES = 1_000_000
_FILTER_SETTINGS = ("compression", "compression_opts", "shuffle", "fletcher32")
# HDF5 stores a level with the deflate filter, and uses it for data that are added later.
_STORED_LEVEL = 4
_ZLIB_WINDOW = 15
# Largest share of stored chunks with which the other chunks are skipped.
_LARGEST_SPARSE_SHARE = 0.5


def _load_plugins() -> None:
    """Register the filters of ``hdf5plugin`` with HDF5, where it is installed."""
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")


def _check_filters(dataset: h5py.Dataset) -> None:
    """Check that HDF5 can decode a dataset here.

    Raises
    ------
    MissingPackageError
        If a filter is missing; names the dataset and the filter.
    """
    filters = dataset.id.get_create_plist()
    for number in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            kind = name.decode(errors="replace") or "no name"
            raise MissingPackageError(
                f"'{dataset.name.strip('/')}' of '{dataset.file.filename}' is compressed with the "
                f"HDF5 filter {code} ({kind}), which is not installed here; most of them come with "
                'pip install "nwb-ophys[compression]".'
            )


@functools.cache
def _io_class() -> type:
    # Importing pynwb takes most of a second.
    from pynwb import NWBHDF5IO

    return type("HookedNWBHDF5IO", (CheckedReading, BuilderHook, NWBHDF5IO), {})


def _manager_for(path: Path) -> Any:
    with read_hdf5(path) as file:
        return manager_for(versions_in_hdf5(file))


class Hdf5Backend(Backend):
    """NWB in one HDF5 file, written with pynwb."""

    default_compression = "gzip"
    copies_datasets = True

    def open(
        self,
        path: Path,
        mode: str,
        manager: Any = None,
        *,
        follows_links: bool = True,
        guard: Any = None,
    ) -> Any:
        """Return a ``pynwb.NWBHDF5IO`` with a builder hook."""
        if mode == "r":
            check_whole(path)
        if mode != "w":
            _load_plugins()
            # Files that this process has just written are read again without a trial.
            if mode != "r" or ".partial" not in path.name:
                try_hdf5(path)
                # A file that is added to keeps its links, and nothing is read through them.
                check_named_files(path, follows_links=follows_links, in_full=mode == "r")
        if mode == "r" and not isinstance(path, RemotePath):
            manager = manager or _manager_for(path)
            try:
                return _io_class()(str(path), mode=mode, manager=manager)
            except OSError as error:
                if not is_without_locks(error):
                    raise
        opened = read_hdf5(path) if mode == "r" else open_for_writing(path, mode, guard)
        with closed_on_error(opened) as file:
            if mode != "w":
                manager = manager or manager_for(versions_in_hdf5(file))
            return _io_class()(str(path), file=file, mode=mode, manager=manager)

    def write_nwbfile(self, io: Any, nwbfile: Any) -> None:
        """Write an ``NWBFile``, and the schemas of its types that the file does not have."""
        io.write(nwbfile, cache_spec=False)
        store_in_hdf5(root_of(io), io.manager.namespace_catalog)

    def recognises(self, path: Path) -> bool:
        """Return whether the path is a file with the signature of HDF5."""
        return path.is_file() and is_hdf5(path)

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type of the root group."""
        try_hdf5(path)
        with read_hdf5(path) as file:
            return _type_of(file)

    def type_in_object(self, opened: Any) -> str | None:
        """Return the neurodata type of the root group of a file in an object store."""
        with h5py.File(CalmReader(opened), "r") as file:
            return _type_of(file)

    def was_nwb(self, path: Path) -> bool:
        """Return whether the first bytes, where HDF5 stores the root's attributes, state NWB."""
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return b"nwb_version" in head and b"NWBFile" in head

    def may_be_incomplete(self, path: Path) -> bool:
        """Return whether a file begins like HDF5, or with zeros, which HDF5 replaces later."""
        if path.is_symlink() or not path.is_file():
            return False
        with path.open("rb") as file:
            start = file.read(len(_SIGNATURE))
        return start == _SIGNATURE or not start.strip(b"\0")

    def single_file(self, root: Any) -> Path | None:
        """Return the file, which holds all chunks."""
        return Path(root.filename)

    def contents(self, group: Any) -> dict[str, Any]:
        """Return the items of an open group by name: the group's own groups, None for others."""
        groups = {name: each for name, each in own_members(group) if isinstance(each, h5py.Group)}
        names = [encoded(name).decode("utf-8", "surrogateescape") for name in group]
        return {name: groups.get(name) for name in names}

    def own_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in an ``H5DataIO``."""
        if not isinstance(given, H5DataIO):
            return None
        settings = settings_of(given)
        shuffle = settings.get("shuffle")
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=_stated_compression(settings),
            shuffle=None if shuffle is None else bool(shuffle),
            maxshape=None if settings.get("maxshape") is None else tuple(settings["maxshape"]),
        )

    def portable_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in an ``H5DataIO`` that other backends have, too."""
        if not isinstance(given, H5DataIO):
            return None
        settings = settings_of(given)
        compression = _stated_compression(settings)
        keys = ("compression", "compression_opts", "fletcher32")
        asked = {key: settings[key] for key in keys if settings.get(key) is not None}
        foreign = ", ".join(f"{key}={value!r}" for key, value in asked.items())
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=None if compression == KEEP_FILTERS else compression,
            shuffle=settings.get("shuffle"),
            fill_value=settings.get("fillvalue"),
            foreign=foreign if compression == KEEP_FILTERS else None,
        )

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a placeholder in an ``H5DataIO``."""
        chunks = configuration.chunk_shape
        declared = Placeholder(configuration.shape, configuration.dtype, chunks)  # type: ignore[arg-type]
        wrapper = H5DataIO(data=declared, chunks=chunks)
        settings = settings_of(wrapper)
        was_given = dict(settings_of(given)) if isinstance(given, H5DataIO) else {}
        if isinstance(given, h5py.Dataset):
            was_given = {"maxshape": given.maxshape, "fillvalue": given.fillvalue}
        elif getattr(given, "fill_value", None) is not None:  # a dataset of another backend
            was_given = {"fillvalue": given.fill_value}
        elif not hasattr(unwrapped(given), "maxshape"):
            # hdmf makes the columns of tables extensible, unless they come from an iterator.
            settings.pop("maxshape")
        kept = (
            "maxshape",
            "fillvalue",
            *(_FILTER_SETTINGS if _keeps_filters(configuration) else ()),
        )
        settings.update({key: was_given[key] for key in kept if key in was_given})
        if not _keeps_filters(configuration):
            compression = parse_compression(configuration.compression or "none")
            itemsize = configuration.dtype.itemsize  # type: ignore[union-attr]
            settings.update(_filters(compression, itemsize, bool(configuration.shuffle)))
        return wrapper

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in an ``H5DataIO`` with the given settings; compress numbers."""
        if data is unwrapped(given):  # data may also be a link, or an empty dataset
            return given
        wrapper = rewrapped(given, data) if isinstance(given, H5DataIO) else H5DataIO(data=data)
        settings = settings_of(wrapper)
        preset = compression or (
            None
            if "compression" in settings or settings.get("fletcher32")
            else self.default_compression
        )
        kind = getattr(data, "dtype", None)
        if preset is not None and kind is not None and np.dtype(kind).kind in "iuf":
            filters = _filters(parse_compression(preset), np.dtype(kind).itemsize, True)
            for key in _FILTER_SETTINGS:
                settings.pop(key, None)
            settings.update(filters)
        return wrapper

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Hdf5Sink:
        """Open a declared dataset of an open file."""
        return Hdf5Sink(root, configuration, tools)

    def commit_steps(self, root: Any, undo: Path, locations: list[str]) -> Hdf5Commits:
        """Return the steps that make an interrupted write of an open file resumable."""
        return Hdf5Commits(root, undo, locations)

    def reopen(self, path: Path, undo: Path) -> AbstractContextManager[Any]:
        """Open an incomplete file, in the state of its last commit."""
        _load_plugins()
        restore(path, undo)
        try_hdf5(path)
        return open_for_writing(path, "r+")

    def holds(self, data: Any) -> bool:
        """Return whether data are an ``h5py.Dataset``."""
        return isinstance(data, h5py.Dataset)

    def file_of(self, data: Any) -> str | Path | None:
        """Return the file of an open dataset."""
        return str(data.file.filename)

    def encoded_size(self, configuration: DatasetConfiguration, values: NDArray[Any]) -> int:
        """Return the number of bytes of values that are encoded as one chunk."""
        compression = parse_compression(configuration.compression or "none")
        is_shuffled = bool(configuration.shuffle)
        shuffle = is_shuffled and not compression.shuffles_itself
        planes = chunk_bytes(values, values.shape, values.dtype, shuffle=shuffle)
        return memoryview(encoder(compression, values.dtype.itemsize, is_shuffled)(planes)).nbytes

    def stored_size(self, dataset: Any) -> int:
        """Return the number of bytes of all stored chunks."""
        return int(dataset.id.get_storage_size())

    def filters_in_words(self, dataset: Any) -> str:
        """Return the names of the filters of an open dataset, with the level of gzip."""
        return filters_in_words(dataset)

    def check_complete(self, data: Any, *, is_sparse: bool = False) -> None:
        """Check that all chunks, and the sources of a virtual dataset, are there."""
        check_complete(data, is_sparse=is_sparse)
        if is_sparse and data.chunks is not None:  # no format has checked the dataset before
            check_shape_claim(data)
            check_chunk_claims(data)
            if num_bytes(data.shape, data.dtype) < SMALL_BYTES:  # copied as it is stored
                check_chunks(data)

    def stored_source(self, dataset: Any) -> Hdf5Source:
        """Return an open dataset as a source."""
        return Hdf5Source(dataset)

    def stored_datasets(self, io: Any) -> Iterator[tuple[str, DatasetBuilder]]:
        """Yield each dataset of an open file once, with its path."""
        return hdf5_datasets(root_of(io))

    def create(self, path: Path) -> h5py.File:
        """Return a new file without contents."""
        return open_for_writing(path, "w")

    def copy_except(self, source: Any, target: Any, declared: Mapping[str, Any]) -> None:
        """Copy an open file to an empty one, as it is stored; see :class:`Hdf5Copy`."""
        Hdf5Copy(source, target, declared).run()

    def versions(self) -> dict[str, str]:
        """Return the versions of HDF5 and h5py."""
        return {"hdf5": h5py.version.hdf5_version, **package_versions(["h5py"])}

    def open_root(self, path: Path) -> h5py.File:
        """Open a file for reading, without its schemas."""
        check_whole(path)
        _load_plugins()
        try_hdf5(path)
        check_named_files(path, follows_links=False)
        return read_hdf5(path)

    def objects(self, root: Any) -> Iterator[StoredObject]:
        """Yield each group and dataset of an open file once; links are not followed."""
        return hdf5_objects(root)

    def read_text(self, root: Any, location: str) -> str:
        """Return the text in a dataset of an open file."""
        return str(checked(root[location]).asstr()[()])

    def write_text(self, root: Any, location: str, text: str) -> None:
        """Replace the text in a dataset of an open file."""
        root[location][()] = text

    def create_text(
        self, root: Any, location: str, text: str, attributes: Mapping[str, Any]
    ) -> None:
        """Add a text to an open file."""
        dataset = root.create_dataset(location, data=text, dtype=h5py.string_dtype())
        dataset.attrs.update(attributes)

    def draft(self, path: Path) -> Hdf5Draft:
        """Return a draft of an existing file, to which HDF5 writes in memory."""
        check_whole(path)
        _load_plugins()
        try_hdf5(path)
        check_named_files(path)
        return Hdf5Draft(path, _io_class())

    def check_only_name(self, root: Any, location: str) -> None:
        """Check that a dataset of an open file is not a link and has no other name."""
        check_only_name(root, location)

    def without_writers(self, path: Path) -> AbstractContextManager[None]:
        """Keep other programs from writing the file within a block."""
        return writers_locked_out(path)

    def copy(self, source: Path, target: Path) -> None:
        """Copy the file."""
        copy_file(source, target)


def _stated_compression(settings: dict[str, Any]) -> str | None:
    """Return the preset of the settings of an ``H5DataIO``; None if none, or gzip without level."""
    name, level = settings.get("compression"), settings.get("compression_opts")
    if settings.get("fletcher32"):
        return KEEP_FILTERS
    if name is None:
        # Most wrappers state only chunks or maxshape; those of this package state None.
        return "none" if "compression" in settings else None
    if name == "gzip":
        return None if level is None else f"gzip:{level}" if 1 <= level <= 9 else KEEP_FILTERS
    return KEEP_FILTERS


def _keeps_filters(configuration: DatasetConfiguration) -> bool:
    return configuration.compression == KEEP_FILTERS


def _filters(compression: Compression, itemsize: int, shuffle: bool) -> dict[str, Any]:
    """Return the arguments of ``h5py.Group.create_dataset`` for the filters of a preset.

    Raises
    ------
    MissingPackageError
        If a preset needs ``hdf5plugin`` and it is not installed.
    """
    if compression.name == "gzip":
        level = compression.level or _STORED_LEVEL
        return {"compression": "gzip", "compression_opts": level, "shuffle": shuffle}
    if compression.name == "none":
        return {"shuffle": False, "fletcher32": True}
    plugin = required_package("hdf5plugin", compression.name)
    required_package("numcodecs", compression.name)
    if compression.name == "zstd":
        settings = plugin.Zstd(clevel=ZSTD_LEVEL)
    elif compression.name == "lz4":
        settings = plugin.LZ4(nbytes=LZ4_BLOCK)
    else:
        settings = plugin.Blosc(cname="zstd", clevel=BLOSC_LEVEL, shuffle=int(shuffle))
    shuffles = shuffle and not compression.shuffles_itself
    return {**settings, "shuffle": shuffles, "fletcher32": True}


def _type_of(root: h5py.Group) -> str | None:
    kind = root.attrs.get("neurodata_type")
    return kind.decode() if isinstance(kind, bytes) else kind


class Hdf5Sink(ChunkSink):
    """An open dataset of an HDF5 file that takes chunks.

    h5py lets one thread at a time into the HDF5 library. Chunks are encoded outside of it, so that
    threads wait only while they store.
    """

    def __init__(
        self, root: h5py.File, configuration: DatasetConfiguration, tools: SinkTools
    ) -> None:
        dataset = root[configuration.location]
        super().__init__(dataset, dataset.fillvalue, tools)
        self._root, self._dataset = root, dataset
        self._encode = None
        if not _keeps_filters(configuration):
            compression = parse_compression(configuration.compression or "none")
            self._encode = encoder(compression, self.dtype.itemsize, bool(configuration.shuffle))
        self.shuffles = self._encode is not None and bool(dataset.shuffle)
        self._has_checksum = bool(dataset.fletcher32)
        self._ordered = OrderedCommits(self._commit, dataset.shape, dataset.chunks)

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk."""
        if self._encode is None:
            cell = cell_at(corner, values.shape, self._dataset.shape)
            self._dataset[cell] = values[inside(cell)]
            check_disk(self._root)
            if self.digests is not None:
                self.digests.note(corner, self.digests.grid.digest_of(values[inside(cell)]))
            self._note_stored(corner, None)
            return
        super().put(corner, values)

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are shuffled already."""
        assert self._encode is not None
        encoded = self._encode(planes)
        if self._has_checksum:
            encoded = b"".join((encoded, fletcher32(encoded)))
        if math.prod(self._chunks) * self.dtype.itemsize > LARGEST_CHUNK:
            self._commit(corner, encoded)
            return
        if self.progress is not None:
            self.progress.hold(corner)
        self._ordered.has_gaps, self._ordered.gathers = self._has_gaps, self.is_beside_others
        self._ordered.add(corner, encoded if isinstance(encoded, bytes) else bytes(encoded))

    @property
    def _has_gaps(self) -> bool:
        """Return whether this write does not store all chunks."""
        is_resumed = self.progress is not None and self.progress.has_committed
        return is_resumed or (self.skips_zeros and self.zero_is_implied)

    def _commit(self, corner: Shape, encoded: Any) -> None:
        write_chunk(self._dataset, corner, encoded)
        check_disk(self._root)
        self._note_stored(corner, encoded)

    def finish(self) -> None:
        """Commit the chunks that wait for others."""
        self._ordered.finish()

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the bytes of a chunk, read without HDF5; the file does not change meanwhile."""
        return self._stored.read(corner)

    @functools.cached_property
    def _stored(self) -> StoredChunks:
        return StoredChunks(self._dataset)

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return stored values, decoded by the filters of HDF5."""
        return self._dataset[selection]


class Hdf5Source(StoredSource):
    """A dataset of an HDF5 file as a source, whose chunks are decoded in several threads."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        _check_filters(dataset)
        # Whole chunks are asked for, once each.
        values = checked(dataset, kept_bytes=0)
        in_parallel = getattr(values, "reads_in_parallel", False)
        super().__init__(values, dataset.file.filename, in_parallel=in_parallel)
        self._corners = _stored_corners(dataset)
        self.is_sparse = self._corners is not None
        self.skips_zeros = lacks_chunks(dataset)

    def nonzero_chunks(
        self, start: int, stop: int, chunk_shape: Shape, as_byte_planes: bool
    ) -> Iterator[tuple[Shape, NDArray[Any]]]:
        """Yield the corner and the values of each chunk that overlaps a stored chunk."""
        for corner in self._touched(start, stop, chunk_shape):
            cell = cell_at(corner, chunk_shape, self.shape)
            values = np.zeros(chunk_shape, self.dtype)
            values[inside(cell)] = self.read(cell)
            if as_byte_planes:
                values = chunk_bytes(values, chunk_shape, self.dtype, shuffle=True)
            yield corner, values

    def _touched(self, start: int, stop: int, chunk_shape: Shape) -> list[Shape]:
        """Return the corners of the target chunks that overlap a stored chunk, in order."""
        assert self._corners is not None
        assert self.chunk_shape is not None
        length, found = self.chunk_shape[0], set()
        near = (self._corners[:, 0] < stop) & (self._corners[:, 0] + length > start)
        for corner in self._corners[near].tolist():
            bounds = tuple(
                slice(first // size * size, min(first + step, total))
                for first, size, step, total in zip(
                    corner, chunk_shape, self.chunk_shape, self.shape, strict=True
                )
            )
            cells = grid(bounds, chunk_shape)
            found |= {tuple(step.start for step in cell) for cell in cells}
        return sorted(corner for corner in found if start <= corner[0] < stop)


def _stored_corners(dataset: h5py.Dataset) -> NDArray[np.int64] | None:
    """Return the corners of the stored chunks if most chunks are zeros and not stored, or None."""
    if dataset.chunks is None or np.any(dataset.fillvalue != np.zeros((), dataset.dtype)):
        return None
    sizes = zip(dataset.shape, dataset.chunks, strict=True)
    total = math.prod(-(-size // step) for size, step in sizes)
    if dataset.id.get_num_chunks() > total * _LARGEST_SPARSE_SHARE:
        return None
    corners: list[Shape] = []
    dataset.id.chunk_iter(lambda chunk: corners.append(chunk.chunk_offset))
    return np.array(corners, np.int64).reshape(-1, dataset.ndim)
