"""Compute which pages of a ScanImage recording belong to which sample."""

import warnings
from collections.abc import Sequence

import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.extractors.scanimage_header import ScanImageMetadata
from nwb_ophys.extractors.tiff_pages import Integers


def sample_pages(
    samples: Integers,
    *,
    metadata: ScanImageMetadata,
    channel_index: int,
    planes: Integers,
    slice_samples: Sequence[int],
) -> Integers:
    """Compute which pages samples consist of; no table, so of any number of pages.

    Parameters
    ----------
    samples : numpy.ndarray of int64, shape (samples,)
        Numbers of the samples, from 0.
    metadata : ScanImageMetadata
        Gives the numbers of channels, planes, frames per slice and flyback frames.
    channel_index : int
        Which of the saved channels.
    planes : numpy.ndarray of int64, shape (planes,)
        Which planes.
    slice_samples : sequence of int
        Which frames of each slice; each is a sample of its own.

    Returns
    -------
    numpy.ndarray of int64, shape (samples, planes)
        Numbers of the pages, counted over all files from 0.
    """
    num_channels = len(metadata.channel_numbers)
    volumes, which = np.divmod(samples, len(slice_samples))
    frames_in_slice = np.asarray(slice_samples, np.int64)[which]
    frames_in_volume = planes[None, :] * metadata.frames_per_slice + frames_in_slice[:, None]
    frames = volumes[:, None] * metadata.frames_per_cycle + frames_in_volume
    return frames * num_channels + channel_index


def count_volumes(num_pages: int, metadata: ScanImageMetadata) -> int:
    """Count the complete volumes (or frames) of a recording.

    Parameters
    ----------
    num_pages : int
        Number of pages of all files.
    metadata : ScanImageMetadata
        Gives the numbers of channels, planes, frames per slice and flyback frames.

    Returns
    -------
    int
        At least 1. A UserWarning says how many pages of an incomplete last volume are left out.

    Raises
    ------
    SourceError
        If there is not even one.
    """
    num_channels = len(metadata.channel_numbers)
    num_volumes, rest = divmod(num_pages, metadata.frames_per_cycle * num_channels)
    # An acquisition may end with the last plane, before the flyback.
    flyback_pages = metadata.num_flyback_frames * num_channels
    if rest >= metadata.frames_per_cycle * num_channels - flyback_pages:
        num_volumes, rest = num_volumes + 1, 0
    if rest and num_volumes:
        message = (
            f"{metadata.path}: the acquisition was stopped within volume {num_volumes} (from 0); "
            f"its {rest} pages ({rest / num_channels:g} frames of {num_channels} channels) are "
            "left out, since they make up no complete sample"
        )
        warnings.warn(message, UserWarning, stacklevel=3)
    if not num_volumes:
        message = (
            f"{metadata.path} and the files after it hold {num_pages} pages, less than one volume "
            f"of {metadata.num_planes} planes x {metadata.frames_per_slice} frames x "
            f"{num_channels} channels; there is nothing to convert"
        )
        raise SourceError(message)
    return num_volumes
