"""Hidden files and folders that killed processes left: recognition, removal and restoration.

Files of a living process are never touched, since it holds the lock of its target. Of the others,
only those are removed that have both a name and contents such as a write makes. The former folder
of a target that was replaced is never removed: it returns to its place if the target is absent. A
file whose change in its place was killed returns to its state before.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs

from nwb_ophys.errors import (
    NwbOphysError,
    OutputBusyError,
    SourceError,
    SourceNotFoundError,
    shown_size,
)
from nwb_ophys.home import with_home
from nwb_ophys.remote.paths import RemotePath
from nwb_ophys.remote.reading import size_below
from nwb_ophys.storage.atomic import remove, rename_new
from nwb_ophys.storage.backends.registry import all_backends, backend_of_path
from nwb_ophys.storage.hidden_names import HiddenName, HiddenNames
from nwb_ophys.storage.in_place import head_of, misfit, restore_target
from nwb_ophys.storage.locking import Lock, current_holder, stated_target
from nwb_ophys.storage.threads import to_the_end


@attrs.frozen(kw_only=True)
class Debris:
    """One hidden file or folder beside a target.

    Attributes
    ----------
    path : pathlib.Path
    num_bytes : int
        Size, with all files of a folder.
    is_removed : bool
        Whether it is removed, or would be.
    restored : pathlib.Path or None
        Target as which it is restored, or would be.
    reason : str
        Reason why it stays, if it does.
    """

    path: Path
    num_bytes: int
    is_removed: bool = False
    restored: Path | None = None
    reason: str = ""


def size_of(path: Path) -> int:
    """Return the number of bytes of a file, or of all files in a folder.

    Parameters
    ----------
    path : pathlib.Path
        Of an object in a store that cannot be read, 0 is returned.
    """
    total = 0
    if isinstance(path, RemotePath):
        with suppress(SourceError):
            total = size_below(path)
        return total
    is_folder = path.is_dir() and not path.is_symlink()
    for file in path.rglob("*") if is_folder else [path]:
        with suppress(OSError):  # a file that vanishes meanwhile
            status = file.lstat()
            total += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return total


def clear_target(target: Path, lock: Lock) -> None:
    """Remove the debris beside a target whose lock this process holds, and warn that it did.

    Incomplete files with a journal beside them stay, since they may be resumed. A file whose append
    in place was killed returns to its state before.

    Parameters
    ----------
    target : pathlib.Path
        Links followed.
    lock : Lock
        Held. Its second call does nothing, since the incomplete file is that of this process then.

    Raises
    ------
    OutputError
        If a file whose change in its place was killed cannot be restored.
    """
    if lock.is_cleared:
        return
    lock.is_cleared = True
    is_undone = _undone(target, lock)
    found = [name for name in _beside(lock.names) if name.kind != "lock"]
    resumable = {name.unique for name in found if name.kind == "resume"}
    judged = [_judged(name, target) for name in found if name.unique not in resumable]
    done = [_done(each) for each in judged]
    removed = [each for each in done if each.is_removed]
    is_restored = is_undone or any(each.restored for each in done)
    if lock.left_by is None and not removed and not is_restored:
        return
    left = "it left no incomplete file"
    if removed:
        size = shown_size(sum(each.num_bytes for each in removed))
        left = f"its incomplete file of {size} was removed"
    elif resumable:
        left = "its incomplete file can be resumed"
    if is_undone:
        left = "its change in place was undone, and the file is as it was before"
    elif is_restored:
        left += ", and the former file is in its place again"
    by = lock.left_by
    killed = "killed" if by is None else f"killed (process {by.pid} on '{by.host}')"
    warnings.warn(f"An earlier run was {killed} while it wrote '{target}'; {left}.", stacklevel=2)


def _undone(target: Path, lock: Lock) -> bool:
    """Undo a change in place that was killed, and return whether there was one."""
    is_there = os.path.lexists(lock.names.undo)
    if is_there:
        to_the_end(lambda: restore_target(target, lock.names.undo))
    return is_there


def sweep(lock: Lock) -> None:
    """Remove what an interrupted clean-up of this process left, unless it can be resumed."""
    if not lock.is_held:  # a child after a fork
        return
    _undone(lock.target, lock)
    found = [name for name in _beside(lock.names) if name.kind != "lock"]
    resumable = {name.unique for name in found if name.kind == "resume"}
    for name in found:
        if name.kind == "partial" and name.unique not in resumable:
            _done(_judged(name, None))


def remove_debris(folder: str | Path, *, dry_run: bool = False) -> list[Debris]:
    """Remove the debris of killed processes in a folder and in the folders below it.

    Parameters
    ----------
    folder : path-like
    dry_run : bool
        Whether the debris is only listed.

    Returns
    -------
    list of Debris
        Every hidden file and folder of this program that was found, also those that stay: files
        that a living process writes, former folders of targets, and those with other contents.

    Raises
    ------
    SourceNotFoundError
        When there is no such folder.
    """
    top = with_home(Path(folder))
    if not top.is_dir():
        raise SourceNotFoundError(f"'{folder}' is not a folder; give a folder to clean.")
    act = _listed if dry_run else _cleaned
    return [each for names in _all_names(top) for each in act(names)]


def _all_names(top: Path) -> Iterator[HiddenNames]:
    """Yield the names of each target beside which something hidden lies, once."""
    for where, folders, files in os.walk(top):
        here = Path(where)
        parsed = {name: HiddenName.parse(here / name) for name in sorted([*folders, *files])}
        yield from dict.fromkeys(name.names for name in parsed.values() if name is not None)
        folders[:] = [
            name
            for name in folders
            if parsed[name] is None and backend_of_path(here / name) is None
        ]


def _beside(names: HiddenNames) -> list[HiddenName]:
    with os.scandir(names.folder) as entries:
        near = [entry.name for entry in entries if entry.name.startswith(names.stem)]
    parsed = [HiddenName.parse(names.folder / name) for name in sorted(near)]
    return [name for name in parsed if name is not None and name.names == names]


def _listed(names: HiddenNames) -> list[Debris]:
    holder = current_holder(names.lock)
    found = _beside(names)
    if holder is not None:
        return _kept(found, f"{holder} writes the file")
    target = _target_of(found)
    return [_judged(name, target) for name in found]


def _cleaned(names: HiddenNames) -> list[Debris]:
    found = _beside(names)
    target = _target_of(found)
    lock = Lock(names, names.stem if target is None else target.name)
    sizes = {name.path: size_of(name.path) for name in found if name.kind == "lock"}
    try:
        lock.acquire()
    except OutputBusyError:
        return _kept(found, f"{current_holder(names.lock) or 'a process'} writes the file")
    except NwbOphysError as error:
        return _kept(found, str(error).rstrip("."))
    try:
        others = [name for name in _beside(names) if name.kind != "lock"]
        done = [_done(_judged(name, target)) for name in others]
    finally:
        to_the_end(lock.release)
    if lock.was_left:
        size = sizes.get(names.lock, 0)
        done.append(Debris(path=names.lock, num_bytes=size, is_removed=True))
    return done


def _target_of(found: list[HiddenName]) -> Path | None:
    """Return the target, from a hidden name or from the text of the lock."""
    for name in found:
        stated = name.target or _stated_target(name)
        if stated is not None and name.names.is_of(stated):
            return name.names.folder / stated
    return None


def _stated_target(name: HiddenName) -> str | None:
    """Return the name of the target in a lock or a journal."""
    if name.kind == "lock":
        return stated_target(name.path)
    with suppress(OSError, ValueError):
        head = head_of(name.path) if name.kind == "undo" else None
        return None if head is None else str(head.get("target"))
    return None


def _kept(found: list[HiddenName], reason: str) -> list[Debris]:
    return [Debris(path=name.path, num_bytes=size_of(name.path), reason=reason) for name in found]


def _judged(name: HiddenName, target: Path | None) -> Debris:
    """Return what is to be done with a file that no living process writes."""
    judged = Debris(path=name.path, num_bytes=size_of(name.path))
    if name.kind == "replaced":
        if target is not None and not target.exists() and name.path.is_dir():
            return attrs.evolve(judged, restored=target)
        former = "a file" if target is None else f"'{target}'"
        return attrs.evolve(judged, reason=f"it holds the former contents of {former}")
    if name.kind == "undo" and name.path == name.names.undo:
        reason = "the name of its file is not known" if target is None else None
        reason = reason or misfit(target, name.path)  # type: ignore[arg-type]
        return attrs.evolve(judged, restored=None if reason else target, reason=reason or "")
    if name.kind in ("lock", "resume", "undo"):
        ours = name.path.is_file() and not name.path.is_symlink()
    else:
        ours = any(backend.may_be_incomplete(name.path) for backend in all_backends())
    if not ours:
        return attrs.evolve(judged, reason="its contents are not those of an incomplete file")
    return attrs.evolve(judged, is_removed=True)


def _done(judged: Debris) -> Debris:
    """Remove or restore a file as judged; a refusal of the system is the reason why it stays."""
    try:
        if judged.restored is not None and judged.path == HiddenNames.beside(judged.restored).undo:
            restore_target(judged.restored, judged.path)
        elif judged.restored is not None:
            rename_new(judged.path, judged.restored)
        elif judged.is_removed:
            remove(judged.path)
    except OSError as error:
        reason = error.strerror or str(error)
        return attrs.evolve(judged, is_removed=False, restored=None, reason=reason)
    if judged.is_removed and os.path.lexists(judged.path):
        return attrs.evolve(judged, is_removed=False, reason="the system does not remove it")
    return judged
