"""One vector of numbers, such as times or the trace of a channel, from a file of any common type.

Numbers of HDF5, ``.npy`` and MATLAB 7.3 files stay in the file until they are sliced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import require_file, unreadable_file
from nwb_ophys.filetypes.npy import check_npz, load_npy
from nwb_ophys.filetypes.tables import TextTable, read_table
from nwb_ophys.timing import UNITS, as_nanoseconds

if TYPE_CHECKING:
    from nwb_ophys.filetypes.hdf5_values import Hdf5Values
    from nwb_ophys.filetypes.matlab.variables import MatlabStruct

_INDEXED = re.compile(r"(.*?)\[(\d+)\]")
_MOST_LISTED = 12
_BLOCK = 1 << 20
# Names by which programs call the times of samples, without their units.
_TIME_NAMES = re.compile(
    r"(frames?[ _]?)?(time|times|timestamp|timestamps|t|ts|tstamps?)|date[ _]?times?", re.IGNORECASE
)


@attrs.frozen(kw_only=True, eq=False)
class Vector:
    """A vector in a file.

    Attributes
    ----------
    label : str
        The file and the name within, for messages.
    name : str
        Name of the column, variable or dataset; empty where it has none.
    values : array-like, shape (values,)
        Numbers or booleans, read where they are sliced.
    unit : str or None
        Unit that the file states as an attribute.
    in_utc : bool or None
        For nanoseconds from 1970 that dates and times were made of, whether they are in UTC or
        without a time zone; None for other numbers.
    """

    label: str
    name: str
    values: Any
    unit: str | None = None
    in_utc: bool | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in blocks of at most a million."""
        for start in range(0, len(self), _BLOCK):
            yield np.asarray(self.values[start : start + _BLOCK])


@contextmanager
def opened_vector(
    path: Path, name: str | None = None, *, names: re.Pattern[str] = _TIME_NAMES
) -> Iterator[Vector]:
    """Open a vector, which can be read within the block.

    Parameters
    ----------
    path : pathlib.Path
        A table in a text file, a ``.npy`` or ``.npz`` file, a MATLAB file, or an HDF5 file.
    name : str, optional
        Name of the column, variable or dataset; ``name[2]`` is a row or column of one with two
        axes, ``2`` one of a file without names. Counted from 0. By default the only vector, or else
        the only one whose name fits ``names``.
    names : re.Pattern
        Names that are meant where none is given.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file does not exist, or cannot be read.
    SourceError
        If there is no such vector, or if it is not clear which one is meant; lists those there are.
    """
    # Imported here with h5py, since most conversions are given no file of times.
    from nwb_ophys.filetypes.hdf5_values import Hdf5Values
    from nwb_ophys.filetypes.matlab.variables import MatlabFile
    from nwb_ophys.storage.backends.hdf5_opening import is_hdf5

    require_file(path, "a file of numbers", folder_error=CorruptSourceError)
    if path.suffix.lower() == ".mat":
        file = MatlabFile(path, "extract")
        try:
            yield _chosen(_Matlab(path, file.variables), name, names)
        finally:
            file.close()
    elif is_hdf5(path):
        with Hdf5Values(path) as opened:
            yield _chosen(_Hdf5(path, opened), name, names)
    else:
        yield _chosen(_in_memory(path), name, names)


class _Members(Mapping[str, Any]):
    """Arrays of a file by their names, of which only the shapes are read.

    Parameters
    ----------
    path : pathlib.Path
    arrays : mapping of str to array-like
    """

    kind = "array"

    def __init__(self, path: Path, arrays: Mapping[str, Any]) -> None:
        self.path, self._arrays = path, arrays

    def __getitem__(self, name: str) -> Any:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return tuple(int(size) for size in self[name].shape)

    def unit(self, name: str) -> str | None:
        """Return the unit that the file states for an array."""
        return None

    def in_utc(self, name: str) -> bool:
        """Return whether dates and times are in UTC; those of NumPy have no time zone."""
        return False


