"""Values in a file that CaImAn saved, in the forms in which its versions write them.

CaImAn stores an attribute that is None as the text "NoneType", a sparse matrix as a group with
``data``, ``indices``, ``indptr`` and ``shape``, a number as a dataset without axes, and, since
version 1.10, a text as an attribute of its group. Other programs that rewrite such files leave
null datasets (``h5py.Empty``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.hdf5_values import Hdf5Values
from nwb_ophys.storage.backends.hdf5_claims import check_stored

#: Places of the field, (rows, columns[, planes]), in the order in which they are asked.
DIMS = ("params/data/dims", "dims", "estimates/dims")
RATE = "params/data/fr"

_SPARSE_PARTS = ("data", "indices", "indptr", "shape")
# Bytes of a dense matrix that are searched for weights at a time.
_BLOCK_BYTES = 64_000_000
_NO_NUMBERS = (b"None", b"NoneType")


class EstimatesFile(Hdf5Values):
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
        if path.is_dir():
            raise CorruptSourceError(f"'{path}' is a folder; give the HDF5 file that CaImAn saved.")
        super().__init__(path)

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
            found = csc_matrix(tuple(parts[:3]), shape=tuple(int(size) for size in parts[3]))
            found.sum_duplicates()  # a pixel that a column names twice has the sum
            return found
        dense = self.array(place)
        if dense is None or dense.ndim > 2:
            return None
        return _sparse(dense)

    def _part(self, place: str, name: str) -> NDArray[Any]:
        stored = check_stored(self.file.get(f"{place}/{name}"))
        if not isinstance(stored, h5py.Dataset):
            raise CorruptSourceError(
                f"'{self.path}' is not CaImAn's output: it has no {place}/{name}. Give the HDF5 "
                "file that CaImAn's save() wrote."
            )
        if stored.shape is None:  # null: no values
            return np.zeros(0, stored.dtype)
        return np.asarray(stored[()]).reshape(-1)

    def numbers(self, place: str) -> NDArray[np.float64] | None:
        """Return numbers with an axis, also of texts, which CaImAn makes of a list; or None.

        Those that are None are NaN.
        """
        found = self.array(place)
        if found is not None:
            return np.asarray(found[()])
        stored = self.get(place)
        if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "SO" or not stored.ndim:
            return None
        texts = [each for each in stored[()].reshape(-1).tolist() if isinstance(each, bytes)]
        try:
            values = [np.nan if text in _NO_NUMBERS else float(text) for text in texts]
        except ValueError:
            return None
        return np.array(values).reshape(stored.shape) if len(values) == stored.size else None

    def traces(self, place: str) -> Any:
        """Return traces, (components, samples), of an array or a sparse matrix, or None."""
        stored = self.get(place)
        if isinstance(stored, h5py.Group):
            return self.matrix(place).toarray() if "indptr" in stored else None
        found = self.array(place)
        if found is None or found.ndim > 2:
            return None
        return found if found.ndim == 2 else found[()][None]


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
