"""What an HDF5 file holds, by names, shapes and types, to tell who wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np

from nwb_ophys.paths import PathProbe

_DEPTH = 3
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_ENTRIES = 2000


@attrs.frozen
class Outline:
    """The upper levels of an HDF5 file.

    Attributes
    ----------
    groups : frozenset of str
        Paths without a leading slash.
    datasets : dict of str to (shape, dtype)
        By path; scalars have the shape ``()``.
    attributes : dict of str to object
        Those of the root.
    """

    groups: frozenset[str]
    datasets: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    attributes: dict[str, Any]

    def __contains__(self, path: str) -> bool:
        return path in self.groups or path in self.datasets


def read_hdf5_outline(path: Path) -> Outline | None:
    """Return what an HDF5 file holds, three levels deep, or None where it is none.

    Parameters
    ----------
    path : pathlib.Path
        No data are read. Links to other files are not followed.
    """
    try:
        if not path.is_file() or not h5py.is_hdf5(path):
            return None
        with h5py.File(path, "r") as file:
            outline = Outline(frozenset(), {}, dict(file.attrs))
            groups: set[str] = set()
            _visit(file, "", groups, outline.datasets, _DEPTH)
            return attrs.evolve(outline, groups=frozenset(groups))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):  # damaged within
        return None


def is_damaged_hdf5(probe: PathProbe) -> bool:
    """Whether a file that begins as HDF5 does, or is empty, cannot be opened."""
    if probe.read_once(read_hdf5_outline) is not None:
        return False
    head = probe.head()
    return not head or head.startswith(_SIGNATURE)


def _visit(
    group: h5py.Group, prefix: str, groups: set[str], datasets: dict[str, Any], depth: int
) -> None:
    for name in group:
        if len(groups) + len(datasets) >= _MOST_ENTRIES:
            return
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            datasets[prefix + name] = (tuple(item.shape or ()), item.dtype)
        elif isinstance(item, h5py.Group):
            groups.add(prefix + name)
            if depth > 1:
                _visit(item, f"{prefix}{name}/", groups, datasets, depth - 1)
