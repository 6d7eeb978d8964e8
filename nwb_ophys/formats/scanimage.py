"""ScanImage recordings (version 2016 and later)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.errors import SourceError
from nwb_ophys.formats.tiff import tiff_files, warn_of_subfolders
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.metadata import camel_case

_SUFFIXES = (".tif", ".tiff")


@attrs.frozen(kw_only=True)
class ScanImageSource:
    """Source arguments of a ScanImage recording."""

    file_path: Path | list[Path] = argument(
        "A TIFF file of the recording, whose other files are found by their names; or a list of "
        "all its files in the order of time."
    )
    channel_name: str | None = argument(
        "Which saved channel, such as 'Channel 1'; not needed where there is one.", default=None
    )
    plane_index: int | None = argument(
        "Which plane of volumes, from 0; whole volumes if not given.", default=None
    )
    slice_sample: int | None = argument("Which of several frames per slice, from 0.", default=None)
    interleave_slice_samples: bool = argument(
        "Take several frames per slice as samples in time.", default=False
    )


class ScanImageImagingInterface(ImagingInterface):
    """One channel of a ScanImage recording, of a plane or of volumes."""

    Source = ScanImageSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.extractors.scanimage import ScanImageExtractor

        arguments = attrs.asdict(source)
        path = arguments.pop("file_path")
        given = {"file_paths": path} if isinstance(path, list) else {"file_path": path}
        return ScanImageExtractor(**given, **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return what the header states: software, start, rates, channel, gain, pixel size."""
        header = self.extractor.metadata
        numbers = [str(n) for n in (header.version_major, header.version_minor) if n is not None]
        software = " ".join(["ScanImage", ".".join(numbers)]).strip()
        index = header.channel_names.index(self.extractor.channel_name)
        size = header.pixel_size
        return {
            "NWBFile": {"session_start_time": header.epoch},
            "Ophys": {
                "Device": [{"description": f"Laser-scanning microscope run by {software}."}],
                "ImagingPlane": [
                    {
                        "imaging_rate": header.sampling_frequency,
                        "grid_spacing": size and [micrometres * 1e-6 for micrometres in size],
                        "grid_spacing_unit": size and "meters",
                        "optical_channel": [{"name": camel_case(self.extractor.channel_name)}],
                    }
                ],
                "TwoPhotonSeries": [
                    {
                        "scan_line_rate": header.line_rate,
                        "pmt_gain": header.pmt_gains and header.pmt_gains[index],
                    }
                ],
            },
        }

    def part(self) -> str:
        """Return the channel where several were saved, and the plane where one was chosen."""
        several = len(self.extractor.metadata.channel_names) > 1
        plane = self.source.plane_index
        return " ".join(
            [
                self.extractor.channel_name if several else "",
                "" if plane is None else f"Plane{plane}",
            ]
        ).strip()

    @classmethod
    def matches(cls, path: Path) -> str | None:
        """Return evidence, in words, that a path is of ScanImage: its header."""
        from nwb_ophys.extractors.scanimage_header import scanimage_metadata

        try:
            first = tiff_files(path)[0]
            if first.suffix.lower() not in _SUFFIXES:
                return None
            header = scanimage_metadata(first)
        except (SourceError, OSError):
            return None
        return f"'{first.name}' has the header of ScanImage {header.version_major or ''}".rstrip()

    @classmethod
    def streams(cls, path: Path, **source: Any) -> dict[str, dict[str, Any]]:
        """Return every saved channel of every recording in a path, with all its frames."""
        from nwb_ophys.extractors.scanimage_files import find_recording
        from nwb_ophys.extractors.scanimage_header import scanimage_metadata

        warn_of_subfolders(path)
        found: dict[str, dict[str, Any]] = {}
        remaining = tiff_files(path)
        while remaining:
            first = remaining[0]
            header = scanimage_metadata(first)
            files = {file.path.resolve() for file in find_recording(first, header)}
            remaining = [file for file in remaining[1:] if file.resolve() not in files]
            recording = "" if path.is_file() or not (remaining or found) else f"{first.stem} "
            for channel in (
                [source["channel_name"]] if "channel_name" in source else header.channel_names
            ):
                arguments = {"file_path": first, **source, "channel_name": channel}
                if header.frames_per_slice > 1 and "slice_sample" not in source:
                    arguments["interleave_slice_samples"] = True
                several = len(header.channel_names) > 1
                found[(recording + (channel if several else "")).strip()] = arguments
        return found
