"""Filters of HDF5 datasets that are not read: several that inflate, and those of other settings.

The decoders of szip, n-bit and scale-offset crash on damaged settings, which follow from the type
and the chunks of the dataset, but for the first ones, which a program chooses. HDF5 derives them
again for an empty dataset in memory.
"""

from __future__ import annotations

from typing import Any

import h5py

from nwb_ophys.errors import CorruptSourceError

# Number of settings that a program chooses: of szip, n-bit and scale-offset.
_CHOSEN = {4: 2, 5: 0, 6: 2}
# Before version 3.16, h5py returns what lies in memory behind the first 16 settings.
_VALUES_READ = None if h5py.version.version_tuple >= (3, 16) else 16
_NAMES = {4: "szip", 5: "n-bit", 6: "scale-offset"}
# Filters that keep or nearly keep the size: shuffle, checksum, n-bit, scale and offset.
_KEEPING = frozenset({2, 3, 5, 6})
_DEFLATE = 1
_WORDS = {_DEFLATE: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf", **_NAMES}
# Registered filters whose stored names are long sentences.
_WORDS |= {32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32015: "zstd", 32026: "blosc2"}


def filters_in_words(dataset: h5py.Dataset) -> str:
    """Return the names of the filters of a dataset in the order of writing.

    Parameters
    ----------
    dataset : h5py.Dataset
    """
    stated = dataset.id.get_create_plist()
    found = []
    for index in range(stated.get_nfilters()):
        number, _, settings, name = stated.get_filter(index)
        words = _WORDS.get(number) or name.decode(errors="replace") or f"filter {number}"
        is_leveled = number == _DEFLATE and len(settings) > 0
        found.append(f"{words} {settings[0]}" if is_leveled else words)
    return ", ".join(found)


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
    stated = [tuple(each[2])[:_VALUES_READ] for each in filters]
    if derived != stated:
        raise CorruptSourceError(
            f"'{dataset.file.filename}' is damaged: the settings of the filter "
            f"{_NAMES[own[0][0]]} of its dataset '{dataset.name}' contradict its type and chunks. "
            "Copy the file again from where it was recorded."
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
        derived = [made.get_filter(index)[2] for index in range(made.get_nfilters())]
        return [tuple(values)[:_VALUES_READ] for values in derived]
