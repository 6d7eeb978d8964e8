"""Traces that are read when they are sliced, and the ids of their columns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError


class TraceView:
    """Selected columns or the first rows of a (samples, ROIs) array, read when sliced.

    Parameters
    ----------
    data : array-like
        With ``shape``, ``dtype`` and slicing.
    columns : sequence of int, optional
        Positions of the columns, in the requested order; all columns by default.
    num_samples : int, optional
        Number of rows; all rows by default.
    """

    def __init__(
        self, data: Any, columns: Sequence[int] | None = None, num_samples: int | None = None
    ) -> None:
        self._data = data
        self._columns = np.arange(data.shape[1]) if columns is None else np.asarray(columns, int)
        rows = int(data.shape[0]) if num_samples is None else min(num_samples, int(data.shape[0]))
        self.shape = (rows, len(self._columns))
        self.dtype = np.dtype(data.dtype)
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> Any:
        rows, columns = selection if isinstance(selection, tuple) else (selection, slice(None))
        if isinstance(rows, slice):
            wanted = range(self.shape[0])[rows]
            # HDF5 reads forwards only.
            start, stop = (min(wanted), max(wanted) + 1) if wanted else (0, 0)
            return np.asarray(self._data[start:stop, :])[:: wanted.step, self._columns[columns]]
        return np.asarray(self._data[range(self.shape[0])[rows], :])[self._columns[columns]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "Traces that are read when sliced cannot become an array without a copy."
            )
        return np.asarray(self[:], dtype=dtype)


class SummedTraces:
    """The sum of two (samples, ROIs) arrays, computed when it is sliced.

    Parameters
    ----------
    first, second : array-like
        Arrays of the same shape.
    """

    def __init__(self, first: Any, second: Any) -> None:
        if tuple(first.shape) != tuple(second.shape):
            raise ValueError(f"traces of shapes {first.shape} and {second.shape} cannot be added.")
        self._parts = (first, second)
        self.shape = tuple(int(size) for size in first.shape)
        self.dtype = np.result_type(first.dtype, second.dtype)
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> Any:
        first, second = (np.asarray(part[selection]) for part in self._parts)
        return first + second

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "Traces that are added when read cannot become an array without a copy."
            )
        return np.asarray(self[:], dtype=dtype)


class TransposedTraces:
    """Traces stored by ROI, presented as (samples, ROIs) and read when they are sliced.

    Parameters
    ----------
    stored : array-like, shape (ROIs, samples)
        With ``shape``, ``dtype`` and slicing of both axes.
    """

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self.shape: tuple[int, int] = (stored.shape[1], stored.shape[0])
        self.dtype: np.dtype[Any] = stored.dtype
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> NDArray[Any]:
        samples, rois = selection if isinstance(selection, tuple) else (selection, slice(None))
        return np.asarray(self._stored[rois, samples]).T

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "Traces that are read when sliced cannot become an array without a copy."
            )
        return np.asarray(self[:], dtype=dtype)


@attrs.frozen
class Response:
    """A kind of trace with the ids of its columns, as roiextractors keeps it in its extractors.

    Attributes
    ----------
    response_type : str
        Such as ``raw``.
    data : array-like, shape (samples, ROIs)
    roi_ids : list
        Id of the ROI, or background component, of each column.
    """

    response_type: str
    data: Any = attrs.field(eq=False)
    roi_ids: list[Any]


def is_present(data: Any) -> bool:
    """Return whether a trace has samples and ROIs; a trace of zeros is present."""
    return data is not None and len(data.shape) == 2 and 0 not in data.shape


def with_rois_in_columns(
    stored: Any,
    num_rois: int,
    what: str,
    *,
    num_samples: int | None = None,
) -> Any:
    """Return traces as (samples, ROIs), turned where they lie across and only one axis fits.

    Parameters
    ----------
    stored : array-like
        Traces with two axes, which are not read.
    num_rois : int
        Number of ROIs.
    what : str
        Name of the traces and their file, for messages.
    num_samples : int, optional
        Number of samples, if it is known.

    Returns
    -------
    array-like
        ``stored`` or a view of it. Warns where the axes are not in the documented order.

    Raises
    ------
    CorruptSourceError
        Where neither axis has the number of ROIs, or the other axis the number of samples.
    """
    shape = tuple(int(size) for size in stored.shape)
    names = ("samples, ROIs", "ROIs, samples")
    lengths = {"ROIs": num_rois, "samples": num_samples}
    fits = [
        len(shape) == 2
        and all(lengths[n] in (None, s) for n, s in zip(order.split(", "), shape, strict=True))
        for order in names
    ]
    if not any(fits):
        known = "" if num_samples is None else f" and {num_samples} samples"
        raise CorruptSourceError(
            f"{what} have the shape {shape} for {num_rois} ROIs{known}; it must be ({names[0]})."
        )
    if not fits[0]:
        warnings.warn(
            f"{what} lie across: their shape {shape} fits {num_rois} ROIs only as ({names[1]}). "
            f"They are read so.",
            UserWarning,
            stacklevel=2,
        )
    return stored if fits[0] else TransposedTraces(stored)
