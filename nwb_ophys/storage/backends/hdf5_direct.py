"""Reading and writing of stored chunks as bytes, without the filters of HDF5.

Before version 3.16, h5py lets these calls into the HDF5 library while another thread is in it,
which damages files or ends the program: three threads that write 60,000 chunks each fail nearly
always. All other calls hold the lock of h5py, so that these must hold it, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from h5py._objects import phil

from nwb_ophys.storage.grid import Shape

if TYPE_CHECKING:
    import h5py


def read_chunk(dataset: h5py.Dataset, corner: Shape) -> tuple[int, bytes]:
    """Return the mask of the filters that a chunk skips, and its stored bytes.

    Parameters
    ----------
    dataset : h5py.Dataset
    corner : tuple of int
        Lowest index of the chunk.
    """
    with phil:
        mask, stored = dataset.id.read_direct_chunk(corner)
    return mask, stored


def write_chunk(dataset: h5py.Dataset, corner: Shape, encoded: Any) -> None:
    """Store a chunk that is encoded already.

    Parameters
    ----------
    dataset : h5py.Dataset
    corner : tuple of int
        Lowest index of the chunk.
    encoded : bytes-like
    """
    with phil:
        dataset.id.write_direct_chunk(corner, encoded)
