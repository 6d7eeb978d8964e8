"""Add movies as photon series; the pixels are read when the file is written."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from hdmf.data_utils import DataChunkIterator
from numpy.typing import NDArray
from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries

from nwb_ophys.dtypes import stored_dtype
from nwb_ophys.errors import ArgumentError, MemoryLimitError, MetadataError
from nwb_ophys.extractors.labels import extractor_label
from nwb_ophys.iterators import ImagingExtractorDataChunkIterator, read_series
from nwb_ophys.iterators.base import check_positive
from nwb_ophys.memory import available_memory
from nwb_ophys.metadata import (
    DeepDict,
    get_nwb_imaging_metadata,
    merge_lists,
    models,
    parse_model,
)
from nwb_ophys.timing import clock_of
from nwb_ophys.writers.compression import compressed
from nwb_ophys.writers.devices import add_imaging_plane
from nwb_ophys.writers.session import check_name_is_free, ophys_module

if TYPE_CHECKING:
    from pynwb import NWBFile

_SERIES = {"TwoPhotonSeries": TwoPhotonSeries, "OnePhotonSeries": OnePhotonSeries}
_CONTAINERS = ("acquisition", "processing/ophys")
_ITERATOR_TYPES = ("v2", "v1", None)
FRAMES_AT_ONCE = 10
"""Number of frames that hdmf's DataChunkIterator reads at a time, unless stated."""


