"""Relations between the streams of a converter: which ROIs were made from which movie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.base_extractors import ImagingExtractor, SegmentationExtractor
from nwb_ophys.errors import MetadataError, OptionError
from nwb_ophys.interfaces.comparison import (
    Alignment,
    Notes,
    Timed,
    clock_to_take,
    listed,
    rates_agree,
    shape_in_words,
    simultaneous,
    stated_times,
    timed,
)
from nwb_ophys.interfaces.made_from import (
    Choice,
    MadeFrom,
    Recorded,
    choose_movie,
    lies_in,
    paths_of,
    recorded,
)
from nwb_ophys.metadata import Composition
from nwb_ophys.metadata.links import SEGMENTATIONS, entries_of, path_of
from nwb_ophys.metadata.plane_links import is_described_plane, plane_of
from nwb_ophys.rois.model import Rois
from nwb_ophys.timing import Clock, extractor_times

_MOVIES = ("TwoPhotonSeries", "OnePhotonSeries")


@attrs.frozen(eq=False)
class Stream:
    """A stream with the extractor that reads it.

    Attributes
    ----------
    name : str
    interface : object
    extractor : roiextractors.ImagingExtractor or roiextractors.SegmentationExtractor
    made_from : MadeFrom or None
        None for recorded movies.
    """

    name: str
    interface: Any
    extractor: Any
    made_from: MadeFrom | None

    @property
    def is_segmentation(self) -> bool:
        """Return whether the stream holds ROIs."""
        return isinstance(self.extractor, SegmentationExtractor)

    @property
    def field(self) -> tuple[int, ...]:
        """The field, (columns, rows[, planes])."""
        if self.is_segmentation:
            rows, columns, *planes = (int(size) for size in self.extractor.get_frame_shape())
        else:
            rows, columns, *planes = (int(size) for size in self.extractor.get_sample_shape())
        return (columns, rows, *planes)

    @property
    def num_samples(self) -> int:
        """The number of frames, or of samples of the traces; 0 without traces."""
        if self.is_segmentation and not Rois.of(self.extractor).traces:
            return 0
        return int(self.extractor.get_num_samples() or 0)

    @property
    def path(self) -> Path | None:
        """The path that the stream is read from, if it is one."""
        stated = paths_of(self.interface)
        return stated[0] if len(stated) == 1 else None


def extractor_of(interface: Any) -> Any:
    """Return the extractor of an interface of this package or of another one, or None."""
    for name in ("extractor", "imaging_extractor", "segmentation_extractor"):
        extractor = getattr(interface, name, None)
        if isinstance(extractor, (ImagingExtractor, SegmentationExtractor)):
            return extractor
    return None


@attrs.frozen(eq=False)
class Relations:
    """The recorded movies among some streams, and what was made from them.

    Attributes
    ----------
    movies : dict of str to Recorded
        Recorded movies; processed ones if there are no others.
    derived : dict of str to Stream
        ROIs and processed movies.
    choices : dict of str to Choice
        The movie of each derived stream; empty if there are no movies.
    streams : dict of str to Stream
        All movies and segmentations.
    """

    movies: dict[str, Recorded]
    derived: dict[str, Stream]
    choices: dict[str, Choice]
    streams: dict[str, Stream]

    @classmethod
    def of(cls, interfaces: Mapping[str, Any]) -> Relations:
        """Return the relations of interfaces by the name of the stream."""
        streams: dict[str, Stream] = {}
        for name, interface in interfaces.items():
            extractor = extractor_of(interface)
            if extractor is None:
                continue
            made_from = interface.made_from() if hasattr(interface, "made_from") else None
            if made_from is None and isinstance(extractor, SegmentationExtractor):
                made_from = MadeFrom()
            streams[name] = Stream(name, interface, extractor, made_from)
        analysed = {name for name, one in streams.items() if one.made_from is not None}
        if analysed == set(streams):  # processed movies take the place of recordings
            analysed = {name for name in analysed if streams[name].is_segmentation}
        movies = {
            name: recorded(name, one.interface, one.extractor, one.num_samples)
            for name, one in streams.items()
            if name not in analysed
        }
        derived = {name: one for name, one in streams.items() if name in analysed}
        choices = {
            name: choose_movie(one.made_from, one.field, one.num_samples, movies.values())
            for name, one in derived.items()
            if movies and one.made_from is not None
        }
        return cls(movies, derived, choices, streams)

    def planes(self, metadata: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
        """Return the stream in whose plane each derived stream lies; None for a plane of its own.

        Streams whose files describe their plane, as NWB files do, are left out where a movie has
        the same plane, or where no file says which movie is theirs.

        Parameters
        ----------
        metadata : Mapping of str to Mapping
            The metadata of each stream.
        """
        found: dict[str, str | None] = {}
        for name, choice in self.choices.items():
            own = plane_of(metadata[name])
            is_described = own is not None and is_described_plane(metadata[name], own)
            if is_described and choice.reason not in ("", "field"):
                continue
            if is_described and any(
                plane_of(metadata[movie]) == own and self._same_source(name, movie)
                for movie in self.movies
            ):
                continue
            found[name] = choice.movie.name if choice.movie else self._processed_movie(name)
        return found

    def _same_source(self, name: str, other: str) -> bool:
        path = self.streams[name].path
        return path is not None and path == self.streams[other].path

    def _processed_movie(self, name: str) -> str | None:
        """Return the processed movie of the same analysis, for ROIs whose recording is unknown."""
        own = self.derived[name]
        if not own.is_segmentation:
            return None
        others = [
            other.name
            for other in self.derived.values()
            if not other.is_segmentation
            and other.made_from == own.made_from
            and self._same_source(name, other.name)
            and lies_in(own.field, other.field)
        ]
        return others[0] if len(others) == 1 else None


@attrs.frozen(eq=False)
class Comparison:
    """Comparison of the streams of one conversion, with complete metadata.

    Attributes
    ----------
    relations : Relations
    metadata : Mapping
        Complete metadata of all streams.
    composition : Composition
        Ownership of the entries, and the metadata without those of the user.
    options : Mapping of str to Mapping
        Conversion options by stream.
    """

    relations: Relations
    metadata: Mapping[str, Any]
    composition: Composition
    options: Mapping[str, Mapping[str, Any]]
    notes: Notes = attrs.field(factory=Notes)

    def clocks(self) -> dict[str, Clock | None]:
        """Compare all derived streams; return the clock that the traces of each get, or None.

        Warns of disagreements.

        Raises
        ------
        MetadataError
            If the metadata links ROIs to the plane of movies of another field.
        OptionError
            If ``align=movie`` is given, but not possible.
        """
        found = {
            name: self._clock(self.relations.derived[name], choice)
            for name, choice in self.relations.choices.items()
        }
        if not self.relations.movies:
            self._compare_segmentations()
        self.notes.warn(stacklevel=4)
        return found

    def _compare_segmentations(self) -> None:
        """Compare the rates of segmentations that may be of one movie, which is not converted."""
        first: dict[Any, Timed] = {}
        for stream in self.relations.derived.values():
            own = self._timed(stream) if stream.is_segmentation and stream.num_samples else None
            if own is None or not own.clock.is_regular:
                continue
            other = first.setdefault((stream.field, own.num_samples), own)
            if not rates_agree(own, other):
                self.notes.add(
                    f"The traces of {{streams}} have a rate of {own.rate_in_words}, those of "
                    f"'{other.name}', with the same field and as many samples, "
                    f"{other.rate_in_words}. If both are of one movie, state the right rate in the "
                    "metadata of the traces.",
                    stream.name,
                )

    def _clock(self, stream: Stream, choice: Choice) -> Clock | None:
        movie = self._movie_on_plane(stream, choice)
        if movie is None:
            self._note_unknown(stream, choice)
        if stream.num_samples == 0:
            return None
        candidates = (movie,) if movie else choice.of_same_time(stream.num_samples)
        chosen = self._alignment(stream, candidates)
        reference = simultaneous([self._timed(self._stream(each)) for each in candidates])
        if reference is None:
            if chosen.align == "movie":
                raise OptionError(
                    f"align=movie is given for '{stream.name}', but it is not known from which of "
                    f"the movies {listed(self.relations.movies)} it was made, or when their frames "
                    "were taken. Leave the option out, or convert it with its movie alone."
                )
            return None
        clock = clock_to_take(self._timed(stream), reference, chosen, self.notes)
        if clock is not None and choice.reason == "field":
            self.notes.add(
                f"The traces of {{streams}} get the times of the movie '{reference.name}', which "
                "has another field, but as many samples; give align=own (--option align=own) to "
                "write the times that their own files state.",
                stream.name,
            )
        return clock

    # --- planes ---------------------------------------------------------------------------------

    def _entry(self, name: str, metadata: Mapping[str, Any]) -> tuple[str, int, Any]:
        """Return the category, the index and the entry that a stream writes first."""
        for category in (SEGMENTATIONS, *_MOVIES):
            claimed = self.composition.claims.get(name, {}).get(category, [])
            entries = entries_of(metadata, category)
            if claimed and claimed[0] < len(entries):
                return category, claimed[0], entries[claimed[0]]
        return SEGMENTATIONS, 0, {}

    def _plane(self, name: str, metadata: Mapping[str, Any]) -> str | None:
        entry = self._entry(name, metadata)[2]
        return entry.get("imaging_plane") if isinstance(entry, Mapping) else None

    def _movie_on_plane(self, stream: Stream, choice: Choice) -> Recorded | None:
        """Return the movie on the plane of a stream; None if the plane has no movie.

        Raises
        ------
        MetadataError
            If the user linked the stream to the plane of movies of another field.
        """
        plane = self._plane(stream.name, self.metadata)
        there = [
            movie
            for movie in self.relations.movies.values()
            if plane is not None and self._plane(movie.name, self.metadata) == plane
        ]
        fitting = [movie for movie in there if lies_in(stream.field, movie.field)]
        if there and not fitting:
            self._refuse_other_field(stream, str(plane), there[0])
            return there[0]
        if choice.movie in fitting:
            return choice.movie
        fitting.sort(key=lambda movie: movie.num_samples != stream.num_samples)
        return fitting[0] if fitting else None

    def _refuse_other_field(self, stream: Stream, plane: str, movie: Recorded) -> None:
        category, index, _ = self._entry(stream.name, self.metadata)
        mine, theirs = shape_in_words(stream.field), shape_in_words(movie.field)
        if plane != self._plane(stream.name, self.composition.metadata):
            raise MetadataError(
                f"{path_of(category)}[{index}][\"imaging_plane\"] is '{plane}', the plane of the "
                f"movie '{movie.name}' with a field of {theirs} pixels, but '{stream.name}' has a "
                f"field of {mine} pixels. Another field needs an imaging plane of its own; leave "
                "the key out, or name another plane."
            )
        self.notes.add(
            f"The field of {{streams}} has {mine} pixels, the movie '{movie.name}' {theirs}, "
            f"although their file links both to the imaging plane '{plane}'. Both are written as "
            "the file states.",
            stream.name,
        )

    def _note_unknown(self, stream: Stream, choice: Choice) -> None:
        """Note why a stream has a plane without a movie, unless its plane is described."""
        plane = self._plane(stream.name, self.metadata)
        is_described = plane is None or is_described_plane(self.metadata, plane)
        is_own = plane == self._plane(stream.name, self.composition.metadata)
        if not is_own or (is_described and choice.reason != "field"):
            return
        what = "ROIs" if stream.is_segmentation else "processed movie"
        if choice.reason == "field":
            movies = ", ".join(
                f"'{each.name}' of {shape_in_words(each.field)}" for each in choice.candidates
            )
            self.notes.add(
                f"The {what} of {{streams}} lie in a field of {shape_in_words(stream.field)} "
                f"pixels, in which no movie was recorded: {movies}. They get an imaging plane of "
                "their own; describe it in the metadata, or convert the movie that they were made "
                "from.",
                stream.name,
            )
        elif choice.reason in ("channel", "plane"):
            made_from = stream.made_from or MadeFrom()
            number, total = made_from.channel, made_from.num_channels
            if choice.reason == "plane":
                number, total = (made_from.plane or 0) + 1, made_from.num_planes
            self.notes.add(
                f"The {what} of {{streams}} were made from {choice.reason} {number} of {total}, "
                f"which is not among the movies {listed(m.name for m in choice.candidates)}. They "
                "get an imaging plane of their own; describe it in the metadata, or convert that "
                f"{choice.reason}, too.",
                stream.name,
            )
        elif choice.reason == "several":
            self._ask(stream, choice, what)

    def _ask(self, stream: Stream, choice: Choice, what: str) -> None:
        category, index, _ = self._entry(stream.name, self.metadata)
        planes = [self._plane(movie.name, self.metadata) for movie in choice.candidates]
        names = list(dict.fromkeys(str(each) for each in planes if each))
        inner = "ImageSegmentation." if category == SEGMENTATIONS else ""
        key = f"Ophys.{inner}{category}.{index}.imaging_plane"
        value = names[0] if names else "NAME"
        self.notes.add(
            f"No file states from which movie the {what} of '{stream.name}' were made, so that "
            "they have an imaging plane of their own, of which nothing is known. State which of "
            f'{listed(names)} it is in {path_of(category)}[{index}]["imaging_plane"], on the '
            f"command line with --set {key}={value}.",
            stream.name,
        )

    # --- times ----------------------------------------------------------------------------------

    def _stream(self, movie: Recorded) -> Stream:
        return self.relations.streams[movie.name]

    def _timed(self, stream: Stream) -> Timed | None:
        entry = self._entry(stream.name, self.metadata)[2]
        if stream.is_segmentation:
            stated = stated_times(self.metadata, str(entry.get("name")))
        else:
            stated = {key: entry.get(key) for key in ("rate", "starting_time")}
        return timed(stream.name, stream.extractor, **stated)

    def _alignment(self, stream: Stream, movies: Sequence[Recorded]) -> Alignment:
        given = self.options.get(stream.name, {})
        parse = getattr(stream.interface, "parse_options", None)
        chosen = None if parse is None else parse(given)
        entry = self._entry(stream.name, self.metadata)[2]
        stated = stated_times(self.metadata, str(entry.get("name")))
        can_align = hasattr(chosen, "align")
        return alignment_of(
            stream.interface,
            stream.extractor,
            stated,
            align=getattr(chosen, "align", None),
            can_align=can_align,
            states_start=stream.name in self.composition.delays,
            movie_is_timed=any(
                getattr(self._stream(movie).interface, "timestamps_are_set", False)
                for movie in movies
            ),
            noun="traces" if stream.is_segmentation else "frames",
        )


def alignment_of(
    interface: Any,
    extractor: Any,
    stated: Mapping[str, Any],
    *,
    align: str | None,
    **fields: Any,
) -> Alignment:
    """Return what decides between the times of a stream and of its movie.

    Parameters
    ----------
    interface : object
    extractor : roiextractors.SegmentationExtractor or roiextractors.ImagingExtractor
    stated : Mapping
        Rate and starting time in the metadata of the traces.
    align : {"movie", "own", None}
    **fields
        Further attributes of :class:`Alignment`.

    Raises
    ------
    OptionError
        If ``align=movie`` is given, but the user has set the times, too.
    """
    is_set = bool(getattr(interface, "times_are_set", False)) or (
        stated.get("starting_time") is not None
    )
    # Times that the user has measured for the movie are more exact than a rate that is given for
    # all streams, as on the command line.
    has_rate = stated.get("rate") is not None or (
        not fields.get("movie_is_timed")
        and getattr(getattr(interface, "source", None), "sampling_frequency", None) is not None
    )
    if align == "movie" and is_set:
        raise OptionError(
            f"align=movie is given for {type(interface).__name__}, but its times are set, too; "
            "leave one of the two out."
        )
    native = extractor.get_native_timestamps() if not is_set else None
    is_shifted = bool(getattr(interface, "is_shifted", False))
    given = extractor_times(extractor) is not None and not is_shifted
    return Alignment(
        align=align,
        is_set=is_set or (native is None and given),
        has_times=native is not None,
        has_rate=has_rate,
        **fields,
    )
