"""Writing an existing file anew, with other chunks, another compression or another backend."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import h5py
from hdmf.build import DatasetBuilder

from nwb_ophys.errors import NwbOphysError, SourceError, SourceNotFoundError
from nwb_ophys.storage.backends.base import Backend
from nwb_ophys.storage.backends.hdf5_copy import Hdf5Copy, hdf5_datasets
from nwb_ophys.storage.backends.registry import backend_of_name, backend_of_path, get_backend
from nwb_ophys.storage.backends.stored_sources import stored_source_of
from nwb_ophys.storage.budget import Budget
from nwb_ophys.storage.configuration import BackendConfiguration
from nwb_ophys.storage.files import check_target, new_file, replacing
from nwb_ophys.storage.hdmf.placeholders import dataset_builders
from nwb_ophys.storage.planning import PlannedDataset, plan_datasets
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.storage.write import WriteOptions, fill_planned, write_with


def repack(
    source: str | Path,
    target: str | Path,
    *,
    backend: str | None = None,
    configuration: BackendConfiguration | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    verify: bool = False,
) -> Path:
    """Write an existing NWB file anew; every value, attribute, link and reference stays.

    From HDF5 to HDF5 all of it stays as it is stored: types, limits of growth, fill values, hard,
    soft and external links. To and from Zarr hdmf carries over what it knows as NWB: limits of
    growth are not kept, and a table of references with other fields, such as the ``timeseries`` of
    trials, is refused. Where chunks of the source lie across those of the target, some are decoded
    several times, unless ``buffer_gb`` has room three times for all chunks along one step of time.

    Parameters
    ----------
    source : path-like
        An NWB file of either backend, whoever wrote it.
    target : path-like
        The new file; with ``overwrite`` it may be the source itself.
    backend : {"hdf5", "zarr"}, optional
        Of the new file; when not given that of the configuration, zarr for a name that ends in
        ``.zarr``, hdf5 for any other where that of the source does, or else that of the source.
    configuration : BackendConfiguration, optional
        How the datasets are stored. Chunks that are not stated stay as they are.
    workers, overwrite, progress, verify
        Those of :func:`nwb_ophys.write_nwbfile`.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    SourceError
        When the source is no NWB file, or is damaged; with the dataset and the frames.
    OutputExistsError, OutputError
        When something is at the target already, or it cannot be written.
    """
    origin = _origin(source)
    stated = None if configuration is None else configuration.backend
    storage = get_backend(backend or stated or backend_for_repack(source, target))
    options = WriteOptions(
        configuration=configuration, workers=workers, progress=progress, verify=verify
    )
    path = check_target(target, overwrite=overwrite, remedy="overwrite to replace it")
    with _opened(source, origin) as read, replacing(path, storage) as partial:
        if storage.name == origin.name == "hdf5":
            _copy_hdf5(read._file, partial, path, storage, options)
        else:
            _export(source, read, partial, path, storage, options)
            _check_nothing_is_missing(source, read, origin, partial, storage)
    return path


def _copy_hdf5(
    read: h5py.File, partial: Path, target: Path, storage: Backend, options: WriteOptions
) -> None:
    configuration = options.configuration or BackendConfiguration(backend=storage.name)
    planned = _planned(hdf5_datasets(read), configuration, storage)
    declared = {each.location: storage.declare(each.configuration, each.given) for each in planned}
    with new_file(lambda: h5py.File(partial, "w"), partial, target) as file:
        Hdf5Copy(read, file, declared).run()
        fill_planned(planned, storage, file, options, Budget.of(configuration))


def _export(
    source: str | Path,
    read: Any,
    partial: Path,
    target: Path,
    storage: Backend,
    options: WriteOptions,
) -> None:
    """Have hdmf read a file as objects, and write them for a backend."""

    def write() -> None:
        try:
            with warnings.catch_warnings():
                # Zarr warns of arrays of texts that are copied with the codec they have.
                warnings.filterwarnings("ignore", "missing object_codec", FutureWarning)
                io.export(src_io=read, write_args={"link_data": False})
        except NwbOphysError:
            raise
        except Exception as error:  # whatever hdmf cannot read or write
            raise SourceError(
                f"'{source}' cannot be written as {storage.name}: {_reason(error)}"
            ) from error

    def make() -> Any:
        return storage.open(partial, "w", manager=read.manager)

    with new_file(make, partial, target) as io:
        write_with(io, storage, options, write, find_source=stored_source_of)


def _check_nothing_is_missing(
    source: str | Path, read: Any, origin: Backend, partial: Path, storage: Backend
) -> None:
    """Check that all names are in the copy; hdmf takes links to things of one name for one link.

    Raises
    ------
    SourceError
        Naming what it could not carry over.
    """
    with storage.open(partial, "r") as written:
        pairs = [("", read._file, written._file)]
        while pairs:
            path, old, new = pairs.pop()
            was, there = origin.contents(old), storage.contents(new)
            was.pop("specifications" if not path else "", None)  # which is written for what is used
            missing = [f"{path}{name}" for name in was if name not in there]
            if missing:
                raise SourceError(
                    f"'{source}' cannot be written as {storage.name}: '{missing[0]}' would be "
                    "lost on the way. Write it as it is stored now."
                )
            pairs.extend(
                (f"{path}{name}/", group, there[name])
                for name, group in was.items()
                if group is not None and there[name] is not None
            )


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def _planned(
    datasets: Iterable[tuple[str, DatasetBuilder]],
    configuration: BackendConfiguration,
    storage: Backend,
) -> list[PlannedDataset]:
    return plan_datasets(datasets, configuration, storage, find_source=stored_source_of)


def backend_for_repack(source: str | Path, target: str | Path) -> str:
    """Return the backend of a new file, where none is given: as its name has it, or as its source.

    Raises
    ------
    SourceError
        When there is no source, or it is of no backend.
    """
    named, origin = backend_of_name(target), _origin(source)
    if named is None and backend_of_name(source) is not None:
        return "hdf5"  # from 'a.zarr' to 'a.nwb', no one wants another folder
    return named or origin.name


def plan_repack(
    source: str | Path, general: BackendConfiguration | None = None
) -> BackendConfiguration:
    """Return how a file would be repacked, dataset by dataset.

    Parameters
    ----------
    source : path-like
    general : BackendConfiguration, optional
        What is to be changed.
    """
    origin = _origin(source)
    configuration = BackendConfiguration(backend=origin.name) if general is None else general
    with _opened(source, origin) as read:
        is_hdf5 = origin.name == "hdf5"
        found = hdf5_datasets(read._file) if is_hdf5 else dataset_builders(read.read_builder())
        planned = _planned(found, configuration, get_backend(configuration.backend))
        datasets = {each.location: each.configuration for each in planned}
    return attrs.evolve(configuration, datasets=datasets)


def _origin(source: str | Path) -> Backend:
    path = Path(source).expanduser()
    if not path.exists():
        raise SourceNotFoundError(f"'{source}' does not exist; check the path.")
    origin = backend_of_path(path)
    if origin is None:
        raise SourceError(f"'{source}' is neither an HDF5 file nor a Zarr folder.")
    return origin


@contextmanager
def _opened(source: str | Path, origin: Backend) -> Iterator[Any]:
    path = Path(source).expanduser()
    try:
        is_nwb = origin.neurodata_type(path) == "NWBFile"
        read = origin.open(path, "r") if is_nwb else None
    except Exception as error:  # whatever the backend finds wrong with a file
        raise SourceError(f"'{source}' cannot be read as an NWB file: {_reason(error)}") from error
    if read is None:  # hdmf would write any file anew, and it would be none the more NWB for it
        raise SourceError(f"'{source}' is not an NWB file.")
    try:
        if "nwb_version" not in read._file.attrs:
            raise SourceError(f"'{source}' is no NWB file: it states no version of NWB.")
        yield read
    finally:
        read.close()
