"""Changes of HDF5 files of formats, as tests make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py


def edit_hdf5(path: Path, **values: Any) -> None:
    """Replace objects of a file; None takes them out, and two underscores part groups."""
    with h5py.File(path, "r+") as file:
        for name, value in values.items():
            name = name.replace("__", "/")
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value
