"""Open paths as the interfaces of everything in them."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from nwb_ophys.converter import OphysConverter
from nwb_ophys.errors import (
    ArgumentError,
    OptionError,
    SourceArgumentError,
    SourceError,
    not_found,
)
from nwb_ophys.home import with_home
from nwb_ophys.interfaces.arguments import arguments_schema, as_paths, path_argument
from nwb_ophys.interfaces.conversion import Convertible
from nwb_ophys.interfaces.grouping import warn_of_grouping
from nwb_ophys.interfaces.witness import witnessed
from nwb_ophys.listings import listed_once
from nwb_ophys.metadata.value_texts import parse_options, read_text
from nwb_ophys.opening.grouping import (
    FoundRecordings,
    group,
    pattern_of_files,
    recognise,
    streams_of_groups,
    without_incomplete,
)
from nwb_ophys.opening.only_samples import as_recorded
from nwb_ophys.opening.sections import note_sections, place_in_joined
from nwb_ophys.opening.sessions import check_one_session
from nwb_ophys.opening.texts import distinct_name
from nwb_ophys.outside import (
    check_links_in,
    links_leading_out,
    reading_from,
    remedy,
    require_ordinary,
)
from nwb_ophys.paths import PathProbe
from nwb_ophys.registry import (
    FormatRow,
    detect,
    formats,
    get_format,
    likeliest,
    option_asking_for,
    unrecognised,
)
from nwb_ophys.remote.paths import RemotePath, as_path, list_given, not_read
from nwb_ophys.timing import do_times_follow, require_rate, times_follow


def requested_rows(
    rows: Sequence[tuple[Path, FormatRow]], given: Mapping[str, Any], *, are_named: bool
) -> tuple[list[tuple[Path, FormatRow]], dict[str, Any]]:
    """Leave out optional formats that were not requested, with a warning.

    They are kept if nothing else was found, or if the formats were given by name.

    Parameters
    ----------
    rows : sequence of (pathlib.Path, FormatRow)
    given : Mapping
        Source arguments and options by name.
    are_named : bool
        Whether the formats were given by name, which requests them.

    Returns
    -------
    rows : list of (pathlib.Path, FormatRow)
    given : dict
        The given arguments without requests that are False; other requests are True.

    Raises
    ------
    OptionError
        If a request is neither true nor false.
    SourceError
        If a requested format was not found, or if nothing is left.
    """
    options = {option: row for row in formats().values() if (option := _option_of(row))}
    requests = {
        name: parse_request(name, value) for name, value in given.items() if name in options
    }
    found = {_option_of(row) for _, row in rows}
    for option, request in requests.items():
        if request and option not in found:
            row = _requested_row(option, [each for _, each in rows]) or options[option]
            raise SourceError(
                f"{option} requests the format {row.name}, which was not found; it needs "
                f"{row.recognised}."
            )
    default = are_named or "" not in found
    kept = [row for row in rows if is_wanted(_option_of(row[1]), requests, default)]
    if not kept:
        raise SourceError(f"'{rows[0][0]}' holds only what {max(found)}=false leaves out.")
    for path, row in rows:
        if (path, row) not in kept and _option_of(row) not in requests:
            _warn_of_grouping(path, row)
    others = {name: value for name, value in given.items() if name not in requests}
    return kept, others | {name: True for name, request in requests.items() if request}


def _requested_row(option: str, found: Sequence[FormatRow]) -> FormatRow | None:
    """Return the format of an option whose name begins with that of a format that was found.

    Several formats may share an option, such as the registered movies of analyses.
    """
    return next(
        (
            row
            for row in formats().values()
            if _option_of(row) == option and any(row.name.startswith(each.name) for each in found)
        ),
        None,
    )


def _option_of(row: FormatRow) -> str:
    # Other packages' classes are not loaded here, because one that fails would stop them all.
    return option_asking_for(row) if row.is_ours else ""


def is_wanted(option: str, requests: Mapping[str, bool], default: bool) -> bool:
    """Return whether a format with an option that requests it, or none, is converted."""
    return not option or requests.get(option, default)


def parse_request(name: str, value: Any) -> bool:
    """Return whether an option requests its format.

    Raises
    ------
    OptionError
        If the value is neither true nor false.
    """
    request = read_text(value, {"type": "boolean"}) if isinstance(value, str) else value
    if not isinstance(request, bool):
        raise OptionError(f"{name} is {value!r}; it must be true or false.")
    return request


def _warn_of_grouping(path: Path, row: FormatRow) -> None:
    option = _option_of(row)
    warnings.warn(
        f"'{path}' also has a {option.replace('_', ' ')} ({row.name}), which is left out. Give "
        f"{option}=True (--option {option}=true) to convert it, or False to hide this note.",
        UserWarning,
        stacklevel=5,
    )


_MOST_LINKS = 5
_RATE = "sampling_frequency"

_AS_VOLUME = {
    "type": "boolean",
    "description": "Write the planes of volumes as one series, or as one series each.",
}


@attrs.frozen
class Recording:
    """Everything at some paths, ready to be converted.

    Attributes
    ----------
    converter : OphysConverter
    conversion_options : dict of str to dict
        Options by the name of the stream.
    found : tuple of FoundRecordings
        The recordings, with the files of each.
    """

    converter: OphysConverter
    conversion_options: dict[str, dict[str, Any]]
    found: tuple[FoundRecordings, ...] = ()


def open_recording(
    paths: str | Path | Sequence[str | Path],
    format_names: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    all_in_one: bool = False,
    leave_out: Sequence[str] = (),
    has_times: bool = False,
) -> Recording:
    """Open everything at some paths: all channels, planes and recordings, each as a stream.

    Parameters
    ----------
    paths : path-like or sequence of path-like
    format_names : sequence of str
        Empty to detect the format of each path; one name for all paths; or one for each.
    options : Mapping, optional
        Source arguments and conversion options by name; texts are parsed by their schema. Each
        option applies to every stream that knows it. ``files`` chooses the files of a folder of
        plain TIFF files that are one movie, by a pattern such as ``"*ch1*.tif"``.
    all_in_one : bool
        Whether recordings of different subjects or days may be streams of one file.
    leave_out : sequence of str
        Names of streams that are not converted.
    has_times : bool
        Whether :func:`apply_times` will set times or pulses, so that no rate is required here.

    Raises
    ------
    SourceNotFoundError
        If a path does not exist.
    UnknownFormatError
        If a named format does not exist, or no format recognises a path.
    SourceError
        If it is not clear which files make one recording, or if the recordings are not of one
        session.
    OptionError
        If no stream knows an option, or there is no stream of a name to leave out.
    """
    given_paths = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    places = [_place(path) for path in given_paths]
    with (
        witnessed() as witness,
        reading_recordings(places, options or {}),
        times_follow(has_times),
    ):
        found, given = _found(places, format_names, options or {})
        interfaces = _without(leave_out, open_all(found, given, all_in_one=all_in_one))
    converter = OphysConverter(interfaces)
    converter.notes = witness.notes
    schemas = {
        name: arguments_schema(interface.Options, "")["properties"]
        for name, interface in interfaces.items()
    }
    _check_effect(given, found, schemas)
    conversion = {name: parse_options(given, schema) for name, schema in schemas.items()}
    return Recording(converter, conversion, tuple(found))


def _without(names: Sequence[str], interfaces: dict[str, Any]) -> dict[str, Any]:
    """Return the interfaces of all streams but some, which are closed."""
    for name in names:
        if name not in interfaces:
            raise OptionError(
                f"There is no stream '{name}' to leave out. The streams are "
                f"{', '.join(map(repr, interfaces))}."
            )
    kept = {name: each for name, each in interfaces.items() if name not in names}
    if not kept:
        raise OptionError("All streams are left out, so that nothing remains; leave out fewer.")
    for name in set(names):
        getattr(interfaces[name], "close", lambda: None)()
    return kept


def open(
    path: str | Path, *, format: str | None = None, all_in_one: bool = False, **hints: Any
) -> Any:
    """Open a recording or segmentation of any format.

    Parameters
    ----------
    path : path-like
        A file or a folder.
    format : str, optional
        Name of the format; detected if not given.
    all_in_one : bool
        Whether recordings of different subjects or days may be streams of one converter.
    **hints
        Source arguments, such as ``sampling_frequency`` of a plain TIFF file; ``as_volume``: open
        the planes of volumes as one series (True) or as one series each (False);
        ``registered_movie``: also open the movie that Suite2p registered, beside its ROIs.

    Returns
    -------
    interface or OphysConverter
        An interface if there is one stream, else a converter of all streams.

    Raises
    ------
    UnknownFormatError
        If no format recognises the path; the message says what each format looks for.
    OptionError
        If no format of the path knows a hint.
    """
    place = _place(path)
    with witnessed() as witness, reading_recordings([place], hints):
        found, given = _found([place], [] if format is None else [format], hints)
        interfaces = open_all(found, given, with_options=False, all_in_one=all_in_one)
    only = next(iter(interfaces.values())) if len(interfaces) == 1 else None
    opened = OphysConverter(interfaces) if only is None else only
    if isinstance(opened, Convertible):  # not a class of another package
        opened.notes = witness.notes
    return opened


def open_all(
    recordings: Sequence[FoundRecordings],
    given: Mapping[str, Any],
    *,
    with_options: bool = True,
    all_in_one: bool = False,
) -> dict[str, Any]:
    """Return the interfaces of all streams by name.

    Parameters
    ----------
    recordings : sequence of FoundRecordings
    given : Mapping
        Source arguments; each applies to the streams that know it.
    with_options : bool
        Whether `given` may contain conversion options, which are ignored here.
    all_in_one : bool
        Whether the recordings may be of different subjects or days.
    """
    _check_known(given, [found.row.load() for found in recordings if found.groups], with_options)
    interfaces: dict[str, Any] = {}
    alike: dict[str, list[Path]] = {}
    for found in recordings:
        if found.groups:
            alike.setdefault(found.row.name, []).append(found.path)
    by_recording: dict[int, list[Any]] = {}
    for index, found in enumerate(recordings):
        path, row, cls = found.path, found.row, found.row.load()
        source = {**_stated_beside(found, recordings), **parse_options(given, _source_schema(cls))}
        _check_choices(source, cls)
        warn_of_grouping(found)
        if not found.groups:
            continue
        _check_complete(path, row, cls, source)
        stem = row.name if len(alike[row.name]) == 1 else distinct_name(path, alike[row.name])
        for part, arguments in streams_of_groups(cls, found.groups, source).items():
            # Classes of other packages need not have class_of.
            opens = cls.class_of(arguments) if hasattr(cls, "class_of") else cls
            interface = as_recorded(opens(**arguments), row, given)
            if given.get(option_asking_for(row)):
                interface.default_options = dict(cls.request_defaults)
            interfaces[_stream_name(stem, part, interfaces)] = interface
            by_recording.setdefault(index, []).append(interface)
    if not all_in_one:
        check_one_session(recordings, by_recording)
    place_in_joined(interfaces)
    if not do_times_follow():
        note_sections(interfaces)
    return interfaces


def _check_choices(source: Mapping[str, Any], cls: Any) -> None:
    """Raise if an option that chooses streams is neither true nor false."""
    named = getattr(cls, "stream_options", {})
    flags = [name for name, schema in named.items() if schema.get("type") == "boolean"]
    given = {name: source[name] for name in flags if source.get(name) is not None}
    for name, value in {"as_volume": source.get("as_volume", True), **given}.items():
        if not isinstance(value, bool):
            raise OptionError(f"{name} is {value!r}; it must be true or false.")


@contextmanager
def reading_recordings(paths: Sequence[Path], given: Mapping[str, Any]) -> Iterator[None]:
    """Refuse, within the block, files outside of the given paths that the user did not allow.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files and folders that the user gave.
    given : Mapping
        Source arguments and options, among them ``allow_outside``.

    Raises
    ------
    OutsideFolderError, SpecialFileError, CorruptSourceError
        If a path, a link in a folder, or a name in an HDF5 file leads to such a file.
    """
    own = [with_home(path) for path in paths]
    named = [value for name, value in given.items() if name.endswith("_path")]
    allowed = given.get("allow_outside")
    if isinstance(allowed, str):
        allowed = read_text(allowed, {"type": ["string", "array"]})
    for path in own:
        require_ordinary(path)
    with listed_once(), reading_from([*own, *as_paths(named)], as_paths(allowed)):
        for path in own:
            if path.is_dir():
                check_links_in(path)
                if PathProbe(path).is_zarr:
                    from nwb_ophys.storage.backends.zarr_parts import check_store

                    check_store(path)
            elif path.exists():
                from nwb_ophys.storage.backends.hdf5_parts import check_named_files

                check_named_files(path)
                _warn_of_links_beside(path)
        yield


def _warn_of_links_beside(file: Path) -> None:
    """Name the links beside a given file that lead elsewhere, so that no part is lost unnoticed."""
    links = [
        link
        for link in links_leading_out(file.parent, depth=0)
        if link.suffix == file.suffix and link.name != file.name
    ]
    if links:
        names = ", ".join(repr(link.name) for link in links[:_MOST_LINKS])
        warnings.warn(
            f"Links beside '{file}' lead to other folders and are not read: {names}"
            f"{', …' * (len(links) > _MOST_LINKS)}. If they belong to the recording, "
            f"{remedy(links[0])}.",
            UserWarning,
            stacklevel=6,
        )


def _found(
    paths: Sequence[Path], names: Sequence[str], given: Mapping[str, Any]
) -> tuple[list[FoundRecordings], dict[str, Any]]:
    """Return the recordings at some paths, and the given arguments that remain."""
    if len(names) not in (0, 1, len(paths)):
        raise OptionError(
            f"{len(names)} formats are given for {len(paths)} paths; give one, or one for "
            "each path."
        )
    chosen = [get_format(name) for name in names]
    paths = [with_home(path) for path in paths]
    for path in paths:
        list_given(path)
        if not path.exists():
            raise not_found(path)
    if names:
        rows = list(zip(paths, chosen if len(chosen) > 1 else chosen * len(paths), strict=True))
    else:
        rows = recognise(paths, _recognised)
    for path, row in rows:
        if isinstance(path, RemotePath) and not getattr(row.load(), "reads_ranges", False):
            raise not_read(path)
    rows, given = requested_rows(rows, given, are_named=bool(names))
    pattern = pattern_of_files(rows, given)
    recordings = group(rows, given=paths, pattern=pattern)
    by_user = {path.resolve() for path in paths if path.is_file()}

    def lacks(each: FoundRecordings) -> str | None:
        needed = [set(each.row.load().needs(one.path)) for one in each.groups]
        stated = {**_stated_beside(each, recordings), **given}
        return _missing(each.row, stated, sorted(set.intersection(*needed)) if needed else ())

    return without_incomplete(recordings, by_user, lacks), given


def _stated_beside(found: FoundRecordings, all_found: Sequence[FoundRecordings]) -> dict[str, Any]:
    """Return source arguments that files beside a recording, or opened with it, state."""
    if not found.row.is_ours or not found.groups:
        return {}
    others = [each.path for each in all_found if each.path != found.path and each.path.is_file()]
    return dict(found.row.load().stated_beside(found.path, others))


def _missing(row: FormatRow, given: Mapping[str, Any], further: Sequence[str] = ()) -> str | None:
    """Return the first required or further argument of a format that is not given."""
    cls = row.load()
    known = {*given, _path_of(cls)}
    needed = [*cls.get_source_schema()["required"], *_rate_of(cls), *further]
    return next((each for each in needed if each not in known), None)


def _rate_of(cls: Any) -> tuple[str, ...]:
    # Classes of other packages need not have needs_rate.
    return (_RATE,) if getattr(cls, "needs_rate", False) else ()


def _recognised(path: Path) -> list[tuple[Path, FormatRow]]:
    """Return the most likely format of each kind; a folder may hold a movie and its ROIs."""
    found = likeliest(detect(path, every_file=True))
    if not found:
        raise unrecognised(path)
    return found


def _source_schema(cls: Any) -> dict[str, Any]:
    """Return the schemas of all source arguments but the path."""
    properties = cls.get_source_schema()["properties"]
    found = {name: schema for name, schema in properties.items() if name != _path_of(cls)}
    # Classes of other packages need not have stream_options.
    found |= getattr(cls, "stream_options", {})
    return found | ({"as_volume": _AS_VOLUME} if cls.has_volumes else {})


def options_of(row: FormatRow) -> dict[str, dict[str, Any]]:
    """Return the source arguments and conversion options that a format knows, by name.

    Parameters
    ----------
    row : FormatRow

    Returns
    -------
    dict of str to dict
        The JSON schema of each; source arguments come first. Those without which the format cannot
        be opened have the key ``needed``, which is True.
    """
    cls = row.load()
    needed = {
        *cls.get_source_schema()["required"],
        *_rate_of(cls),
        *getattr(cls, "movies_need", ()),
    }
    options = arguments_schema(cls.Options, "")["properties"]
    return {
        name: {**schema, **({"needed": True} if name in needed else {})}
        for name, schema in {**_source_schema(cls), **options}.items()
    }


def _path_of(cls: Any) -> str:
    return path_argument(cls.Source) or "file_path"


def _check_known(given: Mapping[str, Any], classes: Sequence[Any], with_options: bool) -> None:
    requests = (getattr(cls, "request_option", "") for cls in classes)
    known = dict.fromkeys(option for option in requests if option)
    for cls in classes:
        known |= dict.fromkeys(_source_schema(cls))
        if with_options:
            known |= dict.fromkeys(arguments_schema(cls.Options, "")["properties"])
    unknown = [name for name in given if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        options = f"Options: {', '.join(known)}" if known else "These formats have no options"
        raise OptionError(f"There is no option '{unknown[0]}' here.{hint} {options}.")


def _check_effect(
    given: Mapping[str, Any],
    recordings: Sequence[FoundRecordings],
    schemas: Mapping[str, Mapping[str, Any]],
) -> None:
    """Raise for an option of movies or ROIs where all that was found is images or lines."""
    classes = [found.row.load() for found in recordings if found.groups]
    sources = {name for cls in classes for name in _source_schema(cls)}
    for name in given.keys() - sources:
        of_formats = [c for c in classes if name in arguments_schema(c.Options, "")["properties"]]
        if of_formats and not any(name in schema for schema in schemas.values()):
            raise OptionError(
                f"The option {name} has no effect on what was found: {', '.join(schemas)}. "
                "Leave it out."
            )


def _check_complete(path: Path, row: FormatRow, cls: Any, source: Mapping[str, Any]) -> None:
    missing = _missing(row, source)
    if missing is not None:
        described = cls.get_source_schema()["properties"][missing]["description"]
        error = SourceArgumentError(
            f"'{path}' (format {row.name}) needs {missing}: {described} "
            f"Give it as {missing}=..., on the command line with --option {missing}=VALUE."
        )
        if missing != _RATE:
            raise error
        require_rate(error)


def _stream_name(stem: str, part: str, taken: Mapping[str, Any]) -> str:
    """Return a name of the format (or of the path, if several share the format) and the part."""
    name = f"{stem} {part}".strip()
    number = 2
    while name in taken:
        name, number = f"{name.rsplit(' #')[0]} #{number}", number + 1
    return name


def _place(path: Any) -> Path:
    """Return a path that the user gave; an empty one would be the current folder."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(
            f"The path is {path!r}; it must be a text or a pathlib.Path. "
            "nwb_ophys.opening.open_recording() takes a list of paths."
        )
    if not str(path).strip():
        raise ArgumentError("The path is empty; give a file or a folder, such as '.'.")
    return as_path(path)
