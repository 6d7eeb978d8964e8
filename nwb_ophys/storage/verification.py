"""Comparison of a written file with the values that were read from the sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from nwb_ophys.errors import OutputError
from nwb_ophys.storage.backends.base import Sink
from nwb_ophys.storage.encoding import chunk_bytes
from nwb_ophys.storage.grid import Shape
from nwb_ophys.storage.planning import PlannedDataset


class Verification:
    """Checksums of chunks as they were read from their sources, to compare the file with."""

    def __init__(self) -> None:
        # A dict needs no lock here: every thread adds keys of its own.
        self._checksums: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}

    def note(
        self, planned: PlannedDataset, sink: Sink, corner: Shape, values: NDArray[Any]
    ) -> None:
        """Record the checksum of a chunk that is about to be stored."""
        stops = zip(corner, values.shape, planned.source.shape, strict=True)
        cell = tuple((start, min(start + size, total)) for start, size, total in stops)
        inside = values[tuple(slice(0, stop - start) for start, stop in cell)]
        self._checksums[planned.location, cell] = _checksum(inside, sink.dtype)

    def check(self, sinks: Mapping[str, Sink]) -> None:
        """Read every chunk as any reader would, and compare its checksum.

        Parameters
        ----------
        sinks : mapping of str to Sink
            The datasets by location.

        Raises
        ------
        OutputError
            If a chunk differs; names the dataset and the frames.
        """
        # Sorted, so that the message names the earliest frames, whichever thread was first.
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
