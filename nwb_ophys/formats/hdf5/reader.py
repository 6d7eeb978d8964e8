"""Read movies that are datasets of HDF5 files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.dtypes import is_number, not_storable
from nwb_ophys.errors import CorruptSourceError, SourceArgumentError, SourceError, first_of
from nwb_ophys.extractors.axes import (
    AxesImagingExtractor,
    MovieAxes,
    note_time_last,
)
from nwb_ophys.extractors.calibration import calibration_of_attributes
from nwb_ophys.extractors.ranges import check_range, check_stated_rate, warn_of_stated_rate
from nwb_ophys.filetypes.files import COPY_AGAIN, closed_file, require_file, unreadable_file
from nwb_ophys.filetypes.hdf5 import open_hdf5 as open_checked
from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
from nwb_ophys.interfaces.emptiness import empty_array
from nwb_ophys.metadata import possible_number
from nwb_ophys.optional import require_package
from nwb_ophys.storage.backends.hdf5_claims import check_stored
from nwb_ophys.storage.backends.hdf5_opening import encoded
from nwb_ophys.storage.backends.hdf5_parts import check_complete
from nwb_ophys.timing import LONGEST_S, require_rate
from nwb_ophys.trial import try_hdf5

# Name that CaImAn gives to the dataset.
USUAL_NAME = "mov"
# The first of four axes without a stated order is the axis of channels if it has at most this
# length and is shorter than the axis of time: the layout that roiextractors reads.
_MAX_CHANNELS = 4
_MOST_LISTED = 10
_MATLAB_CLASS = "MATLAB_class"
# Names, in small letters and without underscores, under which programs state a rate in Hz. None of
# them is used, since the rate may be that of another device; a note names it.
_OTHER_RATES = (
    *("framerate", "fps", "imagingrate", "samplingrate", "samplingfrequency"),
    *("samplerate", "framefrequency", "framespersecond", "volumerate"),
)


@attrs.frozen(kw_only=True)
class Hdf5Movie:
    """A dataset that is a movie.

    Attributes
    ----------
    path : pathlib.Path
    name : str
        Name of the dataset.
    axes : MovieAxes
    dtype : numpy.dtype
    rate : float or None
        Samples per second in Hz, from the attribute ``fr`` of the dataset.
    start_time : float
        Time of the first sample in s, from the attribute ``start_time``; 0 if not stated.
    other_rate : tuple of str and float, or None
        Name and value of an attribute, or of a dataset of one number, that may be a rate.
    """

    path: Path
    name: str
    axes: MovieAxes
    dtype: np.dtype[Any]
    rate: float | None
    start_time: float
    other_rate: tuple[str, float] | None = None


def movie_datasets(datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> list[str]:
    """Return the names of the datasets that may be a movie: numbers with 3 to 5 axes.

    Parameters
    ----------
    datasets : mapping of str to (shape, dtype)
        The datasets of a file, from its outline.

    Returns
    -------
    list of str
        One name if the choice is clear: the dataset ``mov``, the only candidate in the root group,
        or the only candidate.
    """
    found = [
        name
        for name, (shape, dtype) in datasets.items()
        if len(shape) in (3, 4, 5) and min(shape) > 0 and dtype.kind in "iuf" and is_number(dtype)
    ]
    if USUAL_NAME in found:
        return [USUAL_NAME]
    at_root = [name for name in found if "/" not in name]
    return at_root if len(at_root) == 1 else found


def choice_of_datasets(
    path: Path, datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
) -> str | None:
    """Return which datasets of a file may be the movie and how to choose one; None without any.

    Of a file whose only such datasets are of a type that NWB lacks, the reason is returned.

    Parameters
    ----------
    path : pathlib.Path
    datasets : mapping of str to (shape, dtype)
        The datasets of the file, from its outline.
    """
    found = movie_datasets(datasets)
    if not found:
        return _reason_for_other_types(path, datasets)
    sizes = [f"'{name}' ({' x '.join(map(str, datasets[name][0]))})" for name in found]
    listed = first_of(sizes, _MOST_LISTED)
    which = f"a dataset below its root that may be the movie: {listed}"
    if len(found) > 1:
        which = f"{len(found)} datasets that may be the movie: {listed}"
    return (
        f"'{path}' contains {which}. Choose one with dataset_name, on the command line "
        f"--format hdf5 --option dataset_name={found[0]}."
    )


def _truth_values(datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> list[str]:
    """Return the names of datasets of truth values with the axes of a movie, which may be masks."""
    return [
        name
        for name, (shape, dtype) in datasets.items()
        if len(shape) in (3, 4, 5) and min(shape) > 0 and dtype.kind == "b"
    ]


def _reason_for_other_types(
    path: Path, datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
) -> str | None:
    """Return why datasets with the axes of a movie are not opened, by their types; else None."""
    for name in _truth_values(datasets):
        return (
            f"'{name}' in '{path}' contains truth values, which may be masks. To convert it as a "
            "movie, choose it with dataset_name, on the command line --format hdf5 --option "
            f"dataset_name={name}."
        )
    for name, (shape, dtype) in datasets.items():
        if len(shape) in (3, 4, 5) and dtype.kind in "fc" and not is_number(dtype):
            return not_storable(dtype, f"'{name}' in '{path}'")
    empty = _empty_datasets(datasets)
    return empty_array(f"'{empty[0]}' in '{path}'", datasets[empty[0]][0]) if empty else None


def has_empty_movie(datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> bool:
    """Return whether a file has a movie without frames at its root, and no other one."""
    empty = _empty_datasets(datasets)
    return bool(empty) and "/" not in empty[0] and not movie_datasets(datasets)


def _empty_datasets(datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> list[str]:
    """Return the names of datasets that may be a movie but have an axis of 0, 'mov' first."""
    found = [
        name
        for name, (shape, dtype) in datasets.items()
        if len(shape) in (3, 4, 5) and 0 in shape and is_number(dtype)
    ]
    return sorted(found, key=lambda name: (name != USUAL_NAME, "/" in name))


def find_hdf5_movie(
    path: Path, dataset_name: str | None = None, dimension_order: str | None = None
) -> Hdf5Movie:
    """Find the movie in an HDF5 file, without reading pixels.

    Parameters
    ----------
    path : pathlib.Path
    dataset_name : str, optional
        Needed if there are several candidates without one named ``mov``.
    dimension_order : str, optional
        The order of its axes, such as "CTYX". By default it follows from the dimension labels;
        without labels it is "TYX" for three axes and "CTYX" for four with a short first axis, and
        "TXY" and "CTXY" for variables that MATLAB saved.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError, SourceArgumentError, SourceError
    """
    name = _dataset_name(path, dataset_name)
    with open_hdf5(path) as file:
        dataset = file.get(encoded(name))
        if not isinstance(dataset, h5py.Dataset):
            raise SourceArgumentError(
                f"'{path}' has no dataset '{name}'; it has {_list_datasets(path) or 'none'}."
            )
        what = f"'{name}' in '{path}'"
        is_array = bool(dataset.shape) and is_number(dataset.dtype)
        reason = empty_array(what, dataset.shape) if is_array else None
        if reason is not None:
            raise SourceError(reason)
        if not is_number(dataset.dtype) or not dataset.shape or 0 in dataset.shape:
            raise SourceError(
                f"{what} has the shape {dataset.shape} and the type {dataset.dtype}; a movie must "
                "have numbers and no empty axis."
            )
        order = dimension_order or _stated_order(dataset) or _usual_order(dataset, what)
        return Hdf5Movie(
            path=path,
            name=name,
            axes=MovieAxes.of(order, tuple(dataset.shape), what),
            dtype=dataset.dtype,
            rate=_stated_number(dataset, "fr") or None,
            start_time=_start_time(dataset, what),
            other_rate=_other_rate(dataset),
        )


def _other_rate(dataset: h5py.Dataset) -> tuple[str, float] | None:
    """Return name and value of what may be a rate beside a dataset, its own attributes first."""
    places = [dataset, dataset.parent, dataset.file]
    for place in places:
        for name in filter(_names_a_rate, place.attrs):
            value = _stated_number(place, name)
            if value is not None and value > 0:
                return name, value
    for group in places[1:]:
        for name in filter(_names_a_rate, group):
            value = _single_number(group.get(name))
            if value is not None and value > 0:
                return name, value
    return None


def _names_a_rate(name: str | bytes) -> bool:
    # h5py gives the names that are not UTF-8 as bytes, of members and of attributes.
    return isinstance(name, str) and name.lower().replace("_", "") in _OTHER_RATES


def _single_number(found: Any) -> float | None:
    """Return the value of a dataset of one number; None for anything else."""
    if not isinstance(found, h5py.Dataset) or found.size != 1 or found.dtype.kind not in "iuf":
        return None
    value = float(found[()].item())
    return value if math.isfinite(value) else None


def _start_time(dataset: h5py.Dataset, what: str) -> float:
    """Return the time of the first sample in s; 0 where it is not stated, or no time of one."""
    stated = _stated_number(dataset, "start_time")
    found = possible_number(stated, -LONGEST_S, LONGEST_S)
    if stated is not None and found is None:
        warnings.warn(
            f"{what} states {stated:g} s as the time of its first sample (start_time), which does "
            "not count from the start of the session; it is left out.",
            UserWarning,
            stacklevel=3,
        )
    return found or 0.0


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading, as a context manager.

    Raises
    ------
    CorruptSourceError
        When it is truncated, or is not an HDF5 file.
    """
    try_hdf5(path)
    try:
        return open_checked(path)
    except OSError as error:
        raise unreadable_file(path, "an HDF5 file", error) from error


