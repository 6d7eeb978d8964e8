"""Read movies that are a dataset of an HDF5 file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import h5py
import numpy as np
from numpy.typing import NDArray

from nwb_ophys.errors import (
    CorruptSourceError,
    SourceArgumentError,
    SourceError,
    SourceNotFoundError,
)
from nwb_ophys.extractors.axes import AxesImagingExtractor, MovieAxes
from nwb_ophys.extractors.ranges import check_range
from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
from nwb_ophys.optional import require_package

# As CaImAn names it.
USUAL_NAME = "mov"
# Of an array of four axes whose order is not stated, the first is that of channels when it is so
# short and shorter than that of time: the layout that roiextractors knows.
_MOST_CHANNELS = 4


@attrs.frozen(kw_only=True)
class Hdf5Movie:
    """A dataset that is a movie.

    Attributes
    ----------
    path : pathlib.Path
    name : str
        Of the dataset.
    axes : MovieAxes
    dtype : numpy.dtype
    rate : float or None
        Samples per second in Hz, as the attribute ``fr`` of the dataset states it.
    start_time : float
        Time of the first sample in s, as the attribute ``start_time`` states it; else 0.
    """

    path: Path
    name: str
    axes: MovieAxes
    dtype: np.dtype[Any]
    rate: float | None
    start_time: float


def movie_datasets(datasets: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> list[str]:
    """Return the names of the datasets that may be a movie: numbers with 3 to 5 axes.

    Parameters
    ----------
    datasets : mapping of str to (shape, dtype)
        As an outline of a file has them.

    Returns
    -------
    list of str
        One where it is known which it is: that named ``mov``, or the only one at the root, or the
        only one at all.
    """
    found = [
        name
        for name, (shape, dtype) in datasets.items()
        if len(shape) in (3, 4, 5) and min(shape) > 0 and dtype.kind in "iuf"
    ]
    if USUAL_NAME in found:
        return [USUAL_NAME]
    at_root = [name for name in found if "/" not in name]
    return at_root if len(at_root) == 1 else found


def find_hdf5_movie(
    path: Path, dataset_name: str | None = None, dimension_order: str | None = None
) -> Hdf5Movie:
    """Find the movie in an HDF5 file, reading no pixel.

    Parameters
    ----------
    path : pathlib.Path
    dataset_name : str, optional
        Needed where several datasets may be it and none is named ``mov``.
    dimension_order : str, optional
        The order of its axes, such as "CTYX"; as its dimension labels say if not given, or else
        "TYX" of three axes and "CTYX" of four of which the first is short.

    Raises
    ------
    SourceNotFoundError, CorruptSourceError, SourceArgumentError, SourceError
    """
    name = _dataset_name(path, dataset_name)
    with open_hdf5(path) as file:
        dataset = file.get(name)
        if not isinstance(dataset, h5py.Dataset):
            raise SourceArgumentError(
                f"'{path}' has no dataset '{name}'; it has {_listed(path) or 'none'}."
            )
        what = f"'{name}' in '{path}'"
        if dataset.dtype.kind not in "iuf" or not dataset.shape or 0 in dataset.shape:
            raise SourceError(
                f"{what} has the shape {dataset.shape} of {dataset.dtype}; a movie is numbers, "
                "along axes of which none is empty."
            )
        order = dimension_order or _stated_order(dataset) or _usual_order(dataset.shape, what)
        return Hdf5Movie(
            path=path,
            name=name,
            axes=MovieAxes.of(order, tuple(dataset.shape), what),
            dtype=dataset.dtype,
            rate=_stated_number(dataset, "fr") or None,
            start_time=_stated_number(dataset, "start_time") or 0.0,
        )


def open_hdf5(path: Path) -> h5py.File:
    """Open an HDF5 file to read it; a context manager.

    Raises
    ------
    CorruptSourceError
        When it is none, or truncated.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise CorruptSourceError(
            f"'{path}' cannot be read as an HDF5 file: {error}. It may be damaged or incomplete; "
            "copy it again from where it was recorded."
        ) from error


