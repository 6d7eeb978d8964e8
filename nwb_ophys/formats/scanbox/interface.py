"""Scanbox recordings, and the metadata of their settings."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import counted
from nwb_ophys.formats.scanbox.header import ScanboxHeader, struct_number
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import possible_number
from nwb_ophys.paths import PathProbe

# A MATLAB file of version 5 has a heading of 128 bytes, then variables. The first bytes of a
# variable hold its name, after 8 bytes for its kind and size if it is compressed (kind 15).
_HEADING, _TAG, _COMPRESSED = 128, 8, 15
# Ends of the names of files that Scanbox writes for cameras and for the wheel.
_OTHER_DEVICES = ("eye", "ball", "quadrature")


@attrs.frozen(kw_only=True)
class ScanboxSource:
    """Source arguments of a Scanbox recording."""

    file_path: Path = argument("The .sbx file; the .mat file of the same name must lie beside it.")
    channel_name: str | None = argument(
        "Name of the saved channel, 'PMT0' or 'PMT1'; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    region_index: int | None = argument(
        "Index of a region of a mesoscope, from 0; optional if there is only one.", default=None
    )
    sampling_frequency: float | None = argument(
        "Rate of frames, or of volumes, in Hz; read from the .mat file if not given.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )
    allow_truncated: bool = allow_truncated_argument()


class ScanboxImagingInterface(ImagingInterface):
    """One channel of a Scanbox recording: one plane, or volumes."""

    Source = ScanboxSource
    reads_ranges = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.scanbox.reader import ScanboxExtractor

        return ScanboxExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the .mat file: version, objective, rates, wavelength, gain, …"""
        header, channel = self.extractor.metadata, self.extractor.channel_name
        settings = ScanboxSettings.of(header)
        spacing = settings.grid_spacing(self.extractor.is_volumetric)
        plane = {
            "description": settings.description(self.source.plane_index, self.source.region_index),
            "excitation_lambda": settings.wavelength,
            "imaging_rate": self.extractor.get_sampling_frequency(),
            "grid_spacing": spacing,
            "grid_spacing_unit": spacing and "meters",
            "optical_channel": [{"name": channel}],
        }
        series = {
            "scan_line_rate": header.line_rate,
            "pmt_gain": settings.pmt_gain(header.channels[header.channel_names.index(channel)]),
        }
        return {
            "NWBFile": {"notes": settings.notes},
            "Ophys": {
                "Device": [{"description": settings.microscope}],
                "ImagingPlane": [plane],
                "TwoPhotonSeries": [series],
            },
        }

    def channel_names(self) -> Sequence[str]:
        """Return the names of all saved channels."""
        return self.extractor.metadata.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the region of a mesoscope; empty if there is only one."""
        several = self.extractor.metadata.num_regions > 1
        return f"Region{self.source.region_index}" if several else ""

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Scanbox recording: both files, and info in the .mat file."""
        probe = PathProbe.of(path)
        if not probe.is_file or probe.path.suffix.lower() not in (".sbx", ".mat"):
            return None
        pixels, header = (_beside(probe.path, suffix) for suffix in (".sbx", ".mat"))
        if pixels is None or header is None or _first_variable(probe.head(header)) != "info":
            return None
        size = pixels.stat().st_size
        return f"'{pixels.name}' of {size:,} bytes, and info in '{header.name}'"

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the .sbx file of a recording, given it or its .mat file; else None."""
        if not probe.is_file or probe.path.suffix.lower() not in (".sbx", ".mat"):
            return None
        return _beside(probe.path, ".sbx") if cls.matches(probe) else None

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Return whether a ``.sbx`` file lacks the ``.mat`` file of Scanbox."""
        return cls.matches(probe) is None

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return which file a ``.mat`` file of Scanbox lacks beside it, or None."""
        if not probe.is_file or probe.path.suffix.lower() != ".mat":
            return None
        if _beside(probe.path, ".sbx") or _first_variable(probe.head()) != "info":
            return None
        return (
            f"'{probe.path}' may be the header of a Scanbox recording, but there is no "
            f"'{probe.path.stem}.sbx' with the pixels beside it; put both into one folder."
        )

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every saved channel of every region."""
        from nwb_ophys.formats.scanbox.header import read_scanbox_header, scanbox_files

        pixels, header_path = scanbox_files(path)
        header = read_scanbox_header(header_path)
        _warn_of_other_data(pixels, header)
        for region in range(header.num_regions):
            place = {"region_index": region} if header.num_regions > 1 else {}
            for channel in header.channel_names:
                chosen = {"channel_name": channel} if len(header.channels) > 1 else {}
                yield Part(
                    arguments={"file_path": path, **place, **chosen},
                    position=f"Region{region}" if place else "",
                    channel=channel,
                    num_planes=header.num_planes,
                )


def _warn_of_other_data(path: Path, header: ScanboxHeader) -> None:
    """Warn of what was recorded with the movie and is not written: events, other devices."""
    events = np.atleast_1d(getattr(header.info, "frame", ()))
    parts = []
    if events.size and events.dtype.kind in "biuf":
        parts.append(f"{counted(events.size, 'event')} at its inputs (frame, line, event_id)")
    names = (f"{path.stem}_{word}.mat" for word in _OTHER_DEVICES)
    parts += [f"'{name}'" for name in names if (path.parent / name).is_file()]
    if parts:
        warnings.warn(
            f"'{header.path}' has data of other devices, which are not written: "
            f"{', '.join(parts)}. To keep events, save them as a table, and add it with "
            "trials=TABLE (on the command line --trials).",
            UserWarning,
            stacklevel=3,
        )


