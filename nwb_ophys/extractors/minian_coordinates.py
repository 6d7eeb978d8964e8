"""The coordinates of Minian's variables: which units and which frames they are of."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.extractors.zarr_variables import ZarrVariable


def unit_labels(variable: ZarrVariable) -> list[int]:
    """Return the labels of the units of a variable; their numbers where it has no labels.

    Raises
    ------
    CorruptSourceError
        When they are not as many as the units, or not all different.
    """
    num_units = variable.shape[0] if variable.name == "A" else variable.shape[1]
    labels = variable.coordinate("unit_id")
    if labels is None:
        return list(range(num_units))
    if labels.shape != (num_units,) or len(set(labels.tolist())) != num_units:
        raise CorruptSourceError(
            f"'{variable.store}' has {num_units} units, but its unit_id are "
            f"{labels.tolist()[:10] if labels.ndim else labels.item()}; each must have its own."
        )
    return [int(label) for label in labels]


def frame_numbers(variable: ZarrVariable) -> NDArray[Any] | None:
    """Return which frames of the recorded movie the samples are; None where it is not stated.

    Raises
    ------
    CorruptSourceError
        When they are not as many as the samples, or not all different.
    """
    frames = variable.coordinate("frame")
    if frames is None:
        return None
    if frames.shape != variable.shape[:1] or len(np.unique(frames)) != len(frames):
        raise CorruptSourceError(
            f"'{variable.store}' has {variable.shape[0]} samples, but its coordinate 'frame' has "
            f"{frames.size} values, {len(np.unique(frames))} of them different."
        )
    return frames


def check_frames(
    variable: ZarrVariable, own: NDArray[Any] | None, frames: NDArray[Any] | None, num_samples: int
) -> None:
    """Check that a trace is of the same frames as the others.

    Raises
    ------
    CorruptSourceError
    """
    if variable.shape[0] != num_samples:
        raise CorruptSourceError(
            f"'{variable.store}' has {variable.shape[0]} samples, the other traces {num_samples}; "
            "they must be of the same frames."
        )
    if own is not None and frames is not None and not np.array_equal(own, frames):
        raise CorruptSourceError(f"'{variable.store}' is of other frames than the other traces.")


def warn_of_missing_chunks(variable: ZarrVariable) -> None:
    """Tell of chunks that are absent, which Zarr takes for zeros."""
    missing, total = variable.num_missing_chunks()
    if missing:
        warnings.warn(
            f"{missing} of {total} chunks of '{variable.store}' have no file and are read as "
            "zeros; the folder may be incomplete.",
            UserWarning,
            stacklevel=5,
        )
