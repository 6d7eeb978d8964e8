"""Copies of files that share their blocks with the original where the file system can do that."""

from __future__ import annotations

import errno
import os
import shutil
import sys
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

    def copy(original: str, place: str) -> str:
        copy_file(Path(original), Path(place))
        shutil.copystat(original, place)
        return place

    shutil.copytree(source, target, copy_function=copy)


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
