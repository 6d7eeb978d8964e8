"""ROIs that are added to a file with movies, and movies that are added to a file with ROIs."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from nwb_ophys.errors import MetadataError, OptionError
from nwb_ophys.interfaces.arguments import stub_of
from nwb_ophys.interfaces.comparison import (
    Alignment,
    Notes,
    Timed,
    clock_to_take,
    listed,
    shape_in_words,
    simultaneous,
    stated_times,
    timed,
)
from nwb_ophys.interfaces.made_from import Choice, MadeFrom, Recorded, choose_movie, lies_in
from nwb_ophys.interfaces.relations import Stream, alignment_of
from nwb_ophys.metadata import FullMetadata, get_default_ophys_metadata
from nwb_ophys.metadata.facts import name_of
from nwb_ophys.metadata.links import SEGMENTATIONS, described, entries_of, path_of, set_entries
from nwb_ophys.metadata.plane_links import is_described_plane, link_background, plane_of
from nwb_ophys.metadata.sharing import is_described
from nwb_ophys.rois.views import FirstSamples
from nwb_ophys.timing import Clock

if TYPE_CHECKING:
    from pynwb import NWBFile

DEFAULT_DEVICE = get_default_ophys_metadata()["Ophys"]["Device"][0]
"""Metadata of a device of which nothing is known."""


def movies_in(nwbfile: NWBFile) -> list[tuple[Recorded, Any]]:
    """Return the movies of a file: what is known of each, and its series.

    Movies in external files are left out, and so are registered ones (``CorrectedImageStack``) if
    there are others.
    """
    modules = [module.data_interfaces.values() for module in nwbfile.processing.values()]
    held = [*nwbfile.acquisition.values(), *itertools.chain(*modules)]
    stacks = [getattr(each, "corrected_image_stacks", {}).values() for each in held]
    registered = [stack.corrected for stack in itertools.chain(*stacks)]
    return _read(held) or _read(registered)


def _read(objects: Iterable[Any]) -> list[tuple[Recorded, Any]]:
    # Imported here: only who has an NWBFile comes here, and has imported pynwb.
    from pynwb.ophys import OnePhotonSeries, TwoPhotonSeries

    found = []
    for series in objects:
        if not isinstance(series, (TwoPhotonSeries, OnePhotonSeries)):
            continue
        shape = _shape_of(series.data) if series.external_file is None else None
        if shape is not None and len(shape) in (3, 4) and None not in shape:
            num_samples, *field = (int(size) for size in shape)
            movie = Recorded(name=series.name, field=tuple(field), num_samples=num_samples)
            found.append((movie, series))
    return found


@attrs.frozen(eq=False, slots=False)
class Addition:
    """A segmentation that is added to a file with movies.

    Attributes
    ----------
    nwbfile : pynwb.NWBFile
    interface : SegmentationInterface
    metadata : FullMetadata
        Complete metadata of the segmentation.
    chosen : SegmentationOptions
    name : str
        Name of the plane segmentation.
    """

    nwbfile: NWBFile
    interface: Any
    metadata: FullMetadata
    chosen: Any
    name: str
    notes: Notes = attrs.field(factory=Notes)

    def compare(self) -> tuple[FullMetadata, Clock | None]:
        """Return the metadata with the plane of the movie, and the times of it that are taken.

        Warns of disagreements.

        Raises
        ------
        MetadataError
            If the metadata links the ROIs to the plane of movies of another field.
        OptionError
            If ``align=movie`` is given, but not possible.
        """
        movies = dict(movies_in(self.nwbfile))
        chosen_align = getattr(self.chosen, "align", None)
        if not movies:
            if chosen_align == "movie":
                raise OptionError(
                    f"align=movie is given for '{self.name}', but there is no movie: neither among "
                    "the streams nor in the file. Leave the option out, or add the movie first."
                )
            return self.metadata, None
        stream = Stream(self.name, self.interface, self._extractor(movies), self._made_from())
        choice = choose_movie(self._made_from(), stream.field, stream.num_samples, movies)
        plane = self._plane()
        movie = self._movie_on(plane, stream, movies)
        metadata = self.metadata
        if not self._is_open(plane):
            metadata = metadata.twin()
            if len(entries_of(metadata, SEGMENTATIONS)) > 1:
                link_background(metadata, plane_of(self._stated))
        if movie is None and (self._is_open(plane) or self._is_by_name(plane)):
            movie = choice.movie
            target = None if movie is None else movies[movie].imaging_plane.name
            if target != plane:
                metadata = self._on_plane(plane, target)
            if movie is None:
                self._note_unknown(stream, choice, movies)
        candidates = (movie,) if movie else choice.of_same_time(stream.num_samples)
        clock = self._clock(stream, [_timed_series(each.name, movies[each]) for each in candidates])
        self.notes.warn(stacklevel=5)
        return metadata, clock

    def _made_from(self) -> MadeFrom:
        """Return what is known of the movie; series of a file have no numbers of channels."""
        stated = self.interface.made_from() if hasattr(self.interface, "made_from") else None
        return MadeFrom(files=() if stated is None else stated.files)

    def _extractor(self, movies: Mapping[Recorded, Any]) -> Any:
        """Return the extractor, or its first samples where the movie was cut like these."""
        extractor, stub = self.interface.extractor, stub_of(self.chosen)
        if stub is not None and any(movie.num_samples == stub for movie in movies):
            return FirstSamples(extractor, stub)
        return extractor

    def _plane(self) -> str | None:
        entries = described(entries_of(self.metadata, SEGMENTATIONS))
        own: Any = next((entry for entry in entries if entry["name"] == self.name), {})
        return own.get("imaging_plane")

    def _is_open(self, plane: str | None) -> bool:
        """Return whether nobody chose the plane, or states more than the default of it."""
        if plane is None or self._is_chosen():
            return False
        if plane in self.nwbfile.imaging_planes:
            own = self._stated
            return self._is_by_name(plane) and not is_described_plane(own, str(plane_of(own)))
        return not is_described_plane(self.metadata, plane)

    def _is_chosen(self) -> bool:
        """Return whether the user set the link to the plane by itself."""
        names = [name_of(entry) for entry in entries_of(self.metadata, SEGMENTATIONS)]
        return self.name in names and (SEGMENTATIONS, names.index(self.name)) in self.metadata.links

    def _is_by_name(self, plane: str | None) -> bool:
        """Return whether the file has a plane of the name that the ROIs' plane has by default."""
        if plane not in self.nwbfile.imaging_planes or self._is_chosen():
            return False
        return re.fullmatch(rf"{re.escape(str(plane_of(self._stated)))}\d*", str(plane)) is not None

    @functools.cached_property
    def _stated(self) -> Mapping[str, Any]:
        """The metadata of the ROIs, before the user and the contents of the file changed it."""
        return self.interface.get_metadata()  # type: ignore[no-any-return]

    def _movie_on(
        self, plane: str | None, stream: Stream, movies: Mapping[Recorded, Any]
    ) -> Recorded | None:
        """Return the movie on the plane to which the ROIs link; None where the link is open.

        Raises
        ------
        MetadataError
            If somebody linked the ROIs to the plane of movies of another field.
        """
        there = [m for m, series in movies.items() if series.imaging_plane.name == plane]
        fitting = [movie for movie in there if lies_in(stream.field, movie.field)]
        if there and not fitting and not self._is_by_name(plane):
            raise MetadataError(
                f"{path_of(SEGMENTATIONS)}: '{self.name}' links to '{plane}', the plane of the "
                f"movie '{there[0].name}' with a field of {shape_in_words(there[0].field)} pixels, "
                f"but its masks have {shape_in_words(stream.field)}. Another field needs an "
                "imaging plane of its own; leave the key out, or name another plane."
            )
        if len(movies) > 1 and self._is_by_name(plane) and self._is_open(plane):
            return None  # a default name that happens to be that of one of several movies
        fitting.sort(key=lambda movie: movie.num_samples != stream.num_samples)
        return fitting[0] if fitting else None

    def _on_plane(self, old: str | None, new: str | None) -> FullMetadata:
        """Return the metadata with a link to a plane of the file, or to a plane of their own."""
        metadata = self.metadata.twin()
        own = self._own_plane(metadata, old)
        if new is None:
            own["name"] = name = self._free(str(old), self.nwbfile.imaging_planes)
            if _states_facts(self.nwbfile.devices.get(own.get("device"))):
                own["device"] = self._free(own["device"], self.nwbfile.devices)
        else:
            name = own["name"] = new
            own["device"] = self.nwbfile.imaging_planes[new].device.name
        planes = described(entries_of(metadata, "ImagingPlane"))
        kept = [plane for plane in planes if plane["name"] not in (old, name)]
        set_entries(metadata, "ImagingPlane", [*kept, own])
        for entry in described(entries_of(metadata, SEGMENTATIONS)):
            if entry.get("imaging_plane") == old:
                entry["imaging_plane"] = name
        self._set_devices(metadata)
        return metadata

    def _own_plane(self, metadata: FullMetadata, name: str | None) -> dict[str, Any]:
        """Return the entry of the ROIs' own plane, not that of a plane of the file."""
        places = [self._stated] if name in self.nwbfile.imaging_planes else [metadata]
        planes = described(entries_of(places[0], "ImagingPlane"))
        wanted = plane_of(self._stated) if name in self.nwbfile.imaging_planes else name
        found = [dict(plane) for plane in planes if plane["name"] == wanted]
        return found[0] if found else {"device": DEFAULT_DEVICE["name"]}

    def _set_devices(self, metadata: FullMetadata) -> None:
        """Keep the devices of the planes, and others with facts; add a default one if needed."""
        used = {plane.get("device") for plane in described(entries_of(metadata, "ImagingPlane"))}
        devices = [
            each
            for each in entries_of(metadata, "Device")
            if not isinstance(each, Mapping)
            or each.get("name") in used
            or is_described(each, DEFAULT_DEVICE)
        ]
        known = {getattr(each, "name", None) or each["name"] for each in devices}
        for name in sorted(used - known - set(self.nwbfile.devices)):
            devices.append({**DEFAULT_DEVICE, "name": name})
        metadata["Ophys"]["Device"] = devices

    @staticmethod
    def _free(name: str, taken: Collection[str]) -> str:
        names = itertools.chain([name], (f"{name}{number}" for number in itertools.count(2)))
        return next(each for each in names if each not in taken)

    def _note_unknown(self, stream: Stream, choice: Choice, movies: Mapping[Recorded, Any]) -> None:
        if choice.reason == "field":
            shown = ", ".join(
                f"'{movie.name}' of {shape_in_words(movie.field)}" for movie in choice.candidates
            )
            self.notes.add(
                f"The ROIs of {{streams}} lie in a field of {shape_in_words(stream.field)} pixels, "
                f"in which no movie of the file was recorded: {shown}. They get an imaging plane "
                "of their own; describe it in the metadata.",
                stream.name,
            )
            return
        planes = dict.fromkeys(movies[movie].imaging_plane.name for movie in choice.candidates)
        index = [e.get("name") for e in entries_of(self.metadata, SEGMENTATIONS)].index(self.name)
        self.notes.add(
            f"No file states from which movie the ROIs of {{streams}} were made, so that they get "
            "an imaging plane of their own, of which nothing is known. State which of "
            f"{listed(planes)} in the file it is in {path_of(SEGMENTATIONS)}[{index}]"
            '["imaging_plane"], on the command line with --set '
            f"Ophys.ImageSegmentation.plane_segmentations.{index}.imaging_plane={next(iter(planes))}.",
            stream.name,
        )

    def _clock(self, stream: Stream, movies: Sequence[Timed]) -> Clock | None:
        if stream.num_samples == 0:
            return None
        stated = stated_times(self.metadata, self.name)
        chosen = alignment_of(
            self.interface,
            stream.extractor,
            stated,
            align=getattr(self.chosen, "align", None),
            states_start="session_start_time" in (self.interface.describe().get("NWBFile") or {}),
        )
        reference = simultaneous(movies)
        if reference is None:
            if chosen.align == "movie":
                raise OptionError(
                    f"align=movie is given for '{self.name}', but it is not known from which of "
                    "the movies in the file it was made. Link it to the imaging plane of its movie "
                    "in the metadata."
                )
            return None
        own = timed(stream.name, stream.extractor, **stated)
        return clock_to_take(own, reference, chosen, self.notes)


