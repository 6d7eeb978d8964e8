"""What a segmentation states of each ROI besides its mask, as columns of the table."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

# Which property says that an ROI was accepted: as a rule is_accepted, in Suite2p iscell.
_ACCEPTANCE = ("is_accepted", "iscell")
_REJECTION = "is_rejected"
_RESERVED = {"id", "image_mask", "pixel_mask", "voxel_mask"}


@attrs.frozen
class PropertyColumn:
    """A column of the table of ROIs.

    Attributes
    ----------
    name, description : str
    values : numpy.ndarray, shape (ROIs, …)
    """

    name: str
    description: str
    values: NDArray[Any]


def property_columns(
    extractor: Any, roi_ids: Sequence[Any], include_acceptance: bool, taken: Collection[str] = ()
) -> list[PropertyColumn]:
    """Return a column per property, acceptance and rejection first, as 0 and 1.

    Parameters
    ----------
    extractor : roiextractors.SegmentationExtractor
    roi_ids : sequence
        All ids of the extractor, in its order.
    include_acceptance : bool
        Whether to return ``Accepted`` and ``Rejected``, where the extractor states either.
    taken : collection of str
        Names of columns there are already; a property of such a name is called ``roi_<name>``.
    """
    keys = list(extractor.get_property_keys())
    acceptance = next((key for key in _ACCEPTANCE if key in keys), None)
    columns = []
    if include_acceptance:
        columns.extend(_acceptance_columns(extractor, roi_ids, acceptance, _REJECTION in keys))
    reserved = _RESERVED | set(taken) | {column.name for column in columns}
    for key in keys:
        if key not in (acceptance, _REJECTION):
            name = f"roi_{key}" if key in reserved else key
            description = extractor.get_property_info(key).description or f"{key} of the ROI."
            columns.append(PropertyColumn(name, description, _values(extractor, key, roi_ids)))
    return columns


def _acceptance_columns(
    extractor: Any, roi_ids: Sequence[Any], acceptance: str | None, has_rejection: bool
) -> list[PropertyColumn]:
    """Return both columns; where only one is stated, the other is its complement."""
    if acceptance is None and not has_rejection:
        return []
    rejected = _values(extractor, _REJECTION, roi_ids).astype(bool) if has_rejection else None
    if acceptance is None:
        accepted = ~rejected  # type: ignore[operator]
    else:
        accepted = _values(extractor, acceptance, roi_ids).astype(bool)
    rejected = ~accepted if rejected is None else rejected
    return [
        PropertyColumn("Accepted", "1 if the ROI was accepted, else 0.", accepted.astype(np.uint8)),
        PropertyColumn("Rejected", "1 if the ROI was rejected, else 0.", rejected.astype(np.uint8)),
    ]


def _values(extractor: Any, key: str, roi_ids: Sequence[Any]) -> NDArray[Any]:
    whole = np.asarray(extractor.get_property_info(key).data)
    # get_property looks every id up in a list, which takes seconds for thousands of ROIs.
    return whole if len(whole) == len(roi_ids) else np.asarray(extractor.get_property(key, roi_ids))
