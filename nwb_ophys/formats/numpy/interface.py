"""Arrays in memory, and ``.npy`` files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.dtypes import is_number, masked, not_storable
from nwb_ophys.errors import SourceArgumentError
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.emptiness import empty_array
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.paths import PathProbe
from nwb_ophys.remote.arrays import StoredRows

_MAGIC = b"\x93NUMPY"
_KINDS = ("raw", "dff", "neuropil", "deconvolved", "denoised")


# A last axis of fewer values is no axis of columns, which would be read as planes.
_FEWEST_COLUMNS = 4
_NUM_AXES = (3, 4)


@attrs.frozen(kw_only=True, eq=False)
class NumpyImagingSource:
    """Source arguments of a movie in an array."""

    timeseries: Path | Any = argument(
        "Movie, (time, rows, columns[, planes]): an array, or the path of a .npy file."
    )
    sampling_frequency: float | None = argument(
        "Sampling rate in Hz; required unless the times of the frames are given.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class NumpyImagingInterface(ImagingInterface):
    """A movie in an array in memory, or in a ``.npy`` file."""

    Source = NumpyImagingSource
    reads_ranges = True
    is_generic = True
    needs_rate = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.arrays import ArrayImagingExtractor
        from nwb_ophys.extractors.axes import note_time_last
        from nwb_ophys.filetypes.npy import load_npy_movie

        movie = source.timeseries
        if isinstance(movie, Path):
            movie = load_npy_movie(movie, allow_truncated=source.allow_truncated)
        movie = _array("timeseries", movie)
        if movie.ndim == 4 and movie.shape[3] > max(movie.shape[1], _FEWEST_COLUMNS):
            _warn_of_planes(movie)
        note_time_last(_label(movie), movie.shape, "give np.moveaxis(array, 2, 0)")
        return ArrayImagingExtractor(movie, source.sampling_frequency)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a ``.npy`` file with the axes of a movie."""
        probe = PathProbe.of(path)
        if not probe.is_file or probe.path.suffix.lower() != ".npy":
            return None
        found = probe.read_once(_mapped)
        if not _has_axes_of_movie(found) or not is_number(found.dtype):
            return None
        if found.dtype.kind == "b" and not probe.is_given:
            return None  # truth values among other files are masks
        return f"'{probe.path.name}' holds an array of shape {found.shape}, {found.dtype}"

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return why an array with the axes of a movie cannot be converted, or None."""
        if not probe.is_file or probe.path.suffix.lower() != ".npy":
            return None
        found = probe.read_once(_mapped)
        if found is None or len(found.shape) not in _NUM_AXES:
            return None
        if not is_number(found.dtype):
            return not_storable(found.dtype, f"'{probe.path}'")
        return empty_array(f"The array in '{probe.path}'", found.shape)

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a file has no frames, or starts as ``.npy`` but cannot be opened."""
        if probe.read_once(_mapped) is not None:
            return cls.refusal(probe) is not None
        head = probe.head()
        holds_objects = b"'|O'" in head[:256]
        return not head or (head.startswith(_MAGIC) and not holds_objects)


@attrs.frozen(kw_only=True, eq=False)
class NumpySegmentationSource:
    """Source arguments of a segmentation in arrays; each may be the path of a ``.npy`` file."""

    image_masks: Path | Any = argument("Weights of the pixels, (rows, columns[, planes], ROIs).")
    sampling_frequency: float | None = argument("Sampling rate of the traces in Hz.", default=None)
    raw: Path | Any = argument("Fluorescence, (time, ROIs).", default=None)
    dff: Path | Any = argument("Delta F over F, (time, ROIs).", default=None)
    neuropil: Path | Any = argument("Neuropil fluorescence, (time, ROIs).", default=None)
    deconvolved: Path | Any = argument("Deconvolved activity, (time, ROIs).", default=None)
    denoised: Path | Any = argument("Denoised fluorescence, (time, ROIs).", default=None)
    mean_image: Path | Any = argument("Mean of the movie, (rows, columns).", default=None)
    correlation_image: Path | Any = argument("Correlation image, (rows, columns).", default=None)
    roi_ids: list[int | str] | None = argument(
        "Id of each ROI; 0, 1, … if not given.", default=None
    )
    accepted: Any = argument("Whether each ROI was accepted.", default=None)


class NumpySegmentationInterface(SegmentationInterface):
    """ROIs and traces in arrays in memory, or in ``.npy`` files."""

    Source = NumpySegmentationSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.arrays import ArraySegmentationExtractor

        def given(**fields: Any) -> dict[str, Any]:
            return {key: _array(key, value) for key, value in fields.items() if value is not None}

        return ArraySegmentationExtractor(
            _array("image_masks", source.image_masks),
            given(**{kind: getattr(source, kind) for kind in _KINDS}),
            sampling_frequency=source.sampling_frequency,
            roi_ids=source.roi_ids,
            images=given(mean=source.mean_image, correlation=source.correlation_image),
            accepted=source.accepted,
        )


def _mapped(path: Path) -> Any:
    """Return the shape and the dtype of a ``.npy`` file, also of a truncated one."""
    from nwb_ophys.filetypes.npy import read_npy_header

    found = read_npy_header(path)
    if found is None or 0 in found.shape:  # an array without values has a header only
        return found
    return None if found.offset >= path.stat().st_size else found


def _has_axes_of_movie(found: Any) -> bool:
    return found is not None and len(found.shape) in _NUM_AXES and 0 not in found.shape


def _warn_of_planes(movie: Any) -> None:
    """Warn of an array whose planes or channels seem to come before the rows."""
    rows, columns, planes = movie.shape[1:]
    warnings.warn(
        f"{_label(movie)} has the shape {movie.shape}, which is read as (time, rows, columns, "
        f"planes): {planes} planes of {rows} x {columns} pixels. If it is (time, planes, rows, "
        "columns), give np.moveaxis(array, 1, 3).",
        UserWarning,
        stacklevel=3,
    )


def _label(movie: Any) -> str:
    path = getattr(movie, "filename", None)
    return f"the array in '{path}'" if path else "the array"


def _array(name: str, value: Any) -> Any:
    from nwb_ophys.filetypes.npy import load_npy

    path = getattr(value, "filename", None)
    if isinstance(value, Path):
        path, value = value, load_npy(value)
    if not isinstance(value, (np.ndarray, StoredRows)):
        raise SourceArgumentError(
            f"{name} must be an array of numbers, or the path of a .npy file; it is {type(value)}."
        )
    if np.ma.is_masked(value):
        raise SourceArgumentError(masked(name))
    if not is_number(value.dtype):
        where = f"{name}, '{path}'," if path else name
        raise SourceArgumentError(not_storable(value.dtype, where))
    return value
