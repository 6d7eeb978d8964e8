"""Interface of a segmentation: the ROIs of one plane or volume, with their traces."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import attrs

from nwb_ophys.errors import MetadataError
from nwb_ophys.interfaces.arguments import (
    StubOptions,
    argument,
    iterator_options_argument,
    stub_of,
)
from nwb_ophys.interfaces.base import (
    BaseOphysInterface,
    among_others,
    check_extractor,
    filled_with_options,
)
from nwb_ophys.interfaces.conversion import join_file
from nwb_ophys.interfaces.door import source_errors
from nwb_ophys.interfaces.emptiness import note_no_rois
from nwb_ophys.interfaces.foreign_extractors import check_rois
from nwb_ophys.interfaces.made_from import MadeFrom, paths_of
from nwb_ophys.interfaces.mixins import (
    DeviceWriter,
    ImageWriter,
    MaskWriter,
    PlaneWriter,
    TraceWriter,
)
from nwb_ophys.interfaces.movies_in_file import Addition
from nwb_ophys.interfaces.rates import check_rate_is_known
from nwb_ophys.metadata import (
    BACKGROUND_PLANE_SEGMENTATION,
    DeepDict,
    background_entry,
    get_nwb_segmentation_metadata,
    merge_description,
    segmentation_schema,
    with_suffix,
)
from nwb_ophys.metadata.neuroconv_keys import with_neuroconv_keys
from nwb_ophys.rois.model import Rois
from nwb_ophys.rois.views import AcceptedRois, FirstSamples, SelectedRois, WithTimes
from nwb_ophys.timing import Clock

if TYPE_CHECKING:
    from pynwb import NWBFile

# Containers whose entries are keyed by the name of their table.
_OF_TABLES = ("Fluorescence", "DfOverF", "SegmentationImages")


@attrs.frozen(kw_only=True)
class SegmentationOptions(StubOptions):
    """Conversion options of a segmentation."""

    plane_segmentation_name: str | None = argument(
        "Name of the entry in the metadata's plane_segmentations; the first one by default.",
        default=None,
    )
    mask_type: Literal["image", "pixel", "voxel"] | None = argument(
        "Form of the masks: image (whole frame), pixel or voxel (lists); null for none.",
        default="image",
    )
    include_roi_centroids: bool = argument("Add the column ROICentroids.", default=True)
    include_roi_acceptance: bool = argument(
        "Add the columns Accepted and Rejected, where the source states them.", default=True
    )
    include_background: bool = argument(
        "Write background components to a plane segmentation of their own.", default=True
    )
    roi_ids: list[int | str] | None = argument(
        "Ids of the ROIs to write, in this order; all ROIs by default.", default=None
    )
    align: Literal["movie", "own"] | None = argument(
        "Times of the traces: those of the movie that the ROIs were made from (movie), or those "
        "that their own files state (own). By default those of a movie with as many samples, if "
        "the files of the ROIs state only a rate and the movie has timestamps or the same rate.",
        default=None,
    )
    accepted_only: bool = argument(
        "Write only the ROIs that the source states as accepted; refused where it states nothing.",
        default=False,
    )
    stub: int | None = argument("Write only the first N samples of the traces.", default=None)
    iterator_options: dict[str, Any] | None = iterator_options_argument(
        "buffer_gb and chunk_mb of masks and traces, whose shapes differ.", shapes=False
    )


class SegmentationInterface(
    BaseOphysInterface, DeviceWriter, PlaneWriter, MaskWriter, TraceWriter, ImageWriter
):
    """Base class for segmentation formats; each interface is the ROIs of one plane or volume.

    A format declares ``Source``, implements :meth:`open`, and states the metadata of its files in
    :meth:`describe`.
    """

    Options = SegmentationOptions

    def open_source(self, given: Iterable[Path]) -> None:
        """Open the extractor."""
        super().open_source(given)
        check_extractor(self, "get_roi_ids", "SegmentationExtractor", "ArraySegmentationExtractor")
        with source_errors(lambda: paths_of(self)):
            check_rois(self)
            note_no_rois(self)

    def made_from(self) -> MadeFrom | None:
        """Return what the files state of the movie that they were made from: the names of files."""
        paths = paths_of(self)
        return MadeFrom(files=self.movie_files(paths[0]) if paths else ())

    @property
    def segmentation_extractor(self) -> Any:
        """The extractor, by the name that neuroconv gives to it."""
        return self.extractor

    @segmentation_extractor.setter
    def segmentation_extractor(self, extractor: Any) -> None:
        self.extractor = extractor

    def get_metadata(self, **options: Any) -> DeepDict:
        """Return the metadata that the files state, with defaults for the rest; edit it freely.

        Traces, images and background components that are not there, or that the options leave out,
        have no entries.

        Parameters
        ----------
        **options
            See :class:`SegmentationOptions`.
        """
        defaults = DeepDict(get_nwb_segmentation_metadata(self.extractor))
        metadata = merge_description(defaults, self.possible_facts())
        _move_to_stated_name(metadata["Ophys"], defaults["Ophys"])
        metadata = with_suffix(metadata, self.part())
        rois = Rois.of(self.extractor)
        if rois.background_ids and self.parse_options(options).include_background:
            self._describe_background(metadata["Ophys"], rois)
        _leave_out_absent(metadata["Ophys"], rois)
        return metadata

    def _describe_background(self, ophys: DeepDict, rois: Rois) -> None:
        """Give the background components a plane segmentation and traces of their own."""
        (cells,) = ophys["ImageSegmentation"]["plane_segmentations"]
        suffix = cells["name"].removeprefix("PlaneSegmentation")
        is_default = cells["name"] == f"PlaneSegmentation{suffix}"
        name = BACKGROUND_PLANE_SEGMENTATION + (suffix if is_default else cells["name"])
        entry = background_entry(name, cells["imaging_plane"])
        ophys["ImageSegmentation"]["plane_segmentations"].append(entry)
        of_cells = ophys["Fluorescence"][cells["name"]]
        ophys["Fluorescence"][name] = {
            trace: of_cells.pop(trace) for trace in rois.background_traces if trace in of_cells
        }

    def get_metadata_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the metadata."""
        return with_neuroconv_keys(segmentation_schema())

    def add_to_nwbfile(
        self, nwbfile: NWBFile, metadata: Mapping[str, Any] | None = None, **options: Any
    ) -> NWBFile:
        """Add the device, the plane, the ROIs, their traces, the background and summary images.

        Parameters
        ----------
        nwbfile : pynwb.NWBFile
        metadata : Mapping, optional
            Filled from :meth:`get_metadata` where keys are missing.
        **options
            See :class:`SegmentationOptions`.

        Returns
        -------
        pynwb.NWBFile
            The same.
        """
        self.count_from_start_of(nwbfile)
        chosen = self.parse_options(options)
        given = among_others(self, metadata, options)
        full = filled_with_options(self, given, options)
        cells, background = _plane_segmentations(full, chosen.plane_segmentation_name)
        _check_name_is_free(nwbfile, full["Ophys"]["ImageSegmentation"]["name"], cells)
        clock = self._clock_of_movie
        if not self._is_compared:
            full, clock = Addition(nwbfile, self, full, chosen, cells).compare()
        full = join_file(full, nwbfile)
        source = self.with_extractor(self._part(chosen, clock))
        if clock is None:
            self._check_rate(full["Ophys"], cells)
        _check_pixels(source.extractor, chosen.mask_type)
        storing = {"iterator_options": chosen.iterator_options}
        source.add_devices(nwbfile, full)
        source.add_plane_segmentation(
            nwbfile,
            full,
            plane_segmentation_name=cells,
            include_roi_centroids=chosen.include_roi_centroids,
            include_roi_acceptance=chosen.include_roi_acceptance,
            mask_type=chosen.mask_type,
            **storing,
        )
        source.add_fluorescence_traces(nwbfile, full, plane_segmentation_name=cells, **storing)
        if chosen.include_background:
            source.add_background(
                nwbfile,
                full,
                plane_segmentation_name=cells,
                background_name=background,
                mask_type=chosen.mask_type,
                **storing,
            )
        source.add_summary_images(nwbfile, full, plane_segmentation_name=cells)
        return nwbfile

    def _check_rate(self, ophys: DeepDict, cells: str) -> None:
        """Raise where there are traces, but neither their rate nor their times are known."""
        traces = Rois.of(self.extractor).traces
        if not traces:
            return
        of_cells = [ophys[container].get(cells) or {} for container in ("Fluorescence", "DfOverF")]
        entries = [each for own in of_cells for each in own.values()]
        container = "DfOverF" if set(traces) == {"dff"} else "Fluorescence"
        trace = "raw" if "raw" in traces else next(iter(traces))
        check_rate_is_known(self, entries, f"Ophys.{container}.{cells}.{trace}.rate")

    def _part(self, chosen: SegmentationOptions, clock: Clock | None) -> Any:
        """Return the extractor, or the part of it that the options request, with its times."""
        extractor = self.extractor
        stub = stub_of(chosen)
        if stub is not None:
            extractor = FirstSamples(extractor, stub)
        if clock is not None:
            num_samples = int(extractor.get_num_samples())
            extractor = WithTimes(extractor, clock.times(num_samples)[:num_samples], clock.rate)
        if chosen.roi_ids is not None:
            extractor = SelectedRois(extractor, chosen.roi_ids)
        return self._accepted(extractor) if chosen.accepted_only else extractor

    def _accepted(self, extractor: Any) -> AcceptedRois:
        """Return the accepted ROIs of an extractor, with a note of their number."""
        paths = paths_of(self)
        name = f"'{paths[0]}'" if paths else type(self).__name__
        name += f" ({self.part()})" if self.part() else ""
        accepted = AcceptedRois(extractor, name)
        warnings.warn(
            f"{name}: {accepted.get_num_rois()} of {extractor.get_num_rois()} ROIs are accepted; "
            "only these are written (accepted_only).",
            UserWarning,
            stacklevel=4,
        )
        return accepted


