"""ROIs and traces from the arrays and sparse matrices of a MATLAB file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.matlab.variables import SparseColumns, StoredArray
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.traces import TransposedTraces

# Bytes of dense weights that are searched for pixels at a time, at least one chunk's thickness.
_SLAB_BYTES = 64_000_000


class SparseTraces:
    """Traces with few non-zero samples, made dense where they are sliced.

    Parameters
    ----------
    stored : SparseColumns, of shape (ROIs, samples)
    """

    def __init__(self, stored: SparseColumns) -> None:
        if len(stored.rows) and not 0 <= stored.rows.min() <= stored.rows.max() < stored.shape[0]:
            raise SourceError(f"a sparse trace has a value beyond its {stored.shape[0]} ROIs.")
        self._stored = stored
        self.shape = (stored.shape[1], stored.shape[0])
        self.dtype: np.dtype[Any] = stored.weights.dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        samples, rois = selection if isinstance(selection, tuple) else (selection, slice(None))
        wanted = range(self.shape[0])[samples]
        if isinstance(wanted, int):
            return self._dense(wanted, wanted + 1)[0, rois]
        start, stop = (min(wanted), max(wanted) + 1) if wanted else (0, 0)
        return self._dense(start, stop)[:: wanted.step, rois]

    def _dense(self, start: int, stop: int) -> NDArray[Any]:
        stored = self._stored
        bounds = stored.bounds[start : stop + 1]
        found = slice(bounds[0], bounds[-1])
        block = np.zeros((stop - start, self.shape[1]), self.dtype)
        block[np.repeat(np.arange(stop - start), np.diff(bounds)), stored.rows[found]] = (
            stored.weights[found]
        )
        return block

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Sparse traces cannot become an array without a copy.")
        return np.asarray(self[:], dtype=dtype)


def count_rois(
    weights: Sequence[int], traces: Sequence[int], roi_axis: int, rois_may_be_first: bool = False
) -> int:
    """Return the number of ROIs that the shapes of weights and traces agree on.

    Parameters
    ----------
    weights, traces : sequence of int
        Shapes; as a rule, the ROIs lie on the last axis of the weights.
    roi_axis : {0, 1}
        Their usual axis in the traces.
    rois_may_be_first : bool
        Whether they may lie on the first axis of the weights.

    Raises
    ------
    SourceError
        When the two shapes share no number of ROIs.
    """
    counts = {weights[-1], weights[0]} if rois_may_be_first else {weights[-1]}
    # MATLAB drops the last axis of the weights of a single ROI.
    counts |= {1} if len(weights) == 2 else set()
    for count in (traces[roi_axis], traces[1 - roi_axis]):
        if count in counts:
            return int(count)
    raise SourceError(
        f"the weights have the shape {tuple(weights)}, the traces {tuple(traces)}; they share no "
        "number of ROIs."
    )


def as_traces(stored: Any, num_rois: int, roi_axis: int) -> Any:
    """Return traces as (samples, ROIs) without reading them.

    Parameters
    ----------
    stored : StoredArray, numpy.ndarray or SparseColumns
        Traces with two axes.
    num_rois : int
    roi_axis : {0, 1}
        The usual axis of the ROIs. The other axis is used where it alone has their number.

    Returns
    -------
    array-like or None
        None where no axis has the number of ROIs.
    """
    if len(stored.shape) != 2 or num_rois not in stored.shape:
        return None
    axis = roi_axis if stored.shape[roi_axis] == num_rois else 1 - roi_axis
    if isinstance(stored, SparseColumns):
        return SparseTraces(stored if axis == 0 else _transposed(stored))
    return stored if axis == 1 else TransposedTraces(stored)


def _transposed(matrix: SparseColumns) -> SparseColumns:
    columns = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.bounds))
    order = np.argsort(matrix.rows, kind="stable")
    counts = np.bincount(matrix.rows, minlength=matrix.shape[0])
    bounds = np.append(0, np.cumsum(counts))
    return SparseColumns(matrix.weights[order], columns[order], bounds, matrix.shape[::-1])


def as_pixels(
    stored: Any, field: Sequence[int] | None, num_rois: int, rois_may_be_first: bool = False
) -> PixelLists:
    """Return the pixels of ROIs with non-zero weights.

    Parameters
    ----------
    stored : StoredArray, numpy.ndarray or SparseColumns
        (rows, columns, ROIs), whose last axis MATLAB drops for a single ROI; or (pixels, ROIs),
        whose pixels go down the rows first.
    field : sequence of int or None
        (rows, columns), where it is known from another source.
    num_rois : int
        Number of ROIs of the traces.
    rois_may_be_first : bool
        Whether the weights may also be (ROIs, rows, columns); the axis with their number shows it.

    Raises
    ------
    SourceError
        When the shape is not one of these, or does not fit the field.
    """
    shape = tuple(stored.shape)
    is_flat = len(shape) == 2 and shape[1] == num_rois
    if isinstance(stored, SparseColumns) or (is_flat and shape != field):
        return flat_pixels(stored, field, num_rois)
    axes: tuple[str, ...] = ("row", "column", "roi")
    if len(shape) == 2 and num_rois == 1:
        axes, shape = axes[:2], (*shape, 1)
    elif rois_may_be_first and len(shape) == 3 and shape[2] != num_rois == shape[0]:
        axes, shape = ("roi", "row", "column"), (*shape[1:], shape[0])
    if len(shape) != 3 or shape[2] != num_rois:
        raise SourceError(
            f"the weights of the ROIs have the shape {tuple(stored.shape)}; they must be (rows, "
            f"columns, ROIs) or (pixels, ROIs), with the {num_rois} ROIs of the traces."
        )
    if field is not None and tuple(field) != shape[:2]:
        raise SourceError(f"the weights have a field of {shape[:2]} pixels, not {tuple(field)}.")
    return _dense_pixels(stored, axes, shape)


def flat_pixels(stored: Any, field: Sequence[int] | None, num_rois: int) -> PixelLists:
    """Return the pixels of ROIs of weights, (pixels, ROIs), whose pixels go down the rows first.

    Parameters
    ----------
    stored : StoredArray, numpy.ndarray or SparseColumns
    field : sequence of int or None
        (rows, columns).
    num_rois : int

    Raises
    ------
    SourceError
        When the field is not known, or the shape does not fit it.
    """
    if field is None:
        raise SourceError(
            f"the weights are {tuple(stored.shape)}, pixels by ROIs, and the file does not state "
            "how many rows and columns the field has."
        )
    if tuple(stored.shape) != (int(np.prod(field)), num_rois):
        raise SourceError(
            f"the weights are {tuple(stored.shape)}, pixels by ROIs; the field has "
            f"{tuple(field)} pixels, the traces are of {num_rois} ROIs."
        )
    if not isinstance(stored, SparseColumns):
        place, roi, weights = _nonzero(stored)
        counts = np.bincount(roi, minlength=num_rois)
    else:
        kept = stored.weights != 0
        place, weights = stored.rows[kept], stored.weights[kept]
        roi = np.repeat(np.arange(num_rois), np.diff(stored.bounds))[kept]
        counts = np.bincount(roi, minlength=num_rois)
    column, row = np.divmod(place, int(field[0]))
    return _ragged((row, column), weights, counts, field)


def _nonzero(stored: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return pixels, ROIs and weights of (pixels, ROIs), ROI by ROI, searched slab by slab."""
    none = np.zeros(0, dtype=np.int64)
    parts = [(none, none, np.zeros(0, stored.dtype))]
    for (first_place, first_roi), block in _slabs(stored):
        place, roi = np.nonzero(block)
        parts.append((place + first_place, roi + first_roi, block[place, roi]))
    places, rois, weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((places, rois))
    return places[order], rois[order], weights[order]


