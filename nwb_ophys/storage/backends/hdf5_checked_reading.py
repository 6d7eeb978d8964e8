"""Reading of HDF5 files by hdmf, whose objects get datasets that check their chunks."""

from __future__ import annotations

from typing import Any

from hdmf.build import DatasetBuilder, GroupBuilder
from hdmf.query import HDMFDataset

from nwb_ophys.storage.backends.hdf5_circles import check_no_circles
from nwb_ophys.storage.backends.hdf5_reading import checked
from nwb_ophys.storage.hdmf.internals import replace_dataset, root_of


class CheckedReading:
    """Mixin for an IO class of hdmf whose objects get datasets that check their chunks."""

    def read_builder(self) -> GroupBuilder:
        """Return the tree of builders.

        Raises
        ------
        CorruptSourceError
            If links lead in a circle, or groups are nested too deep.
        """
        check_no_circles(root_of(self))
        root = super().read_builder()  # type: ignore[misc]
        _check_datasets(root, set())
        return root


def _check_datasets(builder: Any, seen: set[int]) -> None:
    if id(builder) in seen:
        return
    seen.add(id(builder))
    if isinstance(builder, DatasetBuilder):
        if isinstance(builder.data, HDMFDataset):
            replace_dataset(builder.data, checked(builder.data.dataset))
        else:
            builder["data"] = checked(builder.data)
        return
    for inner in (*builder.datasets.values(), *builder.groups.values()):
        _check_datasets(inner, seen)
    for link in builder.links.values():  # they may lead to other files
        _check_datasets(link.builder, seen)
