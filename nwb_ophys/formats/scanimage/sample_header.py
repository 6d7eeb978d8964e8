"""Header of a ScanImage file: the settings and the scanned regions as text.

Fields and their spelling follow files of ScanImage 2021 and 2023
(``SI.TIFF_FORMAT_VERSION = 4``) and https://docs.scanimage.org/Appendix/ScanImage%2BBigTiff%2BSpecification.html.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nwb_ophys.formats.scanimage.sample_acquisition import Acquisition

#: Share of a frame's duration in which lines are scanned; the rest is the way back to the top.
_SCANNED_SHARE = 0.94


def frame_data(acquisition: Acquisition) -> str:
    """Return the settings of all frames as lines ``SI.name = value``."""
    settings: dict[str, Any] = {
        "LINE_FORMAT_VERSION": 1,
        "PREMIUM": True,
        "TIFF_FORMAT_VERSION": 4,
        "VERSION_COMMIT": "0" * 40,
        "VERSION_MAJOR": 2022,
        "VERSION_MINOR": 0,
        "VERSION_UPDATE": 0,
        "acqState": "grab",
        "acqsPerLoop": 1,
        "extTrigEnable": False,
        "imagingSystem": "Resonant scanner",
        "loopAcqInterval": 10,
        "name": "ScanImage",
        "objectiveResolution": acquisition.objective_resolution,
    }
    components = {
        "hBeams": {
            "flybackBlanking": True,
            "name": "SI Beams",
            "powerFractions": 0.1,
            "powers": 10,
        },
        "hChannels": _channel_settings(acquisition),
        "hFastZ": _fast_z_settings(acquisition),
        "hMotors": {"name": "SI Motors", "samplePosition": [0, 0, 0]},
        "hPmts": _pmt_settings(acquisition),
        "hRoiManager": _roi_manager_settings(acquisition),
        "hScan2D": _scanner_settings(acquisition),
        "hStackManager": _stack_settings(acquisition),
    }
    for component, values in components.items():
        settings |= {f"{component}.{name}": value for name, value in values.items()}
    return "".join(f"SI.{name} = {_matlab(settings[name])}\n" for name in sorted(settings))


def roi_groups(acquisition: Acquisition) -> str:
    """Return the scanned regions as JSON; by default one region that fills the field."""
    _, num_rows, _, _ = acquisition.movie_shape
    default = {"Default Imaging Roi": (num_rows, (0.0, 0.0), acquisition.field_degrees)}
    stated = acquisition.regions or default
    regions = [_region(acquisition, name, *region) for name, region in stated.items()]
    group = {
        "ver": 1,
        "classname": "scanimage.mroi.RoiGroup",
        "name": "Default Imaging ROI Group",
        "UserData": None,
        # MATLAB writes a list of one as its element.
        "rois": regions if len(regions) > 1 else regions[0],
    }
    groups = {"imagingRoiGroup": group, "photostimRoiGroups": None, "integrationRoiGroup": None}
    return json.dumps({"RoiGroups": groups}, indent=2) + "\n"


def _region(
    acquisition: Acquisition,
    name: str,
    num_rows: int,
    center: tuple[float, float],
    size: tuple[float, float],
) -> dict[str, Any]:
    """Return one region, which extends through all planes."""
    (x, y), (width, height) = center, size
    scanfield = {
        "ver": 1,
        "classname": "scanimage.mroi.scanfield.fields.RotatedRectangle",
        "name": "Default Imaging Scanfield",
        "UserData": None,
        "centerXY": [x, y],
        "sizeXY": [width, height],
        "rotationDegrees": 0,
        "enable": 1,
        "pixelResolutionXY": [acquisition.movie_shape[2], num_rows],
        "affine": [[width, 0, x - width / 2], [0, height, y - height / 2], [0, 0, 1]],
    }
    return {
        "ver": 1,
        "classname": "scanimage.mroi.Roi",
        "name": name,
        "UserData": {"scanZoomFactor": acquisition.zoom},
        "zs": 0,
        "scanfields": scanfield,
        "discretePlaneMode": 0,
        "enable": 1,
    }


def _line_period(acquisition: Acquisition) -> float:
    """Return the duration of a line in seconds."""
    if acquisition.line_period is not None:
        return acquisition.line_period
    return _SCANNED_SHARE / (acquisition.scan_rate * acquisition.movie_shape[1])


def _channel_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the available and the saved channels, and their names."""
    available = range(1, acquisition.num_channels_available + 1)
    saved = sorted(acquisition.channels)
    return {
        "channelDisplay": saved,
        "channelInputRange": tuple([-1, 1] for _ in available),
        "channelLUT": tuple([0, 100] for _ in available),
        "channelMergeColor": tuple("green" if number == 1 else "red" for number in available),
        "channelName": tuple(
            acquisition.channel_names.get(number, f"Channel {number}") for number in available
        ),
        "channelOffset": [0 for _ in available],
        "channelSave": saved,
        "channelSubtractOffset": [True for _ in available],
        "channelType": tuple("stripe" for _ in available),
        "channelsActive": saved,
        "channelsAvailable": len(available),
        "loggingEnable": 1,
        "name": "SI Channels",
    }


