"""OME-XML of simulated recordings, in which every plane states its file and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from xml.sax.saxutils import quoteattr

import attrs
import numpy as np

from nwb_ophys.simulation.recording import Array

_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}


@attrs.frozen(kw_only=True, eq=False)
class OmePlan:
    """Contents of an OME-TIFF recording; see `nwb_ophys.testing.write_ome_tiff` for the terms.

    Every movie has the shape (times, rows, columns, planes). ``pages`` lists all planes in file
    order: image, channel, plane, time, number of the file, page in the file.
    """

    images: Sequence[Mapping[str, Array]] = attrs.field(repr=False)
    image_names: Sequence[str]
    files: Sequence[str]
    uuids: Sequence[str]
    pages: Sequence[tuple[int, int, int, int, int, int]] = attrs.field(repr=False)
    dimension_order: str = "XYCZT"
    pixels: Mapping[str, str] = attrs.field(factory=dict)
    channels: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    delta_t: Array | None = attrs.field(default=None, repr=False)
    delta_t_unit: str = "s"
    exposure: float | None = None
    acquired: datetime | None = None
    instrument: str = ""


def as_images(channels: Any) -> list[dict[str, Array]]:
    """Return one dict per image of movies by channel, each (samples, rows, columns, planes)."""
    if isinstance(channels, np.ndarray):
        channels = {"Green": channels}
    images = [channels] if isinstance(channels, Mapping) else list(channels)
    return [
        {name: np.asarray(m).reshape(*m.shape[:3], -1) for name, m in image.items()}
        for image in images
    ]


def uuids(count: int) -> list[str]:
    """Return identifiers, the same on each call."""
    return [f"urn:uuid:{UUID(int=number + 1)}" for number in range(count)]


def order_pages(
    images: Sequence[Mapping[str, Array]], dimension_order: str, num_files: int
) -> list[tuple[int, int, int, int, int, int]]:
    """Return (image, channel, plane, time, file, page in the file) of all planes in file order."""
    places = []
    for index, movies in enumerate(images):
        num_times, _, _, num_planes = next(iter(movies.values())).shape
        sizes = {"C": len(movies), "Z": num_planes, "T": num_times}
        slowest_first = dimension_order[:1:-1]
        for place in np.ndindex(*(sizes[axis] for axis in slowest_first)):
            at = dict(zip(slowest_first, place, strict=True))
            places.append((index, at["C"], at["Z"], at["T"]))
    per_file = -(-len(places) // num_files)
    return [(*place, *divmod(number, per_file)) for number, place in enumerate(places)]


def frame_of(
    images: Sequence[Mapping[str, Array]], page: tuple[int, int, int, int, int, int]
) -> Array:
    """Return the pixels (rows, columns) of a page."""
    image, channel, plane, time = page[:4]
    return np.ascontiguousarray(list(images[image].values())[channel][time, :, :, plane])


def ome_xml(plan: OmePlan, file: int) -> str:
    """Return the complete OME-XML for one of the files."""
    images = "".join(_image(plan, index) for index in range(len(plan.images)))
    instrument = f'<Instrument ID="Instrument:0">{plan.instrument}</Instrument>'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<OME xmlns="{_NAMESPACE}" UUID="{plan.uuids[file]}" Creator="nwb-ophys">'
        f"{instrument if plan.instrument else ''}{images}</OME>"
    )


def binary_only(plan: OmePlan, file: int) -> str:
    """Return the OME-XML of a file that refers to the first file."""
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
