"""Statistics of a movie in memory, in plain NumPy and with loops over frames."""

from __future__ import annotations

import numpy as np


def expected(movie, numbers=None):
    """Return the expected statistics of a movie, or of some of its frames, by name."""
    numbers = np.arange(len(movie)) if numbers is None else np.asarray(numbers)
    chosen = movie[numbers]
    native = chosen.astype(chosen.dtype.newbyteorder("="))
    values = native.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    axes = tuple(range(1, movie.ndim))
    with np.errstate(all="ignore"):
        counts = np.isfinite(values).sum(axis=0)
        mean = np.nansum(values, axis=0) / counts
        frame_means = np.nansum(values, axis=axes) / np.isfinite(values).sum(axis=axes)
        maximum = np.where(
            counts == 0,
            np.nan,
            np.nanmax(np.append(values, np.full((1, *values.shape[1:]), -np.inf), axis=0), axis=0),
        )
    listed = set(numbers.tolist())
    return {
        "mean": mean,
        "maximum": maximum,
        "frame_means": frame_means,
        "num_zero": int((native == 0).sum()),
        "num_not_finite": int(np.isnan(values).sum()),
        "num_pixels_read": native.size,
        "blank": [n for n in numbers.tolist() if _is_blank(movie[n])],
        "repeated": [
            n
            for n in numbers.tolist()
            if n - 1 in listed and movie[n].tobytes() == movie[n - 1].tobytes()
        ],
    }


def _is_blank(frame):
    first = frame.reshape(-1)[:1]
    return frame.size > 0 and frame.tobytes() == first.tobytes() * frame.size


def scale_of(movie):
    """Return the largest finite absolute value."""
    return np.abs(np.append(movie[np.isfinite(movie)].astype(np.float64), 0)).max()


def deviation(movie, numbers):
    """Return the standard deviation of the finite values of some frames."""
    values = movie[numbers].astype(np.longdouble)
    is_finite = np.isfinite(values)
    counts = is_finite.sum(axis=0)
    with np.errstate(all="ignore"):
        mean = np.where(is_finite, values, 0).sum(axis=0) / counts
        squares = np.where(is_finite, (values - mean) ** 2, 0).sum(axis=0) / counts
        return np.sqrt(squares).astype(np.float32)


def check(found, movie, numbers=None):
    """Check statistics against those of plain NumPy."""
    numbers = np.arange(len(movie)) if numbers is None else np.asarray(numbers)
    known, chosen = expected(movie, numbers), movie[numbers]
    assert found.num_frames == len(movie)
    assert found.frames_read == len(numbers)
    assert found.dtype == movie.dtype
    assert found.frame_shape == movie.shape[1:]
    np.testing.assert_array_equal(found.frame_numbers, numbers)
    for name in ("num_zero", "num_not_finite", "num_pixels_read"):
        assert getattr(found, name) == known[name], name
    for image in (found.mean, found.maximum, found.standard_deviation):
        assert image.shape == movie.shape[1:]
    np.testing.assert_array_equal(found.maximum, known["maximum"].astype(found.maximum.dtype))
    if movie.dtype.kind in "iub" and movie.dtype.itemsize < 8:
        np.testing.assert_array_equal(found.mean, known["mean"].astype(np.float32))
        np.testing.assert_array_equal(found.frame_means, known["frame_means"])
    else:
        # Values of either sign may cancel each other.
        tight = 1e-13 * scale_of(chosen)
        np.testing.assert_allclose(found.mean, known["mean"], rtol=2e-7, atol=tight)
        np.testing.assert_allclose(found.frame_means, known["frame_means"], rtol=1e-9, atol=tight)
    assert found.mean.dtype == found.standard_deviation.dtype == np.float32
    assert found.frame_means.dtype == np.float64
    _check_samples(found, movie, numbers)
    if found.frames_compared == len(movie):
        known = expected(movie)
    assert found.blank_frames.tolist() == known["blank"]
    assert found.repeated_frames.tolist() == known["repeated"]
    assert found.num_blank_frames == len(known["blank"])
    assert found.num_repeated_frames == len(known["repeated"])


def _check_samples(found, movie, numbers):
    step = next(
        step
        for step in range(1, len(numbers) + 2)
        if len(range(0, len(numbers), step)) == found.std_frames
    )
    sampled = numbers[::step]
    scale = scale_of(movie)
    np.testing.assert_allclose(
        found.standard_deviation, deviation(movie, sampled), rtol=1e-5, atol=1e-9 * scale
    )
    step = next(
        step
        for step in range(1, len(sampled) + 2)
        if len(range(0, len(sampled), step)) == found.histogram_frames
    )
    shown = movie[sampled[::step]].reshape(-1)
    shown = shown[np.isfinite(shown)].astype(np.longdouble)
    counts, edges = found.histogram.counts, found.histogram.edges
    assert len(edges) == len(counts) + 1
    assert len(counts) <= 256
    bins = np.searchsorted(edges, shown, side="right") - 1
    np.testing.assert_array_equal(counts, np.bincount(bins, minlength=len(counts)))
    if len(counts):
        assert counts[0] > 0
        assert counts[-1] > 0
