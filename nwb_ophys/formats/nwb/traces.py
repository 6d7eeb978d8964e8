"""Traces of the ROIs of a table in NWB files, by kind."""

from __future__ import annotations

import re
import warnings
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.formats.nwb.files import TABLES
from nwb_ophys.formats.nwb.objects import are_times, rate_of_times, starting_time_of
from nwb_ophys.rois.traces import TraceView, with_rois_in_columns
from nwb_ophys.storage import check_complete
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.timing import usable_rate

_KINDS = ("neuropil", "deconvolved", "denoised", "baseline", "background")
# Kinds that may be taken away from traces, as words for that say.
_CORRECTIONS = ("neuropil", "baseline", "background")
_CORRECTED = re.compile("correct|subtract|minus|remov")
# Names of the relative change of fluorescence, such as that of NeuroConv among plain fluorescence.
_RELATIVE = re.compile(
    r"dff|(?:(?<![a-z])d|delta|[\u0394\u03b4\u2206])[\W_]?f[\W_]?(?:over|by)?[\W_]?f?0?(?![a-z])"
)
# Corrections of other kinds, after which neuropil is neuropil still.
_OF_OTHER_KINDS = re.compile(
    r"(?:motion|movement|drift|shift|bleach(?:ing)?)[\W_]*correct(?:ed|ion)?"
)


@attrs.frozen
class TraceClock:
    """The times of traces.

    Attributes
    ----------
    rate : float or None
    starting_time : float
    timestamps : numpy.ndarray or None
    """

    rate: float | None
    starting_time: float = 0.0
    timestamps: NDArray[np.float64] | None = attrs.field(default=None, eq=False)

    @property
    def is_known(self) -> bool:
        """Return whether the file states a rate or the times of the samples."""
        return self.rate is not None or self.timestamps is not None

    def times(self, num_samples: int) -> NDArray[np.float64] | None:
        """Return the time of each sample where the times do not follow from the rate alone."""
        if self.timestamps is not None:
            return self.timestamps
        if self.rate is None or not self.starting_time:
            return None
        return self.starting_time + np.arange(num_samples) / self.rate

    def same(self, other: TraceClock) -> bool:
        """Return whether another clock gives the same times."""
        return self == other and np.array_equal(
            () if self.timestamps is None else self.timestamps,
            () if other.timestamps is None else other.timestamps,
        )


class SpreadTrace:
    """Traces of some ROIs as columns of all ROIs, NaN for the others; read when sliced.

    Parameters
    ----------
    data : array-like, shape (samples, some ROIs)
    columns : numpy.ndarray of int
        The ROI of each column.
    num_rois : int
    """

    def __init__(self, data: Any, columns: NDArray[np.int64], num_rois: int) -> None:
        self._data, self._columns = data, columns
        self.shape = (int(data.shape[0]), num_rois)
        self.dtype = np.result_type(data.dtype, np.float32)
        self.ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selection: Any) -> Any:
        rows, columns = selection if isinstance(selection, tuple) else (selection, slice(None))
        part = np.asarray(self._data[rows])
        whole = np.full((*part.shape[:-1], self.shape[1]), np.nan, self.dtype)
        whole[..., self._columns] = part
        return whole[..., columns]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)


def traces_of(
    nwbfile: Any, table: Any, given_rate: float | None = None
) -> tuple[dict[str, Any], dict[str, Any], TraceClock | None]:
    """Return the traces of the ROIs of a table by kind, their series, and their clock.

    Traces with another clock than the first that states one are left out with a warning: a
    segmentation has one clock. A rate that the user gives holds for all.
    """
    traces: dict[str, Any] = {}
    series: dict[str, Any] = {}
    found = [(one, *_checked(one, table, given_rate)) for one in _series_of(nwbfile, table)]
    if not found:
        return traces, series, None
    stating = [each for each in found if each[2].is_known]
    _, first, clock = (stating or found)[0]
    for one, data, own in found:
        fault = None
        if stating and not own.is_known:
            fault = "state neither a rate nor times, which the others do"
        elif not own.same(clock) or data.shape[0] != first.shape[0]:
            fault = f"are of other times than the first ({data.shape[0]} samples, {first.shape[0]})"
        if fault is None:
            kind = _kind(one, set(traces))
            traces[kind], series[kind] = data, one
            continue
        warnings.warn(
            f"The traces '{one.parent.name}/{one.name}' of '{table.name}' {fault}, and are left "
            "out.",
            UserWarning,
            stacklevel=4,
        )
    return traces, series, clock


