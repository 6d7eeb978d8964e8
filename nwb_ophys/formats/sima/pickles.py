"""Reader of pickles that SIMA saved under Python 2 or 3, without SIMA and without their code.

The reader makes only numbers, texts, containers, arrays of NumPy and sparse matrices of SciPy; the
matrices become :class:`SparseState`, so that neither SciPy nor its version matters. Classes of SIMA
become objects that do nothing. Any other class or function is refused: a pickle that calls one can
do anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, UnsafePickleError, shown
from nwb_ophys.filetypes.pickles import admitted, load_pickle, unsafe_pickle
from nwb_ophys.outside import check_file


class SparseState:
    """The state of a sparse matrix of SciPy: one plane of an ROI."""

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state if isinstance(state, dict) else {})

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        found = getattr(self, "_shape", None) or self.__dict__.get("shape")
        if found is None or len(found) != 2:
            raise ValueError("a sparse matrix does not state its shape.")
        return int(found[0]), int(found[1])

    def pixels(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return row, column and weight of the stored pixels."""
        state = self.__dict__
        if "rows" in state:  # lil_matrix: lists of columns and of weights for each row
            counts = [len(columns) for columns in state["rows"]]
            row = np.repeat(np.arange(len(counts)), counts)
            column = np.concatenate([np.zeros(0, int), *map(np.asarray, state["rows"])])
            found = [np.asarray(values) for values in state["data"] if len(values)]
            weights = np.concatenate(found) if found else np.zeros(0)
        elif "indptr" in state:  # csr_matrix or csc_matrix
            major = np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
            row, column = major, state["indices"]
            row, column = (column, row) if isinstance(self, _ByColumns) else (row, column)
            weights = np.asarray(state["data"])
        elif "row" in state or "coords" in state:  # coo_matrix, of older or newer SciPy
            row, column = state["coords"] if "coords" in state else (state["row"], state["col"])
            weights = np.asarray(state["data"])
        else:
            raise ValueError(f"a sparse matrix with {sorted(state)} is of an unknown kind.")
        if not len(row) == len(column) == len(weights):
            raise ValueError("the rows, columns and weights of a sparse matrix differ in length.")
        dtype = np.dtype(state.get("dtype", weights.dtype))
        return np.asarray(row, int), np.asarray(column, int), weights.astype(dtype)


class _ByColumns(SparseState):
    """A csc_matrix, whose first index counts columns."""


class _Inert:
    """Placeholder of a class of SIMA, which accepts any state and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def load_sima_pickle(path: Path, *, is_trusted: bool = False) -> Any:
    """Return the content of a file that SIMA pickled, without running its code.

    Parameters
    ----------
    path : pathlib.Path

    is_trusted : bool
        Whether other names are imported and called, too.

    Raises
    ------
    UnsafePickleError
        When the file names a class or a function that SIMA does not write.
    CorruptSourceError
        When the file is cut off.
    """
    find = _Names()
    try:
        check_file(path)
        with path.open("rb") as file:
            # Texts and arrays of Python 2 are bytes, which Latin 1 maps one to one.
            return load_pickle(file, encoding="latin1", find_other=find, is_trusted=is_trusted)
    except UnsafePickleError as error:
        raise unsafe_pickle(path, error) from None
    except Exception as error:  # a damaged pickle can raise anything
        raise CorruptSourceError(
            f"'{path}' cannot be read as a pickle of SIMA: {shown(error)}. It may be damaged or "
            "cut off."
        ) from error


class _Names:
    """Names of SIMA's pickles beside plain data, as classes that do nothing.

    Each pickle gets classes of its own, because a pickle can set attributes of a class.
    """

    def __init__(self) -> None:
        self._made: dict[type, type] = {}

    def __call__(self, module: str, name: str) -> Any:
        """Return what a name of a module stands for, or None."""
        if module.startswith("scipy.sparse"):
            base = _sparse_class(name)
        elif module == "sima" or module.startswith("sima."):
            base = _Inert
        elif module.startswith("future.types."):
            # Classes of the package future, with which SIMA 1.3 runs under Python 2.
            base = _FUTURE.get(name)
        elif (module, name) == ("builtins", "object"):
            base = _Inert
        else:
            is_maker = (module, name) == ("copyreg", "_reconstructor")
            return admitted(_reconstruct) if is_maker else None
        return None if base is None else self._own(base)

    def _own(self, base: type) -> type:
        if base not in self._made:
            self._made[base] = type(base.__name__, (base,), {"__slots__": ()})
        return self._made[base]


def _reconstruct(kind: Any, base: Any = None, state: Any = None) -> Any:
    """Return an object of a class, as ``copyreg`` does for the oldest pickles."""
    if not isinstance(kind, type):
        raise UnsafePickleError("makes an object of what is no class.")
    return kind() if state is None else kind(state)


class _FutureText(str):
    """A text of the package future."""

    __slots__ = ()


class _FutureInteger(int):
    """An integer of the package future."""

    __slots__ = ()


class _FutureList(list[Any]):
    """A list of the package future."""

    __slots__ = ()


class _FutureDict(dict[Any, Any]):
    """A dictionary of the package future."""

    __slots__ = ()


_FUTURE: dict[str, type] = {
    "newstr": _FutureText,
    "newint": _FutureInteger,
    "newlist": _FutureList,
    "newdict": _FutureDict,
    "newbytes": _FutureText,
    "newobject": _Inert,
}


def _sparse_class(name: str) -> Any:
    kinds = ("lil", "csr", "coo", "csc")
    kind = next((k for k in kinds if name in (f"{k}_matrix", f"{k}_array")), None)
    return None if kind is None else _ByColumns if kind == "csc" else SparseState
