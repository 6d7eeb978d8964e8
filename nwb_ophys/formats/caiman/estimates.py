"""Values in a file that CaImAn saved, in the forms in which its versions write them.

CaImAn stores an attribute that is None as the text "NoneType", a sparse matrix as a group with
``data``, ``indices``, ``indptr`` and ``shape``, a number as a dataset without axes, and, since
version 1.10, a text as an attribute of its group. Other programs that rewrite such files leave
null datasets (``h5py.Empty``).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError

#: Places of the field, (rows, columns[, planes]), in the order in which they are asked.
DIMS = ("params/data/dims", "dims", "estimates/dims")
RATE = "params/data/fr"

_SPARSE_PARTS = ("data", "indices", "indptr", "shape")
# Bytes of a dense matrix that are searched for weights at a time.
_BLOCK_BYTES = 64_000_000


class EstimatesFile:
    """An open file of CaImAn.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    CorruptSourceError
        When the path is not a whole HDF5 file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise CorruptSourceError(f"'{path}' is a folder; give the HDF5 file that CaImAn saved.")
        try:
            self.file = h5py.File(path, "r")
        except OSError as error:
            raise _not_whole(path, error) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def get(self, place: str) -> h5py.Dataset | h5py.Group | None:
        """Return a dataset with a value, or a group; None where CaImAn stored None or nothing.

        Parameters
        ----------
        place : str
            Path in the file, such as ``estimates/C``.
        """
        try:
            if place not in self.file:
                return None
            stored = self.file[place]
            return None if isinstance(stored, h5py.Dataset) and _is_none(stored) else stored
        except (OSError, RuntimeError, KeyError, UnicodeError) as error:
            raise _not_whole(self.path, error) from error

    def array(self, place: str) -> h5py.Dataset | None:
        """Return a dataset of numbers with axes, or None."""
        stored = self.get(place)
        if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "iufb":
            return None
        # An empty list has one axis, whatever it is a list of.
        return None if stored.shape in ((), (0,)) else stored

    def number(self, place: str) -> float | None:
        """Return a finite number, from a dataset or an attribute; None where there is none."""
        group, name = place.rsplit("/", 1)
        stored = self.get(place)
        holder = self.get(group)
        if isinstance(stored, h5py.Dataset) and stored.size == 1:
            value = stored[()]
        else:
            value = None if holder is None else holder.attrs.get(name)
        try:
            found = float(np.asarray(value).reshape(-1)[0])
        except (TypeError, ValueError, IndexError):
            return None
        return found if math.isfinite(found) else None

    def texts(self, place: str) -> list[str]:
        """Return a text or a list of texts, from a dataset or an attribute; empty without any."""
        group, _, name = place.rpartition("/")
        stored, holder = self.get(place), self.get(group or "/")
        value = stored[()] if isinstance(stored, h5py.Dataset) else None
        if value is None and holder is not None:
            value = holder.attrs.get(name)
        found = [] if value is None else np.asarray(value, dtype=object).reshape(-1).tolist()
        texts = [e.decode("utf-8", "replace") if isinstance(e, bytes) else e for e in found]
        return [text for text in texts if isinstance(text, str) and text not in ("", "NoneType")]

    def dims(self) -> tuple[int, ...] | None:
        """Return the field, (rows, columns[, planes]), from the first place that states it."""
        for place in DIMS:
            stored = self.get(place)
            if isinstance(stored, h5py.Dataset) and stored.dtype.kind in "iufS":
                try:
                    sizes = np.asarray(stored[()]).astype(np.float64).astype(int)
                except ValueError:  # a text that is no number
                    continue
                return tuple(sizes.tolist()) if sizes.shape in ((2,), (3,)) else None
        return None

    def matrix(self, place: str) -> Any:
        """Return a matrix in compressed sparse columns; None where CaImAn stored none.

        A dense matrix is searched block by block, so that it is never in memory as a whole.

        Raises
        ------
        ValueError
            When the parts of a sparse matrix are missing or contradict each other.
        """
        from scipy.sparse import csc_matrix

        stored = self.get(place)
        if isinstance(stored, h5py.Group):
            parts = [self._part(place, name) for name in _SPARSE_PARTS]
            return csc_matrix(tuple(parts[:3]), shape=tuple(int(size) for size in parts[3]))
        dense = self.array(place)
        if dense is None or dense.ndim > 2:
            return None
        return _sparse(dense)

    def _part(self, place: str, name: str) -> NDArray[Any]:
        stored = self.file.get(f"{place}/{name}")
        if not isinstance(stored, h5py.Dataset):
            raise CorruptSourceError(
                f"'{self.path}' is not CaImAn's output: it has no {place}/{name}. Give the HDF5 "
                "file that CaImAn's save() wrote."
            )
        if stored.shape is None:  # null: no values
            return np.zeros(0, stored.dtype)
        return np.asarray(stored[()]).reshape(-1)

    def traces(self, place: str) -> Any:
        """Return traces, (components, samples), of an array or a sparse matrix, or None."""
        stored = self.get(place)
        if isinstance(stored, h5py.Group):
            return self.matrix(place).toarray() if "indptr" in stored else None
        found = self.array(place)
        if found is None or found.ndim > 2:
            return None
        return found if found.ndim == 2 else found[()][None]


def _is_none(stored: h5py.Dataset) -> bool:
    """Return whether a dataset is null, or is the text that CaImAn writes for None."""
    if stored.shape is None:
        return True
    if stored.dtype.kind not in "OSU" or not stored.size:
        return False
    values = np.asarray(stored[()], dtype=object).reshape(-1)
    return all(value in (b"NoneType", "NoneType", b"None", "None", b"", "") for value in values)


def _sparse(dense: h5py.Dataset) -> Any:
    """Return a dense matrix, (pixels, components), in compressed sparse columns."""
    from scipy.sparse import csc_matrix, csr_matrix, vstack

    num_pixels = dense.shape[0]
    row_bytes = max(int(np.prod(dense.shape[1:])) * dense.dtype.itemsize, 1)
    step = max(_BLOCK_BYTES // row_bytes, 1)
    blocks = [
        csr_matrix(_real(dense[start : start + step].reshape(min(step, num_pixels - start), -1)))
        for start in range(0, num_pixels, step)
    ]
    if not blocks:
        return csc_matrix((0, int(np.prod(dense.shape[1:]))), dtype=dense.dtype)
    return vstack(blocks).tocsc()


def _real(values: NDArray[Any]) -> NDArray[Any]:
    """Return weights in a type that sparse matrices support."""
    return values.astype(np.float32) if values.dtype in (np.float16, np.bool_) else values


def _not_whole(path: Path, error: BaseException) -> CorruptSourceError:
    return CorruptSourceError(f"'{path}' is not a whole HDF5 file: {error}.")
