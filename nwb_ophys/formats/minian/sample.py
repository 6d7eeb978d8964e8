"""Minian output: a folder of Zarr stores, as xarray saves variables.

Names, axes, types and attributes follow a real recording saved by ``minian.utilities.save_minian``,
see https://minian.readthedocs.io/en/stable/pipeline/notebook_5.html. The stores
have Zarr format 2 and are written without the package zarr: an array is a folder with a JSON header
and one file of raw values per chunk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_minian", "write_minian_movie"]

_SESSION = {"animal": "m7", "session": "m7_minian", "session_id": "m7-4"}


def write_minian(
    folder: str | Path,
    recording: SimulatedRecording,
    *,
    unit_ids: Sequence[int] | None = None,
    first_frame: int = 0,
    frame_step: int = 1,
    first_pixel: tuple[int, int] = (0, 0),
    with_background: bool = True,
    with_timestamps: bool = True,
) -> Path:
    """Write a recording as Minian saves its results.

    ``A`` are the footprints (unit_id, height, width), ``C`` the calcium, ``S`` the spikes, ``b0``
    the baseline and ``c0`` the initial decay (unit_id, frame), ``b`` and ``f`` the background in
    space (height, width) and time (frame), ``max_proj`` the maximum (height, width).

    Parameters
    ----------
    folder : str or pathlib.Path
        Created if it does not exist; stores in it are overwritten.
    recording : SimulatedRecording
        Recording of one plane.
    unit_ids : sequence of int, optional
        Labels of the units; 0, 1, 2, … by default. Curation leaves gaps.
    first_frame, frame_step : int
        Frames of the recorded movie that Minian kept, which are those of `recording`.
    first_pixel : (int, int)
        Row and column of the recorded movie at which the field begins.
    with_background, with_timestamps : bool
        Whether to write ``b`` and ``f``, and ``timeStamps.csv``. The miniscope writes the latter,
        with times in whole milliseconds and one row per frame of the recorded movie.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    ValueError
        If the recording has several planes.
    """
    if len(recording.field_shape) != 2:
        raise ValueError("Minian analyses one plane, but this recording has several.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    num_cells, num_samples = recording.num_cells, recording.num_samples
    rows, columns = (
        np.arange(start, start + size)
        for start, size in zip(first_pixel, recording.field_shape, strict=True)
    )
    coordinates = {
        "unit_id": np.arange(num_cells) if unit_ids is None else np.asarray(unit_ids, np.int64),
        "frame": first_frame + frame_step * np.arange(num_samples),
        "height": rows,
        "width": columns,
    }
    for name, (dimensions, values) in _variables(recording).items():
        is_background = name in ("b", "f")
        if is_background and not with_background:
            continue
        own = {dimension: coordinates[dimension] for dimension in dimensions}
        scalars: dict[str, Any] = _SESSION | ({"unit_id": np.int64(-1)} if is_background else {})
        _write_store(folder / f"{name}.zarr", name, dimensions, values, own, scalars)
    if with_timestamps:
        _write_timestamps(folder / "timeStamps.csv", recording, first_frame, frame_step)
    return folder


def write_minian_movie(
    folder: str | Path,
    movie: Array,
    *,
    motion: Array | None = None,
    original: Array | None = None,
    first_frame: int = 0,
) -> Path:
    """Write a registered movie as Minian saves it with its intermediate results.

    Parameters
    ----------
    folder : str or pathlib.Path
        Created if it does not exist.
    movie : numpy.ndarray, shape (frames, rows, columns)
        Written as float64, ``Y_fm_chk``.
    motion : numpy.ndarray, shape (frames, 2), optional
        Number of pixels by which each frame was moved: rows and columns.
    original : numpy.ndarray, shape (frames, rows, columns), optional
        The movie before, ``varr_ref``.
    first_frame : int
        Number of the first frame in the recorded movie.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    axes = ("frame", "height", "width")
    coordinates = {name: np.arange(size) for name, size in zip(axes, movie.shape, strict=True)}
    coordinates["frame"] = coordinates["frame"] + first_frame
    movies = {"Y_fm_chk": movie.astype(np.float64)}
    if original is not None:
        movies["varr_ref"] = original
    for name, values in movies.items():
        _write_store(folder / f"{name}.zarr", name, axes, values, coordinates, _SESSION)
    if motion is not None:
        both = {"frame": coordinates["frame"], "shift_dim": np.array(["height", "width"])}
        store, values = folder / "motion.zarr", np.asarray(motion, np.float64)
        _write_store(store, "motion", ("frame", "shift_dim"), values, both, _SESSION)
    return folder