def compare_with_rois(nwbfile: NWBFile, before: Collection[str]) -> None:
    """Compare a movie that was added to a file with the ROIs on its imaging plane.

    The ROIs are written already, so that disagreements are only noted.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    before : collection of str
        Names of the movies that the file had before.
    """
    notes = Notes()
    for movie, series in movies_in(nwbfile):
        if movie.name in before:
            continue
        for table, traces in _rois_on(nwbfile, series.imaging_plane):
            field = _field_of(table)
            if field is not None and not lies_in(field, movie.field):
                notes.add(
                    f"The masks of {{streams}} in the file have a field of {shape_in_words(field)} "
                    f"pixels, the movie '{movie.name}' {shape_in_words(movie.field)}, but both lie "
                    f"in the imaging plane '{series.imaging_plane.name}'. Give the movie a plane "
                    "of its own in the metadata.",
                    table.name,
                )
            elif traces is not None:
                own = _timed_series(table.name, traces)
                is_regular = own.clock.is_regular
                chosen = Alignment(can_align=False, has_rate=is_regular, has_times=not is_regular)
                clock_to_take(own, _timed_series(movie.name, series), chosen, notes)
    notes.warn(stacklevel=4)


def _rois_on(nwbfile: NWBFile, plane: Any) -> list[tuple[Any, Any]]:
    """Return the plane segmentations on a plane, each with a series of its traces or None."""
    modules = [module.data_interfaces.values() for module in nwbfile.processing.values()]
    containers = list(itertools.chain(*modules))
    tables = [t for c in containers for t in getattr(c, "plane_segmentations", {}).values()]
    traces = [s for c in containers for s in getattr(c, "roi_response_series", {}).values()]
    return [
        (table, next((series for series in traces if series.rois.table is table), None))
        for table in tables
        if table.imaging_plane is plane
    ]