def add_photon_series(
    imaging: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    photon_series_type: str = "TwoPhotonSeries",
    photon_series_index: int = 0,
    parent_container: str = "acquisition",
    two_photon_series_index: int | None = None,
    iterator_type: str | None = "v2",
    iterator_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Add a movie as a photon series, with its device and imaging plane.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
        The movie, (samples, rows, columns[, planes]). It is written as (samples, columns, rows[,
        planes]).
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        ``metadata["Ophys"][photon_series_type][photon_series_index]`` describes the series;
        missing keys are filled with defaults.
    photon_series_type : {"TwoPhotonSeries", "OnePhotonSeries"}
    photon_series_index : int
        Position of the entry in the list.
    parent_container : {"acquisition", "processing/ophys"}
        Container of the series.
    two_photon_series_index : int, optional
        Deprecated name of ``photon_series_index``.
    iterator_type : {"v2", "v1", None}
        Read the data block by block, frame by frame, or all at once into memory.
    iterator_options : dict, optional
        Arguments of the iterator.

    Returns
    -------
    pynwb.NWBFile
        The same object.

    Raises
    ------
    AssertionError
        When an argument is not one of the allowed values.
    ValueError
        When the container already has an object of that name, or the metadata is wrong.
    """
    if two_photon_series_index is not None:
        warnings.warn(
            "two_photon_series_index is deprecated; use photon_series_index.",
            DeprecationWarning,
            stacklevel=2,
        )
        photon_series_index = two_photon_series_index
    _check_choice("photon_series_type", photon_series_type, tuple(_SERIES))
    _check_choice("parent_container", parent_container, _CONTAINERS)
    _check_choice("iterator_type", iterator_type, _ITERATOR_TYPES)
    merged = with_defaults(imaging, metadata, photon_series_type)
    name = series_model(merged, photon_series_type, photon_series_index).name
    check_name_is_free(nwbfile, name, parent_container)
    data = _imaging_frames_to_hdmf_iterator(imaging, iterator_type, iterator_options)
    series = make_photon_series(
        imaging, nwbfile, merged, photon_series_type, photon_series_index, data
    )
    if parent_container == "acquisition":
        nwbfile.add_acquisition(series)
    else:
        ophys_module(nwbfile).add(series)
    return nwbfile


def with_defaults(imaging: Any, metadata: Mapping[str, Any] | None, kind: str) -> DeepDict:
    """Return the metadata of a movie, completed with defaults.

    Raises
    ------
    AssertionError
        When the metadata describes only series of the other type.
    """
    _check_kind(metadata, kind)
    return merge_lists(get_nwb_imaging_metadata(imaging, kind), metadata)


def make_photon_series(
    imaging: Any,
    nwbfile: NWBFile,
    metadata: Mapping[str, Any],
    kind: str,
    index: int,
    data: Any,
    **changes: Any,
) -> Any:
    """Make a photon series and add its imaging plane, but not the series itself.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
    nwbfile : pynwb.NWBFile
    metadata : Mapping
        Complete metadata.
    kind : {"TwoPhotonSeries", "OnePhotonSeries"}
    index : int
        Position of the entry of the metadata that describes the series.
    data : array-like
        The movie in the orientation of the file.
    **changes
        Fields that replace those of the metadata.
    """
    model = series_model(metadata, kind, index)
    dimension = _check_dimension(imaging, model, kind, index)
    clock = clock_of(imaging, model.rate, model.starting_time, label=extractor_label(imaging))
    add_imaging_plane(nwbfile, metadata, imaging_plane_name=model.imaging_plane)
    fields = attrs.asdict(model, filter=lambda _, value: value is not None) | changes
    fields |= {"dimension": dimension, "imaging_plane": nwbfile.imaging_planes[model.imaging_plane]}
    return _SERIES[kind](**fields | time_fields(clock), data=compressed(data))


def time_fields(clock: Any) -> dict[str, Any]:
    """Return the fields of a series that hold the times of its samples.

    All three fields are returned, so that they replace those of the metadata.
    """
    if clock.is_regular:
        return {"rate": clock.rate, "starting_time": clock.starting_time, "timestamps": None}
    return {"rate": None, "starting_time": None, "timestamps": compressed(clock.timestamps)}


def _check_choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        shown = ", ".join(repr(choice) for choice in allowed)
        raise ArgumentError(f"{name} is {value!r}; it must be one of {shown}.")


def _check_kind(metadata: Mapping[str, Any] | None, photon_series_type: str) -> None:
    stated = ((metadata or {}).get("Ophys") or {}).keys() & _SERIES.keys()
    if stated and photon_series_type not in stated:
        raise ArgumentError(
            f"The metadata describes {', '.join(sorted(stated))}, but photon_series_type is "
            f"'{photon_series_type}'; use the type that the metadata describes."
        )


def series_model(metadata: Mapping[str, Any], kind: str, index: int) -> models.PhotonSeries:
    """Parse and check the entry of the metadata that describes a series."""
    entries = metadata["Ophys"][kind]
    path = f'metadata["Ophys"]["{kind}"]'
    if not isinstance(entries, list) or not 0 <= index < len(entries):
        count = len(entries) if isinstance(entries, list) else 0
        raise MetadataError(f"{path} has {count} entries; it has no entry {index}.")
    return parse_model(getattr(models, kind), entries[index], f"{path}[{index}]")


def _check_dimension(imaging: Any, model: models.PhotonSeries, kind: str, index: int) -> list[int]:
    rows, columns, *planes = (int(size) for size in imaging.get_sample_shape())
    dimension = [columns, rows, *planes]
    if model.dimension is not None and list(model.dimension) != dimension:
        raise MetadataError(
            f'metadata["Ophys"]["{kind}"][{index}]["dimension"] is {model.dimension.tolist()}, but '
            f"the movie has {dimension} (columns, rows[, planes]); leave the key out."
        )
    return dimension


def _imaging_frames_to_hdmf_iterator(
    imaging: Any,
    iterator_type: str | None = "v2",
    iterator_options: dict[str, Any] | None = None,
) -> Any:
    """Return a movie in the orientation of NWB, as an iterator or an array.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
    iterator_type : {"v2", "v1", None}
        ``ImagingExtractorDataChunkIterator``, hdmf's ``DataChunkIterator`` over frames, or a
        ``numpy.ndarray``.
    iterator_options : dict, optional
        Arguments of the iterator.

    Raises
    ------
    AssertionError
        For an unknown type, or when options are given for an array.
    MemoryError
        When the array does not fit into memory.
    """
    _check_choice("iterator_type", iterator_type, _ITERATOR_TYPES)
    options = dict(iterator_options or {})
    if iterator_type is None and options:
        raise ArgumentError(
            "iterator_options were given, but iterator_type is None, which uses no iterator; leave "
            "one of the two out."
        )
    if iterator_type is None:
        check_if_imaging_fits_into_memory(imaging)
    field = _nwb_field(imaging)
    if iterator_type is None or imaging.get_num_samples() == 0:
        return _frames(imaging, 0, int(imaging.get_num_samples()), field)
    if iterator_type == "v2":
        return ImagingExtractorDataChunkIterator(imaging_extractor=imaging, **options)
    options = {"buffer_size": FRAMES_AT_ONCE, **options}
    check_positive("buffer_size", options["buffer_size"])
    return DataChunkIterator(
        data=_each_frame(imaging, field, int(options["buffer_size"])),
        maxshape=(int(imaging.get_num_samples()), *field),
        dtype=_stored_dtype(imaging),
        **options,
    )


def _nwb_field(imaging: Any) -> tuple[int, ...]:
    rows, columns, *planes = (int(size) for size in imaging.get_sample_shape())
    return (columns, rows, *planes)


def _frames(imaging: Any, start: int, stop: int, field: tuple[int, ...]) -> NDArray[Any]:
    series = read_series(imaging, start, stop, field).astype(_stored_dtype(imaging), copy=False)
    return np.swapaxes(series, 1, 2)


def _stored_dtype(imaging: Any) -> np.dtype[Any]:
    return stored_dtype(imaging.get_dtype(), extractor_label(imaging))


def _each_frame(imaging: Any, field: tuple[int, ...], at_once: int) -> Iterator[NDArray[Any]]:
    num_frames = int(imaging.get_num_samples())
    for start in range(0, num_frames, at_once):
        yield from _frames(imaging, start, min(start + at_once, num_frames), field)


def check_if_imaging_fits_into_memory(imaging: Any) -> None:
    """Raise an error when a movie does not fit into the available memory.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
        The movie; its shape is read, not its frames.

    Raises
    ------
    MemoryError
        When it does not fit; the message gives both sizes.
    """
    itemsize = _stored_dtype(imaging).itemsize
    needed = imaging.get_num_samples() * math.prod(imaging.get_sample_shape()) * itemsize
    available = available_memory()
    if needed > available:
        raise MemoryLimitError(
            f"The movie takes {needed / 1e9:.2f} GB, but {available / 1e9:.2f} GB of memory are "
            "available; use iterator_type='v2', which reads it block by block."
        )
