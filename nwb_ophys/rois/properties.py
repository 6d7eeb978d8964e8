"""Lookup of properties of ROIs by a dictionary; roiextractors searches a list for each ROI."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import PropertyInfo, SegmentationExtractor
from nwb_ophys.errors import SourceError

_MOST_SHOWN = 10
_NUMBERS = (bool, int, float, np.bool_, np.number)


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


def as_flags(values: Any, what: str) -> NDArray[np.bool_]:
    """Return truth values, or numbers 0 and 1, as truth values.

    Parameters
    ----------
    values : array-like
    what : str
        Subject of the error, such as ``accepted``.

    Raises
    ------
    SourceError
        When there are other values. NumPy takes NaN, -1 and the text "False" for True.
    """
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind == "O" and all(isinstance(each, _NUMBERS) for each in array.flat):
        array = np.asarray(array.tolist())
    known = np.isin(array, (0, 1)) if array.dtype.kind in "biuf" else np.zeros(array.shape, bool)
    if not known.all():
        odd = ", ".join(repr(each) for each in array[~known].tolist()[:_MOST_SHOWN])
        raise SourceError(f"{what} must be 0 or 1 (false or true) for each ROI; it holds {odd}.")
    return array.astype(bool)


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
        self._properties[key] = PropertyInfo(values_of(array, given, own), description)

    def get_property(self, key: str, ids: Sequence[Any]) -> NDArray[Any]:
        """Return a property of the requested ROIs."""
        return values_of(self.get_property_info(key).data, self.get_roi_ids(), ids)
