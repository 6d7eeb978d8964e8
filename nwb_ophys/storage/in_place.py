"""Changes of an existing file in its place, with a journal from which they are undone.

The journal is the log of a guard beside the file. An error returns the file to its state before.
After a kill or a power failure the next writer does, or the command ``nwb-ophys clean``. The
journal has samples of the file, too, so that it never changes another one.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nwb_ophys.errors import ArgumentError, CorruptSourceError, OutputError
from nwb_ophys.storage.atomic import note_completed
from nwb_ophys.storage.copying import set_mode, set_time
from nwb_ophys.storage.disk_errors import output_errors
from nwb_ophys.storage.flushing import flush, flush_names
from nwb_ophys.storage.guards import FORMAT, SAMPLE_BYTES, digest, guard_of
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.locking import current_holder
from nwb_ophys.storage.threads import to_the_end
from nwb_ophys.storage.undo import (
    DamagedLogError,
    Head,
    ranges_in,
    records,
    remove_undo,
    write_ranges,
)

# A file of a store is written under its name with such an addition, and then renamed.
_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.partial")
_PARTS = ("new", "file", "link", "folder")


def check_in_place(*, in_place: bool, append: bool, resume: bool) -> None:
    """Check that a file that is to be changed in its place is appended to.

    Raises
    ------
    ArgumentError
        For ``in_place`` without ``append``, or with ``resume``.
    """
    if in_place and not append:
        raise ArgumentError(
            "in_place=True is given without append=True; only appending changes a file in its "
            "place. Add append=True, or leave out in_place=True."
        )
    if in_place and resume:
        raise ArgumentError(
            "in_place=True and resume=True are given; an append in place that ends before its time "
            "is undone, so that nothing is left to go on from. Choose one of them."
        )


@contextmanager
def changed_in_place(target: Path) -> Iterator[Any]:
    """Allow changes of a file or folder within the block, and undo them on any error.

    Parameters
    ----------
    target : pathlib.Path
        The lock of this target is held.

    Yields
    ------
    FileGuard or FolderGuard
        Called before each change.

    Raises
    ------
    OutputError
        If the changes cannot be put on the disk, or cannot be undone.
    """
    journal, pid = HiddenNames.beside(target).undo, os.getpid()
    guards: list[Any] = []
    _warn_of_links(target)
    try:
        with output_errors(target):
            guards.append(guard_of(target, journal))
        yield guards[0]
        with output_errors(target):
            guards[0].flush()
        to_the_end(lambda: _complete(guards[0], target, journal))
    except BaseException:
        if os.getpid() == pid:  # not a child after a fork, which leaves the block by an error
            to_the_end(lambda: _undo(guards, target, journal))
        raise


def _warn_of_links(target: Path) -> None:
    if target.is_file() and target.stat().st_nlink > 1:
        warnings.warn(
            f"'{target}' has other names on the disk (hard links), such as those of a backup; the "
            "file that is changed in its place changes under all of them.",
            stacklevel=2,
        )


def _complete(guard: Any, target: Path, journal: Path) -> None:
    guard.end()
    remove_undo(journal)
    note_completed(target)
    flush_names(journal.parent)


def _undo(guards: list[Any], target: Path, journal: Path) -> None:
    for guard in guards:
        guard.end()
    if os.path.lexists(journal):
        restore_target(target, journal)
    remove_undo(journal)


# --- restoration --------------------------------------------------------------------------------


def restore_target(target: Path, journal: Path) -> None:
    """Return a file or folder to its state before it was changed in its place; remove the journal.

    Parameters
    ----------
    target, journal : pathlib.Path

    Raises
    ------
    OutputError
        If the journal is not that of the file, or the file cannot be written. The journal stays.
    """
    try:
        reason = misfit(target, journal)
        if reason is None:
            if target.is_dir():
                _restore_folder(target, journal)
            else:
                _restore_file(target, journal)
            remove_undo(journal)
            flush_names(journal.parent)
            return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise OutputError(
        f"A change of '{target}' in its place did not end, and the file cannot be restored from "
        f"'{journal}': {reason.rstrip('.')}. Correct that and run this again, or remove the "
        "journal if you do not need the file."
    )


def misfit(target: Path, journal: Path) -> str | None:
    """Return why a journal does not restore a file, or None if it does.

    Parameters
    ----------
    target, journal : pathlib.Path
    """
    try:
        if not stat.S_ISREG(journal.lstat().st_mode):
            return "it is no regular file"
        head = head_of(journal)
        if head is None:
            return "it is damaged"
        if not target.exists():
            return f"there is no '{target}'"
        is_folder = target.is_dir()
        fits = _folder_fits if is_folder else _file_fits
        if is_folder != head["is_folder"] or not fits(target, journal, head):
            return "it is the journal of another file"
    except OSError as error:
        if not isinstance(error, DamagedLogError):
            return error.strerror or str(error)
        return "it is damaged"
    except Exception:  # whatever a stranger wrote into it
        return "it is damaged"
    return None


def head_of(journal: Path) -> Head | None:
    """Return the first record of a journal, or None if it is not one.

    Raises
    ------
    OSError
        If the journal cannot be read.
    """
    head, _ = next(records(journal), ({}, b""))
    return head if head.get("format") == FORMAT else None


def _file_fits(target: Path, journal: Path, head: Head) -> bool:
    """Return whether the restored file has the samples of the journal."""
    found, end = {}, target.stat().st_size
    with target.open("rb") as file:
        for start, size, _ in head["samples"]:
            file.seek(start)
            found[start] = bytearray(file.read(min(size, SAMPLE_BYTES)).ljust(size, b"\0"))
    for start, before in ranges_in(journal):
        stop = start + len(before)
        if start < 0 or stop > head["size"]:
            return False
        end = max(end, stop)
        for first, sample in found.items():
            low, high = max(start, first), min(stop, first + len(sample))
            if low < high:
                sample[low - first : high - first] = before[low - start : high - start]
    are_right = all(digest(found[start]) == stated for start, _, stated in head["samples"])
    return are_right and int(head["size"]) <= end and isinstance(head["time"], int)


def _restore_file(target: Path, journal: Path) -> None:
    head = head_of(journal)
    assert head is not None
    os.truncate(target, head["size"])  # which frees space first
    write_ranges(target, journal)
    set_time(target, head["time"])  # of a file of another user, the contents only are restored


def _folder_fits(target: Path, journal: Path, head: Head) -> bool:
    """Return whether the restored folder has the samples of the journal, and nothing leads out."""
    wanted = dict(head["samples"])
    found = {}
    for each, before in records(journal):
        kind = next((part for part in _PARTS if part in each), None)
        if kind is not None and not _is_within(target, each[kind]):
            return False
        if kind == "file" and not (isinstance(each["mode"], int) and isinstance(each["time"], int)):
            return False
        if kind == "file" and each[kind] in wanted:
            found[each[kind]] = digest(before)
    for name in wanted:
        place = target / name
        if name not in found and _is_within(target, name) and place.is_file():
            found[name] = digest(place.read_bytes())
    return found == wanted


def _is_within(folder: Path, name: str) -> bool:
    """Return whether a name is one within a folder, through links too."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return False
    real = Path(os.path.realpath((folder / path).parent))
    top = Path(os.path.realpath(folder))
    return top in (real, *real.parents)


