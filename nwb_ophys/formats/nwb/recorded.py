"""Differences between an NWB file and the records of the conversions that wrote it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nwb_ophys.formats.nwb.files import SEARCHED_GROUPS

# Places whose objects a conversion reads, and facts of the file that its copy does not take.
_READ = {*SEARCHED_GROUPS, "general", "session_description", "session_start_time"}
_NOT_READ = ("scratch", "stimulus", "general/was_generated_by")
# Larger datasets are compared by nwb-ophys verify alone.
_MOST_VALUES = 1000


def differences(path: Path) -> tuple[list[str], list[str]]:
    """Return the places of objects that the records of a file state, and that are absent or differ.

    Attributes, links and small datasets are compared. Both are empty for files without a record.

    Parameters
    ----------
    path : pathlib.Path
        An NWB file.
    """
    from nwb_ophys.storage import backend_of_path
    from nwb_ophys.storage.record import Known, Record, records_of

    storage = backend_of_path(path)
    if storage is None:
        return [], []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with storage.open_root(path) as root:
                records = [r for r in records_of(root, storage).values() if isinstance(r, Record)]
                if not records:
                    return [], []
                # pynwb exports files to another backend, which spells references in another way.
                own = {*storage.versions()}
                is_exported = not any(own <= {*each.contents["versions"]} for each in records)
                return _compared(Known.of(records), storage.objects(root), is_exported)
    except Exception:  # of any library, about a damaged file, whose reading raises with words
        return [], []


def _compared(known: Any, objects: Iterable[Any], is_exported: bool) -> tuple[list[str], list[str]]:
    seen, changed = set(), []
    for each in objects:
        seen.add(each.path)
        if is_exported and (each.links or "'reference'" in str(each.attributes)):
            continue
        if _is_read(each.path) and _differs(each, known):
            changed.append(each.path)
    stated = {*known.attributes, *known.datasets, *known.values} - seen
    return _outermost(place for place in stated if _is_read(place)), sorted(changed)


def _is_read(place: str) -> bool:
    return place.split("/")[0] in _READ and not place.startswith(_NOT_READ)


def _differs(each: Any, known: Any) -> bool:
    """Return whether an object differs from the records, as far as they state it."""
    own, place = known.attributes.get(each.path), each.path
    if own is not None and (each.error or each.attributes_hash() != own):
        return True
    if place not in known.values or not each.is_dataset or math.prod(each.shape) > _MOST_VALUES:
        return place in {*known.values, *known.datasets} and not each.is_dataset
    try:
        return bool(each.values_hash() != known.values[place])
    except Exception:  # of any library, about damaged values
        return True


def _outermost(places: Iterable[str]) -> list[str]:
    """Return the places that lie within no other."""
    found: list[str] = []
    for place in sorted(places):
        if not found or not place.startswith(f"{found[-1]}/"):
            found.append(place)
    return found
