"""Movies with axes in any order: time, rows, columns, and optionally channels and planes."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.extractors.ranges import check_index, check_range

_LETTERS = {"T": "time", "C": "channels", "Z": "planes", "Y": "rows", "X": "columns"}
# Smaller frames are those of tests, or of lines.
_FEWEST_ROWS = 32
# Longer rows are those of mosaics, which are about as high.
_MOST_COLUMNS = 2304


@attrs.frozen
class MovieAxes:
    """Order and lengths of the axes of an array.

    Attributes
    ----------
    order : str
        One letter per axis, slowest in memory first: T (time), C (channels), Z (planes),
        Y (rows), X (columns).
    shape : tuple of int
    """

    order: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, order: str, shape: tuple[int, ...], what: str) -> MovieAxes:
        """Return the axes of an array, after checking that they include all that a movie needs.

        Parameters
        ----------
        order : str
        shape : tuple of int
        what : str
            Name of the array, for messages.

        Raises
        ------
        SourceArgumentError
        """
        letters = order.upper()
        is_known = set(letters) <= set(_LETTERS) and len(set(letters)) == len(letters)
        if not is_known or not set("TYX") <= set(letters) or len(letters) != len(shape):
            meaning = ", ".join(f"{letter} ({word})" for letter, word in _LETTERS.items())
            raise SourceArgumentError(
                f"dimension_order is '{order}'; it must have one letter for each of the "
                f"{len(shape)} axes of {what}, whose shape is {shape}: T, Y and X, and C and Z if "
                f"there are such axes. {meaning}."
            )
        return cls(letters, shape)

    def size(self, letter: str) -> int:
        """Return the length of an axis; 1 if there is no such axis."""
        return self.shape[self.order.index(letter)] if letter in self.order else 1


def note_time_last(what: str, shape: tuple[int, ...], remedy: str) -> None:
    """Warn of three axes of which the last is likely time, as MATLAB and others keep it.

    So if the first two are equal, as the rows and columns of square frames are, or if rows would be
    longer than those of any usual sensor, and far longer than the frame is high. A movie with as
    many frames as rows is rare.

    Parameters
    ----------
    what : str
        Name of the array, for the message.
    shape : tuple of int
    remedy : str
        Advice for an array whose last axis is time.
    """
    if len(shape) != 3 or min(shape[:2]) < _FEWEST_ROWS:
        return
    is_square = shape[0] == shape[1] != shape[2]
    is_long = shape[2] > max(_MOST_COLUMNS, 4 * shape[1], shape[0])
    if not is_square and not is_long:
        return
    warnings.warn(
        f"{what} has the shape {tuple(shape)}, which is read as {shape[0]} frames of {shape[1]} "
        f"x {shape[2]} pixels. If it is {shape[2]} frames of {shape[0]} x {shape[1]} pixels, "
        f"{remedy}.",
        UserWarning,
        stacklevel=3,
    )


class AxesImagingExtractor(ImagingExtractor):  # type: ignore[misc]
    """One channel of a planar or volumetric movie; subclasses read the pixels from their source.

    Parameters
    ----------
    axes : MovieAxes
    dtype : numpy.dtype
        Type of the stored pixels; samples are returned in native byte order.
    sampling_frequency : float or None
        Samples per second, in Hz; None if it is unknown and the times will be set.
    channel_index : int, optional
        The channel, from 0; needed if there are several.
    plane_index : int, optional
        The plane, from 0; volumes of all planes by default.

    Raises
    ------
    SourceArgumentError
        When an index is missing or out of range.
    """

    def __init__(
        self,
        axes: MovieAxes,
        dtype: np.dtype[Any],
        sampling_frequency: float | None,
        channel_index: int | None = None,
        plane_index: int | None = None,
    ) -> None:
        super().__init__()
        num_channels, num_planes = axes.size("C"), axes.size("Z")
        if channel_index is None and num_channels > 1:
            raise SourceArgumentError(
                f"There are {num_channels} channels; choose one with channel_index, 0 to "
                f"{num_channels - 1}."
            )
        if channel_index is not None:
            check_index("channel_index", channel_index, num_channels)
        if plane_index is not None:
            check_index("plane_index", plane_index, num_planes)
        self.axes = axes
        self._dtype = dtype.newbyteorder("=")
        self._sampling_frequency = None if sampling_frequency is None else float(sampling_frequency)
        self.is_volumetric = num_planes > 1 and plane_index is None
        self._chosen: dict[str, int] = {"C": channel_index or 0, "Z": plane_index or 0}
        if self.is_volumetric:
            del self._chosen["Z"]
        kept = [letter for letter in axes.order if letter not in self._chosen]
        self._transposition = [kept.index(letter) for letter in "TYXZ" if letter in kept]

    @abstractmethod
    def _read(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        """Return a selection of the array as a new array, which the caller may modify."""

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[Any]:
        """Read samples.

        Returns
        -------
        numpy.ndarray, shape (samples, rows, columns) or (samples, rows, columns, planes)
        """
        return self._read_range(start_sample, end_sample, {})

    def get_planes(
        self, start_sample: int | None, end_sample: int | None, planes: slice
    ) -> NDArray[Any]:
        """Read some planes of volumes, without the others.

        Parameters
        ----------
        start_sample, end_sample : int, optional
            First sample, and the one after the last; all samples by default.
        planes : slice

        Returns
        -------
        numpy.ndarray, shape (samples, rows, columns, planes)
        """
        return self._read_range(start_sample, end_sample, {"Z": planes})

    def _read_range(
        self, start_sample: int | None, end_sample: int | None, parts: dict[str, slice]
    ) -> NDArray[Any]:
        first, last = check_range(start_sample, end_sample, self.get_num_samples())
        selection: dict[str, int | slice] = {"T": slice(first, last), **parts, **self._chosen}
        found = self._read(tuple(selection.get(letter, slice(None)) for letter in self.axes.order))
        return found.astype(self._dtype, copy=False).transpose(self._transposition)

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return self.axes.size("Y"), self.axes.size("X")

    def get_num_samples(self) -> int:
        """Return the number of samples."""
        return self.axes.size("T")

    def get_num_planes(self) -> int:
        """Return the number of planes of a volumetric movie."""
        if not self.is_volumetric:
            super().get_num_planes()  # raises, as roiextractors has it
        return self.axes.size("Z")

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return samples per second, in Hz."""
        return self._sampling_frequency

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel, in native byte order."""
        return self._dtype

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return None: an array has no times."""
        return None
