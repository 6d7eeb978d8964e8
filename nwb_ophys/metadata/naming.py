"""Names of the parts of a recording, such as its channels and planes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from nwb_ophys.metadata.deepdict import DeepDict


def with_suffix(metadata: DeepDict, suffix: str) -> DeepDict:
    """Append a suffix to all names but those of devices, and update the links between them.

    Parameters
    ----------
    metadata : DeepDict
        Default metadata of one interface; changed and returned.
    suffix : str
        Any text, of which letters and digits are used.
    """
    end = camel_case(suffix)
    ophys = metadata["Ophys"]
    if not end:
        return metadata
    for plane in ophys["ImagingPlane"]:
        plane["name"] += end
    for kind in ("TwoPhotonSeries", "OnePhotonSeries"):
        for series in ophys.get(kind, []):
            series["name"] += end
            series["imaging_plane"] += end
    for segmentation in (ophys.get("ImageSegmentation") or {}).get("plane_segmentations", []):
        segmentation["imaging_plane"] += end
        for container in ("Fluorescence", "DfOverF", "SegmentationImages"):
            _rename_members(ophys[container], segmentation["name"], end)
        segmentation["name"] += end
    return metadata


def _rename_members(container: dict[str, Any], plane: str, end: str) -> None:
    members = container.pop(plane, None)
    if isinstance(members, Mapping):
        container[plane + end] = {
            key: {**member, "name": member["name"] + end} for key, member in members.items()
        }


def camel_case(words: str) -> str:
    """Return a text as a suffix for names: ``plane_0`` becomes ``Plane0``."""
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", words))


def unused_name(name: str, suffix: str, taken: set[str]) -> str:
    """Return an unused name with a suffix, numbered where needed, and mark it as used.

    Parameters
    ----------
    name, suffix : str
    taken : set of str
        The names in use; changed.
    """
    candidates = itertools.chain(
        [name + suffix], (f"{name}{suffix}{number}" for number in itertools.count(2))
    )
    found = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(found)
    return found
