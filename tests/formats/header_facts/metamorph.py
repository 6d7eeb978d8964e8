"""Facts in the private tags of MetaMorph."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import tifffile

from header_facts.places import only
from header_facts.table import Fact, Table

FILE = "*.stk"


@attrs.frozen
class Long:
    """Number of four bytes in the block of a private tag; or a fraction, of two numbers."""

    tag: int
    position: int
    is_fraction: bool = False
    is_behind: bool = False
    """Whether the number is the position of the value."""

    def _place(self, path: Path) -> int:
        with tifffile.TiffFile(path, is_stk=False) as tiff:
            offset = tiff.pages[0].tags[self.tag].valueoffset
        place = offset + 4 * self.position
        if self.is_behind:
            (place,) = struct.unpack_from("<I", path.read_bytes(), place)
        return place

    def get(self, folder: Path) -> Any:
        """Return the number; a fraction as a pair."""
        path = only(folder, FILE)
        place = self._place(path)
        if self.is_fraction:
            return struct.unpack_from("<2I", path.read_bytes(), place)
        return struct.unpack_from("<I", path.read_bytes(), place)[0]

    def put(self, folder: Path, value: Any) -> None:
        """Replace the number, or both numbers of the fraction."""
        path = only(folder, FILE)
        data = bytearray(path.read_bytes())
        parts = value if self.is_fraction else (value,)
        struct.pack_into(f"<{len(parts)}I", data, self._place(path), *parts)
        path.write_bytes(bytes(data))


@attrs.frozen
class Wavelength:
    """Wavelength of all planes, a fraction per plane behind tag 33630."""

    def get(self, folder: Path) -> Any:
        """Return the fraction of the first plane as a pair."""
        return Long(33630, 0, is_fraction=True).get(folder)

    def put(self, folder: Path, value: Any) -> None:
        """Replace the fractions of all planes."""
        with tifffile.TiffFile(only(folder, FILE), is_stk=False) as tiff:
            num_planes = tiff.pages[0].tags[33630].count
        for plane in range(num_planes):
            Long(33630, 2 * plane, is_fraction=True).put(folder, value)


def _fraction(pair: Any) -> float:
    return pair[0] / pair[1]


def _nanometres(pair: Any) -> str:
    return f"the wavelength {pair[0] / pair[1]:g} nm" if pair[1] else "the wavelength"


def _of_midnight(milliseconds: int) -> datetime:
    return datetime(2021, 3, 4) + timedelta(milliseconds=milliseconds)


def _day(number: int) -> datetime:
    day = datetime.fromordinal(number - 1721424)
    return day + timedelta(hours=15, minutes=4, seconds=5, milliseconds=250)


def _waves(folder: Path, recording: Any) -> dict[str, Any]:
    from nwb_ophys.testing import write_metamorph

    movie = recording.movie.astype("uint16")[:6]
    return {"file_path": write_metamorph(folder / "session.stk", movie)}


ZERO_PAIRS = ((0, 1000), (5, 0), (0, 0), (4294967295, 1))
NO_LIGHT = (*ZERO_PAIRS, (5, 1000), (99, 1), (20001, 1))

FACTS = (
    Fact(header="UIC2 time", at=Long(33629, 6 * 5 + 3), file="Series.time.5",
         possible=(54245250 + 175, 54245250 + 400),
         meant=lambda value: (value - 54245250) / 1000, impossible=()),
    Fact(header="times of its planes", at=Long(33629, 3), file="NWBFile.session_start_time",
         possible=(54245200, 100), meant=_of_midnight, impossible=(4294967295,), alone=True),
    Fact(header="UIC2 date", at=Long(33629, 2), file="NWBFile.session_start_time",
         possible=(2458000,), meant=_day, impossible=(), alone=True),
    Fact(header="UIC3 wavelength", at=Wavelength(), file="ImagingPlane.description",
         possible=((4880, 10), (910, 1), (1217, 2)), meant=_nanometres, within=True,
         impossible=NO_LIGHT),
    *(
        Fact(header="calibration", at=Long(33628, position, is_fraction=True, is_behind=True),
             file=f"ImagingPlane.grid_spacing.{axis}", possible=((750, 1000), (13, 20)),
             meant=lambda pair: _fraction(pair) * 1e-6, impossible=ZERO_PAIRS)
        for axis, position in ((0, 3), (1, 5))
    ),
)  # fmt: skip

TABLES = (
    Table(
        format="metamorph",
        facts=FACTS,
        sample=_waves,
        constant=("Device.description", "ImagingPlane.imaging_rate"),
    ),
)
