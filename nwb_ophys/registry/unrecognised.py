"""Errors for paths that no format recognises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nwb_ophys.errors import (
    LOCKED,
    CorruptSourceError,
    NwbOphysError,
    SourceArgumentError,
    UnknownFormatError,
    absence,
    as_sentence,
    counted,
    first_of,
)
from nwb_ophys.formats.foreign import foreign_refusal, packed_refusal
from nwb_ophys.paths import PathProbe, is_denied, sample_of_many
from nwb_ophys.registry.rows import FormatRow, formats
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.trial import try_hdf5, was_found_damaged

_MOST_ENDINGS = 4
_MOST_FAULTS = 3
_MOST_NAMES = 8
_RATE = "sampling_frequency"
_HDF5 = (".h5", ".hdf5", ".hdf", ".mat", ".mesc", ".nwb")
_TEXTS = (".xml", ".json")
# Formats near a path that are described; of more, only the names are listed.
_MOST_DESCRIBED = 3
# Levels of folders, and files in each, that are searched for the reason.
_DEPTH = 3
_MOST_FILES = 100
_MOST_FOLDERS = 20


def unrecognised(path: Path) -> UnknownFormatError:
    """Return the error for a path that no format recognises.

    The message states the reason where a format knows it, or what the file is. Otherwise it says
    what is at the path, and which formats have files with these endings.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Returns
    -------
    UnknownFormatError

    Raises
    ------
    OutsideFolderError, SpecialFileError, CorruptSourceError
        If an HDF5 file names other files that are not read, or are absent.
    """
    from nwb_ophys.storage.backends.hdf5_parts import check_named_files

    probe = PathProbe(path)
    # A movie behind a link to another file is not recognised; the link may be the reason.
    for file in probe.files(*_HDF5)[:_MOST_FILES]:
        check_named_files(file)
    ours = [row for row in formats().values() if row.is_ours]
    describe = _about_folder if probe.is_folder else _about_file
    return UnknownFormatError(describe(probe, ours))


def _about_file(probe: PathProbe, ours: list[FormatRow]) -> str:
    path = probe.path
    if _has_nothing(path):
        return f"'{path}' is an empty file, of 0 bytes; copy it again."
    start = f"No format recognises '{path}'"
    reason = _reason(probe, ours)
    if reason is not None:
        return reason if str(path) in reason else f"{start}. {reason}"
    near = _near([path.name], ours)
    contents = _contents(probe)
    if contents:
        return f"{start}, which contains {contents}. {_looked_for(near)}"
    if not near:
        return f"{start}. {_looked_for(near)}"
    return (
        f"{start}. The file may be cut off, or a file beside it may be missing; to see the error, "
        f"name the format (format=, on the command line --format): {_listed(near)}."
    )


def _about_folder(probe: PathProbe, ours: list[FormatRow]) -> str:
    path = probe.path
    start = f"No format recognises '{path}'"
    if not (probe.file_names or probe.folder_names):
        return f"{start}, which is an empty folder; check the path."
    names = [*probe.file_names, *probe.folder_names]
    if {Path(name).suffix.lower() for name in names} - {""} == {".nwb"}:
        return (
            f"'{path}' contains only NWB files. They are not searched for in folders, where they "
            "may be the results of earlier conversions; give the path of a file."
        )
    holding = f"{start}{_holding(probe)}{_faults(probe)}."
    reason = next(_reasons_within(probe, ours, _DEPTH), None)
    if reason is not None:
        return reason if f"'{path}'" in reason else f"{holding} {reason}"
    return f"{holding} {_looked_for(_near(names, ours))}"


def _reasons_within(probe: PathProbe, ours: list[FormatRow], depth: int) -> Iterator[str]:
    """Yield the reasons of a folder, then of its files, then of its subfolders."""
    reason = _reason(probe, ours)
    if reason is not None:
        yield reason
    names = sorted(probe.file_names)
    for name in sample_of_many([("", name) for name in names], names, _MOST_FILES):
        file = probe.within(name)
        reason = None if _has_nothing(file.path) else _reason(file, ours)
        if reason is not None:
            yield reason
    for folder in probe.folders()[:_MOST_FOLDERS] if depth > 1 else ():
        yield from _reasons_within(folder, ours, depth - 1)


def _reason(probe: PathProbe, ours: list[FormatRow]) -> str | None:
    """Return why a file or folder cannot be read, if a format knows it."""
    if _is_being_written(probe):
        return f"'{probe.path}' cannot be read: {LOCKED}."
    try:
        if was_found_damaged(probe.path):
            try_hdf5(probe.path)
    except CorruptSourceError as error:
        return str(error)
    faults = []
    for row in ours:
        try:
            reason = row.load().refusal(probe)
        except CorruptSourceError as error:
            faults.append(str(error))
            continue
        if reason is not None:
            return str(reason)
    reason = foreign_refusal(probe) or packed_refusal(probe)
    reason = reason or _damage(probe, ours) or _encoding_fault(probe)
    return reason or next(iter([*faults, *_faults_of_matches(probe, ours)]), None)


def _is_being_written(probe: PathProbe) -> bool:
    from nwb_ophys.storage.backends.hdf5_files import is_being_written

    is_candidate = probe.is_file and probe.path.suffix.lower() in _HDF5
    with suppress(OSError):  # such as a file that may not be read
        return is_candidate and is_being_written(probe.path)
    return False


def _faults_of_matches(probe: PathProbe, ours: list[FormatRow]) -> Iterator[str]:
    """Yield the errors of formats that could not read a path far enough to recognise it."""
    for row in ours:
        try:
            row.load().matches(probe)
        except CorruptSourceError as error:
            yield str(error)


def _damage(probe: PathProbe, ours: list[FormatRow]) -> str | None:
    """Return the error with which a format opens a file that is damaged."""
    name = probe.path.name.lower()
    for row in ours if probe.is_file else ():
        try:
            if not name.endswith(row.file_suffixes) or not row.load().is_damaged(probe):
                continue
        except CorruptSourceError as error:
            return str(error)
        # Many files do not state their rate, which is of no matter here.
        rate = {_RATE: 1.0} if _RATE in row.load().get_source_schema()["properties"] else {}
        try:
            row.load()(probe.path, **rate)
        except SourceArgumentError:  # a further argument is missing, so nothing was opened
            continue
        except NwbOphysError as error:
            return as_sentence(error)
    return None


def _encoding_fault(probe: PathProbe) -> str | None:
    """Return why a file beside a recording, in XML or JSON, is not read as text."""
    if not probe.is_file or probe.path.suffix.lower() not in _TEXTS:
        return None
    head = probe.head()
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head[:4]:
        found = "is UTF-16 text"
    elif b"encoding=" in head[:100]:
        return None
    else:
        try:
            head.decode(errors="strict")
            return None
        except UnicodeDecodeError as error:
            if error.start >= len(head) - 3:  # the head ends within a character
                return None
            found = f"has the byte 0x{head[error.start]:02x} at position {error.start}"
    return f"'{probe.path}' {found}, but it must be UTF-8 text; save it as UTF-8 in a text editor."


def _near(names: list[str], rows: list[FormatRow]) -> list[FormatRow]:
    """Return the formats whose recordings consist of files with the endings of some names."""
    endings = {Path(name).suffix.lower() for name in names} - {""}
    return [row for row in rows if endings & {*row.suffixes, *row.file_suffixes}]


def _looked_for(near: list[FormatRow]) -> str:
    if 0 < len(near) <= _MOST_DESCRIBED:
        listed = "; ".join(f"{row.name}: {row.recognised}" for row in near)
        return f"Looked for {listed}. 'nwb-ophys formats' lists the files of all formats."
    if near:
        return (
            f"Looked for {_listed(near)}; to see what one of them lacks, name it (format=, on the "
            "command line --format)."
        )
    return (
        "Give a recording, or a folder of one; 'nwb-ophys formats' lists the files of each format."
    )


def _listed(rows: list[FormatRow]) -> str:
    return ", ".join(row.name for row in rows)


def _contents(probe: PathProbe) -> str:
    """Return the variables, datasets or array of a MATLAB, HDF5 or .npy file, in words."""
    if probe.path.suffix.lower() == ".npy":
        return _array(probe.path)
    # Imported here, so that listing the formats imports neither h5py nor numpy.

    from nwb_ophys.filetypes.hdf5 import read_hdf5_outline
    from nwb_ophys.filetypes.matlab.structs import ROOT, read_matlab_outline

    outline = probe.read_once(read_matlab_outline)
    if outline is not None:
        return _some("variable", list(outline[ROOT]))
    hdf5 = probe.read_once(read_hdf5_outline)
    if hdf5 is not None:
        sizes = {name: " x ".join(map(str, shape)) for name, (shape, _) in hdf5.datasets.items()}
        return _some(
            "dataset", [f"{name} ({size})" if size else name for name, size in sizes.items()]
        )
    return ""


def _array(path: Path) -> str:
    import numpy as np

    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):  # an array of Python objects, too
        return ""
    return f"an array of shape {found.shape}, {found.dtype}"


def _some(what: str, names: list[str]) -> str:
    if not names:
        return f"no {what}s"
    return f"the {what}{'s' * (len(names) > 1)} {first_of(names, _MOST_NAMES)}"


def _has_nothing(path: Path) -> bool:
    return path.exists() and path.stat().st_size == 0


def _faults(probe: PathProbe) -> str:
    """List files of a folder that are empty or cannot be read, and links to absent files."""
    found: dict[str, list[str]] = {}
    for name in sorted(probe.file_names):
        fault = _fault(probe.path / name)
        if fault is not None:
            found.setdefault(fault, []).append(f"'{name}'")
    faults = [f"{first_of(names, _MOST_FAULTS)}: {fault}" for fault, names in found.items()]
    return f" ({first_of(faults, _MOST_FAULTS)})" if faults else ""


def _fault(place: Path) -> str | None:
    if isinstance(place, RemotePath):
        return "empty" if _has_nothing(place) else None
    if not place.exists():
        return absence(place).removeprefix("is ")
    if is_denied(place):
        return "the permission to read is missing; have it changed, or copy the recording"
    return "empty" if _has_nothing(place) else None


def _holding(probe: PathProbe) -> str:
    counts = Counter(Path(name).suffix.lower() or "other" for name in probe.file_names)
    parts = [
        counted(count, f"{ending} file") for ending, count in counts.most_common(_MOST_ENDINGS)
    ]
    if len(counts) > _MOST_ENDINGS:
        parts.append("others")
    if probe.folder_names:
        parts.append(counted(len(probe.folder_names), "folder"))
    return f", which contains {', '.join(parts)}"
