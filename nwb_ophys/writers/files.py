"""From an extractor to a file: the whole of an imaging or a segmentation, and any ``NWBFile``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from pynwb import NWBFile

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage import (
    BackendConfiguration,
    ProgressBar,
    WriteOptions,
    append_to_nwbfile,
    backend_of_path,
    check_target,
    create_nwbfile,
)
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.writers.maskless import complete_tables_without_masks
from nwb_ophys.writers.session import make_nwbfile
from nwb_ophys.writers.whole import add_imaging, add_segmentation


def write_nwbfile(
    nwbfile: NWBFile,
    path: str | Path,
    *,
    backend: str = "hdf5",
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
        Called with a ``WriteProgress`` after each block, in the caller's thread.
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
    options = WriteOptions(
        configuration=configuration, workers=workers, progress=progress, verify=verify
    )
    return _write_new(nwbfile, path, backend=backend, overwrite=overwrite, options=options)


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
        nwbfile, path, backend=backend or "hdf5", overwrite=overwrite, options=options
    )


def run(
    make: Callable[[], NWBFile],
    fill: Callable[[NWBFile], Any],
    *,
    nwbfile_path: str | Path | None,
    nwbfile: NWBFile | None,
    overwrite: bool,
    append: bool,
    backend: str,
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
    if append and stored is not None and backend not in ("hdf5", stored.name):
        raise ArgumentError(
            f"'{nwbfile_path}' is of backend '{stored.name}'; "
            f"it cannot be appended to as '{backend}'."
        )
    if configuration is not None and append and stored is not None:
        configuration = attrs.evolve(configuration, backend=stored.name)
    with ProgressBar() as bar:
        options = WriteOptions(
            configuration=configuration,
            workers=workers,
            progress=progress if callable(progress) else (bar if progress else None),
            verify=verify,
        )
        return write_to(
            nwbfile_path,
            make if nwbfile is None else lambda: nwbfile,
            fill,
            overwrite=overwrite,
            append=append,
            backend=backend,
            options=options,
        )


def write_imaging(
    imaging: Any,
    nwbfile_path: str | Path | None = None,
    nwbfile: NWBFile | None = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    verbose: bool = True,
    iterator_type: str | None = "v2",
    iterator_options: dict[str, Any] | None = None,
    photon_series_type: str = "TwoPhotonSeries",
    buffer_size: int | None = None,
) -> NWBFile:
    """Write a movie to a file, or add it to an ``NWBFile``.

    Parameters
    ----------
    imaging : roiextractors.ImagingExtractor
    nwbfile_path : path-like, optional
        A file to create; one that exists is appended to, or replaced with ``overwrite``.
    nwbfile : pynwb.NWBFile, optional
        An object to add to instead. With neither, a new one is made from the metadata.
    metadata : Mapping, optional
        What it lacks is filled with defaults; a new file needs ``NWBFile.session_start_time``.
    overwrite : bool
        Whether an existing file is replaced.
    verbose : bool
        Print one line with the path of the file written.
    iterator_type, iterator_options, photon_series_type
        Those of :func:`add_photon_series`.
    buffer_size : int, optional
        Deprecated; becomes ``iterator_options["buffer_gb"]``.

    Returns
    -------
    pynwb.NWBFile
        What was filled. One that went to a path refers to a file that is closed again.

    Raises
    ------
    AssertionError
        When a path and an object are given together.
    """
    options = dict(iterator_options or {})
    if buffer_size is not None:
        message = 'buffer_size is deprecated; use iterator_options={"buffer_gb": …}.'
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        options["buffer_gb"] = buffer_size

    def fill(target: NWBFile) -> None:
        add_imaging(
            imaging,
            target,
            metadata,
            photon_series_type=photon_series_type,
            iterator_type=iterator_type,
            iterator_options=options or None,
        )

    return _write(nwbfile_path, nwbfile, metadata, fill, overwrite=overwrite, verbose=verbose)


def write_segmentation(
    segmentation_extractor: Any,
    nwbfile_path: str | Path | None = None,
    nwbfile: NWBFile | None = None,
    metadata: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    verbose: bool = True,
    include_roi_centroids: bool = True,
    include_roi_acceptance: bool = True,
    mask_type: str | None = "image",
    iterator_options: dict[str, Any] | None = None,
    compression_options: dict[str, Any] | None = None,
) -> NWBFile:
    """Write a segmentation to a file, or add it to an ``NWBFile``.

    Parameters
    ----------
    segmentation_extractor : roiextractors.SegmentationExtractor
    nwbfile_path, nwbfile, metadata, overwrite, verbose
        Those of :func:`write_imaging`.
    include_roi_centroids, include_roi_acceptance, mask_type, iterator_options, compression_options
        Those of :func:`add_plane_segmentation`.

    Returns
    -------
    pynwb.NWBFile
        What was filled. One that went to a path refers to a file that is closed again.

    Raises
    ------
    AssertionError
        When a path and an object are given together.
    """

    def fill(target: NWBFile) -> None:
        add_segmentation(
            segmentation_extractor,
            target,
            metadata,
            include_roi_centroids=include_roi_centroids,
            include_roi_acceptance=include_roi_acceptance,
            mask_type=mask_type,
            iterator_options=iterator_options,
            compression_options=compression_options,
        )

    return _write(nwbfile_path, nwbfile, metadata, fill, overwrite=overwrite, verbose=verbose)


def _write(
    nwbfile_path: str | Path | None,
    nwbfile: NWBFile | None,
    metadata: Mapping[str, Any] | None,
    fill: Callable[[NWBFile], Any],
    *,
    overwrite: bool,
    verbose: bool,
) -> NWBFile:
    if nwbfile_path is not None and nwbfile is not None:
        raise ArgumentError("Give nwbfile_path or nwbfile, not both.")
    if nwbfile_path is None:
        target = make_nwbfile(metadata) if nwbfile is None else nwbfile
        fill(target)
        return target
    filled: list[NWBFile] = []

    def fill_and_keep(target: NWBFile) -> None:
        fill(target)
        filled.append(target)

    write_to(
        nwbfile_path,
        lambda: make_nwbfile(metadata),
        fill_and_keep,
        overwrite=overwrite,
        append=not overwrite,
    )
    if verbose:
        print(f"NWB file written: {nwbfile_path}")
    return filled[0]
