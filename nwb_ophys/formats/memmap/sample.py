"""Memory maps of CaImAn: files that contain only pixels, with shape and order in their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_memmap"]


def write_memmap(
    folder: str | Path, movie: Array, *, order: Literal["C", "F"] = "F", stem: str = "memmap"
) -> Path:
    """Write a movie as a memory map of CaImAn.

    Parameters
    ----------
    folder : str or pathlib.Path
        Folder of the file; created if it does not exist.
    movie : numpy.ndarray
        (samples, rows, columns[, planes]); stored as float32.
    order : {"C", "F"}
        Whether the samples of one pixel are contiguous (C), or the pixels of one frame (F).
    stem : str
        Beginning of the file name.

    Returns
    -------
    pathlib.Path
        The file, such as ``memmap_d1_48_d2_64_d3_1_order_F_frames_100_.mmap``.
    """
    movie = np.asarray(movie)
    samples, rows, columns, planes = movie.reshape(*movie.shape[:3], -1).shape
    name = f"{stem}_d1_{rows}_d2_{columns}_d3_{planes}_order_{order}_frames_{samples}_.mmap"
    # One column per frame, with the pixels of the image column by column.
    matrix = np.stack([frame.reshape(-1, order="F") for frame in movie], axis=1)
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(matrix.astype("<f4").tobytes(order=order))
    return path


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a memory map of CaImAn; return the source arguments."""
    return {"file_path": write_memmap(folder, recording.movie), "sampling_frequency": 30.0}
