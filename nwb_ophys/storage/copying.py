"""Copies of files that share their blocks with the original where the file system can do that.

On network shares that belong to one user for all, and on file systems without permissions, only the
contents can be copied: the system refuses to set permissions and times, also of new files.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import warnings
from pathlib import Path

# Linux, ioctl_ficlone(2): _IOW(0x94, 9, int). The number differs on a few processors.
_FICLONE = 0x40049409
_MOST_BYTES = 1 << 30
# Errors of systems, file systems and pairs of files that cannot share or copy blocks.
_UNSUPPORTED = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
    errno.ETXTBSY,
}
# Errors of systems and file systems on which facts about a file cannot be set by this user.
_NOT_SET = {
    errno.EACCES,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EPERM,
}


def copy_file(source: Path, target: Path) -> None:
    """Copy the contents of a file to a new one.

    The copy shares its blocks with the original (reflink) on file systems such as Btrfs and XFS,
    which takes no time and no space. Elsewhere the kernel copies them where it can.

    Parameters
    ----------
    source, target : pathlib.Path

    Raises
    ------
    OSError
        If the file cannot be read, or the disk is full.
    """
    with source.open("rb") as original, target.open("wb") as copy:
        if _shared(original.fileno(), copy.fileno()):
            return
        if _copied_by_kernel(original.fileno(), copy.fileno()):
            return
        original.seek(0)
        copy.seek(0)
        shutil.copyfileobj(original, copy, 1 << 20)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder to a new one as :func:`copy_file` copies files.

    Parameters
    ----------
    source, target : pathlib.Path

    Raises
    ------
    OSError
        If a file cannot be read, or the disk is full.
    """
    target.mkdir(parents=True)
    with os.scandir(source) as entries:
        found = [(Path(entry.path), entry.is_dir()) for entry in entries]
    for place, is_folder in found:
        (copy_folder if is_folder else _copy_part)(place, target / place.name)
    _keep_facts(source, target)


def _copy_part(source: Path, target: Path) -> None:
    copy_file(source, target)
    _keep_facts(source, target)


def _keep_facts(source: Path, target: Path) -> None:
    """Give a copy the permissions and the time of its original, where the system lets it."""
    status = source.stat()
    set_mode(target, stat.S_IMODE(status.st_mode))
    set_time(target, status.st_mtime_ns)


def keep_mode(former: Path, new: Path) -> None:
    """Give a file the permissions of the one that it replaces; see :func:`set_mode`."""
    set_mode(new, stat.S_IMODE(former.stat().st_mode), former)


def set_mode(path: Path, mode: int, name: Path | None = None) -> None:
    """Set the permissions of a file, or warn that the system refuses that.

    Parameters
    ----------
    path : pathlib.Path
    mode : int
    name : pathlib.Path, optional
        Name for the message.
    """
    if stat.S_IMODE(path.stat().st_mode) == mode:
        return
    try:
        path.chmod(mode)
    except OSError as error:
        if error.errno not in _NOT_SET:
            raise
        warnings.warn(
            f"The permissions of '{name or path}' could not be kept, since its file system does "
            "not let you set them; look whether the right people can read and change it.",
            UserWarning,
            stacklevel=3,
        )


def set_time(path: Path, time: int) -> None:
    """Set the time of change of a file, in ns, where the system lets this user do that."""
    try:
        os.utime(path, ns=(time, time))
    except OSError as error:
        if error.errno not in _NOT_SET:
            raise


def _shared(original: int, copy: int) -> bool:
    """Let one file share the blocks of another; return False where that is not possible."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(copy, _FICLONE, original)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _copied_by_kernel(original: int, copy: int) -> bool:
    """Copy within the kernel; return False, whatever was copied, where that is not possible."""
    copy_range = getattr(os, "copy_file_range", None)
    if copy_range is None:
        return False
    size, position = os.fstat(original).st_size, 0
    try:
        while position < size:
            # Some kernels report the end of the file too early on file systems such as procfs.
            count = copy_range(original, copy, _MOST_BYTES, position, position)
            if count == 0:
                return False
            position += count
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True
