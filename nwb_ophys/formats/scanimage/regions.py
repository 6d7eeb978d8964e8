"""Regions of interest of a ScanImage recording with several of them (a mesoscope, "mROI").

Each page holds the rows of all regions, one below the other, and between them the rows during
which the scanner flew from one region to the next. The regions are stated as JSON (``RoiGroups``):
positions and sizes in degrees of the scan angle, sizes in pixels, and the depths where each is
scanned. Source: https://docs.scanimage.org/Concepts/MROI+Imaging.html and files of mesoscopes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.documents import parse_source_json
from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.formats.scanimage.header import ScanImageMetadata
from nwb_ophys.formats.scanimage.text import read_region_text

_Pair = tuple[float, float]
_AS_PLAIN = (
    'Convert the whole pages, fly-to rows included, as a plain TIFF stack: format="tiff" with the '
    "options num_channels, num_planes and sampling_frequency."
)


@attrs.frozen(kw_only=True)
class Region:
    """One scanned region.

    Attributes
    ----------
    name : str
        Name of the region, unique in the recording.
    num_rows, num_columns : int
        Shape of its frames in pixels.
    field_of_view, pixel_size : tuple of float or None
        Extent of a frame and of a pixel along (x, y), in micrometres; None if it is not stated.
    origin : tuple of float or None
        Position (x, y) of the corner with the first pixel, in micrometres from the centre of
        ScanImage's field; None if it is not stated.
    """

    name: str
    num_rows: int
    num_columns: int
    field_of_view: _Pair | None
    pixel_size: _Pair | None
    origin: _Pair | None


def read_regions(metadata: ScanImageMetadata) -> tuple[Region, ...]:
    """Read the scanned regions of a recording; empty if it has no regions of interest.

    Raises
    ------
    CorruptSourceError
        If the file does not state the regions.
    SourceError
        If the planes of a volume have different regions.
    """
    if not metadata.has_regions:
        return ()
    stated = _stated_regions(metadata.path)
    scanned = _scanned(metadata, stated)
    names = _names([stated[index] for index in scanned])
    return tuple(
        _region(metadata, name, stated[index]) for name, index in zip(names, scanned, strict=True)
    )


def first_rows(
    regions: Sequence[Region], metadata: ScanImageMetadata, shape: tuple[int, int]
) -> list[int]:
    """Find the first row of each region in a page.

    Parameters
    ----------
    regions : sequence of Region
        All regions of the recording.
    metadata : ScanImageMetadata
        Gives the duration of the way between regions.
    shape : tuple of int
        (rows, columns) of a page.

    Raises
    ------
    SourceError
        If the page, the regions and the duration of the way between them contradict each other.
    """
    rows, columns = shape
    heights = [region.num_rows for region in regions]
    widths = {region.num_columns for region in regions}
    rest, gaps = rows - sum(heights), len(regions) - 1
    stated = (
        f"'{metadata.path}': its header states {len(regions)} regions (mROI) of "
        f"{' + '.join(map(str, heights))} rows and {' or '.join(map(str, sorted(widths)))} columns"
    )
    if widths != {columns} or rest < 0 or (rest % gaps if gaps else rest):
        raise SourceError(
            f"{stated}, but its pages have {rows} rows and {columns} columns, which leaves {rest} "
            f"fly-to rows for {gaps} gaps between regions; the rows of the regions are unclear. "
            f"{_AS_PLAIN}"
        )
    gap = rest // gaps if gaps else 0
    # With galvanometers only, ScanImage leaves out the rows of the flight when it saves.
    is_left_out = metadata.scan_mode == "linear" and not rest
    if gaps and metadata.flyto_rows and gap not in metadata.flyto_rows and not is_left_out:
        raise SourceError(
            f"{stated} and {' or '.join(map(str, metadata.flyto_rows))} fly-to rows "
            f"(flytoTimePerScanfield over linePeriod), but the {rows} rows of its pages leave "
            f"{gap} fly-to rows for each gap between regions; the rows of the regions are "
            f"unclear. {_AS_PLAIN}"
        )
    return [sum(heights[:index]) + gap * index for index in range(len(regions))]


def _stated_regions(path: Path) -> list[Mapping[str, Any]]:
    """Return the enabled regions in the JSON of a file."""
    try:
        groups = parse_source_json(read_region_text(path) or "{}")
        group = groups.get("RoiGroups", {}).get("imagingRoiGroup") or {}
        regions = [each for each in _listed(group.get("rois")) if _is_enabled(each)]
        found: list[Mapping[str, Any]] = [{**each, "scanfields": _fields(each)} for each in regions]
    except (ValueError, AttributeError, TypeError) as error:
        raise CorruptSourceError(
            f"'{path}': its header states several regions (mROI), but their description "
            f"(RoiGroups) cannot be read: {error}. {_AS_PLAIN}"
        ) from error
    found = [each for each in found if each["scanfields"]]
    if not found:
        raise CorruptSourceError(
            f"'{path}': its header states that regions were scanned (mROI, mroiEnable), but does "
            f"not describe them (RoiGroups), so that fly-to rows cannot be left out. {_AS_PLAIN}"
        )
    return found


def _listed(value: Any) -> list[Any]:
    """Return a value of the JSON as a list; MATLAB writes a list of one as its element."""
    if value is None or (isinstance(value, Mapping) and "_ArrayType_" in value):
        return []
    return list(value) if isinstance(value, list) else [value]


def _is_enabled(item: Mapping[str, Any]) -> bool:
    return bool(item.get("enable", True))


def _fields(region: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the enabled scan fields of a region."""
    return [field for field in _listed(region.get("scanfields")) if _is_enabled(field)]


