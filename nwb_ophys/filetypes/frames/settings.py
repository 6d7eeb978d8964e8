"""Describe a recording by the settings in the JSON objects of its acquisition and first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nwb_ophys.filetypes.frames.values import first_positive, first_value
from nwb_ophys.filetypes.ome.recordings import grid_spacing
from nwb_ophys.metadata import camel_case


def describe_recording(
    extractor: Any,
    *,
    device: str,
    channel: Mapping[str, Any] | None = None,
    spacing: Sequence[float | None] = (None, None, None),
) -> Mapping[str, Any]:
    """Return the metadata that the files of a recording state.

    Parameters
    ----------
    extractor : object
        With ``summary``, ``frame``, ``start`` and ``channel_name``.
    device : str
        Description of the microscope, without a full stop.
    channel : mapping, optional
        ``excitation_lambda``, ``indicator`` and ``emission_lambda`` of the channel.
    spacing : sequence of float or None
        Distances of pixels along x, y and z in metres, for those that no JSON object states.
    """
    summary, frame = extractor.summary, extractor.frame
    facts = dict(channel or {})
    camera = camera_name(frame)
    exposure = first_positive(frame, "Exposure-ms", "Exposure")
    name, emission = extractor.channel_name, facts.pop("emission_lambda", None)
    optical = {"name": camel_case(name), "emission_lambda": emission} if name else {}
    plane = {
        "imaging_rate": extractor.stated_rate,
        "optical_channel": [optical],
        **facts,
        **grid_spacing(_spacing(summary, frame, spacing), extractor.is_volumetric),
    }
    return {
        "NWBFile": {"session_start_time": extractor.start},
        "Ophys": {
            "Device": [{"description": f"{device}, camera {camera}." if camera else f"{device}."}],
            "ImagingPlane": [plane],
            "OnePhotonSeries": [
                {
                    "exposure_time": None if exposure is None else exposure / 1000,
                    "binning": camera_binning(frame),
                }
            ],
        },
    }


def _spacing(
    summary: Mapping[str, Any], frame: Mapping[str, Any], other: Sequence[float | None]
) -> list[float | None]:
    """Return the distances of pixels in metres; 0 means an unknown one."""
    size = first_positive(frame, "PixelSizeUm")
    size = size or first_positive(summary, "PixelSize_um")
    step = first_positive(summary, "z-step_um")
    x, y, z = other
    return [size * 1e-6 if size else x, size * 1e-6 if size else y, step * 1e-6 if step else z]


def camera_name(frame: Mapping[str, Any]) -> str | None:
    """Return the name of the camera; None if not stated."""
    name = first_value(frame, "Camera", "Core-Camera")
    return None if name is None else str(name)


def camera_binning(frame: Mapping[str, Any]) -> int | None:
    """Return the number of sensor pixels per pixel along each side; None if not stated."""
    text = str(first_value(frame, "Binning", f"{camera_name(frame)}-Binning") or "")
    sides = set(text.split("x"))
    return int(text.split("x")[0]) if len(sides) == 1 and text.split("x")[0].isdigit() else None
