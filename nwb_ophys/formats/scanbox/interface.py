"""Scanbox recordings."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.formats.scanbox.header import ScanboxHeader, number_of
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.paths import PathProbe

# A MATLAB file of version 5: 128 bytes of heading, then variables, the name of the first of which
# is within the first bytes of it, behind 8 bytes for its kind and size if it is compressed (15).
_HEADING, _TAG, _COMPRESSED = 128, 8, 15


@attrs.frozen(kw_only=True)
class ScanboxSource:
    """Source arguments of a Scanbox recording."""

    file_path: Path = argument("The .sbx file; the .mat file of the same name lies beside it.")
    channel_name: str | None = argument(
        "Which saved channel, 'PMT0' or 'PMT1'; not needed where there is one.", default=None
    )
    plane_index: int | None = argument(
        "Which plane of volumes, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Samples per second in Hz, of volumes where there are planes; as the .mat file states it "
        "if not given.",
        default=None,
        schema={"exclusiveMinimum": 0},
    )


class ScanboxImagingInterface(ImagingInterface):
    """One channel of a Scanbox recording, of a plane or of volumes."""

    Source = ScanboxSource
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.scanbox.reader import ScanboxExtractor

        return ScanboxExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return what the .mat file states: version, objective, rates, wavelength, gain, pixel."""
        from nwb_ophys.formats.scanbox.interface import ScanboxSettings

        header, channel = self.extractor.metadata, self.extractor.channel_name
        settings = ScanboxSettings.of(header)
        spacing = settings.grid_spacing(self.extractor.is_volumetric)
        plane = {
            "description": settings.description(self.source.plane_index),
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
        """Return the names of all channels that were saved."""
        return self.extractor.metadata.channel_names  # type: ignore[no-any-return]

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is of Scanbox: both files, the .mat with info."""
        probe = PathProbe.of(path)
        if not probe.is_file or probe.path.suffix.lower() not in (".sbx", ".mat"):
            return None
        pixels, header = (_beside(probe.path, suffix) for suffix in (".sbx", ".mat"))
        if pixels is None or header is None or _first_variable(probe.head(header)) != "info":
            return None
        size = pixels.stat().st_size
        return f"'{pixels.name}' of {size:,} bytes, and info in '{header.name}'"

    @classmethod
    def is_damaged(cls, probe: PathProbe) -> bool:
        """Whether a ``.sbx`` file lacks the ``.mat`` file of Scanbox's."""
        return cls.matches(probe) is None

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every saved channel."""
        from nwb_ophys.formats.scanbox.header import read_scanbox_header, scanbox_files

        header = read_scanbox_header(scanbox_files(path)[1])
        for channel in header.channel_names:
            chosen = {"channel_name": channel} if len(header.channels) > 1 else {}
            yield Part(
                arguments={"file_path": path, **chosen},
                channel=channel,
                num_planes=header.num_planes,
            )


def _beside(path: Path, suffix: str) -> Path | None:
    """Return the file of the same name and another ending."""
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
    # Kind and size, flags (16 bytes), dimensions (8 and 8), then the name: of up to 4 letters
    # within the tag, of more behind it.
    numbers = np.frombuffer(variable[: len(variable) // 4 * 4], f"{order}u4")
    if len(numbers) < 12:
        return None
    size = int(numbers[10]) >> 16
    start = 44 if size else 48
    size = size or int(numbers[11])
    return variable[start : start + size].decode("latin-1")


@attrs.frozen
class ScanboxSettings:
    """The settings of a recording; what is not stated is None."""

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
        """The program with its version, and the objective."""
        version = number_of(self.header.info, "scanbox_version")
        program = "Scanbox" if version is None else f"Scanbox {version:g}"
        objective = getattr(self.header.info, "objective", None)
        stated = f" Objective: {objective}." if isinstance(objective, str) and objective else ""
        return f"Laser-scanning microscope run by {program}.{stated}"

    @property
    def wavelength(self) -> float | None:
        """Wavelength of the excitation in nm; Scanbox writes 0 where it does not run the laser."""
        return number_of(self._config, "wavelength") or None

    @property
    def notes(self) -> str | None:
        """What the user noted while recording."""
        texts = np.atleast_1d(getattr(self.header.info, "usernotes", ()))
        lines = [str(text).strip() for text in texts.ravel().tolist() if np.size(text)]
        return "\n".join(line for line in lines if line) or None

    def pmt_gain(self, channel: int) -> float | None:
        """Return the gain of a photomultiplier, from 0 to 1 as Scanbox sets it."""
        return number_of(self._config, f"pmt{channel}_gain")

    def grid_spacing(self, is_volumetric: bool) -> list[float] | None:
        """Return the distance of pixels along x, y and, of volumes, of planes, in metres.

        Of a magnification there is the size of a pixel in µm in the list ``calibration``.
        """
        number = number_of(self._config, "magnification")
        sizes = np.atleast_1d(getattr(self.header.info, "calibration", ()))
        if number is None or not 1 <= number <= len(sizes):
            return None
        size = [number_of(sizes[int(number) - 1], axis) for axis in ("x", "y")]
        if not all(size):
            return None
        between = self._between_planes() if is_volumetric else None
        return [micrometres * 1e-6 for micrometres in (*size, between) if micrometres]

    def description(self, plane: int | None) -> str | None:
        """Return where the objective was, and how deep a plane is."""
        knobby = getattr(getattr(self._config, "knobby", None), "pos", None)
        x, y, z, turn = (number_of(knobby, axis) for axis in "xyza")
        told = []
        if x is not None and y is not None and z is not None:
            turned = "" if turn is None else f", turned by {turn:g}°"
            place = f"x = {x:g}, y = {y:g}, z = {z:g} µm{turned}"
            told.append(f"Objective at {place}, as its controller (Knobby) counts.")
        depths = self._depths()
        if len(depths) and plane is not None:
            told.append(f"Plane {plane} at {depths[plane]:g} µm of the tunable lens.")
        elif len(depths):
            listed = ", ".join(f"{depth:g}" for depth in depths)
            told.append(f"Planes at {listed} µm of the tunable lens.")
        return " ".join(told) or None

    def _depths(self) -> Sequence[float]:
        """Return the depth of each plane in µm, where they are stated."""
        depths = np.atleast_1d(getattr(self.header.info, "otwave_um", ()))
        is_stated = depths.size == self.header.num_planes > 1 and depths.dtype.kind in "biuf"
        return [float(depth) for depth in depths] if is_stated else []

    def _between_planes(self) -> float | None:
        """Return the distance of planes in µm, where it is the same between all."""
        steps = np.abs(np.diff(self._depths()))
        is_even = len(steps) and steps[0] > 0 and np.allclose(steps, steps[0])
        return float(steps[0]) if is_even else None
