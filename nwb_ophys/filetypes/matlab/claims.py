"""Comparison of the sizes that a MATLAB 5 file claims with the bytes that it holds.

SciPy asks for the memory of an array, or of the cells of one, before it reads their values, and
inflates a compressed variable whatever its size.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import COPY_AGAIN

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _SPARSE = 1, 2, 3, 5
_NUMBERS = range(6, 16)
_CHARACTERS = 4
_MOST_DEPTH = 50
_MOST_NAMES = 1 << 20
_BLOCK = 1 << 16
# A byte of zeros is 1/1032 byte of a deflate stream. Variables of this size are never all zeros.
_LARGE, _DENSEST = 1 << 27, 200


class _ClaimError(ValueError):
    """A size that the file cannot hold."""


def check_level5(path: Path, names: Collection[str] | None = None) -> None:
    """Check the sizes of the variables of a MATLAB 5 file; damage of other kinds is left to SciPy.

    Parameters
    ----------
    path : pathlib.Path
    names : collection of str, optional
        The variables that are read; all by default.

    Raises
    ------
    CorruptSourceError
        When a variable claims more values than the file holds.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            file.seek(126)
            order = {b"IM": "<", b"MI": ">"}.get(file.read(2), "<")
            place = _HEADER_BYTES
            while place + 8 <= size:
                file.seek(place)
                kind, length = struct.unpack(f"{order}II", file.read(8))
                if kind == _COMPRESSED:
                    _check_compressed(file, order, min(length, size - place - 8), names)
                elif kind == _MATRIX:
                    _Matrix(_Plain(file), order, names).check(min(length, size - place - 8), 0)
                place += 8 + length
    except _ClaimError as error:
        raise CorruptSourceError(
            f"'{path}' is damaged: {error} It has {size} bytes. To repair it, {COPY_AGAIN}."
        ) from None
    except (struct.error, zlib.error, EOFError):
        return


def _check_compressed(
    file: BinaryIO, order: str, length: int, names: Collection[str] | None
) -> None:
    stream = _Inflated(file, length)
    kind, claimed = struct.unpack(f"{order}II", stream.read(8))
    if kind != _MATRIX:
        return
    matrix = _Matrix(stream, order, names)
    if matrix.is_read(claimed) and claimed > max(_LARGE, length * _DENSEST):
        raise _ClaimError(
            f"its variable '{matrix.name}' claims {claimed} bytes, compressed to {length}."
        )
    if matrix.is_known:
        matrix.check_values(0)


class _Plain:
    """Bytes of a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, number: int) -> bytes:
        """Return the next bytes."""
        data = self._file.read(number)
        if len(data) < number:
            raise EOFError
        return data

    def skip(self, number: int) -> None:
        """Skip the next bytes."""
        self._file.seek(number, 1)


class _Inflated(_Plain):
    """Bytes of a deflate stream in a file, inflated block by block."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        super().__init__(file)
        self._left = length
        self._stream = zlib.decompressobj()

    def read(self, number: int) -> bytes:
        """Return the next bytes."""
        parts = []
        while number:
            part = self._next(number)
            parts.append(part)
            number -= len(part)
        return b"".join(parts)

    def skip(self, number: int) -> None:
        """Skip the next bytes."""
        while number:
            number -= len(self._next(min(number, 1 << 20)))

    def _next(self, most: int) -> bytes:
        while True:
            data = self._stream.unconsumed_tail
            if not data:
                data = self._file.read(min(_BLOCK, self._left))
                self._left -= len(data)
            part = self._stream.decompress(data, most)
            if part:
                return part
            if self._stream.eof or not data:
                raise EOFError


class _Matrix:
    """The header of an array, and the check of its values."""

    def __init__(self, stream: _Plain, order: str, names: Collection[str] | None = None) -> None:
        self._stream, self._order, self._names = stream, order, names
        self.name = ""
        self.is_known = False

    def is_read(self, length: int) -> bool:
        """Read the header of an array of some bytes; return whether its values will be read."""
        self._left = length
        if length < 16:
            return False
        flags = self._element(16)
        shape = self._element(1 << 10)
        self._class = flags[0] if self._order == "<" else flags[3]
        sizes = struct.unpack(f"{self._order}{len(shape) // 4}i", shape[: len(shape) // 4 * 4])
        self._number = math.prod(max(size, 0) for size in sizes)
        self.name = self._element(_MOST_NAMES).decode("latin-1")
        self.is_known = not self._names or self.name in self._names
        return self.is_known

    def check(self, length: int, depth: int) -> None:
        """Check an array of some bytes, and the arrays within it."""
        if self.is_read(length):
            self.check_values(depth)

    def check_values(self, depth: int) -> None:
        """Check the values after the header."""
        if depth > _MOST_DEPTH:
            raise _ClaimError(f"its cells are nested deeper than {_MOST_DEPTH} levels.")
        if self._class == _SPARSE:
            return
        if self._class in (_CHARACTERS, *_NUMBERS):
            kind, length = self._tag()
            # Small integers take a byte each; up to 4 bytes lie within the tag.
            self._require(kind >> 16 or min(length, self._left))
            return
        if self._class not in (_CELL, _STRUCT, _OBJECT):
            return
        number = self._number
        if self._class != _CELL:
            if self._class == _OBJECT:
                self._element(_MOST_NAMES)
            (width,) = struct.unpack(f"{self._order}i", self._element(4)[:4])
            number *= len(self._element(_MOST_NAMES)) // max(width, 1)
        self._require(self._left // 8 if number else 1 << 20, number or self._number)
        for _ in range(number):
            _, length = self._tag()
            _Matrix(self._stream, self._order).check_whole(length, depth + 1)
            self._left -= length

    def check_whole(self, length: int, depth: int) -> None:
        """Check an array of some bytes and move to its end."""
        self.check(length, depth)
        self._stream.skip(self._left)

    def _require(self, most: int, number: int | None = None) -> None:
        number = self._number if number is None else number
        if number > most:
            what = f"its variable '{self.name}'" if self.name else "an array in a variable"
            raise _ClaimError(f"{what} claims {number} values, but has {most} bytes for them.")

    def _tag(self) -> tuple[int, int]:
        self._left -= 8
        kind, length = struct.unpack(f"{self._order}II", self._stream.read(8))
        return kind, length

    def _element(self, most: int) -> bytes:
        """Return the data of a small element; one of up to 4 bytes lies within its tag."""
        tag = self._stream.read(8)
        self._left -= 8
        first, length = struct.unpack(f"{self._order}II", tag)
        if first >> 16:
            return tag[4 : 4 + min(first >> 16, 4)] if self._order == "<" else tag[4:8]
        if length > most:
            raise _ClaimError(f"a part of a header claims {length} bytes.")
        data = self._stream.read(length)
        self._stream.skip(-length % 8)
        self._left -= length + -length % 8
        return data
