"""The least work that any writer of a compressed movie has: transpose, shuffle, deflate.

Nothing is read or written, and the chunks are in memory already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

#: Bytes of a chunk.
_CHUNK = 10_000_000
_LEVEL = 1


def encode_movie(movie: NDArray[np.int16], threads: int) -> Callable[[], int]:
    """Return a job that encodes a movie chunk by chunk.

    Parameters
    ----------
    movie : numpy.ndarray
        (frames, rows, columns).
    threads : int

    Returns
    -------
    callable
        Returns the number of bytes after compression.
    """
    from isal import isal_zlib

    step = max(1, _CHUNK // movie[0].nbytes)
    rows, columns = movie.shape[1:]
    own = threading.local()

    def encode(start: int) -> int:
        frames = movie[start : start + step]
        if not hasattr(own, "transposed"):
            own.transposed = np.empty((step, columns, rows), movie.dtype)
            own.shuffled = np.empty((movie.itemsize, own.transposed.size), np.uint8)
        transposed = own.transposed[: len(frames)]
        for source, target in zip(frames, transposed, strict=True):
            target[...] = source.T
        shuffled = own.shuffled[:, : transposed.size]
        shuffled[...] = transposed.view(np.uint8).reshape(-1, movie.itemsize).T
        return len(isal_zlib.compress(np.ascontiguousarray(shuffled), _LEVEL))

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(encode, range(0, len(movie), step)))

    return run
