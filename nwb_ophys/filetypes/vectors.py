"""One vector of numbers, such as times or the trace of a channel, from a file of any common type.

Numbers of HDF5, ``.npy`` and MATLAB 7.3 files stay in the file until they are sliced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceError, first_of, shown
from nwb_ophys.filetypes.datetime_texts import is_datetime, parse_datetimes
from nwb_ophys.filetypes.files import require_file
from nwb_ophys.timing import UNITS, Datetimes, as_nanoseconds

if TYPE_CHECKING:
    from nwb_ophys.filetypes.vector_members import Members

_INDEXED = re.compile(r"(.*?)\[(\d+)\]")
_MOST_LISTED = 12
_BLOCK = 1 << 20
# Names by which programs call the times of samples, without their units.
_TIME_NAMES = re.compile(
    r"(frames?[ _]?)?(time|times|timestamp|timestamps|t|ts|tstamps?)|date[ _]?times?", re.IGNORECASE
)


@attrs.frozen(kw_only=True, eq=False)
class Vector:
    """A vector in a file.

    Attributes
    ----------
    label : str
        The file and the name within, for messages.
    name : str
        Name of the column, variable or dataset; empty where it has none.
    values : array-like, shape (values,)
        Numbers or booleans, read where they are sliced.
    unit : str or None
        Unit that the file states as an attribute.
    in_utc : bool or None
        For nanoseconds from 1970 that dates and times were made of, whether they are in UTC or
        without a time zone; None for other numbers.
    """

    label: str
    name: str
    values: Any
    unit: str | None = None
    in_utc: bool | None = None

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def blocks(self) -> Iterator[NDArray[Any]]:
        """Yield the values in blocks of at most a million."""
        for start in range(0, len(self), _BLOCK):
            yield np.asarray(self.values[start : start + _BLOCK])


@contextmanager
def opened_vector(
    path: Path, name: str | None = None, *, names: re.Pattern[str] = _TIME_NAMES
) -> Iterator[Vector]:
    """Open a vector, which can be read within the block.

    Parameters
    ----------
    path : pathlib.Path
        A table in a text file, a ``.npy`` or ``.npz`` file, a MATLAB file, or an HDF5 file.
    name : str, optional
        Name of the column, variable or dataset; ``name[2]`` is a row or column of one with two
        axes, ``2`` one of a file without names. Counted from 0. By default the only vector, or else
        the only one whose name fits ``names``.
    names : re.Pattern
        Names that are meant where none is given.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError
        If the file does not exist, or cannot be read.
    SourceError
        If there is no such vector, or if it is not clear which one is meant; lists those there are.
    """
    # Imported here with h5py, since most conversions are given no file of times.
    from nwb_ophys.filetypes.hdf5_values import Hdf5Values
    from nwb_ophys.filetypes.matlab.variables import MatlabFile
    from nwb_ophys.filetypes.vector_members import Hdf5Members, MatlabMembers, members_in_memory
    from nwb_ophys.storage.backends.hdf5_opening import is_hdf5

    require_file(path, "a file of numbers", folder_error=CorruptSourceError)
    if path.suffix.lower() == ".mat":
        file = MatlabFile(path, "extract")
        try:
            yield _chosen(MatlabMembers(path, file.variables), name, names)
        finally:
            file.close()
    elif is_hdf5(path):
        with Hdf5Values(path) as opened:
            yield _chosen(Hdf5Members(path, opened), name, names)
    else:
        yield _chosen(members_in_memory(path), name, names)


def _chosen(members: Members, name: str | None, names: re.Pattern[str]) -> Vector:
    """Return the vector that is meant."""
    if name is None:
        name = _meant(members, names)
    index = None
    if name not in members:
        match = _INDEXED.fullmatch(name)
        if match is not None:
            name, index = match[1], int(match[2])
        elif name.isdecimal() and "" in members:
            name, index = "", int(name)
    if name not in members:
        raise SourceError(
            members.unreadable(name)
            or f"'{members.path}' has no {members.kind} '{name}'{_that_are_there(members)}"
        )
    values = members[name]
    named = name if index is None else f"{name}[{index}]"
    label = f"{members.kind}{f' {named!r}' if named else ''} of '{members.path}'"
    in_utc = members.in_utc(name) if values.dtype.kind == "M" else None
    if in_utc is not None:
        values = as_nanoseconds(values, f"The values of the {label}")
    elif values.dtype.kind in "OSU":
        dated = _datetimes_of(_one_axis(values, index, label), label)
        values, in_utc, index = dated.nanoseconds, dated.in_utc, None
    if values.dtype.kind not in "biuf":
        raise SourceError(f"The {label} is of type {values.dtype}, not of numbers.")
    return Vector(
        label=label,
        name=name,
        values=_one_axis(values, index, label),
        unit=members.unit(name),
        in_utc=in_utc,
    )


def _datetimes_of(values: NDArray[Any], label: str) -> Datetimes:
    """Return the dates and times that texts state.

    Raises
    ------
    SourceError
        If they are something else.
    """
    found = [e.decode("utf-8", "replace") if isinstance(e, bytes) else e for e in values[:]]
    texts = [each.strip() if isinstance(each, str) else "" for each in found]
    if not texts or not is_datetime(texts[0]):
        said = f"texts such as {shown(texts[0])}" if texts and texts[0] else "other values"
        raise SourceError(
            f"The {label} has {said}, not numbers, nor dates and times in the form of ISO 8601, "
            "such as 2024-05-17T14:30:00.125. Write one of these, or name another."
        )
    return parse_datetimes(texts, (f"The {label}, index {i}" for i in range(len(texts))))


def _meant(members: Members, names: re.Pattern[str]) -> str:
    """Return the name of the only vector, or of the only one with such a name."""
    vectors = [name for name in members if _is_vector(members.shape(name))]
    named = [name for name in vectors if names.fullmatch(bare_name(name))]
    texts = [name for name in members.texts if names.fullmatch(bare_name(name))]
    objects = [members.unreadable(name) for name in texts]
    texts = [name for name in texts if name in members and _is_vector(members.shape(name))]
    if not named and not texts and any(objects):
        raise SourceError(next(filter(None, objects)))
    if texts:
        vectors = named + texts
    if len(vectors) == 1:
        return vectors[0]
    if list(members) == [""]:
        return ""
    named = [name for name in vectors if names.fullmatch(bare_name(name))]
    if len(named) == 1:
        return named[0]
    if not vectors and (reason := members.unreadable(None)) is not None:
        raise SourceError(reason)
    if not any(True for _ in members):
        raise SourceError(
            f"'{members.path}' has no {members.kind} of numbers; cells and objects are not read. "
            "Save the values as a vector of numbers."
        )
    raise SourceError(
        f"It is not clear which {members.kind} of '{members.path}' is meant"
        f"{_that_are_there(members)} Name one after two colons, as in "
        f"{members.path.name}::{(named or vectors or ['NAME'])[0]}."
    )


def bare_name(name: str) -> str:
    """Return the last part of a name, without a unit behind it."""
    return split_unit(name.rstrip("/").rpartition("/")[2])[0]


_UNIT_BEHIND = re.compile(r"(.*?)\s*(?:[(\[]\s*([^)\]]+?)\s*[)\]]|[ _/]\s*([^\W\d_]+))")


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a name and the unit behind it: ``time (ms)``, ``time [ms]``, ``time_ms``, ``time/ms``.

    Parameters
    ----------
    name : str

    Returns
    -------
    name : str
    unit : str or None
        The text in brackets, or the last word if it is a unit of time; None without any.
    """
    match = _UNIT_BEHIND.fullmatch(name.strip())
    if match is None:
        return name.strip(), None
    if match[2] is not None:
        return match[1], match[2]
    return (match[1], match[3]) if match[3].lower() in UNITS else (name.strip(), None)


