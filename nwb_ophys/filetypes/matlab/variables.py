"""Variables of MATLAB files of version 7.3 (HDF5) and 4 to 7, in MATLAB's order of axes.

HDF5 keeps the axes in reverse; this module alone undoes that. Numbers of a file of version 7.3 stay
in the file until they are sliced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, as_sentence
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.hdf5 import open_hdf5
from nwb_ophys.filetypes.matlab.claims import check_level5
from nwb_ophys.filetypes.matlab.level4 import is_level4, level4_variables
from nwb_ophys.filetypes.matlab.level5 import HEADER_BYTES, ORDERS, level5_objects
from nwb_ophys.optional import require_package
from nwb_ophys.outside import check_file
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.storage.backends.hdf5_opening import is_hdf5
from nwb_ophys.storage.backends.hdf5_parts import check_complete
from nwb_ophys.trial import try_hdf5

_UNNAMED = "None"


class StoredArray:
    """An array of a file of version 7.3, read when it is sliced.

    Parameters
    ----------
    dataset : h5py.Dataset

    Attributes
    ----------
    shape : tuple of int
        Sizes in MATLAB's order of axes.
    dtype : numpy.dtype
    dataset : h5py.Dataset
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self.shape: tuple[int, ...] = tuple(int(size) for size in dataset.shape[::-1])
        self.dtype: np.dtype[Any] = dataset.dtype
        self.ndim = len(self.shape)

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        chosen = selection if isinstance(selection, tuple) else (selection,)
        whole = (slice(None),) * (self.ndim - len(chosen))
        return np.asarray(self.dataset[(*chosen, *whole)[::-1]]).T

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A stored array cannot become an array in memory without a copy.")
        return np.asarray(self[:], dtype=dtype)


@attrs.frozen(eq=False)
class SparseColumns:
    """A sparse matrix stored by column.

    Attributes
    ----------
    weights : numpy.ndarray
    rows : numpy.ndarray of int
        Row of each weight.
    bounds : numpy.ndarray of int, shape (columns + 1,)
        Index of the first weight of each column, and the total number of weights.
    shape : tuple of int

    Raises
    ------
    ValueError
        When the numbers contradict each other, as damage makes them.
    """

    weights: NDArray[Any]
    rows: NDArray[Any]
    bounds: NDArray[Any]
    shape: tuple[int, int]

    def __attrs_post_init__(self) -> None:
        bounds, rows = self.bounds, self.rows
        are_bounds = len(bounds) == self.shape[1] + 1 and not bounds[0]
        are_bounds &= bool((np.diff(bounds) >= 0).all())
        if not are_bounds or not bounds[-1] == len(rows) == len(self.weights):
            raise ValueError(
                f"a sparse matrix has {len(self.weights)} values in {len(rows)} rows, which do not "
                f"fit the bounds of its {self.shape[1]} columns."
            )


@attrs.frozen
class ForeignObject:
    """An object of a class that only MATLAB can read.

    Attributes
    ----------
    class_name : str
    """

    class_name: str


class MatlabStruct:
    """The fields of a struct, or the variables of a file, by name.

    Parameters
    ----------
    source : h5py.Group or Mapping
        The stored values.
    """

    def __init__(self, source: Any) -> None:
        self._source = source

    @property
    def names(self) -> list[str]:
        """The names of the fields."""
        return [name for name in self._source if not name.startswith(("#", "__"))]

    def get(self, path: str) -> Any:
        """Return a value, or None where it is absent.

        Parameters
        ----------
        path : str
            Name of a field; a slash separates it from a field within.

        Returns
        -------
        MatlabStruct, StoredArray, numpy.ndarray, SparseColumns, str, ForeignObject or None
        """
        first, _, rest = path.partition("/")
        stored = self._source.get(first)
        value = None if stored is None else _value(stored)
        if not rest:
            return value
        return value.get(rest) if isinstance(value, MatlabStruct) else None

    def array(self, path: str, file: Path) -> StoredArray | NDArray[Any] | None:
        """Return an optional array, or None where it is absent or empty.

        Another value than an array of numbers, such as an object of MATLAB or cells, is left out
        with a warning.

        Parameters
        ----------
        path : str
            As for :meth:`get`.
        file : pathlib.Path
            File of the struct, for the warning.
        """
        value = self.get(path)
        if isinstance(value, (np.ndarray, StoredArray)):
            return None if 0 in value.shape else value
        kind = self._kind(path)
        if kind:
            warnings.warn(
                f"'{file}': '{path}' is {kind} instead of an array of numbers; it is left out.",
                UserWarning,
                stacklevel=2,
            )
        return None

    def _kind(self, path: str) -> str:
        """Return what a value other than an array is, in words; empty where it holds nothing."""
        first, _, rest = path.partition("/")
        value = self.get(first)
        if rest and isinstance(value, MatlabStruct):
            return value._kind(rest)
        if isinstance(value, ForeignObject):
            within = f"{first}, which is " if rest else ""
            return f"{within}an object of the class {value.class_name}"
        if rest:
            return ""
        kinds = {MatlabStruct: "a struct", SparseColumns: "a sparse matrix", str: "a text"}
        if value is not None:
            return kinds.get(type(value), "") if value != "" else ""
        return "a cell array" if self.elements(first) else ""

    def first(self, paths: Iterable[str]) -> Any:
        """Return the first value that is present among paths, or None."""
        return next((value for path in paths if (value := self.get(path)) is not None), None)

    def elements(self, path: str) -> list[Any] | None:
        """Return the cells of a cell array, or the elements of an array of structs.

        Parameters
        ----------
        path : str
            As for :meth:`get`.

        Returns
        -------
        list or None
            Stored values in MATLAB's order, each as a struct with the field ``value``, or as the
            struct that it is; None where the value is neither. A single struct is its only element.
        """
        first, _, rest = path.partition("/")
        if rest:
            inner = self.get(first)
            return inner.elements(rest) if isinstance(inner, MatlabStruct) else None
        stored = self._source.get(first)
        found = None if stored is None else _elements_of(stored)
        return None if found is None else [_as_struct(each) for each in found]

    def texts(self, path: str) -> list[str]:
        """Return the texts of a cell array, or the rows of an array of characters."""
        cells = self.elements(path)
        if cells is not None:
            return [text for each in cells if (text := each.text("value")) is not None]
        stored = self._source.get(path)
        rows = [] if stored is None else _rows_of_text(stored)
        return [row.rstrip() for row in rows]

    def number(self, path: str) -> float | None:
        """Return a single number, or None where the value is absent or different."""
        value = self.get(path)
        if not isinstance(value, (np.ndarray, StoredArray)) or np.prod(value.shape) != 1:
            return None
        return float(np.asarray(value).reshape(-1)[0])

    def text(self, path: str) -> str | None:
        """Return a text, also from codes of characters; None where the value is different."""
        value = self.get(path)
        if isinstance(value, StoredArray) and value.dtype.kind == "u":
            return "".join(chr(code) for code in np.asarray(value).ravel(order="F"))
        return value if isinstance(value, str) else None


