"""Add devices, and imaging planes with their optical channels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from pynwb.device import Device, DeviceModel
from pynwb.ophys import ImagingPlane, OpticalChannel

from nwb_ophys.errors import MetadataError
from nwb_ophys.metadata import (
    check_channels,
    get_default_ophys_metadata,
    merge_lists,
    models,
    parse_model,
    validate,
)

if TYPE_CHECKING:
    from pynwb import NWBFile

# pynwb deprecates these fields of Device in favour of DeviceModel, which requires a name and a
# manufacturer. Where only one of the two is known, these fields are the only place for it. They
# are set after construction, because the constructor would warn about metadata that is correct.
_SET_AFTERWARDS = ("manufacturer", "model_number", "model_name")


def add_devices(nwbfile: NWBFile, metadata: Mapping[str, Any] | None) -> NWBFile:
    """Add the devices of ``metadata["Ophys"]["Device"]``.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        ``Device`` is a list of dictionaries and ``pynwb.device.Device`` objects. Without the key,
        one device ``Microscope`` is added; with an empty list, no device.

    Returns
    -------
    pynwb.NWBFile
        The same object. A device whose name it already holds is reused.

    Raises
    ------
    MetadataError
        When the metadata of a device is invalid; the message gives the path of the key.
    """
    devices = merge_lists(get_default_ophys_metadata(), metadata)["Ophys"]["Device"]
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
    """Return the device with a ``DeviceModel``, where its model and manufacturer are known."""
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
    """Add the devices and an imaging plane of ``metadata["Ophys"]["ImagingPlane"]``.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    metadata : Mapping or None
        Missing keys are filled with defaults.
    imaging_plane_name : str, optional
        Name of the plane; by default the first one.
    imaging_plane_index : int, optional
        Position of the plane in the list. Deprecated.

    Returns
    -------
    pynwb.NWBFile
        The same object. A plane whose name it already holds is left unchanged.

    Raises
    ------
    ValueError
        When the metadata has no plane of that name, or a field of the plane is missing or wrong.
    """
    planes = merge_lists(get_default_ophys_metadata(), metadata)["Ophys"]["ImagingPlane"]
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
            f'metadata["Ophys"]["ImagingPlane"] has no plane \'{name}\'; its planes are '
            f"{', '.join(repr(known) for known in names)}."
        )
    return names.index(name)


def _create_imaging_plane_from_metadata(
    nwbfile: NWBFile, imaging_plane_metadata: Mapping[str, Any]
) -> ImagingPlane:
    """Make an imaging plane without adding it to the file.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
        The file, which must hold the device of the plane.
    imaging_plane_metadata : Mapping
        An entry of ``metadata["Ophys"]["ImagingPlane"]``.

    Raises
    ------
    ValueError
        When a field is missing or wrong, or the file does not hold the device.
    """
    return _make_imaging_plane(nwbfile, imaging_plane_metadata, "imaging_plane_metadata")


def _make_imaging_plane(nwbfile: NWBFile, entry: Mapping[str, Any], path: str) -> ImagingPlane:
    model = parse_model(models.ImagingPlane, entry, path)
    if model.device not in nwbfile.devices:
        known = ", ".join(repr(name) for name in nwbfile.devices) or "none"
        raise MetadataError(
            f"{path}[\"device\"] is '{model.device}', but no device has that name; the devices are "
            f"{known}."
        )
    fields = attrs.asdict(model, recurse=False, filter=lambda _, value: value is not None)
    fields["device"] = nwbfile.devices[model.device]
    check_channels(entry, path)
    channels: dict[str, OpticalChannel] = {}
    for number, channel in enumerate(model.optical_channel):
        made = _make_optical_channel(channel, f'{path}["optical_channel"][{number}]')
        channels.setdefault(made.name, made)
    fields["optical_channel"] = list(channels.values())
    return ImagingPlane(**fields)


def _make_optical_channel(entry: Any, path: str) -> OpticalChannel:
    if isinstance(entry, OpticalChannel):
        return entry
    return OpticalChannel(**attrs.asdict(parse_model(models.OpticalChannel, entry, path)))
