"""How arrays lie in memory, and memory maps whose pages do not pile up in the process."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Systems without the call drop such pages by themselves when memory is short.
_DROP = getattr(mmap, "MADV_DONTNEED", None)


def release_map(values: NDArray[Any]) -> None:
    """Let go of the pages of the file that an array maps; they are read again when asked for.

    Parameters
    ----------
    values : numpy.ndarray
        A view of a read-only memory map; any other array is left alone.
    """
    mapped = _map_of(values)
    if mapped is not None and _DROP is not None:
        mapped.madvise(_DROP)


def copy_if_mapped(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy, in the same order, of a view of a read-only memory map, which is let go of.

    Parameters
    ----------
    values : numpy.ndarray
        Returned as it is where it is no such view.
    """
    if _DROP is None or values.flags.writeable or _map_of(values) is None:
        return values
    copied = np.array(values, order="K", subok=False)
    release_map(values)
    return copied


def slowest_axis(values: Any) -> int:
    """Return the axis along which the values of an array lie farthest apart; 0 if not known.

    Parameters
    ----------
    values : array-like
    """
    strides = [abs(step) for step in getattr(values, "strides", None) or (0,)]
    return strides.index(max(strides))


def _map_of(values: Any) -> mmap.mmap | None:
    """Return the memory map that an array is a view of, through whatever lies between."""
    while values is not None and not isinstance(values, mmap.mmap):
        values = values.obj if isinstance(values, memoryview) else getattr(values, "base", None)
    return values