def _dataset_name(path: Path, given: str | None) -> str:
    require_file(path, "an HDF5 file", folder_error=SourceArgumentError)
    if given is not None:
        return given
    with open_hdf5(path):  # raises for a damaged file, whose outline would be None
        outline = read_hdf5_outline(path)
    found = movie_datasets(outline.datasets) if outline is not None else []
    if not found and outline is not None:
        found = _truth_values(outline.datasets)
    empty = _empty_datasets(outline.datasets) if outline is not None and not found else []
    if empty:  # which is raised with its shape
        return empty[0]
    if len(found) != 1:
        raise SourceArgumentError(
            f"'{path}' has {len(found)} datasets that may be a movie (numbers with 3 to 5 axes); "
            f"choose one with dataset_name. Its datasets: {_list_datasets(path) or 'none'}."
        )
    return found[0]


def _list_datasets(path: Path) -> str:
    outline = read_hdf5_outline(path)
    datasets = outline.datasets if outline is not None else {}
    shown = [f"'{name}' {shape}" for name, (shape, _) in datasets.items() if len(shape) > 1]
    return ", ".join(shown[:10]) + (", …" if len(shown) > 10 else "")


def _stated_order(dataset: h5py.Dataset) -> str | None:
    """Return the order of axes from the labels of the dimensions; None unless each is a letter."""
    labels = [dimension.label for dimension in dataset.dims]
    return "".join(labels) if labels and all(len(label) == 1 for label in labels) else None


