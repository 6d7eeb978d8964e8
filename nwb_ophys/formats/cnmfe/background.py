"""CNMF-E's model of the background: components, or a constant and the weights of a ring."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from nwb_ophys.filetypes.matlab.rois import as_traces, flat_pixels
from nwb_ophys.filetypes.matlab.variables import MatlabStruct
from nwb_ophys.rois.pixel_lists import PixelLists

_PARTS = ("b", "f", "W", "b0")


def background_of(
    path: Path, output: MatlabStruct, field: tuple[int, int], num_samples: int
) -> tuple[PixelLists | None, Any]:
    """Return the masks and the traces of background components (``b`` and ``f``), or None twice.

    A note names the parts of the model that are not read: the weights of a ring (``W``), and what
    CNMF-E stored in cells, patch by patch. The constant ``b0`` is an image.

    Parameters
    ----------
    path : pathlib.Path
        The file, for the note.
    output : MatlabStruct
    field : tuple of int
        (rows, columns).
    num_samples : int
    """
    left_out = [name for name in _PARTS if _has_values(output, name)]
    num_pixels = math.prod(field)
    found: tuple[PixelLists | None, Any] = (None, None)
    masks, traces = output.get("b"), output.get("f")
    number = _shape(traces)[0] if len(_shape(traces)) == 2 else 0
    if number and (_shape(masks), _shape(traces)) == ((num_pixels, number), (number, num_samples)):
        found = flat_pixels(masks, field, number), as_traces(traces, number, roi_axis=0)
        left_out = [name for name in left_out if name not in ("b", "f")]
    if math.prod(_shape(output.get("b0"))) == num_pixels:
        left_out = [name for name in left_out if name != "b0"]
    if left_out:
        warnings.warn(
            f"'{path}': {', '.join(left_out)}, of CNMF-E's model of the background, "
            f"{'is' if len(left_out) == 1 else 'are'} left out.",
            UserWarning,
            stacklevel=4,
        )
    return found


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(getattr(value, "shape", ()))


def _has_values(output: MatlabStruct, name: str) -> bool:
    """Return whether a field has any values, also in the cells of patches."""
    value = output.get(name)
    if hasattr(value, "shape"):
        return 0 not in value.shape
    return value is None and bool(output.elements(name))
