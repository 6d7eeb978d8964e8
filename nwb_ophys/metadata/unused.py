"""Notes on descriptions of traces and images that a recording does not have."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from nwb_ophys.metadata.defaults import BACKGROUND_PLANE_SEGMENTATION
from nwb_ophys.metadata.dictionary_form import TABLES
from nwb_ophys.metadata.links import BY_PLANE


def warn_of_unused(full: Mapping[Any, Any], stated: Mapping[Any, Any]) -> None:
    """Warn of traces and images that the user describes and the recording does not have.

    Parameters
    ----------
    full : Mapping
        Complete metadata.
    stated : Mapping
        The metadata without the user's, which describe exactly what is there.
    """
    known, own = _containers(stated), _containers(full)
    if not known or not own:
        return
    for note in _notes(own, known):
        warnings.warn(f"{note} It has no effect.", UserWarning, stacklevel=2)


def _containers(metadata: Mapping[Any, Any]) -> Mapping[str, Any]:
    ophys = metadata.get("Ophys")
    return ophys if isinstance(ophys, Mapping) and "ImageSegmentation" in ophys else {}


def _notes(own: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    stated = _tables(known)
    tables = list(dict.fromkeys((*stated, *_tables(own))))
    for container in BY_PLANE:
        planes = own.get(container)
        for plane, members in planes.items() if isinstance(planes, Mapping) else ():
            if not isinstance(members, Mapping) or plane in (own.get(TABLES) or ()):
                continue  # interfaces of other packages have their tables in a dictionary
            path = f'metadata["Ophys"]["{container}"]["{plane}"]'
            if plane not in tables:
                if str(plane).startswith(BACKGROUND_PLANE_SEGMENTATION):
                    continue  # an option leaves the background out
                names = ", ".join(f"'{name}'" for name in tables)
                yield f"{path} is of a plane segmentation that is not there; there is {names}."
            elif plane in stated:
                there = _members(known, container, plane)
                names = ", ".join(f"'{name}'" for name in there) or "none"
                for name in members.keys() - there.keys():
                    yield f'{path}["{name}"] is not in the recording, which has {names}.'


def _tables(ophys: Mapping[str, Any]) -> list[str]:
    """Return the names of the plane segmentations."""
    segmentation = ophys["ImageSegmentation"]
    found = segmentation.get("plane_segmentations") if isinstance(segmentation, Mapping) else None
    entries = found if isinstance(found, (list, tuple)) else ()
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    return [name for name in names if isinstance(name, str)]


def _members(ophys: Mapping[str, Any], container: str, plane: str) -> Mapping[str, Any]:
    planes = ophys.get(container)
    members = planes.get(plane) if isinstance(planes, Mapping) else None
    return members if isinstance(members, Mapping) else {}