class _Columns(_Members):
    """Columns of a table, which become numbers or dates and times when they are asked for."""

    kind = "column"

    def __init__(self, table: TextTable) -> None:
        keys = table.names or [str(index) for index in range(len(table.columns))]
        super().__init__(table.path, dict.fromkeys(keys))
        self._table, self._in_utc = table, False

    def __getitem__(self, name: str) -> Any:
        index = self._table.index_of(name)
        found = self._table.datetimes(index)
        if found is None:
            return self._table.numbers(index)
        self._in_utc = found.in_utc
        return found.nanoseconds.astype("datetime64[ns]")

    def in_utc(self, name: str) -> bool:
        """Return whether the column that was read has time zones."""
        return self._in_utc

    def __contains__(self, name: object) -> bool:
        try:
            self._table.index_of(str(name))
        except SourceError:
            return name in self._arrays  # of several with the name, which is an error later
        return True

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a column."""
        return (self._table.num_rows,)


class _Matlab(_Members):
    """Variables of a MATLAB file, and fields of its structs with a slash between the names."""

    kind = "variable"

    def __init__(self, path: Path, variables: MatlabStruct) -> None:
        super().__init__(path, dict(_arrays_of(variables)))
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        return self._variables.get(name.replace(".", "/"))

    def __contains__(self, name: object) -> bool:
        from nwb_ophys.filetypes.matlab.variables import StoredArray

        return isinstance(self[str(name)], (np.ndarray, StoredArray))


def _arrays_of(variables: MatlabStruct, depth: int = 2, prefix: str = "") -> Iterator[Any]:
    from nwb_ophys.filetypes.matlab.variables import MatlabStruct, StoredArray

    for name in variables.names:
        value = variables.get(name)
        if isinstance(value, (np.ndarray, StoredArray)):
            yield f"{prefix}{name}", value
        elif isinstance(value, MatlabStruct) and depth > 1:
            yield from _arrays_of(value, depth - 1, f"{prefix}{name}/")


class _Hdf5(_Members):
    """Datasets of an HDF5 file."""

    kind = "dataset"

    def __init__(self, path: Path, opened: Hdf5Values) -> None:
        from nwb_ophys.filetypes.hdf5 import read_hdf5_outline

        outline = read_hdf5_outline(path)
        found = {} if outline is None else outline.datasets
        super().__init__(path, {n: s for n, (s, dtype) in found.items() if dtype.kind in "biuf"})
        self._opened = opened

    def __getitem__(self, name: str) -> Any:
        return self._opened.array(name.strip("/"))

    def __contains__(self, name: object) -> bool:
        return self[str(name)] is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        return tuple(self._arrays[name]) if name in self._arrays else tuple(self[name].shape)

    def unit(self, name: str) -> str | None:
        """Return the attribute ``unit`` or ``units`` of a dataset."""
        stated = [self[name].attrs.get(each) for each in ("unit", "units")]
        texts = [each.decode() if isinstance(each, bytes) else each for each in stated]
        return next((each for each in texts if isinstance(each, str)), None)


def _in_memory(path: Path) -> _Members:
    """Return the arrays of a ``.npy`` or ``.npz`` file, or the columns of a table."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x93NUMPY"):
        array = load_npy(path)
        if array.dtype.names is not None:
            return _Members(path, {name: array[name] for name in array.dtype.names})
        return _Members(path, {"": array})
    if head.startswith(b"PK\x03\x04"):
        return _Members(path, _load_npz(path))
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CorruptSourceError(
            f"'{path}' is not a file of numbers that can be read: give a table in a text file "
            "(.csv, .tsv or .txt), or a .npy, .npz, MATLAB or HDF5 file."
        )
    return _Columns(read_table(path))


def _load_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        check_npz(path)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise anything
        raise unreadable_file(path, "an .npz file", error) from error


def _chosen(members: _Members, name: str | None, names: re.Pattern[str]) -> Vector:
    """Return the vector that is meant."""
    if name is None:
        name = _meant(members, names)
    index = None
    if name not in members:
        match = _INDEXED.fullmatch(name)
        if match is not None:
            name, index = match[1], int(match[2])
        elif name.isdecimal() and "" in members:
            name, index = "", int(name)
    if name not in members:
        raise SourceError(
            f"'{members.path}' has no {members.kind} '{name}'{_that_are_there(members)}"
        )
    values = members[name]
    shown = name if index is None else f"{name}[{index}]"
    label = f"{members.kind}{f' {shown!r}' if shown else ''} of '{members.path}'"
    is_dates = values.dtype.kind == "M"
    if is_dates:
        values = as_nanoseconds(values, f"The values of the {label}")
    if values.dtype.kind not in "biuf":
        raise SourceError(f"The {label} is of type {values.dtype}, not of numbers.")
    return Vector(
        label=label,
        name=name,
        values=_one_axis(values, index, label),
        unit=members.unit(name),
        in_utc=members.in_utc(name) if is_dates else None,
    )


