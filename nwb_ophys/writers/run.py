"""Write an ``NWBFile`` that somebody made to a new file."""

from __future__ import annotations

from pathlib import Path

from pynwb import NWBFile

from nwb_ophys.errors import ArgumentError
from nwb_ophys.storage import DEFAULT_BACKEND, BackendConfiguration, WriteOptions, target
from nwb_ophys.storage.observing import BlockObserver
from nwb_ophys.storage.progress import ProgressCallback
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks


def write_nwbfile(
    nwbfile: NWBFile,
    path: str | Path,
    *,
    backend: str = DEFAULT_BACKEND,
    zarr_format: int | None = None,
    configuration: BackendConfiguration | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
    verify: bool = False,
    resume: bool = False,
    space_check: bool = True,
    observer: BlockObserver | None = None,
) -> Path:
    """Write any ``NWBFile`` to a new file, which appears only when it is complete.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        An object made with this package or without. A plane segmentation without masks gets an
        empty list of pixels per ROI, because pynwb could not read the table otherwise.
    path : path-like
    backend : {"hdf5", "zarr"}
    zarr_format : {2, 3}, optional
        Format of a Zarr store to insist on. By default the installed hdmf-zarr decides: version
        0.13 writes format 2, and 0.14 format 3, with the chunks of large datasets in shards.
    configuration : BackendConfiguration, optional
        How the datasets are stored. By default the data decide: byte-shuffled, with gzip in HDF5
        and Blosc in Zarr.
    workers : int, optional
        Number of threads that read, encode and store. All cores that the process may use by
        default; 0 does everything in the caller's thread. The contents of the file are the same.
    overwrite : bool
        Whether an existing file is replaced.
    progress : callable, optional
        Called with a ``WriteProgress`` after each block, in the caller's thread. True shows a bar
        on a terminal.
    verify : bool
        Whether everything that was written in chunks is read back and compared before the file
        appears.
    resume : bool
        Whether the write goes on where an earlier run of the same write was killed. Without it, or
        where source or plan differ, everything is written from the start. If this run is
        interrupted, what it wrote is kept for a later run.
    space_check : bool
        Whether the space that the file needs is compared with the free space before it is written.
        False is for file systems that state a wrong number.
    observer : BlockObserver, optional
        Sees each block of the datasets before it is encoded, such as a ``StatisticsGatherer``.

    Returns
    -------
    pathlib.Path
        Path of the file, links followed.

    Raises
    ------
    OutputExistsError, OutputError
        When something exists at the path already, or the file cannot be written; with the dataset
        and the frames.
    SourceError
        When data cannot be read; with the dataset, the frames and the source.
    MemoryLimitError
        When a single chunk does not fit into the buffer.
    """
    if not isinstance(nwbfile, NWBFile):
        raise ArgumentError(
            f"nwbfile is a {type(nwbfile).__name__}; give a pynwb.NWBFile, then the path."
        )
    how = WriteOptions(
        backend=backend,
        zarr_format=zarr_format,
        overwrite=overwrite,
        configuration=configuration,
        workers=workers,
        progress=progress,
        verify=verify,
        resume=resume,
        space_check=space_check,
        observer=observer,
    )
    with target(path, how) as place:
        complete_tables_without_masks(nwbfile)
        place.write(nwbfile)
    return place.path
