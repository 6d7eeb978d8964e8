"""Traces of ROIs: a heat map of all, and the traces with the highest ratio of signal to noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.failures import Unreadable, attempt
from nwb_ophys.reports.stored_file import StoredFile
from nwb_ophys.reports.timing import StreamTimes, stream_times

_MOST_BYTES = 128_000_000
_MOST_COLUMNS, _MOST_ROWS = 1000, 400
_NUM_EXAMPLES = 8
_NUM_BLOCKS = 64
# Standard deviation of a normal distribution over its median absolute difference of neighbours.
_MEDIAN_TO_SD = 0.6744897501960817
_PEAK = 99.0
_PIECE_BYTES = 1 << 24


@attrs.frozen(kw_only=True, eq=False)
class TraceSet:
    """A series of traces.

    Attributes
    ----------
    path, kind, description, unit : str
        ``kind`` is the type of the container, such as ``DfOverF``.
    table : str or None
        Path of the table of its ROIs.
    shape : tuple of int
        (samples, ROIs).
    times : StreamTimes or Unreadable
    num_samples_read : int
        Samples that were read; fewer than all of a set of more than 128 MB.
    samples : numpy.ndarray of int, shape (samples read,)
        Numbers of the samples that were read.
    rows : numpy.ndarray of int, shape (ROIs,)
        Row of the table for each column.
    signal_to_noise : numpy.ndarray of float64, shape (ROIs,)
        See :func:`signal_to_noise`.
    heat_map : numpy.ndarray of float32, shape (rows, bins)
        Means over bins of samples, in standard deviations of each trace from its median.
    heat_map_columns : numpy.ndarray of int
        Columns of the set in the rows of the heat map.
    samples_per_bin : int
    examples : tuple of (int, numpy.ndarray)
        Columns with the highest ratio, best first, with their values.
    num_not_finite : int
        Values among those read that are NaN or infinite.
    """

    path: str
    kind: str
    description: str
    unit: str
    table: str | None
    shape: tuple[int, ...]
    times: StreamTimes | Unreadable
    samples: NDArray[np.int64]
    rows: NDArray[np.int64]
    signal_to_noise: NDArray[np.float64]
    heat_map: NDArray[np.float32]
    heat_map_columns: NDArray[np.int64]
    samples_per_bin: int
    examples: tuple[tuple[int, NDArray[Any]], ...]
    num_not_finite: int

    @property
    def name(self) -> str:
        """Names of the container and of the series."""
        return "/".join(self.path.split("/")[-2:])


def trace_paths(file: StoredFile) -> Iterator[str]:
    """Yield the paths of the series of traces: groups with data for the rows of a table."""
    for path, found in file.members.items():
        if "rois" in found and "data" in found and file.kind(path):
            yield path


def gather_traces(file: StoredFile, path: str) -> TraceSet:
    """Return a set of traces.

    Parameters
    ----------
    file : StoredFile
    path : str

    Raises
    ------
    ValueError
        If its data have neither one nor two axes.
    """
    data = file.member(path, "data")
    assert data is not None
    source = file.source(data)
    if len(source.shape) not in (1, 2):
        raise ValueError(f"Its data have the shape {source.shape}; traces have two axes.")
    num_samples = source.shape[0]
    num_rois = source.shape[1] if len(source.shape) == 2 else 1
    samples = _samples_to_read(num_samples, num_rois * source.dtype.itemsize)
    values = _read(source, samples, num_rois)
    is_broken = np.diff(samples, prepend=samples[:1] - 1) > 1
    ratio, signal = signal_to_noise(values, is_broken)
    columns = np.arange(num_rois)[:: max(-(-num_rois // _MOST_ROWS), 1)]
    per_bin = max(-(-len(samples) // _MOST_COLUMNS), 1)
    # Of infinite ratios, those of the highest signals come first.
    keys = [np.nan_to_num(each, nan=-np.inf, posinf=np.inf) for each in (signal, ratio)]
    best = np.lexsort(keys)[::-1][:_NUM_EXAMPLES]
    rows = file.member_value(path, "rois")
    container = path.rpartition("/")[0]
    return TraceSet(
        path=path,
        kind=file.kind(container) or file.kind(path),
        description=str(file.attribute(path, "description") or ""),
        unit=str(file.attribute(data, "unit") or ""),
        table=file.referenced(file.member(path, "rois") or "", "table"),
        shape=tuple(source.shape),
        times=attempt(path, stream_times, file, path),
        samples=samples,
        rows=np.atleast_1d(np.asarray(rows, dtype=np.int64)),
        signal_to_noise=ratio,
        heat_map=heat_map(values[:, columns], per_bin),
        heat_map_columns=columns,
        samples_per_bin=per_bin,
        examples=tuple((int(each), values[:, each].copy()) for each in best),
        num_not_finite=int(values.size - np.isfinite(values).sum()),
    )


def _samples_to_read(num_samples: int, bytes_of_sample: int) -> NDArray[np.int64]:
    """Return the numbers of all samples, or of blocks spread evenly over a large set."""
    most = max(_MOST_BYTES // max(bytes_of_sample, 1), _NUM_BLOCKS)
    if num_samples <= most:
        return np.arange(num_samples)
    length = most // _NUM_BLOCKS
    starts = np.linspace(0, num_samples - length, _NUM_BLOCKS).astype(np.int64)
    return np.unique((starts[:, np.newaxis] + np.arange(length)).ravel())


def _read(source: Any, samples: NDArray[np.int64], num_rois: int) -> NDArray[Any]:
    """Return the samples of all ROIs as numbers, (samples read, ROIs)."""
    dtype = source.dtype if source.dtype.kind == "f" and source.dtype.itemsize <= 8 else np.float32
    values = np.empty((len(samples), num_rois), dtype)
    rest = (slice(None),) * (len(source.shape) - 1)
    step = max(_PIECE_BYTES // max(num_rois * source.dtype.itemsize, 1), 1)
    breaks = np.flatnonzero(np.diff(samples) > 1) + 1
    for first, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), len(samples)], strict=True):
        for start in range(first, stop, step):
            end = min(start + step, stop)
            part = source.read((slice(int(samples[start]), int(samples[end - 1]) + 1), *rest))
            values[start:end] = np.asarray(part).reshape(end - start, num_rois)
    return values


def signal_to_noise(
    values: NDArray[Any], is_broken: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ratio of signal to noise of each trace, and the signal.

    The signal is the 99th percentile less the median; the noise is the median absolute difference
    of neighbouring samples, as a standard deviation. The ratio is infinite for a trace without
    noise, such as one of sparse events, and NaN for a constant one. NaN and infinity are left out.

    Parameters
    ----------
    values : numpy.ndarray, shape (samples, ROIs)
    is_broken : numpy.ndarray of bool, shape (samples,), optional
        Whether a sample is not the neighbour of the one before.
    """
    if len(values) < 3:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    ratios = np.empty(values.shape[1], np.float64)
    signals = np.empty_like(ratios)
    step = max(_PIECE_BYTES // max(values.nbytes // values.shape[1], 1), 1)
    for first in range(0, values.shape[1], step):
        part = values[:, first : first + step].T.copy()  # it is partitioned in its place
        has_gaps = not np.isfinite(part).all()
        if has_gaps:
            part[~np.isfinite(part)] = np.nan
        steps = np.abs(np.diff(part, axis=1))
        if is_broken is not None and is_broken[1:].any():
            steps = steps[:, ~is_broken[1:]]
        median, percentile = (
            (np.nanmedian, np.nanpercentile) if has_gaps else (np.median, np.percentile)
        )
        with np.errstate(invalid="ignore", divide="ignore"), _no_warning_of_nan():
            noise = median(steps, axis=1).astype(np.float64) / (_MEDIAN_TO_SD * math.sqrt(2))
            middle, peak = percentile(part, (50, _PEAK), axis=1, overwrite_input=True)
            signals[first : first + step] = peak - middle
            ratios[first : first + step] = (peak - middle) / noise
    return ratios, signals


@contextmanager
def _no_warning_of_nan() -> Iterator[None]:
    """Ignore NumPy's warning of traces that are NaN as a whole."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def heat_map(values: NDArray[Any], per_bin: int) -> NDArray[np.float32]:
    """Return traces as rows, averaged over bins, in standard deviations from their medians.

    Parameters
    ----------
    values : numpy.ndarray, shape (samples, ROIs)
    per_bin : int
        Samples in a bin; the last bin may have fewer.
    """
    if not values.size:
        return np.zeros((values.shape[1], 0), np.float32)
    rows = values.T.astype(np.float32)
    has_gaps = not np.isfinite(rows).all()
    if has_gaps:
        rows[~np.isfinite(rows)] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"), _no_warning_of_nan():
        middle = (np.nanmedian if has_gaps else np.median)(rows, axis=1, keepdims=True)
        spread = (np.nanstd if has_gaps else np.std)(rows, axis=1, keepdims=True)
        rows = np.where(spread > 0, (rows - middle) / spread, 0)
    starts = np.arange(0, rows.shape[1], per_bin)
    counts = np.diff(np.append(starts, rows.shape[1]))
    return (np.add.reduceat(rows, starts, axis=1) / counts).astype(np.float32)
