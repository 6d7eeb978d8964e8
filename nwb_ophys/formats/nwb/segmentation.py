"""ROIs and traces in NWB files of any author, as sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.formats.nwb.files import SERIES, TABLES, NwbObject, choose, list_nwb, unique_names
from nwb_ophys.formats.nwb.left_out import warn_of_images, warn_of_left_out
from nwb_ophys.formats.nwb.lost import warn_of_lost
from nwb_ophys.formats.nwb.objects import (
    open_nwb,
    plane_of,
    session_of,
    starting_time_of,
    stated,
)
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.interfaces.streams import Part, named_parts
from nwb_ophys.metadata import models, trace_entry
from nwb_ophys.paths import PathProbe

# The description that pynwb gives to series without one.
_NONE = "no description"


@attrs.frozen(kw_only=True)
class NwbSegmentationSource:
    """Source arguments of ROIs in an NWB file."""

    file_path: Path = argument("NWB file: an HDF5 file, or the folder of a Zarr store.")
    plane_segmentation_name: str | None = argument(
        "Name of the plane segmentation, or its path in the file; optional if there is only one.",
        default=None,
    )
    sampling_frequency: float | None = argument(
        "Rate of the traces in Hz; replaces their rates and timestamps in the file.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )


class NwbSegmentationInterface(SegmentationInterface):
    """A plane segmentation in an NWB file, with the traces of its ROIs."""

    Source = NwbSegmentationSource
    reads_ranges = True
    # NWB files in a folder of recordings are usually results of their conversion, not sources.
    searched_in_folders = False

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.nwb.rois import NwbRoisExtractor

        path, asked = source.file_path, source.plane_segmentation_name
        chosen = choose(path, TABLES, asked, "plane_segmentation_name")
        has_images = chosen == _table_with_images(_tables(list_nwb(path)))
        return NwbRoisExtractor(*open_nwb(path), chosen, has_images, source.sampling_frequency)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the file: session, device, plane, table and traces."""
        table = self.extractor.table
        ophys: dict[str, Any] = plane_of(table.imaging_plane)
        entry = stated(table, models.PlaneSegmentation)
        entry["imaging_plane"] = ophys["ImagingPlane"][0]["name"]
        ophys["ImageSegmentation"] = {"plane_segmentations": [entry]}
        for kind, series in self.extractor.series.items():
            fields = stated(series, models.RoiResponseSeries, ("name", "rate", "starting_time"))
            if self.extractor.get_sampling_frequency() is None:
                # The metadata may give the rate; the start of the traces holds with it.
                fields["starting_time"] = starting_time_of(series) or None
            if fields.get("description", _NONE) == _NONE and _is_renamed(series, kind):
                place = f"{series.parent.name}/{series.name}"
                fields["description"] = f"The traces '{place}' of the source file."
            container = ophys.setdefault("DfOverF" if kind == "dff" else "Fluorescence", {})
            container.setdefault("PlaneSegmentation", {})[kind] = fields
        if self.extractor.images:
            ophys["SegmentationImages"] = _stated_images(self.extractor.images)
        return {**session_of(self.extractor.nwbfile), "Ophys": ophys}

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an NWB file with ROIs: its plane segmentations."""
        probe = PathProbe.of(path)
        found = _tables(probe.read_once(list_nwb))
        if not found:
            return None
        names = ", ".join(f"'{each.name}' of {sum(each.shape)} ROIs" for each in found)
        return f"'{probe.path.name}' is NWB with {len(found)} plane segmentations: {names}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> list[Part]:
        """Return a part for each plane segmentation with masks."""
        listed = list_nwb(path)
        if not any(each.kind in SERIES and each.has_data for each in listed or ()):
            warn_of_left_out(path)  # else the format of the movies warns
            warn_of_lost(path)
        argument = "plane_segmentation_name"
        asked = source.get(argument)
        if asked is not None:
            other = _table_with_images(_tables(listed))
            if other is not None and asked not in (other.name, other.path):
                warn_of_images(path, other.name)
            return [Part(arguments={"file_path": path})]
        return named_parts(unique_names(_tables(listed)), argument, file_path=path)


def _stated_images(images: Mapping[str, Any]) -> dict[str, Any]:
    """Return the descriptions and resolutions of images, and the description of their container."""
    entries = {
        name: stated(image, models.SummaryImage, ("name",)) for name, image in images.items()
    }
    for entry in entries.values():
        if entry.get("description", _NONE) == _NONE:
            entry.pop("description", None)
    found: dict[str, Any] = {"PlaneSegmentation": entries}
    texts = {image.parent.description for image in images.values()}
    if len(texts) == 1 and not texts & {None, "", _NONE}:
        found["description"] = texts.pop()
    return found


def _is_renamed(series: Any, kind: str) -> bool:
    """Return whether the name and the container of traces differ from those of the source."""
    container = "DfOverF" if kind == "dff" else "Fluorescence"
    return (series.parent.name, series.name) != (container, trace_entry(kind)["name"])


def _table_with_images(tables: Sequence[NwbObject]) -> NwbObject | None:
    """Return the table with which images are written, once: that of cells, not of a background."""
    return min(tables, key=lambda one: one.name.startswith("Background"), default=None)


def _tables(found: tuple[NwbObject, ...] | None) -> list[NwbObject]:
    return [each for each in found or () if each.kind in TABLES and each.has_data]
