"""Sums, maxima and counts of a tile: some pixels of some consecutive frames, as (frames, pixels).

A compiled part of the package takes integers of one and two bytes in one pass. Otherwise all passes
over a tile find it in the cache of the core, and integers are added in their own dtype as long as
the largest of them allows that: NumPy adds values of two bytes four times as fast in their own
dtype as in a wider one.
"""

from __future__ import annotations

import functools
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.reports.statistics_values import Top, may_be_limit

try:
    import nwb_ophys.reports._tile_sums as _compiled
except ImportError:  # no compiler was found when the package was installed
    _compiled = None  # type: ignore[assignment]

# Bytes of a tile, which stays in the cache during all passes over it; threads that work on smaller
# ones wait for the interpreter more often. One pass needs no cache.
_TILE_BYTES, _COMPILED_TILE_BYTES = 1 << 21, 1 << 24
# Fewer values per sum than these are not worth a further pass.
_FEWEST_TERMS = 4
_MOST_FOLDS = 16
MOST_FRAMES = 1 << 15
"""Largest number of frames of a tile, whose sums of values of two bytes fit into four."""


@attrs.frozen(kw_only=True, eq=False)
class TileSummary:
    """Statistics of a tile of finite values.

    Attributes
    ----------
    maximum : numpy.ndarray, shape (pixels,)
        In the dtype of the tile; of pixels without a finite value, minus infinity.
    sums : numpy.ndarray, shape (pixels,)
        Sums over the frames, of any dtype in which they are exact; float64 for floats.
    largest_sum : int
        A number that no absolute sum of integers exceeds.
    frame_sums : numpy.ndarray of int64 or float64, shape (frames,)
    num_zero : int
    top : Top or None
        None for floats.
    is_finite : numpy.ndarray of bool, shape (frames, pixels), or None
        None if all values are finite.
    """

    maximum: NDArray[Any]
    sums: NDArray[Any]
    largest_sum: int = 0
    frame_sums: NDArray[Any]
    num_zero: int
    top: Top | None = None
    is_finite: NDArray[np.bool_] | None = None


