"""Read movies of Femtonics MESc files.

roiextractors' own reader maps the n-th channel name to the n-th dataset whatever its number, does
not state the unit of the numbers, and needs an extra package to slice a dataset.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nwb_ophys.base_extractors import ImagingExtractor
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError
from nwb_ophys.extractors.calibration import Calibration, checked_calibration
from nwb_ophys.extractors.choices import index_of_name
from nwb_ophys.extractors.ranges import check_range, check_stated_rate
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.formats.femtonics.header import TIME_STEP, Channel, Unit, open_mesc, read_header
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.storage.backends.hdf5_parts import check_complete


class FemtonicsExtractor(ImagingExtractor):  # type: ignore[misc]
    """One channel of a measurement unit; frames are read on demand.

    `get_series` may be called from several threads at once.

    Parameters
    ----------
    file_path : pathlib.Path
    session_name, munit_name, channel_name : str, optional
        For example ``MSession_0``, ``MUnit_0`` and ``UG``; needed if there are several.
    from_first_unit : bool
        Count times from the start of the first unit of the file, not from the start of this unit.

    Attributes
    ----------
    header : Header
        Metadata of the file.
    unit : Unit
    channel : Channel
    calibration : Calibration or None
        Conversion of the stored numbers to intensity, if it is linear.

    Raises
    ------
    SourceArgumentError
        When a unit or channel must be chosen, or does not exist.
    SourceError
        When the unit is not a movie.
    CorruptSourceError
        When the file is damaged, or its shape differs from the stated one.
    """

    extractor_name = "FemtonicsExtractor"
    reads_in_parallel = True

    def __init__(
        self,
        file_path: Path,
        session_name: str | None = None,
        munit_name: str | None = None,
        channel_name: str | None = None,
        from_first_unit: bool = False,
    ) -> None:
        super().__init__()
        self.header = read_header(file_path)
        self.unit = _select_unit(self.header, session_name, munit_name, channel_name)
        check_stated_rate(file_path, self.get_sampling_frequency(), TIME_STEP)
        self.channel = _select_channel(file_path, self.unit, channel_name)
        self.calibration = _calibration(file_path, self.channel)
        self._delay = 0.0
        if from_first_unit:
            first = self.header.first_start
            if first is None or self.unit.start is None:
                raise SourceError(
                    f"'{file_path}' does not state the start of each unit, so the units have no "
                    "common clock; convert each unit separately with munit_name."
                )
            self._delay = (self.unit.start - first).total_seconds()
        self._file = open_mesc(file_path)
        try:
            self._frames = check_stored(self._file[self.channel.dataset])
            _check_shape(file_path, self._file[self.unit.session][self.unit.name], self._frames)
            check_complete(self._frames, file_path)
        except BaseException:
            self._file.close()
            raise

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return (int(self._frames.shape[1]), int(self._frames.shape[2]))

    def get_num_samples(self) -> int:
        """Return the number of frames."""
        return int(self._frames.shape[0])

    def get_sampling_frequency(self) -> float:
        """Return frames per second in Hz."""
        return 1.0 / self.unit.time_step  # type: ignore[operator]

    def get_dtype(self) -> np.dtype[Any]:
        """Return the type of a pixel."""
        return np.dtype(self._frames.dtype)

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[Any]:
        """Read stored samples, (samples, rows, columns).

        Raises
        ------
        SourceArgumentError
            If the range lies outside the recording.
        CorruptSourceError
            If the samples cannot be read.
        """
        first, last = check_range(start_sample, end_sample, self.get_num_samples())
        try:
            return self._frames[first:last]  # type: ignore[no-any-return]
        except (OSError, RuntimeError) as error:
            raise CorruptSourceError(
                f"Frames {first} to {last} of '{self.channel.dataset}' in '{self.header.path}' "
                f"cannot be read: {error}. The file may be truncated or damaged; {COPY_AGAIN}."
            ) from error

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return times in s if they count from the start of another unit, else None."""
        if not self._delay:
            return None
        first, last = check_range(start_sample, end_sample, self.get_num_samples())
        numbers = np.arange(first, last, dtype=np.float64)
        return self._delay + numbers * float(self.unit.time_step or 0.0)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        if "_file" in self.__dict__:
            self._file.close()


