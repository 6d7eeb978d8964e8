"""Metadata of a Prairie View recording, in NWB's units."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.formats.bruker.layout import PrairieLayout
from nwb_ophys.formats.bruker.lines import BrukerLineScanExtractor
from nwb_ophys.formats.bruker.reader import BrukerTiffExtractor, settings_text
from nwb_ophys.formats.bruker.xml import PrairieRecording
from nwb_ophys.metadata import CommonFacts, camel_case, possible_number
from nwb_ophys.metadata.datetimes import warn_of_unread_start

_DATE_TIME_TAG = 306
# Relative difference up to which a setting is the same in all frames.
_TOLERANCE = 1e-3
_FORMATS = (
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %I:%M:%S %p", "%d.%m.%Y %H:%M:%S"),
    *("%Y/%m/%d %H:%M:%S", "%Y.%m.%d %H:%M:%S", "%d-%m-%Y %H:%M:%S"),
)
# Computers of different countries write day and month in different order.
_AMBIGUOUS = (
    "%m/%d/%Y %I:%M:%S %p",
    "%d/%m/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
)


def describe_prairie(extractor: BrukerTiffExtractor, plane_index: int | None) -> dict[str, Any]:
    """Return the metadata of one channel, for one plane or whole volumes.

    Parameters
    ----------
    extractor : BrukerTiffExtractor
    plane_index : int or None
    """
    recording = _with_common_settings(extractor.recording, extractor.layout, plane_index)
    line_period = recording.number("scanLinePeriod")
    series = {
        "pmt_gain": recording.number("pmtGain", str(extractor.channel - 1)),
        "scan_line_rate": 1 / line_period if line_period else None,
        "comments": _series_text(recording),
    }
    rate = extractor.get_nominal_rate()
    common = _common(extractor, recording, extractor.layout, plane_index, imaging_rate=rate)
    return _with_ophys(common, TwoPhotonSeries=[series])


def describe_images(extractor: BrukerTiffExtractor) -> dict[str, Any]:
    """Return the metadata of one channel of a single image or z-stack.

    Parameters
    ----------
    extractor : BrukerTiffExtractor
    """
    recording = _with_common_settings(extractor.recording, extractor.layout)
    kind = recording.cycles[0].type
    what = f"Prairie View sequence of the type '{kind}'." if kind else ""
    description = " ".join(part for part in (what, _series_text(recording)) if part)
    common = _common(extractor, recording, extractor.layout)
    return _with_ophys(common, Images=[{"description": description or None}])


def describe_line_scan(extractor: BrukerLineScanExtractor) -> dict[str, Any]:
    """Return the metadata of one channel of a line scan.

    Parameters
    ----------
    extractor : BrukerLineScanExtractor
    """
    line_scan = extractor.line_scan
    recording = _with_common_settings(line_scan.recording, line_scan.layout)
    line = f"Scanned line: {line_scan.definition}." if line_scan.definition else ""
    gain = recording.text("pmtGain", str(extractor.channel - 1))
    parts = [line, f"Gain of the photomultiplier: {gain}." if gain else ""]
    parts.append(_series_text(recording) or "")
    comments = " ".join(part for part in parts if part)
    common = _common(extractor, recording, line_scan.layout)
    return _with_ophys(common, LineScan=[{"comments": comments or None}])


def _with_common_settings(
    recording: PrairieRecording, layout: PrairieLayout, plane_index: int | None = None
) -> PrairieRecording:
    """Return a recording without the settings that change between the frames that are read."""
    size = layout.num_planes if plane_index is None else 1
    frames = layout.frames[plane_index or 0 :: layout.num_planes // size]
    stated = [frame.facts for frame in frames]
    by_plane = _powers_by_plane(stated, size)
    facts = CommonFacts(f"'{recording.path}'", "frames", _TOLERANCE)
    latest = None
    for index, found in enumerate(stated):
        if found is not latest:  # frames with the same facts share them
            latest = found
            own = {key: value for key, value in found.items() if key not in by_plane}
            named = {" ".join(key): _number_or_text(value) for key, value in own.items()}
            where = f"plane {index % size} of sample {index // size}"
            facts.add(where if size > 1 else f"sample {index}", named)
    facts.agreed()
    settings = {**recording.settings, **stated[0], **by_plane}
    kept = {k: v for k, v in settings.items() if " ".join(k) not in facts.differing}
    return attrs.evolve(recording, settings=kept)


def _powers_by_plane(
    stated: Sequence[Mapping[tuple[str, ...], str]], size: int
) -> dict[tuple[str, ...], str]:
    """Return the powers of lasers that depend on the plane alone, as a list of all planes.

    Parameters
    ----------
    stated : sequence of Mapping
        Facts of each frame.
    size : int
        Number of frames of a sample.
    """
    first = stated[:size]
    found = {}
    for key in {key for facts in first for key in facts if key[0] == "laserPower"}:
        values = [facts.get(key) for facts in first]
        is_set = len(set(values)) > 1 and None not in values
        if is_set and all(
            facts.get(key) == value
            for facts, value in zip(stated, itertools.cycle(values), strict=False)
        ):
            found[key] = f"{', '.join(map(str, values))} by plane"
    return found


def _number_or_text(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _with_ophys(common: dict[str, Any], **entries: Any) -> dict[str, Any]:
    return {**common, "Ophys": {**common["Ophys"], **entries}}


def _common(
    extractor: BrukerTiffExtractor | BrukerLineScanExtractor,
    recording: PrairieRecording,
    layout: PrairieLayout,
    plane_index: int | None = None,
    **of_plane: Any,
) -> dict[str, Any]:
    """Return the metadata that all that is read has: session, device and imaging plane."""
    chosen = layout.depths if plane_index is None else [layout.depths[plane_index]]
    first_file = recording.path.parent / layout.frames[0].files[0].file_name
    plane = {
        **of_plane,
        "excitation_lambda": _wavelength(recording),
        "description": _plane_text(recording, chosen),
        "optical_channel": [
            {
                "name": camel_case(extractor.channel_name) or f"Ch{extractor.channel}",
                "description": recording.descriptions.get(("pmtGain", str(extractor.channel - 1))),
            }
        ],
        **_spacing(recording, chosen),
        **_origin(recording, layout.stage, chosen),
    }
    return {
        "NWBFile": {
            "session_start_time": _start_of(recording, first_file),
            "notes": recording.notes or None,
        },
        "Ophys": {
            "Device": [{"description": _device_text(recording)}],
            "ImagingPlane": [plane],
        },
    }


def _start_of(recording: PrairieRecording, first_file: Path) -> datetime | None:
    """Return the start of the recording, or None with a note of a form that is not known."""
    found = session_start(recording.date, first_file)
    if found is None:
        warn_of_unread_start(f"'{recording.path}'", recording.date)
    return found


def session_start(date: str, first_file: Path) -> datetime | None:
    """Parse the start of the recording, in the date format of the computer's country.

    Parameters
    ----------
    date : str
        For example ``11/3/2022 11:20:34 AM``.
    first_file : pathlib.Path
        An image; its own date distinguishes day and month if the format is ambiguous.
    """
    text = " ".join(date.replace("\u202f", " ").split())
    certain = [start for form in _FORMATS if (start := _parse_datetime(text, form))]
    if certain:
        return certain[0]
    found = {form: start for form in _AMBIGUOUS if (start := _parse_datetime(text, form))}
    candidates = set(found.values())
    if len(candidates) < 2:
        return next(iter(candidates), None)
    heading = read_tiff_heading(first_file)
    date_time = heading.texts.get(_DATE_TIME_TAG, "") if heading else ""
    written = _parse_datetime(date_time, "%Y:%m:%d %H:%M:%S")
    nearest = min(candidates, key=lambda start: abs(start - written)) if written else None
    american = found.get(_AMBIGUOUS[0])
    # Most clocks of 12 hours are American, so only an image of the same day says otherwise.
    is_same_day = nearest and written and abs(nearest - written) < timedelta(days=1)
    return nearest if american is None or is_same_day else american


def _parse_datetime(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _wavelength(recording: PrairieRecording) -> float | None:
    """Return the wavelength in nm of the only laser that was on; None if several were on."""
    numbers = {
        index: recording.number("laserWavelength", *index)
        for index in recording.indexed("laserWavelength")
    }
    stated = {index: value for index, value in numbers.items() if value}
    # Without a numeric power, a laser counts as on.
    active = [index for index in stated if recording.number("laserPower", *index) != 0]
    return stated[active[0]] if len(active) == 1 else None


def _spacing(recording: PrairieRecording, depths: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    """Return the size of a pixel in metres, and the distance of planes if it is constant."""
    size = [recording.number("micronsPerPixel", axis) for axis in ("XAxis", "YAxis")]
    if None in size:
        return {}
    steps = _z_steps(depths)
    if steps is not None and len(steps) and np.allclose(steps, steps[0], rtol=1e-3):
        size.append(float(steps[0]))
    elif len(depths) > 1 and steps is None:
        size += [step for step in [recording.number("micronsPerPixel", "ZAxis")] if step]
    return {
        "grid_spacing": [round(float(each or 0) * 1e-6, 15) for each in size],
        "grid_spacing_unit": "meters",
    }


def _z_steps(depths: Sequence[tuple[float, ...]]) -> Any:
    """Return the distances of neighbouring planes in micrometres; None if not known."""
    if len(depths) < 2 or not all(depths) or len({len(each) for each in depths}) > 1:
        return None
    moved = np.diff(np.array(depths), axis=0)
    moving = np.flatnonzero((moved != 0).any(axis=0))
    return np.abs(moved[:, moving[0]]) if len(moving) == 1 else None


def _z_device(recording: PrairieRecording) -> int:
    """Return the index of the device that moves the focus."""
    number = recording.number("zDevice")
    return int(number) if number is not None else 0


def _origin(
    recording: PrairieRecording,
    stage: tuple[float, float] | None,
    depths: Sequence[tuple[float, ...]],
) -> dict[str, Any]:
    """Return the stated position of the (first) plane, in metres."""
    device = _z_device(recording)
    if stage is None or not depths or device >= len(depths[0]):
        return {}
    position = [*stage, depths[0][device]]
    key = ("positionCurrent", "ZAxis", str(device))
    name = recording.descriptions.get(key, "the z axis")
    return {
        "origin_coords": [round(each * 1e-6, 15) for each in position],
        "origin_coords_unit": "meters",
        "reference_frame": (
            f"Coordinates of the microscope: x and y of its stage, z of {name}. Prairie View "
            "states the position of the stage, not the position of the first pixel."
        ),
    }


def _plane_text(recording: PrairieRecording, depths: Sequence[tuple[float, ...]]) -> str | None:
    """Return a description of the position of each plane, for all focus devices."""
    if not all(depths):
        return None
    places = []
    for depth in depths:
        names = [
            recording.descriptions.get(("positionCurrent", "ZAxis", str(i)), f"z{i if i else ''}")
            for i in range(len(depth))
        ]
        places.append(", ".join(f"{n} {z:g}" for n, z in zip(names, depth, strict=True)))
    what = "Plane" if len(places) == 1 else f"Volume of {len(places)} planes"
    return f"{what} at {'; '.join(places)} (micrometres)."


def _device_text(recording: PrairieRecording) -> str:
    text, number = recording.text, recording.number
    lens = text("objectiveLens")
    aperture = possible_number(number("objectiveLensNA"), most=10)
    magnification = possible_number(number("objectiveLensMag"), most=1000)
    about = [f"NA {aperture:g}"] if aperture else []
    about = [f"{magnification:g}x", *about] if magnification else about
    objective = f"objective {lens} ({', '.join(about)})" if about else f"objective {lens}"
    parts = [
        f"Bruker laser-scanning microscope, run by Prairie View {recording.version}".strip(),
        f"scan mode {text('activeMode')}" if text("activeMode") else "",
        objective if lens or about else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def _series_text(recording: PrairieRecording) -> str | None:
    """Return a description of settings that NWB has no field for."""
    named = {
        "optical zoom": ("opticalZoom", ""),
        "bit depth": ("bitDepth", ""),
        "dwell time": ("dwellTime", " us"),
        "frame period": ("framePeriod", " s"),
        "frames averaged": ("rastersPerFrame", ""),
    }
    parts = [
        f"{words} {recording.text(key)}{unit}"
        for words, (key, unit) in named.items()
        if possible_number(recording.number(key)) is not None
    ]
    for words, key in (("laser power", "laserPower"), ("laser wavelength", "laserWavelength")):
        listed = settings_text(recording, key)
        parts += [f"{words} ({', '.join(listed)})"] if listed else []
    return f"Settings: {'; '.join(parts)}." if parts else None