def _usual_order(dataset: h5py.Dataset, what: str) -> str:
    shape = dataset.shape
    # MATLAB reverses the axes, also those of rows and columns, and states that it wrote a variable.
    pixels = "XY" if _MATLAB_CLASS in dataset.attrs else "YX"
    if len(shape) == 3:
        if pixels == "YX":
            note_time_last(what, shape, "give dimension_order=YXT")
        return f"T{pixels}"
    if len(shape) == 4 and shape[0] <= _MAX_CHANNELS and shape[0] < shape[1]:
        return f"CT{pixels}"
    raise SourceArgumentError(
        f"{what} has the shape {shape} without a stated order; give dimension_order, such as "
        "'TYXZ' or 'CTYX': T (time), C (channels), Z (planes), Y (rows), X (columns)."
    )


def _stated_number(dataset: h5py.Dataset, name: str) -> float | None:
    try:
        stated = np.asarray(dataset.attrs.get(name))
        value = math.nan if stated.dtype.kind == "b" else float(stated.item())
    except (TypeError, ValueError):  # absent, or a text
        return None
    return value if math.isfinite(value) else None


def _load_filters(dataset: h5py.Dataset, movie: Hdf5Movie) -> None:
    """Import the filters of a dataset that HDF5 lacks; raise if they are not installed."""
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    if all(h5py.h5z.filter_avail(each[0]) for each in filters):
        return
    require_package("hdf5plugin", "compression")  # registers its filters on import
    for number, _, _, name in filters:
        if not h5py.h5z.filter_avail(number):
            raise SourceError(
                f"'{movie.name}' in '{movie.path}' was compressed by the filter {number} "
                f"({name.decode(errors='replace')}), which is not installed; install the filter, "
                "or write the file again with gzip."
            )


