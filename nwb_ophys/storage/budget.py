"""Limit on how much of a recording is in memory at a time."""

from __future__ import annotations

import math

import attrs

from nwb_ophys.errors import MemoryLimitError
from nwb_ophys.memory import available_memory
from nwb_ophys.storage.grid import Shape
from nwb_ophys.storage.sources import Source

# A block is read, copied into another order, shuffled and encoded: it is in memory up to three
# times at once.
COPIES = 3
# A machine that runs short of memory swaps, which is slower than a smaller buffer.
_SHARE_OF_AVAILABLE_MEMORY = 0.5


@attrs.frozen
class Budget:
    """Number of bytes that may be in flight.

    Attributes
    ----------
    num_bytes : int
    limit : str
        Name of the limit, for messages.
    remedy : str
        A way to raise the limit, for messages.
    """

    num_bytes: int
    limit: str
    remedy: str

    @classmethod
    def of(cls, buffer_gb: float) -> Budget:
        """Return the budget for a buffer, or a smaller one where the machine has less memory."""
        asked = int(buffer_gb * 1e9)
        left = int(available_memory() * _SHARE_OF_AVAILABLE_MEMORY)
        if asked <= left:
            return cls(asked, "buffer_gb", "a larger buffer_gb")
        return cls(left, "half of the memory that is free", "a time when more memory is free")

    def check(self, location: str, source: Source, chunk_shape: Shape) -> None:
        """Check that a chunk of a dataset can be read and written.

        Parameters
        ----------
        location : str
            Path of the dataset in the file, for messages.
        source : Source
        chunk_shape : tuple of int
            Shape of the chunks to be written.

        Raises
        ------
        MemoryLimitError
            If a chunk of the source or of the dataset needs more than the budget.
        """
        if source.is_stored and source.chunk_shape is not None:
            decoded = math.prod(source.chunk_shape) * source.dtype.itemsize * COPIES
            if decoded > self.num_bytes:
                raise MemoryLimitError(
                    f"A chunk of {source.label}, {source.chunk_shape}, needs {_size(decoded)} to "
                    f"be read, but {self._allows()}; choose {self.remedy}."
                )
        needed = math.prod(chunk_shape) * source.dtype.itemsize * COPIES
        if needed > self.num_bytes:
            raise MemoryLimitError(
                f"A chunk of '{location}', {chunk_shape}, needs {_size(needed)} to be written, "
                f"but {self._allows()}; choose smaller chunks or {self.remedy}."
            )

    def _allows(self) -> str:
        return f"{self.limit} allows {_size(self.num_bytes)}"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e7 else f"{num_bytes / 1e6:.3g} MB"
