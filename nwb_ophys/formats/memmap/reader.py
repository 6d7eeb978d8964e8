"""Read movies from files of raw pixels without a header, and CaImAn's memory maps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.axes import AxesImagingExtractor, MovieAxes
from nwb_ophys.filetypes.files import COPY_AGAIN, check_not_shortened, require_file
from nwb_ophys.filetypes.mapped import mapped_rows, mapped_whole
from nwb_ophys.filetypes.truncation import nothing_complete, report_truncated
from nwb_ophys.formats.memmap.names import CAIMAN_PIXEL, caiman_layout
from nwb_ophys.remote.paths import RemotePath

_FIX_SIZE = (
    "Either the file is truncated, or shape, dtype or offset is wrong; correct them, or copy the "
    "file again."
)


@attrs.frozen(kw_only=True)
class RawBinary:
    """Position, axes and type of the pixels of a movie in a file.

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
        """Position of the end of the last pixel, in bytes."""
        return self.offset + math.prod(self.axes.shape) * self.dtype.itemsize


def find_raw_binary(
    path: Path,
    shape: list[int] | None = None,
    dtype: str | None = None,
    dimension_order: str | None = None,
    offset: int = 0,
    allow_truncated: bool = False,
) -> RawBinary:
    """Return the layout of the pixels, after checking it against the size of the file.

    Parameters
    ----------
    path : pathlib.Path
    shape : list of int, optional
        Lengths of the axes; -1 for one that follows from the size of the file. Not needed for
        CaImAn's files.
    dtype : str, optional
        Type of the pixels. Not needed for CaImAn's files.
    dimension_order : str, optional
        One letter per axis, slowest first; "TYX" by default.
    offset : int
        Bytes before the first pixel.
    allow_truncated : bool
        Whether to read the complete frames of a truncated file, with a UserWarning.

    Raises
    ------
    SourceNotFoundError, SourceArgumentError, CorruptSourceError
    """
    require_file(path, "a file of pixels")
    stated = caiman_layout(path)
    if stated is not None and shape is None:
        if dtype is not None or dimension_order is not None:
            raise SourceArgumentError(
                f"The name of '{path}' states its dtype and dimension_order; leave both out, or "
                "give shape as well to override the name."
            )
        order, lengths = stated
        kind = CAIMAN_PIXEL
    else:
        order, lengths = dimension_order or "TYX", tuple(shape or ())
        kind = _pixel_type(path, dtype, shape)
    if offset < 0:
        raise SourceArgumentError(f"offset is {offset}; it must be a number of bytes, at least 0.")
    lengths = _complete(path, lengths, order, kind, offset, allow_truncated)
    axes = MovieAxes.of(order, lengths, f"'{path}'")
    found = RawBinary(path=path, axes=axes, dtype=kind, offset=offset)
    size = path.stat().st_size
    if size < found.end:
        return _cut(found, size, allow_truncated)
    if size != found.end:
        raise CorruptSourceError(
            f"'{path}' has {size} bytes, but {' x '.join(map(str, lengths))} pixels of {kind} "
            f"after {offset} bytes end at {found.end}. {_FIX_SIZE}"
        )
    return found


def _cut(binary: RawBinary, size: int, allow_truncated: bool) -> RawBinary:
    """Return the complete frames of a file that is shorter than its shape."""
    axes = binary.axes
    evidence = (
        f"its {size} bytes are less than the {binary.end} bytes of "
        f"{' x '.join(map(str, axes.shape))} pixels of {binary.dtype} after {binary.offset} bytes; "
        "check shape, dtype and offset"
    )
    if axes.order[0] != "T":
        raise CorruptSourceError(
            f"'{binary.path}' is truncated ({evidence}): its axes are in the order {axes.order}, "
            f"in which time is not the slowest, so no frame is complete. To repair it, "
            f"{COPY_AGAIN}."
        )
    frame_bytes = math.prod(axes.shape[1:]) * binary.dtype.itemsize
    count = max(size - binary.offset, 0) // frame_bytes
    if not count:
        raise nothing_complete(binary.path, reason=evidence)
    report_truncated(binary.path, count, axes.shape[0], allow=allow_truncated, reason=evidence)
    return attrs.evolve(binary, axes=MovieAxes(axes.order, (count, *axes.shape[1:])))


def _pixel_type(path: Path, dtype: str | None, shape: list[int] | None) -> np.dtype[Any]:
    if shape is None or dtype is None:
        raise SourceArgumentError(
            f"'{path}' has no header: give shape, such as [-1, 512, 512], and dtype, such as "
            "uint16."
        )
    try:
        kind = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise SourceArgumentError(
            f"dtype is '{dtype}', which NumPy does not know; give one such as uint16 or '>f4'."
        ) from error
    if kind.kind not in "iuf":
        raise SourceArgumentError(
            f"dtype is '{dtype}'; pixels must be integers or real numbers. Give the type of the "
            f"pixels in '{path}', such as uint8 for truth values, or convert complex numbers."
        )
    return kind


def _complete(
    path: Path,
    lengths: tuple[int, ...],
    order: str,
    kind: np.dtype[Any],
    offset: int,
    allow_truncated: bool,
) -> tuple[int, ...]:
    """Replace -1 by the length that follows from the size of the file."""
    if any(length == 0 or length < -1 for length in lengths) or lengths.count(-1) > 1:
        raise SourceArgumentError(
            f"shape is {list(lengths)}; lengths must be at least 1, and -1 at most once."
        )
    if -1 not in lengths:
        return lengths
    known = -math.prod(lengths) * kind.itemsize
    size = path.stat().st_size - offset
    count, rest = divmod(size, known)
    if rest and count > 0 and lengths[0] == -1 and order[:1].upper() == "T":
        evidence = (
            f"its {size} bytes after the first {offset} are {count} frames of {known} bytes and "
            f"{rest} bytes of another; check shape, dtype and offset"
        )
        report_truncated(path, count, allow=allow_truncated, reason=evidence)
    elif rest or count < 1:
        raise CorruptSourceError(
            f"'{path}' has {size} bytes after the first {offset}, which are {count} times {known} "
            f"bytes and {rest} more. {_FIX_SIZE}"
        )
    return tuple(count if length == -1 else length for length in lengths)


class RawBinaryExtractor(AxesImagingExtractor):
    """One channel of a planar or volumetric movie in a file of pixels.

    `get_series` may be called from several threads at once. No file is kept open.

    Parameters
    ----------
    binary : RawBinary
    sampling_frequency : float
        Samples per second, in Hz.
    channel_index, plane_index : int, optional
        As for `AxesImagingExtractor`.
    """

    extractor_name = "RawBinaryExtractor"
    reads_in_parallel = True

    def __init__(
        self,
        binary: RawBinary,
        sampling_frequency: float | None,
        channel_index: int | None = None,
        plane_index: int | None = None,
    ) -> None:
        super().__init__(binary.axes, binary.dtype, sampling_frequency, channel_index, plane_index)
        self.binary = binary
        self._fetched: Any = None

    def _mapped(self) -> Any:
        """Map the file; an object of a store whose first axis is not time is fetched once."""
        if self._fetched is not None:
            return self._fetched
        binary = self.binary
        arguments = (binary.path, binary.dtype, binary.axes.shape, binary.offset)
        if binary.axes.order[0] == "T":
            return mapped_rows(*arguments)
        found = mapped_whole(*arguments)
        if isinstance(binary.path, RemotePath):
            self._fetched = found
        return found

    def _read(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        binary = self.binary
        check_not_shortened(binary.path, binary.end, SourceError)
        return np.array(self._mapped()[selection], order="K", subok=False)
