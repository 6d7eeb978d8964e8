"""Arrays of plain numbers in objects of stores: read by ranges, or as a whole."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.reading import LARGE_AT_ONCE, read_range, run_all

if TYPE_CHECKING:
    from nwb_ophys.remote.paths import RemotePath

PART_BYTES = 1 << 24
"""Size of the ranges of a large array; ``LARGE_AT_ONCE`` of them are requested together."""

MOST_IN_MEMORY = 1 << 26
"""Size of the largest array that is kept in memory as a whole."""

# Arrays that somebody holds, by their objects and versions.
_WHOLE: weakref.WeakValueDictionary[Any, NDArray[Any]] = weakref.WeakValueDictionary()


class StoredRows:
    """Array in an object of a store, whose rows are requested when it is sliced.

    Several threads may slice it at once. The object must remain the one that it is now.

    Parameters
    ----------
    path : RemotePath
    dtype : numpy.dtype
    shape : tuple of int
        The first axis is the slowest in the object.
    offset : int
        Position of the first number, in bytes.
    field : str
        Name of the field that is returned, if the type is one of records, one for each row.
    """

    def __init__(
        self,
        path: RemotePath,
        dtype: np.dtype[Any],
        shape: Sequence[int],
        offset: int = 0,
        field: str = "",
    ) -> None:
        self._path, self._offset, self._tag = path, offset, path.stat().st_ino
        self._stored, self._field = np.dtype(dtype), field
        self._row = tuple(map(int, shape[1:]))
        kept = self._stored[field] if field else self._stored
        self.dtype, self.shape = kept.base, (int(shape[0]), *self._row, *kept.shape)
        self.ndim = len(self.shape)

    @property
    def filename(self) -> str:
        """URL of the object, as a memory map has the name of its file."""
        return str(self._path)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        first, *others = selection if isinstance(selection, tuple) else (selection,)
        if first is Ellipsis:
            first, others = slice(None), [Ellipsis, *others]
        wanted = np.arange(len(self))[first]
        found = self._rows(np.atleast_1d(wanted))
        if not wanted.ndim:
            return found[0][tuple(others)] if others else found[0]
        return found[(slice(None), *others)] if others else found

    def head(self, number: int) -> StoredRows:
        """Return the first rows, of which none is read."""
        found = copy(self)
        found.shape = (min(number, len(self)), *self.shape[1:])
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("An array in an object store cannot be used without a copy.")
        return np.asarray(self[:], dtype=dtype)

    def _rows(self, wanted: NDArray[np.int64]) -> NDArray[Any]:
        rows = np.unique(wanted)
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        size = int(np.prod(self._row, dtype=np.int64)) * self._stored.itemsize
        most = max(PART_BYTES // max(size, 1), 1)
        parts = list(_runs(rows, most)) if out.size else []

        def fill(part: tuple[int, int]) -> None:
            at, stop = part
            start = self._offset + int(rows[at]) * size
            data = read_range(self._path, start, start + (stop - at) * size, self._tag)
            own = np.frombuffer(data, self._stored).reshape(stop - at, *self._row)
            out[at:stop] = own[self._field] if self._field else own

        run_all(fill, parts, LARGE_AT_ONCE)
        return out if np.array_equal(rows, wanted) else out[np.searchsorted(rows, wanted)]


def _runs(rows: NDArray[np.int64], most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last position, plus one, of consecutive rows."""
    starts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for start, stop in itertools.pairwise(starts):
        yield from ((at, min(at + most, stop)) for at in range(start, stop, most))


def whole_array(
    path: RemotePath, dtype: np.dtype[Any], shape: Sequence[int], offset: int, order: str = "C"
) -> NDArray[Any]:
    """Return an array that is not read in the order of its object, which is fetched as a whole.

    A large one is copied to a temporary file without a name, and mapped to memory.

    Parameters
    ----------
    path : RemotePath
    dtype : numpy.dtype
    shape : sequence of int
    offset : int
        Position of the first number, in bytes.
    order : {"C", "F"}

    Raises
    ------
    SourceError
        If the store fails, or the disk has too little space.
    """
    key = (str(path), path.stat().st_ino, str(dtype), tuple(shape), offset, order)
    found = _WHOLE.get(key)
    if found is None:
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        is_small = size <= MOST_IN_MEMORY
        flat = fill_from(
            path, offset, np.empty(size, "u1") if is_small else _place_on_disk(path, size)
        )
        found = flat.view(dtype).reshape(shape, order=order)  # type: ignore[call-overload]
        _WHOLE[key] = found
    return found


def fill_from(path: RemotePath, offset: int, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an array that was filled with the bytes of an object from a position on."""
    tag, size = path.stat().st_ino, len(out)

    def fill(start: int) -> None:
        stop = min(start + PART_BYTES, size)
        out[start:stop] = np.frombuffer(read_range(path, offset + start, offset + stop, tag), "u1")

    run_all(fill, range(0, size, PART_BYTES), LARGE_AT_ONCE)
    out.flags.writeable = False
    return out


def check_temporary_space(path: RemotePath, size: int) -> None:
    """Check that the disk of temporary files has space for the copy of an object.

    Raises
    ------
    SourceError
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SourceError(
            f"'{path}' needs {size:,} bytes in '{folder}', to which it is copied while it is read; "
            f"{free:,} are free. Set TMPDIR to a folder with more space."
        )


def _place_on_disk(path: RemotePath, size: int) -> NDArray[np.uint8]:
    """Return a map of a temporary file, which is gone when nobody holds the map."""
    check_temporary_space(path, size)
    with tempfile.TemporaryFile() as file:
        file.truncate(size)
        return np.memmap(file, np.uint8, "r+", shape=(size,))
