"""Group what detection found, or what the user gave, into recordings: each once, with its files.

This step lies between detection and opening. It goes by what the files say: each format groups its
own files (:meth:`~nwb_ophys.interfaces.detectable.Detectable.group`), by headers and companion
files first, by names only where files state nothing.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.copies import are_alike, compressed_copy, first_alike, unfinished_copy
from nwb_ophys.errors import OptionError, SourceError, UnknownFormatError, first_of
from nwb_ophys.filetypes.tiff.folders import TIFF_SUFFIXES
from nwb_ophys.filetypes.tiff.heading import read_tiff_heading
from nwb_ophys.interfaces.grouping import FileGroup, Grouping, LeftOut, warn_of_grouping
from nwb_ophys.interfaces.streams import streams_of
from nwb_ophys.outside import resolved
from nwb_ophys.paths import PathProbe, in_natural_order
from nwb_ophys.registry import FormatRow, formats, is_generic, option_asking_for
from nwb_ophys.remote.paths import is_url

_MOST_SHOWN = 4


@attrs.frozen(kw_only=True)
class FoundRecordings:
    """Recordings of one format at one path.

    Attributes
    ----------
    path : pathlib.Path
        Path that detection recognised.
    row : FormatRow
    groups : tuple of FileGroup
    left_out : tuple of LeftOut
        Files beside them that are left out.
    """

    path: Path
    row: FormatRow
    groups: tuple[FileGroup, ...]
    left_out: tuple[LeftOut, ...] = ()

    def describe(self) -> Iterator[str]:
        """Yield a line for each recording of several files, then for the files left out."""
        for group in self.groups:
            if len(group.files) > 1:
                name = f" {group.name}" if group.name else ""
                yield f"{self.row.name}{name}: {len(group.files)} files, {_listed(group.files)}"
        for each in self.left_out:
            # A folder below may have the name of the one that is read.
            is_below = each.path.is_relative_to(self.path) and each.path != self.path
            name = str(each.path.relative_to(self.path)) if is_below else each.path.name
            yield f"left out: '{name}' ({each.reason})"


def recognise(
    paths: Sequence[Path], detect_one: Callable[[Path], Sequence[tuple[Path, FormatRow]]]
) -> list[tuple[Path, FormatRow]]:
    """Return the formats of paths; files of a recording that was found are not looked at again.

    Parameters
    ----------
    paths : sequence of pathlib.Path
    detect_one : callable
        Detects the formats of one path.

    Raises
    ------
    UnknownFormatError
        If no format recognises a path that does not lie beside a recording.
    """
    found: dict[Path, list[tuple[Path, FormatRow]]] = {}
    unknown: dict[Path, UnknownFormatError] = {}
    covered: set[Path] = set()
    for path in _folders_first(paths):
        if path.resolve() in covered:
            continue
        own = _belonging(path)
        if not own:
            try:
                own = list(detect_one(path))
            except UnknownFormatError as fault:
                unknown[path] = fault
        found[path] = own
        covered.add(path.resolve())
        if path.is_file():
            for place, row in own:
                for each in _grouping(row, place, None, ()).groups:
                    covered |= resolved(each.files)
    _leave_out_strays(unknown, [place for own in found.values() for place, _ in own])
    in_order = [each for path in paths for each in found.pop(path, ())]
    return list(dict.fromkeys(in_order))


def _leave_out_strays(
    unknown: Mapping[Path, UnknownFormatError], recordings: Sequence[Path]
) -> None:
    """Warn of files that no format recognises beside a recording; raise for any others."""
    places = {_place(path) for path in recordings}
    for path, error in unknown.items():
        if path.is_dir() or _place(path) not in places:
            raise error
    if unknown:
        left_out = tuple(LeftOut(path, "no format recognises it") for path in unknown)
        warn_of_grouping(Grouping(groups=(), left_out=left_out), stacklevel=5)


def _belonging(path: Path) -> list[tuple[Path, FormatRow]]:
    """Return the recordings that a path is part of, by the formats that know it."""
    probe = PathProbe(path)
    rows = [row for row in formats().values() if row.is_ours]
    wholes = [(row.load().recording_of(probe), row) for row in rows]
    # A folder that is a recording itself may also hold others, which detection finds.
    return [
        (whole, row)
        for whole, row in wholes
        if whole is not None and (path.is_file() or whole.resolve() != path.resolve())
    ]


def group(
    found: Sequence[tuple[Path, FormatRow]],
    *,
    given: Sequence[Path] = (),
    pattern: str | None = None,
) -> list[FoundRecordings]:
    """Group paths into recordings.

    The result does not depend on the order of the paths, nor on whether a recording is given as
    its folder, as one of its files, as all of them, or twice.

    Parameters
    ----------
    found : sequence of (pathlib.Path, FormatRow)
        Paths with the formats that detection found, or that the user named.
    given : sequence of pathlib.Path
        Paths that the user gave. Of files that are joined by their names alone, these are read if
        the user gave several.
    pattern : str, optional
        Names of the files of a folder that make one movie, such as ``"*ch1*.tif"``; for formats
        whose files are joined by their names.

    Raises
    ------
    SourceError
        If it is not clear which files make one recording, or if no name matches the pattern.
    """
    chosen = {path.resolve() for path in given}
    rows = {row.name: row for _, row in found}
    by_format: dict[str, list[Path]] = {}
    for path, row in found:
        by_format.setdefault(row.name, []).append(_whole(path, row))
    movie_names = _movie_names(found)
    recordings: list[FoundRecordings] = []
    failures: list[tuple[FormatRow, SourceError]] = []
    for name, paths in by_format.items():
        try:
            of_format = list(_of_format(rows[name], paths, pattern, movie_names))
        except SourceError as fault:
            failures.append((rows[name], fault))
        else:
            recordings += [_with_copies(_chosen(each, chosen), chosen) for each in of_format]
    for row, error in failures:
        # A stray that cannot be read does not stop the conversion of the movie beside it.
        is_given = any(path.is_file() and path.resolve() in chosen for path in by_format[row.name])
        if is_given or not any(each.row.kind == "imaging" for each in recordings):
            raise error
        warnings.warn(f"{error} It is left out.", UserWarning, stacklevel=4)
    places = {path: index for index, path in reversed(list(enumerate(p for p, _ in found)))}
    recordings.sort(key=lambda each: places.get(each.path, 0))
    kept = _without_strays(_without_read(recordings))
    _warn_of_equal_recordings(kept)
    _warn_of_equal_files(kept)
    return kept


def _without_read(recordings: Sequence[FoundRecordings]) -> list[FoundRecordings]:
    """Name nothing as left out that is a recording, too, since its path was given."""
    if not any(each.left_out for each in recordings):
        return list(recordings)
    read = {f for each in recordings for own in each.groups for f in resolved(own.files)}
    return [
        attrs.evolve(each, left_out=tuple(o for o in each.left_out if o.path.resolve() not in read))
        for each in recordings
    ]


def pattern_of_files(rows: Sequence[tuple[Path, FormatRow]], given: dict[str, Any]) -> str | None:
    """Take the pattern of the names of a movie's files out of the given arguments.

    Parameters
    ----------
    rows : sequence of (pathlib.Path, FormatRow)
        Paths with their formats.
    given : dict
        Arguments, from which ``files`` is removed.

    Raises
    ------
    OptionError
        If it is no text, or if no path is a folder in which it could choose.
    """
    joined = [path for path, row in rows if row.is_ours and row.load().joined_by_names]
    pattern = given.pop("files", None) if joined else None
    if pattern is None:
        return None
    if not isinstance(pattern, str):
        raise OptionError(f"files is {pattern!r}; it must be a pattern of names, such as '*.tif'.")
    if not any(path.is_dir() for path in joined):
        raise OptionError(
            f"files={pattern} chooses files of a folder, but '{joined[0]}' is a file; give its "
            "folder, or leave files out."
        )
    return pattern


def _folders_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(dict.fromkeys(paths), key=lambda each: (not each.is_dir(), len(each.parts)))


def _whole(path: Path, row: FormatRow) -> Path:
    """Return the recording that a path belongs to."""
    if not row.is_ours:
        return path
    return row.load().recording_of(PathProbe(path)) or path


def _movie_names(found: Sequence[tuple[Path, FormatRow]]) -> list[str]:
    """Return the names of the files that analyses among the paths have read."""
    names: dict[str, None] = {}
    for path, row in found:
        if row.is_ours and row.kind == "segmentation":
            names |= dict.fromkeys(row.load().movie_files(path))
    return list(names)


def _of_format(
    row: FormatRow, paths: Sequence[Path], pattern: str | None, movie_names: Sequence[str]
) -> Iterator[FoundRecordings]:
    """Yield the recordings at paths of one format; paths of one recording give it once."""
    covered: set[Path] = set()
    joined: set[Path] = set()
    joins = row.is_ours and row.load().joins_subfolders
    for path in _folders_first(paths):
        if path.resolve() in covered or (joins and not joined.isdisjoint(path.resolve().parents)):
            continue
        found = _grouping(row, path, pattern, movie_names)
        new = [g for g in found.groups if not covered.issuperset(resolved(g.files))]
        # A recording may be in one of the folders of its path, beside others of the format.
        joined |= {file for each in new for file in resolved(each.files)}
        covered |= {path.resolve()} | joined
        if new:
            yield FoundRecordings(path=path, row=row, groups=tuple(new), left_out=found.left_out)


def _grouping(
    row: FormatRow, path: Path, pattern: str | None, movie_names: Sequence[str]
) -> Grouping:
    if not row.is_ours:
        return Grouping(groups=(FileGroup(path=path, files=(path,)),))
    cls: Any = row.load()
    if pattern is None or not cls.joined_by_names or not path.is_dir():
        return cls.group(PathProbe(path), movie_names)  # type: ignore[no-any-return]
    files = PathProbe(path).files(*TIFF_SUFFIXES)
    chosen = [file for file in files if fnmatch.fnmatch(file.name, pattern)]
    if not chosen:
        raise SourceError(
            f"No TIFF file in '{path}' matches files={pattern}; the folder holds {_listed(files)}."
        )
    reason = f"its name does not match files={pattern}"
    return Grouping(
        groups=(FileGroup.of_files(chosen),),
        left_out=tuple(LeftOut(file, reason) for file in files if file not in chosen),
    )


def _chosen(found: FoundRecordings, given: set[Path]) -> FoundRecordings:
    """Read only the files that the user gave, if these are some of a series joined by names."""
    if not found.row.is_ours or not found.row.load().joined_by_names or found.path.is_dir():
        return found
    groups = []
    for each in found.groups:
        files = [file for file in each.files if file.resolve() in given]
        groups.append(
            FileGroup.of_files(files, each.name) if 1 < len(files) < len(each.files) else each
        )
    return attrs.evolve(found, groups=tuple(groups))


def _with_copies(found: FoundRecordings, given: set[Path]) -> FoundRecordings:
    """Name the copies of the files of a recording, and unfinished ones, which are not read."""
    folders = {file.parent for each in found.groups for file in each.files}
    copies = tuple(
        LeftOut(folder / name, f"it is a copy of '{original}'")
        for folder in sorted(folders)
        for name, original in PathProbe(folder).copies.items()
        if (folder / name).resolve() not in given
        and any(folder / original in each.files for each in found.groups)
    )
    return attrs.evolve(found, left_out=found.left_out + copies + tuple(_unfinished(found)))


def _unfinished(found: FoundRecordings) -> Iterator[LeftOut]:
    """Yield files that must be made whole: unfinished copies (``a.tif.part``) and ``a.tif.gz``."""
    # A recording may have 100,000 files, of which one of each kind is looked at.
    places: dict[Path, set[str]] = {}
    for each in found.groups:
        for file in {(file.parent, file.suffix): file for file in each.files}.values():
            is_folder = file.is_dir()
            folder, ending = (file, "") if is_folder else (file.parent, file.suffix)
            places.setdefault(folder, set()).add(ending)
    for folder, endings in places.items():
        names = PathProbe(folder).file_names
        ends, of_files = tuple(endings), tuple(endings - {""})
        for name in in_natural_order(n for n in names if unfinished_copy(n) or compressed_copy(n)):
            finished, whole = unfinished_copy(name), compressed_copy(name)
            if finished is not None and finished.endswith(ends):
                reason = "its copy or download is not finished"
                yield LeftOut(folder / name, reason, "Finish it, or remove the file.")
            elif whole is not None and whole.endswith(of_files) and whole not in names:
                reason = "it is compressed, and its contents are not beside it"
                yield LeftOut(folder / name, reason, "Unpack it if it belongs to the recording.")


def is_recorded(row: FormatRow) -> bool:
    """Return whether a format is that of the movies of an acquisition program."""
    return _is_movie(row) and not is_generic(row)


def without_incomplete(
    recordings: Sequence[FoundRecordings],
    given: set[Path],
    lacks: Callable[[FoundRecordings], str | None],
) -> list[FoundRecordings]:
    """Leave out what needs an argument that is not given, beside a recording that needs none.

    Parameters
    ----------
    recordings : sequence of FoundRecordings
    given : set of pathlib.Path
        Paths that the user gave, which are kept.
    lacks : callable
        Returns the name of a required argument of a recording that is not given, or None.
    """
    if not any(is_recorded(each.row) and each.groups for each in recordings):
        return list(recordings)
    kept = []
    for each in recordings:
        missing = lacks(each) if _is_movie(each.row) and is_generic(each.row) else None
        if missing and each.path.resolve() not in given:
            reason = f"it needs {missing}, and the recording beside it has a header"
            left_out = tuple(LeftOut(f, reason) for g in each.groups for f in g.files)
            each = attrs.evolve(each, groups=(), left_out=each.left_out + left_out)
        kept.append(each)
    return kept


def _is_movie(row: FormatRow) -> bool:
    return row.is_ours and row.kind == "imaging" and not option_asking_for(row)


def _without_strays(recordings: Sequence[FoundRecordings]) -> list[FoundRecordings]:
    """Leave out projections and single images that were given with a recording beside them."""
    folders: dict[Path, int] = {}
    for found in recordings:
        for each in found.groups:
            folder = _place(each.files[0])
            folders[folder] = folders.get(folder, 0) + (not _is_stray(found.row, each))
    kept = []
    for found in recordings:
        strays = [
            each
            for each in found.groups
            if folders[_place(each.files[0])] and _is_stray(found.row, each)
        ]
        groups = tuple(each for each in found.groups if each not in strays)
        reason = "a projection or single image beside the recording"
        left_out = tuple(LeftOut(each.files[0], reason) for each in strays)
        kept.append(attrs.evolve(found, groups=groups, left_out=found.left_out + left_out))
    return kept


def _warn_of_equal_recordings(recordings: Sequence[FoundRecordings]) -> None:
    """Warn of recordings that hold the same under names that say nothing of a copy."""
    alike: dict[Any, list[tuple[Path, ...]]] = {}
    for found in recordings:
        for each in found.groups if found.row.is_ours else ():
            known = alike.setdefault((found.row.name, _sizes_of(each.files)), [])
            same = next((files for files in known if are_alike(files, each.files)), None)
            if same is None:
                known.append(each.files)
                continue
            warnings.warn(
                f"{_listed(each.files)} in '{each.files[0].parent}' has the size and the contents "
                f"of {_listed(same)} in '{same[0].parent}', as far as they were compared. Both are "
                "converted; leave one out if it is a copy.",
                UserWarning,
                stacklevel=4,
            )


def _warn_of_equal_files(recordings: Sequence[FoundRecordings]) -> None:
    """Warn of files of one recording that hold the same, so that frames come twice.

    Files of one image each are not compared: those of blank frames are equal.
    """
    for each in (group for found in recordings if found.row.is_ours for group in found.groups):
        files = [file for file in each.files if not is_url(file) and file.is_file()]
        if len(files) < 2 or _holds_one_image(files[0]):
            continue
        copies = first_alike(files)
        if copies:
            pairs = [
                f"'{copy.name}' has the size and the contents of '{file.name}'"
                for copy, file in copies.items()
            ]
            warnings.warn(
                f"Of one recording in '{files[0].parent}', {first_of(pairs, _MOST_SHOWN)}, as far "
                "as they were compared. The frames of all are written; leave out copies.",
                UserWarning,
                stacklevel=4,
            )


def _holds_one_image(file: Path) -> bool:
    heading = read_tiff_heading(file) if file.suffix.lower() in TIFF_SUFFIXES else None
    return heading is not None and heading.is_single_image


def _sizes_of(files: Sequence[Path]) -> tuple[int, ...]:
    """Return the sizes of some files of a recording, 0 for folders and files elsewhere."""
    chosen = (files[0], files[-1], *files[1:2])
    return (
        len(files),
        *(0 if is_url(each) or each.is_dir() else each.stat().st_size for each in chosen),
    )


def _is_stray(row: FormatRow, group: FileGroup) -> bool:
    return _is_movie(row) and bool(row.load().is_stray(group))


def _place(path: Path) -> Path:
    return (path if path.is_dir() else path.parent).resolve()


def _listed(files: Sequence[Path]) -> str:
    names = [f"'{file.name}'" for file in files]
    if len(names) <= _MOST_SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:2])}, … {names[-1]}"


def streams_of_groups(
    cls: Any, groups: Sequence[FileGroup], source: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the source arguments of the streams of some recordings by the name of the stream.

    Parameters
    ----------
    cls : type
        Interface class of the format.
    groups : sequence of FileGroup
    source : Mapping
        Source arguments of the user, with ``as_volume`` for formats with planes.
    """
    if len(groups) == 1:
        return cls.streams(groups[0].path, **source)  # type: ignore[no-any-return]
    given = dict(source)
    as_volume = given.pop("as_volume", True)
    parts = [
        attrs.evolve(part, recording=each.name or part.recording)
        for each in groups
        for part in cls.parts(each.path, **given)
    ]
    chosen = {name: value for name, value in given.items() if name not in cls.stream_options}
    return streams_of(parts, chosen, as_volume)
