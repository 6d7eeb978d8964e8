"""The journal of a write: the chunks in its incomplete file, so that it can be resumed.

The journal is a text file beside the incomplete file. Its first line states the source and the plan
of the write, and each other line commits the chunks that were stored since the line before. Each
line begins with its own hash, so that a torn line is recognised. It also keeps, per chunk, the hash
of the values, from which the hash of the whole dataset is made when the write is resumed.
"""

from __future__ import annotations

import base64
import json
import math
import os
import queue
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import xxhash
from numpy.typing import NDArray

from nwb_ophys.storage.flushing import flush_names, sync
from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.hashes import DIGEST_BYTES, BlockDigests
from nwb_ophys.storage.undo import undo_number

FORMAT = "nwb_ophys journal 1"
# Windows would add a byte to the end of each line, against which the checksums are.
_WRITE = os.O_WRONLY | getattr(os, "O_BINARY", 0)

EMPTY = -1
"""Size of a chunk that is not stored, since a reader gets the same values without it."""
UNKNOWN = -2
"""Size of a chunk that HDF5 encoded itself, so that its bytes are not known here."""


def checksum(data: Any) -> int:
    """Return a hash of stored bytes, 64 bits long."""
    return xxhash.xxh3_64_intdigest(data)


@attrs.frozen(kw_only=True)
class Entries:
    """Chunks of one dataset in the journal; four arrays of equal length.

    Attributes
    ----------
    index : numpy.ndarray of int64
        Positions of the chunks in C order.
    size : numpy.ndarray of int64
        Numbers of stored bytes, or :data:`EMPTY`, or :data:`UNKNOWN`.
    checksum : numpy.ndarray of uint64
        Hashes of the stored bytes.
    digest : numpy.ndarray of uint8, shape (chunks, 16)
        Hashes of the values; zeros for a chunk that is not stored.
    """

    index: NDArray[np.int64]
    size: NDArray[np.int64]
    checksum: NDArray[np.uint64]
    digest: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.index)

    def to_dict(self) -> dict[str, str]:
        """Return the entries as texts."""
        names = ("index", "size", "checksum", "digest")
        raw = {name: zlib.compress(getattr(self, name), 1) for name in names}
        return {name: base64.b64encode(each).decode() for name, each in raw.items()}

    @classmethod
    def from_dict(cls, given: Mapping[str, str]) -> Entries:
        """Return the entries that :meth:`to_dict` described."""
        raw = {name: zlib.decompress(base64.b64decode(text)) for name, text in given.items()}
        return cls(
            index=np.frombuffer(raw["index"], np.int64),
            size=np.frombuffer(raw["size"], np.int64),
            checksum=np.frombuffer(raw["checksum"], np.uint64),
            digest=np.frombuffer(raw["digest"], np.uint8).reshape(-1, DIGEST_BYTES),
        )

    def only(self, kept: Any) -> Entries:
        """Return a part of the entries, chosen by indices or a mask."""
        names = ("index", "size", "checksum", "digest")
        return Entries(**{name: getattr(self, name)[kept] for name in names})