def _fast_z_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the settings of the piezo or lens of a fast stack."""
    return {
        "discardFlybackFrames": acquisition.num_flyback_frames > 0,
        "enable": acquisition.num_planes > 1 and acquisition.stack_mode == "fast",
        "flybackTime": acquisition.num_flyback_frames / acquisition.frame_rate,
        "hasFastZ": True,
        "name": "SI FastZ",
        "numDiscardFlybackFrames": acquisition.num_flyback_frames,
        "position": 0,
        "waveformType": "sawtooth",
    }


def _pmt_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the gains of the photomultipliers, if ScanImage controls any."""
    gains = acquisition.pmt_gains
    return {
        "gains": list(gains) if gains else np.zeros((1, 0)),
        "name": "SI Pmts",
        "names": tuple(f"PMT {number}" for number in range(1, len(gains) + 1)),
        "powersOn": [True for _ in gains] if gains else np.zeros((1, 0)),
    }


def _roi_manager_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the field of view and the scan rates."""
    _, num_rows, num_columns, _ = acquisition.movie_shape
    rate = acquisition.scan_rate
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * acquisition.field_degrees / 2
    return {
        "forceSquarePixels": True,
        "imagingFovDeg": corners,
        "imagingFovUm": corners * acquisition.objective_resolution,
        "linePeriod": _line_period(acquisition),
        "linesPerFrame": num_rows,
        "mroiEnable": bool(acquisition.regions),
        "name": "SI RoiManager",
        "pixelsPerLine": num_columns,
        "scanFramePeriod": 1 / rate,
        "scanFrameRate": rate,
        "scanType": "frame",
        "scanVolumeRate": acquisition.sampling_frequency,
        "scanZoomFactor": acquisition.zoom,
    }


def _scanner_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the scanner, its data type, and the number of frames per file."""
    per_file = acquisition.frames_per_file
    flyto = acquisition.num_flyto_rows * _line_period(acquisition)
    return {
        "bidirectional": True,
        "channelsDataType": str(next(iter(acquisition.channels.values())).dtype),
        "fillFractionSpatial": 0.9,
        "flybackTimePerFrame": (1 - _SCANNED_SHARE) / acquisition.scan_rate,
        **({"flytoTimePerScanfield": flyto} if acquisition.regions else {}),
        "hasResonantMirror": True,
        "logAverageFactor": acquisition.average_factor,
        "logFramesPerFile": np.inf if per_file is None else per_file,
        "name": "Resonant scanner",
        "scanMode": "resonant",
        "scannerFrequency": 7900,
        "scannerType": "RGG",
    }


def _stack_settings(acquisition: Acquisition) -> dict[str, Any]:
    """Return the slices of a volume and their frames."""
    stack = acquisition.num_planes > 1
    zs = [plane * acquisition.z_step for plane in range(acquisition.num_planes)]
    # Without a stack, ScanImage counts all frames of the recording as frames of one slice.
    in_slice = acquisition.frames_per_slice if stack else acquisition.num_planned_frames
    in_slice *= acquisition.average_factor
    in_volume = acquisition.num_planes * in_slice
    volumes = acquisition.num_volumes if stack else 1
    return {
        "actualNumSlices": acquisition.num_planes,
        "actualNumVolumes": volumes,
        "actualStackZStepSize": acquisition.z_step,
        "enable": stack,
        "framesPerSlice": in_slice,
        "name": "SI StackManager",
        "numFramesPerVolume": in_volume,
        "numFramesPerVolumeWithFlyback": in_volume + acquisition.num_flyback_frames,
        "numSlices": acquisition.num_planes,
        "numVolumes": volumes,
        "stackActuator": "fastZ" if acquisition.stack_mode == "fast" else "motor",
        "stackDefinition": "uniform",
        "stackMode": acquisition.stack_mode,
        "stackZStepSize": acquisition.z_step,
        "zs": [z for z in zs for _ in range(acquisition.frames_per_slice)],
        "zsAllActuators": np.array(zs).reshape(-1, 1),
    }


def _matlab(value: Any) -> str:
    """Return a value as MATLAB code: a list as a row, a tuple as a cell, an array as a matrix."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, tuple):
        return "{" + " ".join(map(_matlab, value)) + "}"
    if isinstance(value, np.ndarray):
        if value.size == 0:
            return f"zeros({value.shape[0]},{value.shape[1]})"
        if value.size == 1:
            return _matlab(value.item())
        return "[" + ";".join(" ".join(map(_matlab, row)) for row in value.tolist()) + "]"
    if isinstance(value, list):
        # ScanImage writes a row of one as a scalar, e.g. channelSave = 1.
        return _matlab(value[0]) if len(value) == 1 else f"[{' '.join(map(_matlab, value))}]"
    if value == np.inf:
        return "Inf"
    # ScanImage writes six significant digits.
    return str(value) if isinstance(value, int) else f"{value:.6g}"
