"""Scanbox recordings: a ``.sbx`` file of pixels and a ``.mat`` file with the struct ``info``.

Source of the layout: https://scanbox.org/2016/09/02/reading-scanbox-files-in-python/ and the fields
of a real ``.mat`` file. Pixels are stored inverted: 65535 is dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nwb_ophys.optional import require_package
from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_scanbox"]

_BRIGHTEST = 65535
# Size of a pixel in µm by magnification, from a real microscope.
_MAGNIFICATIONS = {"1.0": (1.40845, 1.42857), "2.0": (0.72289, 0.72289), "4.0": (0.37037, 0.36585)}


def write_scanbox(
    path: str | Path,
    channels: Array | Mapping[int, Array],
    *,
    sampling_frequency: float = 30.0,
    bidirectional: bool = False,
    version: int = 2,
    magnification: int = 1,
    plane_depths: Sequence[float] | None = None,
    wavelength: float = 920.0,
    pmt_gains: Sequence[float] = (0.74, 0.5),
    objective: str = "Nikon 16x/0.8w/WD3.0",
    frames_requested: int = 0,
    num_frames: int | None = None,
    info: Mapping[str, Any] | None = None,
) -> Path:
    """Write a recording as Scanbox does.

    Parameters
    ----------
    path : str or pathlib.Path
        The ``.sbx`` file; the ``.mat`` file is written beside it.
    channels : numpy.ndarray or mapping of int to numpy.ndarray
        Movie of integers from 0 to 65535, (samples, rows, columns[, planes]), of the first
        photomultiplier; or one movie per photomultiplier by its number, 0 or 1.
    sampling_frequency : float
        Frames or volumes per second in Hz, which determines the frequency of the mirror.
    bidirectional : bool
        Whether lines are scanned in both directions; the number of rows must then be even.
    version : int
        Version of Scanbox: 2, or 3, which writes the channels as a separate struct.
    magnification : int
        Index of the magnification, from 1.
    plane_depths : sequence of float, optional
        Depths of the planes in µm; 20 µm apart by default.
    wavelength : float
        Wavelength of the laser in nm.
    pmt_gains : sequence of float
        Gains of the photomultipliers.
    objective : str
        Name of the objective.
    frames_requested : int
        Number of frames that were requested; 0 for a recording until it is stopped.
    num_frames : int, optional
        Number of frames to write, also if the last volume is then incomplete; all by default.
    info : mapping of str to object, optional
        Further fields of the struct, or other values of existing fields; None removes a field.

    Returns
    -------
    pathlib.Path
        The ``.sbx`` file.

    Raises
    ------
    ValueError
        If the movies differ in shape or do not fit into 16 bits.
    MissingPackageError
        If scipy is not installed.
    """
    path = Path(path)
    movies = dict(channels) if isinstance(channels, Mapping) else {0: channels}
    stored = _stored(movies)
    _, num_planes, num_rows, num_columns, _ = stored.shape
    if bidirectional and num_rows % 2:
        raise ValueError(f"A bidirectional scan has an even number of rows, not {num_rows}.")
    ways = 2 if bidirectional else 1
    depths = np.arange(num_planes) * 20.0 if plane_depths is None else np.asarray(plane_depths)
    fields = {
        "resfreq": sampling_frequency * num_planes * num_rows / ways,
        "recordsPerBuffer": num_rows // ways,
        "bytesPerBuffer": num_rows // ways * 5000 * 4,
        "postTriggerSamples": 5000,
        "scanmode": 2 - ways,
        "abort_bit": 0,
        "scanbox_version": version,
        "sz": np.array([num_rows, num_columns], np.uint16),
        "otwave": np.arange(num_planes) * 100.0 if num_planes > 1 else np.empty(0, np.uint8),
        "otwave_um": depths if num_planes > 1 else np.empty(0, np.uint8),
        "volscan": int(num_planes > 1),
        "calibration": _structs([{"x": x, "y": y} for x, y in _MAGNIFICATIONS.values()]),
        "objective": objective,
        "config": {
            "wavelength": wavelength,
            "frames": frames_requested,
            "lines": num_rows,
            "magnification": magnification,
            "magnification_list": np.array(list(_MAGNIFICATIONS)),
            **{f"pmt{number}_gain": gain for number, gain in enumerate(pmt_gains)},
            "knobby": {"pos": {"x": 352.96, "y": -311.4, "z": -1359.37, "a": 15.0}},
        },
        **_saved(sorted(movies), version),
    }
    fields |= dict(info or {})
    _write_header(path, {name: value for name, value in fields.items() if value is not None})
    frames = stored.reshape(-1, *stored.shape[2:])[:num_frames]
    path.write_bytes(np.ascontiguousarray(frames).tobytes())
    return path


def _write_header(path: Path, fields: dict[str, Any]) -> None:
    savemat = require_package("scipy.io", "scanbox").savemat
    savemat(path.with_suffix(".mat"), {"info": fields}, do_compression=True, oned_as="row")


def _stored(movies: Mapping[int, Array]) -> Array:
    """Return the stored pixels (samples, planes, rows, columns, channels)."""
    volumes = []
    for number in sorted(movies):
        movie = np.asarray(movies[number])
        if number not in (0, 1) or movie.ndim not in (3, 4) or movie.dtype.kind not in "iu":
            raise ValueError(
                f"channel {number} has {movie.ndim} axes of {movie.dtype}, but Scanbox writes "
                "(samples, rows, columns[, planes]) of whole numbers, of the channels 0 and 1."
            )
        if movie.size and not 0 <= movie.min() <= movie.max() <= _BRIGHTEST:
            raise ValueError(f"channel {number} has values beyond 0 to {_BRIGHTEST}.")
        inverted = (_BRIGHTEST - movie.astype(np.int64)).astype("<u2")
        volumes.append(inverted.reshape(*movie.shape[:3], -1).transpose(0, 3, 1, 2))
    return np.stack(volumes, axis=-1)


def _saved(numbers: list[int], version: int) -> dict[str, Any]:
    """Return the fields that state which photomultipliers were saved."""
    if version >= 3:
        flags = np.array([number in numbers for number in range(4)], np.uint8)
        return {"channels": -1, "chan": {"nchan": len(numbers), "save": flags, "sample": flags}}
    return {"channels": 1 if len(numbers) == 2 else 2 + numbers[0]}


def _structs(rows: Sequence[Mapping[str, float]]) -> Array:
    """Return rows as an array of structs."""
    table = np.empty(len(rows), dtype=[(name, object) for name in rows[0]])
    for index, row in enumerate(rows):
        table[index] = tuple(row.values())
    return table


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a recording of Scanbox; return the source arguments."""
    return {"file_path": write_scanbox(folder / "mouse_000_001.sbx", recording.movie)}
