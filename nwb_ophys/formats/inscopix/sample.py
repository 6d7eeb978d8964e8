"""Inscopix's ``.isxd`` files: movies and cell sets, with a JSON header behind the data.

The layout follows files that Inscopix's package ``isx`` 2.1 writes and reads: the data, the JSON, a
zero byte, and the length of the JSON in 8 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_inscopix", "write_inscopix_cells"]

_DTYPES = {"uint16": 0, "float32": 1, "uint8": 2}
_STATUSES = ("accepted", "undecided", "rejected")


def write_inscopix(
    path: str | Path,
    movie: Array,
    *,
    sampling_frequency: float = 30.0,
    start: float = 0,
    utc_offset: int = 0,
    missing: Mapping[str, Sequence[Any]] | None = None,
    margins: bool = False,
    properties: Mapping[str, Any] | None = None,
) -> Path:
    """Write a movie as an ``.isxd`` file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    movie : numpy.ndarray of uint16, float32 or uint8
        (samples, rows, columns).
    sampling_frequency : float
        Frames per second in Hz.
    start : float
        Start of the recording in seconds since 1970; 0 in files that do not state it.
    utc_offset : int
        Offset of the local time from UTC in seconds.
    missing : mapping of str to sequence, optional
        Indices of ``dropped`` and ``blank`` frames, and spans "first - last" of ``cropped`` frames.
        The movie contains only the other frames.
    margins : bool
        Whether each frame has a header and a footer of 5120 bytes, as during acquisition.
    properties : mapping, optional
        Properties of the session: ``animal``, ``microscope``, ``idps``, …

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the movie has other axes or another dtype than those of the format.
    """
    movie = np.asarray(movie)
    if movie.ndim != 3 or movie.dtype.name not in _DTYPES:
        raise ValueError(
            f"movie is {movie.dtype} with {movie.ndim} axes, but an .isxd movie has the axes "
            f"(samples, rows, columns) and is one of {', '.join(_DTYPES)}."
        )
    absent = {key: list(entries) for key, entries in (missing or {}).items()}
    num_times = len(movie) + sum(_count(entry) for each in absent.values() for entry in each)
    margin = b"\0" * (5120 if margins else 0)
    little = movie.astype(movie.dtype.newbyteorder("<"))
    data = b"".join(margin + frame.tobytes() + margin for frame in little)
    header = {
        "dataType": _DTYPES[movie.dtype.name],
        "extraProperties": dict(properties) if properties else None,
        "fileVersion": 1,
        "hasFrameHeaderFooter": margins,
        **_frame_of_reference(movie.shape[1:], num_times, sampling_frequency, start, utc_offset),
        "type": 0,
    }
    header["timingInfo"] |= absent
    return _write(Path(path), data, header)


def write_inscopix_cells(
    path: str | Path,
    recording: SimulatedRecording,
    *,
    statuses: Sequence[str] | None = None,
    start: float = 0,
    utc_offset: int = 0,
    properties: Mapping[str, Any] | None = None,
) -> Path:
    """Write the cells of a recording as an ``.isxd`` cell set: footprints and fluorescence.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    recording : SimulatedRecording
        Recording of one plane.
    statuses : sequence of {"accepted", "undecided", "rejected"}, optional
        Status of each cell; undecided by default, as after cell detection.
    start, utc_offset, properties
        See :func:`write_inscopix`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the recording has several planes, or a status is not one of the above.
    """
    if len(recording.field_shape) != 2:
        raise ValueError("The recording has several planes, but a cell set has one.")
    chosen = ["undecided"] * recording.num_cells if statuses is None else list(statuses)
    if len(chosen) != recording.num_cells or not set(chosen) <= set(_STATUSES):
        raise ValueError(f"statuses must be one of {', '.join(_STATUSES)} for each cell.")
    footprints = recording.image_masks().reshape(
        recording.num_cells, int(np.prod(recording.field_shape))
    )
    cells = np.concatenate([footprints, recording.fluorescence.T], axis=1).astype("<f4")
    header = {
        "CellActivity": [True] * recording.num_cells,
        "CellColors": [2**32 - 1] * recording.num_cells,
        "CellNames": [f"C{index}" for index in range(recording.num_cells)],
        "CellStatuses": [_STATUSES.index(status) for status in chosen],
        "dataType": "float",
        "efocusValues": [0],
        "extraProperties": dict(properties) if properties else None,
        "fileVersion": 5,
        "isRoiSet": False,
        **_frame_of_reference(
            recording.field_shape,
            recording.num_samples,
            recording.sampling_frequency,
            start,
            utc_offset,
        ),
        # Lists that isx requires, for cells that are registered across sessions.
        **{"CentroidDistances": [], "Matches": [], "PairScores": [], "SizeGlobalCS": 0},
        "cellMetrics": [],
        "type": 1,
    }
    return _write(Path(path), cells.tobytes(), header)


def _frame_of_reference(
    shape: Sequence[int], num_times: int, rate: float, start: float, utc_offset: int
) -> dict[str, Any]:
    """Return the times, and the size of the field, whose pixels are 3 µm wide on the sensor."""
    rows, columns = shape
    period = 1 / Fraction(rate).limit_denominator(1_000_000)
    sensor = {axis: {"den": 1, "num": 3} for axis in ("x", "y")}
    corner = {axis: {"den": 1, "num": 0} for axis in ("x", "y")}
    moment = Fraction(start).limit_denominator(1_000_000)
    return {
        "producer": {"name": "isxcore", "version": [2, 0, 1]},
        "spacingInfo": {
            "numPixels": {"x": int(columns), "y": int(rows)},
            "pixelSize": sensor,
            "topLeft": corner,
        },
        "timingInfo": {
            **{"blank": [], "cropped": [], "dropped": []},
            "numTimes": num_times,
            "period": {"den": period.denominator, "num": period.numerator},
            "start": {
                "secsSinceEpoch": {"den": moment.denominator, "num": moment.numerator},
                "utcOffset": utc_offset,
            },
        },
    }


def _count(entry: Any) -> int:
    """Return the number of frames of an index or a span "first - last"."""
    first, _, last = str(entry).partition("-")
    return int(last or first) - int(first) + 1


def _write(path: Path, data: bytes, header: dict[str, Any]) -> Path:
    text = json.dumps(header, indent=4, sort_keys=True).encode()
    path.write_bytes(data + text + b"\0" + len(text).to_bytes(8, "little"))
    return path


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a movie of an Inscopix miniscope; return the source arguments."""
    return {"file_path": write_inscopix(folder / "movie.isxd", recording.movie.astype("uint16"))}


def write_cells_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a cell set whose last cell is rejected; return the source arguments."""
    statuses = ["accepted"] * (recording.num_cells - 1) + ["rejected"]
    path = write_inscopix_cells(folder / "cells.isxd", recording, statuses=statuses)
    return {"file_path": path}