def _check_within(folder: Path, head: Head) -> None:
    """Check a part just before it is restored, since a link may have been restored before it.

    Raises
    ------
    ValueError
        If it is not within the folder.
    """
    for name in (head[part] for part in _PARTS if part in head):
        if not _is_within(folder, name):
            raise ValueError(f"'{name}' leads out of '{folder}'.")


def _restore_folder(target: Path, journal: Path) -> None:
    """Remove what is new, and then write what was there."""
    changed = {target}
    for head, _ in records(journal):
        _check_within(target, head)
        if "new" in head:
            place = target / head["new"]
            _remove(place)
            _remove_partials(place)
            changed.add(place.parent)
    for head, before in records(journal):
        _check_within(target, head)
        if "folder" in head:
            (target / head["folder"]).mkdir(parents=True, exist_ok=True)
        elif "file" in head:
            _restore_part(target / head["file"], head, before)
            changed.add((target / head["file"]).parent)
        elif "link" in head:
            place = target / head["link"]
            _remove(place)
            place.symlink_to(head["to"])
            changed.add(place.parent)
    for folder in changed:
        flush_names(folder)


def _restore_part(place: Path, head: Head, before: bytes) -> None:
    """Write one file of a folder, unless it is as it was."""
    _remove_partials(place)
    if place.is_dir():
        _remove(place)
    if not place.is_file() or place.is_symlink() or place.read_bytes() != before:
        new = place.with_name(f"{place.name}.{uuid.uuid4().hex}.partial")
        new.write_bytes(before)
        flush(new)
        new.replace(place)
    set_mode(place, head["mode"])
    set_time(place, head["time"])


def _remove_partials(place: Path) -> None:
    """Remove the files that were to be renamed to this one."""
    if not place.parent.is_dir():
        return
    # Some writers put the addition in the place of the suffix.
    starts = {place.name, place.stem}
    with os.scandir(place.parent) as entries:
        for entry in entries:
            additions = {entry.name.removeprefix(each) for each in starts} - {entry.name}
            if any(map(_UNFINISHED.fullmatch, additions)):
                Path(entry.path).unlink()


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


# --- readers ------------------------------------------------------------------------------------


def interruption(path: Path) -> str | None:
    """Return a sentence that a file is being changed in its place, or was; None for others.

    Parameters
    ----------
    path : pathlib.Path
    """
    target = Path(os.path.realpath(path))
    names = HiddenNames.beside(target)
    if not os.path.lexists(names.undo) or misfit(target, names.undo) is not None:
        return None
    holder = current_holder(names.lock)
    if holder is not None:
        return f"'{path}' is being changed in its place by {holder}; wait until that ends."
    return (
        f"'{path}' is in the middle of a change in its place that was killed; restore the file of "
        f"before with: nwb-ophys clean '{target.parent}'"
    )


def check_whole(path: Path) -> None:
    """Check that a file is not in the middle of a change in its place.

    Raises
    ------
    CorruptSourceError
        If it is; says how the file is restored.
    """
    reason = interruption(path)
    if reason is not None:
        raise CorruptSourceError(reason)
