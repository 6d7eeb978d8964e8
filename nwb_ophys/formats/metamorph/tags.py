"""Read the private tags of MetaMorph: number of planes, times, distances and calibration.

Tag 33629 (UIC2) has six numbers of four bytes per plane: distance in z as a fraction, and date and
time of creation and of modification. Tag 33630 (UIC3) has a wavelength per plane as a fraction,
tag 33628 (UIC1) pairs of an identifier and a value or the position of one. Dates are numbers of
days, times are milliseconds since midnight. Source of the layout: "Meta Imaging Series STK file
format" (Molecular Devices), and the reader in tifffile.
"""

from __future__ import annotations

import os
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO

import attrs
import numpy as np
import numpy.typing as npt

from nwb_ophys.errors import CorruptSourceError
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.lengths import metres_per_unit
from nwb_ophys.filetypes.tiff.pages import MAXIMAL_TAGS, TiffStructure, read_structure
from nwb_ophys.outside import check_file

UIC1, UIC2, UIC3 = 33628, 33629, 33630
_LONG, _RATIONAL = 4, 5
# Identifiers in UIC1.
_HAS_CALIBRATION, _X_CALIBRATION, _Y_CALIBRATION, _UNITS = 3, 4, 5, 6
_MOST_PLANES = 10_000_000
_LONGEST_TEXT = 256
# MetaMorph's number of the day before 0001-01-01, the first day that Python counts. The numbers
# are one less than those of Julian days at noon, as other readers have it.
_DAY_ZERO = 1721424
DAY_MS = 86_400_000

Numbers = npt.NDArray[np.int64]


@attrs.frozen(kw_only=True, eq=False)
class MetaMorphTags:
    """Private tags of a file.

    Attributes
    ----------
    num_planes : int
    distances : numpy.ndarray of float64, shape (planes,)
        Distance of each plane in z.
    created : numpy.ndarray of float64, shape (planes,)
        Creation of each plane in ms since the day before 0001-01-01; NaN where not stated.
    wavelengths : numpy.ndarray of float64
        Wavelength of each plane in nm; empty if not stated.
    pixel_size : tuple of float, or None
        Size of a pixel along x and y in metres; None if not stated in a unit of length.
    """

    num_planes: int
    distances: npt.NDArray[np.float64]
    created: npt.NDArray[np.float64]
    wavelengths: npt.NDArray[np.float64]
    pixel_size: tuple[float, float] | None

    @property
    def is_over_z(self) -> bool:
        """True if the planes are at different heights."""
        return self.num_planes > 1 and bool((self.distances[1:] != 0).all())

    @property
    def z_step(self) -> float | None:
        """Distance of neighbouring planes in µm; None if it varies."""
        steps = np.abs(self.distances[1:])
        return float(steps[0]) if self.is_over_z and np.allclose(steps, steps[0]) else None


def datetime_of(created: float) -> datetime | None:
    """Return the date and time of a creation, without a zone; None if it is not stated."""
    if not np.isfinite(created):
        return None
    days, milliseconds = divmod(created, DAY_MS)
    try:
        day = date.fromordinal(int(days))
    except (ValueError, OverflowError):
        return None
    return datetime.combine(day, time()) + timedelta(milliseconds=milliseconds)


def read_tags(path: Path) -> MetaMorphTags | None:
    """Read the private tags of a file.

    Parameters
    ----------
    path : pathlib.Path
        A TIFF file.

    Returns
    -------
    MetaMorphTags or None
        None if the file has no tag 33629.

    Raises
    ------
    CorruptSourceError
        If it is not a TIFF file, or the tags lie beyond its end.
    """
    check_file(path)
    with path.open("rb") as file:
        structure = read_structure(file, path)
        entries = _entries(file, structure)
        if UIC2 not in entries:
            return None
        num_planes = entries[UIC2][1]
        table = _numbers(file, structure, entries[UIC2][2], 6 * num_planes)
        if not 0 < num_planes <= _MOST_PLANES or len(table) < 6 * num_planes:
            raise CorruptSourceError(
                f"'{path}' is truncated or damaged: its tag {UIC2} of MetaMorph states "
                f"{num_planes} planes, whose times are not in the file. To repair it, {COPY_AGAIN}."
            )
        planes = table.reshape(num_planes, 6)
        return MetaMorphTags(
            num_planes=num_planes,
            distances=_fractions(planes[:, :2]),
            created=_created(planes[:, 2], planes[:, 3]),
            wavelengths=_wavelengths(file, structure, entries),
            pixel_size=_pixel_size(file, structure, entries, path),
        )


