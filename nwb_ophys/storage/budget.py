"""How much of a recording may be in memory at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

from nwb_ophys.errors import MemoryLimitError
from nwb_ophys.memory import available_memory
from nwb_ophys.storage.configuration import BackendConfiguration

if TYPE_CHECKING:
    from nwb_ophys.storage.planning import PlannedDataset

# A block is read, copied into another order, shuffled and encoded: it is in memory up to three
# times at once.
COPIES = 3
# A machine that runs short of memory swaps, which is slower than a smaller buffer.
_SHARE_OF_AVAILABLE_MEMORY = 0.5


@attrs.frozen
class Budget:
    """How many bytes may be in flight, and what says so.

    Attributes
    ----------
    num_bytes : int
    limit : str
        For messages.
    remedy : str
        What makes it larger, for messages.
    """

    num_bytes: int
    limit: str
    remedy: str

    @classmethod
    def of(cls, configuration: BackendConfiguration) -> Budget:
        """Return the budget of a configuration on this machine, which may have less."""
        asked = int(configuration.buffer_gb * 1e9)
        left = int(available_memory() * _SHARE_OF_AVAILABLE_MEMORY)
        if asked <= left:
            return cls(asked, "buffer_gb", "a larger buffer_gb")
        return cls(left, "half of the memory that is free", "a time when more memory is free")

    def check(self, planned: PlannedDataset) -> None:
        """Check that a chunk of a dataset can be read and written.

        Raises
        ------
        MemoryLimitError
            With both sizes.
        """
        source = planned.source
        if source.is_stored and source.chunk_shape is not None:
            decoded = math.prod(source.chunk_shape) * source.dtype.itemsize * COPIES
            if decoded > self.num_bytes:
                raise MemoryLimitError(
                    f"A chunk of {source.label}, {source.chunk_shape}, needs {_size(decoded)} to "
                    f"be read, but {self._allows()}; choose {self.remedy}."
                )
        needed = planned.configuration.chunk_bytes * COPIES
        if needed > self.num_bytes:
            raise MemoryLimitError(
                f"A chunk of '{planned.location}', {planned.chunk_shape}, needs {_size(needed)} "
                f"to be written, but {self._allows()}; choose smaller chunks or {self.remedy}."
            )

    def _allows(self) -> str:
        return f"{self.limit} allows {_size(self.num_bytes)}"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e7 else f"{num_bytes / 1e6:.3g} MB"
