"""Writing an existing file anew, with other chunks, another compression or another backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError, SourceNotFoundError
from nwb_ophys.storage.backends import backend_of_path, get_backend
from nwb_ophys.storage.configuration import BackendConfiguration
from nwb_ophys.storage.files import check_target, replacing
from nwb_ophys.storage.planning import plan_datasets
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.storage.protocols import Backend
from nwb_ophys.storage.stored import stored_source_of
from nwb_ophys.storage.writing import WriteOptions, write_with


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

    Parameters
    ----------
    source : path-like
        An NWB file of either backend, whoever wrote it.
    target : path-like
        The new file; with ``overwrite`` it may be the source itself.
    backend : {"hdf5", "zarr"}, optional
        Of the new file; that of the configuration, or else of the source, when not given.
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
    stated = configuration.backend if configuration is not None else origin.name
    storage = get_backend(backend or stated)
    options = WriteOptions(
        configuration=configuration, workers=workers, progress=progress, verify=verify
    )
    path = check_target(target, overwrite=overwrite)
    # HDF5 is copied as it is; for anything else hdmf must read it as objects.
    as_it_is = storage.name == origin.name == "hdf5"
    with (
        replacing(path, storage) as partial,
        _opened(source, origin) as read,
        storage.open(partial, "w", manager=read.manager) as io,
    ):
        write_with(
            io,
            storage,
            options,
            lambda: io.export(src_io=read, write_args={"link_data": as_it_is}),
            find_source=stored_source_of,
        )
    return path


def name_of_backend(source: str | Path) -> str:
    """Return the backend of an existing file.

    Raises
    ------
    SourceError
        When there is none, or it is of no backend.
    """
    return _origin(source).name


def configuration_of_file(
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
        planned = plan_datasets(
            read.read_builder(),
            configuration,
            get_backend(configuration.backend),
            find_source=stored_source_of,
        )
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
        is_nwb = origin.kind_of(path) == "NWBFile"
        read = origin.open(path, "r") if is_nwb else None
    except Exception as error:  # whatever the backend finds wrong with a file
        raise SourceError(f"'{source}' cannot be read as an NWB file: {error}") from error
    if read is None:  # hdmf would write any file anew, and it would be none the more NWB for it
        raise SourceError(f"'{source}' is not an NWB file.")
    try:
        yield read
    finally:
        read.close()