def _checked(one: Any, table: Any, given_rate: float | None) -> tuple[Any, TraceClock]:
    """Return the traces of a series, with a column for each ROI of its table, and their clock."""
    for each in (one.data, one.timestamps, one.rois.data):
        check_complete(each)
    clock = _clock(one, given_rate)
    return _columns_of_all(one, len(table.id), given_rate), clock


def _series_of(nwbfile: Any, table: Any) -> list[Any]:
    """Return the series of traces of a table, plain fluorescence first, the others by name.

    Warns of series that refer to no table, and so belong to no segmentation of the file.
    """
    every = [o for o in nwbfile.objects.values() if type(o).__name__ == "RoiResponseSeries"]
    lost = [one for one in every if getattr(one.rois.table, "neurodata_type", "") not in TABLES]
    if lost:
        names = ", ".join(f"'{one.parent.name}/{one.name}'" for one in lost)
        warnings.warn(
            f"The traces {names} of '{nwbfile.container_source}' refer to no table of ROIs (the "
            f"attribute 'table' of their 'rois'), and are not written with '{table.name}': damage "
            "may have taken the reference away. Copy the file again if you can.",
            UserWarning,
            stacklevel=5,
        )
    found = [one for one in every if one.rois.table is table]
    return sorted(found, key=lambda one: (_kind(one, set()) != "raw", one.parent.name, one.name))


def _kind(series: Any, taken: set[str]) -> str:
    container = series.parent
    names = [container.name.lower(), series.name.lower()]
    words = " ".join(names)
    found = next((kind for kind in _KINDS if kind in words), "raw")
    own = [_OF_OTHER_KINDS.sub("", name) for name in names if found in name]
    if found in _CORRECTIONS and any(map(_CORRECTED.search, own)):
        found = "corrected"
    if type(container).__name__ == "DfOverF" or _RELATIVE.search(words):
        found = "dff"
    if found not in taken:
        return found
    name, number = series.name, 2
    while name in taken or name in ("raw", "dff", *_KINDS):
        name, number = f"{series.name}{number}", number + 1
    return name


def _clock(series: Any, given_rate: float | None) -> TraceClock:
    times = series.timestamps
    if given_rate is not None or times is None or not are_times(times):
        return TraceClock(given_rate or usable_rate(series.rate), starting_time_of(series))
    times = np.asarray(times[:], dtype=np.float64)
    return TraceClock(rate_of_times(times), 0.0, times)


def _columns_of_all(series: Any, num_rois: int, given_rate: float | None) -> Any:
    """Return the traces with a column for each ROI of the table, in its order."""
    rois = np.asarray(series.rois.data[:], dtype=np.int64)
    data = check_stored(series.data)
    if len(data.shape) == 1:
        data = np.asarray(data[:])[:, np.newaxis]
    num_times = None
    if series.timestamps is not None and given_rate is None:
        num_times = len(series.timestamps)
    what = f"The traces '{series.parent.name}/{series.name}' of '{series.rois.table.name}'"
    data = with_rois_in_columns(data, len(rois), what, num_samples=num_times)
    if len(rois) and not 0 <= rois.min() <= rois.max() < num_rois:
        raise CorruptSourceError(
            f"The traces '{series.name}' are of ROIs {rois.min()} to {rois.max()}, of {num_rois}."
        )
    if np.array_equal(rois, np.arange(num_rois)):
        return data
    if np.array_equal(np.sort(rois), np.arange(num_rois)):
        return TraceView(data, np.argsort(rois).tolist())
    if len(set(rois.tolist())) != len(rois):
        raise CorruptSourceError(f"The traces '{series.name}' name an ROI several times.")
    warnings.warn(
        f"{what} are of {len(rois)} of its {num_rois} ROIs. They are written with a column for "
        "each ROI, NaN for those without a trace.",
        UserWarning,
        stacklevel=6,
    )
    return SpreadTrace(data, rois, num_rois)
