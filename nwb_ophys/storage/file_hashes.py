"""Hashes of source files: of the whole file, or of samples of its contents.

A recording of a terabyte is not read a second time: of large sets of files only samples are hashed,
spread evenly from the first byte to the last, and the record says so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import xxhash

from nwb_ophys.errors import SourceError
from nwb_ophys.remote.paths import RemotePath

_PIECE = 1 << 16
# Files of no more bytes in total are hashed whole.
_WHOLE_BYTES = 64_000_000
_SHARE = 0.01
_LARGEST_SAMPLE = 16
_SMALLEST_PIECE = 1 << 12
_FEWEST_PIECES = 4
_READ_BYTES = 1 << 22
# Objects of stores that are hashed together.
_AT_ONCE = 8


# Notes of operating systems in the folders that they show.
_SYSTEM_FILES = (".ds_store", "thumbs.db", "desktop.ini")


def is_system_file(name: str) -> bool:
    """Return whether an operating system writes files of this name, which no recording holds."""
    return name.lower() in _SYSTEM_FILES or name.startswith("._")


@attrs.frozen(kw_only=True)
class Sampling:
    """Parts of a file that are hashed: ``pieces`` of ``piece_bytes``; the whole file for 0."""

    pieces: int = 0
    piece_bytes: int = 0

    @classmethod
    def of(cls, sizes: Sequence[int], *, whole: bool = False) -> Sampling:
        """Return the sampling of files, which reads at most a hundredth of many bytes.

        Parameters
        ----------
        sizes : sequence of int
            Sizes of all files.
        whole : bool
            Whether every byte is hashed, however many there are.
        """
        total = sum(sizes)
        if whole or total <= _WHOLE_BYTES:
            return cls()
        each = max(_WHOLE_BYTES, int(total * _SHARE)) // len(sizes)
        if each >= _FEWEST_PIECES * _PIECE:
            return cls(pieces=min(each // _PIECE, _LARGEST_SAMPLE), piece_bytes=_PIECE)
        piece = max(each // _FEWEST_PIECES, _SMALLEST_PIECE)
        return cls(pieces=_FEWEST_PIECES, piece_bytes=piece)

    def is_whole(self, size: int) -> bool:
        """Return whether every byte of a file of this size is hashed."""
        return self.pieces == 0 or size <= self.pieces * self.piece_bytes


def file_hash(path: Path, sampling: Sampling) -> str:
    """Return the hash of a file, or of samples of it, in hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    state = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if sampling.is_whole(size):
            while part := file.read(_READ_BYTES):
                state.update(part)
        else:
            last = size - sampling.piece_bytes
            for number in range(sampling.pieces):
                file.seek(last * number // (sampling.pieces - 1))
                state.update(file.read(sampling.piece_bytes))
    return state.hexdigest()


class BackgroundHashes:
    """Hashes of files, in a thread of its own while they are converted.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    sampling : Sampling
    """

    def __init__(self, paths: Sequence[Path], sampling: Sampling) -> None:
        self._paths, self._sampling = paths, sampling
        self._found: dict[Path, str | None] = {}
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="nwb-ophys-hashes", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        remote = [path for path in self._paths if isinstance(path, RemotePath)]
        if len(remote) > 1:  # of which each takes as long as its requests
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._hash, remote))
        for path in self._paths:
            if path not in self._found:
                self._hash(path)

    def _hash(self, path: Path) -> None:
        if self._is_stopped:
            return
        try:
            self._found[path] = file_hash(path, self._sampling)
        except (OSError, SourceError):
            self._found[path] = None

    def stop(self) -> None:
        """End the thread after the files that it reads."""
        self._is_stopped = True
        self._thread.join()

    def result(self) -> dict[Path, str | None]:
        """Wait, and return the hashes by path; None for files that cannot be read."""
        self._thread.join()
        return self._found