class ChunkProgress:
    """Chunks of one dataset: those committed by an earlier run, and those finished in this run.

    Parameters
    ----------
    location : str
        Path of the dataset in the file.
    shape, chunk_shape : tuple of int
    digests : BlockDigests
        Hashes of the values of its chunks.
    """

    def __init__(
        self, location: str, shape: Shape, chunk_shape: Shape, digests: BlockDigests
    ) -> None:
        self.location, self._chunk_shape, self._digests = location, chunk_shape, digests
        self._shape = shape
        self._counts = tuple(-(-n // step) for n, step in zip(shape, chunk_shape, strict=True))
        self._is_committed: NDArray[np.bool_] | None = None
        # Threads share these without a lock: their operations are atomic.
        self._finished: queue.SimpleQueue[Selection] = queue.SimpleQueue()
        self._stored: dict[int, tuple[int, int]] = {}
        self._held: dict[int, None] = {}
        self._left: NDArray[np.int64] = np.zeros(0, np.int64)
        self.is_recording = True

    @property
    def num_chunks(self) -> int:
        """Number of all chunks."""
        return math.prod(self._counts)

    @property
    def num_values(self) -> int:
        """Number of values in the committed chunks."""
        if self._is_committed is None:
            return 0
        index = np.unravel_index(np.flatnonzero(self._is_committed), self._counts)
        sizes = [
            np.minimum(step, size - at * step)
            for at, step, size in zip(index, self._chunk_shape, self._shape, strict=True)
        ]
        return int(np.prod(sizes, axis=0, dtype=np.int64).sum())

    @property
    def has_committed(self) -> bool:
        """Return whether an earlier run committed chunks."""
        return self._is_committed is not None

    def corner(self, index: int) -> Shape:
        """Return the lowest index of a chunk by its position."""
        at = np.unravel_index(index, self._counts)
        return tuple(int(i) * step for i, step in zip(at, self._chunk_shape, strict=True))

    def is_committed(self, corner: Shape) -> bool:
        """Return whether an earlier run committed a chunk, by its lowest index."""
        return self._is_committed is not None and bool(self._is_committed[self._index(corner)])

    def num_committed(self, bounds: Selection) -> tuple[int, int]:
        """Return the number of committed chunks within bounds, and of all chunks there."""
        within = self._indices(bounds)
        done = 0 if self._is_committed is None else int(self._is_committed[within].sum())
        return done, len(within)

    def restore(self, entries: Entries) -> None:
        """Take over chunks that an earlier run committed."""
        if self._is_committed is None:
            self._is_committed = np.zeros(self.num_chunks, bool)
        self._is_committed[entries.index] = True
        stored = entries.only(entries.size != EMPTY)
        self._digests.restore(stored.index, stored.digest)

    def note(self, corner: Shape, stored: Any) -> None:
        """Note the stored bytes of a chunk, or None if they are not known."""
        if self.is_recording:
            known = (UNKNOWN, 0) if stored is None else (_length(stored), checksum(stored))
            self._stored[self._index(corner)] = known
            self._held.pop(self._index(corner), None)

    def hold(self, corner: Shape) -> None:
        """Note that a chunk waits for others before it is stored, which :meth:`note` ends."""
        if self.is_recording:
            self._held[self._index(corner)] = None

    def receive(self, entries: Entries) -> None:
        """Note chunks that another process stored; :meth:`finish` follows."""
        if self.is_recording:
            pairs = zip(entries.size.tolist(), entries.checksum.tolist(), strict=True)
            known = dict(zip(entries.index.tolist(), pairs, strict=True))
            self._stored.update(known)

    def finish(self, bounds: Selection) -> None:
        """Note that all chunks within bounds are stored, or wait, or need not be stored."""
        if self.is_recording:
            self._finished.put(bounds)

    def stop_recording(self) -> None:
        """Forget what was finished, and take no notes any more."""
        self.is_recording = False
        self._finished, self._stored, self._held = queue.SimpleQueue(), {}, {}

    def take(self) -> Entries:
        """Return the chunks that were finished since the last call, without those that wait."""
        found: list[NDArray[np.int64]] = [self._left]
        with suppress(queue.Empty):
            while True:
                found.append(self._indices(self._finished.get_nowait()))
        index = np.concatenate(found)
        if self._is_committed is not None:
            index = index[~self._is_committed[index]]
        waits = np.array([each in self._held for each in index.tolist()], bool)
        self._left, index = index[waits], index[~waits]
        notes = [self._stored.pop(each, (EMPTY, 0)) for each in index.tolist()]
        return Entries(
            index=index,
            size=np.array([size for size, _ in notes], np.int64),
            checksum=np.array([value for _, value in notes], np.uint64),
            digest=self._digests.at(index),
        )

    def _index(self, corner: Shape) -> int:
        position = 0
        for start, step, count in zip(corner, self._chunk_shape, self._counts, strict=True):
            position = position * count + start // step
        return position

    def _indices(self, bounds: Selection) -> NDArray[np.int64]:
        axes = [
            np.arange(bound.start // step, -(-bound.stop // step))
            for bound, step in zip(bounds, self._chunk_shape, strict=True)
        ]
        return np.ravel_multi_index(np.ix_(*axes), self._counts).ravel().astype(np.int64)


def _length(stored: Any) -> int:
    return memoryview(stored).nbytes


def undo_of(journal: Path) -> Path:
    """Return the place of the copy from which the file of a journal returns to a commit."""
    return journal.with_name(f"{journal.name}.undo")


class JournalFile:
    """A journal that is being written.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def create(self, header: Mapping[str, Any], first: Mapping[str, Any]) -> None:
        """Begin a new journal with its first commit."""
        self._handle = os.open(self.path, _WRITE | os.O_CREAT | os.O_TRUNC, 0o666)
        self.append({"format": FORMAT, **header}, first)
        flush_names(self.path.parent)

    def continue_from(self, length: int) -> None:
        """Continue an earlier journal after its first bytes; the rest is torn."""
        self._handle = os.open(self.path, _WRITE)
        os.ftruncate(self._handle, length)
        os.lseek(self._handle, length, os.SEEK_SET)

    @property
    def is_open(self) -> bool:
        """Return whether there is a journal."""
        return self._handle is not None

    def append(self, *contents: Mapping[str, Any]) -> None:
        """Add lines, and put them on the disk."""
        assert self._handle is not None
        texts = [json.dumps(each, separators=(",", ":")).encode() for each in contents]
        left = memoryview(b"".join(b"%016x %s\n" % (checksum(text), text) for text in texts))
        while left:
            left = left[os.write(self._handle, left) :]
        sync(self._handle)

    def close(self) -> None:
        """Close the file, whose lines are on the disk already."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # which network file systems report late, of what failed before
                os.close(handle)


@attrs.frozen(kw_only=True)
class Journal:
    """Journal of an earlier run.

    Attributes
    ----------
    path : pathlib.Path
    header : Mapping
        Its first line: source and plan of the write.
    num_commits : int
    length : int
        Number of bytes up to the last line that is complete.
    """

    path: Path
    header: Mapping[str, Any]
    num_commits: int
    length: int

    @classmethod
    def read(cls, path: Path) -> Journal | None:
        """Return the journal in a file, or None if it commits nothing to which the file returns."""
        found = cls._read(path)
        if found is None or not found.header["has_undo"]:
            return found
        # A kill may come after the return to a commit is prepared and before its line is written.
        number = undo_number(undo_of(path))
        return found if number in (found.num_commits, found.num_commits + 1) else None

    @classmethod
    def _read(cls, path: Path) -> Journal | None:
        header: Mapping[str, Any] = {}
        count = length = 0
        for contents, end in _lines(path):
            if not header:
                header = contents
            else:
                count += 1
            length = end
        if header.get("format") != FORMAT or not count:
            return None
        return cls(path=path, header=header, num_commits=count, length=length)

    def entries(self, of: Callable[[str], bool] = lambda location: True) -> Iterator[Any]:
        """Yield the location of a dataset, and chunks of it, commit by commit."""
        for contents, end in _lines(self.path):
            if end > self.length:
                return
            for location, texts in contents.get("chunks", {}).items():
                if of(location):
                    yield location, Entries.from_dict(texts)

    def share(self) -> tuple[int, int]:
        """Return the number of bytes that are committed, of all bytes, both uncompressed."""
        done = total = 0
        counts: dict[str, int] = {}
        for location, entries in self.entries():
            counts[location] = counts.get(location, 0) + len(entries)
        for location, (num_chunks, num_bytes) in self.header["datasets"].items():
            total += num_bytes
            done += num_bytes * counts.get(location, 0) // max(num_chunks, 1)
        return done, total


def _lines(path: Path) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield the contents of each complete line, and the position of its end."""
    end = 0
    try:
        with path.open("rb") as file:
            for line in file:
                value, _, text = line.rstrip(b"\n").partition(b" ")
                if not line.endswith(b"\n") or value != b"%016x" % checksum(text):
                    return
                end += len(line)
                contents = json.loads(text)
                if not isinstance(contents, dict):
                    return
                yield contents, end
    except (OSError, ValueError):
        return
