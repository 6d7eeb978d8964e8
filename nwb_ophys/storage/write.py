"""One write: plan the datasets, declare them with hdmf, fill them, and verify them if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import attrs
from hdmf.build import GroupBuilder
from hdmf.data_utils import AbstractDataChunkIterator, DataIO

from nwb_ophys.errors import ArgumentError
from nwb_ophys.memory import usable_cores
from nwb_ophys.storage.backends.base import Backend, SinkTools
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.encoding import Scratch
from nwb_ophys.storage.engine import FillTask, fill
from nwb_ophys.storage.flushing import Flusher
from nwb_ophys.storage.hdmf.internals import root_of, settings_of
from nwb_ophys.storage.hdmf.iterators import fresh_iterator
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, put
from nwb_ophys.storage.hdmf.records import reattach
from nwb_ophys.storage.planning import BackendConfiguration, PlannedDataset, plan_datasets
from nwb_ophys.storage.progress import ProgressBar, ProgressCallback, ProgressCounter
from nwb_ophys.storage.sources import Source, source_of, unwrapped
from nwb_ophys.storage.verification import Verification


def _check_configuration(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, BackendConfiguration | None):
        raise ArgumentError(
            f"configuration is {value!r}; it must be a BackendConfiguration, such as "
            "BackendConfiguration.from_yaml(path) or .from_dict(…) returns."
        )


def _check_progress(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if not (value is None or isinstance(value, bool) or callable(value)):
        raise ArgumentError(
            f"progress is {value!r}; it must be a function that takes a WriteProgress, or true "
            "or false."
        )


@attrs.frozen(kw_only=True)
class WriteOptions:
    """All settings of one write, made once from the keywords of a public function.

    Attributes
    ----------
    backend : str, optional
        Backend of a new file. When None, the backend of the configuration, the backend that the
        name of the file tells, or else HDF5. A file that is appended to keeps its own.
    overwrite, append : bool
        Whether an existing file may be replaced, or added to. Without either it is an error.
    configuration : BackendConfiguration, optional
        How the datasets are stored. When None, the data and the defaults decide.
    workers : int, optional
        Number of threads that read, encode and store. 0 does everything in the caller's thread;
        None uses all cores that the process may use.
    progress : bool or callable, optional
        True shows a bar on a terminal. A function is called with a :class:`WriteProgress` after
        each block, in the caller's thread.
    verify : bool
        Whether everything that was written in chunks is read back and compared.

    Raises
    ------
    ArgumentError
        When the configuration or the progress is of another type.
    """

    backend: str | None = None
    overwrite: bool = False
    append: bool = False
    configuration: BackendConfiguration | None = attrs.field(
        default=None, validator=_check_configuration
    )
    workers: int | None = None
    progress: bool | ProgressCallback | None = attrs.field(default=None, validator=_check_progress)
    verify: bool = False

    @contextmanager
    def reporting(self) -> Iterator[ProgressCallback | None]:
        """Give the function that reports progress; a bar is closed when the block ends."""
        with ProgressBar() as bar:
            yield self.progress if callable(self.progress) else bar if self.progress else None

    @property
    def num_workers(self) -> int:
        """Number of threads.

        Raises
        ------
        ArgumentError
            If ``workers`` is not an integer, 0 or more.
        """
        if self.workers is None:
            return usable_cores()
        whole = isinstance(self.workers, Integral) and not isinstance(self.workers, bool)
        if not whole or self.workers < 0:
            raise ArgumentError(
                f"workers is {self.workers!r}; it must be an integer, 0 or more: 0 for the "
                "caller's thread alone."
            )
        return int(self.workers)


@contextmanager
def filled_at_the_end(
    io: Any,
    storage: Backend,
    options: WriteOptions,
    find_source: Callable[[Any], Source | None] = source_of,
    records: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Let an IO object only declare the datasets it writes in the block, and fill them at its end.

    Parameters
    ----------
    io : hdmf.backends.io.HDMFIO
        Opened by the backend.
    storage : Backend
    options : WriteOptions
    find_source : callable
        Return the source of data, or None for data that hdmf writes itself.
    records : mapping, optional
        Detached data by the id of their object.
    """
    configuration = options.configuration
    if configuration is None:
        configuration = BackendConfiguration(backend=storage.name)
    planned: list[PlannedDataset] = []

    def declare(root: GroupBuilder) -> None:
        reattach(root, records or {})
        planned.extend(
            plan_datasets(
                dataset_builders(root),
                configuration,
                storage,
                is_written=io.get_written,
                find_source=find_source,
            )
        )
        _declare(root, planned, storage, io, configuration.compression)

    io.before_writing = declare
    yield
    fill_planned(planned, storage, root_of(io), options, Budget.of(configuration.buffer_gb))


def fill_planned(
    planned: list[PlannedDataset],
    storage: Backend,
    root: Any,
    options: WriteOptions,
    budget: Budget,
) -> None:
    """Fill declared datasets, and verify them if asked.

    Parameters
    ----------
    planned : list of PlannedDataset
    storage : Backend
    root : object
        Open root group of the file.
    options : WriteOptions
    budget : Budget
    """
    verification = Verification() if options.verify else None
    growing = storage.single_file(root)
    with (
        options.reporting() as report,
        Flusher(growing, is_needed=options.num_workers > 0) as flusher,
    ):
        tools = SinkTools(scratch=Scratch(), flusher=flusher)
        tasks = [FillTask(each, storage.sink(root, each.configuration, tools)) for each in planned]
        fill(
            tasks,
            workers=options.num_workers,
            budget=budget.num_bytes,
            counter=ProgressCounter(planned, report),
            verification=verification,
        )
    if verification is not None:
        verification.check({task.planned.location: task.sink for task in tasks})


def _declare(
    root: GroupBuilder,
    planned: list[PlannedDataset],
    storage: Backend,
    io: Any,
    compression: str | None,
) -> None:
    """Replace planned data by placeholders, and other lazy data by a new pass over them."""
    by_location = {each.location: each for each in planned}
    is_written = io.get_written
    for location, builder in dataset_builders(root):
        if not is_written(builder):
            storage.check(location, builder)
        given = builder.data
        if location in by_location:
            each = by_location[location]
            declared = storage.declare(each.configuration, given)
            if each.source.is_stored:  # hdmf would apply the dtype of the schema
                settings_of(declared)["dtype"] = each.source.dtype
            put(builder, declared)
        elif isinstance(given, (DataIO, AbstractDataChunkIterator)) and not is_written(builder):
            data = fresh_iterator(unwrapped(given), location)
            builder["data"] = storage.wrap(given, data, compression)