def _is_vector(shape: Sequence[int]) -> bool:
    return len(shape) > 0 and max(shape) == int(np.prod(shape)) and max(shape) > 1


def _that_are_there(members: Members) -> str:
    shown = [
        f"'{name}' {members.shape(name)}" if name else f"an array of {members.shape(name)}"
        for name in members
    ]
    return f": it has {first_of(shown, _MOST_LISTED) or 'none of numbers'}."


def _one_axis(values: Any, index: int | None, label: str) -> Any:
    """Return a vector; of an array with two axes the row or column of an index."""
    shape = tuple(int(size) for size in values.shape)
    if index is None and len(shape) == 1:
        return values
    if index is None and _is_vector(shape):
        return np.asarray(values[:]).reshape(-1)
    if len(shape) != 2 or index is None:
        raise SourceError(
            f"The {label} has the shape {shape}; name one of its rows or columns by an index from "
            "0 in brackets, as in NAME[0]."
        )
    axis = int(np.argmax(shape))
    if index >= shape[1 - axis]:
        raise SourceError(
            f"The {label} has the shape {shape}, so that there is no [{index}]; the indices are 0 "
            f"to {shape[1 - axis] - 1}."
        )
    return _Line(values, axis, index)


class _Line:
    """A row or column of an array in a file, read where it is sliced."""

    def __init__(self, values: Any, axis: int, index: int) -> None:
        self._values, self._axis, self._index = values, axis, index
        self.shape, self.dtype = (int(values.shape[axis]),), values.dtype

    def __getitem__(self, selection: slice) -> NDArray[Any]:
        key = (selection, self._index) if self._axis == 0 else (self._index, selection)
        return np.asarray(self._values[key]).reshape(-1)


def whole(vector: Vector, most: int) -> NDArray[Any]:
    """Return all values of a vector in memory.

    Raises
    ------
    SourceError
        If there are more than `most`.
    """
    if len(vector) > most:
        raise SourceError(
            f"The {vector.label} has {len(vector):,} values; at most {most:,} are read."
        )
    return np.asarray(vector.values[:])
