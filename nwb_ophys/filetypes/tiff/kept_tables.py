"""Tables of pages that were read before: of the same file, or of files with the same directory.

The process that detects a recording often reads its metadata and converts it as well. The table of
a file of many pages is kept by the file's identity, so that it is read once. A recording with a
file per frame has equal directories in all of its files: these are compared as bytes, and only the
first is parsed.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock

import attrs

from nwb_ophys.filetypes.tiff.page_table import PageTable

MOST_PAGES = 2_000_000
"""Pages of all kept tables, of 24 bytes each."""

MOST_FILES = 1024
"""Files whose tables are kept."""

_MOST_PATTERNS = 64
_MOST_BYTES = 1 << 16
# The time of a change has steps of some milliseconds, within which a file may change again.
_SETTLED_NS = 100_000_000

Identity = tuple[str, int, int, int, int, int, bool]


def fingerprint(path: Path, state: os.stat_result, only_frames: bool = False) -> Identity | None:
    """Return what changes with the contents of a file; None while it may just have changed.

    Parameters
    ----------
    path : pathlib.Path
    state : os.stat_result
        State of the open file.
    only_frames : bool
        Whether the table is without thumbnails and masks.
    """
    if abs(time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns)) < _SETTLED_NS:
        return None
    where = (str(path), state.st_dev, state.st_ino)
    return (*where, state.st_size, state.st_mtime_ns, state.st_ctime_ns, only_frames)


class KeptTables:
    """The most recently used tables of files with several pages; threads may share it."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Identity, PageTable] = OrderedDict()
        self._num_pages = 0
        self._lock = Lock()

    def get(self, identity: Identity | None) -> PageTable | None:
        """Return the table of a file, or None if it is not kept."""
        with self._lock:
            if identity is None or identity not in self._tables:
                return None
            self._tables.move_to_end(identity)
            return self._tables[identity]

    def keep(self, identity: Identity | None, table: PageTable) -> None:
        """Keep the table of a file; the oldest ones go where there are too many."""
        if identity is None or not 1 < table.num_pages <= MOST_PAGES:
            return
        with self._lock:
            if identity in self._tables:
                return
            for column in (table.data_offsets, table.description_offsets, table.description_sizes):
                column.flags.writeable = False
            self._tables[identity] = table
            self._num_pages += table.num_pages
            while self._num_pages > MOST_PAGES or len(self._tables) > MOST_FILES:
                _, oldest = self._tables.popitem(last=False)
                self._num_pages -= oldest.num_pages


@attrs.frozen(eq=False)
class _Pattern:
    """A file of one page: its table, and the bytes on which the table depends."""

    table: PageTable
    pieces: tuple[tuple[int, bytes], ...]


class Patterns:
    """Directories of files with one page, by the beginning and the size of the file."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[bytes, int], _Pattern] = {}

    def find(
        self, path: Path, head: bytes, file_size: int, read: Callable[[int, int], bytes]
    ) -> PageTable | None:
        """Return the table of a file whose directory is byte for byte that of a file before.

        Parameters
        ----------
        path : pathlib.Path
        head : bytes
            Beginning of the file, with the position of the directory.
        file_size : int
        read : callable
            Returns bytes of the file, by their number and position.
        """
        known = self._patterns.get((head, file_size))
        if known is None or any(
            read(len(piece), position) != piece for position, piece in known.pieces
        ):
            return None
        table = known.table
        size = int(table.description_sizes[0])
        length = min(size, len(table.heading))
        heading = read(length, int(table.description_offsets[0])) if size else b""
        return attrs.evolve(table, path=path, heading=heading)

    def add(
        self,
        table: PageTable,
        head: bytes,
        places: Sequence[tuple[int, int]],
        read: Callable[[int, int], bytes],
    ) -> None:
        """Note the directory of a complete file of one page.

        Parameters
        ----------
        table : PageTable
        head : bytes
        places : sequence of (int, int)
            Number and position of the bytes on which the table depends.
        read : callable
        """
        if table.num_pages != 1 or table.loss or sum(size for size, _ in places) > _MOST_BYTES:
            return
        pieces = tuple((position, read(size, position)) for size, position in places)
        if len(self._patterns) >= _MOST_PATTERNS:
            self._patterns.clear()
        self._patterns[head, table.file_size] = _Pattern(table, pieces)
