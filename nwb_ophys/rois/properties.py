"""Lookup of properties of ROIs by a dictionary; roiextractors searches a list for each ROI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from roiextractors import SegmentationExtractor
from roiextractors.segmentationextractor import _PropertyInfo

_MOST_SHOWN = 10


def values_of(values: Any, roi_ids: Sequence[Any], asked: Sequence[Any]) -> NDArray[Any]:
    """Return the values of the requested ROIs.

    Parameters
    ----------
    values : array-like, shape (ROIs, …)
    roi_ids : sequence
        Ids of the ROIs that the values belong to.
    asked : sequence
        Ids of the requested ROIs.

    Raises
    ------
    ValueError
        When an id is not among those of the ROIs.
    """
    position = {roi_id: index for index, roi_id in enumerate(roi_ids)}
    missing = [roi_id for roi_id in asked if roi_id not in position]
    if missing:
        raise ValueError(f"There are no ROIs {missing[:10]} among the {len(position)} ROIs.")
    return np.asarray(values)[[position[roi_id] for roi_id in asked]]


def repeated_ids(roi_ids: Sequence[Any]) -> str:
    """Return the ids that occur several times, in words; empty where all differ.

    Parameters
    ----------
    roi_ids : sequence of int or str
    """
    counts = Counter(roi_ids)
    twice = [roi_id for roi_id, count in counts.items() if count > 1]
    shown = ", ".join(f"{roi_id!r} ({counts[roi_id]} times)" for roi_id in twice[:_MOST_SHOWN])
    return shown + (", …" if len(twice) > _MOST_SHOWN else "")


class FastPropertiesMixin(SegmentationExtractor):  # type: ignore[misc]
    """Mixin that sets and gets properties of ROIs in linear rather than quadratic time.

    List it before the extractor class whose methods it replaces.
    """

    def set_property(
        self, key: str, values: Any, ids: Sequence[Any], *, description: str = ""
    ) -> None:
        """Set a property of all ROIs.

        Parameters
        ----------
        key : str
        values : array-like, shape (ROIs, …)
            In the order of the ids.
        ids : sequence
            Each ROI once.
        description : str

        Raises
        ------
        ValueError
            When the numbers of values, ids and ROIs differ, or the ids belong to other ROIs.
        """
        own, given, array = list(self.get_roi_ids()), list(ids), np.asarray(values)
        if not len(array) == len(given) == len(own):
            raise ValueError(
                f"Property '{key}': {len(array)} values and {len(given)} ids for {len(own)} ROIs."
            )
        if set(given) != set(own):
            raise ValueError(f"Property '{key}': the ids must be the ids of the ROIs.")
        self._properties[key] = _PropertyInfo(values_of(array, given, own), description)

    def get_property(self, key: str, ids: Sequence[Any]) -> NDArray[Any]:
        """Return a property of the requested ROIs."""
        return values_of(self.get_property_info(key).data, self.get_roi_ids(), ids)
