"""Replacement of a target by a complete file or folder, in one step where the system allows."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import shutil
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from nwb_ophys.errors import OutputError, OutputExistsError
from nwb_ophys.storage.copying import keep_mode
from nwb_ophys.storage.hidden_names import HiddenNames
from nwb_ophys.storage.threads import to_the_end

# Linux, renameat2(2).
_AT_FDCWD = -100
_NO_REPLACE, _EXCHANGE = 1, 2
# Errors of systems and file systems without this call.
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}

# The last file that this thread completed; an interrupt may arrive just after that.
_COMPLETED: ContextVar[Path | None] = ContextVar("_COMPLETED", default=None)
_LEFT: ContextVar[Path | None] = ContextVar("_LEFT", default=None)

Identity = tuple[int, ...] | None


def fingerprint(path: Path) -> Identity:
    """Return numbers that change when a file or folder is written; None if it does not exist.

    The number that the system gives a file is not one of them: some file systems of networks and
    clouds (FUSE) give a file another one after a while.
    """
    found: list[int] = []
    for part in (path, path / ".zattrs", path / ".zmetadata"):
        try:
            status = part.stat()
        except OSError:
            continue
        found += [status.st_mtime_ns, status.st_size]
    return tuple(found) or None


def replace_target(partial: Path, target: Path, before: Identity) -> None:
    """Replace a target by a file or folder.

    Parameters
    ----------
    partial : pathlib.Path
        The new file or folder, beside the target. An old folder may have this name afterwards; the
        caller removes it.
    target : pathlib.Path
    before : tuple of int or None
        Fingerprint of the target when the work began.

    Raises
    ------
    OutputExistsError, OutputError
        If another process has written the target meanwhile; it is unchanged then.
    OSError
        If the system refuses.
    """
    if before is None:
        _place_new(partial, target)
    else:
        _place_over(partial, target, before)
    note_completed(target)


def note_completed(target: Path | None) -> None:
    """Note that this thread completed a target; None if it has completed nothing."""
    _COMPLETED.set(target)


def last_completed() -> Path | None:
    """Return the last target that this thread completed, or None."""
    return _COMPLETED.get()


def note_left(target: Path) -> None:
    """Note that parts of a target stay in a store, from which they could not be removed."""
    _LEFT.set(target)


def last_left() -> Path | None:
    """Return the last target of which parts could not be removed, or None."""
    return _LEFT.get()


def _place_over(partial: Path, target: Path, before: Identity) -> None:
    if fingerprint(target) != before:
        raise OutputError(
            f"'{target}' was changed by another process meanwhile; it is left as that process "
            "wrote it. Run this again."
        )
    if target.is_file() and partial.is_file():
        keep_mode(target, partial)
    if partial.is_file() and not target.is_dir():
        partial.replace(target)
    elif not _renamed(partial, target, _EXCHANGE):
        _swap_folders(partial, target)


def _place_new(partial: Path, target: Path) -> None:
    try:
        rename_new(partial, target)
    except FileExistsError:
        raise OutputExistsError(
            f"'{target}' was written by another process meanwhile; it is left as it is. Choose "
            "another name, or use overwrite=True to replace it."
        ) from None


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or folder, unless something has the new name.

    Raises
    ------
    FileExistsError
        If something has the new name.
    OSError
        If the system refuses.
    """
    if _renamed(source, target, _NO_REPLACE):
        return
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def _swap_folders(partial: Path, target: Path) -> None:
    """Rename the old folder aside, and back after an error: no folder replaces another."""
    aside = HiddenNames.beside(target).replaced()
    try:
        target.rename(aside)
        partial.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    aside.rename(partial)


def _renamed(source: Path, target: Path, flag: int) -> bool:
    """Rename in one step, by exchange or without replacing; return False if unsupported."""
    call = _renameat2()
    if call is None:
        return False
    given = (_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag)
    if call(*given) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(target))


@functools.cache
def _renameat2() -> Any:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # not Linux, or an old version
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return call


def remove(path: Path) -> None:
    """Remove a file or folder completely; an interrupt is raised only afterwards."""
    to_the_end(lambda: _remove(path))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
