"""Movies and cell sets of Inscopix miniscopes (``.isxd`` files)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.formats.inscopix.header import (
    CELL_SET,
    MOVIE,
    IsxdHeader,
    not_read,
    open_isxd,
    other_kind,
    read_isxd_header,
)
from nwb_ophys.formats.inscopix.translations import read_translations
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.registered import (
    RegisteredImagingOptions,
    RegisteredMovieWriter,
    Registration,
    describe_shifts,
)
from nwb_ophys.interfaces.segmentation import SegmentationInterface
from nwb_ophys.metadata import possible_number
from nwb_ophys.metadata.datetimes import plain_iso
from nwb_ophys.paths import PathProbe

_SUFFIX = ".isxd"
_OTHER_FILES = {
    ".isxb": "a behaviour movie",
    ".isxc": "a compressed movie",
    ".isxp": "a project",
    ".gpio": "a recording of GPIO signals",
    ".imu": "a recording of the IMU",
}


@attrs.frozen(kw_only=True)
class InscopixSource:
    """Source arguments of an Inscopix movie."""

    file_path: Path = argument(".isxd file of the movie.")
    translations_path: Path | None = argument(
        "CSV file with the translations of the frames, which Inscopix's motion correction wrote "
        "with the movie.",
        default=None,
    )


class InscopixImagingInterface(RegisteredMovieWriter, ImagingInterface):
    """A movie of an Inscopix miniscope: one plane and one colour."""

    Source = InscopixSource
    reads_ranges = True
    Options = RegisteredImagingOptions
    states_movies = True
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.inscopix.reader import InscopixMovieExtractor

        extractor = InscopixMovieExtractor(source.file_path)
        if source.translations_path is not None:
            read_translations(source.translations_path, extractor.header)  # raises early
        return extractor

    def find_registration(self) -> Registration | None:
        """Return the translations of the frames, if their file is given."""
        path = self.source.translations_path
        if path is None:
            return None
        return Registration(
            source=f"'{path}'",
            shifts=read_translations(path, open_isxd(self.source.file_path, MOVIE)),
            description=describe_shifts("Inscopix's software", 2),
        )

    def no_registration(self) -> str:
        """Return where translations are looked for."""
        return (
            f"'{self.source.file_path}' does not state the translations of its frames; give the "
            "CSV file that Inscopix's motion correction wrote as translations_path."
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the header: session, subject, miniscope, rate, exposure, light."""
        header = self.extractor.header
        described = _describe(header)
        exposure = _number(header, "microscope", "exp")
        binning = _number(header, "idps", "spatialDownsampling")
        described["Ophys"]["OnePhotonSeries"] = [
            {
                "exposure_time": None if exposure is None else exposure * 1e-3,
                "binning": int(binning) if binning and binning.is_integer() else None,
                "intensity": _intensity(header),
            }
        ]
        return described

    def part(self) -> str:
        """Return the colour and the plane, if the recording has several."""
        return _part(self.extractor.header)

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether an ``.isxd`` file lacks its header, which is at its end."""
        return probe.read_once(read_isxd_header) is None and other_kind(probe.path) is None

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return what a file of Inscopix holds other than a movie or a cell set, or None."""
        suffix = probe.path.suffix.lower()
        if not probe.is_file or suffix not in (_SUFFIX, *_OTHER_FILES):
            return None
        what = other_kind(probe.path) if suffix == _SUFFIX else _OTHER_FILES[suffix]
        return not_read(probe.path, what) if what else None

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an Inscopix movie: its header."""
        header = _header(PathProbe.of(path), MOVIE)
        if header is None:
            return None
        count = header.content["timingInfo"].get("numTimes")
        return f"'{header.path.name}' is a movie of {count} frames by its header"


@attrs.frozen(kw_only=True)
class InscopixCellsSource:
    """Source arguments of an Inscopix cell set."""

    file_path: Path = argument(".isxd file of the cell set.")


class InscopixSegmentationInterface(SegmentationInterface):
    """The cells of an Inscopix cell set, with their traces."""

    Source = InscopixCellsSource
    reads_ranges = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.inscopix.reader import InscopixCellsExtractor

        return InscopixCellsExtractor(source.file_path)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the header: session, subject, miniscope, method and unit."""
        from nwb_ophys.formats.inscopix.reader import trace_kind

        header = self.extractor.header
        described = _describe(header)
        method = _text(header, "idps", "cellset", "method")
        found = f"Cells that Inscopix's software found{f' with {method}' if method else ''}."
        kind = trace_kind(header)
        unit = _text(header, "idps", "cellset", "units")
        described["Ophys"] |= {
            "ImageSegmentation": {"plane_segmentations": [{"description": found}]},
            "DfOverF" if kind == "dff" else "Fluorescence": {
                "PlaneSegmentation": {kind: {"unit": unit}}
            },
        }
        return described

    def part(self) -> str:
        """Return the colour and the plane, if the recording has several."""
        return _part(self.extractor.header)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an Inscopix cell set: its header."""
        header = _header(PathProbe.of(path), CELL_SET)
        if header is None:
            return None
        count = len(header.content.get("CellNames") or ())
        return f"'{header.path.name}' is a set of {count} cells by its header"


def _header(probe: PathProbe, kind: int) -> IsxdHeader | None:
    if not probe.is_file or not probe.path.name.lower().endswith(_SUFFIX):
        return None
    header = probe.read_once(read_isxd_header)
    return header if header is not None and header.kind == kind else None


def _describe(header: IsxdHeader) -> dict[str, Any]:
    """Return the metadata that movies and cell sets share."""
    experimenter = _text(header, "personnel", "name")
    return {
        "NWBFile": {
            "session_start_time": header.start and header.start.isoformat(),
            "session_id": _text(header, "name"),
            "experimenter": experimenter and [experimenter],
        },
        **_subject(header),
        "Ophys": {
            "Device": [_device(header)],
            "ImagingPlane": [_plane(header)],
        },
    }


def _subject(header: IsxdHeader) -> dict[str, Any]:
    """Return the animal if it is named; an empty form states a sex, too."""
    animal = {key: _text(header, "animal", key) for key in ("id", "species", "description")}
    birth = _date(header.stated("animal", "dob"))
    if birth is None and not any(animal.values()):
        return {}
    sex = str(header.stated("animal", "sex") or "").upper()
    subject = {
        "subject_id": animal["id"],
        "species": animal["species"],
        "description": animal["description"],
        "sex": sex if sex in ("M", "F", "U", "O") else None,
        "date_of_birth": birth,
    }
    return {"Subject": {key: value for key, value in subject.items() if value is not None}}


def _date(text: Any) -> str | None:
    try:
        return datetime.datetime.fromisoformat(plain_iso(str(text))).isoformat()
    except ValueError:
        return None


def _device(header: IsxdHeader) -> dict[str, Any]:
    model, serial = _text(header, "microscope", "type"), _text(header, "microscope", "serial")
    version = _text(header, "producer", "version")
    gain, focus = _number(header, "microscope", "gain"), _number(header, "microscope", "focus")
    settings = {"gain": gain, "focus": focus, "eFocus": _number(header, "idps", "efocus")}
    words = [f"{name} {value:g}" for name, value in settings.items() if value is not None]
    if version:
        words.insert(0, f"acquisition software {version}")
    return {
        "model": {"name": model, "manufacturer": "Inscopix"} if model else None,
        "serial_number": serial,
        "description": f"Inscopix miniscope: {', '.join(words)}." if words else None,
    }


def _plane(header: IsxdHeader) -> dict[str, Any]:
    # No grid_spacing: pixelSize is the size on the sensor, and the magnification is not stated.
    channel = _text(header, "idps", "channel")
    return {
        "imaging_rate": float(1 / header.period),
        "optical_channel": [{"name": str(channel).capitalize() if channel else None}],
    }


def _part(header: IsxdHeader) -> str:
    channel = _text(header, "idps", "channel")
    focus = _number(header, "idps", "efocus")
    planes = header.stated("microscope", "multiplane", "enabled")
    plane = f"Efocus{focus:g}" if planes and focus is not None else ""
    return f"{channel or ''} {plane}".strip()


def _intensity(header: IsxdHeader) -> float | None:
    """Return the power of the excitation in mW/mm^2; None if two LEDs excite."""
    if header.stated("microscope", "dualColor", "enabled"):
        return None
    return _number(header, "microscope", "led", "exPower")


def _number(header: IsxdHeader, *keys: str) -> float | None:
    value = header.stated(*keys)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return possible_number(value, least=-1e15) if is_number else None


def _text(header: IsxdHeader, *keys: str) -> str | None:
    """Return a text, or a number as a text; None for anything else."""
    value = header.stated(*keys)
    is_text = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return str(value).strip() or None if is_text else None
