"""The movie that ROIs or a processed movie were made from, by the statements of their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.interfaces.arguments import path_argument


@attrs.frozen(kw_only=True)
class MadeFrom:
    """Statements of an analysis about the movie that it read.

    Attributes
    ----------
    files : sequence of str
        Names of the files of the movie, without folders; empty if unknown.
    channel : int or None
        Number of the channel among those of the recording, from 1.
    num_channels : int or None
        Number of channels of the recording; ``channel`` says nothing without it.
    plane : int or None
        Index of the plane in the volume, from 0.
    num_planes : int or None
        Number of planes of the volume; ``plane`` says nothing without it.
    """

    files: Sequence[str] = ()
    channel: int | None = None
    num_channels: int | None = None
    plane: int | None = None
    num_planes: int | None = None


@attrs.frozen(kw_only=True)
class Recorded:
    """A movie among which that of an analysis is looked for.

    Attributes
    ----------
    name : str
        Name of the stream, or of the series in a file.
    field : tuple of int
        (columns, rows[, planes]).
    num_samples : int
    files : frozenset of str
        Names of its files.
    channel : int or None
        Number of its channel, from 1; None if the channels have no order.
    num_channels : int
        Number of channels of its recording.
    plane : int or None
        Index of its plane, from 0; None for whole volumes and where there is one plane.
    """

    name: str
    field: tuple[int, ...]
    num_samples: int
    files: frozenset[str] = frozenset()
    channel: int | None = None
    num_channels: int = 1
    plane: int | None = None


@attrs.frozen(kw_only=True)
class Choice:
    """The movie that an analysis was made from, or why it is not known.

    Attributes
    ----------
    movie : Recorded or None
    reason : {"", "field", "channel", "plane", "several"}
        Statement that no movie fits, or ``several`` if more than one movie fits.
    candidates : tuple of Recorded
        The movies that fit, or else those that fit but for ``reason``.
    """

    movie: Recorded | None
    reason: str = ""
    candidates: tuple[Recorded, ...] = ()

    def of_same_time(self, num_samples: int) -> tuple[Recorded, ...]:
        """Return the movies that may have the times of the analysis, such as other channels.

        A movie of another field may be the same recording before it was cropped or binned.
        """
        if self.reason == "plane":
            return ()
        if self.reason == "field":
            return tuple(m for m in self.candidates if m.num_samples == num_samples)
        return self.candidates


def lies_in(field: Sequence[int], other: Sequence[int]) -> bool:
    """Return whether masks of a field, (columns, rows[, planes]), lie in the field of a movie."""
    planes = tuple(field[2:])
    return tuple(field[:2]) == tuple(other[:2]) and planes in ((), (1,), tuple(other[2:]))


def choose_movie(
    made_from: MadeFrom, field: Sequence[int], num_samples: int, movies: Iterable[Recorded]
) -> Choice:
    """Choose the movie that an analysis was made from.

    Movies of another field are no candidates. Names of files, the channel and the plane choose
    among the others where they are stated, and at last the number of samples.

    Parameters
    ----------
    made_from : MadeFrom
    field : sequence of int
        Field of the analysis, (columns, rows[, planes]).
    num_samples : int
        Samples of the analysis; 0 if it has no traces.
    movies : iterable of Recorded
        At least one.
    """
    known = tuple(movies)
    kept = tuple(movie for movie in known if lies_in(field, movie.field))
    if not kept:
        return Choice(movie=None, reason="field", candidates=known)
    kept = _of_files(made_from.files, kept)
    for reason, judge in _JUDGES.items():
        verdicts = [judge(made_from, movie) for movie in kept]
        best = True if True in verdicts else None
        fitting = tuple(m for m, verdict in zip(kept, verdicts, strict=True) if verdict is best)
        if not fitting:
            return Choice(movie=None, reason=reason, candidates=kept)
        kept = fitting
    if len(kept) > 1:
        kept = tuple(m for m in kept if m.num_samples == num_samples) or kept
    if len(kept) > 1:
        return Choice(movie=None, reason="several", candidates=kept)
    return Choice(movie=kept[0], candidates=kept)


def _of_files(names: Sequence[str], movies: tuple[Recorded, ...]) -> tuple[Recorded, ...]:
    """Return the movies of the named files, else those after which the files are named, else all.

    Programs append to the name of the movie: ``scan_rig__d1_512_d2_512.mmap``, ``scan.mat``.
    """
    exact = tuple(movie for movie in movies if movie.files.intersection(names))
    if exact or not names:
        return exact or movies
    lengths = [
        max((len(stem) for stem in _stems(movie) if _begins(names, stem)), default=0)
        for movie in movies
    ]
    best = max(lengths)
    return tuple(m for m, length in zip(movies, lengths, strict=True) if length == best)


def _stems(movie: Recorded) -> set[str]:
    return {name.split(".")[0] for name in movie.files} - {""}


def _begins(names: Sequence[str], stem: str) -> bool:
    return any(name == stem or name.startswith((f"{stem}_", f"{stem}.")) for name in names)


def _judge_channel(made_from: MadeFrom, movie: Recorded) -> bool | None:
    """Return whether a movie is of the stated channel; None where that is unknown."""
    if None in (made_from.channel, movie.channel) or movie.num_channels < 2:
        return None
    if made_from.num_channels != movie.num_channels:
        return None
    return made_from.channel == movie.channel


def _judge_plane(made_from: MadeFrom, movie: Recorded) -> bool | None:
    """Return whether a movie is, or holds, the stated plane; None where that is unknown."""
    if made_from.plane is None or (made_from.num_planes or 1) < 2:
        return None
    if movie.plane is not None:
        return made_from.plane == movie.plane
    return True if tuple(movie.field[2:]) == (made_from.num_planes,) else None


_JUDGES: dict[str, Callable[[MadeFrom, Recorded], bool | None]] = {
    "channel": _judge_channel,
    "plane": _judge_plane,
}


def recorded(name: str, interface: Any, extractor: Any, num_samples: int) -> Recorded:
    """Return what is known of a movie stream.

    Parameters
    ----------
    name : str
        Name of the stream.
    interface : object
        Of this package or of another one.
    extractor : roiextractors.ImagingExtractor
    num_samples : int
    """
    rows, columns, *planes = (int(size) for size in extractor.get_sample_shape())
    list_channels = getattr(interface, "channel_names", None)
    names = list(list_channels()) if callable(list_channels) else []
    is_one_of_many = len(names) > 1
    own = interface.channel_name() if is_one_of_many else None
    source = getattr(interface, "source", None)
    analysed = interface.made_from() if hasattr(interface, "made_from") else None
    found = Recorded(
        name=name,
        field=(columns, rows, *planes),
        num_samples=num_samples,
        files=frozenset(_files_of(interface, extractor)),
        channel=names.index(own) + 1 if own in names else None,
        num_channels=len(names) or 1,
        plane=getattr(source, "plane_index", None),
    )
    return found if analysed is None else _of_analysis(found, analysed)


def _of_analysis(movie: Recorded, analysed: MadeFrom) -> Recorded:
    """Return a processed movie with the channel and the plane that its analysis states."""
    return attrs.evolve(
        movie,
        channel=movie.channel or analysed.channel,
        num_channels=max(movie.num_channels, analysed.num_channels or 1),
        plane=analysed.plane if movie.plane is None else movie.plane,
    )


def paths_of(interface: Any) -> list[Path]:
    """Return the paths that an interface of this package was opened with."""
    source: Any = getattr(interface, "source", None)
    cls: Any = type(source)
    argument = path_argument(cls) if attrs.has(cls) else None
    stated = getattr(source, argument) if argument else None
    paths = stated if isinstance(stated, (list, tuple)) else [stated]
    return [path for path in paths if isinstance(path, Path)]


def _files_of(interface: Any, extractor: Any) -> set[str]:
    """Return the names of the files that a movie is read from."""
    found = {Path(file).name for file in getattr(extractor, "pages_of_files", ())}
    return found | {path.name for path in paths_of(interface)}
