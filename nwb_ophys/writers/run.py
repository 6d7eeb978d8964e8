"""Any ``NWBFile`` into a file: a new one, one that is replaced, or one that is added to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from pynwb import NWBFile

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage import (
    DEFAULT_BACKEND,
    BackendConfiguration,
    ProgressBar,
    WriteOptions,
    append_to_nwbfile,
    backend_of_name,
    backend_of_path,
    check_target,
    create_nwbfile,
)
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks


def write_nwbfile(
    nwbfile: NWBFile,
    path: str | Path,
    *,
    backend: str = DEFAULT_BACKEND,
    configuration: BackendConfiguration | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    verify: bool = False,
) -> Path:
    """Write any ``NWBFile`` to a new file, which appears only when it is whole.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Ours or not. A plane segmentation without masks is given an empty list of pixels per ROI,
        without which pynwb could not read it again.
    path : path-like
    backend : {"hdf5", "zarr"}
    configuration : BackendConfiguration, optional
        How the datasets are stored; by default as the data propose it, byte-shuffled, with gzip in
        HDF5 and Blosc in Zarr.
    workers : int, optional
        Threads that read, encode and store; the usable cores of the machine when not given. 0
        does everything in the caller's thread. What is in the file is the same.
    overwrite : bool
        Whether an existing file is replaced.
    progress : callable, optional
        Called with a ``WriteProgress`` after each block, in the caller's thread; True shows a bar
        on a terminal.
    verify : bool
        Whether all that was written in chunks is read again and compared, before the file appears.

    Returns
    -------
    pathlib.Path
        Where it is.

    Raises
    ------
    OutputExistsError, OutputError
        When something is there already, or it cannot be written; with the dataset and the frames.
    SourceError
        When data cannot be read; with the dataset, the frames and the source.
    MemoryLimitError
        When a single chunk does not fit into the buffer.
    """
    with _options(configuration, workers, progress, verify) as options:
        return _write_new(nwbfile, path, backend=backend, overwrite=overwrite, options=options)


@contextmanager
def _options(
    configuration: BackendConfiguration | None, workers: int | None, progress: Any, verify: bool
) -> Iterator[WriteOptions]:
    """Give the options of a write, with a bar that is there while it lasts where one is asked for.

    Raises
    ------
    ArgumentError
        When progress is neither a callback nor true or false.
    """
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise ArgumentError(
            f"progress is {progress!r}; it must be a function that takes a WriteProgress, or true "
            "or false."
        )
    with ProgressBar() as bar:
        yield WriteOptions(
            configuration=configuration,
            workers=workers,
            progress=progress if callable(progress) else bar if progress else None,
            verify=verify,
        )


def _write_new(
    nwbfile: NWBFile, path: str | Path, *, backend: str, overwrite: bool, options: WriteOptions
) -> Path:
    complete_tables_without_masks(nwbfile)
    return create_nwbfile(nwbfile, path, backend=backend, overwrite=overwrite, options=options)


def write_to(
    path: str | Path,
    make: Callable[[], NWBFile],
    fill: Callable[[NWBFile], Any],
    *,
    overwrite: bool = False,
    append: bool = False,
    backend: str | None = None,
    options: WriteOptions | None = None,
) -> Path:
    """Create a file, or add to the one that is there.

    Parameters
    ----------
    path : path-like
    make : callable
        Gives the new ``NWBFile`` when none is there, or it is to be replaced.
    fill : callable
        Adds to the ``NWBFile``.
    overwrite, append : bool
        What may be done with an existing file.
    backend : {"hdf5", "zarr"}, optional
        Of a new file; ``hdf5`` when not given. A file appended to keeps its own.
    options : WriteOptions, optional
        How the datasets are stored, with how many threads, and whom to tell of it.
    """
    options = options or WriteOptions()
    if overwrite and append:
        raise ArgumentError("Give overwrite or append, not both.")
    target = check_target(path, overwrite=overwrite, append=append)
    if append and target.exists():

        def fill_and_complete(nwbfile: NWBFile) -> None:
            fill(nwbfile)
            complete_tables_without_masks(nwbfile)

        return append_to_nwbfile(path, fill_and_complete, options=options)
    nwbfile = make()
    fill(nwbfile)
    return _write_new(
        nwbfile, path, backend=backend or DEFAULT_BACKEND, overwrite=overwrite, options=options
    )


def run(
    make: Callable[[], NWBFile],
    fill: Callable[[NWBFile], Any],
    *,
    nwbfile_path: str | Path | None,
    nwbfile: NWBFile | None,
    overwrite: bool,
    append: bool,
    backend: str | None,
    progress: Any,
    configuration: BackendConfiguration | None,
    workers: int | None,
    verify: bool,
) -> Path | NWBFile:
    """Convert to a path, to an object, or to an object that is then written to the path.

    Parameters
    ----------
    make, fill : callable
        See :func:`write_to`.
    nwbfile_path, nwbfile, overwrite, append, backend, progress, configuration, workers, verify
        Those of ``BaseOphysInterface.run_conversion``.

    Returns
    -------
    pathlib.Path or pynwb.NWBFile
        The file written, or the object when there is no path.
    """
    if nwbfile_path is None:
        if nwbfile is None:
            raise ArgumentError("Give nwbfile_path, the file to write, or nwbfile, an object.")
        fill(nwbfile)
        return nwbfile
    if append and nwbfile is not None:
        raise ArgumentError("An nwbfile object cannot be appended to a file; leave out one.")
    target = check_target(nwbfile_path, overwrite=overwrite, append=append)
    stored = backend_of_path(target)
    if append and stored is not None and backend not in (None, stored.name):
        raise ArgumentError(
            f"'{nwbfile_path}' is of backend '{stored.name}'; "
            f"it cannot be appended to as '{backend}'."
        )
    if configuration is not None and append and stored is not None:
        configuration = attrs.evolve(configuration, backend=stored.name)
    elif backend is None:
        backend = backend_of_name(target) if configuration is None else configuration.backend
    with _options(configuration, workers, progress, verify) as options:
        return write_to(
            nwbfile_path,
            make if nwbfile is None else lambda: nwbfile,
            fill,
            overwrite=overwrite,
            append=append,
            backend=backend,
            options=options,
        )
