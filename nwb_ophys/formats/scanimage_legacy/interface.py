"""ScanImage recordings (version 3.8 and older)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.copies import first_alike
from nwb_ophys.filetypes.tiff.folders import first_heading, in_words, tiff_files, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.filetypes.truncation import NothingCompleteError
from nwb_ophys.formats.owners import own_files
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class ScanImageLegacySource:
    """Source arguments of a ScanImage 3 recording."""

    file_path: Path | list[Path] = argument(
        "TIFF file; list of TIFF files in order of time; or folder of TIFF files, sorted by number."
    )
    channel_name: str | None = argument(
        "Name of the saved channel, such as 'Channel 1'; optional if there is only one.",
        default=None,
    )
    plane_index: int | None = argument(
        "Index of a slice of a stack, from 0; whole volumes if not given.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class ScanImageLegacyImagingInterface(ImagingInterface):
    """One channel of a ScanImage 3 recording: one plane, or volumes."""

    Source = ScanImageLegacySource
    reads_ranges = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.scanimage_legacy.reader import ScanImageLegacyExtractor

        files = tiff_files(source.file_path)
        return ScanImageLegacyExtractor(
            files, source.channel_name, source.plane_index, source.allow_truncated
        )

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the header: version, start, rates, channel, stage position."""
        header = self.extractor.common_metadata
        software = f"ScanImage {header.version or ''}".strip()
        return {
            "NWBFile": {"session_start_time": header.start},
            "Ophys": {
                "Device": [{"description": f"Laser-scanning microscope run by {software}."}],
                "ImagingPlane": [
                    {
                        "description": _place(header),
                        "imaging_rate": self.extractor.get_nominal_rate(),
                        "optical_channel": [{"name": camel_case(self.extractor.channel_name)}],
                    }
                ],
                "TwoPhotonSeries": [
                    {"scan_line_rate": header.line_rate, "comments": _averaging(header)}
                ],
            },
        }

    def channel_names(self) -> Sequence[str]:
        """Return the names of all saved channels."""
        return self.extractor.metadata.channel_names  # type: ignore[no-any-return]

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by ScanImage 3.8 or older."""
        return heading.description.startswith("state.")

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a ScanImage 3 recording: its header."""
        probe = PathProbe.of(path)
        found = first_heading(probe, cls.owns)
        if found is None:
            return None
        heading = found[1]
        version = re.search(r"state\.software\.version ?= ?([\d.]+)", heading.description)
        program = f"ScanImage {version[1] if version else '3'}"
        return f"{in_words(probe)} has the header of {program}"

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the acquisitions at a path; files of one trigger are one acquisition."""
        folder = probe if probe.is_folder else PathProbe(probe.path.parent)
        if probe.is_folder:
            warn_of_subfolders(probe.path)
        acquisitions: dict[Any, list[Path]] = {}
        for file in own_files(folder, cls.owns):
            try:
                header = _header_of(file)
            except NothingCompleteError:
                if not acquisitions:
                    raise
                # The file ends the acquisition before it; the extractor refuses or leaves it out.
                acquisitions[next(reversed(acquisitions))].append(file)
                continue
            # Without a trigger time, each file is an acquisition.
            acquisitions.setdefault(header.start or file, []).append(file)
        # A copy has the trigger of its file, whatever its name.
        copies: dict[Path, Path] = {}
        for files in acquisitions.values():
            copies |= first_alike(files) if len(files) > 1 else {}
        groups = [
            FileGroup.of_files([file for file in files if file not in copies])
            for files in acquisitions.values()
        ]
        if probe.is_file:
            own = folder.path / probe.path.name
            own = copies.get(own, own)
            groups = [group for group in groups if own in group.files]
        left_out = tuple(
            LeftOut(copy, f"it holds the same as '{file.name}'")
            for copy, file in copies.items()
            if any(file in group.files for group in groups)
        )
        return Grouping(groups=tuple(groups), left_out=left_out)

    @classmethod
    def parts(cls, path: Path | list[Path], **source: Any) -> Iterator[Part]:
        """Yield every saved channel of every acquisition at a path."""
        is_folder = not isinstance(path, list) and path.is_dir()
        groups = cls.group(PathProbe(path)).groups if is_folder else None  # type: ignore[arg-type]
        for group in groups or [FileGroup.of_files(tiff_files(path))]:
            header = _header_of(group.files[0])
            for channel in header.channel_names:
                yield Part(
                    arguments={"file_path": group.path, "channel_name": channel},
                    recording=group.files[0].stem,
                    channel=channel,
                    num_planes=header.num_planes,
                )


def _header_of(file: Path) -> Any:
    """Return the header of a file, truncated or not; its reader reports what is missing."""
    from nwb_ophys.formats.scanimage_legacy.reader import legacy_metadata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return legacy_metadata(file, allow_truncated=True)


def _place(header: Any) -> str | None:
    """Describe the stage position (not that of the first pixel), and the step of a stack."""
    parts = []
    if header.motor_position is not None:
        x, y, z = header.motor_position
        parts.append(f"The stage was at x {x:g}, y {y:g}, z {z:g} µm.")
    if header.z_step is not None:
        parts.append(f"The slices are {header.z_step * 1e6:g} µm apart.")
    return " ".join(parts) or None


def _averaging(header: Any) -> str | None:
    count = header.num_averaged
    return f"Each frame is the average of {count} frames." if count and count > 1 else None
