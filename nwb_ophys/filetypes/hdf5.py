"""HDF5 files: opened with checks, and their outlines, by which formats recognise their files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import LOCKED, SourceError, is_locked
from nwb_ophys.outside import check_file
from nwb_ophys.paths import PathProbe
from nwb_ophys.trial import is_tried_damaged

if TYPE_CHECKING:
    import h5py

# Formats import this module to recognise files, so that h5py is imported where one is opened.

_DEPTH = 3
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_ENTRIES = 2000
_SURROGATES = re.compile("[\udc80-\udcff]")


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, after the other files that it names were checked.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OutsideFolderError, SpecialFileError, CorruptSourceError
        See :func:`nwb_ophys.storage.backends.hdf5_parts.check_named_files`.
    SourceError
        If another program writes it.
    OSError
        If it is not a whole HDF5 file.
    """
    from nwb_ophys.storage.backends.hdf5_opening import read_hdf5
    from nwb_ophys.storage.backends.hdf5_parts import check_named_files

    check_file(path)
    try:
        check_named_files(path)
        return read_hdf5(path)
    except OSError as error:
        if is_locked(error):
            raise SourceError(f"'{path}' cannot be read: {LOCKED}.") from error
        raise


@attrs.frozen
class Outline:
    """Groups, datasets and root attributes of the upper levels of an HDF5 file.

    Attributes
    ----------
    groups : frozenset of str
        Paths without a leading slash.
    datasets : dict of str to (shape, dtype)
        By path; scalars have the shape ``()``.
    attributes : dict of str to object
        Attributes of the root group.
    """

    groups: frozenset[str]
    datasets: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]
    attributes: dict[str, Any]

    def __contains__(self, path: str) -> bool:
        return path in self.groups or path in self.datasets

    @property
    def has_odd_names(self) -> bool:
        """Return whether a name is no text, as damage leaves it, or a program without UTF-8."""
        return any(_SURROGATES.search(name) for name in (*self.groups, *self.datasets))


def read_hdf5_outline(path: Path) -> Outline | None:
    """Return the outline of an HDF5 file, three levels deep; None if it cannot be read as HDF5.

    Reads no data and follows no links to other files.

    Parameters
    ----------
    path : pathlib.Path
    """
    try:
        if not path.is_file():
            return None
        from nwb_ophys.storage.backends.hdf5_opening import is_hdf5, read_hdf5

        if not is_hdf5(path) or is_tried_damaged(path):
            return None
        check_file(path)
        with read_hdf5(path) as file:
            outline = Outline(frozenset(), {}, dict(file.attrs))
            groups: set[str] = set()
            _visit(file, "", groups, outline.datasets, _DEPTH)
            return attrs.evolve(outline, groups=frozenset(groups))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):  # damaged file
        return None


def is_damaged_hdf5(probe: PathProbe) -> bool:
    """Return whether a file that no format recognises is a damaged HDF5 file.

    It is empty, has the signature of HDF5 but cannot be opened, or has names that are no texts.
    """
    outline = probe.read_once(read_hdf5_outline)
    if outline is not None:
        return outline.has_odd_names
    head = probe.head()
    return not head or head.startswith(_SIGNATURE)


def _visit(
    group: h5py.Group, prefix: str, groups: set[str], datasets: dict[str, Any], depth: int
) -> None:
    import h5py

    from nwb_ophys.storage.backends.hdf5_opening import own_members

    for name, item in own_members(group):
        if len(groups) + len(datasets) >= _MAX_ENTRIES:
            return
        if isinstance(item, h5py.Dataset):
            datasets[prefix + name] = (tuple(item.shape or ()), item.dtype)
        elif isinstance(item, h5py.Group):
            groups.add(prefix + name)
            if depth > 1:
                _visit(item, f"{prefix}{name}/", groups, datasets, depth - 1)
