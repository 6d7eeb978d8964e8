"""Base classes of a backend: the backend itself, its sources and its sinks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import numpy as np
from hdmf.data_utils import DataIO
from numpy.typing import NDArray

from nwb_ophys.storage.backends.registry import BackendRow, all_backends
from nwb_ophys.storage.checkpoints import CommitSteps, NoSteps
from nwb_ophys.storage.encoding import Scratch, chunk_bytes, is_all_zero
from nwb_ophys.storage.grid import Selection, Shape, tile_shape
from nwb_ophys.storage.hashes import BlockDigests, digest
from nwb_ophys.storage.hdmf.placeholders import dataset_builders
from nwb_ophys.storage.journal import ChunkProgress
from nwb_ophys.storage.sources import ArraySource, Source
from nwb_ophys.storage.stored_objects import StoredObject
from nwb_ophys.storage.streaming import FinishedFiles

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder

    from nwb_ophys.storage.configuration import DatasetConfiguration


@attrs.frozen(kw_only=True)
class WrapperSettings:
    """Settings of storage that the wrapper of data states; None where it states nothing."""

    chunk_shape: Shape | None = None
    compression: str | None = None
    shuffle: bool | None = None
    maxshape: tuple[int | None, ...] | None = None
    fill_value: Any = None
    foreign: str | None = None
    """Description of filters that only another backend has."""


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package.replace("-", "_")] = metadata.version(package)
    return found


def stated_chunk_shape(settings: Mapping[str, Any]) -> Shape | None:
    """Return the shape of chunks that the settings of a wrapper state, or None."""
    chunks = settings.get("chunks")  # True leaves the choice to the package of the backend
    return tuple(chunks) if isinstance(chunks, (tuple, list)) else None


class Sink(Protocol):
    """An open dataset that takes chunks.

    Attributes
    ----------
    dtype : numpy.dtype
        Dtype of the stored values.
    zero_is_implied : bool
        Whether a reader gets zeros for a chunk that is not stored.
    skips_zeros : bool
        Whether chunks of zeros are not stored, which the source must have as well.
    is_beside_others : bool
        Whether one thread stores small chunks while others store those of other datasets.
    shuffles : bool
        Whether the bytes of values are shuffled before they are encoded.
    digests : BlockDigests or None
        Takes the hashes of the stored chunks; a chunk of zeros need not be noted.
    progress : ChunkProgress or None
        Takes the stored bytes of the chunks, and knows those that an earlier run committed.
    """

    dtype: np.dtype[Any]
    zero_is_implied: bool
    skips_zeros: bool
    is_beside_others: bool
    shuffles: bool
    digests: BlockDigests | None
    progress: ChunkProgress | None

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk; several threads may call this at once."""

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are shuffled already, (itemsize, values)."""

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return stored values, as a reader gets them."""

    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the stored bytes of a chunk, or None if it is not stored."""

    def finish(self) -> None:
        """Complete what was stored; called once, when no thread stores chunks any more."""

    def stored_length(self, corner: Shape) -> int | None:
        """Return the number of stored bytes of a chunk, or None if it is not stored."""


@attrs.frozen(kw_only=True)
class SinkTools:
    """Tools that the datasets of a file share while the engine fills them.

    Attributes
    ----------
    scratch : Scratch
        Memory in which each thread prepares its chunks.
    finished : FinishedFiles
        Takes the complete files of a folder.
    """

    scratch: Scratch
    finished: FinishedFiles


class Draft(Protocol):
    """A file with changes that are not on the disk yet; the caller holds its lock."""

    def open(self, mode: str, manager: Any = None) -> Any:
        """Return a pynwb IO object of the file with the changes; ``mode`` is ``r`` or ``r+``.

        Its types come from a build manager, or from the file and pynwb if there is none.
        """

    def commit(self, guard: Any) -> None:
        """Write the changes to the disk, each after a call of the guard of the file.

        Raises
        ------
        OSError
            If the disk refuses a part.
        """

    def close(self) -> None:
        """Forget what is not written."""


class Backend(ABC):
    """A file type in which NWB is stored: its files, wrappers, sources, sinks and copies.

    Parameters
    ----------
    row : BackendRow
    """

    default_compression: str
    ignored_warnings: tuple[str, ...] = ()
    """Beginnings of the warnings that a copy into this backend raises without need."""
    is_shareable = False
    """Whether several processes may fill one incomplete file, each with :meth:`open_shared`."""
    waits_for_disk = False
    """Whether the thread that stores a chunk waits until the disk has it."""
    headings: tuple[str, ...] = ()
    """Names of the files in a folder of this backend by which readers recognise it."""
    headers: tuple[str, ...] = ()
    """Names of the files in a folder of this backend and its subfolders that are not chunks."""
    copies_datasets = False
    """Whether :meth:`copy_except` copies single datasets and types as they are stored."""

    def __init__(self, row: BackendRow) -> None:
        self.name, self.suffix, self.file_kind = row.name, row.suffix, row.file_kind
        self.zarr_format = row.zarr_format

    # --- packages and files ---------------------------------------------------------------------

    def require(self) -> None:
        """Check that packages are installed that write files of the backend.

        Raises
        ------
        MissingPackageError
            If one is missing; names the ``pip install`` that brings it.
        """
        return None

    @abstractmethod
    def open(
        self,
        path: Path,
        mode: str,
        manager: Any = None,
        *,
        follows_links: bool = True,
        guard: Any = None,
    ) -> Any:
        """Return a pynwb IO object with a builder hook; ``mode`` is ``w``, ``r`` or ``r+``.

        Its types come from a build manager, or from the file and pynwb if there is none. The other
        files that a file names are checked before it is read, those of links only if the caller
        follows them. A guard of the file is called before each change, with mode ``r+``.
        """

    def write_nwbfile(self, io: Any, nwbfile: Any) -> None:
        """Write an ``NWBFile`` and the schemas of its types with an object of :meth:`open`."""
        io.write(nwbfile)

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Return whether a file or folder is of this backend."""

    @abstractmethod
    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type that a file of this backend states."""

    def type_in_object(self, opened: Any) -> str | None:
        """Return the neurodata type that a file in an object store states.

        Parameters
        ----------
        opened : file-like
            Binary, and with ``seek``.

        Raises
        ------
        OSError
            If it is no file of this backend, as no file is of a backend of folders.
        """
        raise OSError(f"{opened} is not {self.file_kind}")

    def was_nwb(self, path: Path) -> bool:
        """Return whether a file that cannot be opened is the rest of an NWB file."""
        return False

    @abstractmethod
    def may_be_incomplete(self, path: Path) -> bool:
        """Return whether a file or folder can be what a killed write of this backend left."""

    def strangers(self, path: Path) -> Iterator[Path]:
        """Yield the files and folders in a store that are no part of it; none in a single file."""
        return iter(())

    @abstractmethod
    def single_file(self, root: Any) -> Path | None:
        """Return the one file that holds all chunks, or None if each chunk is a file."""

    @abstractmethod
    def contents(self, group: Any) -> dict[str, Any]:
        """Return the items of an open group by name: the group's own groups, None for others."""

    # --- wrappers -------------------------------------------------------------------------------

    @abstractmethod
    def own_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a wrapper of this backend, or None for another wrapper."""

    @abstractmethod
    def portable_settings(self, given: DataIO) -> WrapperSettings | None:
        """Return the settings in a wrapper of this backend that other backends have, too."""

    def wrapper_settings(self, given: Any) -> WrapperSettings:
        """Return the settings in the wrapper of data, of this backend or another one."""
        if not isinstance(given, DataIO):
            return WrapperSettings()
        own = self.own_settings(given)
        if own is not None:
            return own
        others = (other for other in all_backends() if other.name != self.name)
        found = (other.portable_settings(given) for other in others)
        return next((settings for settings in found if settings is not None), WrapperSettings())

    @abstractmethod
    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data in a wrapper, for hdmf to write.

        Parameters
        ----------
        given : object
            The data as the user gave them, perhaps in a wrapper whose settings are kept.
        data : object
            The data to be written.
        compression : str, optional
            A preset for numbers, instead of the compression that the wrapper states.
        """

    # --- writing --------------------------------------------------------------------------------

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Return whether the engine can fill datasets of a dtype after hdmf declared them."""
        return True

    def stored_dtype(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """Return the dtype as which a backend stores values of a dtype, byte order included."""
        return dtype

    def check(self, location: str, builder: DatasetBuilder) -> None:
        """Check that readers will understand a dataset.

        Raises
        ------
        OutputError
            If no reader could decode it.
        """
        return None

    @abstractmethod
    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return a wrapped placeholder, of which hdmf makes an empty dataset."""

    @abstractmethod
    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Sink:
        """Open a declared dataset."""

    def settle(self) -> None:
        """Wait until no thread of the backend's package writes any more, after an interrupt."""
        return None

    def commit_steps(self, root: Any, undo: Path, locations: list[str]) -> CommitSteps:
        """Return the steps that make an interrupted write of an open file resumable.

        Parameters
        ----------
        root : object
            Open root group.
        undo : pathlib.Path
            Name of a file for the steps.
        locations : list of str
            The datasets that are filled.
        """
        return NoSteps()

    @abstractmethod
    def reopen(self, path: Path, undo: Path) -> AbstractContextManager[Any]:
        """Open the root group of an incomplete file, in the state of its last commit.

        Parameters
        ----------
        path, undo : pathlib.Path
            The incomplete file, and the file of its steps.
        """

    def open_shared(self, path: Path) -> Any:
        """Return the root group of an incomplete file that other processes fill, too."""
        raise NotImplementedError

    def shared_sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Sink:
        """Open a declared dataset of an open file, of which other processes fill other parts."""
        return self.sink(root, configuration, tools)

    def remove_torn(self, path: Path) -> None:
        """Remove the parts of an incomplete file that a killed process left half-written."""
        return None

    def dataset_in(self, folder: Path, location: str) -> Any:
        """Open a dataset of a folder that may have no root yet, for reading."""
        raise NotImplementedError

    def shared_unit(self, root: Any, configuration: DatasetConfiguration) -> Shape:
        """Return the shape of what only one process may write at a time, in an open file.

        Parameters
        ----------
        root : object
            Open root group.
        configuration : DatasetConfiguration
            Of a declared dataset.
        """
        assert configuration.chunk_shape is not None
        return configuration.chunk_shape

    # --- reading and copying --------------------------------------------------------------------

    @abstractmethod
    def holds(self, data: Any) -> bool:
        """Return whether data are an open dataset of this backend."""

    @abstractmethod
    def check_complete(self, data: Any, *, is_sparse: bool = False) -> None:
        """Check that all values of an open dataset of this backend were written.

        Parameters
        ----------
        data : object
        is_sparse : bool
            Whether chunks of zeros may be absent.

        Raises
        ------
        CorruptSourceError
            If a part is absent, in whose place readers get fill values; names the part.
        """

    @abstractmethod
    def encoded_size(self, configuration: DatasetConfiguration, values: NDArray[Any]) -> int:
        """Return the number of bytes of values that are encoded as one chunk."""

    @abstractmethod
    def stored_size(self, dataset: Any) -> int:
        """Return the number of bytes that an open dataset takes in its file."""

    @abstractmethod
    def filters_in_words(self, dataset: Any) -> str:
        """Return the filters of an open dataset in the order of writing; empty without any."""

    @abstractmethod
    def stored_source(self, dataset: Any) -> Source:
        """Return an open dataset of this backend as a source."""

    def links(self, data: Any) -> bool:
        """Return whether hdmf can link to an open dataset of this backend."""
        return True

    @abstractmethod
    def file_of(self, data: Any) -> str | Path | None:
        """Return the file or folder of an open dataset of this backend, if it has one."""

    def checked_source(self, dataset: Any) -> Source:
        """Return an open dataset as a source that checks stored chunks before it decodes them."""
        return self.stored_source(dataset)

    def stored_datasets(self, io: Any) -> Iterator[tuple[str, DatasetBuilder]]:
        """Yield each dataset of an open file, with its path."""
        return dataset_builders(io.read_builder())

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that write files of this backend."""

    @abstractmethod
    def open_root(self, path: Path) -> AbstractContextManager[Any]:
        """Open a file for reading, without its schemas, and give its root group."""

    @abstractmethod
    def objects(self, root: Any) -> Iterator[StoredObject]:
        """Yield each group and dataset of an open file once; links are not followed."""

    @abstractmethod
    def read_text(self, root: Any, location: str) -> str:
        """Return the text in a dataset of an open file."""

    @abstractmethod
    def write_text(self, root: Any, location: str, text: str) -> None:
        """Replace the text in a dataset of an open file."""

    def create_text(
        self, root: Any, location: str, text: str, attributes: Mapping[str, Any]
    ) -> None:
        """Add a text to an open file, for backends that copy single datasets."""
        raise NotImplementedError

    @abstractmethod
    def draft(self, path: Path) -> Draft:
        """Return a draft of an existing file, in which metadata can be changed.

        Raises
        ------
        OutputError
            If the file cannot be changed in its place, or another program has it open.
        """

    def write_attribute(self, item: Any, name: str, value: Any) -> None:
        """Set an attribute of an open group or dataset to a text or a number."""
        item.attrs[name] = value

    def check_only_name(self, root: Any, location: str) -> None:
        """Check that a dataset of an open file is not a link and has no other name.

        Raises
        ------
        OutputError
            If it has, so that its replacement would leave the other one as it was.
        """
        return None

    @abstractmethod
    def copy(self, source: Path, target: Path) -> None:
        """Copy a file."""

    def without_writers(self, path: Path) -> AbstractContextManager[None]:
        """Keep other programs from writing a file within a block, where its library has locks."""
        return nullcontext()

    def create(self, path: Path) -> Any:
        """Return a new file without contents, for :meth:`copy_except`."""
        raise NotImplementedError

    def copy_except(self, source: Any, target: Any, declared: Mapping[str, Any]) -> None:
        """Copy an open file to an empty one, as it is stored.

        Parameters
        ----------
        source, target : object
            The roots of the open files.
        declared : mapping of str to object
            Wrapped placeholders by location: datasets that are created without values.
        """
        raise NotImplementedError


class StoredSource(ArraySource):
    """A dataset of an existing file, whose values are written to another file.

    Parameters
    ----------
    dataset : object
        With ``name``, ``shape``, ``dtype``, ``chunks`` and slicing.
    file_name : str
        Name of the file, for messages.
    in_parallel : bool
        Whether several threads may read at once.
    """

    is_stored = True

    def __init__(self, dataset: Any, file_name: str, *, in_parallel: bool) -> None:
        label = f"'{dataset.name.strip('/')}' of '{file_name}'"
        super().__init__(dataset, label, in_parallel=in_parallel)

    def chunk_shape_of(self, chunk_mb: float) -> Shape | None:
        """Return tiles for entries that are stored as tiles, such as the masks of ROIs."""
        shape, chunks = self.shape, self.chunk_shape
        if chunks is None or len(shape) < 3 or shape[0] == 1 or chunks[0] > 1:
            return None
        if chunks[1:3] == shape[1:3]:
            return None
        tile = tile_shape(shape[1:3], self.dtype.itemsize, chunk_mb)
        return (1, *tile, *(1 for _ in shape[3:]))


class ChunkSink(ABC):
    """An open dataset that takes chunks; a backend encodes and stores their bytes.

    Parameters
    ----------
    dataset : object
        With ``dtype`` and ``chunks``.
    fill_value : scalar or None
        Value that a reader gets for a chunk that is not stored.
    tools : SinkTools
    """

    shuffles: bool
    digests: BlockDigests | None = None
    progress: ChunkProgress | None = None

    def __init__(self, dataset: Any, fill_value: Any, tools: SinkTools) -> None:
        self._tools = tools
        self.dtype: np.dtype[Any] = dataset.dtype
        self._chunks: Shape = dataset.chunks
        is_zero = fill_value is not None and not np.any(fill_value != np.zeros((), self.dtype))
        self.zero_is_implied = is_zero
        # Only of sparse sources: elsewhere an absent chunk is a chunk that was lost.
        self.skips_zeros = False
        self.is_beside_others = False
        self._padding = None if is_zero else fill_value

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk."""
        stored = chunk_bytes(
            values,
            self._chunks,
            self.dtype,
            shuffle=self.shuffles,
            scratch=self._tools.scratch,
            padding=self._padding,
        )
        if not (self.skips_zeros and self.zero_is_implied and is_all_zero(stored)):
            self._note(corner, values, stored)
            self.put_byte_planes(corner, stored)

    def _note(self, corner: Shape, values: NDArray[Any], stored: NDArray[np.uint8]) -> None:
        """Hash the bytes of a chunk while they are in the cache; else the values."""
        if self.digests is None:
            return
        grid = self.digests.grid
        is_padded = self._padding is not None and values.shape != self._chunks
        as_encoded = self.dtype == grid.dtype and not is_padded and not self.digests.from_values
        self.digests.note(corner, digest(stored) if as_encoded else grid.digest_of(values))

    @abstractmethod
    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in C order, and shuffled if ``shuffles``."""

    @abstractmethod
    def stored_bytes(self, corner: Shape) -> bytes | None:
        """Return the stored bytes of a chunk, or None if it is not stored."""

    def finish(self) -> None:
        """Complete what was stored; nothing is left to do where chunks need no index."""
        return None

    def stored_length(self, corner: Shape) -> int | None:
        """Return the number of stored bytes of a chunk, or None if it is not stored."""
        stored = self.stored_bytes(corner)
        return None if stored is None else len(stored)

    def _note_stored(self, corner: Shape, stored: Any) -> None:
        """Note a chunk that was stored, for the journal; its bytes are None if not known."""
        if self.progress is not None:
            self.progress.note(corner, stored)
