"""Datasets of existing files whose values were not all written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nwb_ophys.storage.backends.registry import backend_of_data

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder


def check_complete(data: Any, *, is_sparse: bool = False) -> None:
    """Check that all values of an open dataset were written, so that no fill value is read as data.

    Parameters
    ----------
    data : object
        An open dataset of any backend; other data pass.
    is_sparse : bool
        Whether chunks of zeros may be absent, as in masks.

    Raises
    ------
    CorruptSourceError
        If a part is absent; names the dataset and the part.
    """
    from nwb_ophys.storage.sources import unwrapped  # here, as detection imports this module

    inner = unwrapped(data)
    backend = backend_of_data(inner)
    if backend is not None:
        backend.check_complete(inner, is_sparse=is_sparse)


def check_sources(datasets: Iterable[tuple[str, DatasetBuilder]]) -> None:
    """Check that the sources of all virtual datasets of a file are there.

    Absent chunks pass: a copy of the file lacks them as well.

    Parameters
    ----------
    datasets : iterable of (str, DatasetBuilder)
        The location and the builder of each.
    """
    for _, builder in datasets:
        check_complete(builder.data, is_sparse=True)
