"""Objects of NWB files that damage has taken away, or whose type it has taken away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nwb_ophys.formats.nwb.files import SEARCHED_GROUPS, read_nwb

# Containers whose members all have a type.
_OPENED = {"ProcessingModule", "ImageSegmentation", "Fluorescence", "DfOverF", "Images"}
_UNTYPED = {"stimulus"}
_MOST_LISTED = 5


def warn_of_lost(path: Path) -> None:
    """Warn of objects without a type, and of those that the record of the file states.

    Parameters
    ----------
    path : pathlib.Path
        An NWB file.
    """
    untyped = read_nwb(path, lambda root: list(_without_type(root))) or []
    _warn(path, untyped, "which cannot be read: damage has taken away their type or header")
    absent = [each for each in _absent(path) if not _is_within(each, untyped)]
    _warn(path, absent, "although the record of its conversion states them: they were removed")


def _warn(path: Path, places: list[str], what: str) -> None:
    if not places:
        return
    has = "has" if "cannot" in what else "has no"
    shown = ", ".join(f"'{place}'" for place in places[:_MOST_LISTED])
    more = f" and {len(places) - _MOST_LISTED} more" * (len(places) > _MOST_LISTED)
    warnings.warn(
        f"'{path}' {has} {shown}{more}, {what}. The conversion goes on without them; copy the file "
        "again if you can.",
        UserWarning,
        stacklevel=7,
    )


def _is_within(place: str, others: list[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)


def _without_type(root: Any) -> Iterator[str]:
    """Yield the members of containers that have no type."""
    for name, group in root.members():
        if name in SEARCHED_GROUPS and name not in _UNTYPED:
            yield from _of_container(group, name)


def _of_container(group: Any, prefix: str) -> Iterator[str]:
    for name, member in group.members():
        place = f"{prefix}/{name}"
        stated = {} if member is None else member.attributes()
        kind = stated.get("neurodata_type")
        if not kind or "namespace" not in stated:
            yield place
        elif kind in _OPENED:
            yield from _of_container(member, place)


def _absent(path: Path) -> list[str]:
    """Return the places of objects that the records of a file state and the file lacks."""
    from nwb_ophys.storage import backend_of_path
    from nwb_ophys.storage.record import Known, records_of

    storage = backend_of_path(path)
    if storage is None:
        return []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with storage.open_root(path) as root:
                known = Known.of(records_of(root, storage).values())
                stated = {*known.attributes, *known.datasets, *known.values}
                return _outermost(
                    place
                    for place in stated
                    if place.split("/")[0] in SEARCHED_GROUPS and place not in root
                )
    except Exception:  # of any library, about a damaged file, whose reading raises with words
        return []


def _outermost(places: Iterator[str]) -> list[str]:
    """Return the places that lie within no other."""
    found: list[str] = []
    for place in sorted(places):
        if not found or not place.startswith(f"{found[-1]}/"):
            found.append(place)
    return found
