"""Suite2p output: a folder ``suite2p`` with ``plane0``, ``plane1``, … of .npy files.

Names, types and shapes follow Suite2p 0.10 to 1.1, see https://suite2p.readthedocs.io/en/latest/outputs.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_suite2p"]

#: (start, stop) of the rows and of the columns that remain after registration.
Crop = tuple[tuple[int, int], tuple[int, int]]

#: Counts of a static label in the second channel, and the bleed-through from the first channel.
_LABEL_COUNTS = 60.0
_BLEED_THROUGH = 0.1


def write_suite2p(
    folder: str | Path,
    recordings: SimulatedRecording | Sequence[SimulatedRecording],
    *,
    second_channel: bool = False,
    crop: Crop | None = None,
    iscell: Sequence[Sequence[bool]] | None = None,
    movie: bool = False,
    rois: bool = True,
    offsets: Array | None = None,
) -> Path:
    """Write the results of Suite2p for recordings of one plane each.

    The traces are (cells, samples) in float32: ``F.npy`` the fluorescence, ``Fneu.npy`` the
    neuropil, ``spks.npy`` the spikes. ``stat.npy`` has the pixels, in coordinates of the whole
    field even if it is cropped.

    Parameters
    ----------
    folder : str or pathlib.Path
        The folder in which the folder ``suite2p`` is made.
    recordings : SimulatedRecording or sequence of SimulatedRecording
        One recording of a single plane per plane.
    second_channel : bool
        Also write the traces of a second channel (``F_chan2.npy``, ``Fneu_chan2.npy``), its mean
        image, and ``redcell.npy``, in which every other cell has the label. The second channel is
        a constant label plus a tenth of the first channel.
    crop : tuple, optional
        (start, stop) of the rows and of the columns that are left after registration
        (``yrange``, ``xrange``), to which Suite2p cuts the images ``Vcorr`` and ``max_proj``; the
        whole field by default. All cells must lie within it.
    iscell : sequence of sequence of bool, optional
        For each plane, which of its ROIs are cells; all by default.
    movie : bool
        Whether to write the registered movie, ``data.bin``, as int16; uint16 is halved to fit, as
        in Suite2p. The movie of the second channel is ``data_chan2.bin``.
    rois : bool
        Whether to write ROIs; without them only the results of registration are written:
        ``ops.npy`` and the movies.
    offsets : numpy.ndarray of int, shape (samples, 2), optional
        ``yoff`` and ``xoff``: shift (row, column) of each frame that registration found; 0 by
        default.

    Returns
    -------
    pathlib.Path
        The folder ``suite2p``.

    Raises
    ------
    ValueError
        If a recording has several planes, a cell extends beyond `crop`, or the lengths of `iscell`
        differ from the numbers of planes and cells.
    """
    planes = [recordings] if isinstance(recordings, SimulatedRecording) else list(recordings)
    if iscell is None:
        iscell = [[True] * plane.num_cells for plane in planes]
    _check(planes, crop, iscell)
    suite2p_folder = Path(folder) / "suite2p"
    for index, (plane, accepted) in enumerate(zip(planes, iscell, strict=True)):
        plane_folder = suite2p_folder / f"plane{index}"
        plane_folder.mkdir(parents=True, exist_ok=True)
        ops = _ops(plane, crop, plane_folder, len(planes), second_channel)
        files: dict[str, Any] = {"ops": ops | _registration(plane.num_samples, offsets)}
        if rois:
            files |= _rois(plane, accepted, second_channel)
        for name, values in files.items():
            np.save(plane_folder / f"{name}.npy", np.asarray(values), allow_pickle=True)
        if movie:
            _write_movies(plane_folder, plane, second_channel)
    return suite2p_folder


def _check(
    planes: list[SimulatedRecording], crop: Crop | None, iscell: Sequence[Sequence[bool]]
) -> None:
    """Raise a ValueError if Suite2p could not have written the planes."""
    if any(len(plane.field_shape) != 2 for plane in planes):
        raise ValueError(
            "Suite2p analyses each plane of a volume separately; give one recording per plane."
        )
    if [len(flags) for flags in iscell] != [plane.num_cells for plane in planes]:
        raise ValueError(
            f"iscell has {[len(flags) for flags in iscell]} flags, but the planes have "
            f"{[plane.num_cells for plane in planes]} cells."
        )
    for pixels in [pixels for plane in planes for pixels in plane.pixel_masks] if crop else []:
        for axis, (start, stop) in enumerate(crop or ()):
            if pixels[:, axis].min() < start or pixels[:, axis].max() >= stop:
                raise ValueError(f"crop is {crop}, but a cell extends beyond it.")


def _rois(
    plane: SimulatedRecording, accepted: Sequence[bool], second_channel: bool
) -> dict[str, Any]:
    """Return the contents of the files about the ROIs of a plane, by file name."""
    files = _traces(plane) | {
        "stat": _stat(plane),
        # The second column is the probability that the classifier gives.
        "iscell": np.array([[flag, 0.1 + 0.8 * flag] for flag in accepted]).reshape(-1, 2),
    }
    return files | (_second_channel(plane) if second_channel else {})


def _write_movies(folder: Path, plane: SimulatedRecording, second_channel: bool) -> None:
    """Write the registered movies: consecutive frames without a header."""
    halved = plane.movie // 2 if plane.movie.dtype == np.uint16 else plane.movie
    halved.astype("<i2").tofile(folder / "data.bin")
    if second_channel:
        label = _LABEL_COUNTS * plane.image_masks()[::2].sum(axis=0)
        (label + _BLEED_THROUGH * halved).astype("<i2").tofile(folder / "data_chan2.bin")


def _traces(plane: SimulatedRecording) -> dict[str, Any]:
    """Return the traces of the first channel, (cells, samples)."""
    return {"F": plane.fluorescence.T, "Fneu": plane.neuropil.T, "spks": plane.spikes.T}


def _second_channel(plane: SimulatedRecording) -> dict[str, Any]:
    """Return the traces of the second channel, and the flags of cells with its label."""
    labelled = np.arange(plane.num_cells) % 2 == 0
    label = np.float32(_LABEL_COUNTS) * labelled[:, np.newaxis]
    bleed_through = np.float32(_BLEED_THROUGH)
    return {
        "F_chan2": (label + bleed_through * plane.fluorescence.T).astype(np.float32),
        "Fneu_chan2": bleed_through * plane.neuropil.T,
        "redcell": np.column_stack([labelled, np.where(labelled, 0.8, 0.2)]).astype(float),
    }


def _stat(plane: SimulatedRecording) -> Array:
    """Return the ROIs: an object array of one dict per cell."""
    stat = np.empty(plane.num_cells, dtype=object)
    for index, pixels in enumerate(plane.pixel_masks):
        row, column = pixels[:, 0].astype(np.int32), pixels[:, 1].astype(np.int32)
        trace = plane.fluorescence[:, index] - np.float32(0.7) * plane.neuropil[:, index]
        spread = (row.std(), column.std())
        stat[index] = {
            "ypix": row,
            "xpix": column,
            "lam": pixels[:, 2].astype(np.float32),
            # Suite2p takes the pixel of the ROI that is nearest to its median.
            "med": _nearest_pixel(row, column),
            "npix": len(row),
            "footprint": 1.0,
            "compact": 1.0,
            "radius": 2 * float(np.mean(spread)),
            "aspect_ratio": 2 * max(spread) / (sum(spread) + 0.01),
            "npix_norm": np.float32(len(row) / np.mean([len(p) for p in plane.pixel_masks])),
            "overlap": np.zeros(len(row), dtype=bool),
            "skew": np.float32(((trace - trace.mean()) ** 3).mean() / trace.std() ** 3),
            "std": np.float32(trace.std()),
        }
    return stat


def _nearest_pixel(row: Array, column: Array) -> list[int]:
    """Return [row, column] of the pixel nearest to the median of all."""
    nearest = np.argmin((row - np.median(row)) ** 2 + (column - np.median(column)) ** 2)
    return [int(row[nearest]), int(column[nearest])]


def _ops(
    plane: SimulatedRecording,
    crop: Crop | None,
    plane_folder: Path,
    num_planes: int,
    second_channel: bool,
) -> dict[str, Any]:
    """Return the settings and images of a plane; images are float32 but for float64 Vcorr."""
    num_rows, num_columns = plane.field_shape
    rows, columns = crop or ((0, num_rows), (0, num_columns))
    window = (slice(*rows), slice(*columns))
    mean_image = plane.mean_image()
    ops = {
        "nplanes": num_planes,
        "nchannels": 2 if second_channel else 1,
        "functional_chan": 1,
        "tau": 0.7,
        "fs": plane.sampling_frequency,
        "nframes": plane.num_samples,
        "Ly": num_rows,
        "Lx": num_columns,
        "yrange": list(rows),
        "xrange": list(columns),
        "Lyc": rows[1] - rows[0],
        "Lxc": columns[1] - columns[0],
        "meanImg": mean_image,
        "meanImgE": (mean_image - mean_image.min()) / np.ptp(mean_image),
        "refImg": mean_image.astype(np.int16),
        "Vcorr": plane.correlation_image()[window],
        "max_proj": plane.maximum_image()[window],
        "filelist": [str(plane_folder.parent.parent / "recording.tif")],
        "frames_per_file": np.array([plane.num_samples]),
        "reg_file": str(plane_folder / "data.bin"),
        "neucoeff": 0.7,
        "save_folder": "suite2p",
        "save_path0": str(plane_folder.parent.parent),
        "save_path": str(plane_folder),
    }
    if second_channel:
        label = _LABEL_COUNTS * plane.image_masks()[::2].sum(axis=0)
        ops["meanImg_chan2"] = (label + _BLEED_THROUGH * mean_image).astype(np.float32)
    return ops


def _registration(num_samples: int, offsets: Array | None) -> dict[str, Any]:
    """Return the results of registration; the simulated field itself does not move."""
    found = np.zeros((num_samples, 2)) if offsets is None else np.asarray(offsets)
    return {
        "do_registration": 1,
        "yoff": found[:, 0].astype(np.int32),
        "xoff": found[:, 1].astype(np.int32),
        "corrXY": np.ones(num_samples, dtype=np.float32),
        "badframes": np.zeros(num_samples, dtype=bool),
    }


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a Suite2p folder whose last ROI is not a cell; return the source arguments."""
    flags = [[True] * (recording.num_cells - 1) + [False]]
    return {"folder_path": write_suite2p(folder, recording, iscell=flags)}


def write_movie_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a Suite2p folder with a registered movie and no ROIs; return the source arguments."""
    return {"folder_path": write_suite2p(folder, recording, movie=True, rois=False)}
