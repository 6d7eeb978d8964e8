"""Facts in the OME-XML of OME-TIFF files."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import tifffile

from header_facts.places import only
from header_facts.table import (
    IMPOSSIBLE_DATES,
    IMPOSSIBLE_TEXTS,
    NO_TEXTS,
    Fact,
    Table,
    inverse,
)
from nwb_ophys.testing import write_ome_tiff

FILE = "m.ome.tif"
METRES = {"µm": 1e-6, "μm": 1e-6, "mm": 1e-3, "nm": 1e-9, "m": 1.0, "cm": 1e-2, "pixel": None}
SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "min": 60.0}


@attrs.frozen
class OmeAttribute:
    """Attribute of the first element of a name, or its text, with the attribute of its unit."""

    element: str
    name: str
    unit: str = ""
    index: int = 0

    def _root(self, folder: Path) -> tuple[Any, Any]:
        with tifffile.TiffFile(only(folder, FILE)) as tiff:
            root = ElementTree.fromstring(tiff.pages[0].description)
        found = [each for each in root.iter() if each.tag.rpartition("}")[2] == self.element]
        return root, found[self.index]

    def get(self, folder: Path) -> Any:
        """Return the value, or the value and its unit."""
        element = self._root(folder)[1]
        value = element.get(self.name) if self.name else element.text
        return (value, element.get(self.unit)) if self.unit else value

    def put(self, folder: Path, value: Any) -> None:
        """Replace the value, or the value and its unit."""
        root, element = self._root(folder)
        values = {self.name: value}
        if isinstance(value, tuple):
            values = dict(zip((self.name, self.unit), value, strict=True))
        for name, text in values.items():
            if not name:
                element.text = text
            elif text is None:
                element.attrib.pop(name, None)
            else:
                element.set(name, text)
        ElementTree.register_namespace("", "http://www.openmicroscopy.org/Schemas/OME/2016-06")
        path = only(folder, FILE)
        with tifffile.TiffFile(path) as tiff:
            pages = [page.asarray() for page in tiff.pages]
        with tifffile.TiffWriter(path) as writer:
            for number, page in enumerate(pages):
                text = None if number else ElementTree.tostring(root, encoding="utf-8")
                writer.write(page, description=text, metadata=None)


def _length(value: Any) -> float:
    number, unit = value
    return float(number) * METRES[unit or "µm"]


def _wavelength(value: Any) -> float:
    number, unit = value
    return float(number) * METRES[unit or "nm"] * 1e9


def _period(value: Any) -> float:
    number, unit = value
    return 1 / (float(number) * SECONDS[unit or "s"])


def _date(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


INSTRUMENT = (
    '<Microscope Manufacturer="Zeiss" Model="LSM 880" SerialNumber="SN1"/>'
    '<Detector ID="Detector:0" Type="PMT"/>'
    '<Objective ID="Objective:0" Manufacturer="Olympus" Model="X" NominalMagnification="20" '
    'LensNA="1.05"/>'
)


def _sample(folder: Path, recording: Any) -> dict[str, Any]:
    (path,) = write_ome_tiff(
        folder / FILE,
        recording.movie,
        pixels={"PhysicalSizeX": "0.5", "PhysicalSizeY": "0.25"},
        channel_settings={
            "Green": {
                "EmissionWavelength": "510",
                "ExcitationWavelength": "920",
                "Fluor": "GCaMP6s",
                "Gain": "600",
            }
        },
        instrument=INSTRUMENT,
        session_start_time=datetime(2024, 5, 17, 14, 3, 21, tzinfo=timezone.utc),
    )
    return {"file_path": path}


def _timed(folder: Path, recording: Any) -> dict[str, Any]:
    movie = recording.movie.reshape(3, 2, 24, 34).transpose(0, 2, 3, 1)
    times = [[0.0, 0.05], [0.1, 0.15], [0.21, 0.26]]
    (path,) = write_ome_tiff(
        folder / FILE,
        movie,
        sampling_frequency=None,
        delta_t=times,
        pixels={"PhysicalSizeX": "0.5", "PhysicalSizeY": "0.25", "PhysicalSizeZ": "5"},
    )
    return {"file_path": path}


FACTS = (
    Fact(header="TimeIncrement", at=OmeAttribute("Pixels", "TimeIncrement", "TimeIncrementUnit"),
         file="Series.rate", possible=(("0.05", None), ("20", "ms"), ("20000", "µs"),
                                       ("0.01", "min"), ("2", "s")), meant=_period),
    Fact(header="TimeIncrement", at=OmeAttribute("Pixels", "TimeIncrement"),
         file="ImagingPlane.imaging_rate", possible=("0.05",), meant=inverse),
    Fact(header="AcquisitionDate", at=OmeAttribute("AcquisitionDate", ""),
         file="NWBFile.session_start_time", possible=(
             "2023-04-05T06:07:08", "2023-04-05T06:07:08.250Z", "2023-04-05T06:07:08+05:30",
             "2023-04-05T06:07:08.123456"), meant=_date, impossible=IMPOSSIBLE_DATES),
    *(
        Fact(header=f"PhysicalSize{axis}",
             at=OmeAttribute("Pixels", f"PhysicalSize{axis}", f"PhysicalSize{axis}Unit"),
             file=f"ImagingPlane.grid_spacing.{number}",
             possible=(("0.75", None), ("750", "nm"), ("0.00075", "mm"), ("0.75", "µm"),
                       ("0.75", "μm"), ("0.000075", "cm"), ("0.00000075", "m")), meant=_length,
             impossible=(*IMPOSSIBLE_TEXTS, ("1", "pixel"), ("1", "parsec")))
        for number, axis in enumerate("XY")
    ),
    Fact(header="EmissionWavelength",
         at=OmeAttribute("Channel", "EmissionWavelength", "EmissionWavelengthUnit"),
         file="OpticalChannel.emission_lambda",
         possible=(("525", None), ("525.5", "nm"), ("0.525", "µm"), ("0.000525", "mm")),
         meant=_wavelength),
    Fact(header="ExcitationWavelength",
         at=OmeAttribute("Channel", "ExcitationWavelength", "ExcitationWavelengthUnit"),
         file="ImagingPlane.excitation_lambda",
         possible=(("1040", None), ("0.94", "µm")), meant=_wavelength),
    Fact(header="Fluor", at=OmeAttribute("Channel", "Fluor"), file="ImagingPlane.indicator",
         possible=("jGCaMP8s",), meant=str, impossible=NO_TEXTS),
    Fact(header="Channel Name", at=OmeAttribute("Channel", "Name"), file="OpticalChannel.name",
         possible=("Red",), meant=str, impossible=()),
    Fact(header="Gain", at=OmeAttribute("DetectorSettings", "Gain"), file="Series.pmt_gain",
         possible=("650.5", "0.5")),
    Fact(header="SerialNumber", at=OmeAttribute("Microscope", "SerialNumber"),
         file="Device.serial_number", possible=("A/7:8",), meant=str, impossible=NO_TEXTS),
    Fact(header="Model", at=OmeAttribute("Microscope", "Model"), file="Device.model.name",
         possible=("FV1000",), meant=str, impossible=NO_TEXTS),
    Fact(header="Manufacturer", at=OmeAttribute("Microscope", "Manufacturer"),
         file="Device.model.manufacturer", possible=("Olympus",), meant=str, impossible=NO_TEXTS),
    Fact(header="NominalMagnification", at=OmeAttribute("Objective", "NominalMagnification"),
         file="Device.description", possible=("40",), meant=lambda text: f" {text}x", within=True),
    Fact(header="LensNA", at=OmeAttribute("Objective", "LensNA"),
         file="Device.description", possible=("0.8",), meant=lambda text: f"NA {text}",
         within=True),
)  # fmt: skip

TIMED = (
    Fact(header="DeltaT", at=OmeAttribute("Plane", "DeltaT", "DeltaTUnit", index=4),
         file="Series.time.2", possible=(("0.255", "s"), ("255", "ms"), ("255000", "µs")),
         meant=lambda value: float(value[0]) * SECONDS[value[1] or "s"],
         impossible=("1e300", "-3")),
    Fact(header="PhysicalSizeZ", at=OmeAttribute("Pixels", "PhysicalSizeZ", "PhysicalSizeZUnit"),
         file="ImagingPlane.grid_spacing.2", possible=(("7.5", None), ("0.0075", "mm")),
         meant=_length),
)  # fmt: skip

TABLES = (
    Table(
        format="ome-tiff",
        facts=tuple(fact for fact in FACTS),
        sample=_sample,
        constant=("Device.description", "Device.model"),
    ),
    Table(format="ome-tiff", variant="volume", facts=TIMED, sample=_timed),
)
