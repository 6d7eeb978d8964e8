"""Default metadata for values that neither source nor user states; the only place that has any.

Unknown wavelengths are NaN, unknown names ``unknown``, unknown units ``n.a.``: markers that a
reader recognises. Each function returns a fresh object.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from nwb_ophys.errors import ArgumentError
from nwb_ophys.metadata.deepdict import DeepDict

BACKGROUND_PLANE_SEGMENTATION = "BackgroundPlaneSegmentation"

_DEFAULT_PLANE_SEGMENTATION = "PlaneSegmentation"

_SERIES = {"TwoPhotonSeries": "Two-photon", "OnePhotonSeries": "One-photon"}

_TRACE_DESCRIPTIONS = {
    "raw": "Fluorescence of each ROI as the segmentation extracted it.",
    "dff": "Relative change of fluorescence (delta F over F) of each ROI.",
    "neuropil": "Fluorescence of the neuropil around each ROI.",
    "deconvolved": "Activity inferred by deconvolving the fluorescence of each ROI.",
    "denoised": "Fluorescence of each ROI with noise removed by the segmentation's model.",
    "background": "Fluorescence of each background component.",
    "baseline": "Baseline fluorescence of each ROI.",
}

_IMAGE_DESCRIPTIONS = {
    "correlation": "Correlation of each pixel with its neighbours.",
    "mean": "Mean over time of each pixel.",
}


def get_default_session_metadata() -> DeepDict:
    """Return the metadata that any file has: ``NWBFile`` with a fresh identifier."""
    return DeepDict(
        NWBFile={"session_description": "no description", "identifier": str(uuid.uuid4())}
    )


def get_default_ophys_metadata() -> DeepDict:
    """Return the metadata that any ophys file has: session, device and imaging plane.

    Returns
    -------
    DeepDict
        ``NWBFile`` with a fresh identifier, and ``Ophys`` with ``Device`` and ``ImagingPlane``.
    """
    ophys = {"Device": [{"name": "Microscope"}], "ImagingPlane": [_default_imaging_plane()]}
    return DeepDict(**get_default_session_metadata(), Ophys=ophys)


def _default_imaging_plane() -> dict[str, Any]:
    return {
        "name": "ImagingPlane",
        "description": "The plane or volume that was imaged.",
        "excitation_lambda": np.nan,
        "indicator": "unknown",
        "location": "unknown",
        "device": "Microscope",
        "optical_channel": [
            {
                "name": "OpticalChannel",
                "emission_lambda": np.nan,
                "description": "The channel of light that was recorded.",
            }
        ],
    }


def default_entry(key: Any) -> dict[str, Any]:
    """Return the default values of an entry of a list, for keys that are set to None.

    Parameters
    ----------
    key : str
        Key of the list, such as ``ImagingPlane`` or ``optical_channel``, or the name of the
        model of its entries.

    Returns
    -------
    dict
        Without a name, which has no default; empty for a list whose entries have no defaults.
    """
    plane = _default_imaging_plane()
    series = {"unit": "n.a.", "imaging_plane": plane["name"]}
    channel, segmentation = plane["optical_channel"][0], _default_plane_segmentation()
    entries: dict[str, dict[str, Any]] = {
        "ImagingPlane": plane,
        "optical_channel": channel,
        "OpticalChannel": channel,
        "plane_segmentations": segmentation,
        "PlaneSegmentation": segmentation,
        "LineScan": line_scan_entry(),
    } | {kind: series | {"description": series_description(kind)} for kind in _SERIES}
    return {name: value for name, value in entries.get(key, {}).items() if name != "name"}


def series_description(kind: str) -> str:
    """Return the default description of a series.

    Parameters
    ----------
    kind : {"TwoPhotonSeries", "OnePhotonSeries"}

    Raises
    ------
    ArgumentError
        For another kind.
    """
    if kind not in _SERIES:
        allowed = ", ".join(map(repr, _SERIES))
        raise ArgumentError(f"photon_series_type is {kind!r}; it must be one of {allowed}.")
    return f"{_SERIES[kind]} imaging movie."


def get_default_segmentation_metadata() -> DeepDict:
    """Return the metadata that any segmentation has, in addition to that of any ophys file.

    Returns
    -------
    DeepDict
        As :func:`get_default_ophys_metadata`, with ``Fluorescence``, ``DfOverF``,
        ``ImageSegmentation`` and ``SegmentationImages`` for one ``PlaneSegmentation``.
    """
    metadata = get_default_ophys_metadata()
    plane = _DEFAULT_PLANE_SEGMENTATION
    metadata["Ophys"].update(
        Fluorescence={"name": "Fluorescence", plane: {"raw": trace_entry("raw")}},
        DfOverF={"name": "DfOverF", plane: {"dff": trace_entry("dff")}},
        ImageSegmentation={
            "name": "ImageSegmentation",
            "plane_segmentations": [_default_plane_segmentation()],
        },
        SegmentationImages={
            **image_container_entry(),
            plane: {"correlation": image_entry("correlation")},
        },
    )
    return metadata


def _default_plane_segmentation() -> dict[str, Any]:
    return {
        "name": _DEFAULT_PLANE_SEGMENTATION,
        "description": "Regions of interest found in the imaging plane.",
        "imaging_plane": "ImagingPlane",
    }


def trace_entry(trace: str) -> dict[str, Any]:
    """Return the default metadata of a kind of trace.

    Parameters
    ----------
    trace : str
        The extractor's name of the trace: ``raw``, ``dff``, ``neuropil``, ``deconvolved``, …

    Returns
    -------
    dict
        ``name``, ``description`` and ``unit``. Raw and dff are both ``RoiResponseSeries``, in
        different containers; others carry their own name, capitalised.
    """
    name = "RoiResponseSeries" if trace in ("raw", "dff") else trace.capitalize()
    description = _TRACE_DESCRIPTIONS.get(trace, f"Trace '{trace}' of each ROI.")
    return {"name": name, "description": description, "unit": "n.a."}


def image_container_entry() -> dict[str, Any]:
    """Return the default metadata of the container of summary images."""
    return {
        "name": "SegmentationImages",
        "description": "Summary images of the segmented movie.",
    }


def image_entry(image: str) -> dict[str, Any]:
    """Return the default metadata of a summary image: its ``name`` and ``description``."""
    description = _IMAGE_DESCRIPTIONS.get(image, f"Summary image '{image}' of the segmentation.")
    return {"name": image, "description": description}


def line_scan_entry() -> dict[str, Any]:
    """Return the default metadata of a line scan."""
    return {
        "name": "LineScan",
        "description": "Line scan: lines over time, one line of pixels per sample.",
        "unit": "n.a.",
        "imaging_plane": "ImagingPlane",
    }


def images_entry(name: str, description: str) -> dict[str, Any]:
    """Return the metadata of images without a time axis.

    Parameters
    ----------
    name, description : str
    """
    return {"name": name, "description": description, "imaging_plane": "ImagingPlane"}


def get_nwb_imaging_metadata(
    imgextractor: Any, photon_series_type: str = "TwoPhotonSeries"
) -> dict[str, Any]:
    """Return the default metadata of an imaging extractor.

    Parameters
    ----------
    imgextractor : roiextractors.ImagingExtractor
        Extractor whose shape is read; no frame is.
    photon_series_type : {"TwoPhotonSeries", "OnePhotonSeries"}
        The kind of series to describe.

    Returns
    -------
    dict
        The defaults and one series, whose ``dimension`` is (columns, rows[, planes]): NWB counts
        pixels along x, y, z.
    """
    metadata = get_default_ophys_metadata()
    rows, columns, *planes = imgextractor.get_sample_shape()
    metadata["Ophys"][photon_series_type] = [
        {
            "name": photon_series_type,
            "description": series_description(photon_series_type),
            "unit": "n.a.",
            "imaging_plane": "ImagingPlane",
            "dimension": [int(size) for size in (columns, rows, *planes)],
            **calibration_fields(imgextractor),
        }
    ]
    return metadata


def calibration_fields(extractor: Any) -> dict[str, Any]:
    """Return the fields of a series that hold the calibration that an extractor states.

    Parameters
    ----------
    extractor : roiextractors.ImagingExtractor
        Its attribute ``calibration``, if it has one, has a ``conversion``, an ``offset`` and a
        ``unit``.

    Returns
    -------
    dict
        ``conversion`` and ``offset`` where they change the numbers, ``unit`` where it is stated.
    """
    calibration = getattr(extractor, "calibration", None)
    if calibration is None:
        return {}
    numbers = {"conversion": calibration.conversion, "offset": calibration.offset}
    fields: dict[str, Any] = numbers if calibration.changes_numbers else {}
    return fields | ({"unit": calibration.unit} if calibration.unit else {})


def get_nwb_segmentation_metadata(sgmextractor: Any) -> dict[str, Any]:
    """Return the default metadata of a segmentation extractor.

    Parameters
    ----------
    sgmextractor : roiextractors.SegmentationExtractor
        Extractor whose traces and images are listed, not read.

    Returns
    -------
    dict
        The defaults, with an entry for each trace and each summary image there is.
    """
    metadata = get_default_segmentation_metadata()
    plane = _DEFAULT_PLANE_SEGMENTATION
    for trace, data in sgmextractor.get_traces_dict().items():
        if trace not in ("raw", "dff") and data is not None and len(data.shape) > 0:
            metadata["Ophys"]["Fluorescence"][plane][trace] = trace_entry(trace)
    for image, pixels in sgmextractor.get_images_dict().items():
        if pixels is not None:
            metadata["Ophys"]["SegmentationImages"][plane][image] = image_entry(image)
    return metadata


def background_entry(
    name: str = BACKGROUND_PLANE_SEGMENTATION, imaging_plane: str = "ImagingPlane"
) -> dict[str, str]:
    """Return the default metadata of a plane segmentation of background components."""
    return {
        "name": name,
        "description": "Background components of the segmentation (not cells).",
        "imaging_plane": imaging_plane,
    }
