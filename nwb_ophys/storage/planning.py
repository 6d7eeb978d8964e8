"""The plan: which datasets of a file the engine fills, and how each is stored. Writes nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from hdmf.build import DatasetBuilder
from pynwb import NWBFile, get_manager

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage.backends.base import Backend, WrapperSettings
from nwb_ophys.storage.backends.registry import get_backend
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.configuration import KEEP_FILTERS, BackendConfiguration, DatasetConfiguration
from nwb_ophys.storage.grid import Shape, default_chunk_shape
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, restored_after_write
from nwb_ophys.storage.hdmf.records import data_of, detached_records, reattach
from nwb_ophys.storage.sources import Source, source_of


@attrs.frozen(kw_only=True)
class PlannedDataset:
    """A dataset that the engine is to fill.

    Attributes
    ----------
    configuration : DatasetConfiguration
        With everything stated.
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
        """Its path in the file."""
        return self.configuration.location

    @property
    def chunk_shape(self) -> Shape:
        """Shape of a chunk."""
        assert self.configuration.chunk_shape is not None
        return self.configuration.chunk_shape


def plan_nwbfile(nwbfile: NWBFile, general: BackendConfiguration) -> BackendConfiguration:
    """Return a configuration in which every dataset of an ``NWBFile`` is stated."""
    backend = get_backend(general.backend)
    with restored_after_write(nwbfile), detached_records(nwbfile) as records:
        source = nwbfile.container_source or "plan"
        root = get_manager().build(nwbfile, source=source, root=True)
        reattach(root, records)
    planned = plan_datasets(dataset_builders(root), general, backend)
    return attrs.evolve(general, datasets={each.location: each.configuration for each in planned})


def plan_datasets(
    datasets: Iterable[tuple[str, DatasetBuilder]],
    configuration: BackendConfiguration,
    backend: Backend,
    *,
    is_written: Callable[[DatasetBuilder], bool] = lambda builder: False,
    find_source: Callable[[Any], Source | None] = source_of,
) -> list[PlannedDataset]:
    """Plan the datasets of a file that are large or lazy.

    Parameters
    ----------
    datasets : iterable of (str, hdmf.build.DatasetBuilder)
        Each with its path in the file.
    configuration : BackendConfiguration
        What it does not state is filled from the data and the defaults.
    backend : Backend
    is_written : callable
        Whether a dataset is in the file already.
    find_source : callable
        Gives the source that data make, or None for what hdmf is to write itself.

    Raises
    ------
    ArgumentError
        When the configuration is of another backend, or does not fit the data.
    MemoryLimitError
        When a chunk does not fit into the buffer.
    """
    if configuration.backend != backend.name:
        raise ArgumentError(
            f"The configuration is of backend '{configuration.backend}', but '{backend.name}' is "
            "to be written; make one for that backend."
        )
    planned = []
    for location, builder in datasets:
        if not is_written(builder):
            _warn_of_foreign(location, builder.data, configuration, backend)
        source = None if is_written(builder) else find_source(data_of(builder))
        if source is not None and backend.can_fill(source.dtype):
            how = _resolved(location, builder.data, source, configuration, backend)
            planned.append(
                PlannedDataset(
                    configuration=how, source=source, builder=builder, given=builder.data
                )
            )
    _check_locations(configuration, [each.location for each in planned])
    budget = Budget.of(configuration)
    for each in planned:
        budget.check(each)
    return planned


def _warn_of_foreign(
    location: str, given: Any, configuration: BackendConfiguration, backend: Backend
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
    configuration: BackendConfiguration,
    backend: Backend,
) -> DatasetConfiguration:
    """Return how a dataset is stored: its own entry first, the file, its wrapper, the defaults."""
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
        # A dataset that may grow may have chunks larger than it is now.
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
                f"{actual}; make the configuration anew, or leave {name} out."
            )


def _check_locations(configuration: BackendConfiguration, known: list[str]) -> None:
    unknown = [location for location in configuration.datasets if location not in known]
    if unknown:
        raise ArgumentError(
            f"The configuration has a dataset '{unknown[0]}' that is not written in chunks here; "
            f"those that are: {', '.join(known) or 'none'}."
        )
