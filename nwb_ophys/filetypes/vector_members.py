"""Arrays of a file of any common type by their names, read where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, shown_size
from nwb_ophys.filetypes.files import unreadable_file
from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
from nwb_ophys.filetypes.hdf5_values import Hdf5Values
from nwb_ophys.filetypes.matlab.structs import read_matlab_objects
from nwb_ophys.filetypes.matlab.variables import ForeignObject, MatlabStruct, StoredArray
from nwb_ophys.filetypes.npy import check_npz, load_npy, read_npy_header
from nwb_ophys.filetypes.tables import TextTable, read_table

_MOST_TEXTS = 10_000_000
_LARGEST_TABLE = 1_000_000_000
# Objects of MATLAB's own classes, and how to save them as something that can be read.
_CURES = {
    "datetime": "time = cellstr(time, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS\")",
    "duration": "time = seconds(time)",
    "string": "time = cellstr(time)",
}
_CURE_OF_OTHERS = "time = double(time)"


class Members(Mapping[str, Any]):
    """Arrays of a file by their names, of which only the shapes are read.

    Parameters
    ----------
    path : pathlib.Path
    arrays : mapping of str to array-like

    Attributes
    ----------
    texts : sequence of str
        Further names, of arrays of texts, which may be dates and times.
    """

    kind = "array"
    texts: Sequence[str] = ()

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

    def unreadable(self, name: str | None) -> str | None:
        """Return why an array, or any array, cannot be read although it is there; or None."""
        return None


class Columns(Members):
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


class MatlabMembers(Members):
    """Variables of a MATLAB file, and fields of its structs with a slash between the names."""

    kind = "variable"

    def __init__(self, path: Path, variables: MatlabStruct) -> None:
        found = dict(_arrays_of(variables))
        super().__init__(path, {name: each for name, each in found.items() if each is not None})
        self._objects = read_matlab_objects(path, of_matlab=True)
        self.texts = [*(name for name, each in found.items() if each is None)]
        self.texts += [name for name in self._objects if name not in self.texts]
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        place = name.replace(".", "/")
        value = self._variables.get(place)
        if isinstance(value, (np.ndarray, StoredArray)):
            return value
        is_object = isinstance(value, ForeignObject)
        texts = [] if is_object else self._variables.texts(place)
        return np.array(texts, dtype=object) if texts else None

    def __contains__(self, name: object) -> bool:
        return self[str(name)] is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a variable."""
        value = self._arrays.get(name)
        return tuple(self[name].shape) if value is None else tuple(value.shape)

    def unreadable(self, name: str | None) -> str | None:
        """Return why a variable that is an object of MATLAB cannot be read, or None."""
        for each, class_name in self._objects.items():
            if name in (None, each):
                cure = _CURES.get(class_name, _CURE_OF_OTHERS).replace("time", each)
                return (
                    f"'{each}' of '{self.path}' is an object of the class {class_name}, which only "
                    f"MATLAB can read. In MATLAB, save it after {cure}."
                )
        return None


def _arrays_of(variables: MatlabStruct, depth: int = 2, prefix: str = "") -> Iterator[Any]:
    """Yield the arrays by their names, with None for a value of another kind."""
    for name in variables.names:
        value = variables.get(name)
        if isinstance(value, MatlabStruct):
            if depth > 1:
                yield from _arrays_of(value, depth - 1, f"{prefix}{name}/")
        elif isinstance(value, (np.ndarray, StoredArray)):
            yield f"{prefix}{name}", value
        elif value is None or isinstance(value, str):
            yield f"{prefix}{name}", None


class Hdf5Members(Members):
    """Datasets of an HDF5 file, and fields of tables with a slash between the names."""

    kind = "dataset"

    def __init__(self, path: Path, opened: Hdf5Values) -> None:
        outline = read_hdf5_outline(path)
        found = {} if outline is None else outline.datasets
        shapes = {name: shape for name, (shape, dtype) in found.items() if dtype.kind in "biuf"}
        self.texts = [n for n, (shape, dtype) in found.items() if shape and _is_text(dtype)]
        for name, (shape, dtype) in found.items():
            for field in dtype.names or ():
                if len(shape) == 1 and dtype[field].kind in "biuf" and not dtype[field].shape:
                    shapes[f"{name}/{field}"] = shape
                elif len(shape) == 1 and _is_text(dtype[field]):
                    self.texts.append(f"{name}/{field}")
        super().__init__(path, shapes)
        self._opened = opened

    def __getitem__(self, name: str) -> Any:
        place = name.strip("/")
        outer, _, field = place.rpartition("/")
        table = self._opened.get(outer) if outer else None
        if isinstance(table, h5py.Dataset):
            return self._field(table, field)
        found = self._opened.array(place)
        return self._texts(self._opened.get(place)) if found is None else found

    def _field(self, table: h5py.Dataset, field: str) -> NDArray[Any] | None:
        if field not in (table.dtype.names or ()) or table.ndim != 1:
            return None
        if table.size * table.dtype.itemsize > _LARGEST_TABLE:
            raise SourceError(
                f"The table '{table.name}' of '{self.path}' has {shown_size(table.nbytes)}; at "
                f"most {shown_size(_LARGEST_TABLE)} are read. Write the times to a file of "
                "their own."
            )
        return np.asarray(table[:][field])

    def _texts(self, stored: Any) -> NDArray[Any] | None:
        if not isinstance(stored, h5py.Dataset) or not stored.shape or not _is_text(stored.dtype):
            return None
        if stored.size > _MOST_TEXTS:
            raise SourceError(
                f"The dataset '{stored.name}' of '{self.path}' has {stored.size:,} texts; at most "
                f"{_MOST_TEXTS:,} are read."
            )
        return np.asarray(stored[()])

    def __contains__(self, name: object) -> bool:
        return self[str(name)] is not None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a dataset."""
        return tuple(self._arrays[name]) if name in self._arrays else tuple(self[name].shape)

    def unit(self, name: str) -> str | None:
        """Return the attribute ``unit`` or ``units`` of a dataset."""
        stored = self._opened.get(name.strip("/").removesuffix("/"))
        if stored is None:
            return None
        found = [stored.attrs.get(each) for each in ("unit", "units")]
        texts = [each.decode() if isinstance(each, bytes) else each for each in found]
        return next((each for each in texts if isinstance(each, str)), None)


def _is_text(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "S" or h5py.check_string_dtype(dtype) is not None


def members_in_memory(path: Path) -> Members:
    """Return the arrays of a ``.npy`` or ``.npz`` file, or the columns of a table."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x93NUMPY"):
        # A header that cannot be read is that of an array of Python objects, such as texts.
        array = load_npy(path, allow_pickle=read_npy_header(path) is None)
        if array.dtype.names is not None:
            return Members(path, {name: array[name] for name in array.dtype.names})
        return Members(path, {"": array})
    if head.startswith(b"PK\x03\x04"):
        return Members(path, _load_npz(path))
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CorruptSourceError(
            f"'{path}' is not a file of numbers that can be read: give a table in a text file "
            "(.csv, .tsv or .txt), or a .npy, .npz, MATLAB or HDF5 file."
        )
    return Columns(read_table(path))


def _load_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        check_npz(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise anything
        raise unreadable_file(path, "an .npz file", error) from error
    arrays = {name: each for name, each in found.items() if isinstance(each, np.ndarray)}
    if not arrays:
        raise CorruptSourceError(
            f"'{path}' is an archive without arrays of NumPy. If it is a sheet of Excel, save it "
            "as .csv."
        )
    return arrays