def _scanned(metadata: ScanImageMetadata, stated: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the indices of the regions that are scanned, which all planes must share."""
    depths = metadata.plane_positions or metadata.scan_positions[:1]
    if not depths:
        return list(range(len(stated)))
    planes = [
        [index for index, region in enumerate(stated) if _is_hit(region, depth)] for depth in depths
    ]
    if any(plane != planes[0] for plane in planes) or not planes[0]:
        listed = "; ".join(
            f"z = {depth:g} µm: {', '.join(str(stated[i].get('name')) for i in plane) or 'none'}"
            for depth, plane in zip(depths, planes, strict=True)
        )
        raise SourceError(
            f"'{metadata.path}': its header states regions (mROI) that are not in each plane "
            f"({listed}); only regions that all planes share are read. {_AS_PLAIN}"
        )
    return planes[0]


def _is_hit(region: Mapping[str, Any], depth: float) -> bool:
    """Return whether a region is scanned at a depth."""
    zs = [float(z) for z in _listed(region.get("zs"))]
    if region.get("discretePlaneMode"):
        return any(abs(z - depth) < 1e-6 for z in zs)
    # A region with one depth extends through all planes, others between their depths.
    return len(zs) < 2 or min(zs) <= depth <= max(zs)


def _names(regions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a unique name of each region: its own, or a number from 1."""
    given = [str(region.get("name") or "").strip() for region in regions]
    return [
        name if name and given.count(name) == 1 else f"{name or 'ROI'} {number}"
        for number, name in enumerate(given, start=1)
    ]


def _region(metadata: ScanImageMetadata, name: str, stated: Mapping[str, Any]) -> Region:
    """Return a region from its scan fields, of which each has a depth of its own."""
    fields = stated["scanfields"]
    shapes = {_pair(field.get("pixelResolutionXY")) for field in fields}
    shape = shapes.pop()
    if shapes or shape is None or not all(size.is_integer() and size > 0 for size in shape):
        raise SourceError(
            f"'{metadata.path}': region (mROI) '{name}' has scan fields of no or of different "
            f"sizes in pixels (pixelResolutionXY); only regions of one size are read. {_AS_PLAIN}"
        )
    scale, columns, rows = metadata.objective_resolution, int(shape[0]), int(shape[1])
    sizes = {_pair(field.get("sizeXY")) for field in fields}
    corners = {_corner(field) for field in fields}
    size = _scaled(sizes.pop(), scale) if len(sizes) == 1 else None
    return Region(
        name=name,
        num_rows=rows,
        num_columns=columns,
        field_of_view=size,
        pixel_size=size and (size[0] / columns, size[1] / rows),
        origin=_scaled(corners.pop(), scale) if len(corners) == 1 else None,
    )


def _pair(value: Any) -> _Pair | None:
    """Return a list of two numbers as a tuple, else None."""
    items = _listed(value)
    are_numbers = all(isinstance(item, int | float) for item in items)
    return (float(items[0]), float(items[1])) if len(items) == 2 and are_numbers else None


def _corner(field: Mapping[str, Any]) -> _Pair | None:
    """Return the position of the corner with the first pixel of a scan field, in degrees."""
    center, size = _pair(field.get("centerXY")), _pair(field.get("sizeXY"))
    if center is None or size is None:
        return None
    angle = math.radians(float(field.get("rotationDegrees") or 0))
    x, y = -size[0] / 2, -size[1] / 2
    return (
        center[0] + x * math.cos(angle) - y * math.sin(angle),
        center[1] + x * math.sin(angle) + y * math.cos(angle),
    )


def _scaled(pair: _Pair | None, scale: float | None) -> _Pair | None:
    """Return degrees as micrometres; None if the scale is not known."""
    return None if pair is None or not scale else (pair[0] * scale, pair[1] * scale)