def _meant(members: _Members, names: re.Pattern[str]) -> str:
    """Return the name of the only vector, or of the only one with such a name."""
    vectors = [name for name in members if _is_vector(members.shape(name))]
    if len(vectors) == 1:
        return vectors[0]
    if list(members) == [""]:
        return ""
    named = [name for name in vectors if names.fullmatch(bare_name(name))]
    if len(named) == 1:
        return named[0]
    raise SourceError(
        f"It is not clear which {members.kind} of '{members.path}' is meant"
        f"{_that_are_there(members)} Name one after two colons, as in "
        f"{members.path.name}::{(named or vectors or ['NAME'])[0]}."
    )


def bare_name(name: str) -> str:
    """Return the last part of a name, without a unit behind it."""
    return split_unit(name.rstrip("/").rpartition("/")[2])[0]


_UNIT_BEHIND = re.compile(r"(.*?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[ _/]\s*([^\W\d_]+))")


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a name and the unit behind it: ``time (ms)``, ``time [ms]``, ``time_ms``, ``time/ms``.

    Parameters
    ----------
    name : str

    Returns
    -------
    name : str
    unit : str or None
        The text in brackets, or the last word if it is a unit of time; None without any.
    """
    match = _UNIT_BEHIND.fullmatch(name.strip())
    if match is None:
        return name.strip(), None
    if match[2] is not None:
        return match[1], match[2]
    return (match[1], match[3]) if match[3].lower() in UNITS else (name.strip(), None)


def _is_vector(shape: Sequence[int]) -> bool:
    return len(shape) > 0 and max(shape) == int(np.prod(shape)) and max(shape) > 1


def _that_are_there(members: _Members) -> str:
    shown = [
        f"'{name}' {members.shape(name)}" if name else f"an array of {members.shape(name)}"
        for name in list(members)[:_MOST_LISTED]
    ]
    more = f" and {len(members) - _MOST_LISTED} more" if len(members) > _MOST_LISTED else ""
    return f": it has {', '.join(shown) or 'none of numbers'}{more}."


def _one_axis(values: Any, index: int | None, label: str) -> Any:
    """Return a vector; of an array with two axes the row or column of an index."""
    shape = tuple(int(size) for size in values.shape)
    if index is None and len(shape) == 1:
        return values
    if index is None and _is_vector(shape):
        return np.asarray(values[:]).reshape(-1)
    if len(shape) != 2 or index is None:
        raise SourceError(
            f"The {label} has the shape {shape}; name one of its rows or columns by an index from "
            "0 in brackets, as in NAME[0]."
        )
    axis = int(np.argmax(shape))
    if index >= shape[1 - axis]:
        raise SourceError(
            f"The {label} has the shape {shape}, so that there is no [{index}]; the indices are 0 "
            f"to {shape[1 - axis] - 1}."
        )
    return _Line(values, axis, index)


class _Line:
    """A row or column of an array in a file, read where it is sliced."""

    def __init__(self, values: Any, axis: int, index: int) -> None:
        self._values, self._axis, self._index = values, axis, index
        self.shape, self.dtype = (int(values.shape[axis]),), values.dtype

    def __getitem__(self, selection: slice) -> NDArray[Any]:
        key = (selection, self._index) if self._axis == 0 else (self._index, selection)
        return np.asarray(self._values[key]).reshape(-1)


def whole(vector: Vector, most: int) -> NDArray[Any]:
    """Return all values of a vector in memory.

    Raises
    ------
    SourceError
        If there are more than `most`.
    """
    if len(vector) > most:
        raise SourceError(
            f"The {vector.label} has {len(vector):,} values; at most {most:,} are read."
        )
    return np.asarray(vector.values[:])
