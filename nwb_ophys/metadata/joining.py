"""Metadata of streams that join the contents of a file, where names may be taken.

A device or plane of the file is used where it states the same. Otherwise ours gets another name,
or is refused where the user chose the name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import models
from nwb_ophys.metadata.deepdict import FullMetadata
from nwb_ophys.metadata.defaults import image_container_entry
from nwb_ophys.metadata.duplicates import faults_of_model
from nwb_ophys.metadata.facts import (
    another_value,
    channels_of,
    differing,
    facts_of,
    faults_of_facts,
    name_of,
    value_of,
)
from nwb_ophys.metadata.links import SEGMENTATIONS, SERIES, entries_of, path_of
from nwb_ophys.metadata.naming import numbered_name, numbered_stem

_BOTH_NAMES = "the device and the plane names of their own"


@attrs.frozen(kw_only=True)
class Contents:
    """Devices and imaging planes of a file, by their names.

    Attributes
    ----------
    devices, device_models, planes, containers : Mapping of str to object
        Objects that have the fields of the metadata as attributes. The containers are those of
        processed data.
    """

    devices: Mapping[str, Any]
    device_models: Mapping[str, Any]
    planes: Mapping[str, Any]
    containers: Mapping[str, Any]


def join_contents(metadata: FullMetadata, contents: Contents) -> FullMetadata:
    """Return metadata whose devices and imaging planes fit the contents of a file.

    Parameters
    ----------
    metadata : FullMetadata
        Complete metadata; not changed.
    contents : Contents

    Returns
    -------
    FullMetadata
        Each plane that a series or segmentation links to is one of the file, or has a name that
        the file does not have; so has its device. Devices of other planes are left out.

    Raises
    ------
    MetadataError
        When the user gave a device or plane the name of another one in the file.
    """
    joined = metadata.twin()
    if contents.devices or contents.planes:
        _Joining(joined, contents).run()
    _join_images(joined, contents.containers)
    return joined


def _join_images(metadata: FullMetadata, containers: Mapping[str, Any]) -> None:
    """Rename the container of summary images where that of the file is described otherwise."""
    entry = value_of(metadata.get("Ophys"), "SegmentationImages")
    name, ours = name_of(entry), value_of(entry, "description")
    if (
        name is None
        or name not in containers
        or ours in (None, image_container_entry()["description"])
    ):
        return
    theirs = value_of(containers[name], "description")
    if ours == theirs:
        return
    stated = value_of(metadata.stated.get("Ophys"), "SegmentationImages")
    if name != name_of(stated):
        holder = f"the container '{name}' in the file"
        path = f'{path_of("SegmentationImages")}["description"]'
        remedy = "give the container a name of its own"
        raise MetadataError(another_value(path, ours, holder, theirs, remedy))
    entry["name"] = numbered_name(name, containers)


class _Joining:
    """The metadata that :func:`join_contents` changes, with the decisions made so far."""

    def __init__(self, metadata: FullMetadata, contents: Contents) -> None:
        self.metadata, self.contents = metadata, contents
        self.planes = _by_name(metadata, "ImagingPlane")
        self.devices = _by_name(metadata, "Device")
        self.written: dict[str, dict[str, Any]] = {}
        self.reused: dict[str, dict[str, Any]] = {}
        self.device_names: dict[str, str] = {}
        self.faults: list[str] = []

    def run(self) -> None:
        """Change links, planes and devices."""
        links = [
            (category, index, entry)
            for category in (*SERIES, SEGMENTATIONS)
            for index, entry in enumerate(entries_of(self.metadata, category))
            if isinstance(value_of(entry, "imaging_plane"), str)
        ]
        own: dict[str, list[Any]] = {}
        for category, index, entry in links:
            name = entry["imaging_plane"]
            if self._is_link_to_file(category, index, name):
                self.reused[name] = _entry_of(self.contents.planes[name])
            else:
                own.setdefault(name, []).append((category, entry))
        if not links:
            own = {name: [] for name in self.planes}
        for name, linking in own.items():
            is_recorded = any(category != SEGMENTATIONS for category, _ in linking)
            new = self._resolved_plane(name, is_recorded or not linking)
            for _, entry in linking:
                entry["imaging_plane"] = new
        if not self.faults:
            self._set_planes(set(own))
            self._set_devices()
        if self.faults:
            raise MetadataError(*dict.fromkeys(self.faults))

    # --- planes ---------------------------------------------------------------------------------

    def _is_link_to_file(self, category: str, index: int, name: str) -> bool:
        """Return whether a link is to the plane of the file, not to ours of the same name."""
        if name not in self.contents.planes:
            return False
        if name not in self.planes:
            return True
        position, _ = self.planes[name]
        if not self._is_default("ImagingPlane", name):
            return False
        link = (category, index)
        if link in self.metadata.links:
            path = f"{path_of('ImagingPlane')}[{position}]"
            self._compare_plane(path, name, f"leave out the link to '{name}', or change the value")
            return True
        return link in self.metadata.implied_links and self._fits(name, name, exactly=False)

    def _resolved_plane(self, name: str, is_recorded: bool) -> str:
        """Return the name of a plane in the file, which is written where it is not there."""
        if name not in self.planes:
            return name
        position, entry = self.planes[name]
        is_default = self._is_default("ImagingPlane", name)
        exactly = is_recorded and is_default
        present = _family(name, self.contents.planes) if is_default else [name]
        for candidate in present:
            if candidate in self.contents.planes and self._fits(name, candidate, exactly):
                self.reused[candidate] = {**entry, "name": candidate}
                return candidate
        new = name
        if name in self.contents.planes:
            path = f"{path_of('ImagingPlane')}[{position}]"
            if not is_default:
                self._compare_plane(path, name, "give the plane a name of its own")
                return name
            new = numbered_name(name, {*self.contents.planes, *self.planes, *self.written})
        device = self._resolved_device(entry.get("device"))
        self.written[new] = {**entry, "name": new, "device": device}
        return new

    def _fits(self, name: str, candidate: str, exactly: bool) -> bool:
        """Return whether a plane of the file states what ours does, or exactly that."""
        _, entry = self.planes[name]
        plane = self.contents.planes[candidate]
        if not _agree("ImagingPlane", entry, plane, exactly):
            return False
        device = entry.get("device")
        if device not in self.devices:
            return bool(device == name_of(value_of(plane, "device")))
        return self._is_device_of(device, plane, exactly)

    def _is_device_of(self, name: str, plane: Any, exactly: bool) -> bool:
        _, entry = self.devices[name]
        device = value_of(plane, "device")
        if not _agree("Device", entry, device, exactly):
            return False
        if not self._is_default("Device", name):
            return name == name_of(device)
        is_known = exactly or facts_of("Device", entry)
        return not is_known or name_of(device) in _family(name, self.contents.devices)

    def _compare_plane(self, path: str, name: str, remedy: str) -> None:
        """Add an error for each fact of ours that the plane of the file does not state."""
        _, entry = self.planes[name]
        plane = self.contents.planes[name]
        holder = f"the imaging plane '{name}' in the file"
        self.faults += faults_of_facts("ImagingPlane", entry, plane, path, holder, remedy)
        device, other = entry.get("device"), value_of(plane, "device")
        if device in self.devices:
            if self._is_device_of(device, plane, exactly=False):
                return
            position, own = self.devices[device]
            where = f"{path_of('Device')}[{position}]"
            both = remedy.replace("the plane a name of its own", _BOTH_NAMES)
            of_device = f"the device of {holder}"
            self.faults += faults_of_facts("Device", own, other, where, of_device, both)
        if device != name_of(other):
            where = f'{path}["device"]'
            self.faults.append(another_value(where, device, holder, name_of(other), remedy))

    def _set_planes(self, own: set[str]) -> None:
        """Replace the planes that are linked to."""
        entries = [e for e in entries_of(self.metadata, "ImagingPlane") if name_of(e) not in own]
        entries = [e for e in entries if name_of(e) not in self.contents.planes]
        planes = [*self.written.values(), *self.reused.values(), *entries]
        self.metadata["Ophys"]["ImagingPlane"] = planes

    # --- devices --------------------------------------------------------------------------------

    def _resolved_device(self, name: Any) -> Any:
        """Return the name that a device has in the file, which may be a new one."""
        if name not in self.devices:
            return name
        if name not in self.device_names:
            self.device_names[name] = self._new_device_name(name)
        return self.device_names[name]

    def _new_device_name(self, name: str) -> str:
        position, entry = self.devices[name]
        present = self.contents.devices
        if present.get(name) is entry or name not in present:
            return name
        if not self._is_default("Device", name):
            path = f"{path_of('Device')}[{position}]"
            holder = f"the device '{name}' in the file"
            remedy = "give the device a name of its own"
            self.faults += faults_of_facts("Device", entry, present[name], path, holder, remedy)
            return name
        for candidate in _family(name, present):
            if _agree("Device", entry, present[candidate], exactly=True):
                return candidate
        return numbered_name(name, {*present, *self.devices})

    def _set_devices(self) -> None:
        """Leave out devices of planes that are not written, and rename the others."""
        linked = {value_of(entry, "device") for _, entry in self.planes.values()}
        kept = []
        for position, entry in enumerate(entries_of(self.metadata, "Device")):
            name = name_of(entry)
            if name is not None:
                is_bare = name in linked or not facts_of("Device", entry)
                is_unused = name not in self.device_names and self._is_default("Device", name)
                if is_bare and is_unused:
                    continue
                new = self._resolved_device(name)
                if isinstance(entry, Mapping):
                    entry = {**entry, "name": new}
                self._check_model(entry, position)
            kept.append(entry)
        self.metadata["Ophys"]["Device"] = kept

    def _check_model(self, entry: Any, position: int) -> None:
        model = value_of(entry, "model")
        name = name_of(model)
        is_new = name_of(entry) not in self.contents.devices
        if is_new and name is not None and name in self.contents.device_models:
            path = f'{path_of("Device")}[{position}]["model"]'
            holder = f"the device model '{name}' in the file"
            other = self.contents.device_models[name]
            self.faults += faults_of_model(path, model, other, holder)

    def _is_default(self, category: str, name: str) -> bool:
        """Return whether a name is ours: that of the metadata before the user edited it."""
        return name in {name_of(entry) for entry in entries_of(self.metadata.stated, category)}


def _by_name(metadata: Mapping[str, Any], category: str) -> dict[str, tuple[int, Any]]:
    """Return the position and the entry of each name; the first entry where there are several."""
    found: dict[str, tuple[int, Any]] = {}
    for index, entry in enumerate(entries_of(metadata, category)):
        name = name_of(entry)
        if name is not None:
            found.setdefault(name, (index, entry))
    return found


def _agree(category: str, ours: Any, theirs: Any, exactly: bool) -> bool:
    """Return whether an entry states all facts of ours, or exactly these."""
    one, other = facts_of(category, ours), facts_of(category, theirs)
    return not differing(one, other) and not (exactly and differing(other, one))


def _family(name: str, present: Mapping[str, Any]) -> list[str]:
    """Return the names in a file that are a name, or were made from it with a number."""
    numbered = re.compile(rf"{re.escape(numbered_stem(name))}([0-9]+)")
    numbers = {other: match[1] for other in present if (match := numbered.fullmatch(other))}
    others = sorted(numbers, key=lambda other: int(numbers[other]))
    return [name, *others] if name in present else others


def _entry_of(plane: Any) -> dict[str, Any]:
    """Return the metadata of a plane of a file."""
    entry = {field.name: value_of(plane, field.name) for field in attrs.fields(models.ImagingPlane)}
    entry["device"] = name_of(value_of(plane, "device"))
    entry["optical_channel"] = [
        {field.name: value_of(channel, field.name) for field in attrs.fields(models.OpticalChannel)}
        for channel in channels_of(plane)
    ]
    return {key: _plain(value) for key, value in entry.items() if value is not None}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, list)) else np.asarray(value).tolist()
