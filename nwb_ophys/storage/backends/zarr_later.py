"""Stores of Zarr format 2 that are read with Zarr 3, which opens no array of objects."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.documents import parse_source_json, read_limited
from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.optional import require_package
from nwb_ophys.storage.backends.zarr_guarded import reading_store
from nwb_ophys.storage.backends.zarr_installed import written_format
from nwb_ophys.storage.grid import cell_at, inside

_MOST_NAMED = 3


def is_later() -> bool:
    """Return whether the installed Zarr is the later one."""
    return written_format() != 2


class EntireStore:
    """Mixin for hdmf-zarr's reader of format 2 that refuses stores of which a part is unreadable.

    The reader leaves such parts out with a warning.
    """

    def __init__(self, *given: Any, **options: Any) -> None:
        with warnings.catch_warnings():
            # Of each schema, whose text it then decodes itself.
            warnings.filterwarnings("ignore", "Could not read spec dataset")
            super().__init__(*given, **options)

    def read_builder(self) -> Any:
        """Return the builders of everything in the store."""
        with warnings.catch_warnings():
            for message in ("Skipping ", "Read '.*' via zarr v2 store fallback"):
                warnings.filterwarnings("ignore", message)
            builder = super().read_builder()  # type: ignore[misc]
        skipped = self.skipped_entries  # type: ignore[attr-defined]
        if skipped:
            named = "; ".join(f"'{name}': {reason}" for name, reason in skipped[:_MOST_NAMED])
            raise CorruptSourceError(
                f"'{self.source}' has {len(skipped)} objects that cannot be read: "  # type: ignore[attr-defined]
                f"{' '.join(named.split())[:500]}. It may be damaged; copy it again."
            )
        return builder


@attrs.frozen
class _Folder:
    """The store of a group or array, as Zarr's own states it."""

    root: Path


@attrs.frozen
class Group2:
    """A group of format 2 in a folder, with those methods of Zarr's groups that are needed here.

    Attributes
    ----------
    store : object
        With the folder of the store as ``root``.
    path : str
        Path of the group in the store.
    """

    store: Any
    path: str = ""

    @classmethod
    def of(cls, group: Any) -> Group2:
        """Return an open group of Zarr as such a group."""
        return group if isinstance(group, cls) else cls(_Folder(group.store.root), group.path)

    @classmethod
    def at(cls, folder: Path) -> Group2:
        """Return the root group of a store."""
        return cls(_Folder(folder.resolve()))

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the group."""
        return _attributes(self._folder)

    @property
    def _folder(self) -> Path:
        return self.store.root / self.path

    def _inner(self, header: str) -> Iterator[str]:
        names = sorted(each.name for each in self._folder.iterdir())
        return (name for name in names if (self._folder / name / header).is_file())

    def _place(self, name: str) -> str:
        return f"{self.path}/{name}".strip("/")

    def groups(self) -> Iterator[tuple[str, Group2]]:
        """Yield the groups within and their names."""
        return ((name, Group2(self.store, self._place(name))) for name in self._inner(".zgroup"))

    def array_keys(self) -> Iterator[str]:
        """Yield the names of the arrays within."""
        return self._inner(".zarray")

    def arrays(self) -> Iterator[tuple[str, Any]]:
        """Yield the arrays within and their names."""
        return ((name, self[name]) for name in self.array_keys())

    def __iter__(self) -> Iterator[str]:
        yield from self._inner(".zgroup")
        yield from self._inner(".zarray")

    def __contains__(self, name: str) -> bool:
        return any((self._folder / name / each).is_file() for each in (".zgroup", ".zarray"))

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise KeyError(name)
        place = self._place(name)
        if (self._folder / name / ".zgroup").is_file():
            return Group2(self.store, place)
        header = parse_source_json(read_limited(self._folder / name / ".zarray"))
        if _is_of_objects(header["dtype"]):
            return ObjectArray(self.store, place, header)
        zarr = require_package("zarr", "zarr")
        store = reading_store(self.store.root)
        return zarr.open_array(store, path=place, mode="r", zarr_format=2)


@attrs.frozen
class ObjectArray:
    """An array of objects, such as texts, which is read whole.

    Attributes
    ----------
    store : object
    path : str
    header : mapping
        Its header, which was checked for codecs that run code.
    """

    store: Any
    path: str
    header: Mapping[str, Any]

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Attributes of the array."""
        return _attributes(self.store.root / self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.header["shape"])

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk."""
        return tuple(self.header["chunks"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values."""
        return _dtype(self.header["dtype"])

    def __getitem__(self, selection: Any) -> Any:
        found = np.empty(self.shape, self.dtype)
        axes = (range(0, n, step) for n, step in zip(self.shape, self.chunks, strict=True))
        for corner in itertools.product(*axes):
            cell = cell_at(corner, self.chunks, self.shape)
            found[cell] = self._chunk(corner)[inside(cell)]
        return found[selection]

    def _chunk(self, corner: tuple[int, ...]) -> NDArray[Any]:
        from numcodecs import get_codec

        numbers = (at // step for at, step in zip(corner, self.chunks, strict=True))
        separator = self.header.get("dimension_separator", ".")
        file = self.store.root / self.path / separator.join(map(str, numbers))
        data: Any = file.read_bytes()
        for codec in (self.header.get("compressor"), *reversed(self.header.get("filters") or ())):
            data = data if codec is None else get_codec(dict(codec)).decode(data)
        return np.asarray(data, self.dtype).reshape(self.chunks, order=self.header["order"])


def _attributes(folder: Path) -> Mapping[str, Any]:
    file = folder / ".zattrs"
    found = parse_source_json(read_limited(file)) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _dtype(stated: Any) -> np.dtype[Any]:
    return np.dtype([tuple(each) for each in stated] if isinstance(stated, list) else stated)


def _is_of_objects(stated: Any) -> bool:
    dtype = _dtype(stated)
    kinds = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    return any(kind.kind == "O" for kind in kinds)
