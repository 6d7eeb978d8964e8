"""MATLAB files of version 7.3, which are HDF5 files, and of version 5.

See https://www.mathworks.com/help/matlab/import_export/mat-file-versions.html. In HDF5 the axes are
reversed; a struct is a group, a text is an array of codes, and an empty array is its shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
import h5py  # type: ignore[import-untyped]
import numpy as np

from nwb_ophys.simulation.recording import Array

MatlabVersion = Literal["7.3", "5"]

_HEADER = "MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Fri May 17 14:30:00 2024"
_USER_BLOCK_BYTES = 512
_CLASSES = {"f8": "double", "f4": "single", "b1": "logical"}
# MATLAB compresses larger arrays.
_LARGE_BYTES = 10_000


@attrs.frozen(eq=False)
class Sparse:
    """Array of two axes that is stored as a sparse matrix."""

    values: Array


def write_matlab(path: Path, variables: Mapping[str, Any], version: MatlabVersion) -> Path:
    """Write variables as MATLAB saves them.

    Parameters
    ----------
    path : pathlib.Path
        The ``.mat`` file; an existing one is overwritten.
    variables : Mapping
        Values by name: numbers, arrays with MATLAB's order of axes, texts, `Sparse` matrices, and
        Mappings, which become structs.
    version : {"7.3", "5"}
        Version of the file format.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    if version == "5":
        from scipy.io import savemat

        savemat(path, _level5(variables), do_compression=True)
        return path
    with h5py.File(path, "w", userblock_size=_USER_BLOCK_BYTES) as file:
        _write_struct(file, variables)
    with path.open("r+b") as header:
        header.write(_HEADER.ljust(116).encode() + bytes(8) + b"\x00\x02IM")
    return path


def _as_array(value: Any) -> Array:
    """Return a value with at least two axes and without trailing axes of length 1."""
    array = np.atleast_2d(np.asarray(value))
    array = array.astype(np.float64) if array.dtype.kind == "i" else array
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    return array


def _level5(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _level5(each) for name, each in value.items()}
    if isinstance(value, Sparse):
        from scipy.sparse import csc_matrix

        return csc_matrix(value.values)
    return value if isinstance(value, str) else _as_array(value)


def _write_struct(group: h5py.Group, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            inner = group.create_group(name)
            inner.attrs["MATLAB_class"] = np.bytes_("struct")
            _write_struct(inner, value)
        elif isinstance(value, Sparse):
            _write_sparse(group.create_group(name), value.values)
        elif isinstance(value, str):
            codes = np.array([[ord(letter)] for letter in value], dtype=np.uint16)
            _write_array(group, name, codes.T, "char")
        else:
            array = _as_array(value)
            _write_array(group, name, array, _CLASSES.get(array.dtype.str[1:], str(array.dtype)))


def _write_array(group: h5py.Group, name: str, array: Array, matlab_class: str) -> None:
    if array.size == 0:
        dataset = group.create_dataset(name, data=np.array(array.shape, dtype=np.uint64))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        stored = array.T.astype(np.uint8) if array.dtype == bool else array.T
        options = {"compression": 3, "chunks": True} if array.nbytes > _LARGE_BYTES else {}
        dataset = group.create_dataset(name, data=stored, **options)
    dataset.attrs["MATLAB_class"] = np.bytes_(matlab_class)


def _write_sparse(group: h5py.Group, values: Array) -> None:
    group.attrs["MATLAB_class"] = np.bytes_("double")
    group.attrs["MATLAB_sparse"] = np.uint64(len(values))
    column, row = np.nonzero(values.T)
    counts = np.bincount(column, minlength=values.shape[1])
    group["jc"] = np.append(0, np.cumsum(counts)).astype(np.uint64)
    if len(row):  # MATLAB writes neither for a matrix of zeros
        group["ir"] = row.astype(np.uint64)
        group["data"] = values[row, column].astype(np.float64)
