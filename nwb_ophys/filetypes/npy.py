"""Arrays in ``.npy`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import require_file, unreadable_file


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
        return np.load(path, allow_pickle=True)  # type: ignore[no-any-return]
    except Exception as error:  # unpickling a damaged file can raise anything
        raise unreadable_file(path, "a .npy file", error) from error
