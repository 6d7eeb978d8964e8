"""``Fall.mat``: all results of a plane in one MATLAB file, which Suite2p saves on request.

The variables have the names of the other files: ``F``, ``Fneu``, ``spks``, ``iscell``, ``redcell``,
``stat`` as cells of structs, and ``ops`` as a struct. Pixels count from 0, as in the other files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.suite2p.statistics import STATISTICS
from nwb_ophys.paths import PathProbe

if TYPE_CHECKING:
    from nwb_ophys.filetypes.matlab.variables import MatlabStruct

NAME = "Fall.mat"

_NEEDED = frozenset({"F", "ops", "stat"})
# Fields of an ROI that are read.
_FIELDS = ("ypix", "xpix", "lam", "imerge", "inmerge", "manual", *STATISTICS)
# Settings that are lists of texts.
_LISTS = ("filelist", "file_list")


def holds_results(plane: PathProbe) -> bool:
    """Return whether a folder has a ``Fall.mat`` with ROIs, traces and settings."""
    return NAME in plane.file_names and set(variable_shapes(plane)) >= _NEEDED


def variable_shapes(plane: PathProbe) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable of ``Fall.mat``; empty where it cannot be read."""
    # Imported here with h5py, since few folders have such a file.
    from nwb_ophys.filetypes.matlab.structs import ROOT, read_matlab_outline

    outline = plane.within(NAME).read_once(read_matlab_outline) or {}
    return {name: shape or () for name, shape in outline.get(ROOT, {}).items()}


class FallFile:
    """An open ``Fall.mat``.

    Parameters
    ----------
    path : pathlib.Path
    names : sequence of str, optional
        Variables to read from files of version 5 to 7; all by default.

    Raises
    ------
    CorruptSourceError
        When the file is damaged.
    """

    def __init__(self, path: Path, names: Sequence[str] | None = None) -> None:
        from nwb_ophys.filetypes.matlab.variables import MatlabFile

        self.path = path
        self._file = MatlabFile(path, "suite2p", names)

    def array(self, name: str) -> Any:
        """Return an array, read when it is sliced in a file of version 7.3; None if absent."""
        return self._file.variables.array(name, self.path)

    def ops(self) -> dict[str, Any]:
        """Return the settings, without those that are structs themselves."""
        from nwb_ophys.filetypes.matlab.structs import note_objects
        from nwb_ophys.filetypes.matlab.variables import MatlabStruct

        struct = self._file.variables.get("ops")
        if not isinstance(struct, MatlabStruct):
            raise CorruptSourceError(f"'{self.path}' has no struct ops; it may be damaged.")
        note_objects(self.path, struct, struct.names)
        found: dict[str, Any] = {}
        for name in struct.names:
            value = struct.texts(name) if name in _LISTS else _plain(struct.get(name))
            if value is not None:
                found[name] = value
        return found

    def stat(self) -> NDArray[Any]:
        """Return the ROIs as ``stat.npy`` has them, with the fields that are read."""
        structs = self._file.variables.elements("stat")
        if structs is None and 0 in getattr(self._file.variables.get("stat"), "shape", ()):
            structs = []
        if structs is None:
            raise CorruptSourceError(f"'{self.path}' has no list of ROIs, stat; it may be damaged.")
        stat = np.empty(len(structs), dtype=object)
        for index, struct in enumerate(structs):
            stat[index] = {name: _vector(struct, name) for name in _FIELDS if name in struct.names}
        return stat

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _vector(struct: MatlabStruct, name: str) -> NDArray[Any] | None:
    value = struct.get(name)
    return np.asarray(value).reshape(-1) if hasattr(value, "shape") else None


def _plain(value: Any) -> Any:
    """Return a number, a text, a vector or an array as Python has them; None for the rest."""
    if isinstance(value, str) or not hasattr(value, "shape"):
        return value if isinstance(value, str) else None
    if 0 in value.shape:
        return None
    array = np.asarray(value)
    if array.size == 1:
        return array.reshape(-1)[0].item()
    return array.reshape(-1) if 1 in array.shape and array.ndim == 2 else array
