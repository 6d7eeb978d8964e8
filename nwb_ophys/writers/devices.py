"""Devices, and imaging planes with their optical channels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import attrs
from pynwb import NWBFile
from pynwb.device import Device, DeviceModel
from pynwb.ophys import ImagingPlane, OpticalChannel

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    get_default_ophys_metadata,
    merge_metadata,
    models,
    parse_model,
    validate,
)

# pynwb marks these of Device as deprecated in favour of DeviceModel, which needs both a name and
# who makes it. Where only one of them is stated there is no other place for it; pynwb would warn
# when it is passed to the constructor, which the user who states it cannot help.
_SET_AFTERWARDS = ("manufacturer", "model_number", "model_name")


def add_devices(nwbfile: NWBFile, metadata: Mapping[str, Any] | None) -> NWBFile:
    """Add the devices of ``metadata["Ophys"]["Device"]``.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        ``Device`` is a list of dictionaries and ``pynwb.device.Device`` objects. Absent, it is one
        ``Microscope``; empty, nothing is added.

    Returns
    -------
    pynwb.NWBFile
        The same; a name that is in it already is reused.

    Raises
    ------
    MetadataError
        With the path of a wrong key.
    """
    devices = merge_metadata(get_default_ophys_metadata(), metadata)["Ophys"]["Device"]
    validate(devices, {"type": "array"}, 'metadata["Ophys"]["Device"]')
    for index, entry in enumerate(devices):
        if isinstance(entry, Device):
            if entry.name not in nwbfile.devices:
                nwbfile.add_device(entry)
            continue
        path = f'metadata["Ophys"]["Device"][{index}]'
        model = parse_model(models.Device, entry, path)
        if model.name not in nwbfile.devices:
            nwbfile.add_device(_make_device(nwbfile, model, path))
    return nwbfile


def _make_device(nwbfile: NWBFile, model: models.Device, path: str) -> Device:
    model = _with_model(nwbfile, model)
    device = Device(
        name=model.name,
        description=model.description,
        serial_number=model.serial_number,
        model=_add_device_model(nwbfile, model.model, path) if model.model else None,
    )
    for field in _SET_AFTERWARDS:
        if getattr(model, field) is not None:
            setattr(device, field, getattr(model, field))
    return device


def _with_model(nwbfile: NWBFile, device: models.Device) -> models.Device:
    """Return a device with its model as a ``DeviceModel``, where enough is stated of it."""
    name, maker, number = device.model_name, device.manufacturer, device.model_number
    if device.model or not name or not maker or "/" in name or ":" in name:
        return device
    there = nwbfile.device_models.get(name)
    if there is not None and (there.manufacturer, there.model_number) != (maker, number):
        return device
    model = {"name": name, "manufacturer": maker, "model_number": number}
    return attrs.evolve(device, model=model, manufacturer=None, model_number=None, model_name=None)


def _add_device_model(nwbfile: NWBFile, entry: Mapping[str, Any], path: str) -> DeviceModel:
    model = parse_model(models.DeviceModel, entry, f'{path}["model"]')
    if model.name not in nwbfile.device_models:
        nwbfile.add_device_model(DeviceModel(**attrs.asdict(model)))
    return nwbfile.device_models[model.name]


def add_imaging_plane(
    nwbfile: NWBFile,
    metadata: Mapping[str, Any] | None,
    imaging_plane_name: str | None = None,
    imaging_plane_index: int | None = None,
) -> NWBFile:
    """Add an imaging plane of ``metadata["Ophys"]["ImagingPlane"]``, its devices first.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        What it lacks is filled with defaults.
    imaging_plane_name : str, optional
        Which one; the first when not given.
    imaging_plane_index : int, optional
        Which one, by position. Deprecated.

    Returns
    -------
    pynwb.NWBFile
        The same; a plane whose name is in it already is left as it is.

    Raises
    ------
    ValueError
        When no plane of the name is in the metadata, or the plane is not whole.
    """
    planes = merge_metadata(get_default_ophys_metadata(), metadata)["Ophys"]["ImagingPlane"]
    validate(planes, {"type": "array", "minItems": 1}, 'metadata["Ophys"]["ImagingPlane"]')
    if imaging_plane_index is not None:
        warnings.warn(
            "imaging_plane_index is deprecated; use imaging_plane_name.",
            DeprecationWarning,
            stacklevel=2,
        )
        imaging_plane_name = planes[imaging_plane_index]["name"]
    index = _index_of(planes, imaging_plane_name)
    if planes[index].get("name") in nwbfile.imaging_planes:
        return nwbfile
    add_devices(nwbfile, metadata)
    path = f'metadata["Ophys"]["ImagingPlane"][{index}]'
    nwbfile.add_imaging_plane(_make_imaging_plane(nwbfile, planes[index], path))
    return nwbfile


def _index_of(planes: list[Mapping[str, Any]], name: str | None) -> int:
    if name is None:
        return 0
    names = [plane.get("name") for plane in planes if isinstance(plane, Mapping)]
    if name not in names:
        raise MetadataError(
            f'No imaging plane \'{name}\' in metadata["Ophys"]["ImagingPlane"]; its planes: '
            f"{', '.join(repr(known) for known in names)}."
        )
    return names.index(name)


def _create_imaging_plane_from_metadata(
    nwbfile: NWBFile, imaging_plane_metadata: Mapping[str, Any]
) -> ImagingPlane:
    """Make an imaging plane, without adding it to the file.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        Holds the device that the plane names.
    imaging_plane_metadata : Mapping
        One entry of ``metadata["Ophys"]["ImagingPlane"]``.

    Raises
    ------
    ValueError
        When a field is missing or wrong, or the file has no such device.
    """
    return _make_imaging_plane(nwbfile, imaging_plane_metadata, "imaging_plane_metadata")


def _make_imaging_plane(nwbfile: NWBFile, entry: Mapping[str, Any], path: str) -> ImagingPlane:
    model = parse_model(models.ImagingPlane, entry, path)
    if model.device not in nwbfile.devices:
        known = ", ".join(repr(name) for name in nwbfile.devices) or "none"
        raise MetadataError(
            f"{path}[\"device\"] is '{model.device}', but no device has that name; "
            f"devices: {known}."
        )
    fields = attrs.asdict(model, recurse=False, filter=lambda _, value: value is not None)
    fields["device"] = nwbfile.devices[model.device]
    fields["optical_channel"] = [
        _make_optical_channel(channel, f'{path}["optical_channel"][{number}]')
        for number, channel in enumerate(model.optical_channel)
    ]
    return ImagingPlane(**fields)


def _make_optical_channel(entry: Any, path: str) -> OpticalChannel:
    if isinstance(entry, OpticalChannel):
        return entry
    return OpticalChannel(**attrs.asdict(parse_model(models.OpticalChannel, entry, path)))
