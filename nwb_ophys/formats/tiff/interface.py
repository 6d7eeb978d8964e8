"""Multi-page TIFF stacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from nwb_ophys.errors import SourceError, counted
from nwb_ophys.filetypes.ome.recordings import grid_spacing
from nwb_ophys.filetypes.tiff.folders import (
    TIFF_SUFFIXES,
    first_heading,
    some_headings,
    warn_of_subfolders,
)
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.owners import first_unowned, owner_of
from nwb_ophys.formats.tiff.grouping import group_file, group_folder, is_stray
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, warn_of_grouping
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part, indexed_name, indexed_names, indexed_parts
from nwb_ophys.paths import PathProbe

# Tag of Zeiss LSM files, whose every second page is a thumbnail.
LSM_INFO = 34412
# Files of one movie whose headers are compared for the size of a pixel.
_MOST_FILES = 100


@attrs.frozen(kw_only=True)
class TiffSource:
    """Source arguments of a TIFF stack."""

    file_path: Path | list[Path] = argument(
        "TIFF file; list of TIFF files in order of time; or folder of TIFF files, sorted by number."
    )
    sampling_frequency: float | None = argument(
        "Rate of frames, or of volumes, in Hz; a plain TIFF file does not state it, and the "
        "interval of an ImageJ file is only compared with it. Only a single image or z-stack, "
        "and frames whose times are given, need none.",
        default=None,
    )
    dimension_order: Literal["ZCT", "ZTC", "CZT", "CTZ", "TCZ", "TZC"] | None = argument(
        "Order of planes (Z), channels (C) and time (T) in the pages, fastest first.", default=None
    )
    num_channels: int | None = argument("Number of channels in the pages.", default=None)
    channel_index: int = argument("Index of the channel, from 0.", default=0)
    num_planes: int | None = argument("Number of planes in the pages.", default=None)
    plane_index: int | None = argument(
        "Index of the plane, from 0; all planes if not given.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class TiffImagingInterface(ImagingInterface):
    """One channel of a movie in plain multi-page TIFF files."""

    Source = TiffSource
    reads_ranges = True
    is_generic = True
    movies_need = ("sampling_frequency",)
    has_volumes = True
    joined_by_names = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.tiff.reader import TiffStackExtractor

        arguments = attrs.asdict(source)
        paths = _files(arguments.pop("file_path"))
        return TiffStackExtractor(paths, arguments.pop("sampling_frequency"), **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the size of a pixel where ImageJ wrote it; plain TIFF files state no facts."""
        from nwb_ophys.filetypes.tiff.pixel_size import imagej_pixel_size

        first, *others = self.extractor.file_paths[:_MOST_FILES]
        size = imagej_pixel_size(first)
        plane = grid_spacing(size, self.extractor.is_volumetric)
        if not plane or any(imagej_pixel_size(path) != size for path in others):
            return {}
        return {"Ophys": {"ImagingPlane": [plane]}}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels, by their indices."""
        return indexed_names(self.extractor.layout.num_channels)

    def channel_name(self) -> str:
        """Return the name of the channel that is read."""
        return indexed_name(self.source.channel_index)

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a plain TIFF file, or a folder of them."""
        probe = PathProbe.of(path)
        # Olympus FluoView keeps the images of a .oif file in a folder of this name.
        if probe.path.name.lower().endswith(".oif.files"):
            return None
        found = first_unowned(probe, _has_no_ome_xml)
        if found is None:
            return None
        if probe.is_folder:
            count = len(probe.names(*TIFF_SUFFIXES))
            if all(_is_plain(heading, probe) for _, heading in some_headings(probe)):
                return counted(count, "plain TIFF file")
            return f"of {count} TIFF files, '{found[0].name}' is a plain one"
        return f"'{probe.path.name}' is a plain TIFF file"

    @classmethod
    def refusal(cls, probe: PathProbe) -> str | None:
        """Return why images of a confocal microscope are not read as plain pages."""
        found = first_heading(probe, lambda heading: LSM_INFO in heading.tags)
        if found is None:
            return None
        return (
            f"'{found[0]}' is an LSM file of Zeiss, with thumbnails between its images, which is "
            "not read yet. Export it as OME-TIFF in ZEN or Fiji, and give that file."
        )

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the movies of a folder, or the movie that a file belongs to, by their names."""
        if probe.is_folder:
            warn_of_subfolders(probe.path)
            return group_folder(probe, movie_names)
        return group_file(probe)

    @classmethod
    def is_stray(cls, group: FileGroup) -> bool:
        """Return whether a recording is a projection or a single image."""
        return is_stray(group)

    @classmethod
    def parts(cls, path: Path | list[Path], **source: Any) -> list[Part]:
        """Return a part for each channel of a TIFF stack."""
        from nwb_ophys.formats.tiff.reader import tiff_layout

        names = ("num_channels", "num_planes", "allow_truncated")
        given = {key: source[key] for key in names if key in source}
        layout = tiff_layout(_files(path), **given)
        return indexed_parts(layout.num_channels, layout.num_planes, file_path=path)


def _has_no_ome_xml(heading: TiffHeading) -> bool:
    return not heading.has_ome_xml and LSM_INFO not in heading.tags


def _is_plain(heading: TiffHeading, probe: PathProbe) -> bool:
    return _has_no_ome_xml(heading) and owner_of(heading, probe) is None


def _files(path: Path | list[Path]) -> list[Path]:
    """Return the files of a movie; those of a folder must be one movie."""
    if isinstance(path, list):
        return path
    if not path.is_dir():
        return [path]
    warn_of_subfolders(path)
    found = group_folder(PathProbe(path))
    if len(found.groups) > 1:
        names = ", ".join(f"'{group.name}'" for group in found.groups)
        raise SourceError(
            f"'{path}' holds {len(found.groups)} movies ({names}); give the list of files of one, "
            "or open the folder with nwb_ophys.open."
        )
    warn_of_grouping(found)
    return list(found.groups[0].files)
