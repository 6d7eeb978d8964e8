"""The checksum Fletcher-32 of HDF5, for chunks whose compression has no checksum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKSUM_BYTES = 4
_MODULUS = 65535
_ROW = 256
# This many words stay in the cache of a core as float64.
_WORDS_AT_ONCE = 1 << 15
# Sum, and sum weighted by the distance from the end of the row.
_WEIGHTS = np.stack([np.ones(_ROW), np.arange(_ROW, 0, -1, dtype=np.float64)], axis=1)


def fletcher32(data: Any) -> bytes:
    """Return the checksum that HDF5 appends to a chunk.

    Parameters
    ----------
    data : bytes-like

    Returns
    -------
    bytes
        Four bytes.
    """
    raw = np.frombuffer(data, np.uint8)
    words = raw[: raw.size // 2 * 2].view("<u2")
    plain, weighted = _sums(words)
    # HDF5 sums big-endian words. Modulo 65535, a product with 256 swaps the bytes.
    plain, weighted = plain * 256, weighted * 256
    if raw.size % 2:
        plain += int(raw[-1]) << 8
        weighted += plain
    return (_folded(weighted) << 16 | _folded(plain)).to_bytes(CHECKSUM_BYTES, "little")


def _sums(words: NDArray[np.uint16]) -> tuple[int, int]:
    """Return the sum of all words, and the sum weighted by the distance from the end."""
    in_rows = words.size // _ROW * _ROW
    plain = weighted = 0
    for start in range(0, in_rows, _WORDS_AT_ONCE):
        rows = words[start : min(start + _WORDS_AT_ONCE, in_rows)].reshape(-1, _ROW)
        sums = rows.astype(np.float64) @ _WEIGHTS  # exact: far below 2**53
        after = words.size - start - _ROW * np.arange(1, len(rows) + 1)
        plain += int(sums[:, 0].sum())
        weighted += int(sums[:, 1].sum()) + int((sums[:, 0] * (after % _MODULUS)).sum())
    rest = words[in_rows:].astype(np.int64)
    plain += int(rest.sum())
    weighted += int((rest * np.arange(rest.size, 0, -1)).sum())
    return plain, weighted


def _folded(total: int) -> int:
    """Return a sum modulo 65535, where HDF5 has 65535 instead of 0 for all but zeros."""
    return (total - 1) % _MODULUS + 1 if total else 0
