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
from nwb_ophys.reports.scaling import Scaling, scaling_of
from nwb_ophys.reports.stored_file import StoredFile
from nwb_ophys.reports.threads import in_threads
from nwb_ophys.reports.timing import StreamTimes, stream_times

_SERIES = "RoiResponseSeries"
_MOST_BYTES = 64_000_000
_MOST_COLUMNS, _MOST_ROWS = 1000, 400
_NUM_EXAMPLES = 8
_MOST_RUNS = 64
# Standard deviation of a normal distribution over its median absolute difference of neighbours.
_MEDIAN_TO_SD = 0.6744897501960817
_PEAK = 99.0
_PIECE_BYTES = 1 << 22
# Differences of which the noise of a trace is the median.
_MOST_STEPS = 1000


@attrs.frozen(kw_only=True, eq=False)
class TraceSet:
    """A series of traces.

    Attributes
    ----------
    path, kind, description : str
        ``kind`` is the type of the container, such as ``DfOverF``.
    scaling : Scaling
        Unit of the values, and their conversion to it.
    table : str or None
        Path of the table of its ROIs.
    shape : tuple of int
        (samples, ROIs).
    times : StreamTimes or Unreadable
    num_samples_read : int
        Samples that were read; fewer than all of a set of more than 64 MB.
    samples : numpy.ndarray of int, shape (samples read,)
        Numbers of the samples that were read.
    rows : numpy.ndarray of int, shape (ROIs,)
        Row of the table for each column; empty where the series names no ROIs.
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
    lacking : str
        Parts that were never written, in whose place fill values are read, as a sentence; empty
        if there are none.
    """

    path: str
    kind: str
    description: str
    scaling: Scaling
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
    lacking: str = ""

    @property
    def name(self) -> str:
        """Names of the container and of the series."""
        return "/".join(self.path.split("/")[-2:])


