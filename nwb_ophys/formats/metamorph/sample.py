"""Stacks as MetaMorph writes them: one page directory, and all planes behind it.

Source of the layout: "Meta Imaging Series STK file format" (Molecular Devices), and the reader in
tifffile.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nwb_ophys.simulation.recording import Array, SimulatedRecording

__all__ = ["write_metamorph"]

_SHORT, _LONG, _RATIONAL = 3, 4, 5
_NUM_TAGS = 14
_DAY_ZERO = 1721424


def write_metamorph(
    path: str | Path,
    planes: Array,
    *,
    sampling_frequency: float | None = 30.0,
    start: datetime = datetime(2021, 3, 4, 15, 4, 5, 250_000),
    created: Sequence[float] | None = None,
    z_step_um: float = 0.0,
    wavelengths: Sequence[float] | float = 525.0,
    pixel_size_um: float = 0.65,
    units: str = "um",
) -> Path:
    """Write planes as a MetaMorph stack.

    Parameters
    ----------
    path : str or pathlib.Path
        File to write.
    planes : numpy.ndarray, shape (planes, rows, columns)
        Of type uint8 or uint16.
    sampling_frequency : float, optional
        Planes per second in Hz; None to give all planes the time of the first one.
    start : datetime.datetime
        Creation of the first plane.
    created : sequence of float, optional
        Creation of each plane in s after `start`.
    z_step_um : float
        Distance between planes in z.
    wavelengths : float or sequence of float
        Wavelength of all planes, or of each, in nm.
    pixel_size_um : float
        Size of a pixel; 0 to write no calibration.
    units : str
        Unit of the calibration.

    Returns
    -------
    pathlib.Path
        The file.
    """
    path, count = Path(path), len(planes)
    path.parent.mkdir(parents=True, exist_ok=True)
    step = 0.0 if sampling_frequency is None else 1 / sampling_frequency
    seconds = np.arange(count) * step if created is None else np.asarray(created, float)
    pixels = np.ascontiguousarray(planes.astype(planes.dtype.newbyteorder("<")))
    size = pixels.nbytes // count
    begin = 8 + 2 + 12 * _NUM_TAGS + 4
    parts = [pixels.tobytes()]
    places = []
    for part in (
        _times(start, seconds, z_step_um),
        b"".join(_fraction(each) for each in np.broadcast_to(wavelengths, count)),
        struct.pack("<H", 0),
    ):
        places.append(begin + sum(map(len, parts)))
        parts.append(part)
    place = begin + sum(map(len, parts))
    parts.append(_calibration(place, pixel_size_um, units))
    tags = _tags(pixels, begin, size, [place, *places])
    directory = struct.pack("<H", _NUM_TAGS) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI", b"II", 42, 8) + directory + struct.pack("<I", 0)
    path.write_bytes(head + b"".join(parts))
    return path


def _tags(pixels: Array, begin: int, size: int, places: Sequence[int]) -> list[tuple[int, ...]]:
    count, rows, columns = pixels.shape
    return [
        (256, _SHORT, 1, columns),  # ImageWidth
        (257, _SHORT, 1, rows),  # ImageLength
        (258, _SHORT, 1, pixels.itemsize * 8),  # BitsPerSample
        (259, _SHORT, 1, 1),  # Compression: none
        (262, _SHORT, 1, 1),  # PhotometricInterpretation: the smallest value is black
        (273, _LONG, 1, begin),  # StripOffsets
        (277, _SHORT, 1, 1),  # SamplesPerPixel
        (278, _SHORT, 1, rows),  # RowsPerStrip
        (279, _LONG, 1, size),  # StripByteCounts
        (284, _SHORT, 1, 1),  # PlanarConfiguration
        (33628, _LONG, 4, places[0]),  # UIC1
        (33629, _RATIONAL, count, places[1]),  # UIC2
        (33630, _RATIONAL, count, places[2]),  # UIC3
        (33631, _LONG, count, places[3]),  # UIC4
    ]


def _times(start: datetime, seconds: Array, z_step_um: float) -> bytes:
    """Return the distance, creation and modification of each plane."""
    parts = []
    for each in seconds.tolist():
        moment = start + timedelta(seconds=each)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        milliseconds = round((moment - midnight) / timedelta(milliseconds=1))
        day = moment.toordinal() + _DAY_ZERO
        parts.append(
            _fraction(z_step_um) + struct.pack("<4I", day, milliseconds, day, milliseconds)
        )
    return b"".join(parts)


def _calibration(place: int, pixel_size_um: float, units: str) -> bytes:
    """Return four pairs of an identifier and a value, and the values after them."""
    behind = place + 32
    text = units.encode("latin-1") + b"\0"
    pairs = ((3, int(pixel_size_um > 0)), (4, behind), (5, behind), (6, behind + 8))
    values = _fraction(pixel_size_um) + struct.pack("<I", len(text)) + text
    return b"".join(struct.pack("<2I", *pair) for pair in pairs) + values


def _fraction(value: float) -> bytes:
    return struct.pack("<2I", round(value * 1000), 1000)


def write_sample(folder: Path, recording: SimulatedRecording) -> dict[str, Any]:
    """Write a MetaMorph stack over time; return the source arguments."""
    return {"file_path": write_metamorph(folder / "session.stk", recording.movie.astype("uint16"))}
