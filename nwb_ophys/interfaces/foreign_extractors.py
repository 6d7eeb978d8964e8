"""Checks of extractors of other packages when they are opened.

The author of a format reads which method is wrong and what it must return, before anything is
written. Extractors of this package and of roiextractors are not asked twice.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from nwb_ophys.base_extractors import is_known
from nwb_ophys.errors import ArgumentError, NwbOphysError, SourceError, shown
from nwb_ophys.rois.model import Rois
from nwb_ophys.timing import PLAUSIBLE, extractor_times, other_rate, usable_rate

Value = TypeVar("Value")

_OF_ALL = (
    *("get_num_samples", "get_sampling_frequency", "get_native_timestamps", "has_time_vector"),
    *("get_timestamps", "slice_samples"),
)
_OF_MOVIES = (*_OF_ALL, "get_series", "get_image_shape", "get_sample_shape", "get_dtype")
_OF_ROIS = (
    *(*_OF_ALL, "get_roi_ids", "get_frame_shape", "get_traces_dict", "get_images_dict"),
    *("get_roi_image_masks", "get_roi_pixel_masks", "get_background_ids", "get_property_keys"),
)


def check_movie(interface: Any) -> None:
    """Check what the imaging extractor of an interface states.

    Parameters
    ----------
    interface : ImagingInterface

    Raises
    ------
    ArgumentError
        If it lacks methods or their arguments.
    SourceError
        If a method fails or returns something else than a movie has; names the method.
    """
    extractor = interface.extractor
    if is_known(extractor):
        return
    _check_methods(interface, _OF_MOVIES, "ImagingExtractor", "is_volumetric")
    for name in ("get_series", "get_native_timestamps"):
        _check_takes_samples(extractor, name)
    _stated(extractor, "get_num_samples", "the number of samples, an integer", _count)
    _stated(extractor, "get_image_shape", "(rows, columns), two integers above 0", _image_shape)
    _stated(extractor, "get_sampling_frequency", "samples per second, or None", _rate)
    if extractor.is_volumetric:
        what = "the number of planes, an integer above 0, as is_volumetric is true"
        _stated(extractor, "get_num_planes", what, _positive)
    _check_times(extractor)


def check_rois(interface: Any) -> None:
    """Check what the segmentation extractor of an interface states.

    Parameters
    ----------
    interface : SegmentationInterface

    Raises
    ------
    ArgumentError
        If it lacks methods.
    SourceError
        If a method fails or returns something else than a segmentation has; names the method.
    """
    extractor = interface.extractor
    if is_known(extractor):
        return
    _check_methods(interface, _OF_ROIS, "SegmentationExtractor", "_properties")
    _stated(extractor, "get_roi_ids", "a list of integers or texts that all differ", list)
    shape = "(rows, columns[, planes]), integers above 0"
    _stated(extractor, "get_frame_shape", shape, _frame_shape)
    _stated(extractor, "get_sampling_frequency", "samples per second, or None", _rate)
    traces = _stated(extractor, "get_traces_dict", "arrays (samples, ROIs) by name", _arrays)
    _stated(extractor, "get_images_dict", "arrays (rows, columns) by name", _arrays)
    num_samples = _stated(
        extractor, "get_num_samples", "the number of samples of the traces, an integer", _count
    )
    _check_lengths(extractor, traces, num_samples)
    _check_times(extractor)


def _check_methods(interface: Any, names: tuple[str, ...], base: str, of_init: str) -> None:
    extractor = interface.extractor
    opened = f"open() of {type(interface).__name__}"
    if isinstance(extractor, type):
        name = extractor.__name__
        raise ArgumentError(f"{opened} returned the class {name}; return an instance, {name}(…).")
    kind = type(extractor).__name__
    missing = [name for name in names if not callable(getattr(extractor, name, None))]
    if missing:
        raise ArgumentError(
            f"{opened} returned a {kind}, which has no {', '.join(missing)}; let {kind} subclass "
            f"roiextractors.{base} and define what it lacks."
        )
    if not hasattr(extractor, of_init):
        raise ArgumentError(
            f"{kind}, which {opened} returned, has no {of_init}; call super().__init__() in the "
            f"__init__ of {kind}."
        )


def _check_takes_samples(extractor: Any, name: str) -> None:
    """Raise unless a method takes the range of samples by the names of roiextractors."""
    method = getattr(extractor, name)
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # of a compiled function
        return
    try:
        signature.bind(start_sample=0, end_sample=1)
    except TypeError:
        raise ArgumentError(
            f"{type(extractor).__name__}.{name} has the arguments {signature}; it must take "
            "start_sample and end_sample, also by name."
        ) from None


def _stated(extractor: Any, method: str, expected: str, convert: Callable[[Any], Value]) -> Value:
    """Return what a method states.

    Raises
    ------
    SourceError
        Names the method, what it returned or raised, and what it must return.
    """
    name = f"{type(extractor).__name__}.{method}()"
    try:
        value = getattr(extractor, method)()
    except NwbOphysError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".:")
        raise SourceError(f"{name} failed: {reason}. It must return {expected}.") from error
    try:
        return convert(value)
    except (TypeError, ValueError, OverflowError):
        raise SourceError(f"{name} returned {shown(value)}; it must return {expected}.") from None


def _count(value: Any) -> int:
    if isinstance(value, (bool, np.bool_, str)):
        raise TypeError
    if isinstance(value, (float, np.floating)) and value == int(value):
        value = int(value)
    number = operator.index(value)
    if number < 0:
        raise ValueError
    return number


def _positive(value: Any) -> int:
    number = _count(value)
    if number == 0:
        raise ValueError
    return number


def _image_shape(value: Any) -> tuple[int, int]:
    rows, columns = value
    return _positive(rows), _positive(columns)


def _frame_shape(value: Any) -> tuple[int, ...]:
    sizes = tuple(map(_positive, value))
    if len(sizes) not in (2, 3):
        raise ValueError
    return sizes


def _rate(value: Any) -> float | None:
    if isinstance(value, (bool, np.bool_, str)) or np.ndim(value):
        raise TypeError
    return None if value is None else float(value)


def _arrays(value: Any) -> dict[str, Any]:
    """Return the arrays of a mapping without those that are None."""
    if not isinstance(value, Mapping):
        raise TypeError
    found = {name: data for name, data in value.items() if data is not None}
    for name, data in found.items():
        if not isinstance(name, str) or not hasattr(data, "shape") or not hasattr(data, "dtype"):
            raise TypeError
    return found


def _check_lengths(extractor: Any, traces: Mapping[str, Any], num_samples: int) -> None:
    """Raise if traces have another number of samples than the extractor states."""
    present = Rois.of(extractor).present_traces if traces else {}
    lengths = {name: int(data.shape[0]) for name, data in present.items()}
    if set(lengths.values()) - {num_samples}:
        listed = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
        raise SourceError(
            f"The traces of {type(extractor).__name__} have other numbers of samples than "
            f"get_num_samples() states, {num_samples}: {listed}. All must have the same."
        )


def _check_times(extractor: Any) -> None:
    """Check the times of the samples by their number and by the rate that is stated beside them.

    Raises
    ------
    SourceError
        If they are of another number or no numbers, or cannot be in seconds by the rate.

    Warns
    -----
    UserWarning
        If they are in seconds, but have another rate.
    """
    times = extractor_times(extractor)
    stated = usable_rate(extractor.get_sampling_frequency())
    found = None if times is None or stated is None else other_rate(times, stated)
    if found is None or stated is None:
        return
    name = type(extractor).__name__
    rates = f"the timestamps of {name} have {found:.4g} Hz, and get_sampling_frequency() states"
    if not 1 / PLAUSIBLE < found / stated < PLAUSIBLE:
        raise SourceError(
            f"In seconds {rates} {stated:.4g} Hz. get_native_timestamps() must return seconds, not "
            "milliseconds or numbers of frames, and get_sampling_frequency() samples per second."
        )
    warnings.warn(
        f"{rates[0].upper()}{rates[1:]} {stated:.4g} Hz; the timestamps are written. Check which "
        "of them is right.",
        UserWarning,
        stacklevel=5,
    )
