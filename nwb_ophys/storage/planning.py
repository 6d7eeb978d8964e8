"""The plan: the datasets of a file that the engine fills, and their settings. Writes nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import numpy as np

from nwb_ophys.dtypes import without_mask
from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.backends.base import Backend, WrapperSettings
from nwb_ophys.storage.backends.registry import DEFAULT_BACKEND, get_backend
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.compression import KEEP_FILTERS
from nwb_ophys.storage.configuration import (
    DEFAULT_BUFFER_GB,
    DatasetConfiguration,
    FileConfiguration,
)
from nwb_ophys.storage.given_data import source_of_given
from nwb_ophys.storage.grid import Shape, default_chunk_shape
from nwb_ophys.storage.hdmf.managers import make_manager
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, restored_after_write
from nwb_ophys.storage.hdmf.records import data_of, detached_records, reattach
from nwb_ophys.storage.sources import Source, source_of, unwrapped

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder
    from pynwb import NWBFile

_Configuration = TypeVar("_Configuration", bound=FileConfiguration)


@attrs.frozen(kw_only=True)
class PlannedDataset:
    """A dataset that the engine is to fill.

    Attributes
    ----------
    configuration : DatasetConfiguration
        Complete settings.
    source : Source
    builder : hdmf.build.DatasetBuilder
    given : object
        The data of the builder, with their wrapper.
    """

    configuration: DatasetConfiguration
    source: Source
    builder: DatasetBuilder
    given: Any

    @property
    def location(self) -> str:
        """Path of the dataset in the file."""
        return self.configuration.location

    @property
    def chunk_shape(self) -> Shape:
        """Shape of a chunk."""
        assert self.configuration.chunk_shape is not None
        return self.configuration.chunk_shape


@attrs.define(kw_only=True)
class BackendConfiguration(FileConfiguration):
    """Settings by which the datasets of a file are stored.

    Attributes
    ----------
    backend : str
        Name of the backend, such as ``hdf5`` or ``zarr``.
    compression : str, optional
        Compression of all datasets whose own entry states none; by default that of the wrapper of
        the data, or else of the backend. Setting it later sets it for all datasets.
    chunk_mb : float, optional
        Size of chunks, in units of 1e6 bytes, of all datasets whose own entry states none; by
        default the data propose it. Setting it later sets it for all datasets.
    buffer_gb : float
        Size of all blocks that are read ahead or being encoded at any time, in units of 1e9 bytes.
    datasets : dict of str to DatasetConfiguration
        Settings of single datasets by location.

    Examples
    --------
    >>> configuration = BackendConfiguration.from_nwbfile(nwbfile)
    >>> print(configuration)
    >>> configuration["acquisition/TwoPhotonSeries/data"].compression = "gzip:9"
    >>> write_nwbfile(nwbfile, "session.nwb", configuration=configuration)
    """

    @classmethod
    def from_nwbfile(
        cls,
        nwbfile: Any,
        backend: str = DEFAULT_BACKEND,
        *,
        compression: str | None = None,
        chunk_mb: float | None = None,
        buffer_gb: float = DEFAULT_BUFFER_GB,
    ) -> BackendConfiguration:
        """Plan an ``NWBFile``: return the settings of each of its datasets, to read and to edit.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
            Unchanged afterwards. Datasets of a few bytes are not listed; they are stored as pynwb
            does.
        backend, compression, chunk_mb, buffer_gb
            See the class.
        """
        general = cls(
            backend=backend, compression=compression, chunk_mb=chunk_mb, buffer_gb=buffer_gb
        )
        return plan_nwbfile(nwbfile, general)


def plan_nwbfile(nwbfile: NWBFile, general: _Configuration) -> _Configuration:
    """Return a configuration that states every dataset of an ``NWBFile``.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Unchanged afterwards.
    general : BackendConfiguration
        Settings of the file, and of single datasets.
    """
    planned = planned_nwbfile(nwbfile, general)
    return attrs.evolve(general, datasets={each.location: each.configuration for each in planned})


def planned_nwbfile(nwbfile: NWBFile, general: FileConfiguration) -> list[PlannedDataset]:
    """Plan the datasets of an ``NWBFile``, with their sources.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Unchanged afterwards.
    general : BackendConfiguration
        Settings of the file, and of single datasets.
    """
    return plan_datasets(_builders_of(nwbfile), general, get_backend(general.backend))


def sources_of(nwbfile: NWBFile) -> dict[str, Source]:
    """Return the sources of the datasets of an ``NWBFile`` that the engine fills, by location.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Unchanged afterwards.
    """
    found = ((location, source_of(data_of(each))) for location, each in _builders_of(nwbfile))
    return {location: source for location, source in found if source is not None}


def _builders_of(nwbfile: NWBFile) -> list[tuple[str, DatasetBuilder]]:
    with restored_after_write(nwbfile), detached_records(nwbfile) as records:
        source = nwbfile.container_source or "plan"
        root = make_manager().build(nwbfile, source=source, root=True)
        reattach(root, records)
    return list(dataset_builders(root))


def plan_datasets(
    datasets: Iterable[tuple[str, DatasetBuilder]],
    configuration: FileConfiguration,
    backend: Backend,
    *,
    is_written: Callable[[DatasetBuilder], bool] = lambda builder: False,
    find_source: Callable[[Any], Source | None] | None = None,
    replaced: Path | None = None,
) -> list[PlannedDataset]:
    """Plan the datasets of a file that are large or lazy.

    Parameters
    ----------
    datasets : iterable of (str, hdmf.build.DatasetBuilder)
        Each dataset with its path in the file.
    configuration : FileConfiguration
        Settings; the data and the defaults supply those that are not stated.
    backend : Backend
    is_written : callable
        Return whether a dataset is in the file already.
    find_source : callable, optional
        Return the source of data, or None for data that hdmf writes itself; by default
        :func:`nwb_ophys.storage.given_data.source_of_given`.
    replaced : pathlib.Path, optional
        File whose place the new one takes.

    Raises
    ------
    ArgumentError
        If the configuration is of another backend, or does not fit the data.
    MemoryLimitError
        If a chunk does not fit into the buffer.
    """
    if configuration.backend != backend.name:
        raise ArgumentError(
            f"The configuration is of backend '{configuration.backend}', but '{backend.name}' is "
            "to be written; make a configuration for that backend."
        )
    planned = []
    find = find_source or partial(source_of_given, backend=backend, replaced=replaced)
    for location, builder in datasets:
        if not is_written(builder):
            _warn_of_foreign(location, builder.data, configuration, backend)
            _check_mask(location, data_of(builder))
        source = None if is_written(builder) else find(data_of(builder))
        if source is not None and backend.can_fill(source.dtype):
            how = _resolved(location, builder.data, source, configuration, backend)
            planned.append(
                PlannedDataset(
                    configuration=how, source=source, builder=builder, given=builder.data
                )
            )
    _check_locations(configuration, [each.location for each in planned])
    budget = Budget.of(configuration.buffer_gb)
    for each in planned:
        budget.check(each.location, each.source, each.chunk_shape)
    return planned


def _check_mask(location: str, given: Any) -> None:
    data = unwrapped(given)
    if isinstance(data, np.ma.MaskedArray):
        without_mask(data, f"'{location}'")


def _warn_of_foreign(
    location: str, given: Any, configuration: FileConfiguration, backend: Backend
) -> None:
    own = configuration.datasets.get(location)
    stated = backend.wrapper_settings(given)
    if stated.foreign and not configuration.compression and not (own and own.compression):
        warnings.warn(
            f"'{location}' comes in {type(given).__name__} with {stated.foreign}; the backend "
            f"'{backend.name}' does not have that and stores it with "
            f"'{backend.default_compression}'. Choose another with a configuration.",
            UserWarning,
            stacklevel=2,
        )


def _resolved(
    location: str,
    given: Any,
    source: Source,
    configuration: FileConfiguration,
    backend: Backend,
) -> DatasetConfiguration:
    """Return the settings of a dataset: of its own entry, the file, its wrapper, the defaults."""
    own = configuration.datasets.get(location) or DatasetConfiguration(location=location)
    _check_fit(own, source)
    wrapper = backend.wrapper_settings(given)
    compression = (
        own.compression
        or configuration.compression
        or wrapper.compression
        or backend.default_compression
    )
    if compression == KEEP_FILTERS and wrapper.compression != KEEP_FILTERS:
        raise ArgumentError(
            f"compression of '{location}' is '{KEEP_FILTERS}', but the data come with no filters "
            "to keep; choose gzip or another preset."
        )
    shuffle = own.shuffle if own.shuffle is not None else wrapper.shuffle
    if compression in ("none", KEEP_FILTERS):
        shuffle = bool(wrapper.shuffle) and compression == KEEP_FILTERS
    return DatasetConfiguration(
        location=location,
        shape=source.shape,
        dtype=source.dtype,
        maxshape=None if wrapper.maxshape == source.shape else wrapper.maxshape,
        chunk_shape=own.chunk_shape or _chunks(source, wrapper, configuration.chunk_mb),
        compression=compression,
        shuffle=True if shuffle is None else shuffle,
    )


def _chunks(source: Source, wrapper: WrapperSettings, chunk_mb: float | None) -> Shape:
    wrapped = wrapper.chunk_shape
    if chunk_mb is None and wrapped is not None and wrapped != source.chunk_shape:
        # A dataset that can grow may have chunks larger than its present size.
        limits = wrapper.maxshape or source.shape
        return tuple(
            chunk if limit is None else min(chunk, max(limit, size))
            for chunk, limit, size in zip(wrapped, limits, source.shape, strict=True)
        )
    if chunk_mb is not None:
        itemsize = source.dtype.itemsize
        chunks = source.chunk_shape_of(chunk_mb) or default_chunk_shape(
            source.shape, itemsize, chunk_mb
        )
    else:
        chunks = source.chunk_shape or default_chunk_shape(source.shape, source.dtype.itemsize)
    return tuple(min(chunk, size) for chunk, size in zip(chunks, source.shape, strict=True))


def _check_fit(own: DatasetConfiguration, source: Source) -> None:
    for name in ("shape", "dtype"):
        stated, actual = getattr(own, name), getattr(source, name)
        if stated is not None and stated != actual:
            raise ArgumentError(
                f"The configuration of '{own.location}' states {name} {stated}, but the data have "
                f"{actual}; make a new configuration, or leave {name} out."
            )


def _check_locations(configuration: FileConfiguration, known: list[str]) -> None:
    unknown = [location for location in configuration.datasets if location not in known]
    if unknown:
        raise ArgumentError(
            f"The configuration has a dataset '{unknown[0]}' that is not written in chunks here; "
            f"those that are: {', '.join(known) or 'none'}."
        )
