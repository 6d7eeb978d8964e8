"""Write an imaging or segmentation extractor to a file, in one call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nwb_ophys.errors import ArgumentError
from nwb_ophys.home import with_home
from nwb_ophys.remote.paths import as_path
from nwb_ophys.storage import WriteOptions, target
from nwb_ophys.storage.identity import is_within, origins_of
from nwb_ophys.writers.session import make_nwbfile
from nwb_ophys.writers.streams import add_imaging, add_segmentation
from nwb_ophys.writers.tables_without_masks import complete_tables_without_masks

if TYPE_CHECKING:
    from pynwb import NWBFile


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
        File to create. An existing file is appended to, or replaced with ``overwrite``.
    nwbfile : pynwb.NWBFile, optional
        Object to add to, instead of a path. Without either, a new one is made from the metadata.
    metadata : Mapping, optional
        Missing keys are filled with defaults; a new file needs ``NWBFile.session_start_time``.
    overwrite : bool
        Whether an existing file is replaced.
    verbose : bool
        Whether to print one line with the path of the written file.
    iterator_type, iterator_options, photon_series_type
        See :func:`add_photon_series`.
    buffer_size : int, optional
        Deprecated; becomes ``iterator_options["buffer_gb"]``.

    Returns
    -------
    pynwb.NWBFile
        The filled object. After writing to a path, its data belong to a file that is closed.

    Raises
    ------
    AssertionError
        When both a path and an object are given.
    """
    options = dict(iterator_options or {})
    if buffer_size is not None:
        message = 'buffer_size is deprecated; use iterator_options={"buffer_gb": …}.'
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        options["buffer_gb"] = buffer_size
    _check_other_source(imaging, nwbfile_path, overwrite)
    with _destination(nwbfile_path, nwbfile, metadata, overwrite, verbose) as destination:
        add_imaging(
            imaging,
            destination,
            metadata,
            photon_series_type=photon_series_type,
            iterator_type=iterator_type,
            iterator_options=options or None,
        )
    return destination


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
        See :func:`write_imaging`.
    include_roi_centroids, include_roi_acceptance, mask_type, iterator_options, compression_options
        See :func:`add_plane_segmentation`.

    Returns
    -------
    pynwb.NWBFile
        The filled object. After writing to a path, its data belong to a file that is closed.

    Raises
    ------
    AssertionError
        When both a path and an object are given.
    """
    _check_other_source(segmentation_extractor, nwbfile_path, overwrite)
    with _destination(nwbfile_path, nwbfile, metadata, overwrite, verbose) as destination:
        add_segmentation(
            segmentation_extractor,
            destination,
            metadata,
            include_roi_centroids=include_roi_centroids,
            include_roi_acceptance=include_roi_acceptance,
            mask_type=mask_type,
            iterator_options=iterator_options,
            compression_options=compression_options,
        )
    return destination


def _check_other_source(extractor: Any, path: str | Path | None, overwrite: bool) -> None:
    """Check that an extractor is not read from the file that is replaced.

    Raises
    ------
    ArgumentError
        If it is.
    """
    if path is None or not overwrite:
        return
    target = with_home(as_path(path))
    files, _ = origins_of(extractor)
    if any(is_within(file.resolve(), target) for file in files if target.exists()):
        raise ArgumentError(
            f"'{path}' is the file from which the data are read, and what else it holds would be "
            "lost; give another name, or leave out overwrite=True to add to it."
        )


@contextmanager
def _destination(
    nwbfile_path: str | Path | None,
    nwbfile: NWBFile | None,
    metadata: Mapping[str, Any] | None,
    overwrite: bool,
    verbose: bool,
) -> Iterator[NWBFile]:
    """Give the ``NWBFile`` to add to, and write it where a path is given.

    Raises
    ------
    AssertionError
        When a path and an object are given together.
    """
    if nwbfile_path is not None and nwbfile is not None:
        raise ArgumentError("nwbfile_path and nwbfile were both given; give one of them.")
    if nwbfile_path is None:
        yield make_nwbfile(metadata) if nwbfile is None else nwbfile
        return
    how = WriteOptions(overwrite=overwrite, append=not overwrite)
    with target(nwbfile_path, how) as place:
        destination = make_nwbfile(metadata) if place.nwbfile is None else place.nwbfile
        yield destination
        complete_tables_without_masks(destination)
        place.write(destination)
    if verbose:
        print(f"NWB file written: {nwbfile_path}")
