"""Values in HDF5 files to which Python programs saved their objects, whatever form they have."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.hdf5 import open_hdf5
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.storage.backends.hdf5_parts import check_complete
from nwb_ophys.trial import try_hdf5

_NONE = (b"NoneType", "NoneType", b"None", "None", b"", "")


class Hdf5Values:
    """An open HDF5 file whose values may be None, null, or attributes in place of datasets.

    A null dataset (``h5py.Empty``) and the text of None count as absent. Scalars and texts may be
    datasets or attributes of their group.

    Parameters
    ----------
    path : pathlib.Path

    Attributes
    ----------
    path : pathlib.Path
    file : h5py.File

    Raises
    ------
    CorruptSourceError
        When the path is not a whole HDF5 file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try_hdf5(path)
        try:
            self.file = open_hdf5(path)
        except OSError as error:
            raise _not_whole(path, error) from error

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Hdf5Values:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, place: str) -> h5py.Dataset | h5py.Group | None:
        """Return a dataset with a value, or a group; None where it is None or absent.

        Parameters
        ----------
        place : str
            Path in the file, such as ``estimates/C``.
        """
        try:
            if place not in self.file:
                return None
            stored = self.file[place]
            if isinstance(stored, h5py.Dataset):
                stored = check_stored(stored)
                if _is_none(stored):
                    return None
                check_complete(stored, self.path)
            elif not isinstance(stored, h5py.Group):  # damage may make a type of a dataset
                raise KeyError(place)
            return stored
        except SourceError:
            raise
        except (OSError, RuntimeError, KeyError, UnicodeError) as error:
            raise CorruptSourceError(
                f"'{self.path}' is not a whole HDF5 file: its member '{place}' cannot be opened. "
                f"To repair it, {COPY_AGAIN}."
            ) from error

    def array(self, place: str) -> h5py.Dataset | None:
        """Return a dataset of numbers with axes, or None."""
        stored = self.get(place)
        if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "iufb":
            return None
        # An empty list has one axis, whatever it is a list of.
        return None if stored.shape in ((), (0,)) else stored

    def holds_other_values(self, place: str) -> bool:
        """Return whether a place has values that are neither None nor real numbers."""
        stored = self.get(place)
        if not isinstance(stored, h5py.Dataset) or not stored.size:
            return False
        return stored.dtype.kind not in "iufb"

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
        return [text for text in texts if isinstance(text, str) and text not in _NONE]


def _is_none(stored: h5py.Dataset) -> bool:
    """Return whether a dataset is null, or is the text of None."""
    if stored.shape is None:
        return True
    if stored.dtype.kind not in "OSU" or not stored.size:
        return False
    values = np.asarray(stored[()], dtype=object).reshape(-1)
    return all(value in _NONE for value in values)


def _not_whole(path: Path, error: BaseException) -> CorruptSourceError:
    return CorruptSourceError(f"'{path}' is not a whole HDF5 file: {error}.")