def _calibration(path: Path, channel: Channel) -> Calibration | None:
    """Return the linear conversion of a channel; warn if another kind is stated."""
    where = f"'{channel.dataset}' in '{path}'"
    if channel.is_linear:
        return checked_calibration(where, channel.scale, channel.offset, channel.unit)
    warnings.warn(
        f"{where} states a conversion of its values of the type {channel.conversion_type:g}; only "
        "linear ones (type 1) can be written, so the stored numbers are written without it.",
        UserWarning,
        stacklevel=3,
    )
    return None


def _select_unit(header: Any, session: str | None, name: str | None, channel: str | None) -> Unit:
    requested = {"session_name": session, "munit_name": name}
    units = [
        unit
        for unit in header.units
        if session in (None, unit.session) and name in (None, unit.name)
    ]
    known = ", ".join(f"{unit.session}/{unit.name}" for unit in header.units)
    if not units:
        given = {key: value for key, value in requested.items() if value is not None}
        shown = ", ".join(f"{key} {value!r}" for key, value in given.items())
        raise SourceArgumentError(f"'{header.path}' has no unit with {shown}; it has {known}.")
    movies = [unit for unit in units if unit in header.movies]
    if len(movies) > 1:
        channels = dict.fromkeys(each.name for unit in movies for each in unit.channels)
        if channel not in (None, *channels):
            raise SourceArgumentError(
                f"'{header.path}' has no channel '{channel}'; it has {', '.join(channels)}."
            )
        missing = "munit_name" if name is None else "session_name"
        raise SourceArgumentError(f"'{header.path}' has the units {known}; give {missing}.")
    if not movies:
        raise _not_a_movie(header.path, units[0])
    return movies[0]


def _not_a_movie(path: Path, unit: Unit) -> SourceError:
    """Return the error for a unit without frames over time."""
    place = f"'{path}': {unit.session}/{unit.name}"
    if unit.is_over_time and unit.channels and not unit.time_step:
        return CorruptSourceError(
            f"{place} states no {TIME_STEP} above 0, the {unit.axis_unit} between frames, so the "
            "rate is unknown; correct it in a copy of the file."
        )
    if unit.time_step and unit.channels:
        return _no_frames(path, unit.channels[0].dataset, unit.channels[0].shape)
    what = "no channel" if not unit.channels else f"frames along '{unit.axis_unit}'"
    return SourceError(
        f"{place} is not a movie: it has {what} instead of frames along time in ms. Choose another "
        "unit with munit_name."
    )


def _no_frames(path: Path, dataset: str, shape: tuple[int, ...]) -> SourceError:
    """Return the error for a dataset that has no frames, or not frames alone."""
    if len(shape) == 3:
        return SourceError(f"'{path}': {dataset} has no frames; choose another unit.")
    return CorruptSourceError(
        f"'{path}': {dataset} has the shape {shape}; a movie must have the axes (time, rows, "
        "columns)."
    )


def _select_channel(path: Path, unit: Unit, name: str | None) -> Channel:
    names = [channel.name for channel in unit.channels]
    noun = f"{unit.session}/{unit.name} channels"
    return unit.channels[index_of_name("channel_name", name, names, path, noun)]


def _check_shape(path: Path, unit: Any, frames: Any) -> None:
    """Raise if the shape of the frames differs from the stated one; warn of missing frames."""
    if frames.ndim != 3 or not frames.shape[0]:
        raise _no_frames(path, frames.name, frames.shape)
    names = ("ZDim", "YDim", "XDim")
    stated = [int(unit.attrs[name]) if name in unit.attrs else None for name in names]
    for name, size, found in zip(names[1:], stated[1:], frames.shape[1:], strict=True):
        if size is not None and size != found:
            raise CorruptSourceError(
                f"'{path}': {frames.name} has the shape {frames.shape}, but {name} is {size}; the "
                f"file may be damaged. To repair it, {COPY_AGAIN}."
            )
    if stated[0] not in (None, frames.shape[0]):
        warnings.warn(
            f"'{path}': {frames.name} has {frames.shape[0]} frames, but ZDim states {stated[0]}; "
            f"the existing {frames.shape[0]} frames are read.",
            UserWarning,
            stacklevel=4,
        )