def trace_paths(file: StoredFile) -> Iterator[str]:
    """Yield the paths of the series of traces: groups with data for the rows of a table."""
    for path, found in file.members.items():
        kind = file.kind(path)
        if kind.endswith(_SERIES) or (kind and "rois" in found and "data" in found):
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
        If its data have neither one nor two axes, or are not numbers.
    CorruptSourceError
        If it has no data in this file.
    """
    data = file.required(path, "data")
    source = file.source(data)
    if len(source.shape) not in (1, 2):
        raise ValueError(f"Its data have the shape {source.shape}; traces have two axes.")
    if source.dtype.kind not in "biuf":
        raise ValueError(f"Its data are {source.dtype}; traces are of integers or floats.")
    num_samples = source.shape[0]
    num_rois = source.shape[1] if len(source.shape) == 2 else 1
    length = 1 if source.chunk_shape is None else source.chunk_shape[0]
    samples = _samples_to_read(num_samples, num_rois * source.dtype.itemsize, length)
    values = _read(source, samples, num_rois)
    is_broken = np.diff(samples, prepend=samples[:1] - 1) > 1
    ratio, signal = signal_to_noise(values, is_broken)
    columns = np.arange(num_rois)[:: max(-(-num_rois // _MOST_ROWS), 1)]
    per_bin = max(-(-len(samples) // _MOST_COLUMNS), 1)
    # Of infinite ratios, those of the highest signals come first.
    keys = [np.nan_to_num(each, nan=-np.inf, posinf=np.inf) for each in (signal, ratio)]
    best = np.lexsort(keys)[::-1][:_NUM_EXAMPLES]
    return TraceSet(
        path=path,
        kind=_kind_of(file, path),
        scaling=scaling_of(file, data),
        description=str(file.attribute(path, "description") or ""),
        table=file.referenced(file.member(path, "rois") or "", "table"),
        shape=tuple(source.shape),
        times=attempt(path, stream_times, file, path),
        samples=samples,
        rows=_rows_of(file, path),
        signal_to_noise=ratio,
        heat_map=heat_map(values[:, columns], per_bin),
        heat_map_columns=columns,
        samples_per_bin=per_bin,
        examples=tuple((int(each), values[:, each].copy()) for each in best),
        num_not_finite=int(values.size - np.isfinite(values).sum()),
        lacking=file.lacking(data),
    )


def _rows_of(file: StoredFile, path: str) -> NDArray[np.int64]:
    """Return the row of the table for each column; empty where the series names no ROIs."""
    rows = file.member_value(path, "rois")
    return np.atleast_1d(np.asarray([] if rows is None else rows, dtype=np.int64))


def _kind_of(file: StoredFile, path: str) -> str:
    """Return the type of the container of a series; of one in a module, its own."""
    container = file.kind(path.rpartition("/")[0])
    return container if container not in ("", "ProcessingModule", "NWBFile") else file.kind(path)


def _samples_to_read(
    num_samples: int, bytes_of_sample: int, chunk_length: int
) -> NDArray[np.int64]:
    """Return the numbers of all samples, or of runs spread evenly over a large set.

    A run begins where a chunk does, so that each chunk is decoded once.
    """
    most = max(_MOST_BYTES // max(bytes_of_sample, 1), _MOST_RUNS)
    if num_samples <= most:
        return np.arange(num_samples)
    num_chunks = -(-num_samples // chunk_length)
    num_runs = min(num_chunks, _MOST_RUNS)
    starts = np.linspace(0, num_chunks - 1, num_runs).astype(np.int64) * chunk_length
    found = (starts[:, np.newaxis] + np.arange(most // num_runs)).ravel()
    return np.unique(found[found < num_samples])


def _read(source: Any, samples: NDArray[np.int64], num_rois: int) -> NDArray[Any]:
    """Return the samples of all ROIs as numbers, (samples read, ROIs)."""
    dtype = source.dtype if source.dtype.kind == "f" and source.dtype.itemsize <= 8 else np.float32
    values = np.empty((len(samples), num_rois), dtype)
    rest = (slice(None),) * (len(source.shape) - 1)
    step = max(_PIECE_BYTES // max(num_rois * source.dtype.itemsize, 1), 1)
    if source.chunk_shape is not None:  # each chunk is decoded once
        step = -(-step // source.chunk_shape[0]) * source.chunk_shape[0]

    def read(bounds: tuple[int, int]) -> None:
        start, end = bounds
        part = source.read((slice(int(samples[start]), int(samples[end - 1]) + 1), *rest))
        values[start:end] = np.asarray(part).reshape(end - start, num_rois)

    breaks = np.flatnonzero(np.diff(samples) > 1) + 1
    runs = zip([0, *breaks.tolist()], [*breaks.tolist(), len(samples)], strict=True)
    pieces = [(start, min(start + step, stop)) for first, stop in runs
              for start in range(first, stop, step)]  # fmt: skip
    in_threads(read, pieces, is_allowed=source.in_parallel)
    return values


def signal_to_noise(
    values: NDArray[Any], is_broken: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ratio of signal to noise of each trace, and the signal.

    The signal is the 99th percentile less the median; the noise is the median absolute difference
    of neighbouring samples, of about 1,000 at most, as a standard deviation. The ratio is infinite
    for a trace without noise, such as one of sparse events, and NaN for a constant one. NaN and
    infinity are left out.

    Parameters
    ----------
    values : numpy.ndarray, shape (samples, ROIs)
    is_broken : numpy.ndarray of bool, shape (samples,), optional
        Whether a sample is not the neighbour of the one before.
    """
    num_samples, num_rois = values.shape
    if num_samples < 3 or not num_rois:
        return np.full(num_rois, np.nan), np.full(num_rois, np.nan)
    starts = np.arange(num_samples - 1)
    if is_broken is not None:
        starts = starts[~is_broken[1:]]
    starts = starts[:: max(-(-len(starts) // _MOST_STEPS), 1)]
    ratios, signals = np.empty((2, num_rois), np.float64)
    step = max(_PIECE_BYTES // max(values.nbytes // num_rois, 1), 1)

    def compute(first: int) -> None:
        place = slice(first, first + step)
        signals[place], noise = _signal_and_noise(values[:, place], starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios[place] = signals[place] / noise

    in_threads(compute, range(0, num_rois, step))
    return ratios, signals


def _signal_and_noise(
    values: NDArray[Any], starts: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return signal and noise of traces; the noise from the samples at `starts` and the next."""
    rows = values.T.copy()  # it is partitioned in its place
    has_gaps = not np.isfinite(rows).all()
    if has_gaps:
        rows[~np.isfinite(rows)] = np.nan
    median, percentile = (
        (np.nanmedian, np.nanpercentile) if has_gaps else (np.median, np.percentile)
    )
    with np.errstate(invalid="ignore"), _no_warning_of_nan():
        steps = np.abs(rows[:, starts + 1] - rows[:, starts])
        noise = median(steps, axis=1, overwrite_input=True)
        middle, peak = percentile(rows, (50, _PEAK), axis=1, overwrite_input=True)
    return peak - middle, noise.astype(np.float64) / (_MEDIAN_TO_SD * math.sqrt(2))


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
        Samples in a bin; the last bin may have fewer. NaN is left out.
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
        rows = np.where(spread > 0, (rows - middle) / spread, rows * 0)
    starts = np.arange(0, rows.shape[1], per_bin)
    if not has_gaps:
        counts: NDArray[Any] = np.diff(np.append(starts, rows.shape[1]))
        return (np.add.reduceat(rows, starts, axis=1) / counts).astype(np.float32)
    is_number = np.isfinite(rows)
    counts = np.add.reduceat(is_number, starts, axis=1, dtype=np.int64)
    rows[~is_number] = 0
    with np.errstate(invalid="ignore"):  # a bin without any number is NaN
        return (np.add.reduceat(rows, starts, axis=1) / counts).astype(np.float32)
