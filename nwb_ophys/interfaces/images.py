"""Interface of images without a time axis: a single image or the planes of a z-stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from nwb_ophys.interfaces.arguments import StubOptions, argument, stub_of
from nwb_ophys.interfaces.base import BaseOphysInterface
from nwb_ophys.interfaces.mixins import DeviceWriter, PlaneWriter, StillsWriter
from nwb_ophys.metadata import (
    DeepDict,
    calibration_fields,
    get_default_ophys_metadata,
    images_entry,
    images_schema,
    merge_description,
    with_suffix,
)
from nwb_ophys.metadata.neuroconv_keys import with_neuroconv_keys

if TYPE_CHECKING:
    from pynwb import NWBFile


@attrs.frozen(kw_only=True)
class ImagesOptions(StubOptions):
    """Conversion options of images without a time axis."""

    stub: int | None = argument("Write only the first N planes.", default=None)


class ImagesInterface(BaseOphysInterface, DeviceWriter, PlaneWriter, StillsWriter):
    """Base class for images without a time axis; each interface is one channel.

    The extractor is that of a movie with one sample. Its planes become ``GrayscaleImage`` objects
    of an ``Images`` container in the acquisition.
    """

    Options = ImagesOptions

    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata that the files state, with defaults for the rest; edit it freely."""
        defaults = get_default_ophys_metadata()
        _, _, *planes = self.extractor.get_sample_shape()
        is_stack = bool(planes)
        name = "ZStack" if is_stack else "Image"
        description = "Z-stack: one image per plane." if is_stack else "A single image."
        defaults["Ophys"]["Images"] = [images_entry(name, description)]
        return with_suffix(merge_description(defaults, self.possible_facts()), self.part())

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""
        return with_neuroconv_keys(images_schema())

    def shift_to_session_start(self, delay: float) -> None:
        """Do nothing: images have no times."""

    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add the device, the imaging plane and the images; pixels are read on writing.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Filled from :meth:`get_metadata` where keys are missing.
        **options
            See :class:`ImagesOptions`.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        chosen = self.parse_options(options)
        stub = stub_of(chosen, "plane")
        full = self.joined_metadata(nwbfile, metadata)
        self.add_devices(nwbfile, full)
        # Images cannot be linked to their plane, but the plane states the facts of both.
        self.add_imaging_plane(nwbfile, full, full["Ophys"]["Images"][0]["imaging_plane"])
        return self.add_stills(nwbfile, full, num_planes=stub)


@attrs.frozen(kw_only=True)
class OnlySampleSource:
    """Source arguments of the only sample of a movie."""

    movie: Any = argument("The interface of a movie with one sample.")


class OnlySampleInterface(ImagesInterface):
    """One channel of a recording that holds a single sample: an image or a z-stack."""

    Source = OnlySampleSource

    @classmethod
    def open(cls, source: Any) -> Any:
        """Return the extractor of the movie."""
        return source.movie.extractor

    def describe(self) -> Mapping[str, Any]:
        """Return the metadata of the movie; the facts of its series become a description."""
        stated = dict(self.source.movie.describe())
        ophys = dict(stated.get("Ophys", {}))
        series = [
            ophys.pop(kind)[0] for kind in ("TwoPhotonSeries", "OnePhotonSeries") if kind in ophys
        ]
        # Images have no fields for a calibration of their values.
        series.append(calibration_fields(self.extractor))
        facts = [_sentence(key, value) for each in series for key, value in each.items()]
        text = " ".join(fact for fact in facts if fact)
        return {**stated, "Ophys": {**ophys, "Images": [{"description": text or None}]}}

    def channel_names(self) -> Sequence[str]:
        """Return the names of all channels of the recording."""
        return list(self.source.movie.channel_names())

    def channel_name(self) -> str:
        """Return the name of the channel that the movie is."""
        return str(self.source.movie.channel_name())

    def position_name(self) -> str:
        """Return the name of the position that the movie is of."""
        return str(self.source.movie.position_name())

    def part(self) -> str:
        """Return the part of its recording that the movie is."""
        return str(self.source.movie.part())


_NOT_FACTS = ("name", "imaging_plane", "dimension", "unit")


def _sentence(key: str, value: Any) -> str:
    """Return a fact of a photon series as a sentence; a description is one already."""
    if key in _NOT_FACTS or value is None:
        return ""
    return str(value) if key == "description" else f"{key}: {value}."
