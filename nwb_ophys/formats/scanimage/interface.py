"""ScanImage recordings (version 2016 and later)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.filetypes.tiff.folders import first_heading, in_words, tiff_files, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.scanimage.text import MAGIC_NUMBER
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe

_SETTING = re.compile(r"^(scanimage\.)?SI\.\w+", re.MULTILINE)


@attrs.frozen(kw_only=True)
class ScanImageSource:
    """Source arguments of a ScanImage recording."""

    file_path: Path | list[Path] = argument(
        "A TIFF file of the recording, whose other files are found by their names; or a list of "
        "all files in order of time."
    )
    channel_name: str | None = argument(
        "Name of the saved channel, such as 'Channel 1'; optional if there is only one.",
        default=None,
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    slice_sample: int | None = argument(
        "Index of one of several frames per slice, from 0.", default=None
    )
    interleave_slice_samples: bool = argument(
        "Read several frames per slice as samples in time.", default=False
    )
    allow_truncated: bool = allow_truncated_argument()


class ScanImageImagingInterface(ImagingInterface):
    """One channel of a ScanImage recording: one plane, or volumes."""

    Source = ScanImageSource
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.scanimage.reader import ScanImageExtractor

        arguments = attrs.asdict(source)
        path = arguments.pop("file_path")
        given = {"file_paths": path} if isinstance(path, list) else {"file_path": path}
        return ScanImageExtractor(**given, **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the header: software, start, rates, channel, gain, pixel size."""
        header = self.extractor.metadata
        numbers = [str(n) for n in (header.version_major, header.version_minor) if n is not None]
        software = " ".join(["ScanImage", ".".join(numbers)]).strip()
        index = header.channel_names.index(self.extractor.channel_name)
        return {
            "NWBFile": {"session_start_time": header.epoch},
            "Ophys": {
                "Device": [{"description": f"Laser-scanning microscope run by {software}."}],
                "ImagingPlane": [
                    {
                        "imaging_rate": header.sampling_frequency,
                        "description": self._depths(),
                        **_spacing(header, self.extractor.is_volumetric),
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

    def _depths(self) -> str | None:
        """Return a description of the depths of the planes; their origin is not stated."""
        positions = self.extractor.metadata.plane_positions
        if positions is None:
            return None
        plane = self.source.plane_index
        if plane is not None:
            return f"Plane at z = {positions[plane]:g} \u00b5m in ScanImage's stack."
        listed = ", ".join(f"{position:g}" for position in positions)
        return f"Volume of planes at z = {listed} \u00b5m in ScanImage's stack."

    def channel_names(self) -> Sequence[str]:
        """Return the names of all saved channels."""
        return self.extractor.metadata.channel_names  # type: ignore[no-any-return]

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by ScanImage 2016 or later."""
        is_marked = heading.extra_number == MAGIC_NUMBER or "SI." in heading.software[:200]
        return is_marked or bool(_SETTING.search(heading.description[:4096]))

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a ScanImage recording: its header."""
        probe = PathProbe.of(path)
        found = first_heading(probe)
        if found is None or not cls.owns(found[1]):
            return None
        heading = found[1]
        version = re.search(r"VERSION_MAJOR = '?([\w.]+)", heading.software + heading.description)
        program = f"ScanImage {version[1] if version else ''}".strip()
        return f"{in_words(probe)} has the header of {program}"

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every saved channel of every recording at a path, with all its frames."""
        from nwb_ophys.formats.scanimage.files import files_after, find_recording
        from nwb_ophys.formats.scanimage.header import scanimage_metadata

        warn_of_subfolders(path)
        remaining = tiff_files(path)
        while remaining:
            first = remaining[0]
            header = scanimage_metadata(first)
            files = find_recording(first, header, source.get("allow_truncated", False))
            left_out = files_after(files[-1], header)
            used = {path.resolve() for path in (*(file.path for file in files), *left_out)}
            remaining = [file for file in remaining[1:] if file.resolve() not in used]
            divided = header.frames_per_slice > 1 and "slice_sample" not in source
            for channel in header.channel_names:
                yield Part(
                    arguments={"file_path": first, "channel_name": channel},
                    defaults={"interleave_slice_samples": True} if divided else {},
                    recording=first.stem,
                    channel=channel,
                    num_planes=header.num_planes,
                )


def _spacing(header: Any, is_volumetric: bool) -> dict[str, Any]:
    """Return the size of a pixel, and the distance of planes if it is constant, in metres."""
    if not header.pixel_size:
        return {}
    lengths, positions = list(header.pixel_size), header.plane_positions or ()
    steps = {round(b - a, 6) for a, b in itertools.pairwise(positions)}
    if is_volumetric and len(steps) == 1 and 0 not in steps:
        lengths.append(abs(steps.pop()))
    spacing = [round(micrometres * 1e-6, 15) for micrometres in lengths]
    return {"grid_spacing": spacing, "grid_spacing_unit": "meters"}
