"""Extractors over arrays or memory maps: movies, and masks with their traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nwb_ophys.base_extractors import ImagingExtractor, SegmentationExtractor
from nwb_ophys.dtypes import without_mask
from nwb_ophys.errors import SourceError
from nwb_ophys.remote.arrays import StoredRows
from nwb_ophys.rois.pixel_lists import PixelLists
from nwb_ophys.rois.properties import FastPropertiesMixin, as_flags, repeated_ids
from nwb_ophys.timing import require_rate


class ArrayImagingExtractor(ImagingExtractor):  # type: ignore[misc]
    """A movie in an array (roiextractors' own extractor takes only 4-D arrays with channels).

    Parameters
    ----------
    movie : numpy.ndarray, shape (samples, rows, columns) or (samples, rows, columns, planes)
        Sliced when samples are read, so that a memory map stays on disk. Any object that slices
        like an array will do, but only arrays are shared between threads. Lists become arrays.
    sampling_frequency : float, optional
        Samples per second; without it, the inverse of the median interval of the timestamps.
    timestamps : array-like of float, shape (samples,), optional
        Time of each sample in seconds, where the source states them.

    Raises
    ------
    SourceError
        When the movie has other axes or no numbers, or the times do not fit it.
    """

    extractor_name = "ArrayImagingExtractor"

    def __init__(
        self,
        movie: NDArray[Any],
        sampling_frequency: float | None = None,
        timestamps: ArrayLike | None = None,
    ) -> None:
        super().__init__()
        if not hasattr(movie, "ndim"):
            movie = _array_of("The movie", movie)
        if movie.ndim not in (3, 4):
            raise SourceError(
                f"A movie must have the axes (time, rows, columns) or (time, rows, columns, "
                f"planes); this array has the shape {movie.shape}."
            )
        self._movie = movie
        self._stated_times = _times(timestamps, movie.shape[0], "frames")
        self._sampling_frequency = _rate(sampling_frequency, self._stated_times)
        self.is_volumetric = movie.ndim == 4
        self.reads_in_parallel = isinstance(movie, (np.ndarray, StoredRows))

    def get_image_shape(self) -> tuple[int, int]:
        """Return (rows, columns)."""
        return (self._movie.shape[1], self._movie.shape[2])

    def get_num_planes(self) -> int:
        """Return the number of planes; 1 for a planar movie."""
        return int(self._movie.shape[3]) if self.is_volumetric else 1

    def get_num_samples(self) -> int:
        """Return the number of samples."""
        return int(self._movie.shape[0])

    def get_sampling_frequency(self) -> float | None:  # type: ignore[override]
        """Return samples per second."""
        return self._sampling_frequency

    def get_dtype(self) -> np.dtype[Any]:
        """Return the dtype of the pixels."""
        return self._movie.dtype

    def get_series(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[Any]:
        """Return samples, (samples, rows, columns[, planes])."""
        return self._movie[start_sample:end_sample]

    def get_planes(
        self, start_sample: int | None, end_sample: int | None, planes: slice
    ) -> NDArray[Any]:
        """Return some planes of volumes, (samples, rows, columns, planes)."""
        return self._movie[start_sample:end_sample, :, :, planes]

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the time of each sample in seconds; None where no times were given."""
        return None if self._stated_times is None else self._stated_times[start_sample:end_sample]


class ArraySegmentationExtractor(FastPropertiesMixin, SegmentationExtractor):  # type: ignore[misc]
    """Masks and traces in arrays.

    Parameters
    ----------
    image_masks : array-like, shape (rows, columns[, planes], ROIs)
        Weights of the pixels of each ROI.
    traces : mapping of str to array-like, shape (samples, ROIs)
        By kind: ``raw``, ``dff``, ``neuropil``, ``deconvolved``, ``denoised``, …
    sampling_frequency : float, optional
        Samples per second of the traces; without it, that of the timestamps, if there are any.
    roi_ids : sequence of int or str, optional
        0, 1, 2, … when not given.
    images : mapping of str to numpy.ndarray, shape (rows, columns[, planes]), optional
        Summary images.
    accepted : sequence of bool, optional
        Whether each ROI was accepted.
    timestamps : array-like of float, shape (samples,), optional
        Time of each sample of the traces in seconds, where the source states them.
    background_masks : numpy.ndarray, shape (rows, columns[, planes], components), optional
        Weights of the pixels of each background component. Their ids are ``background0``, …
    background_traces : numpy.ndarray, shape (samples, components), optional
        Traces of the background components.

    Raises
    ------
    SourceError
        When the numbers of ROIs or of samples differ, or an array does not hold numbers.
    """

    extractor_name = "ArraySegmentationExtractor"

    def __init__(
        self,
        image_masks: Any,
        traces: Mapping[str, Any],
        sampling_frequency: float | None = None,
        roi_ids: Sequence[int | str] | None = None,
        images: Mapping[str, NDArray[Any]] | None = None,
        accepted: Sequence[bool] | None = None,
        timestamps: ArrayLike | None = None,
        background_masks: NDArray[Any] | None = None,
        background_traces: NDArray[Any] | None = None,
    ) -> None:
        super().__init__()
        image_masks = _array_of("The image masks", image_masks)
        if image_masks.ndim not in (3, 4):
            raise SourceError(
                f"Image masks must have the axes (rows, columns[, planes], ROIs); this array has "
                f"the shape {image_masks.shape}."
            )
        self._masks = image_masks
        self._traces = _arrays_of("trace", traces)
        self._roi_ids = list(range(image_masks.shape[-1])) if roi_ids is None else list(roi_ids)
        self._sampling_frequency = sampling_frequency
        self._summary_images = _arrays_of("image", images or {})
        empty = np.zeros((*image_masks.shape[:-1], 0), image_masks.dtype)
        given = empty if background_masks is None else background_masks
        self._background = _array_of("The background masks", given)
        self._check()
        self._set_background(background_traces)
        self._stated_times = _times(timestamps, self.get_num_samples(), "samples of the traces")
        if self._stated_times is not None:
            self._sampling_frequency = _rate(sampling_frequency, self._stated_times)
        if accepted is not None:
            flags = as_flags(accepted, "accepted")
            if flags.shape != (len(self._roi_ids),):
                raise SourceError(
                    f"accepted has {flags.size} flags for {len(self._roi_ids)} ROIs; give one flag "
                    "per ROI."
                )
            description = "Whether the ROI was accepted."
            self.set_property("is_accepted", flags, self._roi_ids, description=description)

    def _check(self) -> None:
        num_rois = self._masks.shape[-1]
        repeated = repeated_ids(self._roi_ids)
        if len(self._roi_ids) != num_rois or repeated:
            fault = f", among them repeated ones: {repeated}" if repeated else ""
            raise SourceError(
                f"There are {num_rois} masks and {len(self._roi_ids)} ROI ids{fault}; give one "
                "unique id per mask."
            )
        lengths = set()
        for name, trace in self._traces.items():
            if trace.ndim != 2 or trace.shape[1] != num_rois:
                raise SourceError(
                    f"The trace '{name}' has the shape {trace.shape}; it must be (samples, ROIs) "
                    f"with {num_rois} ROIs, one per mask."
                )
            lengths.add(trace.shape[0])
        if len(lengths) > 1:
            raise SourceError(
                f"The traces differ in length: {sorted(lengths)} samples; give traces of the same "
                "length."
            )
        for name, image in self._summary_images.items():
            if image.shape != self.get_frame_shape():
                raise SourceError(
                    f"The image '{name}' has the shape {image.shape}; it must have the shape of "
                    f"the masks, {self.get_frame_shape()}."
                )

    def _set_background(self, traces: NDArray[Any] | None) -> None:
        """Check the background components, and add their traces."""
        shape, num_components = self._background.shape, self._background.shape[-1]
        if shape[:-1] != self.get_frame_shape():
            raise SourceError(
                f"The background masks have the shape {shape}; they must have the axes of the "
                f"masks, {self.get_frame_shape()}, and one more for the components."
            )
        clash = [each for each in self.get_background_ids() if each in self._roi_ids]
        if clash and num_components:
            raise SourceError(f"The ROI id {clash[0]!r} is that of a background component.")
        if traces is None:
            return
        traces = _array_of("The background traces", traces)
        samples = self.get_num_samples() if self._traces else len(traces)
        if traces.shape != (samples, num_components) or not num_components:
            raise SourceError(
                f"The background traces have the shape {traces.shape}; it must be ({samples}, "
                f"{num_components}): a column for each of {num_components} background masks."
            )
        self._traces["background"] = traces

    def get_frame_shape(self) -> tuple[int, ...]:
        """Return (rows, columns[, planes])."""
        return tuple(self._masks.shape[:-1])

    def get_num_rois(self) -> int:
        """Return the number of ROIs."""
        return len(self._roi_ids)

    def get_num_samples(self) -> int:
        """Return the number of samples of the traces; 0 when there are none."""
        return next((int(trace.shape[0]) for trace in self._traces.values()), 0)

    def get_background_ids(self) -> list[Any]:
        """Return the ids of the background components: ``background0``, …"""
        return [f"background{index}" for index in range(self._background.shape[-1])]

    def get_traces_dict(self) -> dict[str, Any]:
        """Return the traces by kind."""
        return dict(self._traces)

    def get_roi_image_masks(self, roi_ids: Sequence[Any] | None = None) -> NDArray[Any]:
        """Return masks, (rows, columns[, planes], ROIs)."""
        return _chosen(self._masks, None if roi_ids is None else self._indices(roi_ids))

    def get_background_image_masks(
        self, background_ids: Sequence[Any] | None = None
    ) -> NDArray[Any]:
        """Return masks of background components, (rows, columns[, planes], components)."""
        if background_ids is None:
            return _chosen(self._background, None)
        return _chosen(self._background, self._indices(background_ids, of_background=True))

    def get_roi_pixel_masks(self, roi_ids: Sequence[Any] | None = None) -> list[NDArray[Any]]:
        """Return the nonzero pixels of each ROI: (row, column[, plane], weight)."""
        return _pixels(self.get_roi_image_masks(roi_ids))

    def get_background_pixel_masks(
        self, background_ids: Sequence[Any] | None = None
    ) -> list[NDArray[Any]]:
        """Return the nonzero pixels of each background component."""
        return _pixels(self.get_background_image_masks(background_ids))

    def get_ragged_pixels(self, ids: Sequence[Any], of_background: bool) -> PixelLists | None:
        """Return the nonzero pixels of ROIs or background components if they are few, else None."""
        masks = self._background if of_background else self._masks
        if masks.ndim != 3 or type(masks) is not np.ndarray:
            return None
        return PixelLists.from_images(masks, self._indices(ids, of_background=of_background))

    def _indices(self, ids: Sequence[Any], *, of_background: bool = False) -> list[int]:
        known = self.get_background_ids() if of_background else self._roi_ids
        position = {each: index for index, each in enumerate(known)}
        return [position[each] for each in ids]

    def get_native_timestamps(
        self, start_sample: int | None = None, end_sample: int | None = None
    ) -> NDArray[np.float64] | None:
        """Return the time of each sample in seconds; None where no times were given."""
        return None if self._stated_times is None else self._stated_times[start_sample:end_sample]


def _array_of(what: str, value: Any) -> Any:
    """Return an array, or an array-like that is read on request, such as a dataset of HDF5.

    Lists and tables become arrays of NumPy.

    Raises
    ------
    SourceError
        When the values are no numbers, or some of them are masked.
    """
    if isinstance(value, np.ma.MaskedArray):
        value = without_mask(value, what)
    is_lazy = all(hasattr(value, name) for name in ("shape", "dtype", "ndim", "__getitem__"))
    found = value if is_lazy and isinstance(value.dtype, np.dtype) else _as_numbers(value)
    if found is None:
        raise SourceError(f"{what} must be an array of numbers; it is {type(value).__name__}.")
    return found


def _arrays_of(noun: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _array_of(f"The {noun} '{name}'", value) for name, value in values.items()}


def _as_numbers(value: Any) -> NDArray[Any] | None:
    """Return nested lists or a table as an array of numbers; None if they are something else."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "biuf" and array.ndim else None


def _chosen(masks: Any, indices: Sequence[int] | None) -> NDArray[Any]:
    """Return masks by their positions; all of them by default.

    Arrays on disk take no list of positions, or an ascending one only.
    """
    if isinstance(masks, np.ndarray):
        return masks if indices is None else masks[..., indices]
    positions = range(masks.shape[-1]) if indices is None else indices
    chosen = np.empty((*masks.shape[:-1], len(positions)), masks.dtype)
    for place, index in enumerate(positions):
        chosen[..., place] = masks[..., index]
    return chosen


def _pixels(masks: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the nonzero pixels of each mask: (row, column[, plane], weight)."""
    each = (masks[..., index] for index in range(masks.shape[-1]))
    return [np.column_stack([*np.nonzero(m), m[np.nonzero(m)]]) for m in each]


def _times(given: ArrayLike | None, num_samples: int, what: str) -> NDArray[np.float64] | None:
    """Return checked times of samples."""
    if given is None:
        return None
    times = np.asarray(given, dtype=np.float64)
    if times.shape != (num_samples,):
        raise SourceError(
            f"The timestamps have the shape {times.shape}; it must be ({num_samples},): a time "
            f"for each of {num_samples} {what}."
        )
    return times


def _rate(given: float | None, times: NDArray[np.float64] | None) -> float | None:
    """Return the stated rate, or that of the median interval."""
    if given is not None:
        return float(given)
    if times is None or len(times) < 2:
        require_rate(
            SourceError(
                "A sampling frequency, or the times of two samples or more, must be given; give "
                "one."
            )
        )
        return None
    interval = float(np.median(np.diff(times)))
    if not interval > 0:
        raise SourceError(
            f"The timestamps do not ascend: their median interval is {interval} s; give times in "
            "seconds, or a sampling frequency."
        )
    return 1 / interval
