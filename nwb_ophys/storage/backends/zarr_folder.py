"""Parts that the backends of both Zarr formats share: folders, wrappers, references, checks."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.optional import require_package
from nwb_ophys.outside import Reach, within_reach
from nwb_ophys.remote.paths import RemotePath, as_path
from nwb_ophys.remote.trees import begin_tree
from nwb_ophys.storage.backends.base import (
    Backend,
    StoredSource,
    WrapperSettings,
    package_versions,
    stated_chunk_shape,
)
from nwb_ophys.storage.backends.zarr_claims import check_chunks_of
from nwb_ophys.storage.backends.zarr_codecs import encoded_size
from nwb_ophys.storage.backends.zarr_drafts import ZarrDraft
from nwb_ophys.storage.backends.zarr_guarded import reading_store
from nwb_ophys.storage.backends.zarr_installed import require_format
from nwb_ophys.storage.backends.zarr_objects import zarr_objects
from nwb_ophys.storage.backends.zarr_parts import (
    absent_chunks,
    check_complete,
    check_reference,
    check_store,
)
from nwb_ophys.storage.backends.zarr_places import store_folder
from nwb_ophys.storage.compression import KEEP_FILTERS, Compression, parse_compression
from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.copying import copy_folder
from nwb_ophys.storage.grid import Selection
from nwb_ophys.storage.hdmf.internals import settings_of
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, rewrapped
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.sources import unwrapped
from nwb_ophys.storage.stored_objects import StoredObject

if TYPE_CHECKING:
    from hdmf.data_utils import DataIO

# Metadata, and chunks of formats 2 and 3; a killed writer leaves partial ones, and Zarr 3 puts
# "partial" in the place of a suffix.
_PART_OF_STORE = re.compile(
    r"(\.z(attrs|group|array|metadata)|zarr(\.json)?|(c[./])?\d+(\.\d+)*|c)"
    r"\.[0-9a-f]{32}\.partial|"
    r"\.z(attrs|group|array|metadata)|zarr\.json|(c[./])?\d+(\.\d+)*|c"
)
_HEADERS = (".zarray", "zarr.")


class CheckedReferences:
    """Mixin for the IO class of hdmf-zarr that checks where a reference leads before it follows.

    Attributes
    ----------
    reach : Reach or None
    remote : RemotePath or None
        The store, if it is in an object store.
    """

    reach: Reach | None = None
    remote: RemotePath | None = None

    @property
    def source(self) -> str:
        """Path or URL of the store; hdmf makes a path of most URLs."""
        return str(super().source if self.remote is None else self.remote)  # type: ignore[misc]

    def resolve_ref(self, zarr_ref: Any) -> Any:
        """Return the name and the object that a reference names."""
        reference = _as_mapping(zarr_ref)
        if reference is not None:
            with within_reach(self.reach):
                check_reference(as_path(self.source), reference)
        return super().resolve_ref(zarr_ref)  # type: ignore[misc]


def _as_mapping(reference: Any) -> Any:
    """Return a reference as a mapping; None for one that is a path in the same store."""
    if isinstance(reference, np.ndarray):
        reference = reference[()]
    if not isinstance(reference, str):
        return reference
    try:
        found = json.loads(reference)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class IteratedByBlocks:
    """Mixin for the IO classes of Zarr 3 whose arrays are iterated block by block.

    hdmf iterates over tables of records, and Zarr 3 needs milliseconds to read a single one.
    """

    def read_builder(self) -> Any:
        """Return the builders of everything in the store."""
        root = super().read_builder()  # type: ignore[misc]
        kind = require_package("hdmf_zarr.utils", "zarr").HDMFZarrArray
        for _, builder in dataset_builders(root):
            if type(builder.data) is kind and builder.data.ndim:
                builder.data.__class__ = _array_class()
        return root


def _by_blocks(array: Any) -> Iterator[Any]:
    """Yield the entries of an array along its first axis."""
    length, step = array.shape[0], max(array.chunks[0], 1)
    for start in range(0, length, step):
        yield from array[start : start + step]


@functools.cache
def _array_class() -> type:
    kind = require_package("hdmf_zarr.utils", "zarr").HDMFZarrArray
    # hdmf-zarr itself gives its class to open arrays, which a further base would not allow.
    return type("ArrayByBlocks", (kind,), {"__iter__": _by_blocks})


def hdmf_zarr(number: int) -> Any:
    """Return the package ``hdmf_zarr``, of a version that writes a format.

    Raises
    ------
    MissingPackageError
        If it is not installed, or writes another format; names the ``pip install`` that helps.
    """
    require_format(number)
    return require_package("hdmf_zarr", "zarr")


def is_own_wrapper(given: Any) -> bool:
    """Return whether data are in a ``ZarrDataIO``."""
    package = sys.modules.get("hdmf_zarr")  # without it nobody has made such a wrapper
    return package is not None and isinstance(given, package.ZarrDataIO)


class ZarrFolder(Backend):
    """NWB in a Zarr folder, of either format."""

    default_compression = "blosc"
    headings = (".zattrs", ".zgroup", ".zmetadata", "zarr.json")
    headers = (*headings, ".zarray")
    waits_for_disk = True
    is_shareable = True  # each chunk or shard is a file, which appears whole
    filter_settings: tuple[str, ...]
    """Names of the settings in a ``ZarrDataIO`` that are codecs."""
    links_attribute: str
    """Name of the attribute in which hdmf-zarr keeps the links of a group."""

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

    def require(self) -> None:
        """Check that a version of hdmf-zarr is installed that writes the format."""
        self._package()

    def _package(self) -> Any:
        assert self.zarr_format is not None
        return hdmf_zarr(self.zarr_format)

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Return False for records: hdmf-zarr takes their fields from the values."""
        return dtype.names is None

    @abstractmethod
    def codec_settings(
        self, compression: Compression, itemsize: int, shuffle: bool
    ) -> dict[str, Any]:
        """Return the settings of a ``ZarrDataIO`` for a preset."""

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in a ``ZarrDataIO`` with the given settings, or with the given chunks."""
        wrapper = self._wrapped(given, data)
        kind = getattr(data, "dtype", None)
        if compression is None or kind is None or np.dtype(kind).kind not in "iuf":
            return wrapper
        wrapper = wrapper if is_own_wrapper(wrapper) else self._package().ZarrDataIO(data=data)
        preset = parse_compression(compression)
        codecs = self.codec_settings(preset, np.dtype(kind).itemsize, shuffle=True)
        settings_of(wrapper).update(codecs)
        return wrapper

    def _wrapped(self, given: Any, data: Any) -> Any:
        if is_own_wrapper(given):
            return given if data is unwrapped(given) else rewrapped(given, data)
        chunks = self.wrapper_settings(given).chunk_shape
        return data if chunks is None else self._package().ZarrDataIO(data=data, chunks=chunks)

    def single_file(self, root: Any) -> Path | None:
        """Return None: each chunk is a file."""
        return None

    def contents(self, group: Any) -> dict[str, Any]:
        """Return the items of an open group by name: the group's own groups, None for others."""
        links = [link["name"] for link in group.attrs.get(self.links_attribute, [])]
        return dict.fromkeys([*links, *group.array_keys()]) | dict(group.groups())

    def own_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a ``ZarrDataIO``."""
        if not is_own_wrapper(given):
            return None
        settings = settings_of(given)
        return WrapperSettings(
            chunk_shape=stated_chunk_shape(settings),
            compression=KEEP_FILTERS if settings.keys() & set(self.filter_settings) else None,
        )

    @contextmanager
    def reopen(self, path: Path, undo: Path) -> Iterator[Any]:
        """Open an incomplete store, without the chunks that were being written."""
        self.remove_torn(path)
        yield self.open_shared(path)

    def remove_torn(self, path: Path) -> None:
        """Remove the files of chunks and shards that were being written."""
        for torn in path.rglob("*.partial"):
            torn.unlink()

    def open_shared(self, path: Path) -> Any:
        """Return the root group of an incomplete store, whose chunks other processes write, too."""
        return self.reopened_root(path)

    def dataset_in(self, folder: Path, location: str) -> Any:
        """Open an array of a folder that may have no root yet, for reading."""
        if isinstance(folder, RemotePath):
            begin_tree(folder / location)
        zarr = require_package("zarr", "zarr")
        return zarr.open_array(reading_store(folder), path=location, mode="r")

    def reopened_root(self, path: Path) -> Any:
        """Return the root group of a store, open for changes."""
        return require_package("zarr", "zarr").open_group(str(path), mode="r+")

    def encoded_size(self, configuration: DatasetConfiguration, values: NDArray[Any]) -> int:
        """Return the number of bytes of values that are encoded as one chunk."""
        return encoded_size(configuration, values)

    def check_complete(self, data: Any, *, is_sparse: bool = False) -> None:
        """Check that all chunks are stored."""
        if not is_sparse:
            check_complete(data)

    def holds(self, data: Any) -> bool:
        """Return whether data are an array of Zarr in the format."""
        zarr = sys.modules.get("zarr")  # without it nobody has opened such an array
        if zarr is None or not isinstance(data, zarr.Array):
            return False
        # Zarr 2 has arrays of format 2 only.
        return getattr(getattr(data, "metadata", None), "zarr_format", 2) == self.zarr_format

    def file_of(self, data: Any) -> str | Path | None:
        """Return the folder of the store of an open array."""
        return store_folder(data)

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
        self.require_reading(path)
        check_whole(path)
        check_store(path, chunks=False)
        return nullcontext(self.opened_root(path))

    def opened_root(self, path: Path) -> Any:
        """Return the root group of a store, open for reading."""
        return require_package("zarr", "zarr").open_group(reading_store(path), mode="r")

    def require_reading(self, path: Path) -> None:
        """Check that packages are installed that read a store of this format.

        Raises
        ------
        MissingPackageError
            If they are not; names the ``pip install`` that helps.
        """
        assert self.zarr_format is not None
        require_format(self.zarr_format, path)

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

    def write_attribute(self, item: Any, name: str, value: Any) -> None:
        """Set an attribute of an open group or array to a text or a number, which JSON has."""
        item.attrs[name] = value.item() if isinstance(value, np.generic) else value

    def draft(self, path: Path) -> ZarrDraft:
        """Return a draft of an existing store: a copy without the chunks of large arrays."""
        check_whole(path)
        check_store(path, chunks=False)
        return ZarrDraft(path, self)

    @abstractmethod
    def consolidate(self, folder: Path) -> None:
        """Renew the copies of all metadata in the root of a store that has them."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy the folder."""
        copy_folder(source, target)


class ZarrSource(StoredSource):
    """An array of a Zarr store as a source."""

    def __init__(self, array: Any) -> None:
        super().__init__(array, str(store_folder(array) or "a Zarr store"), in_parallel=True)
        self.skips_zeros = bool(absent_chunks(array))


class CheckedZarrSource(ZarrSource):
    """An array of a Zarr store whose chunks are checked before they are decoded."""

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return values; a chunk that contradicts itself raises a ValueError with its name."""
        check_chunks_of(self._values, selection)
        return super().read(selection)
