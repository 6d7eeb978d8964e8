"""The metadata of an NWB file in the shape of a conversion, with the place of each field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from hdmf.build import BuildManager, GroupBuilder
from pynwb.base import Images
from pynwb.device import Device
from pynwb.file import Subject
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    ImagingPlane,
    OnePhotonSeries,
    PlaneSegmentation,
    RoiResponseSeries,
    TwoPhotonSeries,
)

from nwb_ophys.editing.fields import FieldPlace, path_of, place_of
from nwb_ophys.metadata import DeepDict, image_container_entry, models, trace_entry

if TYPE_CHECKING:
    from pynwb import NWBFile

Steps = tuple[Any, ...]
"""Keys and indices that lead to a dictionary of the metadata."""

_SUBJECT = "general/subject"
_SUMMARIES = image_container_entry()["name"]
_KINDS_OF_TRACES = ("neuropil", "deconvolved", "denoised", "background", "baseline")


@attrs.frozen(kw_only=True)
class Owner:
    """An object of a file, or one that can be added to it.

    Attributes
    ----------
    model : type
        The attrs class that describes its fields.
    location : str
        Path in the file.
    places : mapping of str to FieldPlace
        The places of its fields.
    container : object
        The object that pynwb read; None for one that can be added.
    new_attributes : mapping of str to object
        Attributes of the group that is added.
    """

    model: type
    location: str
    places: Mapping[str, FieldPlace]
    container: Any = None
    new_attributes: Mapping[str, Any] = {}


@attrs.frozen(kw_only=True)
class Contents:
    """Metadata of a file.

    Attributes
    ----------
    metadata : DeepDict
        In the shape of a conversion's; entries of lists by the order of their paths in the file.
    owners : mapping of tuple to Owner
        The objects whose fields can be edited, by their keys in the metadata.
    """

    metadata: DeepDict
    owners: Mapping[Steps, Owner]


def contents_of(nwbfile: NWBFile, manager: BuildManager) -> Contents:
    """Return the metadata of an open file.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    manager : hdmf.build.BuildManager
        With which the file was read.
    """
    return _Reader(nwbfile, manager).read()


class _Reader:
    def __init__(self, nwbfile: NWBFile, manager: BuildManager) -> None:
        self._nwbfile, self._manager = nwbfile, manager
        self._owners: dict[Steps, Owner] = {}
        self._metadata: dict[str, Any] = {}

    def read(self) -> Contents:
        self._metadata["NWBFile"] = self._described(("NWBFile",), self._nwbfile, models.Session)
        self._metadata["NWBFile"].pop("name", None)
        if self._nwbfile.subject is not None:
            subject = self._described(("Subject",), self._nwbfile.subject, models.Subject)
            subject.pop("name", None)
            self._metadata["Subject"] = subject
        else:
            self._owners[("Subject",)] = self._new_subject()
        ophys: dict[str, Any] = {}
        self._metadata["Ophys"] = ophys
        for cls in (Device, ImagingPlane, TwoPhotonSeries, OnePhotonSeries, Images):
            key = cls.__name__
            found = [each for each in self._of_type(cls) if not _holds_summaries(each)]
            if found:
                ophys[key] = self._listed(("Ophys", key), found, getattr(models, key))
        self._add_segmentations(ophys)
        self._add_summaries(ophys)
        for key, kind in (("Fluorescence", Fluorescence), ("DfOverF", DfOverF)):
            self._add_traces(ophys, key, kind)
        return Contents(metadata=DeepDict(self._metadata), owners=self._owners)

    def _of_type(self, cls: type) -> list[Any]:
        return [each for each in self._nwbfile.objects.values() if isinstance(each, cls)]

    def _builder(self, container: Any) -> GroupBuilder:
        return self._manager.get_builder(container)

    def _listed(self, steps: Steps, containers: list[Any], model: type) -> list[dict[str, Any]]:
        """Return the descriptions of objects in the order of their paths."""
        ordered = sorted(containers, key=lambda each: path_of(self._builder(each)))
        return [self._described((*steps, index), each, model) for index, each in enumerate(ordered)]

    def _described(self, steps: Steps, container: Any, model: type) -> dict[str, Any]:
        """Return the description of an object, and note where its fields are stored."""
        mapper = self._manager.type_map.get_map(container)
        builder = self._builder(container)
        source = container.container_source
        is_elsewhere = source != self._nwbfile.container_source
        obstacle = f"lies in another file, '{source}'; edit that one" if is_elsewhere else ""
        found: dict[str, Any] = {"name": container.name}
        places: dict[str, FieldPlace] = {}
        for field in attrs.fields(model):
            place = place_of(mapper, builder, field.name)
            if place is None:
                continue
            places[field.name] = attrs.evolve(place, obstacle=obstacle or place.obstacle)
            inner = self._inner(steps, container, field.name)
            value = place.value() if inner is None else inner
            if value is not None:
                found[field.name] = value
        if isinstance(container, Device) and container.model is not None:
            self._take_over_model(steps, container.model.name, places, found)
        self._owners[steps] = Owner(
            model=model,
            location="/".join(path_of(builder)),
            places=places,
            container=container,
        )
        return found

    def _inner(self, steps: Steps, container: Any, name: str) -> Any:
        """Return the description of the objects in a field, or None if there are none."""
        if name == "optical_channel":
            channels = list(container.optical_channel)
            return self._listed((*steps, name), channels, models.OpticalChannel)
        if name == "model" and container.model is not None:
            return self._described((*steps, name), container.model, models.DeviceModel)
        if name in ("device", "imaging_plane"):
            return getattr(container, name).name
        return None

    def _take_over_model(
        self, steps: Steps, name: str, places: dict[str, FieldPlace], found: dict[str, Any]
    ) -> None:
        """Let the fields of a device be those of its model, which a conversion makes of them."""
        model = self._owners[(*steps, "model")]
        if "model_name" not in found and "model_name" in places:
            obstacle = "is the name of another object, which is not edited"
            places["model_name"] = attrs.evolve(places["model_name"], obstacle=obstacle)
            found["model_name"] = name
        for field in ("manufacturer", "model_number"):
            if field not in found and field in model.places:
                places[field] = model.places[field]
                value = places[field].value()
                found |= {} if value is None else {field: value}

    def _new_subject(self) -> Owner:
        """Return the subject that can be added to a file."""
        subject = Subject()
        mapper = self._manager.type_map.get_map(subject)
        builder = GroupBuilder("subject")
        general = GroupBuilder("general", groups={"subject": builder})
        GroupBuilder("root", groups={"general": general})
        names = (field.name for field in attrs.fields(models.Subject))
        places = {name: place_of(mapper, builder, name) for name in names}
        return Owner(
            model=models.Subject,
            location=_SUBJECT,
            places={name: place for name, place in places.items() if place is not None},
            new_attributes={
                "namespace": self._manager.type_map.get_container_ns_dt(subject)[0],
                "neurodata_type": "Subject",
                "object_id": subject.object_id,
            },
        )

    def _add_segmentations(self, ophys: dict[str, Any]) -> None:
        """Add the plane segmentations of all image segmentations as one list."""
        tables = [
            table
            for each in self._of_type(ImageSegmentation)
            for table in each.plane_segmentations.values()
            if isinstance(table, PlaneSegmentation)
        ]
        if tables:
            key = "plane_segmentations"
            steps = ("Ophys", "ImageSegmentation", key)
            listed = self._listed(steps, tables, models.PlaneSegmentation)
            ophys["ImageSegmentation"] = {key: listed}

    def _add_summaries(self, ophys: dict[str, Any]) -> None:
        """Add the summary images, each beside the plane segmentation that its name has."""
        tables = (ophys.get("ImageSegmentation") or {}).get("plane_segmentations", [])
        planes = sorted((each["name"] for each in tables), key=len, reverse=True)
        for container in filter(_holds_summaries, self._of_type(Images)):
            steps = ("Ophys", _SUMMARIES)
            ophys[_SUMMARIES] = self._described(steps, container, models.Images)
            for name, image in sorted(container.images.items()):
                plane = next((each for each in planes if name.endswith(_suffix_of(each))), None)
                if plane is not None:
                    described = self._described((*steps, plane, name), image, models.SummaryImage)
                    ophys[_SUMMARIES].setdefault(plane, {})[name] = described

    def _add_traces(self, ophys: dict[str, Any], key: str, kind: type) -> None:
        """Add the traces of all containers of a type, by plane segmentation and kind of trace."""
        series = [
            each
            for container in self._of_type(kind)
            for each in container.roi_response_series.values()
            if isinstance(each, RoiResponseSeries)
        ]
        ordered = sorted(series, key=lambda each: path_of(self._builder(each)))
        for each in ordered:
            plane = each.rois.table.name
            members = ophys.setdefault(key, {}).setdefault(plane, {})
            names = (*_kinds_of(key, each.name, plane), each.name, "/".join(self._path(each)))
            trace = next(name for name in names if name not in members)
            steps = ("Ophys", key, plane, trace)
            members[trace] = self._described(steps, each, models.RoiResponseSeries)

    def _path(self, container: Any) -> list[str]:
        return path_of(self._builder(container))


def _kinds_of(key: str, name: str, plane: str) -> Iterator[str]:
    """Yield the kind of trace that a conversion gives a name, if it gives that name."""
    own = name.removesuffix(_suffix_of(plane))
    for kind in ("dff",) if key == "DfOverF" else ("raw", *_KINDS_OF_TRACES):
        if own == trace_entry(kind)["name"]:
            yield kind


def _suffix_of(plane: str) -> str:
    """Return what a conversion of several planes adds to the names of one of them."""
    return plane.removeprefix("PlaneSegmentation")


def _holds_summaries(container: Any) -> bool:
    return isinstance(container, Images) and container.name == _SUMMARIES
