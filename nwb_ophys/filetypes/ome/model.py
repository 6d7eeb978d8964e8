"""What OME-XML states of images, in metres, seconds and nanometres.

Elements, attributes and default units: the OME Data Model, schema 2016-06,
https://www.openmicroscopy.org/Schemas/Documentation/Generated/OME-2016-06/ome.html
"""

from datetime import datetime

import numpy as np
import numpy.typing as npt
from attrs import field, frozen

Floats = npt.NDArray[np.float64]

#: Metres per unit; both the micro sign and the Greek letter are in use.
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
}
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


@frozen(kw_only=True)
class OmeChannel:
    """One channel of an image.

    Attributes
    ----------
    name : str
        As stated; empty where it is not.
    emission, excitation : float or None
        Wavelengths in nm.
    fluor : str or None
        Name of the indicator.
    detector_type : str or None
        Such as ``"PMT"`` or ``"CCD"``.
    gain : float or None
        Of the detector.
    binning : int or None
        Pixels combined into one along a side.
    """

    name: str = ""
    emission: float | None = None
    excitation: float | None = None
    fluor: str | None = None
    detector_type: str | None = None
    gain: float | None = None
    binning: int | None = None


@frozen(kw_only=True)
class OmeInstrument:
    """The microscope and the objective that an image was made with; None where not stated."""

    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    objective: str | None = None


@frozen(kw_only=True)
class OmeBlock:
    """Which pages of which file are which planes (``TiffData``).

    Attributes
    ----------
    file_name, uuid : str or None
        The file; None for the one that states it.
    ifd : int or None
        First page; None where it is not stated, which means 0.
    first : dict of str to int
        Index of the first plane along C, Z and T.
    count : int or None
        Number of planes, where stated.
    """

    file_name: str | None
    uuid: str | None
    ifd: int | None
    first: dict[str, int]
    count: int | None


@frozen(kw_only=True, eq=False)
class OmeImage:
    """One image, which may have channels, planes and times.

    Attributes
    ----------
    name : str
        As stated; empty where it is not.
    sizes : dict of str to int
        Lengths of C, Z and T.
    rows, columns : int
        Shape of a plane.
    order : str
        The letters C, Z and T, fastest first.
    pixel_type : str
        Such as ``"uint16"``.
    spacing : tuple of (float or None)
        Distance of pixels along x, y and z, in metres.
    time_increment : float or None
        Seconds from one time to the next.
    acquired : datetime or None
        Start, with a time zone where one is stated.
    channels : tuple of OmeChannel
    instrument : OmeInstrument
    blocks : tuple of OmeBlock
    delta_t, exposure : numpy.ndarray of float64, shape (channels, times, planes)
        Seconds from the start to each plane, and its exposure; NaN where not stated.
    stage : tuple of float or None
        x, y and z of the first plane's stage label, in metres.
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
    blocks: tuple[OmeBlock, ...] = field(repr=False)
    delta_t: Floats = field(repr=False)
    exposure: Floats = field(repr=False)
    stage: tuple[float, float, float] | None

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels; numbered from 0 where they are not stated or not different."""
        stated = [channel.name for channel in self.channels]
        if all(stated) and len(set(stated)) == len(stated):
            return tuple(stated)
        return tuple(f"Channel {index}" for index in range(len(stated)))


@frozen(kw_only=True, eq=False)
class OmeDocument:
    """One OME-XML text.

    Attributes
    ----------
    uuid : str or None
        Of the file that it is in.
    metadata_file : str or None
        The file that has the text of this one (``BinaryOnly``).
    images : tuple of OmeImage
    """

    uuid: str | None
    metadata_file: str | None
    images: tuple[OmeImage, ...]

    @property
    def image_names(self) -> tuple[str, ...]:
        """Names of the images; numbered from 0 where they are not stated or not different."""
        stated = [image.name for image in self.images]
        if all(stated) and len(set(stated)) == len(stated):
            return tuple(stated)
        return tuple(f"Image {index}" for index in range(len(stated)))
