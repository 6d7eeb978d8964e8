"""Variables of MATLAB files of version 4, which hold matrices of numbers and texts only."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import attrs

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import COPY_AGAIN

# Of a variable: type, rows, columns, whether it has imaginary parts, and bytes of its name.
_HEAD = 20
# By the digit of tens of the type: double, single, int32, int16, uint16 and uint8.
_ITEM_BYTES = (8, 4, 4, 2, 2, 1)
_NUM_CLASSES, _SPARSE = 3, 2  # numbers, texts, sparse matrices
_MOST_NAME = 256
_BIG_ENDIAN = 1000


@attrs.frozen
class Level4Variable:
    """Head of a variable.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of a sparse matrix, that of the table of its values.
    num_bytes : int
        Of its values.
    is_sparse : bool
    """

    name: str
    shape: tuple[int, int]
    num_bytes: int
    is_sparse: bool


class _HeadError(ValueError):
    """Bytes that are no head of a variable."""


def is_level4(path: Path) -> bool:
    """Return whether a file begins with the head of a variable, as files of version 4 do."""
    try:
        with path.open("rb") as file:
            return _next(file) is not None
    except (OSError, _HeadError):
        return False


def level4_variables(path: Path) -> list[Level4Variable]:
    """Return the variables of a file, without their values.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    CorruptSourceError
        When the file ends within a variable, or has something else than variables.
    """
    size, found = path.stat().st_size, []
    try:
        with path.open("rb") as file:
            while (variable := _next(file)) is not None:
                place = file.tell() + variable.num_bytes
                if place > size:
                    raise _HeadError(
                        f"its variable '{variable.name}' ends at byte {place:,} of {size:,}"
                    )
                found.append(variable)
                file.seek(place)
    except _HeadError as error:
        raise CorruptSourceError(
            f"'{path}' is not a whole MATLAB file: {error}; {COPY_AGAIN}."
        ) from None
    return found


def _next(file: BinaryIO) -> Level4Variable | None:
    """Return the variable whose head is next; None at the end of the file."""
    start = file.tell()
    head = file.read(_HEAD)
    if not head:
        return None
    if len(head) < _HEAD:
        raise _HeadError(f"it ends within a variable, at byte {start + len(head):,}")
    fault = f"there is no variable at byte {start:,}"
    for order in "<>":
        kind, *shape, imaginary, length = struct.unpack(f"{order}5i", head)
        if kind // _BIG_ENDIAN == (order == ">") and 0 <= kind < 2 * _BIG_ENDIAN:
            break
    else:
        raise _HeadError(fault)
    kind %= _BIG_ENDIAN
    digit, matrix = divmod(kind, 10)
    is_head = digit < len(_ITEM_BYTES) and matrix < _NUM_CLASSES and imaginary in (0, 1)
    if not is_head or min(shape) < 0 or not 2 <= length <= _MOST_NAME:
        raise _HeadError(fault)
    name = file.read(length)
    text = name.split(b"\0")[0].decode("ascii", "replace")
    if len(name) < length or not text.isidentifier():
        raise _HeadError(fault)
    num_bytes = shape[0] * shape[1] * _ITEM_BYTES[digit] * (1 + imaginary)
    return Level4Variable(text, (shape[0], shape[1]), num_bytes, matrix == _SPARSE)