def _variables(recording: SimulatedRecording) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Return the axes and the values of each variable, float64."""
    of_units, field = ("unit_id", "frame"), ("height", "width")
    calcium = recording.calcium.T
    baseline = np.repeat(np.min(recording.fluorescence, axis=0)[:, None], calcium.shape[1], axis=1)
    background = recording.mean_image().astype(np.float64)
    slow = (recording.neuropil if recording.num_cells else np.ones((calcium.shape[1], 1))).mean(
        axis=1, dtype=np.float64
    )
    return {
        "A": (("unit_id", *field), recording.image_masks()),
        "C": (of_units, calcium),
        "S": (of_units, recording.spikes.T.astype(np.float64)),
        "b0": (of_units, baseline.astype(np.float64)),
        "c0": (of_units, calcium[:, :1] * 0.9 ** np.arange(calcium.shape[1])),
        "b": (field, background / np.linalg.norm(background)),
        "f": (("frame",), slow),
        "max_proj": (field, recording.maximum_image().astype(np.float64)),
    }


def _write_store(
    store: Path,
    name: str,
    dimensions: Sequence[str],
    values: Array,
    coordinates: Mapping[str, Array],
    scalars: Mapping[str, Any],
) -> None:
    store.mkdir(exist_ok=True)
    (store / ".zgroup").write_text('{"zarr_format": 2}')
    beside = {"coordinates": " ".join(scalars)}
    # Minian's chunks of footprints are one unit and half of the field along each axis.
    whole = [max(size, 1) for size in values.shape]
    chunks = [1, *(-(-size // 2) for size in whole[1:])] if values.ndim == 3 else whole
    write_zarr_array(store / name, values, chunks, dimensions, beside)
    for dimension, places in coordinates.items():
        write_zarr_array(store / dimension, places, [max(len(places), 1)], [dimension])
    for key, value in scalars.items():
        write_zarr_array(store / key, np.asarray(value), [], [])


def write_zarr_array(
    folder: Path,
    values: Array,
    chunks: Sequence[int],
    dimensions: Sequence[str],
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write an array of Zarr format 2, without compression.

    Parameters
    ----------
    folder : pathlib.Path
    values : numpy.ndarray
    chunks : sequence of int
        Shape of a chunk.
    dimensions : sequence of str
        Names of the axes, which xarray reads.
    attributes : Mapping, optional
    """
    folder.mkdir(parents=True, exist_ok=True)
    header = {
        "chunks": list(chunks),
        "compressor": None,
        "dtype": values.dtype.str,
        "fill_value": "" if values.dtype.kind == "U" else 0,
        "filters": None,
        "order": "C",
        "shape": list(values.shape),
        "zarr_format": 2,
    }
    stated = {"_ARRAY_DIMENSIONS": list(dimensions), **(attributes or {})}
    (folder / ".zarray").write_text(json.dumps(header))
    (folder / ".zattrs").write_text(json.dumps(stated))
    counts = [-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True)]
    for place in product(*(range(count) for count in counts)):
        # Chunks at the edge have the full size.
        block = np.zeros(chunks, values.dtype)
        part = values[tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, chunks, strict=True))]
        block[tuple(slice(0, size) for size in part.shape)] = part
        (folder / (".".join(map(str, place)) or "0")).write_bytes(block.tobytes())


def _write_timestamps(
    path: Path, recording: SimulatedRecording, first_frame: int, frame_step: int
) -> None:
    """Write the time of every frame of the recorded movie, kept or not."""
    num_frames = first_frame + frame_step * recording.num_samples
    period = 1e3 / recording.sampling_frequency / frame_step
    rows = [f"{frame},{round(frame * period)},0" for frame in range(num_frames)]
    path.write_text("\n".join(["Frame Number,Time Stamp (ms),Buffer Index", *rows, ""]))


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a folder of Minian from which curation removed units; return the source arguments.

    The folder has no ``timeStamps.csv``, so the sampling frequency is an argument.
    """
    unit_ids = range(2, 2 + 5 * recording.num_cells, 5)
    path = folder / "minian"
    write_minian(path, recording, unit_ids=unit_ids, frame_step=2, with_timestamps=False)
    return {"folder_path": path, "sampling_frequency": 30.0}


def write_movie_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a movie that Minian registered, without its shifts; return the source arguments."""
    path = write_minian_movie(folder / "intermediate", recording.movie)
    return {"folder_path": path, "sampling_frequency": 30.0}