def _dense_pixels(stored: Any, axes: Sequence[str], shape: Sequence[int]) -> PixelLists:
    """Search the weights slab by slab, so that they are never in memory as a whole."""
    found: dict[str, list[NDArray[Any]]] = {"row": [], "column": [], "roi": [], "weight": []}
    for start, block in _slabs(stored):
        places = np.nonzero(block)
        found["weight"].append(block[places])
        for axis, offset, place in zip(axes, start, places, strict=True):
            found[axis].append((place + offset).astype(np.int64))
        if len(axes) == 2:
            found["roi"].append(np.zeros(len(places[0]), dtype=np.int64))
    dtypes = {"weight": stored.dtype}
    row, column, roi, weights = (
        np.concatenate([np.zeros(0, dtypes.get(name, np.int64)), *parts])
        for name, parts in found.items()
    )
    order = np.lexsort((row, column, roi))
    counts = np.bincount(roi, minlength=shape[2])
    return _ragged((row[order], column[order]), weights[order], counts, shape[:2])


def _slabs(stored: Any) -> Iterator[tuple[list[int], NDArray[Any]]]:
    """Yield blocks and the indices of their first elements, along the axis of thinnest chunks."""
    chunks = stored.dataset.chunks if isinstance(stored, StoredArray) else None
    thickness = chunks[::-1] if chunks else (1,) * len(stored.shape)
    if 0 in stored.shape:
        return
    axes = range(len(stored.shape))
    # Among equal axes the last, along which a block of the file is contiguous.
    axis = min(reversed(axes), key=lambda each: thickness[each] / stored.shape[each])
    layer = int(np.prod(stored.shape)) // stored.shape[axis] * stored.dtype.itemsize
    step = max(_SLAB_BYTES // (layer * thickness[axis]), 1) * thickness[axis]
    for start in range(0, stored.shape[axis], step):
        selection = [slice(None)] * len(stored.shape)
        selection[axis] = slice(start, start + step)
        yield [start if each == axis else 0 for each in axes], np.asarray(stored[tuple(selection)])


def _ragged(
    places: tuple[NDArray[Any], NDArray[Any]],
    weights: NDArray[Any],
    counts: NDArray[Any],
    field: Sequence[int],
) -> PixelLists:
    row, column = places
    if len(row) and (row.max() >= field[0] or column.max() >= field[1]):
        raise SourceError(f"a pixel of an ROI lies outside the field of {tuple(field)} pixels.")
    return PixelLists(
        coordinates=(column.astype(np.int32), row.astype(np.int32)),
        weights=weights,
        ends=np.cumsum(counts),
        field_shape=(int(field[1]), int(field[0])),
        image_dtype=weights.dtype,
    )
