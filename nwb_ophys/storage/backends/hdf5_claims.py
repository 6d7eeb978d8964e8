"""Comparison of the size that an HDF5 dataset claims with the bytes that its file holds.

The shape of a dataset costs nothing: a file of a few kB may claim exabytes, and a compressed chunk
of some MB may claim several GB, for which HDF5 asks as soon as one number of it is read.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import h5py
import numpy as np

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.storage.backends.hdf5_filters import check_filter_settings, check_filters
from nwb_ophys.storage.backends.hdf5_reading import checked

_LARGE = 1 << 26
_LARGE_CHUNK = 1 << 27
# Bytes of data that a byte of a file holds at most: in a whole dataset, of which chunks may be
# absent, and in a large chunk, whose data are never all alike.
_DENSEST, _DENSEST_CHUNK = 40_000, 200
_MOST_CHUNKS_CHECKED = 10_000


def check_stored(dataset: Any) -> Any:
    """Return a dataset, after comparing its claims with the file.

    Parameters
    ----------
    dataset : h5py.Dataset or object
        Other objects are returned as they are.

    Returns
    -------
    h5py.Dataset or object
        Where the dataset has chunks, one that checks each chunk when it is read.

    Raises
    ------
    CorruptSourceError
        When the file cannot hold as many values as the dataset or its chunks claim.
    """
    if not isinstance(dataset, h5py.Dataset):
        return dataset
    if dataset.is_virtual or dataset.external is not None:
        return dataset
    check_shape_claim(dataset, _LARGE)
    if dataset.chunks is not None:
        check_chunk_claims(dataset)
    return checked(dataset)


def check_shape_claim(dataset: h5py.Dataset, least: int = 1 << 40) -> None:
    """Compare the shape of a dataset with the bytes that its file holds.

    Parameters
    ----------
    dataset : h5py.Dataset
    least : int
        Smaller claims pass, in bytes. The default is for copies of datasets of which most chunks
        may be absent, and are passed over.

    Raises
    ------
    CorruptSourceError
        Names the dataset.
    """
    shape = dataset.shape or ()
    num_bytes = math.prod(shape) * dataset.dtype.itemsize
    if num_bytes > least and num_bytes > dataset.id.get_storage_size() * _DENSEST:
        raise _too_large(dataset, f"the shape {shape} ({num_bytes} bytes)")


def check_chunk_claims(dataset: h5py.Dataset) -> None:
    """Compare the shape of chunks with their stored sizes, and check their filters.

    Parameters
    ----------
    dataset : h5py.Dataset
        One with chunks.

    Raises
    ------
    CorruptSourceError
        Names the dataset.
    """
    check_filters(dataset)
    check_filter_settings(dataset)
    # A text or a reference is stored as length, address and index.
    itemsize = dataset.dtype.itemsize * (2 if dataset.dtype.hasobject else 1)
    claimed = math.prod(dataset.chunks) * itemsize
    number = dataset.id.get_num_chunks()
    if not number:
        return
    stored = sorted(dataset.id.get_chunk_info(i).size for i in islice(range(number), 3))
    what = f"chunks of the shape {dataset.chunks} ({claimed} bytes)"
    if claimed > max(_LARGE_CHUNK, stored[-1] * _DENSEST_CHUNK):
        raise _too_large(dataset, what)
    # A codec adds little to data that it cannot compress.
    if _largest_chunk(dataset, number) > claimed + claimed // 4 + (1 << 16):
        raise _too_large(dataset, what, "holds more bytes of one of them")


def _largest_chunk(dataset: h5py.Dataset, number: int) -> int:
    if hasattr(dataset.id, "chunk_iter") and number <= _MOST_CHUNKS_CHECKED:
        sizes: list[int] = []
        dataset.id.chunk_iter(lambda info: sizes.append(info.size))
        return max(sizes)
    places = np.linspace(0, number - 1, min(number, 100)).astype(int)
    return max(dataset.id.get_chunk_info(int(place)).size for place in places)


def _too_large(
    dataset: h5py.Dataset, what: str, holds: str = "holds far fewer bytes of it"
) -> CorruptSourceError:
    return CorruptSourceError(
        f"'{dataset.file.filename}' is damaged or not completely written: its dataset "
        f"'{dataset.name}' claims {what}, but the file {holds} ({dataset.id.get_storage_size()} "
        f"bytes in all). Copy the file again from where it was recorded."
    )