@attrs.frozen
class ScanboxSettings:
    """Settings of a recording; None where not stated."""

    header: ScanboxHeader

    @classmethod
    def of(cls, header: ScanboxHeader) -> ScanboxSettings:
        """Return the settings that a header states."""
        return cls(header)

    @property
    def _config(self) -> Any:
        return getattr(self.header.info, "config", None)

    @property
    def microscope(self) -> str:
        """Description of the microscope: the program with its version, and the objective."""
        version = struct_number(self.header.info, "scanbox_version")
        program = "Scanbox" if version is None else f"Scanbox {version:g}"
        objective = getattr(self.header.info, "objective", None)
        stated = f" Objective: {objective}." if isinstance(objective, str) and objective else ""
        return f"Laser-scanning microscope run by {program}.{stated}"

    @property
    def wavelength(self) -> float | None:
        """Wavelength of the excitation in nm; None for 0, which means an external laser."""
        return struct_number(self._config, "wavelength") or None

    @property
    def notes(self) -> str | None:
        """Notes that the user took while recording."""
        texts = np.atleast_1d(getattr(self.header.info, "usernotes", ()))
        lines = [str(text).strip() for text in texts.ravel().tolist() if np.size(text)]
        return "\n".join(line for line in lines if line) or None

    def pmt_gain(self, channel: int) -> float | None:
        """Return the gain of a photomultiplier, on Scanbox's scale from 0 to 1."""
        return struct_number(self._config, f"pmt{channel}_gain")

    def grid_spacing(self, is_volumetric: bool) -> list[float] | None:
        """Return the distance of pixels along x and y, and of the planes of volumes, in metres.

        The list ``calibration`` has the size of a pixel in µm for each magnification.
        """
        number = struct_number(self._config, "magnification")
        sizes = np.atleast_1d(getattr(self.header.info, "calibration", ()))
        if number is None or number not in range(1, len(sizes) + 1):
            return None
        size = [struct_number(sizes[int(number) - 1], axis) for axis in ("x", "y")]
        if None in size:
            return None
        between = self._between_planes() if is_volumetric else None
        return [value * 1e-6 for value in (*size, between) if value is not None]

    def description(self, plane: int | None, region: int | None) -> str | None:
        """Return a description of the objective's position, the planes' depth and the region."""
        knobby = getattr(getattr(self._config, "knobby", None), "pos", None)
        x, y, z, turn = (
            possible_number(struct_number(knobby, axis), least=-1e6, most=1e6) for axis in "xyza"
        )
        sentences = []
        if x is not None and y is not None and z is not None:
            turned = "" if turn is None else f", turned by {turn:g}°"
            place = f"x = {x:g}, y = {y:g}, z = {z:g} µm{turned}"
            sentences.append(
                f"Objective at {place}, in the coordinates of its controller (Knobby)."
            )
        depths = self._depths()
        if len(depths) and plane is not None:
            sentences.append(f"Plane {plane} at {depths[plane]:g} µm of the tunable lens.")
        elif len(depths):
            listed = ", ".join(f"{depth:g}" for depth in depths)
            sentences.append(f"Planes at {listed} µm of the tunable lens.")
        corner = None if region is None else self.header.region_corner(region)
        if corner is not None and self.header.num_regions > 1:
            sentences.append(
                f"Region {region} of {self.header.num_regions} of a mesoscope, at galvo_a = "
                f"{corner[0]:g} and galvo_b = {corner[1]:g}, in the units of Scanbox."
            )
        return " ".join(sentences) or None

    def _depths(self) -> Sequence[float]:
        """Return the depth of each plane in µm; empty if not stated."""
        depths = np.atleast_1d(getattr(self.header.info, "otwave_um", ()))
        is_stated = depths.size == self.header.num_planes > 1 and depths.dtype.kind in "biuf"
        return [float(depth) for depth in depths] if is_stated else []

    def _between_planes(self) -> float | None:
        """Return the distance of planes in µm; None unless it is constant."""
        steps = np.abs(np.diff(self._depths()))
        is_even = len(steps) and steps[0] > 0 and np.allclose(steps, steps[0])
        return float(steps[0]) if is_even else None


def _beside(path: Path, suffix: str) -> Path | None:
    """Return the file with the same name and another suffix."""
    candidates = [path] if path.suffix.lower() == suffix else []
    candidates += [path.with_suffix(suffix), path.with_suffix(suffix.upper())]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _first_variable(head: bytes) -> str | None:
    """Return the name of the first variable of a MATLAB file of version 5."""
    if not head.startswith(b"MATLAB 5.0") or len(head) < _HEADING + _TAG:
        return None
    order = "<" if head[126:128] == b"IM" else ">"
    variable = head[_HEADING:]
    if int(np.frombuffer(variable, f"{order}u4", 1)[0]) == _COMPRESSED:
        try:
            variable = zlib.decompressobj().decompress(variable[_TAG:], 128)
        except zlib.error:
            return None
    # Kind and size, flags (16 bytes) and dimensions (8 and 8 bytes) precede the name, which lies
    # within its tag if it has up to 4 letters, else after it.
    numbers = np.frombuffer(variable[: len(variable) // 4 * 4], f"{order}u4")
    if len(numbers) < 12:
        return None
    size = int(numbers[10]) >> 16
    start = 44 if size else 48
    size = size or int(numbers[11])
    return variable[start : start + size].decode("latin-1")
