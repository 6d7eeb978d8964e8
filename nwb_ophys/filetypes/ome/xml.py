"""Parse OME-XML of any version of its schema."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import prod
from pathlib import Path

import numpy as np

from nwb_ophys.errors import CorruptSourceError, shown
from nwb_ophys.filetypes.files import COPY_AGAIN
from nwb_ophys.filetypes.ome.model import (
    LENGTHS,
    RELATIVE_UNITS,
    TIMES,
    OmeBlock,
    OmeChannel,
    OmeDocument,
    OmeImage,
    OmeInstrument,
)
from nwb_ophys.filetypes.xml import Element, XmlError, parse_xml
from nwb_ophys.metadata import possible_number

MAX_CHANNELS, MAX_PLANES = 4096, 8_000_000
"""Sizes of an image, for which memory is needed before its pages are counted."""


def parse_ome_xml(path: Path, text: str) -> OmeDocument:
    """Parse an OME-XML document.

    Parameters
    ----------
    path : Path
        The file that contains it, for messages.
    text : str

    Returns
    -------
    OmeDocument

    Raises
    ------
    CorruptSourceError
        If the text is not OME-XML, or lacks the sizes or the order of an image.
    """
    try:
        root = parse_xml(text.strip().rstrip("\0"))
    except XmlError as error:
        raise CorruptSourceError(
            f"'{path}': its OME-XML cannot be parsed ({str(error).rstrip('.')}); {COPY_AGAIN}."
        ) from error
    if _name(root) != "OME":
        raise CorruptSourceError(
            f"'{path}': the root of its XML is <{_name(root)}>, not <OME>; give an OME-TIFF."
        )
    _warn_of_axes_within(path, root)
    elsewhere = next(_children(root, "BinaryOnly"), None)
    instruments = {each.get("ID"): each for each in _children(root, "Instrument")}
    return OmeDocument(
        uuid=root.get("UUID"),
        metadata_file=None if elsewhere is None else elsewhere.get("MetadataFile"),
        images=tuple(_image(path, each, instruments) for each in _children(root, "Image")),
    )


def _warn_of_axes_within(path: Path, root: Element) -> None:
    """Warn of further axes whose images are stored along T, Z or C, such as those of lifetimes."""
    annotations = _child(root, "StructuredAnnotations")
    for element in () if annotations is None else annotations.iter():
        axis = _name(element).removeprefix("ModuloAlong")
        if axis in ("T", "Z", "C") and axis != _name(element):
            kind = element.get("Type") or element.get("TypeDescription") or "another axis"
            read = {"T": "samples", "Z": "planes", "C": "channels"}[axis]
            warnings.warn(
                f"'{path}' states that its axis {axis} also counts {shown(kind)} "
                f"(ModuloAlong{axis}). All its images along {axis} are read as {read}; save those "
                "of one value, or their sum, as a recording of its own.",
                UserWarning,
                stacklevel=3,
            )


def _name(element: Element) -> str:
    """Return the name of an element without its namespace, which differs between versions."""
    return element.tag.rpartition("}")[2]


def _children(element: Element | None, name: str) -> Iterator[Element]:
    return (child for child in (() if element is None else element) if _name(child) == name)


def _child(element: Element | None, name: str) -> Element | None:
    return next(_children(element, name), None)


def _number(element: Element | None, name: str) -> float | None:
    """Return an attribute as a finite number; None if it is missing or not a finite number."""
    try:
        value = float("" if element is None else element.get(name, ""))
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _quantity(
    element: Element, name: str, units: Mapping[str, float], default: str | None
) -> float | None:
    """Return an attribute in the base unit; None if it is missing or its unit is unknown.

    A note names a unit that is unknown.
    """
    value, unit = _number(element, name), element.get(f"{name}Unit", default) or ""
    factor = units.get(unit)
    if value and factor is None and unit and unit not in RELATIVE_UNITS:
        warnings.warn(
            f"The OME-XML states {name} in the unit {shown(unit)}, which is not known; it is left "
            "out.",
            UserWarning,
            stacklevel=4,
        )
    return None if value is None or factor is None else value * factor


def _pixels_of(path: Path, pixels: Element | None) -> tuple[Element, dict[str, int], str]:
    """Return the element with its sizes and the order of its planes, which are checked."""
    try:
        if pixels is None:
            raise KeyError("Pixels")
        sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in "CZTYX"}
        order = pixels.attrib["DimensionOrder"].upper()[2:]
    except (KeyError, ValueError) as error:
        raise CorruptSourceError(
            f"'{path}': its OME-XML lacks sizes or order ({error}); read it as a plain TIFF stack."
        ) from error
    if sorted(order) != list("CTZ") or min(sizes.values()) < 1:
        raise CorruptSourceError(
            f"'{path}': its OME-XML has the order XY{order} and the sizes {sizes}; the order must "
            "have X, Y, C, Z and T once each, and sizes must be at least 1."
        )
    if prod(sizes[axis] for axis in "CZT") > MAX_PLANES or sizes["C"] > MAX_CHANNELS:
        raise CorruptSourceError(
            f"'{path}': its OME-XML claims the sizes {shown(sizes)}, but a recording has at most "
            f"{MAX_CHANNELS:,} channels and {MAX_PLANES:,} planes in all; correct the OME-XML, or "
            "read it as a plain TIFF stack."
        )
    return pixels, sizes, order


def _image(path: Path, element: Element, instruments: Mapping[str | None, Element]) -> OmeImage:
    pixels, sizes, order = _pixels_of(path, _child(element, "Pixels"))
    instrument = instruments.get(_reference(element, "InstrumentRef"))
    channels = [_channel(each, instrument) for each in _children(pixels, "Channel")]
    channels += [OmeChannel()] * (sizes["C"] - len(channels))
    planes = _Planes(sizes, list(_children(pixels, "Plane")))
    return OmeImage(
        name=element.get("Name", ""),
        rows=sizes.pop("Y"),
        columns=sizes.pop("X"),
        sizes=sizes,
        order=order,
        pixel_type=pixels.get("Type", pixels.get("PixelType", "")),
        spacing=(
            _spacing(pixels, "PhysicalSizeX"),
            _spacing(pixels, "PhysicalSizeY"),
            _spacing(pixels, "PhysicalSizeZ"),
        ),
        time_increment=_spacing(pixels, "TimeIncrement", TIMES, "s"),
        acquired=_acquisition_datetime(element),
        channels=tuple(channels[: sizes["C"]]),
        instrument=_instrument(instrument, element),
        blocks=tuple(_block(path, each) for each in _children(pixels, "TiffData")),
        delta_t=planes.delta_t,
        exposure=planes.exposure,
        stage=planes.stage,
    )


def _spacing(
    pixels: Element, name: str, units: Mapping[str, float] = LENGTHS, default: str = "\u00b5m"
) -> float | None:
    """Return a distance in metres or seconds; None for 0, which programs write if unknown."""
    value = _quantity(pixels, name, units, default)
    return value if value is not None and value > 0 else None


def _reference(element: Element, name: str) -> str | None:
    found = _child(element, name)
    return None if found is None else found.get("ID")


def _channel(element: Element, instrument: Element | None) -> OmeChannel:
    """Parse a channel; wavelengths are in nm unless stated otherwise."""
    waves = {}
    for name in ("Emission", "Excitation"):
        metres = _quantity(element, f"{name}Wavelength", LENGTHS, "nm")
        waves[name] = round(metres * 1e9, 6) if metres else None
    settings = _child(element, "DetectorSettings")
    detectors = {each.get("ID"): each for each in _children(instrument, "Detector")}
    detector = detectors.get(None if settings is None else settings.get("ID"))
    binning = re.match(r"(\d+)x\1$", "" if settings is None else settings.get("Binning", ""))
    return OmeChannel(
        name=element.get("Name", ""),
        emission=waves["Emission"],
        excitation=waves["Excitation"],
        fluor=element.get("Fluor") or None,
        detector_type=None if detector is None else detector.get("Type"),
        gain=_number(settings, "Gain"),
        binning=int(binning[1]) if binning else None,
    )


def _instrument(element: Element | None, image: Element) -> OmeInstrument:
    """Parse the microscope, and the objective that the image refers to or the only objective."""
    microscope = _child(element, "Microscope")
    stated = {} if microscope is None else microscope.attrib
    objectives = {each.get("ID"): each for each in _children(element, "Objective")}
    key = _reference(image, "ObjectiveSettings") or _reference(image, "ObjectiveRef")
    if key is None and len(objectives) == 1:
        key = next(iter(objectives))
    objective = objectives.get(key)
    words = []
    if objective is not None:
        words = [objective.get("Manufacturer", ""), objective.get("Model", "")]
        for name, form in (("NominalMagnification", "{:g}x"), ("LensNA", "NA {:g}")):
            value = possible_number(_number(objective, name), most=1000)
            words.append("" if value is None else form.format(value))
    return OmeInstrument(
        manufacturer=stated.get("Manufacturer") or None,
        model=stated.get("Model") or None,
        serial_number=stated.get("SerialNumber") or None,
        objective=" ".join(word for word in words if word) or None,
    )


def _acquisition_datetime(element: Element) -> datetime | None:
    """Return the date of acquisition, from an element or from an attribute."""
    child = next((c for c in element if _name(c) in ("AcquisitionDate", "AcquiredDate")), None)
    text = (child.text if child is not None else element.get("AcquiredDate")) or ""
    # Python 3.10 does not parse digits beyond a microsecond or the letter Z.
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.strip()).replace("Z", "+00:00")
    text = re.sub(r"\.(\d{1,5})(?!\d)", lambda m: "." + m[1].ljust(6, "0"), text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _block(path: Path, element: Element) -> OmeBlock:
    uuid = _child(element, "UUID")

    def integer(name: str) -> int | None:
        text = element.get(name)
        if text is None:
            return None
        if not text.strip().isdigit():
            raise CorruptSourceError(
                f"'{path}': its OME-XML has a TiffData with {name}={text!r}; it must be an integer."
            )
        return int(text)

    return OmeBlock(
        file_name=None if uuid is None else uuid.get("FileName"),
        uuid=None if uuid is None else (uuid.text or "").strip() or None,
        ifd=integer("IFD"),
        first={axis: integer(f"First{axis}") or 0 for axis in "CZT"},
        count=integer("PlaneCount"),
    )


class _Planes:
    """Metadata of single planes, in arrays of shape (channels, times, planes)."""

    def __init__(self, sizes: Mapping[str, int], elements: list[Element]) -> None:
        shape = (sizes["C"], sizes["T"], sizes["Z"])
        # Without elements, the arrays take no memory.
        empty = np.broadcast_to(np.nan, shape)
        self.delta_t, self.exposure = (empty.copy() if elements else empty for _ in range(2))
        self.stage: tuple[float, float, float] | None = None
        for element in elements:
            place = tuple(int(_number(element, f"The{axis}") or 0) for axis in "CTZ")
            if any(not 0 <= index < size for index, size in zip(place, shape, strict=True)):
                continue  # the image has no such plane
            for name, values in (("DeltaT", self.delta_t), ("ExposureTime", self.exposure)):
                seconds = _quantity(element, name, TIMES, "s")
                if seconds is not None:
                    values[place] = seconds
            if place == (0, 0, 0):
                self.stage = self._stage(element)

    def _stage(self, element: Element) -> tuple[float, float, float] | None:
        """Return the position of the stage if it states a length unit; the default unit is none."""
        found = [_quantity(element, f"Position{axis}", LENGTHS, None) for axis in "XYZ"]
        x, y, z = found
        return None if x is None or y is None or z is None else (x, y, z)
