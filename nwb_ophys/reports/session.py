"""Session, subject, devices, imaging planes and optical channels of a file, as metadata."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from nwb_ophys.metadata import models
from nwb_ophys.metadata.findings import is_no_description
from nwb_ophys.reports.stored_file import StoredFile

_GENERAL = "general"
_PLANES = "general/optophysiology"
_DEVICES = "general/devices"
# Fields of a session that are shown in other parts of a report, or are long texts of programs.
_NOT_OF_SESSION = ("source_script", "source_script_file_name", "was_generated_by")
_RENAMED = {"stimulus_notes": "stimulus"}
_UNKNOWN = ("unknown", "n.a.", "na", "nan", "not described", "none", "")


@attrs.frozen(kw_only=True)
class Fact:
    """A field with its value.

    Attributes
    ----------
    label : str
    text : str
        Value in words, with its unit; empty where the file states nothing.
    is_unknown : bool
        Whether the file states nothing, or that it is unknown.
    """

    label: str
    text: str
    is_unknown: bool


@attrs.frozen(kw_only=True)
class Entity:
    """A device, an imaging plane or an optical channel.

    Attributes
    ----------
    name : str
    path : str
        Path in the file.
    facts : tuple of Fact
    parts : tuple of Entity
        Optical channels of a plane.
    """

    name: str
    path: str
    facts: tuple[Fact, ...]
    parts: tuple[Entity, ...] = ()


@attrs.frozen(kw_only=True)
class SessionFacts:
    """Facts of a file that do not depend on its data.

    Attributes
    ----------
    metadata : Mapping
        The same in the form in which the package writes metadata.
    session, subject : tuple of Fact
    devices, planes : tuple of Entity
    """

    metadata: Mapping[str, Any]
    session: tuple[Fact, ...]
    subject: tuple[Fact, ...]
    devices: tuple[Entity, ...]
    planes: tuple[Entity, ...]


def gather_session(file: StoredFile) -> SessionFacts:
    """Return session, subject, devices and planes of a file.

    Parameters
    ----------
    file : StoredFile
    """
    session = {**_fields(file, _GENERAL, models.Session), **_fields(file, "", models.Session)}
    for name in _NOT_OF_SESSION:
        session.pop(name, None)
    subject_path = file.member(_GENERAL, "subject")
    subject = {} if subject_path is None else _fields(file, subject_path, models.Subject)
    devices = dict(_devices(file))
    planes = dict(_planes(file))
    metadata: dict[str, Any] = {"NWBFile": session}
    if subject_path is not None:
        metadata["Subject"] = subject
    metadata["Ophys"] = {"Device": [*devices.values()], "ImagingPlane": [*planes.values()]}
    return SessionFacts(
        metadata=metadata,
        session=_facts(session, models.Session, _NOT_OF_SESSION, show_missing=_SHOWN_OF_SESSION),
        subject=_facts(subject, models.Subject, (), show_missing=_SHOWN_OF_SUBJECT),
        devices=tuple(
            Entity(name=each["name"], path=path, facts=_facts(each, models.Device, ("name",)))
            for path, each in devices.items()
        ),
        planes=tuple(_plane_entity(path, each) for path, each in planes.items()),
    )


_SHOWN_OF_SESSION = (
    *("session_start_time", "session_description", "identifier", "session_id", "experimenter"),
    *("experiment_description", "institution", "lab", "keywords"),
)
_SHOWN_OF_SUBJECT = ("subject_id", "species", "sex", "age", "date_of_birth", "genotype", "strain")
_SHOWN_OF_PLANE = (
    *("device", "indicator", "location", "excitation_lambda", "imaging_rate", "description"),
    "grid_spacing",
)
_UNITS = {
    "excitation_lambda": "nm",
    "emission_lambda": "nm",
    "imaging_rate": "Hz",
    "grid_spacing": "grid_spacing_unit",
    "origin_coords": "origin_coords_unit",
}


def plane_metadata(file: StoredFile, path: str) -> dict[str, Any]:
    """Return the metadata of an imaging plane, as far as the file states them.

    Parameters
    ----------
    file : StoredFile
    path : str
        Path of the plane in the file.
    """
    found = _fields(file, path, models.ImagingPlane)
    found["name"] = path.rpartition("/")[2]
    device = file.member(path, "device")
    if device is not None:
        found["device"] = device.rpartition("/")[2]
    for name in ("grid_spacing", "origin_coords"):
        place = file.member(path, name)
        if place is not None:
            found[f"{name}_unit"] = file.attribute(place, "unit") or "meters"
    found["optical_channel"] = [
        {"name": each.rpartition("/")[2], **_fields(file, each, models.OpticalChannel)}
        for each in file.members.get(path, {}).values()
        if file.kind(each) == "OpticalChannel"
    ]
    return found


def _devices(file: StoredFile) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, path in sorted(file.members.get(_DEVICES, {}).items()):
        if not file.kind(path):
            continue
        entry = {"name": name, **_fields(file, path, models.Device)}
        model = file.member(path, "model")
        if model is not None:
            fields = _fields(file, model, models.DeviceModel)
            entry["model"] = {"name": model.rpartition("/")[2], **fields}
        yield path, entry


def _planes(file: StoredFile) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, path in sorted(file.members.get(_PLANES, {}).items()):
        if path in file.members and file.kind(path):
            yield path, plane_metadata(file, path)


def _fields(file: StoredFile, path: str, model: type) -> dict[str, Any]:
    """Return the fields of a model that are datasets or attributes of a group."""
    found = {}
    for each in attrs.fields(model):
        name = _RENAMED.get(each.name, each.name)
        value = file.attribute(path, name)
        place = file.member(path, name)
        if value is None and file.is_dataset(place):
            value = file.value(place)
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if value is not None and not isinstance(value, Mapping):
            found[each.name] = value
    return found


def _plane_entity(path: str, entry: Mapping[str, Any]) -> Entity:
    channels = tuple(
        Entity(
            name=each["name"],
            path=f"{path}/{each['name']}",
            facts=_facts(each, models.OpticalChannel, ("name",), show_missing=("emission_lambda",)),
        )
        for each in entry["optical_channel"]
    )
    left_out = ("name", "optical_channel", "grid_spacing_unit", "origin_coords_unit")
    facts = _facts(entry, models.ImagingPlane, left_out, show_missing=_SHOWN_OF_PLANE)
    return Entity(name=entry["name"], path=path, facts=facts, parts=channels)


def _facts(
    fields: Mapping[str, Any],
    model: type,
    left_out: tuple[str, ...],
    show_missing: tuple[str, ...] = (),
) -> tuple[Fact, ...]:
    """Return the facts of a model in its order; those worth stating also where they are absent."""
    known = [*show_missing, *(each.name for each in attrs.fields(model))]
    names = [name for name in dict.fromkeys(known) if name not in left_out]
    return tuple(
        _fact(name, fields)
        for name in names
        if fields.get(name) is not None or name in show_missing
    )


def _fact(name: str, fields: Mapping[str, Any]) -> Fact:
    value = fields.get(name)
    unit = _UNITS.get(name, "")
    unit = str(fields.get(unit, "")) if unit.endswith("_unit") else unit
    is_unknown = value is None or is_unknown_value(value)
    text = "" if value is None else in_words(value)
    if isinstance(value, float) and is_unknown:
        text = "unknown"
    if name.endswith("description") and isinstance(value, str) and is_no_description(value):
        is_unknown = True
    label = name.replace("__", " ").replace("_", " ").replace(" lambda", " wavelength")
    has_unit = bool(unit) and not is_unknown
    return Fact(label=label, text=f"{text} {unit}" if has_unit else text, is_unknown=is_unknown)


def is_unknown_value(value: Any) -> bool:
    """Return whether a value says that it is not known: NaN, ``unknown``, or an empty text."""
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str):
        return value.strip().lower() in _UNKNOWN
    return isinstance(value, (list, tuple)) and not value


def in_words(value: Any) -> str:
    """Return a value of metadata as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {in_words(each)}" for key, each in value.items())
    if isinstance(value, (list, tuple)):
        joint = "; " if any("," in str(each) for each in value) else ", "
        return joint.join(in_words(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