def _dataset_name(path: Path, given: str | None) -> str:
    if path.is_dir():
        raise SourceArgumentError(f"'{path}' is a folder; give an HDF5 file.")
    if not path.is_file():
        raise SourceNotFoundError(f"'{path}' does not exist; check the path.")
    if given is not None:
        return given
    with open_hdf5(path):  # says what is wrong with it, which the outline does not
        outline = read_hdf5_outline(path)
    found = movie_datasets(outline.datasets) if outline is not None else []
    if len(found) != 1:
        raise SourceArgumentError(
            f"'{path}' has {len(found)} datasets that may be a movie, which is numbers with 3 to 5 "
            f"axes; say which it is with dataset_name. Its datasets: {_listed(path) or 'none'}."
        )
    return found[0]


def _listed(path: Path) -> str:
    outline = read_hdf5_outline(path)
    datasets = outline.datasets if outline is not None else {}
    shown = [f"'{name}' {shape}" for name, (shape, _) in datasets.items() if len(shape) > 1]
    return ", ".join(shown[:10]) + (", …" if len(shown) > 10 else "")


def _stated_order(dataset: h5py.Dataset) -> str | None:
    """Return the order that the labels of the dimensions state, a letter each."""
    labels = [dimension.label for dimension in dataset.dims]
    return "".join(labels) if labels and all(len(label) == 1 for label in labels) else None


def _usual_order(shape: tuple[int, ...], what: str) -> str:
    if len(shape) == 3:
        return "TYX"
    if len(shape) == 4 and shape[0] <= _MOST_CHANNELS and shape[0] < shape[1]:
        return "CTYX"
    raise SourceArgumentError(
        f"{what} has the shape {shape}, whose order is not stated; give dimension_order, such as "
        "'TYXZ' or 'CTYX': T (time), C (channels), Z (planes), Y (rows), X (columns)."
    )


def _stated_number(dataset: h5py.Dataset, name: str) -> float | None:
    try:
        value = float(np.asarray(dataset.attrs.get(name)).item())
    except (TypeError, ValueError):  # absent, or a text
        return None
    return value if math.isfinite(value) else None


def _find_filters(dataset: h5py.Dataset, movie: Hdf5Movie) -> None:
    """Bring the filters that a dataset was written with and that HDF5 lacks."""
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index) for index in range(properties.get_nfilters())]
    if all(h5py.h5z.filter_avail(each[0]) for each in filters):
        return
    require_package("hdf5plugin", "compression")  # has them as soon as it is imported
    for number, _, _, name in filters:
        if not h5py.h5z.filter_avail(number):
            raise SourceError(
                f"'{movie.name}' in '{movie.path}' was compressed by the filter {number} "
                f"({name.decode(errors='replace')}), which is not installed; see where it was "
                "written, or write it anew with gzip."
            )


class Hdf5MovieExtractor(AxesImagingExtractor):
    """One channel of a movie in an HDF5 file, of a plane or of volumes.

    Only the samples that are asked for are read. HDF5 lets one thread read at a time, whatever is
    open, so `get_series` is not for several.

    Parameters
    ----------
    movie : Hdf5Movie
    sampling_frequency : float, optional
        Samples per second in Hz, instead of what the file states.
    channel_index, plane_index : int, optional
        As of `AxesImagingExtractor`.

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
        if rate is None:
            raise SourceArgumentError(
                f"'{movie.name}' in '{movie.path}' has no attribute fr, the samples per second; "
                "give sampling_frequency."
            )
        super().__init__(movie.axes, movie.dtype, rate, channel_index, plane_index)
        self.movie = movie
        self._file = open_hdf5(movie.path)
        self._dataset = self._file[movie.name]
        _find_filters(self._dataset, movie)

    def _read(self, selection: tuple[int | slice, ...]) -> NDArray[Any]:
        if not self._file:
            raise SourceError(f"'{self.movie.path}' was closed; open it again to read it.")
        try:
            return self._dataset[selection]
        except (OSError, RuntimeError) as error:
            raise CorruptSourceError(
                f"'{self.movie.name}' in '{self.movie.path}' cannot be read: {error}. The file may "
                "be damaged; copy it again from where it was recorded."
            ) from error

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the times from the start that the file states; None where it states none."""
        if not self.movie.start_time:
            return None
        first, last = check_range(start_sample, end_sample, self.get_num_samples())
        return self.movie.start_time + np.arange(first, last) / self._sampling_frequency

    def close(self) -> None:
        """Close the file; reading afterwards raises SourceError."""
        self._file.close()

    def __del__(self) -> None:
        # An __init__ that raised leaves no file.
        if "_file" in self.__dict__:
            self._file.close()