def _entries(file: BinaryIO, structure: TiffStructure) -> dict[int, tuple[int, int, int]]:
    """Return type, count and value of the tags of the first page, by number."""
    file.seek(structure.first_offset)
    counter, record = structure.count_format, structure.tag_dtype
    head = file.read(counter.size)
    count = counter.unpack(head)[0] if len(head) == counter.size else 0
    data = file.read(min(count, MAXIMAL_TAGS) * record.itemsize)
    tags = np.frombuffer(data[: len(data) // record.itemsize * record.itemsize], record)
    return {
        int(tag["code"]): (int(tag["type"]), int(tag["count"]), int(tag["value"])) for tag in tags
    }


def _numbers(file: BinaryIO, structure: TiffStructure, offset: int, count: int) -> Numbers:
    """Return numbers of four bytes; fewer than asked for if the file ends before."""
    size = file.seek(0, os.SEEK_END)
    file.seek(min(offset, size))
    data = file.read(4 * min(count, max(size - offset, 0) // 4))
    return np.frombuffer(data, structure.byte_order + "u4").astype(np.int64)


def _fractions(pairs: Numbers) -> npt.NDArray[np.float64]:
    """Return numerators over denominators, of shape (numbers, 2); 0 without a denominator."""
    return np.where(pairs[:, 1] > 0, pairs[:, 0] / np.maximum(pairs[:, 1], 1), 0.0)


def _created(days: Numbers, milliseconds: Numbers) -> npt.NDArray[np.float64]:
    is_stated = (days > _DAY_ZERO) & (days < _DAY_ZERO + date.max.toordinal())
    is_stated &= milliseconds < DAY_MS
    return np.where(is_stated, (days - _DAY_ZERO) * float(DAY_MS) + milliseconds, np.nan)


def _wavelengths(
    file: BinaryIO, structure: TiffStructure, entries: dict[int, tuple[int, int, int]]
) -> npt.NDArray[np.float64]:
    kind, count, offset = entries.get(UIC3, (0, 0, 0))
    if kind != _RATIONAL or not 0 < count <= _MOST_PLANES:
        return np.zeros(0)
    table = _numbers(file, structure, offset, 2 * count)
    return _fractions(table[: len(table) // 2 * 2].reshape(-1, 2))


def in_metres(x: float, y: float, unit: str, path: Path) -> tuple[float, float] | None:
    """Return a stated size of a pixel in metres; None for an unknown unit, with a warning."""
    factor = metres_per_unit(unit, f"the pixels of '{path}'")
    return None if factor is None else (x * factor, y * factor)


def _pixel_size(
    file: BinaryIO,
    structure: TiffStructure,
    entries: dict[int, tuple[int, int, int]],
    path: Path,
) -> tuple[float, float] | None:
    """Return the size of a pixel along x and y in metres, if it is stated in a unit of length."""
    kind, count, offset = entries.get(UIC1, (0, 0, 0))
    if kind != _LONG or not 1 < count <= MAXIMAL_TAGS:
        return None
    table = _numbers(file, structure, offset, 2 * count)
    numbers = table.tolist()
    values = dict(zip(numbers[::2], numbers[1::2], strict=False))
    wanted = {_X_CALIBRATION, _Y_CALIBRATION, _UNITS}
    if values.get(_HAS_CALIBRATION) != 1 or not wanted <= values.keys():
        return None
    (length,) = _numbers(file, structure, values[_UNITS], 1).tolist() or [0]
    units = file.read(min(length, _LONGEST_TEXT)).split(b"\0")[0].decode("latin-1")
    pairs = [
        _numbers(file, structure, values[axis], 2) for axis in (_X_CALIBRATION, _Y_CALIBRATION)
    ]
    if any(len(pair) < 2 or pair.min() < 1 for pair in pairs):
        return None
    x, y = (float(pair[0] / pair[1]) for pair in pairs)
    return in_metres(x, y, units, path)
