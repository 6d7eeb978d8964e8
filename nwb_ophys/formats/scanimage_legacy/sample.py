"""TIFF files as ScanImage 3.8 writes them, with the settings in the description of each page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nwb_ophys.optional import require_package

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_scanimage_legacy"]


def write_scanimage_legacy(
    path: str | Path,
    channels: Array | Mapping[int, Array],
    *,
    sampling_frequency: float = 30.0,
    num_averaged: int = 1,
    z_step: float = 10.0,
    num_planned: int | None = None,
    session_start_time: datetime | None = datetime(2017, 10, 9, 16, 57, 7, 967000),
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Write an acquisition as ScanImage 3.8 does: one file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    channels : numpy.ndarray or mapping of int to numpy.ndarray
        Movie of each saved channel by its number, 1 to 4; a single array is channel 1. uint16,
        (samples, rows, columns), or (samples, rows, columns, planes) for a stack, whose samples are
        the frames of each slice: all frames of a slice are written before the next slice.
    sampling_frequency : float
        Frames that the scanner acquires per second in Hz, before averaging.
    num_averaged : int
        Number of acquired frames that are averaged to one saved frame.
    z_step : float
        Distance between slices in micrometres.
    num_planned : int, optional
        Planned number of frames per slice; by default the actual number.
    session_start_time : datetime.datetime, optional
        Wall-clock time of the trigger, to a millisecond, without a time zone; None leaves it out.
    settings : mapping of str to str, optional
        Further settings, or other values of existing ones, by name without ``state.``.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If shapes differ between channels, or a movie is not uint16.
    MissingPackageError
        If tifffile is not installed.
    """
    tifffile = require_package("tifffile", "scanimage-legacy")
    movies = dict(channels) if isinstance(channels, Mapping) else {1: np.asarray(channels)}
    stacks = [np.asarray(movies[n]).reshape(*movies[n].shape[:3], -1) for n in sorted(movies)]
    if len({(stack.shape, stack.dtype) for stack in stacks}) != 1 or stacks[0].dtype != np.uint16:
        raise ValueError("ScanImage 3.8 writes channels of one shape and of uint16.")
    num_frames, rows, columns, num_planes = stacks[0].shape
    values = {
        "configName": "'standard'",
        "software.version": "3.8",
        "acq.numberOfZSlices": f"{num_planes}",
        "acq.zStepSize": f"{z_step:g}",
        "acq.numAvgFramesSave": f"{num_averaged}",
        "acq.averaging": "1",
        "acq.numberOfFrames": f"{(num_planned or num_frames) * num_averaged}",
        "acq.linesPerFrame": f"{rows}",
        "acq.pixelsPerLine": f"{columns}",
        "acq.frameRate": repr(float(sampling_frequency)),
        "acq.msPerLine": repr(1000 / (rows * sampling_frequency)),
        "acq.zoomFactor": "2",
        **{f"acq.savingChannel{n}": f"{int(n in movies)}" for n in range(1, 5)},
        "acq.numberOfChannelsSave": f"{len(movies)}",
        "motor.absXPosition": "659.6",
        "motor.absYPosition": "-10386.6",
        "motor.absZPosition": "-8068.4",
        "internal.triggerTimeString": _stamp(session_start_time),
        **(settings or {}),
    }
    text = "".join(f"state.{name}={value}\r" for name, value in values.items())
    # Channel fastest, then frame of the slice, then slice.
    pages = np.stack(stacks).transpose(4, 1, 0, 2, 3).reshape(-1, rows, columns)
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, photometric="minisblack", description=text, metadata=None)
    return Path(path)


def _stamp(moment: datetime | None) -> str:
    """Return a time as text in the form month/day/year hours:minutes:seconds, to milliseconds."""
    if moment is None:
        return "''"
    seconds = moment.second + moment.microsecond / 1e6
    day = f"{moment.month}/{moment.day}/{moment.year}"
    return f"'{day} {moment.hour:02d}:{moment.minute:02d}:{seconds:06.3f}'"


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a file of ScanImage 3.8; return the source arguments."""
    movie = recording.movie.astype("uint16")
    return {"file_path": write_scanimage_legacy(folder / "old.tif", movie)}
