"""One write: plan the datasets, declare them with hdmf, fill them, and verify them if asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from hdmf.data_utils import AbstractDataChunkIterator, DataIO

from nwb_ophys.errors import ArgumentError
from nwb_ophys.memory import usable_cores
from nwb_ophys.storage.backends.base import Backend, SinkTools
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.encoding import Scratch
from nwb_ophys.storage.engine import FillTask, fill, open_task
from nwb_ophys.storage.error_context import while_writing
from nwb_ophys.storage.flushing import Flusher
from nwb_ophys.storage.given_data import check_links
from nwb_ophys.storage.grid import whole
from nwb_ophys.storage.hashes import BlockDigests, DatasetHash
from nwb_ophys.storage.hdmf.internals import root_of, settings_of
from nwb_ophys.storage.hdmf.iterators import fresh_iterator
from nwb_ophys.storage.hdmf.placeholders import dataset_builders, put
from nwb_ophys.storage.hdmf.records import reattach
from nwb_ophys.storage.identity import VOLATILE
from nwb_ophys.storage.observing import BlockObserver, observation_of
from nwb_ophys.storage.planning import BackendConfiguration, PlannedDataset, plan_datasets
from nwb_ophys.storage.progress import ProgressBar, ProgressCallback, ProgressCounter
from nwb_ophys.storage.record import Provenance, Recorder
from nwb_ophys.storage.resuming import Resumption
from nwb_ophys.storage.sharing import Executor, SharedFile, divided
from nwb_ophys.storage.sources import Source, unwrapped
from nwb_ophys.storage.space import check_space
from nwb_ophys.storage.streaming import FinishedFiles, outlet_of
from nwb_ophys.storage.verification import Resources, check_written

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder, GroupBuilder


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


def _check_observer(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not all(callable(getattr(value, n, None)) for n in ("begin", "take")):
        raise ArgumentError(
            f"observer is {value!r}; it must have the methods begin() and take(), such as a "
            "StatisticsGatherer has."
        )


@attrs.frozen(kw_only=True)
class WriteOptions:
    """All settings of one write, made once from the keywords of a public function.

    Attributes
    ----------
    backend : str, optional
        Backend of a new file. When None, the backend of the configuration, the backend that the
        name of the file tells, or else HDF5. A file that is appended to keeps its own.
    zarr_format : {2, 3}, optional
        The format of stores to insist on. When None, the installed packages decide.
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
        Whether everything that was written is read back and compared.
    provenance : Provenance, optional
        Origin of what is written, for the record in the file.
    resume : bool
        Whether the write goes on where an earlier run of the same write was killed, and is kept
        for a later run when it is interrupted.
    source_facts : callable, optional
        Return facts on all data, such as size and time of their files, by which an earlier run of
        the same write is recognised. By default each dataset is asked for its own files.
    space_check : bool
        Whether the space that the datasets need is compared with the free space before they are
        written.
    in_place : bool
        Whether a file is appended to in its place, with a journal that undoes it after an error,
        instead of in a copy.
    executor : Executor, optional
        Fills large datasets in other processes.
    observer : BlockObserver, optional
        Sees each block before it is encoded.

    Raises
    ------
    ArgumentError
        When the configuration, the progress or the observer is of another type.
    """

    backend: str | None = None
    zarr_format: int | None = None
    overwrite: bool = False
    append: bool = False
    configuration: BackendConfiguration | None = attrs.field(
        default=None, validator=_check_configuration
    )
    workers: int | None = None
    progress: bool | ProgressCallback | None = attrs.field(default=None, validator=_check_progress)
    verify: bool = False
    provenance: Provenance | None = None
    resume: bool = False
    source_facts: Callable[[], Mapping[str, str]] | None = None
    space_check: bool = True
    in_place: bool = False
    executor: Executor | None = None
    observer: BlockObserver | None = attrs.field(default=None, validator=_check_observer)

    @contextmanager
    def reporting(self) -> Iterator[ProgressCallback | None]:
        """Give the function that reports progress; a bar is closed when the block ends."""
        with ProgressBar() as bar:
            yield self.progress if callable(self.progress) else bar if self.progress else None

    def check_space(
        self, target: Path, planned: list[PlannedDataset], storage: Backend, root: Any
    ) -> None:
        """Check that planned datasets fit on the disk, unless that is not wanted.

        Raises
        ------
        DiskError, SourceError
            See :func:`nwb_ophys.storage.space.check_space`.
        """
        is_taken_away = outlet_of(target) is not None and storage.single_file(root) is None
        if self.space_check and not is_taken_away:
            check_space(target, planned, storage, root, in_place=self.in_place)

    def shared(self, storage: Backend, root: Any, resumption: Resumption) -> SharedFile:
        """Return the incomplete file that an executor fills."""
        configuration = self.configuration or BackendConfiguration(backend=storage.name)
        return SharedFile(
            path=resumption.filled_file,
            storage=storage,
            root=root,
            buffer_gb=configuration.buffer_gb,
            from_values=self.verify,
        )

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

    def num_workers_for(self, storage: Backend) -> int:
        """Return the number of threads that encode and store.

        Parameters
        ----------
        storage : Backend
            Where threads wait for the disk, one more than the cores keeps these busy.
        """
        is_one_more = self.workers is None and storage.waits_for_disk
        return self.num_workers + is_one_more


@contextmanager
def filled_at_the_end(
    io: Any,
    storage: Backend,
    options: WriteOptions,
    find_source: Callable[[Any], Source | None] | None = None,
    records: Mapping[str, Any] | None = None,
    recorder: Recorder | None = None,
    *,
    resumption: Resumption,
) -> Iterator[None]:
    """Let an IO object only declare the datasets it writes in the block, and fill them at its end.

    Parameters
    ----------
    io : hdmf.backends.io.HDMFIO
        Opened by the backend.
    storage : Backend
    options : WriteOptions
    find_source : callable, optional
        See :func:`nwb_ophys.storage.planning.plan_datasets`.
    records : mapping, optional
        Detached data by the id of their object.
    recorder : Recorder, optional
        Writes the record of the file; by default that of a new write.
    resumption : Resumption
        May complete the file of an earlier run instead.
    """
    configuration = options.configuration or BackendConfiguration(backend=storage.name)
    planned: list[PlannedDataset] = []
    given: dict[str, Any] = {}
    recorder = recorder or Recorder(
        storage, options.provenance or Provenance(), root_of(io), checks=options.verify
    )

    def declare(root: GroupBuilder) -> bool:
        reattach(root, records or {})
        planned.extend(_planned(root, storage, options, io.get_written, find_source, resumption))
        given.update((name, each.data) for name, each in dataset_builders(root))
        is_new = not resumption.adopts(planned, root, io.get_written)
        if is_new:
            options.check_space(resumption.target, planned, storage, root_of(io))
            _declare(root, planned, storage, io.get_written, configuration.compression)
        else:  # these stay as the earlier run wrote them
            for name in VOLATILE:
                given.pop(name, None)
        recorder.declare(root)
        return is_new

    io.before_writing = declare
    try:
        yield
        budget = Budget.of(configuration.buffer_gb)
        with resumption.root(root_of(io)) as root:
            hashes = fill_planned(planned, storage, root, options, budget, resumption)
            recorder.write(root, hashes, given)
    finally:
        # The function refers to the files of the sources, and the IO object to itself.
        io.before_writing = None


def _planned(
    root: GroupBuilder,
    storage: Backend,
    options: WriteOptions,
    is_written: Callable[[DatasetBuilder], bool],
    find_source: Callable[[Any], Source | None] | None,
    resumption: Resumption,
) -> list[PlannedDataset]:
    """Plan the datasets of a tree of builders, and check the data that a user gave."""
    replaced = None if options.in_place else resumption.target
    planned = plan_datasets(
        dataset_builders(root),
        options.configuration or BackendConfiguration(backend=storage.name),
        storage,
        is_written=is_written,
        find_source=find_source,
        replaced=replaced,
    )
    if find_source is None and replaced is not None:
        check_links(root, replaced)
    return planned


def fill_planned(
    planned: list[PlannedDataset],
    storage: Backend,
    root: Any,
    options: WriteOptions,
    budget: Budget,
    resumption: Resumption,
) -> dict[str, DatasetHash]:
    """Fill declared datasets, verify them if asked, and return the hashes of their values.

    Parameters
    ----------
    planned : list of PlannedDataset
    storage : Backend
    root : object
        Open root group of the file.
    options : WriteOptions
    budget : Budget
    resumption : Resumption
        Commits the chunks, and knows those that an earlier run committed.
    """
    locations = [each.location for each in planned]
    with (
        options.reporting() as report,
        _finished_files(storage, root, options, resumption.filled_file, locations) as finished,
    ):
        tools = SinkTools(scratch=Scratch(), finished=finished)
        tasks = [
            open_task(
                each,
                storage.sink(root, each.configuration, tools),
                from_values=options.verify,
                observe=observation_of(options.observer, each),
            )
            for each in planned
        ]
        near, far = divided(tasks, options.executor)
        with resumption.committing(root, tasks, ProgressCounter(planned, report)) as counter:
            workers = options.num_workers_for(storage)
            fill(near, workers=workers, budget=budget.num_bytes, counter=counter)
            for task in near:
                with while_writing(task.planned, whole(task.planned.source.shape)):
                    task.sink.finish()
            if far and options.executor is not None:
                options.executor.fill(far, options.shared(storage, root, resumption), counter)
    digests = {task.planned.location: digests_of(task) for task in tasks}
    if options.verify:
        stored = _stored_sources(storage, root, resumption.filled_file, locations)
        of_blocks = {location: each.hash(group_size=1) for location, each in digests.items()}
        check_written(stored, of_blocks, Resources(workers=options.num_workers, budget=budget))
    return {location: each.hash() for location, each in digests.items()}


def _finished_files(
    storage: Backend, root: Any, options: WriteOptions, partial: Path, locations: list[str]
) -> AbstractContextManager[FinishedFiles]:
    """Return that which takes the complete chunks: to the disk, or where the target lies."""
    growing = storage.single_file(root)
    outlet = None if growing is not None else outlet_of(partial)
    if outlet is not None and locations:
        return outlet.receiving(partial, locations, storage.headers.__contains__)
    return Flusher(growing, is_needed=options.num_workers > 0)


def _stored_sources(
    storage: Backend, root: Any, partial: Path, locations: list[str]
) -> dict[str, Source]:
    """Return the datasets that were filled, as they are stored now."""
    outlet = None if storage.single_file(root) is not None else outlet_of(partial)
    datasets = {
        each: root[each] if outlet is None else storage.dataset_in(outlet.place, each)
        for each in locations
    }
    return {location: storage.stored_source(data) for location, data in datasets.items()}


def digests_of(task: FillTask) -> BlockDigests:
    """Return the hashes of the blocks of a task that are stored so far."""
    assert task.sink.digests is not None
    return task.sink.digests


def _declare(
    root: GroupBuilder,
    planned: list[PlannedDataset],
    storage: Backend,
    is_written: Callable[[DatasetBuilder], bool],
    compression: str | None,
) -> None:
    """Replace planned data by placeholders, and other lazy data by a new pass over them."""
    by_location = {each.location: each for each in planned}
    for location, builder in dataset_builders(root):
        if not is_written(builder):
            storage.check(location, builder)
        given = builder.data
        if location in by_location:
            each = by_location[location]
            declared = storage.declare(each.configuration, given)
            if each.source.is_stored:  # hdmf would apply the dtype of the schema
                settings_of(declared)["dtype"] = storage.stored_dtype(each.source.dtype)
            put(builder, declared)
        elif isinstance(given, (DataIO, AbstractDataChunkIterator)) and not is_written(builder):
            data = fresh_iterator(unwrapped(given), location)
            builder["data"] = storage.wrap(given, data, compression)
