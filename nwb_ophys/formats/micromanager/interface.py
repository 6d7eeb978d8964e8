"""Micro-Manager recordings (image file stacks)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.filetypes.frames.grid import num_planes
from nwb_ophys.filetypes.frames.settings import describe_recording
from nwb_ophys.filetypes.frames.values import first_value
from nwb_ophys.filetypes.ome.recordings import images_in, single_file
from nwb_ophys.filetypes.tiff.folders import first_heading, in_words, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.formats.grouping import ome_grouping
from nwb_ophys.formats.micromanager.images import (
    METADATA_NAME,
    image_folder,
    read_image_folder,
    warn_of_differences,
)
from nwb_ophys.formats.micromanager.tags import (
    FRAME_TAG,
    naming_unclosed,
    read_summary,
    read_summary_text,
)
from nwb_ophys.formats.owners import own_files, owner_of
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.paths import PathProbe

# Files of NDTiff have the same tag, and this number after their header.
_NDTIFF_MARK = 483729


@attrs.frozen(kw_only=True)
class MicroManagerSource:
    """Source arguments of a Micro-Manager recording."""

    folder_path: Path = argument(
        "Folder with the .ome.tif files of a recording, or one of these files, which names the "
        "others; or folder with metadata.txt and separate image files."
    )
    channel_name: str | None = argument(
        "Name of the channel; optional if there is only one.", default=None
    )
    position_index: int | None = argument(
        "Index of the stage position, from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Sampling rate in Hz; required only if the files do not state it.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class MicroManagerImagingInterface(ImagingInterface):
    """One channel at one position of a Micro-Manager recording: one plane, or volumes."""

    Source = MicroManagerSource
    reads_ranges = True
    has_volumes = True
    # Micro-Manager records from cameras; users of laser scanners set photon_series_type.
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.micromanager.images_reader import MicroManagerImagesExtractor
        from nwb_ophys.formats.micromanager.reader import MicroManagerExtractor

        arguments = attrs.asdict(source)
        path = arguments.pop("folder_path")
        folder = image_folder(PathProbe(path))
        if folder is not None:
            return MicroManagerImagesExtractor(folder, **arguments)
        with naming_unclosed(path):
            file = single_file(path)
        return MicroManagerExtractor(file, **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the files: version, start, rate, camera, exposure, pixel size."""
        extractor = self.extractor
        version = first_value(extractor.summary, "MicroManagerVersion")
        return describe_recording(
            extractor,
            device=f"Microscope run by Micro-Manager {version or ''}".strip(),
            channel=extractor.channel_facts,
            spacing=extractor.spacing,
        )

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return self.extractor.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the name of the position; empty if there is only one."""
        return self.extractor.position_name if self.extractor.num_positions > 1 else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file is an image file stack of Micro-Manager."""
        is_ours = FRAME_TAG in heading.tags or "MicroManager" in heading.software
        return is_ours and heading.extra_number != _NDTIFF_MARK

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Micro-Manager recording: its own tags, or metadata.txt."""
        probe = PathProbe.of(path)
        folder = image_folder(probe)
        if folder is not None:
            head = probe.head(folder / METADATA_NAME)
            version = first_value(read_summary_text(head) or {}, "MicroManagerVersion")
            return f"{METADATA_NAME} is of Micro-Manager {version or ''}".strip()
        found = first_heading(probe, cls.owns)
        if found is None:
            return None
        summary = probe.read_once(read_summary, found[0])
        if summary is None:
            return None
        version = first_value(summary, "MicroManagerVersion")
        return f"{in_words(probe)} has the tags of Micro-Manager {version or ''}".strip()

    @classmethod
    def recording_of(cls, probe: PathProbe) -> Path | None:
        """Return the folder of separate image files that a path is or lies in, or None."""
        return image_folder(probe)

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the recordings at a path, with the files that their metadata name."""
        folder = image_folder(probe)
        if folder is not None:
            return _group_images(PathProbe(folder))
        with naming_unclosed(probe.path):
            if not probe.is_folder:
                return ome_grouping([probe.path])
            warn_of_subfolders(probe.path)
            return ome_grouping(own_files(probe, cls.owns))

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel at every position of every recording at a path."""
        folder = image_folder(PathProbe(path))
        yield from _parts_of_stacks(path) if folder is None else _parts_of_images(folder)


def _parts_of_stacks(path: Path) -> Iterator[Part]:
    from nwb_ophys.formats.micromanager.reader import channel_names

    with naming_unclosed(path):
        places = list(images_in(path))
    for place in places:
        for channel in channel_names(read_summary(place.path) or {}, place.image):
            yield Part(
                arguments={
                    **place.arguments("folder_path", "position_index"),
                    "channel_name": channel,
                },
                recording=place.recording,
                position=place.name,
                channel=channel,
                num_planes=place.image.sizes["Z"],
            )


def _group_images(probe: PathProbe) -> Grouping:
    """Return the images of a folder, and the TIFF files that ``metadata.txt`` does not list."""
    found = read_image_folder(probe.path)
    files = tuple(probe.path / image.name for image in found.images)
    headings = {name: read_tiff_heading(probe.path / name) for name in found.others}
    left_out = tuple(
        LeftOut(probe.path / name, f"{METADATA_NAME} does not list it")
        for name, heading in headings.items()
        if heading is None or owner_of(heading, probe) is None
    )
    return Grouping(groups=(FileGroup(path=probe.path, files=files),), left_out=left_out)


def _parts_of_images(folder: Path) -> Iterator[Part]:
    found = read_image_folder(folder)
    warn_of_differences(found)
    for index, position in enumerate(found.positions):
        chosen = {"position_index": index} if len(found.positions) > 1 else {}
        for channel, frames in found.frames(position).items():
            yield Part(
                arguments={"folder_path": folder, **chosen, "channel_name": channel},
                position=found.position_name(position),
                channel=channel,
                num_planes=num_planes(frames),
            )
