"""Reading and writing of an open file from a position."""

from __future__ import annotations

import os


def read_at(descriptor: int, size: int, start: int) -> bytes:
    """Read up to ``size`` bytes of an open file from a position; fewer at its end."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows
    return os.read(descriptor, size)


def write_at(descriptor: int, data: memoryview | bytes, start: int) -> int:
    """Write bytes to an open file from a position; return how many the system took."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows
    return os.write(descriptor, data)


def write_all(descriptor: int, data: memoryview | bytes, start: int) -> None:
    """Write all bytes to an open file from a position.

    Raises
    ------
    OSError
        If the disk refuses a part.
    """
    view, done = memoryview(data), 0
    while done < len(view):
        done += write_at(descriptor, view[done:], start + done)