class Hdf5MovieExtractor(AxesImagingExtractor):
    """One channel of a movie in an HDF5 file, of a plane or of volumes.

    Reads only the requested samples. Several threads may call `get_series` at once where
    `reads_in_parallel` is true: chunks are then decoded outside of HDF5, which lets only one thread
    read at a time.

    Parameters
    ----------
    movie : Hdf5Movie
    sampling_frequency : float, optional
        Samples per second in Hz; replaces the rate in the file.
    channel_index, plane_index : int, optional
        As for `AxesImagingExtractor`.

    Attributes
    ----------
    movie : Hdf5Movie
    calibration : Calibration or None
        Linear calibration that the attributes of the dataset state.
    reads_in_parallel : bool
        Whether several threads may call `get_series` at once.

    Raises
    ------
    SourceArgumentError
        When the rate is neither stated nor given, or an index is missing or out of range.
    """

    extractor_name = "Hdf5MovieExtractor"

    def __init__(
        self,
        movie: Hdf5Movie,
        sampling_frequency: float | None = None,
        channel_index: int | None = None,
        plane_index: int | None = None,
    ) -> None:
        rate = sampling_frequency or movie.rate
        warn_of_stated_rate(movie.path, sampling_frequency, movie.rate, f"fr of '{movie.name}'")
        other = movie.other_rate
        if other is not None:
            warn_of_stated_rate(movie.path, sampling_frequency, other[1], other[0])
        if rate is None:
            known = f" (it states {other[0]} = {other[1]:g}, which may be wrong)" if other else ""
            require_rate(
                SourceArgumentError(
                    f"'{movie.name}' in '{movie.path}' has no attribute fr above 0, so the rate is "
                    f"unknown{known}; give sampling_frequency, in samples per second."
                )
            )
        elif sampling_frequency is None:
            check_stated_rate(movie.path, rate, f"the attribute fr of '{movie.name}'")
        super().__init__(movie.axes, movie.dtype, rate, channel_index, plane_index)
        self.movie = movie
        self._file = open_hdf5(movie.path)
        self._dataset = self._file[encoded(movie.name)]
        _load_filters(self._dataset, movie)
        self._dataset = check_stored(self._dataset)
        self.reads_in_parallel = getattr(self._dataset, "reads_in_parallel", False)
        check_complete(self._dataset, movie.path)
        self.calibration = calibration_of_attributes(
            self._dataset.attrs,
            f"'{movie.name}' in '{movie.path}'",
            channel=self._chosen["C"],
            num_channels=movie.axes.size("C"),
        )

    def _read(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        if not self._file:
            raise closed_file(self.movie.path)
        try:
            return self._dataset[selection]
        except (OSError, RuntimeError) as error:
            raise CorruptSourceError(
                f"'{self.movie.name}' in '{self.movie.path}' cannot be read: {error}. The file may "
                f"be truncated or damaged; {COPY_AGAIN}."
            ) from error

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return times from the start that the file states; None if it states no start."""
        if not self.movie.start_time or self._sampling_frequency is None:
            return None
        first, last = check_range(start_sample, end_sample, self.get_num_samples())
        return self.movie.start_time + np.arange(first, last) / self._sampling_frequency

    def close(self) -> None:
        """Close the file; reading afterwards raises SourceError."""
        self._file.close()

    def __del__(self) -> None:
        # There is no file if __init__ raised.
        if "_file" in self.__dict__:
            self._file.close()
