"""Read movies that are nothing but their pixels in a file, and CaImAn's memory maps."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.axes import AxesImagingExtractor, MovieAxes

# CaImAn stores pixels times frames, of which it flattens the images by columns. By its letter for
# the order of that matrix, the order of the axes of the movie.
_CAIMAN_NAME = re.compile(
    r"_d1_(\d+)_d2_(\d+)_d3_(\d+)_order_([CF])_frames_(\d+)_?\.mmap$", re.IGNORECASE
)
_CAIMAN_ORDERS = {"F": "TZXY", "C": "ZXYT"}


@attrs.frozen(kw_only=True)
class RawBinary:
    """Where the pixels of a movie are in a file, and of which type.

    Attributes
    ----------
    path : pathlib.Path
    axes : MovieAxes
    dtype : numpy.dtype
    offset : int
        Bytes before the first pixel.
    """

    path: Path
    axes: MovieAxes
    dtype: np.dtype[Any]
    offset: int

    @property
    def end(self) -> int:
        """Bytes up to the last pixel."""
        return self.offset + math.prod(self.axes.shape) * self.dtype.itemsize


def caiman_layout(path: Path) -> tuple[str, tuple[int, ...]] | None:
    """Return the order and lengths of axes that the name of a memory map of CaImAn states.

    Parameters
    ----------
    path : pathlib.Path
        Such as ``memmap_d1_256_d2_128_d3_1_order_F_frames_101_.mmap``.
    """
    found = _CAIMAN_NAME.search(path.name)
    if found is None:
        return None
    order = _CAIMAN_ORDERS[found[4].upper()]
    sizes = {"Y": found[1], "X": found[2], "Z": found[3], "T": found[5]}
    return order, tuple(int(sizes[letter]) for letter in order)


def find_raw_binary(
    path: Path,
    shape: list[int] | None = None,
    dtype: str | None = None,
    dimension_order: str | None = None,
    offset: int = 0,
) -> RawBinary:
    """Say where the pixels are, after checking that the file has as many.

    Parameters
    ----------
    path : pathlib.Path
    shape : list of int, optional
        Lengths of the axes; -1 for one that follows from the size of the file. Needed but for
        CaImAn's, as the further ones are.
    dtype : str, optional
    dimension_order : str, optional
        A letter for each axis, the slowest first; "TYX" if not given.
    offset : int
        Bytes before the first pixel.

    Raises
    ------
    SourceNotFoundError, SourceArgumentError, CorruptSourceError
    """
    if not path.is_file():
        what = "is a folder; give a file" if path.is_dir() else "does not exist; check the path"
        raise SourceNotFoundError(f"'{path}' {what}.")
    stated = caiman_layout(path)
    if stated is not None and shape is None:
        if dtype is not None or dimension_order is not None:
            raise SourceArgumentError(
                f"dtype and dimension_order are given, but the name of '{path}' states both; give "
                "shape, too, to read it otherwise."
            )
        order, lengths = stated
        kind = np.dtype("<f4")
    else:
        order, lengths = dimension_order or "TYX", tuple(shape or ())
        kind = _pixel_type(path, dtype, shape)
    if offset < 0:
        raise SourceArgumentError(f"offset is {offset}; it is a number of bytes, 0 or more.")
    lengths = _complete(path, lengths, kind, offset)
    axes = MovieAxes.of(order, lengths, f"'{path}'")
    found = RawBinary(path=path, axes=axes, dtype=kind, offset=offset)
    size = path.stat().st_size
    if size != found.end:
        raise CorruptSourceError(
            f"'{path}' has {size} bytes; {' x '.join(map(str, lengths))} pixels of {kind} behind "
            f"{offset} bytes end at {found.end}. Either it was cut off, or it is described wrongly."
        )
    return found


def _pixel_type(path: Path, dtype: str | None, shape: list[int] | None) -> np.dtype[Any]:
    if shape is None or dtype is None:
        raise SourceArgumentError(
            f"'{path}' states nothing of itself: give shape, such as [-1, 512, 512], and dtype, "
            "such as uint16."
        )
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise SourceArgumentError(
            f"dtype is '{dtype}', which NumPy does not know; give one such as uint16 or '>f4'."
        ) from error
    if kind.kind not in "iuf":
        raise SourceArgumentError(f"dtype is '{dtype}'; pixels are whole or real numbers.")
    return kind


def _complete(
    path: Path, lengths: tuple[int, ...], kind: np.dtype[Any], offset: int
) -> tuple[int, ...]:
    """Put the length that follows from the size of the file in place of -1."""
    if any(length == 0 or length < -1 for length in lengths) or lengths.count(-1) > 1:
        raise SourceArgumentError(
            f"shape is {list(lengths)}; lengths are 1 or more, and -1 once at most."
        )
    if -1 not in lengths:
        return lengths
    known = -math.prod(lengths) * kind.itemsize
    size = path.stat().st_size - offset
    count, rest = divmod(size, known)
    if rest or count < 1:
        raise CorruptSourceError(
            f"'{path}' has {size} bytes behind the first {offset}, which are {count} times {known} "
            f"bytes and {rest} more. Either it was cut off, or it is described wrongly."
        )
    return tuple(count if length == -1 else length for length in lengths)


class RawBinaryExtractor(AxesImagingExtractor):
    """One channel of a movie in a file of pixels, of a plane or of volumes.

    `get_series` may be called from several threads at once. No file is kept open.

    Parameters
    ----------
    binary : RawBinary
    sampling_frequency : float
        Samples per second, in Hz.
    channel_index, plane_index : int, optional
        As of `AxesImagingExtractor`.
    """

    extractor_name = "RawBinaryExtractor"
    reads_in_parallel = True

    def __init__(
        self,
        binary: RawBinary,
        sampling_frequency: float,
        channel_index: int | None = None,
        plane_index: int | None = None,
    ) -> None:
        super().__init__(binary.axes, binary.dtype, sampling_frequency, channel_index, plane_index)
        self.binary = binary

    def _read(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        binary = self.binary
        # Reading behind the end of a mapped file would end the process, not raise.
        if not binary.path.is_file() or binary.path.stat().st_size < binary.end:
            raise SourceError(
                f"'{binary.path}' has become shorter since it was opened; do not change a "
                "recording while it is converted."
            )
        pixels = np.memmap(
            binary.path, binary.dtype, mode="r", offset=binary.offset, shape=binary.axes.shape
        )
        return np.array(pixels[selection], order="K", subok=False)
