"""Movies in HDF5 files, as CaImAn and other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_hdf5"]


def write_hdf5(
    path: str | Path,
    movie: Array,
    *,
    dataset_name: str = "mov",
    sampling_frequency: float | None = 30.0,
    start_time: float | None = None,
    dimension_labels: str | None = None,
    **storage: Any,
) -> Path:
    """Write a movie as a dataset of an HDF5 file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; an existing one is overwritten.
    movie : numpy.ndarray
        Movie with its axes in any order.
    dataset_name : str
        Name of the dataset; a name with slashes is a path in groups. CaImAn writes ``mov``.
    sampling_frequency, start_time : float, optional
        Written as the attributes ``fr`` and ``start_time`` of the dataset.
    dimension_labels : str, optional
        One letter per axis, written as its dimension label.
    **storage
        Storage options of the dataset, such as ``chunks`` and ``compression``.

    Returns
    -------
    pathlib.Path
        The file written.
    """
    path = Path(path)
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(dataset_name, data=np.asarray(movie), **storage)
        for name, value in (("fr", sampling_frequency), ("start_time", start_time)):
            if value is not None:
                dataset.attrs[name] = float(value)
        for index, label in enumerate(dimension_labels or ""):
            dataset.dims[index].label = label
    return path


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a movie as CaImAn saves it in HDF5; return the source arguments."""
    return {"file_path": write_hdf5(folder / "movie.hdf5", recording.movie)}