class MatlabFile:
    """An open MATLAB file.

    Parameters
    ----------
    path : pathlib.Path
    extra : str
        The extra that installs what files of version 4 to 7 need.
    names : sequence of str, optional
        Variables to read from files of version 4 to 7, which are held in memory; all by default.

    Attributes
    ----------
    path : pathlib.Path
    variables : MatlabStruct

    Raises
    ------
    CorruptSourceError
        When the file is not a MATLAB file, or is incomplete.
    """

    def __init__(self, path: Path, extra: str, names: Sequence[str] | None = None) -> None:
        self.path = path
        self._file: h5py.File | None = None
        try:
            if path.is_dir():
                raise CorruptSourceError(f"'{path}' is not a MATLAB file: it is a folder.")
            check_file(path)
            if is_hdf5(path):
                try_hdf5(path)
                self._file = open_hdf5(path)
                self.variables = MatlabStruct(self._file)
            else:
                self.variables = MatlabStruct(_load(path, extra, names))
        except OSError as error:
            if isinstance(error, PermissionError):
                raise CorruptSourceError(f"'{path}' cannot be read: {error.strerror}.") from error
            raise _damaged(path, error) from error

    def close(self) -> None:
        """Close the file; arrays that were not read before cannot be read any more."""
        if self._file is not None:
            self._file.close()


def _load(path: Path, extra: str, names: Sequence[str] | None) -> dict[str, Any]:
    """Return the variables of a file of version 4 to 7."""
    check_file(path)
    if is_level4(path):
        # SciPy gives a sparse matrix the size that its last values state, whatever the file holds.
        whole = [each.name for each in level4_variables(path) if not each.is_sparse]
        names = [each for each in whole if names is None or each in names]
    else:
        _check_header(path)
        check_level5(path, names)
    reader = require_package("scipy.io", extra)
    try:
        with path.open("rb") as file:
            found = dict(reader.loadmat(file, variable_names=names))
        if found.pop(_UNNAMED, None) is not None:  # the reader has no names of objects
            objects = level5_objects(path).items()
            found |= {name: ForeignObject(kind) for name, kind in objects if name not in found}
        return found
    except Exception as error:  # a damaged file can raise anything
        raise _damaged(path, error) from error


