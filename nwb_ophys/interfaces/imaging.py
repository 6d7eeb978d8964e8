"""Interface of a movie: one channel of one plane or volume."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import attrs

from nwb_ophys.interfaces.arguments import (
    StubOptions,
    argument,
    iterator_options_argument,
    stub_of,
)
from nwb_ophys.interfaces.base import BaseOphysInterface, check_extractor
from nwb_ophys.interfaces.door import source_errors
from nwb_ophys.interfaces.emptiness import refuse_no_frames
from nwb_ophys.interfaces.foreign_extractors import check_movie
from nwb_ophys.interfaces.made_from import paths_of
from nwb_ophys.interfaces.mixins import DeviceWriter, PlaneWriter, SeriesWriter
from nwb_ophys.interfaces.movies_in_file import compare_with_rois, movies_in
from nwb_ophys.interfaces.rates import check_rate_is_known
from nwb_ophys.metadata import (
    DeepDict,
    as_kind,
    check_kind,
    get_nwb_imaging_metadata,
    imaging_schema,
    merge_description,
    with_suffix,
)
from nwb_ophys.metadata.neuroconv_keys import with_neuroconv_keys
from nwb_ophys.outside import Reach, within_reach

if TYPE_CHECKING:
    from pynwb import NWBFile


@attrs.frozen(kw_only=True)
class ImagingOptions(StubOptions):
    """Conversion options of a movie."""

    photon_series_type: Literal["TwoPhotonSeries", "OnePhotonSeries"] | None = argument(
        "Type of the photon series; the type of the format by default.", default=None
    )
    photon_series_index: int = argument(
        "Index of the entry in the metadata's list of series that describes the movie.", default=0
    )
    parent_container: Literal["acquisition", "processing/ophys"] = argument(
        "Container of the series.", default="acquisition"
    )
    stub: int | None = argument("Write only the first N samples.", default=None)
    iterator_options: dict[str, Any] | None = iterator_options_argument(
        "buffer_gb or buffer_shape, and chunk_mb or chunk_shape, of the data.", shapes=True
    )


def _opened_within(reach: Reach | None, opening: Callable[[], Any]) -> Any:
    """Open a source in another thread, which does not know what the user allowed."""
    with within_reach(reach):
        return opening()


class ImagingInterface(BaseOphysInterface, DeviceWriter, PlaneWriter, SeriesWriter):
    """Base class for imaging formats; each interface is one channel of one plane or volume.

    A format declares ``Source``, implements :meth:`open`, and states the metadata of its files in
    :meth:`describe`.
    """

    Options = ImagingOptions

    photon_series_type: str = "TwoPhotonSeries"
    """Type of the photon series that this format records."""

    @property
    def imaging_extractor(self) -> Any:
        """The extractor, by the name that neuroconv gives to it."""
        return self.extractor

    @imaging_extractor.setter
    def imaging_extractor(self, extractor: Any) -> None:
        self.extractor = extractor

    opens_again: ClassVar[bool] = False
    """Whether :meth:`open` may be called once per thread, so that several threads can read."""

    states_movies: ClassVar[bool] = False
    """Whether files of the format say that they hold a movie, so that one sample is no snapshot."""

    def open_source(self, given: Iterable[Path]) -> None:
        """Open the extractor, which several threads may open again to read at once."""
        super().open_source(given)
        check_extractor(self, "get_series", "ImagingExtractor", "ArrayImagingExtractor")
        with source_errors(lambda: paths_of(self)):
            check_movie(self)
            refuse_no_frames(self)
        if self.opens_again:
            opening = functools.partial(type(self).open, self.source)
            self.extractor.open_again = functools.partial(_opened_within, self._reach, opening)

    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata that the files state, with defaults for the rest; edit it freely.

        Parameters
        ----------
        **options
            See :class:`ImagingOptions`; the series is described as ``photon_series_type``.
        """
        kind = self._kind(options)
        defaults = get_nwb_imaging_metadata(self.extractor, kind)
        stated = as_kind(self.possible_facts(), kind)
        return with_suffix(merge_description(defaults, stated), self.part())

    def for_options(self, metadata: Any, options: Mapping[str, Any]) -> Any:
        """Return metadata in which the series has the requested type."""
        if options.get("photon_series_type") is None:
            check_kind(metadata, self._kind(options))
            return metadata
        return as_kind(metadata, self._kind(options))

    def _kind(self, options: Mapping[str, Any]) -> str:
        chosen: str | None = self.parse_options(options).photon_series_type
        return chosen or self.photon_series_type

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""
        return with_neuroconv_keys(imaging_schema())

    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add the device, the imaging plane and the movie; its data is read on writing.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Filled from :meth:`get_metadata` where keys are missing.
        **options
            See :class:`ImagingOptions`.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        self.count_from_start_of(nwbfile)
        chosen = self.parse_options(options)
        kind = chosen.photon_series_type or self.photon_series_type
        full = self.for_options(self.joined_metadata(nwbfile, metadata, options), options)
        index = chosen.photon_series_index
        stated = full["Ophys"].get(kind)
        entries = stated[index : index + 1] if isinstance(stated, list) and index >= 0 else []
        check_rate_is_known(self, entries, f"Ophys.{kind}.{index}.rate")
        stub = stub_of(chosen)
        source = self if stub is None else self.with_extractor(self._first(stub))
        before = [movie.name for movie, _ in movies_in(nwbfile)]
        source.add_devices(nwbfile, full)
        source.add_movie(nwbfile, full, kind, chosen)
        if not self._is_compared:
            compare_with_rois(nwbfile, before)
        return nwbfile

    def add_movie(self, nwbfile: NWBFile, metadata: DeepDict, kind: str, chosen: Any) -> None:
        """Add the movie without its device, as the checked options say.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : DeepDict
            Complete metadata.
        kind : {"TwoPhotonSeries", "OnePhotonSeries"}
        chosen : attrs instance
            An instance of ``Options``.
        """
        self.add_photon_series(
            nwbfile,
            metadata,
            photon_series_type=kind,
            photon_series_index=chosen.photon_series_index,
            parent_container=chosen.parent_container,
            iterator_options=block_size(chosen.iterator_options),
        )

    def _first(self, stub: int) -> Any:
        num_samples = int(self.extractor.get_num_samples())
        return self.extractor.slice_samples(start_sample=0, end_sample=min(stub, num_samples))


def block_size(given: dict[str, Any] | None) -> dict[str, Any]:
    """Default to 100 MB blocks, so that the progress bar moves."""
    options = dict(given or {})
    if "buffer_shape" not in options and "chunk_shape" not in options:
        options.setdefault("buffer_gb", max(0.1, options.get("chunk_mb", 0.0) / 1e3))
    return options