def _shape_of(data: Any) -> Any:
    """Return the shape that hdmf finds of data in an ``NWBFile``."""
    from hdmf.utils import get_data_shape  # here, as pynwb is above

    return get_data_shape(data)


def _field_of(table: Any) -> tuple[int, ...] | None:
    """Return the field of image masks, (columns, rows[, planes]); None for lists of pixels."""
    if "image_mask" not in table.colnames:
        return None
    shape = _shape_of(table["image_mask"].data)
    return None if shape is None or None in shape else tuple(int(size) for size in shape[1:])


def _states_facts(device: Any) -> bool:
    """Return whether a device of a file is described."""
    fields = ("description", "manufacturer", "model", "model_name", "serial_number")
    stated = {field: getattr(device, field, None) for field in fields}
    return is_described({k: v for k, v in stated.items() if v is not None}, DEFAULT_DEVICE)


def _timed_series(name: str, series: Any) -> Timed:
    """Return the samples of a series in a file with their times."""
    if series.timestamps is not None:
        clock = Clock(timestamps=np.asarray(_values(series.timestamps), dtype=np.float64))
    else:
        clock = Clock(rate=series.rate, starting_time=series.starting_time or 0.0)
    return Timed(name=name, num_samples=_shape_of(series.data)[0], clock=clock)


def span_of(nwbfile: NWBFile) -> tuple[float, float] | None:
    """Return the first and the last time of the movies and traces of a file; None without any.

    Parameters
    ----------
    nwbfile : pynwb.NWBFile
    """
    from pynwb.ophys import OnePhotonSeries, RoiResponseSeries, TwoPhotonSeries  # as above

    spans = []
    for series in nwbfile.objects.values():
        if isinstance(series, (TwoPhotonSeries, OnePhotonSeries, RoiResponseSeries)):
            shape = _shape_of(series.data)
            if shape and shape[0] and series.rate:
                start = float(series.starting_time or 0.0)
                spans.append((start, start + shape[0] / float(series.rate)))
            elif shape and shape[0] and series.timestamps is not None:
                times = np.asarray(_values(series.timestamps), dtype=np.float64)
                times = times[np.isfinite(times)]
                spans += [(float(times.min()), float(times.max()))] if times.size else []
    if not spans:
        return None
    return min(first for first, _ in spans), max(last for _, last in spans)


def _values(stored: Any) -> Any:
    """Return timestamps, also of another series, and as set by this package's writers."""
    data = getattr(stored, "data", stored) if not hasattr(stored, "shape") else stored
    return data[:]
