"""OME-XML of recordings that are written for tests; every plane states its page and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from attrs import field, frozen
from numpy.typing import NDArray

_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}


@frozen(kw_only=True, eq=False)
class OmePlan:
    """What is stated of a recording; see `nwb_ophys.testing.write_ome_tiff` for the terms.

    Every movie has the shape (times, rows, columns, planes). ``pages`` are the planes in the order
    in which they are written: image, channel, plane, time, number of the file, page of it.
    """

    images: Sequence[Mapping[str, NDArray[Any]]] = field(repr=False)
    image_names: Sequence[str]
    files: Sequence[str]
    uuids: Sequence[str]
    pages: Sequence[tuple[int, int, int, int, int, int]] = field(repr=False)
    dimension_order: str = "XYCZT"
    pixels: Mapping[str, str] = field(factory=dict)
    channels: Mapping[str, Mapping[str, str]] = field(factory=dict)
    delta_t: NDArray[Any] | None = field(default=None, repr=False)
    delta_t_unit: str = "s"
    exposure: float | None = None
    acquired: datetime | None = None
    instrument: str = ""


def ome_xml(plan: OmePlan, file: int) -> str:
    """Return the whole text, as it is in one of the files."""
    images = "".join(_image(plan, index) for index in range(len(plan.images)))
    instrument = f'<Instrument ID="Instrument:0">{plan.instrument}</Instrument>'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_NAMESPACE}" UUID="{plan.uuids[file]}" Creator="nwb-ophys">'
        f"{instrument if plan.instrument else ''}{images}</OME>"
    )


def binary_only(plan: OmePlan, file: int) -> str:
    """Return the text of a file that refers to the first one."""
    return (
        f'<OME xmlns="{_NAMESPACE}" UUID="{plan.uuids[file]}"><BinaryOnly '
        f'MetadataFile={quoteattr(plan.files[0])} UUID="{plan.uuids[0]}"/></OME>'
    )


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in values.items())


def _image(plan: OmePlan, index: int) -> str:
    movies = plan.images[index]
    first = next(iter(movies.values()))
    num_times, rows, columns, num_planes = first.shape
    pixels = {
        "ID": f"Pixels:{index}",
        "DimensionOrder": plan.dimension_order,
        "Type": _TYPES.get(first.dtype.name, first.dtype.name),
        "SizeX": columns,
        "SizeY": rows,
        "SizeC": len(movies),
        "SizeZ": num_planes,
        "SizeT": num_times,
        **plan.pixels,
    }
    start = plan.acquired
    return (
        f'<Image ID="Image:{index}" Name={quoteattr(plan.image_names[index])}>'
        + (f"<AcquisitionDate>{start.isoformat()}</AcquisitionDate>" if start else "")
        + ('<InstrumentRef ID="Instrument:0"/>' if plan.instrument else "")
        + ('<ObjectiveSettings ID="Objective:0"/>' if "<Objective " in plan.instrument else "")
        + f"<Pixels{_attributes(pixels)}>{_channels(plan, index)}{_planes(plan, index)}"
        + "</Pixels></Image>"
    )


def _channels(plan: OmePlan, index: int) -> str:
    texts = []
    for number, name in enumerate(plan.images[index]):
        values = dict(plan.channels.get(name, {}))
        settings: dict[str, str] = {
            key: values.pop(key) for key in ("Gain", "Binning") if key in values
        }
        inner = f'<DetectorSettings ID="Detector:0"{_attributes(settings)}/>' if settings else ""
        own = {"ID": f"Channel:{index}:{number}", "Name": name, "SamplesPerPixel": 1, **values}
        texts.append(f"<Channel{_attributes(own)}>{inner}</Channel>")
    return "".join(texts)


def _planes(plan: OmePlan, index: int) -> str:
    blocks, planes = [], []
    for image, channel, plane, time, file, page in plan.pages:
        if image != index:
            continue
        place = {"FirstC": channel, "FirstT": time, "FirstZ": plane, "IFD": page, "PlaneCount": 1}
        uuid = f"<UUID FileName={quoteattr(plan.files[file])}>{plan.uuids[file]}</UUID>"
        blocks.append(f"<TiffData{_attributes(place)}>{uuid}</TiffData>")
        values: dict[str, Any] = {"TheC": channel, "TheT": time, "TheZ": plane}
        if plan.delta_t is not None:
            moment = plan.delta_t[time] if plan.delta_t.ndim == 1 else plan.delta_t[time, plane]
            values |= {"DeltaT": repr(float(moment)), "DeltaTUnit": plan.delta_t_unit}
        if plan.exposure is not None:
            values["ExposureTime"] = plan.exposure
        if len(values) > 3:
            planes.append(f"<Plane{_attributes(values)}/>")
    return "".join(blocks + planes)