def _check_pixels(extractor: Any, mask_type: str | None) -> None:
    """Raise where pixels of an extractor of another author lie outside its field.

    Readers of this package have checked theirs, and images are checked when they are made.
    """
    rois = Rois.of(extractor)
    is_own = type(rois.source).__module__.startswith("nwb_ophys.")
    if mask_type in ("pixel", "voxel") and not is_own:
        rois.pixels.check_field()


def _move_to_stated_name(ophys: DeepDict, defaults: DeepDict) -> None:
    """Move entries of traces and images from the default name of the table to the stated one."""
    former = defaults["ImageSegmentation"]["plane_segmentations"][0]["name"]
    name = ophys["ImageSegmentation"]["plane_segmentations"][0]["name"]
    for container in _OF_TABLES if name != former else ():
        members = ophys.get(container, {})
        if former in members:
            members[name] = merge_description(members.pop(former), members.get(name, {}))


def _leave_out_absent(ophys: DeepDict, rois: Rois) -> None:
    """Remove the entries of traces and images that the segmentation does not have."""
    names = [entry["name"] for entry in ophys["ImageSegmentation"]["plane_segmentations"]]
    images = {name for name, image in rois.extractor.get_images_dict().items() if image is not None}
    traces = {name: set(rois.traces) for name in names[:1]}
    traces |= {name: set(rois.background_traces) for name in names[1:]}
    for container in _OF_TABLES:
        is_there = False
        for plane, members in list(ophys.get(container, {}).items()):
            if isinstance(members, dict):
                known = images if container == "SegmentationImages" else traces.get(plane, set())
                ophys[container][plane] = {k: v for k, v in members.items() if k in known}
                is_there = is_there or bool(ophys[container][plane])
                if not ophys[container][plane]:
                    del ophys[container][plane]
        if not is_there:
            ophys.pop(container, None)


def _check_name_is_free(nwbfile: NWBFile, container: str, name: str) -> None:
    """Raise where the file has a plane segmentation of this name, which writers would reuse."""
    ophys = nwbfile.processing.get("ophys") if nwbfile.processing else None
    if ophys is None or container not in ophys.data_interfaces:
        return
    if name in ophys.data_interfaces[container].plane_segmentations:
        raise MetadataError(
            f"The file already has a plane segmentation '{name}' in '{container}'; give this one "
            "another name in the metadata."
        )


def _plane_segmentations(metadata: DeepDict, asked: str | None) -> tuple[str, str | None]:
    """Return the names of the plane segmentations of the ROIs and, where stated, the background."""
    names = [e["name"] for e in metadata["Ophys"]["ImageSegmentation"]["plane_segmentations"]]
    cells = asked or names[0]
    others = [name for name in names if name != cells]
    if asked is not None or len(others) != 1:
        # Of many plane segmentations, only a name tells which one is the background.
        others = [name for name in others if name.startswith("Background")]
    return cells, others[0] if others else None
