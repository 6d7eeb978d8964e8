"""The lists of entries within ``metadata["Ophys"]``, by their category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nwb_ophys.metadata.deepdict import DeepDict

SERIES = ("TwoPhotonSeries", "OnePhotonSeries")
SEGMENTATIONS = "plane_segmentations"
BY_PLANE = ("Fluorescence", "DfOverF", "SegmentationImages")


def entries_of(metadata: Mapping[str, Any], category: str) -> list[Any]:
    """Return the entries of a category; none where they are absent or not a list."""
    ophys = metadata.get("Ophys") or {}
    if category == SEGMENTATIONS:
        ophys = ophys.get("ImageSegmentation") or {}
    entries = ophys.get(category)
    return list(entries) if isinstance(entries, (list, tuple)) else []


def set_entries(metadata: DeepDict, category: str, entries: list[Any]) -> None:
    """Replace the entries of a category; with none, the category is taken out."""
    ophys = metadata["Ophys"]
    parent = ophys["ImageSegmentation"] if category == SEGMENTATIONS else ophys
    if entries:
        parent[category] = entries
    else:
        parent.pop(category, None)


def path_of(category: str) -> str:
    """Return where the entries of a category stand, for messages."""
    inner = '["ImageSegmentation"]' if category == SEGMENTATIONS else ""
    return f'metadata["Ophys"]{inner}["{category}"]'


def described(entries: list[Any]) -> list[Any]:
    """Return those entries that are descriptions with a name, not objects made already."""
    return [e for e in entries if isinstance(e, Mapping) and isinstance(e.get("name"), str)]
