"""Reading a file again and comparing it with what was meant to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.encoding import chunk_bytes

if TYPE_CHECKING:
    from nwb_ophys.storage.engine import FillTask


class Verification:
    """Checksums of chunks as they were read from their sources, to hold the file against."""

    def __init__(self) -> None:
        # Each thread adds keys of its own, which a dict takes from several at once.
        self._checksums: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}

    def note(self, task: FillTask, corner: tuple[int, ...], values: NDArray[Any]) -> None:
        """Note a chunk that is about to be stored."""
        stops = zip(corner, values.shape, task.planned.source.shape, strict=True)
        cell = tuple((start, min(start + size, total)) for start, size, total in stops)
        inside = values[tuple(slice(0, stop - start) for start, stop in cell)]
        self._checksums[task.planned.location, cell] = _checksum(inside, task.sink.dtype)

    def check(self, tasks: Sequence[FillTask]) -> None:
        """Read every chunk as any reader would.

        Raises
        ------
        OutputError
            Naming the dataset and the frames that are not as they should be.
        """
        sinks = {task.planned.location: task.sink for task in tasks}
        # In order, whichever thread was first, so that the earliest frames are told of.
        for (location, cell), expected in sorted(self._checksums.items()):
            sink = sinks[location]
            selection = tuple(slice(*bounds) for bounds in cell)
            if _checksum(sink.read(selection), sink.dtype) != expected:
                (start, stop), *_ = cell
                raise OutputError(
                    f"'{location}', frames {start} to {stop - 1}: what is in the file is not what "
                    "was stored; the disk may be faulty. Nothing was kept."
                )


def _checksum(values: NDArray[Any], dtype: np.dtype[Any]) -> int:
    return isal_zlib.crc32(chunk_bytes(values, values.shape, dtype, shuffle=False))
