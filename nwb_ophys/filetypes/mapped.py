"""Numbers in files of a disk, mapped to memory, and in objects of stores, read by ranges."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nwb_ophys.remote.arrays import StoredRows, whole_array
from nwb_ophys.remote.paths import RemotePath


def mapped_rows(
    path: Path, dtype: DTypeLike, shape: Sequence[int], offset: int = 0, field: str = ""
) -> Any:
    """Return an array in a file, of which what is sliced is read.

    Slices of an array in a store are taken along its first axis; the rows are read as a whole.

    Parameters
    ----------
    path : pathlib.Path
    dtype : dtype-like
    shape : sequence of int
        The first axis is the slowest in the file.
    offset : int
        Position of the first number, in bytes.
    field : str
        Name of the field that is returned, if the type is one of records, one for each row.
    """
    if isinstance(path, RemotePath):
        return StoredRows(path, np.dtype(dtype), shape, offset, field)
    found = np.memmap(path, dtype, "r", offset, tuple(shape))
    return found[field] if field else found


def mapped_whole(path: Path, dtype: DTypeLike, shape: Sequence[int], offset: int = 0) -> Any:
    """Return an array in a file that is not read row by row; one in a store is fetched.

    Parameters
    ----------
    path : pathlib.Path
    dtype : dtype-like
    shape : sequence of int
    offset : int
        Position of the first number, in bytes.
    """
    if isinstance(path, RemotePath):
        return whole_array(path, np.dtype(dtype), shape, offset)
    return np.memmap(path, dtype, "r", offset, tuple(shape))