def _check_header(path: Path) -> None:
    """Check that a file begins as MATLAB writes it since version 5."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    is_short = len(head) < HEADER_BYTES
    if not head.startswith(b"MATLAB") or not (is_short or head[126:128] in ORDERS):
        raise CorruptSourceError(
            f"'{path}' is not a MATLAB file: it has the header of no version, 4 to 7.3; give "
            "another file."
        )
    if is_short:
        raise CorruptSourceError(
            f"'{path}' is not a whole MATLAB file: it ends within its header; {COPY_AGAIN}."
        )


def _damaged(path: Path, error: Exception) -> CorruptSourceError:
    reason = as_sentence(error).rstrip(".")
    return CorruptSourceError(f"'{path}' is not a whole MATLAB file: {reason}; {COPY_AGAIN}.")


def _value(stored: Any) -> Any:
    if isinstance(stored, ForeignObject):
        return stored
    if isinstance(stored, (h5py.Group, h5py.Dataset)):
        return _value_of_hdf5(stored)
    if isinstance(stored, h5py.Datatype):  # damage may make a type of a dataset
        raise CorruptSourceError(
            f"'{stored.file.filename}' is damaged: its member '{stored.name}' is not a dataset. "
            f"To repair it, {COPY_AGAIN}."
        )
    if isinstance(stored, np.ndarray) and stored.dtype.names and stored.size == 1:
        record = stored.reshape(-1)[0]
        name = type(stored).__name__
        if name in ("MatlabObject", "MatlabOpaque"):
            return ForeignObject(_class_of(stored))
        return MatlabStruct({field: record[field] for field in stored.dtype.names})
    if hasattr(stored, "tocsc"):
        matrix = stored.tocsc()
        return SparseColumns(matrix.data, matrix.indices, matrix.indptr, matrix.shape)
    if isinstance(stored, np.ndarray) and stored.dtype.kind == "U":
        return "".join(stored.reshape(-1))
    return stored if isinstance(stored, np.ndarray) and stored.dtype.kind in "biuf" else None


def _elements_of(stored: Any) -> list[Any] | None:
    """Return the stored cells or structs of an array of them; None for other values."""
    if isinstance(stored, np.ndarray):
        if not stored.dtype.names and stored.dtype.kind != "O":
            return None
        return list(stored.reshape(-1, order="F"))
    if isinstance(stored, h5py.Dataset):
        return _referred(stored) if stored.dtype == h5py.ref_dtype else None
    if not isinstance(stored, h5py.Group) or "MATLAB_sparse" in stored.attrs:
        return None
    fields = {name: stored[name] for name in stored}
    # The fields of an array of structs refer to the values, as cells do, but state no class.
    if not fields or not all(
        isinstance(each, h5py.Dataset)
        and each.dtype == h5py.ref_dtype
        and "MATLAB_class" not in each.attrs
        for each in fields.values()
    ):
        return [stored]
    columns = {name: _referred(each) for name, each in fields.items()}
    count = min(len(values) for values in columns.values())
    return [{name: values[i] for name, values in columns.items()} for i in range(count)]


def _referred(dataset: h5py.Dataset) -> list[Any]:
    return [dataset.file[reference] for reference in np.ravel(check_stored(dataset)[()])]


def _as_struct(stored: Any) -> MatlabStruct:
    if isinstance(stored, (dict, np.void)):
        names = stored if isinstance(stored, dict) else (stored.dtype.names or ())
        return MatlabStruct({name: stored[name] for name in names})
    value = _value(stored)
    return value if isinstance(value, MatlabStruct) else MatlabStruct({"value": stored})


def _rows_of_text(stored: Any) -> list[str]:
    """Return the rows of an array of characters, padded with blanks to one length."""
    if isinstance(stored, np.ndarray) and stored.dtype.kind == "U":
        return [str(row) for row in stored.reshape(-1)]
    if not isinstance(stored, h5py.Dataset) or "MATLAB_empty" in stored.attrs:
        return []
    codes = (
        np.atleast_2d(check_stored(stored)[()]).T if stored.dtype.kind == "u" else np.zeros((0, 0))
    )
    return ["".join(chr(code) for code in row) for row in codes]


def _class_of(stored: Any) -> str:
    name = getattr(stored, "classname", None)
    # The fields of an opaque object have other names since SciPy 1.18.
    field = next((each for each in ("_Class", "s2") if each in (stored.dtype.names or ())), None)
    if name is None and field is not None:
        name = stored.reshape(-1)[0][field]
    return name.decode() if isinstance(name, bytes) else str(name)


def _value_of_hdf5(stored: h5py.Group | h5py.Dataset) -> Any:
    stored = check_stored(stored)
    kind = stored.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if "MATLAB_object_decode" in stored.attrs and int(stored.attrs["MATLAB_object_decode"]) == 3:
        return ForeignObject(kind)
    if isinstance(stored, h5py.Dataset):
        check_complete(stored)
    if isinstance(stored, h5py.Group):
        rows = stored.attrs.get("MATLAB_sparse")
        return MatlabStruct(stored) if rows is None else _sparse(stored, int(rows))
    if "MATLAB_empty" in stored.attrs:  # the stored values are the shape
        sizes = tuple(int(size) for size in np.ravel(stored[()]))
        return "" if kind == "char" else np.zeros(sizes)
    if kind == "char":
        return "".join(chr(code) for code in np.ravel(stored[()]))
    is_number = stored.shape is not None and stored.dtype.kind in "biuf"
    return StoredArray(stored) if is_number and stored.ndim else None


def _sparse(group: h5py.Group, num_rows: int) -> SparseColumns:
    bounds = np.ravel(check_stored(group["jc"])[()]).astype(np.int64)
    # A matrix without weights lacks these datasets.
    rows = np.ravel(check_stored(group["ir"])[()]) if "ir" in group else np.zeros(0)
    weights = np.ravel(check_stored(group["data"])[()]) if "data" in group else np.zeros(0)
    return SparseColumns(weights, rows.astype(np.int64), bounds, (num_rows, len(bounds) - 1))
