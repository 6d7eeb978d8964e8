"""Find out which plain TIFF files of a folder make one movie.

Plain files state nothing of a recording, so their names decide: files that differ in one counter
are one movie, tokens of channels, planes and positions make streams of it, projections and odd
images are left out. What remains unclear is an error that lists what was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nwb_ophys.errors import SourceError, counted, first_of
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES, tiff_files
from nwb_ophys.filetypes.tiff.heading import TiffHeading, read_tiff_heading
from nwb_ophys.filetypes.tiff.names import (
    NamedSeries,
    continues,
    is_projection,
    named_series,
)
from nwb_ophys.formats.owners import owner_of
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut
from nwb_ophys.interfaces.streams import distinct_labels
from nwb_ophys.paths import PathProbe

Headings = Mapping[Path, TiffHeading | None]
_MOST_LISTED = 4
_ODD = "its frames differ in size or type from those of the files with like names"
# Later first numbers are those of a choice that the user made, or no count of files.
_LATEST_FIRST = 5


def group_folder(probe: PathProbe, movie_names: Collection[str] = ()) -> Grouping:
    """Return the movies that the plain TIFF files of a folder make.

    Parameters
    ----------
    probe : PathProbe
        A folder.
    movie_names : collection of str
        Names of the files that an analysis beside them has read, in order; they decide if they
        are there.

    Raises
    ------
    SourceError
        If the files are not the parts, channels, planes or positions of one movie.
    """
    headings = {path: probe.read_once(read_tiff_heading, path) for path in tiff_files(probe.path)}
    # Files with a header of a program are of its format, unless the user names this one for them.
    paths = [path for path, each in headings.items() if _is_plain(each, probe)] or list(headings)
    named = {path.name: path for path in paths}
    chosen = [named[name] for name in movie_names if name in named]
    used = set(chosen)
    if chosen:
        reason = "not among the files that the analysis beside it has read"
        others = tuple(LeftOut(path, reason) for path in paths if path not in used)
        return Grouping(groups=(FileGroup.of_files(chosen),), left_out=others)
    return group_plain(probe.path, {path: headings[path] for path in paths})


def group_file(probe: PathProbe) -> Grouping:
    """Return the movie that a plain TIFF file belongs to: the files that differ in one counter."""
    folder = PathProbe(probe.path.parent)
    own = folder.path / probe.path.name
    beside = folder.files(*TIFF_SUFFIXES)
    if own not in beside:  # in a store whose folders cannot be listed
        beside = [own]
    every = named_series(beside)
    series = next(s for s in every if own in s.paths)
    headings = {path: read_tiff_heading(path) for path in series.paths}
    kind = _kind(headings[own], folder)
    # A damaged file of the series is not left out silently: its reader names it.
    others = {path for path, h in headings.items() if h is not None and _kind(h, folder) != kind}
    kept = _without(series, others)
    notes = (*_notes(kept), *_notes_of_others(series, every, folder))
    group = FileGroup.of_files(kept.paths, series.label, notes)
    # Files of another program are recordings of their own.
    left_out = tuple(
        LeftOut(path, _ODD)
        for path in series.paths
        if path in others and kind is not None and _kind(headings[path], folder)[1] == kind[1]
    )
    return Grouping(groups=(group,), left_out=(*left_out, *_other_parts(series, every, folder)))


def _other_parts(
    own: NamedSeries, every: Sequence[NamedSeries], folder: PathProbe
) -> Iterator[LeftOut]:
    """Yield the first file of each other channel, plane or position of a movie, by the names."""
    kind = _kind(read_tiff_heading(own.paths[0]), folder)
    for each in every:
        first = each.paths[0]
        if each.family != own.family or each is own or is_projection(first):
            continue
        if kind is not None and _kind(read_tiff_heading(first), folder) == kind:
            number = len(each.paths) - 1
            what = f"it and {counted(number, 'further file')} are" if number else "it is"
            yield LeftOut(
                first,
                f"by the names {what} another channel, plane or position of the recording",
                "To convert all of them, give the folder.",
            )


def _notes_of_others(
    own: NamedSeries, every: Sequence[NamedSeries], folder: PathProbe
) -> list[str]:
    """Return a note of files that may be other parts of a movie, by their names and frames."""
    pairs = [pair for each in every for pair in ((own, each), (each, own))]
    notes = []
    for first, later in pairs:
        if not continues(later, first):
            continue
        heads = [read_tiff_heading(each.paths[0]) for each in (first, later)]
        is_movie = not any(head is None or head.is_single_image for head in heads)
        if is_movie and _kind(heads[0], folder) == _kind(heads[1], folder):
            name = first.paths[0].name
            notes.append(
                f"{_listed([later])} in '{folder.path}' may continue '{name}', and are not joined "
                "to it. To read all of them as one movie, give the folder with files=PATTERN "
                f"(--option files='{first.paths[0].stem}*{first.paths[0].suffix}')."
            )
    return notes


def is_stray(group: FileGroup) -> bool:
    """Return whether a movie is a single image or a projection, which is no part of others."""
    if len(group.files) > 1:
        return False
    heading = read_tiff_heading(group.files[0])
    return is_projection(group.files[0]) or (heading is not None and heading.is_single_image)


def _is_plain(heading: TiffHeading | None, folder: PathProbe) -> bool:
    return heading is None or not (heading.has_ome_xml or owner_of(heading, folder))


def _kind(heading: TiffHeading | None, folder: PathProbe) -> Any:
    """Return what files of one movie have in common: frame, and program that wrote them."""
    return None if heading is None else (heading.frame, owner_of(heading, folder))


def group_plain(folder: Path, headings: Headings) -> Grouping:
    """Return the movies that plain TIFF files make, by their names and the heads of the files.

    Parameters
    ----------
    folder : pathlib.Path
        For messages.
    headings : mapping of pathlib.Path to TiffHeading or None
        All files; None for a file without a readable header, which its reader reports.

    Raises
    ------
    SourceError
        See :func:`group_folder`.
    """
    left_out = _projections(list(headings))
    aside = {each.path for each in left_out}
    series = []
    for each in named_series(path for path in headings if path not in aside):
        kept, odd = _alike(each, headings)
        series.append(kept)
        left_out += odd
    family, images = _one_family(folder, series, headings)
    left_out += images
    if len(family) > 1 and all(_is_image(each, headings) for each in family):
        raise SourceError(
            f"'{folder}' holds single images of {len(family)} channels, planes or positions "
            f"({_listed(family)}), which are no movie. Give the files of a movie as paths."
        )
    labels = [tuple(each.tokens) for each in family]
    groups = tuple(
        FileGroup.of_files(
            each.paths,
            " ".join(distinct_labels(each.tokens, labels)),
            (*_notes(each), *_note_of_lacking(each, family)),
        )
        for each in family
    )
    return Grouping(groups=groups, left_out=tuple(left_out))


def _projections(paths: Sequence[Path]) -> list[LeftOut]:
    """Return the projections, unless there is nothing else."""
    found = [path for path in paths if is_projection(path)]
    if len(found) == len(paths):
        return []
    return [LeftOut(path, "its name is that of a projection or reference image") for path in found]


def _alike(series: NamedSeries, headings: Headings) -> tuple[NamedSeries, list[LeftOut]]:
    """Leave out files whose frames differ from those of most files of their series."""
    frames = {path: h.frame for path in series.paths if (h := headings[path]) is not None}
    common = Counter(frames.values()).most_common(2)
    if len(common) < 2 or common[0][1] == common[1][1]:
        return series, []
    usual = common[0][0]
    odd = {path for path, frame in frames.items() if frame != usual}
    return _without(series, odd), [LeftOut(path, _ODD) for path in series.paths if path in odd]


def _without(series: NamedSeries, odd: Collection[Path]) -> NamedSeries:
    kept = [index for index, path in enumerate(series.paths) if path not in odd]
    return NamedSeries(
        paths=tuple(series.paths[index] for index in kept),
        family=series.family,
        tokens=series.tokens,
        numbers=tuple(series.numbers[index] for index in kept) if series.numbers else (),
    )


def _one_family(
    folder: Path, series: Sequence[NamedSeries], headings: Headings
) -> tuple[list[NamedSeries], list[LeftOut]]:
    """Return the series of the one recording, and single images with other names."""
    families: dict[tuple[str, ...], list[NamedSeries]] = {}
    for each in series:
        families.setdefault(each.family, []).append(each)
    movies = [f for f in families.values() if not all(_is_image(s, headings) for s in f)]
    if not movies and len(families) > 1:
        raise SourceError(
            f"'{folder}' holds single TIFF images with different names ({_listed(series)}), which "
            "are no movie. Give the files of a movie as paths."
        )
    if len(families) == 1 or len(movies) == 1:
        family = movies[0] if movies else next(iter(families.values()))
        others = [path for s in series if s not in family for path in s.paths]
        return family, [
            LeftOut(
                path,
                "it is empty or cannot be read as TIFF"
                if headings[path] is None
                else "a single image beside the movie",
            )
            for path in others
        ]
    raise SourceError(
        f"'{folder}' holds TIFF files whose names do not differ in one number only, so that it "
        f"is unclear which are one movie: {_listed(series)}. Give the files of a movie as paths, "
        "or choose them by name with files=PATTERN (--option "
        f"files='{_pattern(series[0])}')."
    )


def _is_image(series: NamedSeries, headings: Headings) -> bool:
    if len(series.paths) > 1:
        return False
    heading = headings[series.paths[0]]
    return heading is None or heading.is_single_image


def _listed(series: Sequence[NamedSeries]) -> str:
    shown = [
        f"'{s.paths[0].name}'"
        if len(s.paths) == 1
        else f"'{s.paths[0].name}' to '{s.paths[-1].name}' ({len(s.paths)} files)"
        for s in series
    ]
    return first_of(shown, _MOST_LISTED)


def _pattern(series: NamedSeries) -> str:
    """Return a pattern that matches the files of a series."""
    first, last = series.paths[0].name, series.paths[-1].name
    if first == last:
        return first
    start = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    return first[:start].rstrip("0123456789") + "*" + series.paths[0].suffix


def _note_of_lacking(own: NamedSeries, family: Sequence[NamedSeries]) -> list[str]:
    """Return a note of numbers of files that other channels, planes or positions have."""
    known = set(own.numbers)
    others = [each for each in family if not known.isdisjoint(each.numbers)]
    lacking = sorted({number for each in others for number in each.numbers} - known)
    if not lacking:
        return []
    return [
        f"{_listed([own])} in '{own.paths[0].parent}' {'has' if len(own.paths) == 1 else 'have'} "
        f"no file with {'the number' if len(lacking) == 1 else 'the numbers'} "
        f"{first_of(list(map(str, lacking)), _MOST_LISTED)}, unlike other channels, planes or "
        "positions of the recording, so that these have other frames at the same times."
    ]


def _notes(series: NamedSeries) -> tuple[str, ...]:
    """Return notes of numbers that are missing; programs begin to count with 0 or 1."""
    names = f"'{series.paths[0].name}' to '{series.paths[-1].name}'"
    where = f"'{series.paths[0].parent}'"
    notes = []
    if len(series.numbers) > 1 and 1 < series.numbers[0] <= _LATEST_FIRST:
        notes.append(
            f"The numbers of the files {names} in {where} begin with {series.numbers[0]}; files "
            "before may be missing."
        )
    if series.gap is not None:
        first, last = series.gap
        notes.append(
            f"Of the files {names} in {where}, the numbers between {first} and {last} are missing; "
            "the files are joined as if there was no gap."
        )
    return tuple(notes)
