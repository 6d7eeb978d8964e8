"""Models of the parts of ``metadata["Ophys"]``, field by field as NWB names them.

Every field and its meaning come from the NWB schema 2.9 (core, nwb.ophys, nwb.device, nwb.file).
A field of type ``float`` takes NaN, which marks an unknown value, unless it must be finite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from nwb_ophys.metadata.fields import class_schema, field
from nwb_ophys.metadata.limits import LIMITS


def model_schema(model: type) -> dict[str, Any]:
    """Return the JSON schema of a model, with the first line of its docstring as description.

    Parameters
    ----------
    model : type
        An attrs class of this module.

    Returns
    -------
    dict
        A schema that allows no other keys than the model's fields.
    """
    schema = class_schema(model)
    schema["description"] = (model.__doc__ or "").split("\n")[0]
    if not schema["required"]:
        del schema["required"]
    return schema


def _floats(values: Any) -> Any:
    return None if values is None else np.asarray(values, dtype=float)


def text(doc: str, *, required: bool = False, default: str | None = None) -> Any:
    """Declare a field of text."""
    return field(doc, attrs.NOTHING if required else default)


NAME = {"type": "string", "pattern": r"^(?!\.{1,2}$)[^/:\\]+$"}
"""Schema of a name in the file, in which /, : and \\ separate names."""


# The processing module that holds containers and processed series has a description.
FIELDS_OF_MODULE = ("description",)


def name(doc: str, default: Any = attrs.NOTHING, *, taken: Sequence[str] = ()) -> Any:
    """Declare a field that becomes a name in the file, other than names taken in its place."""
    return field(doc, default, NAME | ({"not": {"enum": list(taken)}} if taken else {}))


def number(doc: str, *, required: bool = False, schema: Mapping[str, Any] | None = None) -> Any:
    """Declare a field that holds a real number; NaN is allowed."""
    default = attrs.NOTHING if required else None
    return field(doc, default, schema, converter=attrs.converters.optional(float))


def limited(name: str, doc: str, *, required: bool = False) -> Any:
    """Declare a field that holds a number within the limits of its name, or NaN."""
    limits = LIMITS[name]
    if limits.is_whole:
        return field(doc, None, limits.schema(), converter=attrs.converters.optional(int))
    return number(doc, required=required, schema=limits.schema())


_FINITE = {"finite": True}
_SIZE = {"finite": True, "exclusiveMinimum": 0}


def numbers(doc: str, each: Mapping[str, Any] = _FINITE, sizes: tuple[int, int] = (2, 3)) -> Any:
    """Declare a field that holds a vector of numbers, with the schema of each."""
    schema = {
        "type": "array",
        "items": {"type": "number", **each},
        "minItems": sizes[0],
        "maxItems": sizes[1],
    }
    return field(doc, None, schema, converter=_floats)


def datetime(doc: str) -> Any:
    """Declare a field that holds a date and time, or the text of one."""
    return field(doc, None, {"type": "string", "format": "date-time"})


def part(doc: str, model: type) -> Any:
    """Declare a field that holds a description of another model."""
    return field(doc, None, model_schema(model), model=model)


def parts(doc: str, model: type) -> Any:
    """Declare a required field that holds a list of descriptions of another model."""
    schema = {"type": "array", "items": model_schema(model), "minItems": 1}
    return field(doc, schema=schema, model=model)


@attrs.frozen(kw_only=True)
class DeviceModel:
    """The model of a device (NWB ``DeviceModel``)."""

    name: str = name("Name of the model, such as 'Bergamo II'.")
    manufacturer: str = text("Manufacturer of the model.", required=True)
    model_number: str | None = text("Model number or part number.")
    description: str | None = text("More about the model.")


@attrs.frozen(kw_only=True)
class Device:
    """A microscope or other instrument (NWB ``Device``)."""

    name: str = name("Name, unique in the file.", taken=("models",))
    description: str | None = text("Description of the device.")
    manufacturer: str | None = text("Manufacturer of the device.")
    model_number: str | None = text("Model number or part number.")
    model_name: str | None = text("Name of the device's model.")
    serial_number: str | None = text("Serial number of the device.")
    model: Any = part("Model of the device, with more details.", DeviceModel)


# In a file, a channel lies beside the fields of its plane.
_FIELDS_OF_PLANE = (
    *("description", "device", "excitation_lambda", "imaging_rate", "indicator", "location"),
    *("reference_frame", "manifold", "origin_coords", "grid_spacing"),
)


@attrs.frozen(kw_only=True)
class OpticalChannel:
    """One channel of emitted light (NWB ``OpticalChannel``)."""

    name: str = name("Name of the channel.", taken=_FIELDS_OF_PLANE)
    description: str = text("Notes on the channel.", default="not described")
    emission_lambda: float = limited(
        "emission_lambda", "Emission wavelength in nm; NaN when unknown.", required=True
    )


@attrs.frozen(kw_only=True)
class ImagingPlane:
    """The plane or volume imaged and how (NWB ``ImagingPlane``)."""

    name: str = name("Name, unique in the file; series and segmentations link to it.")
    device: str = text("Name of the device that imaged the plane.", required=True)
    optical_channel: Sequence[Any] = parts("The channels of light recorded.", OpticalChannel)
    excitation_lambda: float = limited(
        "excitation_lambda", "Excitation wavelength in nm; NaN when unknown.", required=True
    )
    indicator: str = text("Indicator, such as 'GCaMP6s'; 'unknown' when unknown.", required=True)
    location: str = text("Location in the brain; 'unknown' when unknown.", required=True)
    description: str | None = text("Description of the imaged plane or volume.")
    imaging_rate: float | None = limited("imaging_rate", "Samples per second, in Hz.")
    reference_frame: str | None = text("Reference of origin_coords.")
    origin_coords: Any = numbers("Position of the first pixel: x, y[, z].")
    origin_coords_unit: str | None = text("Unit of origin_coords; metres when not given.")
    grid_spacing: Any = numbers("Distance between pixels along x, y[, z].", _SIZE)
    grid_spacing_unit: str | None = text("Unit of grid_spacing; metres when not given.")


@attrs.frozen(kw_only=True)
class TimeSeries:
    """Fields of any series besides its data (NWB ``TimeSeries``)."""

    name: str = name("Name, unique in its container.", taken=FIELDS_OF_MODULE)
    description: str | None = text("Description of the measurement.")
    unit: str = text("Unit of the data once converted.", default="n.a.")
    rate: float | None = number(
        "Samples per second in Hz, when the source does not say.",
        schema=_SIZE,
    )
    starting_time: float | None = number(
        "Time of the first sample in s, with a given rate.", schema=_FINITE
    )
    comments: str | None = text("Comments on the series.")
    conversion: float | None = number("Factor from the data to the unit.", schema=_FINITE)
    offset: float | None = number(
        "Offset from the data to the unit, after conversion.", schema=_FINITE
    )
    resolution: float | None = number("Smallest meaningful difference, in the unit.")


@attrs.frozen(kw_only=True)
class PhotonSeries(TimeSeries):
    """Fields that one- and two-photon series share (NWB ``ImageSeries``)."""

    imaging_plane: str = text("Name of the imaging plane it was recorded from.", required=True)
    dimension: Any = numbers("Pixels along x, y[, z]; found from the data.")
    format: str | None = field("Only 'raw': the pixels are in the file.", None, {"enum": ["raw"]})
    # No bits_per_pixel: NWB has dropped it, and pynwb refuses it.
    pmt_gain: float | None = limited("pmt_gain", "Gain of the photomultiplier.")
    scan_line_rate: float | None = limited("scan_line_rate", "Lines scanned per second, in Hz.")


@attrs.frozen(kw_only=True)
class TwoPhotonSeries(PhotonSeries):
    """A two-photon movie (NWB ``TwoPhotonSeries``)."""

    field_of_view: Any = numbers("Width, height[, depth] of the field, in metres.", _SIZE)


@attrs.frozen(kw_only=True)
class OnePhotonSeries(PhotonSeries):
    """A one-photon movie (NWB ``OnePhotonSeries``)."""

    exposure_time: float | None = limited("exposure_time", "Exposure of a frame, in s.")
    binning: int | None = limited("binning", "Pixels combined into one, along a side.")
    power: float | None = limited("power", "Power of the excitation, in mW.")
    intensity: float | None = limited("intensity", "Intensity of the excitation, in mW/mm^2.")


@attrs.frozen(kw_only=True)
class LineScan(TimeSeries):
    """Lines over time of a line scan (NWB ``TimeSeries``)."""

    imaging_plane: str = text("Name of the imaging plane in which the line lies.", required=True)


@attrs.frozen(kw_only=True)
class Images:
    """Images without a time axis, such as a z-stack (NWB ``Images``)."""

    name: str = name("Name, unique in its container.", taken=FIELDS_OF_MODULE)
    description: str = text("Description of the images.", default="Images of an imaging plane.")
    imaging_plane: str = text("Name of the imaging plane that the images show.", required=True)


@attrs.frozen(kw_only=True)
class PlaneSegmentation:
    """The ROIs found on one imaging plane (NWB ``PlaneSegmentation``)."""

    name: str = name("Name, unique in the segmentation.", taken=("name", "description"))
    imaging_plane: str = text("Name of the imaging plane the ROIs lie on.", required=True)
    description: str = text("How the ROIs were found.", default="Regions of interest.")


@attrs.frozen(kw_only=True)
class ImageSegmentation:
    """All plane segmentations of a file (NWB ``ImageSegmentation``)."""

    name: str = name("Name of the container.", "ImageSegmentation", taken=FIELDS_OF_MODULE)
    plane_segmentations: Sequence[Any] = parts(
        "One entry per plane segmentation.", PlaneSegmentation
    )


@attrs.frozen(kw_only=True)
class RoiResponseSeries(TimeSeries):
    """One kind of trace of the ROIs of a plane segmentation (NWB ``RoiResponseSeries``)."""


@attrs.frozen(kw_only=True)
class SummaryImage:
    """One summary image of a movie (NWB ``GrayscaleImage``)."""

    name: str = name("Name, unique in its container.", taken=("description", "order_of_images"))
    description: str | None = text("Description of the image.")
    resolution: float | None = number("Pixels per cm.")


@attrs.frozen(kw_only=True)
class Subject:
    """The animal or person recorded (NWB ``Subject``)."""

    subject_id: str | None = text("Identifier of the subject.")
    species: str | None = text(
        "Latin name, such as 'Mus musculus', or a link to the NCBI taxonomy."
    )
    sex: str | None = text("'M', 'F', 'U' (unknown) or 'O' (other).")
    age: str | None = text("Age as an ISO 8601 duration, such as 'P90D', or a range 'P3M/P4M'.")
    age__reference: str | None = text("'birth' or 'gestational'.")
    date_of_birth: Any = datetime("Date of birth.")
    description: str | None = text("More about the subject.")
    genotype: str | None = text("Genotype.")
    strain: str | None = text("Strain, such as 'C57BL/6J'.")
    weight: Any = field(
        "Weight with its unit, such as '0.025 kg'; a number is in kg.",
        None,
        {"type": ["string", "number"]},
    )


def _listed(value: Any) -> list[str]:
    return [str(each) for each in ([value] if isinstance(value, str) else value)]


def _has_any(value: Any) -> bool:
    return value is not None and len(value) > 0


def _words(value: Any) -> list[str]:
    """Return keywords; a text is a list of them, parted by commas or semicolons."""
    if not isinstance(value, str):
        return _listed(value)
    return [word for each in re.split("[,;]", value) if (word := each.strip())]


def _names(value: Any) -> list[str]:
    """Return names; a text is a list of them, parted by semicolons."""
    if not isinstance(value, str):
        return _listed(value)
    return [name for each in value.split(";") if (name := each.strip())]


def _texts(doc: str, converter: Callable[[Any], list[str]] = _listed) -> Any:
    """Declare a field that holds texts; an empty list counts as not given, as NWB has none."""
    schema = {"type": ["string", "array"], "items": {"type": "string"}}
    return field(
        doc,
        None,
        schema,
        converter=lambda value: (converter(value) or None) if _has_any(value) else None,
    )


_PAIR = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}


@attrs.frozen(kw_only=True)
class Session:
    """Fields of the whole session (``metadata["NWBFile"]``)."""

    session_start_time: Any = datetime(
        "Start of the session: a datetime or an ISO 8601 text. Without a time zone, the time zone "
        "of this computer is used."
    )
    session_description: str = text("Description of the session.", default="no description")
    identifier: str | None = text("Unique identifier of the file; generated when not given.")
    session_id: str | None = text("Identifier of the session within the laboratory.")
    experimenter: Any = _texts(
        "Experimenter, as 'Last, First'; one, a list, or a text with semicolons.", _names
    )
    experiment_description: str | None = text("Description of the experiment.")
    institution: str | None = text("Institution of the experiment.")
    lab: str | None = text("The laboratory.")
    keywords: Any = _texts("Keywords of the file; a list, or a text with commas.", _words)
    related_publications: Any = _texts("DOIs of publications; one or a list.")
    timestamps_reference_time: Any = datetime(
        "Time zero of all timestamps; the start of the session when not given."
    )
    notes: str | None = text("Notes on the experiment.")
    pharmacology: str | None = text("Drugs used and when.")
    protocol: str | None = text("Protocol number.")
    slices: str | None = text("Description of the slices and their preparation.")
    source_script: str | None = text("Script that made the file.")
    source_script_file_name: str | None = text("File name of the source script.")
    was_generated_by: Any = field(
        "Software that generated the data, as pairs of name and version.",
        None,
        {"type": "array", "items": _PAIR},
        converter=lambda pairs: [_listed(pair) for pair in pairs] if _has_any(pairs) else None,
    )
    data_collection: str | None = text("Notes on data collection.")
    surgery: str | None = text("Notes on surgery.")
    virus: str | None = text("Virus used.")
    stimulus_notes: str | None = text("Notes on stimuli.")
