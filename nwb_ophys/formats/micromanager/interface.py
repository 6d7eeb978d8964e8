"""Micro-Manager recordings (image file stacks)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.filetypes.ome.recordings import grid_spacing, images_in, single_file
from nwb_ophys.filetypes.tiff.folders import first_heading, in_words, warn_of_subfolders
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.micromanager.tags import (
    FRAME_TAG,
    first_positive,
    first_value,
    naming_unclosed,
    read_summary,
)
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MicroManagerSource:
    """Source arguments of a Micro-Manager recording."""

    folder_path: Path = argument(
        "Folder with the .ome.tif files of a recording; or one of these files, which names the "
        "others."
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
    has_volumes = True
    # Micro-Manager records from cameras; users of laser scanners set photon_series_type.
    photon_series_type = "OnePhotonSeries"

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.micromanager.reader import MicroManagerExtractor

        arguments = attrs.asdict(source)
        path = arguments.pop("folder_path")
        with naming_unclosed(path):
            file = single_file(path)
        return MicroManagerExtractor(file, **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the files: version, start, rate, camera, exposure, pixel size."""
        from nwb_ophys.formats.micromanager.reader import camera_binning, camera_name

        extractor = self.extractor
        summary, frame, channel = extractor.summary, extractor.frame, extractor.channel
        version = first_value(summary, "MicroManagerVersion")
        words = f"Microscope run by Micro-Manager {version or ''}".strip()
        camera = camera_name(frame)
        exposure = first_positive(frame, "Exposure-ms")
        plane = {
            "imaging_rate": extractor.get_sampling_frequency(),
            "excitation_lambda": channel.excitation,
            "indicator": channel.fluor,
            "optical_channel": [
                {"name": camel_case(extractor.channel_name), "emission_lambda": channel.emission}
            ],
            **grid_spacing(self._spacing(), extractor.is_volumetric),
        }
        series = {
            "exposure_time": None if exposure is None else exposure / 1000,
            "binning": camera_binning(frame),
        }
        return {
            "NWBFile": {"session_start_time": extractor.start},
            "Ophys": {
                "Device": [
                    {"description": f"{words}, camera {camera}." if camera else f"{words}."}
                ],
                "ImagingPlane": [plane],
                "OnePhotonSeries": [series],
            },
        }

    def _spacing(self) -> tuple[float | None, float | None, float | None]:
        """Return the distances of pixels in metres; Micro-Manager writes 0 for unknown ones."""
        extractor = self.extractor
        size = first_positive(extractor.frame, "PixelSizeUm")
        size = size or first_positive(extractor.summary, "PixelSize_um")
        step = first_positive(extractor.summary, "z-step_um")
        x, y, z = extractor.image.spacing
        return (size * 1e-6 if size else x, size * 1e-6 if size else y, step * 1e-6 if step else z)

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return self.extractor.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the name of the position; empty if there is only one."""
        return self.extractor.position_name if self.extractor.num_positions > 1 else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by Micro-Manager."""
        return FRAME_TAG in heading.tags or "MicroManager" in heading.software

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for a Micro-Manager recording: its own tags."""
        probe = PathProbe.of(path)
        found = first_heading(probe)
        if found is None or not cls.owns(found[1]):
            return None
        summary = probe.read_once(read_summary, found[0])
        if summary is None:
            return None
        version = first_value(summary, "MicroManagerVersion")
        return f"{in_words(probe)} has the tags of Micro-Manager {version or ''}".strip()

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel at every position of every recording at a path."""
        from nwb_ophys.formats.micromanager.reader import channel_names

        warn_of_subfolders(path)
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
