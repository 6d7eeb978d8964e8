"""Scanbox recordings."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.formats.streams import part_name, plane_streams
from nwb_ophys.glance import Glance
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface

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
    file_suffixes = (".sbx",)
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.scanbox import ScanboxExtractor

        return ScanboxExtractor(**attrs.asdict(source))

    def describe(self) -> Mapping[str, Any]:
        """Return what the .mat file states: version, objective, rates, wavelength, gain, pixel."""
        from nwb_ophys.extractors.scanbox_settings import ScanboxSettings

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

    def part(self) -> str:
        """Return the channel where several were saved, and the plane where one was chosen."""
        several = len(self.extractor.metadata.channels) > 1
        channel = self.extractor.channel_name if several else ""
        return part_name(channel, plane_index=self.source.plane_index)

    @classmethod
    def matches(cls, path: Path | Glance) -> str | None:
        """Return evidence, in words, that a path is of Scanbox: both files, the .mat with info."""
        glance = Glance.of(path)
        if not glance.is_file or glance.path.suffix.lower() not in (".sbx", ".mat"):
            return None
        pixels, header = (_beside(glance.path, suffix) for suffix in (".sbx", ".mat"))
        if pixels is None or header is None or _first_variable(glance.head(header)) != "info":
            return None
        size = pixels.stat().st_size
        return f"'{pixels.name}' of {size:,} bytes, and info in '{header.name}'"

    @classmethod
    def is_damaged(cls, glance: Glance) -> bool:
        """Whether a ``.sbx`` file lacks the ``.mat`` file of Scanbox's."""
        return cls.matches(glance) is None

    @classmethod
    def streams(
        cls, path: Path, as_volume: bool = True, **source: Any
    ) -> dict[str, dict[str, Any]]:
        """Return every saved channel, of volumes or of each plane."""
        from nwb_ophys.extractors.scanbox_header import read_scanbox_header, scanbox_files

        header = read_scanbox_header(scanbox_files(path)[1])
        chosen = source.get("channel_name")
        names = header.channel_names if chosen is None else [chosen]
        found: dict[str, dict[str, Any]] = {}
        for channel in names:
            arguments = {"file_path": path, **source}
            if len(header.channels) > 1:
                arguments["channel_name"] = channel
            name = channel if len(header.channels) > 1 else ""
            found |= plane_streams(name, arguments, header.num_planes, as_volume)
        return found


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
