"""Filters of HDF5 datasets."""

from __future__ import annotations

import h5py

from nwb_ophys.errors import CorruptSourceError

# Filters that keep or nearly keep the size: shuffle, checksum, n-bit, scale and offset.
_KEEPING = frozenset({2, 3, 5, 6})


def check_filters(dataset: h5py.Dataset) -> None:
    """Refuse chunks that several filters inflate, since only their last size is known.

    Parameters
    ----------
    dataset : h5py.Dataset
        One with chunks.

    Raises
    ------
    CorruptSourceError
        Names the dataset.
    """
    stated = dataset.id.get_create_plist()
    filters = [stated.get_filter(number)[0] for number in range(stated.get_nfilters())]
    inflating = [number for number in filters if number not in _KEEPING]
    if len(inflating) > 1:
        raise CorruptSourceError(
            f"'{dataset.file.filename}' is damaged: its dataset '{dataset.name}' compresses its "
            f"chunks by {len(inflating)} filters. Copy the file again from where it was recorded."
        )
