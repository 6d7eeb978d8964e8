"""Links that lead in a circle, and groups nested too deep, which are found before hdmf reads them.

hdmf reads group by group in a recursion. An error of the recursion within h5py leaves the lock of
h5py held, so that all other threads wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.storage.backends.hdf5_parts import HDF5_FAULTS

# Files of NWB have about ten levels; hdmf and the Python recursion limit allow some hundred.
_DEEPEST = 64


def check_no_circles(root: h5py.Group) -> None:
    """Check that no group leads to itself by hard, soft or external links.

    Parameters
    ----------
    root : h5py.Group

    Raises
    ------
    CorruptSourceError
        Names the file and the link, or says that the groups are nested too deep.
    """
    above = {_identity(root.id): ""}
    waiting = [_inner_groups(root.id)]
    done: set[tuple[int, int]] = set()
    while waiting:
        name, group = next(waiting[-1], ("", None))
        if group is None:
            waiting.pop()
            done.add(above.popitem()[0])
            continue
        found = _identity(group)
        if found in above:
            place = "/".join([*list(above.values())[1:], name])
            raise CorruptSourceError(
                f"'{root.file.filename}' cannot be read as NWB: '{place}' leads to a group above "
                "it, so that its links lead in a circle. It may be damaged; copy it again from "
                "where it was written."
            )
        if found in done:
            continue
        if len(waiting) > _DEEPEST:
            raise CorruptSourceError(
                f"'{root.file.filename}' cannot be read as NWB: its groups are nested deeper than "
                f"{_DEEPEST} levels, which no recording needs."
            )
        above[found] = name
        waiting.append(_inner_groups(group))


def _identity(group: Any) -> tuple[int, int]:
    about = h5py.h5o.get_info(group)
    return about.fileno, about.addr


def _inner_groups(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names of the groups in a group, and the groups; links are followed."""
    names: list[bytes] = []
    try:
        group.links.iterate(names.append)
    except HDF5_FAULTS:  # hdmf says what is wrong
        return
    for name in names:
        try:
            is_group = h5py.h5o.get_info(group, name).type == h5py.h5o.TYPE_GROUP
            opened = h5py.h5o.open(group, name) if is_group else None
        except HDF5_FAULTS:
            continue
        if opened is not None:
            yield name.decode("utf-8", "replace"), opened
