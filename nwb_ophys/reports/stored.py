"""Datasets of a file as they are stored: shape, chunks, filters, stored and raw size."""

from __future__ import annotations

import math

import attrs

from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.stored_file import StoredFile

_MOST_DATASETS = 60
# Smaller datasets are named together.
_SMALL_BYTES = 1 << 12


@attrs.frozen(kw_only=True)
class StoredDataset:
    """A dataset.

    Attributes
    ----------
    path, dtype : str
    shape : tuple of int
    chunk_shape : tuple of int or None
        None for a dataset in one piece.
    filters : str
        In words; empty without any.
    stored_bytes, raw_bytes : int
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...] | None
    filters: str
    stored_bytes: int
    raw_bytes: int


@attrs.frozen(kw_only=True)
class Storage:
    """The datasets of a file.

    Attributes
    ----------
    backend : str
        Name and format of the backend.
    num_bytes : int
        Size of the file or store.
    datasets : tuple of StoredDataset
        The largest ones, largest first.
    num_others, stored_bytes_of_others : int
        Datasets that are not listed.
    failures : tuple of Unreadable
    """

    backend: str
    num_bytes: int
    datasets: tuple[StoredDataset, ...]
    num_others: int
    stored_bytes_of_others: int
    failures: tuple[Unreadable, ...]


def gather_storage(file: StoredFile) -> Storage:
    """Return how the datasets of a file are stored.

    Parameters
    ----------
    file : StoredFile
    """
    found: list[StoredDataset] = []
    failures: list[Unreadable] = []
    for path in file.objects:
        if not file.is_dataset(path):
            continue
        each = attempt(path, _stored, file, path)
        if isinstance(each, Unreadable):
            failures.append(each)
        else:
            found.append(each)
    found.sort(key=lambda each: -max(each.raw_bytes, each.stored_bytes))
    listed = [each for each in found if each.raw_bytes >= _SMALL_BYTES][:_MOST_DATASETS]
    others = [each for each in found if each not in listed]
    number = file.storage.zarr_format
    return Storage(
        backend=file.storage.name if number is None else f"{file.storage.name}, format {number}",
        num_bytes=size_of(file),
        datasets=tuple(listed),
        num_others=len(others),
        stored_bytes_of_others=sum(each.stored_bytes for each in others),
        failures=tuple(failures),
    )


def size_of(file: StoredFile) -> int:
    """Return the number of bytes of a file, or of all files of a store."""
    if file.path.is_file():
        return file.path.stat().st_size
    return sum(each.stat().st_size for each in file.path.rglob("*") if each.is_file())


def _stored(file: StoredFile, path: str) -> StoredDataset:
    found = file.objects[path]
    dataset = file.root[path]
    shape = file.shape(path) or ()
    chunks = getattr(dataset, "chunks", None)
    itemsize = 0 if found.dtype is None else found.dtype.itemsize
    return StoredDataset(
        path=path,
        dtype="text" if found.dtype is None or found.dtype.kind in "OT" else str(found.dtype),
        shape=shape,
        chunk_shape=None if not chunks else tuple(map(int, chunks)),
        filters=file.storage.filters_in_words(dataset),
        stored_bytes=int(file.storage.stored_size(dataset)),
        raw_bytes=math.prod(shape) * itemsize,
    )
