"""Deflate blocks without matches, where the package was built with a compiler."""

from __future__ import annotations

from typing import Any

try:
    import nwb_ophys.storage._literal_blocks as _compiled
except ImportError:  # no compiler was found when the package was installed
    _compiled = None  # type: ignore[assignment]


def are_compiled() -> bool:
    """Return whether this installation can encode blocks of literals."""
    return _compiled is not None


def most_bytes(size: int) -> int:
    """Return the memory that :func:`encode_into` needs for a number of bytes."""
    return _compiled.most_bytes(size)


def encode_into(data: Any, memory: Any) -> int:
    """Write bytes as deflate blocks that end at a whole byte, without a last block.

    Each byte is a literal of a Huffman code that is made for every 32 kB (RFC 1951, 3.2.7). This
    takes less than half of the time of an encoder that searches for repeats.

    Parameters
    ----------
    data : bytes-like
    memory : writable bytes-like
        At least :func:`most_bytes` of the data.

    Returns
    -------
    int
        Number of bytes that were written.

    Raises
    ------
    ValueError
        If the memory is too small.
    """
    return _compiled.encode_into(data, memory)
