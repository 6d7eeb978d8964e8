"""Observers of a write: they see each block of a dataset in memory before it is encoded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.storage.grid import Selection, Shape
from nwb_ophys.storage.planning import PlannedDataset

Observe = Callable[[Selection, NDArray[Any]], None]


class BlockObserver(Protocol):
    """Sees the blocks of the datasets that one write fills, each once.

    Not every block is seen: a write that resumes an earlier one does not read the blocks that are
    stored already, other processes fill blocks themselves, and chunks of zeros of sparse data are
    never made. An observer has to count what it has seen. It is used by one write at a time.

    An error that it raises ends the write, and leaves no file.
    """

    def begin(self, location: str, shape: Shape, chunk_shape: Shape, dtype: np.dtype[Any]) -> bool:
        """Return whether the blocks of a dataset shall be seen.

        Called for each dataset in the caller's thread, before any block. A location that was seen
        before begins again.

        Parameters
        ----------
        location : str
            Path of the dataset in the file, such as ``acquisition/TwoPhotonSeries/data``.
        shape, chunk_shape : tuple of int
            Blocks consist of whole chunks, clipped at the edges of the dataset.
        dtype : numpy.dtype
        """

    def take(self, location: str, selection: Selection, values: NDArray[Any]) -> None:
        """See a block; several threads may call this at once, in any order of the blocks.

        Parameters
        ----------
        location : str
        selection : tuple of slice
            The place of the block in the dataset. Blocks do not overlap.
        values : numpy.ndarray
            In any order of memory; cannot be changed, and must not be kept.
        """


def observation_of(observer: BlockObserver | None, planned: PlannedDataset) -> Observe | None:
    """Return the function that shows the blocks of a dataset to an observer that wants them.

    Parameters
    ----------
    observer : BlockObserver or None
    planned : PlannedDataset
    """
    source = planned.source
    if observer is None or source.is_sparse:
        return None
    if not observer.begin(planned.location, source.shape, planned.chunk_shape, source.dtype):
        return None
    return partial(_show, observer, planned.location)


def _show(
    observer: BlockObserver, location: str, selection: Selection, values: NDArray[Any]
) -> None:
    shown = values.view()
    shown.flags.writeable = False
    observer.take(location, selection, shown)
