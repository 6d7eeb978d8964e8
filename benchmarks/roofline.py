"""Roofline: the least work that writing a compressed movie takes: transpose, shuffle, deflate.

Nothing is read or written, and the movie is in memory already. The steps are taken from nwb_ophys,
which are faster than plain NumPy.
"""

from __future__ import annotations

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

    from nwb_ophys.storage.encoding import Scratch, chunk_bytes

    step = max(1, _CHUNK // movie[0].nbytes)
    scratch = Scratch()

    def encode(start: int) -> int:
        values = movie[start : start + step].transpose(0, 2, 1)
        stored = chunk_bytes(values, values.shape, movie.dtype, shuffle=True, scratch=scratch)
        return len(isal_zlib.compress(stored, _LEVEL))

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(encode, range(0, len(movie), step)))

    return run
