"""OME-TIFF recordings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from nwb_ophys.errors import SourceError
from nwb_ophys.filetypes.ome.recordings import grid_spacing, images_in, single_file
from nwb_ophys.filetypes.tiff.folders import (
    TIFF_SUFFIXES,
    warn_of_subfolders,
)
from nwb_ophys.filetypes.tiff.heading import TiffHeading
from nwb_ophys.formats.grouping import ome_grouping
from nwb_ophys.formats.owners import first_unowned, own_files, owner_of
from nwb_ophys.interfaces.arguments import allow_truncated_argument, argument
from nwb_ophys.interfaces.grouping import Grouping
from nwb_ophys.interfaces.imaging import ImagingInterface
from nwb_ophys.interfaces.streams import Part
from nwb_ophys.metadata import camel_case
from nwb_ophys.paths import PathProbe


@attrs.frozen(kw_only=True)
class OmeTiffSource:
    """Source arguments of an OME-TIFF recording."""

    file_path: Path = argument(
        "A file of the recording, which names the other files; or the folder of one recording."
    )
    channel_name: str | None = argument(
        "Name of the channel; optional if there is only one.", default=None
    )
    image_index: int | None = argument(
        "Index of the image (position), from 0; optional if there is only one.", default=None
    )
    plane_index: int | None = argument(
        "Index of a plane, from 0; whole volumes if not given.", default=None
    )
    sampling_frequency: float | None = argument(
        "Sampling rate in Hz; required only if the files do not state it.", default=None
    )
    allow_truncated: bool = allow_truncated_argument()


class OmeTiffImagingInterface(ImagingInterface):
    """One channel of an OME-TIFF recording: one plane, or volumes."""

    Source = OmeTiffSource
    reads_ranges = True
    is_generic = True
    has_volumes = True

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of checked source arguments."""
        from nwb_ophys.formats.ome_tiff.reader import OmeTiffExtractor

        arguments = attrs.asdict(source)
        return OmeTiffExtractor(single_file(arguments.pop("file_path")), **arguments)

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the OME-XML: start, rate, microscope, wavelengths, pixel size."""
        image, channel = self.extractor.image, self.extractor.channel
        gain = channel.gain if channel.detector_type == "PMT" else None
        return {
            "NWBFile": {"session_start_time": image.acquired},
            "Ophys": {
                "Device": [_device(image.instrument)],
                "ImagingPlane": [
                    {
                        "description": _place(image),
                        "imaging_rate": self.extractor.stated_rate,
                        "excitation_lambda": channel.excitation,
                        "indicator": channel.fluor,
                        "optical_channel": [
                            {
                                "name": camel_case(self.extractor.channel_name),
                                "emission_lambda": channel.emission,
                            }
                        ],
                        **grid_spacing(image.spacing, self.extractor.is_volumetric),
                    }
                ],
                "TwoPhotonSeries": [{"pmt_gain": gain}],
            },
        }

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return self.extractor.image.channel_names  # type: ignore[no-any-return]

    def position_name(self) -> str:
        """Return the name of the image; empty if there is only one."""
        return self.extractor.image_name if self.extractor.num_images > 1 else ""

    @classmethod
    def matches(cls, path: Path | PathProbe) -> str | None:
        """Return the evidence for an OME-TIFF recording: the XML in the first page."""
        probe = PathProbe.of(path)
        found = first_unowned(probe, _has_ome_xml)
        if found is None:
            return None
        count = len(probe.names(*TIFF_SUFFIXES))
        if count == 1:
            return f"'{found[0].name}' has OME-XML in its first page"
        return f"of {count} TIFF files, '{found[0].name}' has OME-XML in its first page"

    @classmethod
    def group(cls, probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
        """Return the recordings at a path, with the files that their OME-XML names."""
        if not probe.is_folder:
            return ome_grouping([probe.path])
        warn_of_subfolders(probe.path)
        return ome_grouping(own_files(probe, _is_own(probe)))

    @classmethod
    def needs(cls, path: Any) -> Sequence[str]:
        """Return that the rate is needed where no movie at a path states times."""
        try:
            images = [place.image for place in images_in(path) if place.image.sizes["T"] > 1]
        except SourceError:  # which is raised with words where the file is opened
            return ()
        is_stated = any(
            image.time_increment is not None or not np.isnan(image.delta_t).all()
            for image in images
        )
        return () if is_stated or not images else ("sampling_frequency",)

    @classmethod
    def parts(cls, path: Path, **source: Any) -> Iterator[Part]:
        """Yield every channel of every image of every recording at a path."""
        for place in images_in(path):
            for channel in place.image.channel_names:
                yield Part(
                    arguments={
                        **place.arguments("file_path", "image_index"),
                        "channel_name": channel,
                    },
                    recording=place.recording,
                    position=place.name,
                    channel=channel,
                    num_planes=place.image.sizes["Z"],
                )


def _has_ome_xml(heading: TiffHeading) -> bool:
    return heading.has_ome_xml


def _is_own(probe: PathProbe) -> Callable[[TiffHeading], bool]:
    return lambda heading: heading.has_ome_xml and owner_of(heading, probe) is None


def _device(instrument: Any) -> dict[str, Any]:
    """Return the microscope, and its model if both its name and its maker are stated."""
    maker, model, objective = instrument.manufacturer, instrument.model, instrument.objective
    words = f"Microscope {maker or ''} {model or ''}".split()
    words += ["with", "the", "objective", objective] if objective else []
    # NWB forbids / and : in names, because they separate the parts of paths.
    known = {"name": re.sub("[/:]", "-", model or ""), "manufacturer": maker}
    return {
        "description": " ".join(words) + "." if len(words) > 1 else None,
        "serial_number": instrument.serial_number,
        "model": known if all(known.values()) else None,
    }


def _place(image: Any) -> str | None:
    """Describe the position of the stage, which is not the position of the first pixel."""
    if image.stage is None:
        return None
    x, y, z = (metres * 1e6 for metres in image.stage)
    return f"The stage was at x {x:g}, y {y:g}, z {z:g} \u00b5m."
