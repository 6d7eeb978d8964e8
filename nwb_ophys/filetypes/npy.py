"""Arrays in ``.npy`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceNotFoundError


def load_npy(path: Path, *, allow_pickle: bool = False) -> NDArray[Any]:
    """Open a ``.npy`` file, as a memory map where it holds plain numbers.

    Parameters
    ----------
    path : pathlib.Path
    allow_pickle : bool
        Whether it may hold Python objects, which can run code when they are loaded.

    Raises
    ------
    SourceNotFoundError
        When it is not there.
    CorruptSourceError
        When it is truncated, or no ``.npy`` file.
    """
    if path.is_dir():
        raise CorruptSourceError(f"'{path}' is a folder; give a .npy file.")
    if not path.is_file():
        raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    try:
        if not allow_pickle:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        return np.load(path, allow_pickle=True)  # type: ignore[no-any-return]
    except Exception as error:  # unpickling a damaged file can raise anything
        raise CorruptSourceError(
            f"'{path}' cannot be read as a .npy file: {error}. It may be damaged or incomplete."
        ) from error
