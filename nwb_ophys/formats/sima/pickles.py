"""Reader of pickles that SIMA saved under Python 2 or 3, without SIMA and without their code.

The reader makes only numbers, texts, containers, arrays of NumPy and sparse matrices of SciPy; the
matrices become :class:`SparseState`, so that neither SciPy nor its version matters. Classes of SIMA
become objects that do nothing. Any other class or function is refused: a pickle that calls one can
do anything.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError

# Renamed modules of Python 2 and NumPy.
_MODULES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}
_BUILTINS = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, range)
} | {"set": set, "slice": slice, "str": str, "tuple": tuple, "unicode": str, "long": int}
# Classes of the package future, with which SIMA 1.3 runs under Python 2.
_FUTURE = {
    "newstr": str,
    "newint": int,
    "newlist": list,
    "newdict": dict,
    "newbytes": bytes,
    "newobject": object,
}


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


def load_sima_pickle(path: Path) -> Any:
    """Return the content of a file that SIMA pickled, without running its code.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    CorruptSourceError
        When the file is cut off, or names a class or a function that SIMA does not write.
    """
    try:
        with path.open("rb") as file:
            # Texts and arrays of Python 2 are bytes, which Latin 1 maps one to one.
            return _Unpickler(file, encoding="latin1").load()
    except CorruptSourceError as error:
        raise CorruptSourceError(f"'{path}' {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise CorruptSourceError(
            f"'{path}' cannot be read as a pickle of SIMA: {error!r}. It may be damaged or cut off."
        ) from error


class _Unpickler(pickle.Unpickler):
    """Unpickler of plain objects, arrays and the state of sparse matrices, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        module = _MODULES.get(module, module)
        found: Any = None
        if module == "builtins":
            found = _BUILTINS.get(name)
        elif module.startswith("future.types."):
            found = _FUTURE.get(name)
        elif module.startswith("scipy.sparse"):
            found = _sparse_class(name)
        elif module == "sima" or module.startswith("sima."):
            found = _Inert
        else:
            found = _known(module, name)
        if found is None:
            raise CorruptSourceError(
                f"names '{module}.{name}', which SIMA does not write; it is not loaded, since a "
                "pickle can run any code. Give the folder that SIMA wrote."
            )
        return found


def _sparse_class(name: str) -> Any:
    kinds = ("lil", "csr", "coo", "csc")
    kind = next((k for k in kinds if name in (f"{k}_matrix", f"{k}_array")), None)
    return None if kind is None else _ByColumns if kind == "csc" else SparseState


def _known(module: str, name: str) -> Any:
    """Return a class or function that makes arrays and plain objects; None for any other."""
    import collections
    import copyreg

    arrays = np.zeros(0).__reduce__()[0]
    buffers: Any = np.zeros(1).__reduce_ex__(5)[0]
    numbers = np.float64(0).__reduce__()[0]
    return {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy._core.multiarray", "_reconstruct"): arrays,
        ("numpy._core.multiarray", "scalar"): numbers,
        ("numpy._core.numeric", "_frombuffer"): _fresh(buffers),
        ("_codecs", "encode"): _fresh(_latin1_bytes),
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("collections", "defaultdict"): collections.defaultdict,
        ("copyreg", "_reconstructor"): _fresh(vars(copyreg)["_reconstructor"]),
    }.get((module, name))


def _fresh(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper of a function, because a pickle can set attributes of the result."""
    return lambda *arguments: function(*arguments)


def _latin1_bytes(text: str, encoding: str = "latin1") -> bytes:
    """Return the bytes that Python 3 pickled for Python 2, in Latin 1 only."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes are encoded by {encoding!r}, which is not a plain codec.")
    return text.encode("latin1")
