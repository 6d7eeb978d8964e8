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
from nwb_ophys.interfaces.arguments import argument
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class MicroManagerSource:
    """Source arguments of a Micro-Manager recording."""

    folder_path: Path = argument(
        "The folder of a recording with its .ome.tif files; or one of those files, whose others "
        "are found by the names that it states."
    )
    channel_name: str | None = argument(
        "Which channel, by its name; not needed where there is one.", default=None
    )
    position_index: int | None = argument(
        "Which position of the stage, from 0; not needed where there is one.", default=None
    )
    plane_index: int | None = argument(
        "Which plane of volumes, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Samples per second in Hz; needed only where the files do not state it.", default=None
    )


class MicroManagerImagingInterface(ImagingInterface):
    """One channel at one position of a Micro-Manager recording, of a plane or of volumes."""

    Source = MicroManagerSource
    has_volumes = True
    # It records from cameras; of a laser scanner, photon_series_type says so.
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
        """Return what the files state: version, start, rate, camera, exposure, pixel size."""
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
        """Return the distances of pixels in metres; Micro-Manager states 0 where it knows none."""
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
        """Return the name of the position, or empty where there is only one."""
        return self.extractor.position_name if self.extractor.num_positions > 1 else ""

    @classmethod
    def owns(cls, heading: TiffHeading) -> bool:
        """Return whether a TIFF file was written by Micro-Manager."""
        return FRAME_TAG in heading.tags or "MicroManager" in heading.software

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return evidence, in words, that a path is of Micro-Manager: its own tags."""
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
        """Yield every channel at every position of every recording in a path."""
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