def sum_dtypes(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that sums of a tile may have; the last holds sums over all frames.

    Sums are exact for integers of up to four bytes.
    """
    if dtype.kind == "f" or dtype.itemsize == np.dtype(np.int64).itemsize:
        return (np.dtype(np.float64),)
    wide = np.dtype(np.int64)
    if dtype.itemsize > np.dtype(np.int16).itemsize:
        return (wide,)
    return (dtype, np.dtype(np.uint32 if dtype.kind == "u" else np.int32), wide)


def tile_bytes(dtype: np.dtype[Any]) -> int:
    """Return the size of tiles of which most are summarised in a second."""
    return _COMPILED_TILE_BYTES if is_compiled(dtype) else _TILE_BYTES


def is_compiled(dtype: np.dtype[Any]) -> bool:
    """Return whether this installation takes tiles of a dtype in one pass."""
    is_short = dtype.kind in "iu" and dtype.itemsize <= np.dtype(np.int16).itemsize
    return is_short and _compiled is not None


@functools.cache
def _largest(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).max)


def summary_of(tile: NDArray[Any]) -> TileSummary:
    """Return the statistics of a tile.

    Parameters
    ----------
    tile : numpy.ndarray, shape (frames, pixels)
        Of integers or floats in the byte order of the machine; fastest if it is contiguous along
        the pixels. At most 32,768 frames.
    """
    if tile.dtype.kind == "f":
        return _of_floats(tile)
    if is_compiled(tile.dtype):
        return _of_short_integers(tile)
    maximum = np.maximum.reduce(tile, axis=0)
    most = int(np.maximum.reduce(maximum))
    least = 0 if tile.dtype.kind == "u" else int(np.minimum.reduce(tile, axis=None))
    num_zero = tile.size - int(np.count_nonzero(tile)) if least <= 0 <= most else 0
    largest = max(most, -least, 1)
    *narrow, wide = sum_dtypes(tile.dtype)
    if narrow:
        terms = _largest(tile.dtype) // largest
        sums, frame_sums = _sums_of_pixels(tile, terms, narrow[-1]), _sums_of_frames(tile, terms)
    else:
        sums, frame_sums = (np.add.reduce(tile, axis=axis, dtype=wide) for axis in (0, 1))
    return TileSummary(
        maximum=maximum,
        sums=sums,
        largest_sum=largest * len(tile),
        frame_sums=frame_sums,
        num_zero=num_zero,
        top=_top(tile, maximum, most),
    )


def add_moments(tile: NDArray[Any], sums: NDArray[np.int64], squares: NDArray[np.int64]) -> None:
    """Add the values of each pixel to its sum, and their squares to that of squares.

    Parameters
    ----------
    tile : numpy.ndarray, shape (frames, pixels)
        For which :func:`is_compiled`; at most 32,768 frames.
    sums, squares : numpy.ndarray, shape (pixels,)
        Contiguous.
    """
    _compiled.moments(_along_pixels(tile), sums, squares)


def _along_pixels(tile: NDArray[Any]) -> NDArray[Any]:
    is_contiguous = tile.shape[1] < 2 or tile.strides[1] == tile.itemsize
    if is_contiguous and tile.flags.aligned:
        return tile
    # Values behind a header of an odd number of bytes lie at odd addresses.
    return np.require(tile, requirements=("C", "A"))


def _of_short_integers(tile: NDArray[Any]) -> TileSummary:
    tile = _along_pixels(tile)
    num_frames, num_pixels = tile.shape
    maximum = np.empty(num_pixels, tile.dtype)
    sums = np.empty(num_pixels, sum_dtypes(tile.dtype)[-2])
    frame_sums = np.zeros(num_frames, np.int64)
    num_zero, lowest = _compiled.summarise(tile, maximum, sums, frame_sums)
    most = int(np.maximum.reduce(maximum))
    return TileSummary(
        maximum=maximum,
        sums=sums,
        largest_sum=max(most, -lowest, 1) * num_frames,
        frame_sums=frame_sums,
        num_zero=num_zero,
        top=_top(tile, maximum, most),
    )


def _sums_of_pixels(tile: NDArray[Any], terms: int, middle: np.dtype[Any]) -> NDArray[Any]:
    """Return the sums over frames; as many as `terms` values fit into the dtype of the tile."""
    num_frames = len(tile)
    if terms >= num_frames:
        return np.add.reduce(tile, axis=0, dtype=tile.dtype)
    if terms < _FEWEST_TERMS:
        return np.add.reduce(tile, axis=0, dtype=middle)
    sums = np.zeros(tile.shape[1], middle)
    for start in range(0, num_frames, terms):
        sums += np.add.reduce(tile[start : start + terms], axis=0, dtype=tile.dtype)
    return sums


def _sums_of_frames(tile: NDArray[Any], terms: int) -> NDArray[Any]:
    folds = min(_MOST_FOLDS, terms)
    if folds < _FEWEST_TERMS:
        return np.add.reduce(tile, axis=1, dtype=np.int64)
    num_frames, num_pixels = tile.shape
    folded = num_pixels - num_pixels % folds
    parts = tile[:, :folded].reshape(num_frames, folds, -1)
    sums = np.add.reduce(np.add.reduce(parts, axis=1, dtype=tile.dtype), axis=1, dtype=np.int64)
    return sums + np.add.reduce(tile[:, folded:], axis=1, dtype=np.int64)


def _top(tile: NDArray[Any], maximum: NDArray[Any], most: int) -> Top:
    if not may_be_limit(most, _largest(tile.dtype)):
        return Top(most, 0, 0)
    near = np.flatnonzero(maximum >= most - 1)
    values = tile if len(near) == tile.shape[1] else tile[:, near]
    count, below = (int(np.count_nonzero(values == each)) for each in (most, most - 1))
    return Top(most, count, below)


def _of_floats(tile: NDArray[Any]) -> TileSummary:
    maximum = np.maximum.reduce(tile, axis=0)
    is_finite = None
    if not (np.isfinite(maximum).all() and np.isfinite(tile.min())):
        is_finite = np.isfinite(tile)
        maximum = np.where(is_finite, tile, -np.inf).max(axis=0)
        tile = np.where(is_finite, tile, 1)
        num_zero = tile.size - int(np.count_nonzero(tile))
        tile = np.where(is_finite, tile, 0)
    else:
        num_zero = tile.size - int(np.count_nonzero(tile))
    return TileSummary(
        maximum=maximum,
        sums=np.add.reduce(tile, axis=0, dtype=np.float64),
        frame_sums=np.add.reduce(tile, axis=1, dtype=np.float64),
        num_zero=num_zero,
        is_finite=is_finite,
    )
