"""ScanImage recordings (version 4 and later)."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.filetypes.tiff.folders import first_heading, in_words, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.owners import own_files
from nwb_ophys.formats.scanimage.generations import OWN_LINE, stated_version
from nwb_ophys.formats.scanimage.side_files import line_scan_refusal, warn_of_side_files
from nwb_ophys.formats.scanimage.text import MAGIC_NUMBER
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe

_REFERENCE = (
    "Centre of ScanImage's field of view; x along the columns, y along the rows, z in its stack."
)


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
    roi_name: str | None = argument(
        "Name of a region of interest of a mesoscope; optional if there is only one.",
        default=None,
    )
    allow_truncated: bool = allow_truncated_argument()


class ScanImageImagingInterface(ImagingInterface):
    """One channel of one region of a ScanImage recording: one plane, or volumes."""

    Source = ScanImageSource
    reads_ranges = True
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
        header = self.extractor.common_metadata
        software = f"ScanImage {header.version or ''}".strip()
        index = header.channel_names.index(self.extractor.channel_name)
        return {
            "NWBFile": {"session_start_time": header.epoch},
            "Ophys": {
                "Device": [{"description": f"Laser-scanning microscope run by {software}."}],
                "ImagingPlane": [
                    {
                        "imaging_rate": header.sampling_frequency
                        and self.extractor.get_nominal_rate(),
                        "description": self._depths(),
                        **self._place(),
                        "optical_channel": [{"name": camel_case(self.extractor.channel_name)}],
                    }
                ],
                "TwoPhotonSeries": [
                    {
                        "scan_line_rate": header.line_rate,
                        "pmt_gain": header.pmt_gains and header.pmt_gains[index],
                        "comments": _averaging(header),
                    }
                ],
            },
        }

    def _place(self) -> dict[str, Any]:
        """Return the size of a pixel, and the position of a region."""
        header, region = self.extractor.common_metadata, self.extractor.region
        pixel_size = header.pixel_size if region is None else region.pixel_size
        is_volumetric = self.extractor.is_volumetric
        place = _spacing(pixel_size, header.plane_positions or (), is_volumetric)
        if region is None or region.origin is None:
            return place
        origin = list(region.origin)
        if is_volumetric and header.plane_positions:
            origin.append(header.plane_positions[0])
        return {
            **place,
            "origin_coords": [_metres(each) for each in origin],
            "origin_coords_unit": "meters",
            "reference_frame": _REFERENCE,
        }

    def _depths(self) -> str | None:
        """Return a description of the depths of the planes; their origin is not stated."""
        positions = self.extractor.common_metadata.plane_positions
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

    def position_name(self) -> str:
        """Return the name of the region; empty if there is only one."""
        regions = self.extractor.regions
        return str(self.extractor.region.name) if len(regions) > 1 else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by ScanImage 4 or later, also if unknown."""
        is_marked = heading.extra_number == MAGIC_NUMBER or "SI." in heading.software[:200]
        return is_marked or bool(OWN_LINE.search(heading.description[:4096]))

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a ScanImage recording: its header."""
        probe = PathProbe.of(path)
        found = first_heading(probe, cls.owns)
        if found is None:
            return None
        heading = found[1]
        version = stated_version(heading.software + heading.description)
        program = f"ScanImage {version}".strip()
        return f"{in_words(probe)} has the header of {program}"

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return that a line scan along an arbitrary path is not read, or None."""
        return line_scan_refusal(probe)

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the recordings of a path, with all their files, as their frame numbers say."""
        from nwb_ophys.formats.scanimage.files import files_after, find_recording
        from nwb_ophys.formats.scanimage.header import scanimage_metadata

        remaining = [probe.path]
        if probe.is_folder:
            warn_of_subfolders(probe.path)
            remaining = own_files(probe, cls.owns)
        groups = []
        while remaining:
            first = remaining[0]
            header = scanimage_metadata(first)
            # The reader reports a truncated file, or the files after it, which are left out.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                recorded = find_recording(first, header, allow_truncated=True)
            files = [file.path for file in recorded]
            left_out = files_after(recorded[-1], header)
            used = {file.resolve() for file in (*files, *left_out)}
            remaining = [file for file in remaining[1:] if file.resolve() not in used]
            groups.append(FileGroup(path=files[0], files=tuple(files)))
        if probe.is_folder:
            warn_of_side_files((group.files[0] for group in groups), of_others=True)
        return Grouping(groups=tuple(groups))

    @classmethod
    def parts(cls, path: Path | list[Path], **source: Any) -> Iterator[Part]:
        """Yield every region and saved channel of every recording, with all its frames."""
        from nwb_ophys.formats.scanimage.header import scanimage_metadata
        from nwb_ophys.formats.scanimage.regions import read_regions

        # Of a list of files, only those are read.
        if isinstance(path, list):
            groups: tuple[FileGroup, ...] = (FileGroup.of_files(path),)
        else:
            groups = cls.group(PathProbe(path)).groups
        warn_of_side_files(group.files[0] for group in groups)
        for group in groups:
            header = scanimage_metadata(group.files[0])
            divided = header.frames_per_slice > 1 and "slice_sample" not in source
            names = [region.name for region in read_regions(header)]
            for name, channel in itertools.product(names or [""], header.channel_names):
                several = {"roi_name": name} if len(names) > 1 else {}
                yield Part(
                    arguments={"file_path": group.path, "channel_name": channel, **several},
                    defaults={"interleave_slice_samples": True} if divided else {},
                    recording=group.files[0].stem,
                    position=name if several else "",
                    channel=channel,
                    num_planes=header.num_planes,
                )


def _spacing(
    pixel_size: Sequence[float] | None, positions: Sequence[float], is_volumetric: bool
) -> dict[str, Any]:
    """Return the size of a pixel, and the distance of planes if it is constant, in metres."""
    if not pixel_size:
        return {}
    lengths = list(pixel_size)
    steps = {round(b - a, 6) for a, b in itertools.pairwise(positions)}
    if is_volumetric and len(steps) == 1 and 0 not in steps:
        lengths.append(abs(steps.pop()))
    spacing = [_metres(micrometres) for micrometres in lengths]
    return {"grid_spacing": spacing, "grid_spacing_unit": "meters"}


def _metres(micrometres: float) -> float:
    return round(micrometres * 1e-6, 15)


def _averaging(header: Any) -> str | None:
    count = header.average_factor
    kind = "sum" if header.is_summed else "average"
    return f"Each frame is the {kind} of {count} frames." if count and count > 1 else None
