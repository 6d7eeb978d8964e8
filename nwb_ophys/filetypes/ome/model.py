"""Models of the images that OME-XML describes, in metres, seconds and nanometres.

Elements, attributes and default units: the OME Data Model, schema 2016-06,
https://www.openmicroscopy.org/Schemas/Documentation/Generated/OME-2016-06/ome.html
"""

from __future__ import annotations

from datetime import datetime

import attrs
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Metres per unit; files contain both the micro sign and the Greek letter mu.
LENGTHS = {
    "m": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "\u00b5m": 1e-6,
    "\u03bcm": 1e-6,
    "um": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
    "\u00c5": 1e-10,
    "pm": 1e-12,
    "in": 0.0254,
    "dm": 0.1,
}
#: Units of positions and sizes that are no lengths.
RELATIVE_UNITS = ("pixel", "reference frame")
#: Seconds per unit.
TIMES = {
    "d": 86400.0,
    "h": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ns": 1e-9,
}


@attrs.frozen(kw_only=True)
class OmeChannel:
    """One channel of an image.

    Attributes
    ----------
    name : str
        Empty if not stated.
    emission, excitation : float or None
        Wavelengths in nm.
    fluor : str or None
        Name of the indicator.
    detector_type : str or None
        For example ``"PMT"`` or ``"CCD"``.
    gain : float or None
        Gain of the detector.
    binning : int or None
        Number of sensor pixels combined into one along each side.
    """

    name: str = ""
    emission: float | None = None
    excitation: float | None = None
    fluor: str | None = None
    detector_type: str | None = None
    gain: float | None = None
    binning: int | None = None


@attrs.frozen(kw_only=True)
class OmeInstrument:
    """Microscope and objective of an image; None where not stated."""

    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    objective: str | None = None


@attrs.frozen(kw_only=True)
class OmeBlock:
    """Pages of a file that hold consecutive planes (``TiffData``).

    Attributes
    ----------
    file_name, uuid : str or None
        The file; None for the file that contains the OME-XML.
    ifd : int or None
        First page; None if not stated, which means 0.
    first : dict of str to int
        Index of the first plane along C, Z and T.
    count : int or None
        Number of planes, if stated.
    """

    file_name: str | None
    uuid: str | None
    ifd: int | None
    first: dict[str, int]
    count: int | None


@attrs.frozen(kw_only=True, eq=False)
class OmeImage:
    """One image with its channels, planes and times.

    Attributes
    ----------
    name : str
        Empty if not stated.
    sizes : dict of str to int
        Lengths of C, Z and T.
    rows, columns : int
        Shape of a plane.
    order : str
        The letters C, Z and T, fastest first.
    pixel_type : str
        For example ``"uint16"``.
    spacing : tuple of (float or None)
        Distance of pixels along x, y and z, in metres.
    time_increment : float or None
        Seconds between consecutive times.
    acquired : datetime or None
        Start of the acquisition, with a time zone if one is stated.
    channels : tuple of OmeChannel
    instrument : OmeInstrument
    blocks : tuple of OmeBlock
    delta_t, exposure : numpy.ndarray of float64, shape (channels, times, planes)
        Time of each plane since the start and its exposure, in seconds; NaN where not stated.
    stage : tuple of float or None
        Stage position (x, y, z) of the first plane, in metres.
    """

    name: str
    sizes: dict[str, int]
    rows: int
    columns: int
    order: str
    pixel_type: str
    spacing: tuple[float | None, float | None, float | None]
    time_increment: float | None
    acquired: datetime | None
    channels: tuple[OmeChannel, ...]
    instrument: OmeInstrument
    blocks: tuple[OmeBlock, ...] = attrs.field(repr=False)
    delta_t: Floats = attrs.field(repr=False)
    exposure: Floats = attrs.field(repr=False)
    stage: tuple[float, float, float] | None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels; numbered from 0 if any is missing or not unique."""
        stated = [channel.name for channel in self.channels]
        if all(stated) and len(set(stated)) == len(stated):
            return tuple(stated)
        return tuple(f"Channel {index}" for index in range(len(stated)))


@attrs.frozen(kw_only=True, eq=False)
class OmeDocument:
    """One OME-XML document.

    Attributes
    ----------
    uuid : str or None
        UUID of the file that contains the document.
    metadata_file : str or None
        The file that contains the metadata instead of this one (``BinaryOnly``).
    images : tuple of OmeImage
    """

    uuid: str | None
    metadata_file: str | None
    images: tuple[OmeImage, ...]

    @property
    def image_names(self) -> tuple[str, ...]:
        """Names of the images; numbered from 0 if any is missing or not unique."""
        stated = [image.name for image in self.images]
        if all(stated) and len(set(stated)) == len(stated):
            return tuple(stated)
        return tuple(f"Image {index}" for index in range(len(stated)))
