"""Settings of filters that HDF5 derives from a dataset, and on which its decoders crash if damaged.

The settings of szip, n-bit and scale-offset follow from the type and the chunks of the dataset, but
for the first ones, which a program chooses. HDF5 derives them again for an empty dataset in memory.
"""

from __future__ import annotations

from typing import Any

import h5py

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import COPY_AGAIN

# Number of settings that a program chooses: of szip, n-bit and scale-offset.
_CHOSEN = {4: 2, 5: 0, 6: 2}
_NAMES = {4: "szip", 5: "n-bit", 6: "scale-offset"}


def check_filter_settings(dataset: h5py.Dataset) -> None:
    """Check that the settings of a dataset's filters are those that HDF5 derives from it.

    Parameters
    ----------
    dataset : h5py.Dataset

    Raises
    ------
    CorruptSourceError
        Names the file, the dataset and the filter.
    """
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(index) for index in range(plist.get_nfilters())]
    own = [each for each in filters if each[0] in _CHOSEN]
    if not own:
        return
    try:
        derived = _derived(dataset, plist, filters)
    except Exception:  # of the library, about settings that no dataset may have
        derived = []
    stated = [tuple(each[2]) for each in filters]
    if derived != stated:
        raise CorruptSourceError(
            f"'{dataset.file.filename}' is damaged: the settings of the filter "
            f"{_NAMES[own[0][0]]} of its dataset '{dataset.name}' contradict its type and chunks. "
            f"To repair it, {COPY_AGAIN}."
        )


def _derived(dataset: h5py.Dataset, plist: Any, filters: list[Any]) -> list[tuple[int, ...]]:
    """Return the settings of filters that HDF5 derives for an empty dataset of the same kind."""
    fresh = plist.copy()
    for each in filters:
        fresh.remove_filter(each[0])
    for number, flags, values, _ in filters:
        fresh.set_filter(number, flags, tuple(values)[: _CHOSEN.get(number)])
    with h5py.File("derived", "w", driver="core", backing_store=False) as file:
        space = dataset.id.get_space().copy()
        created = h5py.h5d.create(file.id, b"derived", dataset.id.get_type(), space, fresh)
        made = created.get_create_plist()
        return [tuple(made.get_filter(index)[2]) for index in range(made.get_nfilters())]
