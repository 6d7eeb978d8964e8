"""Copies of the bytes of a file that may change next, so that it returns to its state of now."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import xxhash

_HEAD = 16


def _digits(contents: bytes) -> bytes:
    return b"%016x" % xxhash.xxh3_64_intdigest(contents)


def write_undo(undo: Path, source: Path, number: int, gaps: Sequence[tuple[int, int]]) -> None:
    """Copy parts of a file, and put the copy on the disk in one step.

    Parameters
    ----------
    undo : pathlib.Path
        Place of the copy; the former one is replaced.
    source : pathlib.Path
    number : int
        Number of the state.
    gaps : sequence of (int, int)
        Offset and size of the parts.
    """
    parts = [json.dumps({"number": number, "gaps": list(gaps)}).encode() + b"\n"]
    with source.open("rb") as file:
        for start, size in gaps:
            file.seek(start)
            parts.append(file.read(size))
    contents = b"".join(parts)
    new = undo.with_name(f"{undo.name}.new")
    with new.open("wb") as copy:
        copy.write(_digits(contents) + contents)
        copy.flush()
        os.fsync(copy.fileno())
    new.replace(undo)


def _read(undo: Path) -> tuple[dict[str, Any], bytes] | None:
    with suppress(OSError, ValueError):
        raw = undo.read_bytes()
        contents = raw[_HEAD:]
        if raw[:_HEAD] == _digits(contents):
            head, _, rest = contents.partition(b"\n")
            return json.loads(head), rest
    return None


def undo_number(undo: Path) -> int | None:
    """Return the number of the state to which a file returns; None without an intact copy."""
    found = _read(undo)
    return None if found is None else int(found[0]["number"])


def restore(path: Path, undo: Path) -> None:
    """Return a file to the state of a copy.

    Raises
    ------
    OSError
        If there is no intact copy, or the file cannot be written.
    """
    found = _read(undo)
    if found is None:
        raise OSError(f"'{undo}' is damaged or absent.")
    position = 0
    with path.open("r+b") as file:
        for start, size in found[0]["gaps"]:
            before = found[1][position : position + size]
            position += size
            file.seek(start)
            if file.read(size) != before:
                file.seek(start)
                file.write(before)
        file.flush()
        os.fsync(file.fileno())


def remove_undo(undo: Path) -> None:
    """Remove a copy, and one that was being written."""
    undo.unlink(missing_ok=True)
    undo.with_name(f"{undo.name}.new").unlink(missing_ok=True)
