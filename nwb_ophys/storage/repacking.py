"""Copies of an existing file with other chunks, another compression or another backend.

The module is not named ``repack``: as an attribute of the package, that is the function.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import NwbOphysError, SourceError, last_reason, not_found
from nwb_ophys.home import with_home
from nwb_ophys.outside import reading_from, require_ordinary
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.registry import (
    DEFAULT_BACKEND,
    NO_BACKEND,
    backend_of_data,
    backend_of_name,
    backend_of_path,
    get_backend,
)
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.completeness import check_sources
from nwb_ophys.storage.disk_errors import disk_errors, output_errors
from nwb_ophys.storage.encoding import num_bytes
from nwb_ophys.storage.files import closed_at_the_end, final_path, replacing, reserved
from nwb_ophys.storage.hdmf.internals import root_of
from nwb_ophys.storage.identity import file_facts
from nwb_ophys.storage.in_place import check_whole
from nwb_ophys.storage.named_files import move_named_files
from nwb_ophys.storage.planning import BackendConfiguration, PlannedDataset, plan_datasets
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.storage.record import CopyRecorder, Provenance
from nwb_ophys.storage.remote_targets import check_resumable
from nwb_ophys.storage.resuming import Resumption
from nwb_ophys.storage.sources import SMALL_BYTES, Source, is_fillable, unwrapped
from nwb_ophys.storage.streaming import outlet_of
from nwb_ophys.storage.write import WriteOptions, fill_planned, filled_at_the_end

if TYPE_CHECKING:
    from hdmf.build import DatasetBuilder, GroupBuilder


def repack(
    source: str | Path,
    target: str | Path,
    *,
    backend: str | None = None,
    zarr_format: int | None = None,
    configuration: BackendConfiguration | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool | ProgressCallback | None = None,
    verify: bool = False,
    resume: bool = False,
    space_check: bool = True,
    allow_outside: Sequence[str | Path] = (),
) -> Path:
    """Copy an NWB file with other settings; every value, attribute, link and reference stays.

    From HDF5 to HDF5 everything stays as it is stored: types, limits of growth, fill values, and
    hard, soft and external links. To and from Zarr, hdmf copies what it knows as NWB: limits of
    growth are lost, and a table of references with other fields, such as the ``timeseries`` of
    trials, is refused. Where the chunks of the source lie across those of the target, some are
    decoded several times, unless ``buffer_gb`` holds all chunks along one step of time three times.
    Relative names of other files, such as videos, are changed for a copy in another folder.

    Parameters
    ----------
    source : path-like
        An NWB file of any backend and any author.
    target : path-like
        The new file; with ``overwrite`` it may be the source itself.
    backend : str, optional
        Name of the backend of the new file; by default that of the configuration, or else of
        :func:`backend_for_repack`.
    zarr_format : {2, 3}, optional
        Format of a Zarr store to insist on; by default that which the installed packages write.
        They read both formats if they write format 3.
    configuration : BackendConfiguration, optional
        Settings of the datasets. Chunks that are not stated stay as they are.
    workers, overwrite, progress, verify, resume, space_check
        See :func:`nwb_ophys.write_nwbfile`.
    allow_outside : sequence of path-like
        Folders in which files may lie that the source names, beyond the folder of the source.

    Returns
    -------
    pathlib.Path
        Path of the new file.

    Raises
    ------
    SourceError
        If the source is not an NWB file, or is damaged; names the dataset and the frames.
    OutputExistsError, OutputError
        If the target exists already, or cannot be written.
    """
    origin = _origin(source)
    stated = None if configuration is None else configuration.backend
    storage = get_backend(backend or stated or backend_for_repack(source, target), zarr_format)
    options = WriteOptions(
        configuration=configuration,
        workers=workers,
        progress=progress,
        verify=verify,
        resume=resume,
        space_check=space_check,
        source_facts=lambda: file_facts([with_home(as_path(source)).resolve()]),
    )
    check_resumable(target, resume=resume)
    remedy = "overwrite=True to replace it"
    is_copied = storage is origin and storage.copies_datasets
    with (
        reading_from([with_home(as_path(source))], allow_outside),
        reserved(target, overwrite=overwrite, remedy=remedy) as path,
    ):
        resumption = Resumption(path, storage, is_wanted=resume, sources=options.source_facts)
        # The source is closed before the copy takes its place, which shares (SMB) demand.
        with (
            replacing(path, storage, resumption) as partial,
            _opened(source, origin, follows_links=not is_copied) as read,
        ):
            check_sources(origin.stored_datasets(read))
            if is_copied:
                _copy(read, partial, path, storage, options, resumption)
            else:
                _export(source, read, origin, partial, path, storage, options, resumption)
                complete = resumption.complete_file(partial)
                _check_nothing_is_missing(source, read, origin, complete, storage)
    return final_path(target, path)


def _copy(
    read: Any,
    partial: Path,
    target: Path,
    storage: Backend,
    options: WriteOptions,
    resumption: Resumption,
) -> None:
    """Copy a file as it is stored, and fill the datasets whose settings may change."""
    configuration = options.configuration or BackendConfiguration(backend=storage.name)
    planned = _planned(storage.stored_datasets(read), configuration, storage)
    budget = Budget.of(configuration.buffer_gb)
    if resumption.adopts(planned, None):
        with resumption.root(None) as file:
            recorder = _recorder(storage, file, read, storage)
            hashes = fill_planned(planned, storage, file, options, budget, resumption)
            recorder.create(file, hashes)
        return
    declared = {each.location: storage.declare(each.configuration, each.given) for each in planned}
    with output_errors(target, partial):
        created = storage.create(partial)
    with closed_at_the_end(created, target) as file:
        options.check_space(target, planned, storage, file)
        recorder = _recorder(storage, file, read, storage)
        storage.copy_except(root_of(read), file, declared)
        recorder.create(file, fill_planned(planned, storage, file, options, budget, resumption))


def _recorder(storage: Backend, root: Any, read: Any, origin: Backend) -> CopyRecorder:
    """Return the writer of the record of a copy."""
    provenance = Provenance("repack")
    return CopyRecorder(storage, provenance, root, lambda: origin.objects(root_of(read)))


def _export(
    source: str | Path,
    read: Any,
    origin: Backend,
    partial: Path,
    target: Path,
    storage: Backend,
    options: WriteOptions,
    resumption: Resumption,
) -> None:
    """Read a file with hdmf as objects, and write them with a backend."""
    with output_errors(target, partial):
        created = storage.open(partial, "w", manager=read.manager)
    with (
        closed_at_the_end(created, target) as io,
        filled_at_the_end(
            io,
            storage,
            options,
            find_source=stored_source_of,
            recorder=_recorder(storage, root_of(io), read, origin),
            resumption=resumption,
        ),
        _export_errors(source, storage, origin),
        disk_errors(target, partial),
    ):
        declare = io.before_writing

        def move_and_declare(root: GroupBuilder) -> bool:
            move_named_files(root, with_home(as_path(source)), partial)
            return bool(declare(root))

        io.before_writing = move_and_declare
        io.export(src_io=read, write_args={"link_data": False})


@contextmanager
def _export_errors(source: str | Path, storage: Backend, origin: Backend) -> Iterator[None]:
    """Name the source and the reason when hdmf cannot export a file; hide harmless warnings."""
    try:
        with warnings.catch_warnings():
            for message in storage.ignored_warnings:
                warnings.filterwarnings("ignore", message, FutureWarning)
            yield
    except NwbOphysError:
        raise
    except Exception as error:  # hdmf raises errors of many classes
        other = f" Write it with the backend '{origin.name}', as it is stored now."
        raise SourceError(
            f"'{source}' cannot be written as {storage.name}: {last_reason(error)}"
            f"{other if origin is not storage else ''}"
        ) from error


def _check_nothing_is_missing(
    source: str | Path, read: Any, origin: Backend, partial: Path, storage: Backend
) -> None:
    """Check that the copy has all names; hdmf confuses links to objects of the same name.

    Raises
    ------
    SourceError
        If an object is missing; names the object.
    """
    with _written_root(partial, storage) as written:
        pairs = [("", root_of(read), written)]
        while pairs:
            path, old, new = pairs.pop()
            was, there = origin.contents(old), storage.contents(new)
            was.pop("specifications" if not path else "", None)  # only those in use are written
            missing = [f"{path}{name}" for name in was if name not in there]
            if missing:
                raise SourceError(
                    f"'{source}' cannot be written as {storage.name}: '{missing[0]}' would be "
                    f"lost. Write it with the backend '{origin.name}', as it is stored now."
                )
            pairs.extend(
                (f"{path}{name}/", group, there[name])
                for name, group in was.items()
                if group is not None and there[name] is not None
            )


@contextmanager
def _written_root(partial: Path, storage: Backend) -> Iterator[Any]:
    """Give the root group of a copy, of which the chunks may not be on the disk any more."""
    if storage.is_shareable and outlet_of(partial) is not None:
        yield storage.open_shared(partial)
        return
    with storage.open(partial, "r") as written:
        yield root_of(written)


def _planned(
    datasets: Iterable[tuple[str, DatasetBuilder]],
    configuration: BackendConfiguration,
    storage: Backend,
) -> list[PlannedDataset]:
    return plan_datasets(datasets, configuration, storage, find_source=stored_source_of)


def stored_source_of(value: Any) -> Source | None:
    """Return an open dataset of a file as a source, or None for data that hdmf copies.

    Parameters
    ----------
    value : object
        The data of a builder that was read.
    """
    data = unwrapped(value)
    backend = backend_of_data(data)
    if backend is None or not is_fillable(data.shape, data.dtype):
        return None
    if num_bytes(data.shape, np.dtype(data.dtype)) < SMALL_BYTES:
        return None
    return backend.stored_source(data)


def backend_for_repack(source: str | Path, target: str | Path) -> str:
    """Return the name of the backend of a new file for which the user names none.

    The suffix of the target decides, such as ``.zarr``. For any other suffix it is the backend of
    the source, or the default backend if the suffix of the source names its backend.

    Raises
    ------
    SourceError
        If the source does not exist, or no backend recognises it.
    """
    named, origin = backend_of_name(target), _origin(source)
    if named is None and backend_of_name(source) is not None:
        return DEFAULT_BACKEND  # a copy of 'a.zarr' that is named 'a.nwb' is not another folder
    return named or origin.name


def plan_repack(
    source: str | Path, general: BackendConfiguration | None = None
) -> BackendConfiguration:
    """Return the settings with which a file would be repacked, dataset by dataset.

    Parameters
    ----------
    source : path-like
    general : BackendConfiguration, optional
        Settings to change.
    """
    origin = _origin(source)
    configuration = BackendConfiguration(backend=origin.name) if general is None else general
    with _opened(source, origin) as read:
        found = origin.stored_datasets(read)
        planned = _planned(found, configuration, get_backend(configuration.backend))
        datasets = {each.location: each.configuration for each in planned}
    return attrs.evolve(configuration, datasets=datasets)


def _origin(source: str | Path) -> Backend:
    path = with_home(as_path(source))
    if not path.exists():
        raise not_found(source)
    require_ordinary(path)
    origin = backend_of_path(path)
    if origin is None:
        raise SourceError(f"'{source}' is {NO_BACKEND}; choose an NWB file.")
    return origin


@contextmanager
def _opened(source: str | Path, origin: Backend, *, follows_links: bool = True) -> Iterator[Any]:
    path = with_home(as_path(source))
    check_whole(path)
    try:
        is_nwb = origin.neurodata_type(path) == "NWBFile"
        read = origin.open(path, "r", follows_links=follows_links) if is_nwb else None
    except NwbOphysError:
        raise
    except Exception as error:  # backends raise errors of many classes
        reason = last_reason(error)
        raise SourceError(f"'{source}' cannot be read as an NWB file: {reason}") from error
    if read is None:  # hdmf would copy any file, whether NWB or not
        raise SourceError(f"'{source}' is not an NWB file.")
    try:
        if "nwb_version" not in root_of(read).attrs:
            raise SourceError(f"'{source}' is not an NWB file: it states no version of NWB.")
        yield read
    finally:
        read.close()
