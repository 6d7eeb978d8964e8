"""What the storage room needs of a backend and of its datasets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from hdmf.build import DatasetBuilder
from numpy.typing import NDArray

from nwb_ophys.storage.configuration import DatasetConfiguration
from nwb_ophys.storage.encoding import Scratch, chunk_bytes, is_all_zero
from nwb_ophys.storage.flushing import Flusher
from nwb_ophys.storage.grid import Selection, Shape


@attrs.frozen(kw_only=True)
class WrapperSettings:
    """What the wrapper of data says of their storage; None where it says nothing."""

    chunk_shape: Shape | None = None
    compression: str | None = None
    shuffle: bool | None = None
    maxshape: tuple[int | None, ...] | None = None
    foreign: str | None = None
    """What it asks for that only the other backend has, in words."""


class Sink(Protocol):
    """An open dataset into which chunks go.

    Attributes
    ----------
    dtype : numpy.dtype
        As stored.
    zero_is_implied : bool
        Whether a chunk of zeros need not be stored, since a reader gets zeros for it.
    shuffles : bool
        Whether the bytes of values are shuffled before they are encoded.
    """

    dtype: np.dtype[Any]
    zero_is_implied: bool
    shuffles: bool

    def put(self, corner: Shape, values: NDArray[Any]) -> None:
        """Encode and store a chunk; may be called from several threads at once."""

    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are shuffled already, (itemsize, values)."""

    def read(self, selection: Selection) -> NDArray[Any]:
        """Return what is stored, as a reader gets it."""


@attrs.frozen(kw_only=True)
class SinkTools:
    """What the datasets of a file share while they are filled.

    Attributes
    ----------
    scratch : Scratch
        Memory in which each thread makes its chunks ready.
    flusher : Flusher
        Takes files that are whole.
    """

    scratch: Scratch
    flusher: Flusher


class Backend(Protocol):
    """How a backend opens a file, stores data, and looks on the disk."""

    name: str
    suffix: str
    default_compression: str

    def open(self, path: Path, mode: str, manager: Any = None) -> Any:
        """Return a pynwb IO object with a builder hook; ``mode`` is ``w``, ``r`` or ``r+``.

        Its types are those of a build manager, or of the file and pynwb when there is none.
        """

    def can_fill(self, dtype: np.dtype[Any]) -> bool:
        """Whether datasets of a dtype can be declared first and filled afterwards."""

    def wrapper_settings(self, given: Any) -> WrapperSettings:
        """Return what the wrapper of data says of their storage."""

    def check(self, location: str, builder: DatasetBuilder) -> None:
        """Raise an OutputError for a dataset that would be written so that none can read it."""

    def declare(self, configuration: DatasetConfiguration, given: Any) -> Any:
        """Return what hdmf makes an empty dataset of."""

    def wrap(self, given: Any, data: Any, compression: str | None) -> Any:
        """Return data for hdmf to write itself, stored as asked, or as their wrapper says."""

    def sink(self, root: Any, configuration: DatasetConfiguration, tools: SinkTools) -> Sink:
        """Open a declared dataset."""

    def single_file(self, root: Any) -> Path | None:
        """Return the one file that all chunks go to, if that is so."""

    def contents(self, group: Any) -> dict[str, Any]:
        """Return what is in an open group by name: the groups of its own, None for all else."""

    def recognises(self, path: Path) -> bool:
        """Whether what is at the path is of this backend."""

    def neurodata_type(self, path: Path) -> str | None:
        """Return the neurodata type that a file of this backend says it is."""

    def copy(self, source: Path, target: Path) -> None:
        """Copy a file."""


class ChunkSink(ABC):
    """An open dataset into which chunks go; a backend says how bytes are encoded and stored.

    Parameters
    ----------
    dataset : h5py.Dataset or zarr.Array
    fill_value : scalar or None
        What a reader gets for a chunk that is not stored.
    tools : SinkTools
    """

    shuffles: bool

    def __init__(self, dataset: Any, fill_value: Any, tools: SinkTools) -> None:
        self._tools = tools
        self.dtype: np.dtype[Any] = dataset.dtype
        self._chunks: Shape = dataset.chunks
        is_zero = fill_value is not None and not np.any(fill_value != np.zeros((), self.dtype))
        self.zero_is_implied = is_zero
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
        if not (self.zero_is_implied and is_all_zero(stored)):
            self.put_byte_planes(corner, stored)

    @abstractmethod
    def put_byte_planes(self, corner: Shape, planes: NDArray[np.uint8]) -> None:
        """Encode and store a chunk whose bytes are in order, and shuffled where they are to be."""
