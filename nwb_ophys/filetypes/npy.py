"""Arrays in ``.npy`` files."""

from __future__ import annotations

import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import require_file, unreadable_file

# Paths of another operating system cannot be made; their pure forms can.
_PURE_PATHS = {"WindowsPath": "PureWindowsPath", "PosixPath": "PurePosixPath"}


class _Unpickler(pickle.Unpickler):
    """Unpickler that reads paths of any operating system, as paths without a file system."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "pathlib" and name in _PURE_PATHS:
            return getattr(pathlib, _PURE_PATHS[name])
        return super().find_class(module, name)


def _load_objects(path: Path) -> NDArray[Any]:
    """Load a file that may hold Python objects, among them paths of another operating system."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            dtype = read(file)[2] if read is not None else None
        except ValueError:
            dtype = None
        if dtype is None or not dtype.hasobject:
            return np.load(path, allow_pickle=True)  # type: ignore[no-any-return]
        return np.asarray(_Unpickler(file, encoding="ASCII").load())


def load_npy(path: Path, *, allow_pickle: bool = False) -> NDArray[Any]:
    """Open a ``.npy`` file, as a memory map if it holds plain numbers.

    Parameters
    ----------
    path : pathlib.Path
    allow_pickle : bool
        Whether it may hold Python objects, which can run code when they are loaded.

    Raises
    ------
    SourceNotFoundError
        When it does not exist.
    CorruptSourceError
        When it is truncated, or is not a ``.npy`` file.
    """
    require_file(path, "a .npy file", folder_error=CorruptSourceError)
    try:
        if not allow_pickle:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        return _load_objects(path)
    except Exception as error:  # unpickling a damaged file can raise anything
        raise unreadable_file(path, "a .npy file", error) from error
