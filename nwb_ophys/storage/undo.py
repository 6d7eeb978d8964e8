"""Logs of the earlier contents of a file that changes, from which it returns to its state before.

A log is a file beside the one that changes. Each of its records has a checksum. A record is on the
disk before the bytes that it secures are overwritten, so that only the last one can be torn.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from nwb_ophys.storage.flushing import sync

Head = dict[str, Any]
Range = tuple[int, int]

_MAGIC = b"UNDO"
# Magic, size of the head, size of the contents, and checksum of both.
_PREFIX = struct.Struct("<4sIQQ")
# Larger ranges take several records.
LARGEST_RECORD = 16 << 20


class DamagedLogError(OSError):
    """A log that was damaged after it was written."""


class UndoLog:
    """A log to which records are added.

    Parameters
    ----------
    path : pathlib.Path
        Place of the log; until :meth:`place` is called, the log has another name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._new = unfinished(path)
        self._file = self._new.open("wb")

    def add(self, head: Head, contents: bytes = b"") -> None:
        """Add a record."""
        text = json.dumps(head, separators=(",", ":")).encode()
        prefix = _PREFIX.pack(_MAGIC, len(text), len(contents), _checksum(text, contents))
        self._file.write(prefix + text)
        self._file.write(contents)

    def add_ranges(self, source: BinaryIO, ranges: Iterable[Range]) -> None:
        """Add ranges of an open file."""
        for group in _grouped(ranges):
            parts = []
            for start, stop in group:
                source.seek(start)
                parts.append(source.read(stop - start))
            self.add({"ranges": group}, b"".join(parts))

    def sync(self) -> None:
        """Put all records on the disk."""
        self._file.flush()
        sync(self._file.fileno())

    def place(self) -> None:
        """Put the log, as it is now, in its place, where records can be added to it."""
        self.sync()
        self._file.close()  # Windows renames no open file
        self._new.replace(self.path)
        self._file = self.path.open("ab")

    def close(self) -> None:
        """Close the log."""
        self._file.close()


def unfinished(path: Path) -> Path:
    """Return the name of a log before it is in its place."""
    return path.with_name(f"{path.name}.new")


def _checksum(head: bytes, contents: bytes) -> int:
    hasher = xxhash.xxh3_64(head)
    hasher.update(contents)
    return hasher.intdigest()


def records(path: Path) -> Iterator[tuple[Head, bytes]]:
    """Yield the head and the contents of each record of a log, up to one that is torn.

    Raises
    ------
    DamagedLogError
        If a record differs from its checksum although others follow it.
    OSError
        If the log cannot be read.
    """
    with path.open("rb") as file:
        start = 0
        while (found := _record(file, start)) is not None:
            head, contents, start = found
            yield head, contents
        file.seek(start)
        rest = file.read()
        places = (match.start() for match in re.finditer(re.escape(_MAGIC), rest))
        if any(_record(file, start + place) is not None for place in places):
            raise DamagedLogError(f"'{path}' is damaged.")


def _record(file: BinaryIO, start: int) -> tuple[Head, bytes, int] | None:
    """Return the head, the contents and the end of the record at a position, or None."""
    size = os.fstat(file.fileno()).st_size
    file.seek(start)
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        return None
    magic, head_size, contents_size, checksum = _PREFIX.unpack(prefix)
    if magic != _MAGIC or file.tell() + head_size + contents_size > size:
        return None
    text, contents = file.read(head_size), file.read(contents_size)
    if _checksum(text, contents) != checksum:
        return None
    return json.loads(text), contents, file.tell()


def _grouped(ranges: Iterable[Range]) -> Iterator[list[Range]]:
    """Yield the ranges, and parts of large ones, in groups that make a record each."""
    group: list[Range] = []
    room = LARGEST_RECORD
    for start, stop in ranges:
        while start < stop:
            end = min(stop, start + room)
            group.append((start, end))
            room -= end - start
            start = end
            if not room:
                yield group
                group, room = [], LARGEST_RECORD
    if group:
        yield group


def ranges_in(log: Path) -> Iterator[tuple[int, bytes]]:
    """Yield start and contents of each range in a log.

    Raises
    ------
    OSError
        See :func:`records`.
    """
    for head, contents in records(log):
        position = 0
        for start, stop in head.get("ranges", ()):
            yield start, contents[position : position + stop - start]
            position += stop - start


def write_ranges(path: Path, log: Path) -> None:
    """Write the ranges of a log to their file, where they differ.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    with path.open("r+b") as file:
        for start, before in ranges_in(log):
            file.seek(start)
            if file.read(len(before)) != before:
                file.seek(start)
                file.write(before)
        file.flush()
        sync(file.fileno())


# --- the state of one moment --------------------------------------------------------------------


def write_undo(undo: Path, source: Path, number: int, gaps: Sequence[Range]) -> None:
    """Copy parts of a file, and put the copy on the disk in one step.

    Parameters
    ----------
    undo : pathlib.Path
        Place of the copy; the former one is replaced.
    source : pathlib.Path
    number : int
        Number of the state.
    gaps : sequence of (int, int)
        Start and size of the parts.
    """
    log = UndoLog(undo)
    try:
        log.add({"number": number, "size": sum(size for _, size in gaps)})
        with source.open("rb") as file:
            log.add_ranges(file, ((start, start + size) for start, size in gaps))
        log.place()
    finally:
        log.close()


def undo_number(undo: Path) -> int | None:
    """Return the number of the state to which a file returns; None without an intact copy."""
    with suppress(OSError):
        head, size = None, 0
        for each, contents in records(undo):
            head, size = head or each, size + len(contents)
        if head is not None and head["size"] == size:
            return int(head["number"])
    return None


def restore(path: Path, undo: Path) -> None:
    """Return a file to the state of a copy.

    Raises
    ------
    OSError
        If there is no intact copy, or the file cannot be written.
    """
    if undo_number(undo) is None:
        raise OSError(f"'{undo}' is damaged or absent.")
    write_ranges(path, undo)


def remove_undo(undo: Path) -> None:
    """Remove a copy, and one that was being written."""
    undo.unlink(missing_ok=True)
    unfinished(undo).unlink(missing_ok=True)
